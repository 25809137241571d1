"""What a rule or a person wants of the ticket of a control, put onto its signal. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from shared.core.signal import Signal
from shared.core.ticket_system import TicketKind
from shared.core.times import rfc3339
from shared.payloads.builder import fit


@dataclass(frozen=True, slots=True)
class WantedTicket:
    """What is wanted of a ticket; what is None or empty stays as the control has it.

    Attributes:
        requested_by: who asks for it: user name or e-mail address.
        priority: 1 critical to 4 low.
        due: until when, UTC.
        name, description: of the task.
        rule: name of the rule that chose the control.
        kind: of the ticket.
    """

    requested_by: str = ""
    priority: int | None = None
    due: datetime | None = None
    name: str = ""
    description: str = ""
    rule: str = ""
    kind: TicketKind | None = None


def asked(signal: Signal, request: WantedTicket) -> Signal:
    """The signal of a control with what is wanted of its ticket.

    The priority becomes the signal's severity, one less, so that the severity table gives impact and urgency.
    """
    details = dict(signal.details)
    wanted = {
        "requested_by": request.requested_by,
        "priority": "" if request.priority is None else str(request.priority),
        "due_date": "" if request.due is None else rfc3339(request.due.replace(microsecond=0)) or "",
        "score_rule": request.rule,
        "ticket_kind": "" if request.kind is None else request.kind.value,
    }
    details.update({name: text for name, text in wanted.items() if text})
    if request.priority is not None:
        signal = replace(signal, severity=request.priority - 1)
    if request.name:
        signal = replace(signal, title=request.name, rule=request.name)
    if request.description:
        signal = replace(signal, description=f"{request.description}\n\n{signal.condition}".strip())
    return fit(replace(signal, details=details))
