"""What would a payload become? No storage, no call, no side effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from connectors.defender.assignments.rules import CompiledRule, assign, stamped
from shared.core.identity import DISPLAY, correlation
from shared.core.payload_schema import ForeignReason, PayloadSchema, no_foreign_reason
from shared.core.signal import Signal, SignalState, Unreadable, rfc3339, to_dict
from shared.core.ticket_system import TicketKind
from shared.mapping.allow_list import not_allowed
from shared.mapping.mapper import Mapper
from shared.payloads.parse import parse

#: What the queue carries and a reader of the preview has no use for.
_INNER = ("occurred_at", "opens", "origin", "warnings")


def preview(
    body: dict[str, Any] | list[Any],
    mapper: Mapper,
    now: datetime,
    schemas: Sequence[PayloadSchema],
    foreign: ForeignReason = no_foreign_reason,
    rules: Sequence[CompiledRule] = (),
) -> list[dict[str, Any]]:
    """One object per item of the body, in order.

    Keys: ``outcome`` (ticket, no_route, quarantined), ``reason``, ``signal``, ``route``, ``connection``, ``ticket``
    {``kind``, ``fields``, ``resolution`` for resolved signals}, ``warnings``. Stored links are not read: a Resolved
    shows the ticket it belongs to as it would be created, and what would resolve it.

    A recommendation that a governance rule would assign now also has ``assignment`` {``integration``, ``rule``,
    ``owner``, ``due``}, whatever assignments are stored; of management groups only what the payload says is known.

    Args:
        body: of a request to the webhook.
        mapper: the compiled configuration.
        now: present time.
        schemas, foreign: as in ``shared.payloads.parse.parse``.
        rules: governance rules of the configuration.
    """
    return [_item(item, mapper, now, rules) for item in parse(body, now, schemas, foreign)]


def _item(item: Signal | Unreadable, mapper: Mapper, now: datetime, rules: Sequence[CompiledRule]) -> dict[str, Any]:
    if isinstance(item, Unreadable):
        return _answer("quarantined", item.reason)
    shown = {name: value for name, value in to_dict(item).items() if name not in _INNER}
    unwanted = not_allowed(item, mapper.accept_only)
    if unwanted:
        return _answer("quarantined", unwanted, signal=shown, warnings=list(item.warnings))
    item, assignment = _assigned(item, mapper, now, rules)
    route = mapper.route(item)
    if route is None:
        reason = "no route matches and there is no default"
        return _answer("no_route", reason, signal=shown, warnings=list(item.warnings))
    mapped = mapper.ticket(route, item)
    fields = dict(mapped.fields)
    if route.kind is not TicketKind.EVENT:
        fields |= {"correlation_id": correlation(item.key, 1), "correlation_display": DISPLAY}
    ticket: dict[str, Any] = {"kind": route.kind.value, "fields": fields}
    warnings = [*item.warnings, *mapped.warnings]
    if item.state is SignalState.RESOLVED and route.resolve_action == "resolve":
        closing = mapper.closing(route, item)
        ticket["resolution"] = closing.fields
        warnings += closing.warnings
    reason = f"route '{route.name}' matches"
    if assignment is not None:
        reason = f"governance rule '{assignment['rule']}' assigns it; {route.name} covers it"
    answer = _answer(
        "ticket", reason, signal=shown, route=route.name, connection=route.connection, ticket=ticket, warnings=warnings
    )
    return answer if assignment is None else {**answer, "assignment": assignment}


def _assigned(
    item: Signal, mapper: Mapper, now: datetime, rules: Sequence[CompiledRule]
) -> tuple[Signal, dict[str, Any] | None]:
    """The signal as the first governance rule that matches would assign it now, and what of that is shown."""
    if item.kind != "recommendation":
        return item, None
    covering = mapper.integration_of(item)
    integration = covering.integration if covering is not None else None
    found = assign(replace(item, opens=True), rules, integration, now)
    if found is None:
        return item, None
    shown = {
        "integration": found.integration,
        "rule": found.rule,
        "owner": found.owner,
        "due": rfc3339(found.due),
    }
    return stamped(item, found, integration), shown


def _answer(
    outcome: str,
    reason: str,
    *,
    signal: dict[str, Any] | None = None,
    route: str | None = None,
    connection: str | None = None,
    ticket: dict[str, Any] | None = None,
    warnings: list[str] | None = None,
) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "reason": reason,
        "signal": signal,
        "route": route,
        "connection": connection,
        "ticket": ticket,
        "warnings": warnings or [],
    }
