"""HTTP endpoints of Secure Score: read the request, call the domain, build the response."""

from __future__ import annotations

from collections.abc import Callable
from typing import NotRequired, TypedDict

from connectors.secure_score.request_body import ScoreTicketRequest
from connectors.secure_score.requests import ScoreRequests
from shared.core.http import Request, Response
from shared.core.ticket_json import TicketJson, planned_ticket_json, ticket_json
from shared.web.answers import refusals_as_problems
from shared.web.requests import read_body


class ScoreTicketJson(TypedDict):
    """The ticket of a control.

    ``outcome`` is created, existing, reopened, pending or throttled; for the last two, the ticket has no id yet.
    ``signal`` is the id by which the log names it. ``rule`` is the throttle. ``not_taken_over`` names fields that the
    ticket system changed or ignored. ``not_applied`` names values of the request that an existing or reopened ticket
    keeps as it has them.
    """

    outcome: str
    control: str
    ticket: TicketJson
    signal: NotRequired[str]
    rule: NotRequired[str]
    not_taken_over: NotRequired[list[str]]
    not_applied: NotRequired[list[str]]


class PlannedScoreTicketJson(TicketJson):
    """A ticket that is not made yet, with its fields."""

    fields: dict[str, str]


class ScorePreviewJson(TypedDict):
    """What a request would make. ``existing`` is the open ticket that would be named instead; null for none."""

    control: str
    route: str
    ticket: PlannedScoreTicketJson
    existing: TicketJson | None
    warnings: list[str]


async def make_ticket(request: Request, requests: Callable[[], ScoreRequests]) -> Response:
    """Answer ``POST /api/secure-score/{control}/ticket``: 201 when it was made, 200 when it existed or was reopened,
    202 when it is made later.

    Args:
        request: its path has ``control``.
        requests: gives the service; raises RequestRefused where nothing is configured.

    Raises:
        Problem: every refusal; see docs/secure-score.md.
        BridgeError: what else failed.
    """
    with refusals_as_problems():
        service = requests()
        made = await service.ticket(request.path.get("control", ""), read_body(request, ScoreTicketRequest))
    shown: ScoreTicketJson = {
        "outcome": made.outcome,
        "control": made.control,
        "ticket": (
            planned_ticket_json(made.kind, made.connection)
            if made.ticket is None
            else ticket_json(made.ticket, made.connection)
        ),
    }
    if made.signal:
        shown["signal"] = made.signal
    if made.rule:
        shown["rule"] = made.rule
    if made.dropped:
        shown["not_taken_over"] = list(made.dropped)
    if made.not_applied:
        shown["not_applied"] = list(made.not_applied)
    status = 201 if made.outcome == "created" else 202 if made.outcome in ("pending", "throttled") else 200
    return Response(status, shown)


async def preview_ticket(request: Request, requests: Callable[[], ScoreRequests]) -> Response:
    """Answer ``POST /api/secure-score/{control}/preview``. Writes nothing. Arguments and errors as for
    :func:`make_ticket`."""
    with refusals_as_problems():
        service = requests()
        found = await service.preview(request.path.get("control", ""), read_body(request, ScoreTicketRequest))
    ticket: PlannedScoreTicketJson = {
        **planned_ticket_json(found.kind, found.connection),
        "fields": dict(found.fields),
    }
    shown: ScorePreviewJson = {
        "control": found.control,
        "route": found.route,
        "ticket": ticket,
        "existing": None if found.existing is None else ticket_json(found.existing, found.existing_connection),
        "warnings": list(found.warnings),
    }
    return Response(200, shown)
