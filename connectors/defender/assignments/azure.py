"""An assignment as Defender for Cloud keeps it: name, properties, and what of them is ours. Pure.

Source: Azure REST API specifications, Microsoft.Security, "Governance Assignments" (2022-01-01-preview): PUT replaces,
``remediationDueDate`` is required, ``ticketNumber`` is an int32 that is not negative, so that a number such as
INC0012345 does not fit: its digits go there, and the link leads to the ticket itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from connectors.defender.assignments.assignment import Assignment

#: Of names that are made here; a random UUID, never to be changed.
_NAMESPACE = UUID("6f1c3a52-9d0e-4b57-8a35-c2f4b1d7e690")

_INT32 = 2_147_483_647
_MAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+\.[^\s@<>,;]+")

#: What an assignment says that exists no more.
ENDED = "ended"


@dataclass(frozen=True, slots=True)
class TicketFacts:
    """What Defender for Cloud is told of a ticket: number, address, and the state by its configured name."""

    number: str = ""
    url: str = ""
    status: str = ""


def is_mail(text: str) -> bool:
    """Whether a text is an e-mail address, which is the only kind of owner that Defender for Cloud takes."""
    return _MAIL.fullmatch(text.strip()) is not None


def assignment_name(assessment_id: str) -> str:
    """Name of the governance assignment of an assessment: a GUID, the same at every attempt.

    The assessment's own key where that is a GUID: the portal and governance rules of Defender for Cloud name theirs so
    too, and a finding of a resource has one owner, not one for each tool. For others (custom assessments may have any
    name) one that follows from the id.
    """
    low = assessment_id.strip().strip("/").lower()
    key = low.rpartition("/")[2]
    try:
        return str(UUID(key)) if len(key) == 36 else str(uuid5(_NAMESPACE, low))
    except ValueError:
        return str(uuid5(_NAMESPACE, low))


def wanted(assignment: Assignment, ticket: TicketFacts) -> str:
    """What Defender for Cloud has to know of an assignment, as text that changes with it and with nothing else."""
    if not assignment.open:
        return ENDED
    return json.dumps(_ours(assignment, ticket), separators=(",", ":"), sort_keys=True)


def merged(existing: Mapping[str, Any] | None, assignment: Assignment, ticket: TicketFacts) -> dict[str, Any]:
    """The properties to put: what is there already, with what is ours written over it.

    Args:
        existing: properties as Defender for Cloud has them, None when it has no such assignment. What somebody set
            there that the bridge knows nothing of stays, for instance when they expect to be done.
        assignment, ticket: as the bridge knows them.
    """
    kept = {name: value for name, value in (existing or {}).items() if value is not None}
    ours = _ours(assignment, ticket)
    told_before = _told(assignment.last_pushed)
    if "owner" not in ours and kept.get("owner") and kept["owner"] == told_before.get("owner"):
        del kept["owner"]  # we had written it, and it is somebody else's now whose address is not known
    data = {**_object(kept.get("additionalData")), **ours["additionalData"]}
    if "ticketNumber" not in ours["additionalData"]:
        data.pop("ticketNumber", None)
    mails = {**_object(kept.get("governanceEmailNotification")), **ours["governanceEmailNotification"]}
    if _same_moment(kept.get("remediationDueDate"), ours["remediationDueDate"]):
        ours["remediationDueDate"] = kept["remediationDueDate"]  # the service writes more digits
    written = {**kept, **ours, "governanceEmailNotification": mails, "additionalData": data}
    return {name: value for name, value in written.items() if value != {}}


def ticket_status(ticket: TicketFacts) -> str:
    """State, and the number where its digits do not fit into ``ticketNumber``."""
    if not ticket.number or ticket_number(ticket.number) is not None:
        return ticket.status
    return f"{ticket.status} ({ticket.number})" if ticket.status else ticket.number


def ticket_number(number: str) -> int | None:
    """The digits of a ticket's number; None when it has none, or more than an int32 holds."""
    digits = re.sub(r"[^0-9]", "", number)
    return int(digits) if 0 < len(digits) <= 12 and int(digits) <= _INT32 else None


def _ours(assignment: Assignment, ticket: TicketFacts) -> dict[str, Any]:
    owner = assignment.owner.strip()
    number = ticket_number(ticket.number)
    data = {
        **({} if number is None else {"ticketNumber": number}),
        **({"ticketLink": ticket.url} if ticket.url else {}),
        **({"ticketStatus": status} if (status := ticket_status(ticket)) else {}),
    }
    return {
        **({"owner": owner} if is_mail(owner) else {}),
        "remediationDueDate": assignment.due.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "isGracePeriod": assignment.grace,
        "governanceEmailNotification": {
            "disableOwnerEmailNotification": not assignment.notify_owner,
            "disableManagerEmailNotification": not assignment.notify_manager,
        },
        "additionalData": data,
    }


def _told(text: str) -> dict[str, Any]:
    try:
        return _object(json.loads(text))
    except ValueError:
        return {}


def _object(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _same_moment(first: object, second: str) -> bool:
    """Whether a time of the service, which has seven digits after the second, is ours."""
    if not isinstance(first, str):
        return False
    try:
        return _moment(first) == _moment(second)
    except ValueError:
        return False


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00")))
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
