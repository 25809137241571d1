"""The HTTP endpoint of tickets by hand: read the request, call the domain, build the response."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from connectors.manual.payloads.request import ManualRequest
from connectors.manual.requests import ManualTicket, ManualTickets
from shared.core.http import Request, Response
from shared.core.ticket_json import TicketJson, ticket_json
from shared.web.answers import refusals_as_problems
from shared.web.requests import read_body


class ManualTicketJson(TypedDict):
    """What came of a request.

    ``outcome`` is created, resolved, pending, or what delivery decided instead, such as grouped or suppressed; ``rule``
    is the rule that did. ``key`` is the bridge's key of the problem. ``signal`` is the id by which the log names it.
    ``ticket`` is null while there is none; ``reason`` says why.
    """

    outcome: str
    key: str
    signal: str
    ticket: TicketJson | None
    rule: NotRequired[str]
    reason: NotRequired[str]


async def request_ticket(request: Request, tickets: ManualTickets) -> Response:
    """Answer ``POST /api/tickets``: 201 when the ticket was made, 200 when it was resolved or none is needed, 202 when
    it is made later. The same request again has the same answer, and 201 instead of 202 once there is a ticket.

    Raises:
        Problem: every refusal; see docs/manual-tickets.md.
        BridgeError: what else failed; nothing was done, or the same request may be made again.
    """
    asked = read_body(request, ManualRequest)
    with refusals_as_problems():
        made = await tickets.submit(asked)
    status = 202 if made.outcome == "pending" else 201 if made.outcome == "created" else 200
    headers = {"Retry-After": "10"} if status == 202 else {}
    return Response(status, shown(made), headers)


def shown(made: ManualTicket) -> ManualTicketJson:
    """What came of a request, as JSON."""
    found: ManualTicketJson = {
        "outcome": made.outcome,
        "key": made.key,
        "signal": made.signal,
        "ticket": None if made.ticket is None else ticket_json(made.ticket, made.connection),
    }
    if made.rule:
        found["rule"] = made.rule
    if made.reason:
        found["reason"] = made.reason
    return found
