"""HTTP endpoints of Defender for Cloud: read the request, call the domain, build the response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NotRequired, TypedDict

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.on_demand import AssignedItem, AssignmentRequests
from connectors.defender.assignments.requests import AssignmentRequest, WithdrawRequest
from connectors.defender.assignments.withdraw import Withdrawals, WithdrawnItem
from connectors.defender.integration_list import ListedIntegration
from shared.core.http import Request, Response
from shared.core.ticket_json import TicketJson, ticket_json
from shared.core.times import rfc3339
from shared.operations.health import Health
from shared.web.answers import refusals_as_problems
from shared.web.requests import NoParameters, read_body, read_query


class AssignmentJson(TypedDict):
    """An assignment, as it is stored now. ``due`` is RFC 3339 in UTC."""

    recommendation: str
    owner: str
    due: str | None
    grace: bool
    caller: str
    integration: str
    by: str


class AssignedJson(TypedDict):
    """What came of one resource. ``reason`` and ``defender_reason`` are there when something is pending or refused,
    ``not_applied`` when a ticket of before keeps what the request gave otherwise."""

    resource: str
    key: str
    id: str
    status: str
    ticket: TicketJson | None
    reason: NotRequired[str]
    assignment: AssignmentJson
    defender: str
    defender_reason: NotRequired[str]
    not_applied: NotRequired[list[str]]


class WithdrawnJson(TypedDict):
    """What came of one withdrawal. ``resolved`` is true (the ticket is over), false (it stays as it is) or pending."""

    key: str
    status: str
    ticket: TicketJson | None
    resolved: bool | Literal["pending"]
    reason: NotRequired[str]
    defender: NotRequired[str]
    defender_reason: NotRequired[str]


async def assign(request: Request, requests: Callable[[], AssignmentRequests]) -> Response:
    """Answer ``POST /api/assignments``: 201 when all is done, 202 when the queue has to do something of it.

    Args:
        request: the request.
        requests: gives the service; raises RequestRefused where nothing is configured.

    Raises:
        Problem: every refusal; see docs/assignments.md.
        BridgeError: what else failed.
    """
    with refusals_as_problems():
        service = requests()
        items = await service.assign(read_body(request, AssignmentRequest))
    return Response(201 if all(one.is_done for one in items) else 202, {"items": [_assigned(one) for one in items]})


async def withdraw(request: Request, withdrawals: Callable[[], Withdrawals]) -> Response:
    """Answer ``POST /api/assignments/withdraw``: 200 when all is done, 202 when the queue has to do something of it.

    Arguments and errors as for :func:`assign`.
    """
    with refusals_as_problems():
        service = withdrawals()
        result = await service.withdraw(read_body(request, WithdrawRequest))
    body = {"items": [_withdrawn(one) for one in result.items], "more": result.more}
    return Response(202 if any(one.is_pending for one in result.items) else 200, body)


async def list_integrations(
    request: Request,
    integrations: Callable[[], Awaitable[list[ListedIntegration]]],
    health: Callable[[], Awaitable[Health]],
) -> Response:
    """Answer ``GET /api/integrations``: ``{"integrations": [...], "bridge": {"status": ..., "reasons": [...]}}``.

    Raises Problem, and as ``integrations`` does.
    """
    read_query(request, NoParameters)
    listed, bridge = await integrations(), await health()
    reasons = [reason.shown() for reason in bridge.reasons]
    return Response(200, {"integrations": listed, "bridge": {"status": bridge.status, "reasons": reasons}})


def _assigned(item: AssignedItem) -> AssignedJson:
    outcome, push = item.outcome, item.push
    shown: AssignedJson = {
        "resource": item.resource,
        "key": item.assignment.key,
        "id": item.id,
        "status": outcome.status,
        "ticket": None if outcome.ticket is None else ticket_json(outcome.ticket, outcome.connection),
        "assignment": _assignment(item.assignment),
        "defender": push.status,
    }
    if outcome.reason:
        shown["reason"] = outcome.reason
    if push.reason:
        shown["defender_reason"] = push.reason
    if item.not_applied:
        shown["not_applied"] = list(item.not_applied)
    return shown


def _assignment(assignment: Assignment) -> AssignmentJson:
    return {
        "recommendation": assignment.title,
        "owner": assignment.owner,
        "due": rfc3339(assignment.due),
        "grace": assignment.grace,
        "caller": assignment.caller,
        "integration": assignment.integration,
        "by": assignment.by,
    }


def _withdrawn(item: WithdrawnItem) -> WithdrawnJson:
    resolution = item.resolution
    resolved: dict[str, Any] = {"yes": True, "no": False, "pending": "pending"}
    shown: WithdrawnJson = {
        "key": item.key,
        "status": item.status,
        "ticket": None if resolution.ticket is None else ticket_json(resolution.ticket, resolution.connection),
        "resolved": resolved[resolution.resolved],
    }
    if resolution.reason:
        shown["reason"] = resolution.reason
    if item.push is not None:
        shown["defender"] = item.push.status
        if item.push.reason:
            shown["defender_reason"] = item.push.reason
    return shown
