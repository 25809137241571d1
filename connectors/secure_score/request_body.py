"""What a person asks for with ``POST /api/secure-score/{controlId}/ticket``: read, and checked as far as the body alone
tells. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from connectors.defender.assignments.request import RequestMistake, problem
from connectors.secure_score.payloads.request import Request
from shared.core.ticket_system import TicketKind
from shared.payloads.values import moment

_MEMBERS = ("requested_by", "priority", "name", "description", "due_date", "ticket", "tenant")
_KINDS = (TicketKind.CHANGE_REQUEST.value, TicketKind.INCIDENT.value)
_LONGEST = {"requested_by": 100, "name": 120, "description": 3000, "due_date": 40, "ticket": 20, "tenant": 36}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WITH_ZONE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}.*(Z|[+-]\d{2}:?\d{2})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A request: what is wanted of the ticket, and the tenant of the control; empty for the only one."""

    wanted: Request
    tenant: str


def read_request(body: object, tenants: list[str], now: datetime) -> ScoreRequest:
    """Read a body.

    Args:
        body: decoded JSON.
        tenants: ids of those that are configured; an empty one stands for a tenant whose id is not named.
        now: present time.

    Raises Problem: 400 that names every mistake.
    """
    if not isinstance(body, dict):
        raise problem(400, "Not a request", [RequestMistake("", "Expected one JSON object; see docs/secure-score.md.")])
    mistakes: list[RequestMistake] = []
    for name in body:
        if name not in _MEMBERS:
            close = get_close_matches(str(name), _MEMBERS, n=3, cutoff=0.5)
            mistakes.append(RequestMistake(str(name)[:80], "There is no such member.", tuple(close)))
    text = {name: _text(body, name, mistakes) for name in _LONGEST}
    if not text["requested_by"] and not any(one.field == "requested_by" for one in mistakes):
        mistakes.append(RequestMistake("requested_by", "It is required: the user name or e-mail address of who asks."))
    priority = _priority(body, mistakes)
    due = _due(text["due_date"], mistakes, now)
    if text["ticket"] and text["ticket"] not in _KINDS:
        mistakes.append(RequestMistake("ticket", f"'{text['ticket']}' is none of {' and '.join(_KINDS)}."))
    tenant = _tenant(text["tenant"].lower(), tenants, mistakes)
    if mistakes:
        raise problem(400, "Not a request", mistakes)
    wanted = Request(
        requested_by=text["requested_by"],
        priority=priority,
        due=due,
        name=text["name"],
        description=text["description"],
        kind=TicketKind(text["ticket"]) if text["ticket"] else None,
    )
    return ScoreRequest(wanted, tenant)


def _text(body: Mapping[str, Any], name: str, mistakes: list[RequestMistake]) -> str:
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        mistakes.append(RequestMistake(name, "It has to be text."))
        return ""
    value = value.strip()
    shown = value.replace("\r", "").replace("\n", "").replace("\t", "") if name == "description" else value
    if not shown.isprintable():
        mistakes.append(RequestMistake(name, "It has control characters, or more than one line."))
    elif len(value) > _LONGEST[name]:
        mistakes.append(RequestMistake(name, f"It has {len(value):,} characters; the limit is {_LONGEST[name]:,}."))
    else:
        return value
    return ""


def _priority(body: Mapping[str, Any], mistakes: list[RequestMistake]) -> int | None:
    value = body.get("priority")
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4):
        return value
    mistakes.append(RequestMistake("priority", "It has to be a number from 1 (critical) to 4 (low)."))
    return None


def _due(text: str, mistakes: list[RequestMistake], now: datetime) -> datetime | None:
    """Until when. A date without a time is that day to its end, in UTC."""
    if not text:
        return None
    day = _DAY.fullmatch(text) is not None
    found = moment(f"{text}T23:59:59Z" if day else text) if day or _WITH_ZONE.fullmatch(text) else None
    if found is None:
        detail = f"'{text}' is no date. Fix: write 2026-01-31, or 2026-01-31T17:00:00Z with its zone."
        mistakes.append(RequestMistake("due_date", detail))
    elif found <= now:
        detail = f"{text} is in the past. Fix: name a moment after {now.astimezone(UTC):%Y-%m-%dT%H:%MZ}."
        mistakes.append(RequestMistake("due_date", detail))
    return found


def _tenant(wanted: str, tenants: list[str], mistakes: list[RequestMistake]) -> str:
    if not wanted:
        if len(tenants) == 1:
            return tenants[0]
        mistakes.append(RequestMistake("tenant", "It is required, because there are several.", tuple(tenants)))
    elif wanted not in tenants and tenants != [""]:
        mistakes.append(RequestMistake("tenant", f"Tenant {wanted} is not configured.", tuple(filter(None, tenants))))
    return wanted
