"""What would a payload become? No storage, no call, no side effect."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.delivery.identity import DISPLAY, correlation
from shared.mapping.mapper import Mapper
from shared.signals.model import Signal, State, Unreadable, to_dict
from shared.signals.parse import parse
from shared.tickets import TicketKind
from shared.trust.allow import not_allowed

#: What the queue carries and a reader of the preview has no use for.
_INNER = ("occurred_at", "opens", "origin", "warnings")


def preview(body: dict[str, Any] | list[Any], mapper: Mapper, now: datetime) -> list[dict[str, Any]]:
    """One object per item of the body, in order.

    Keys: ``outcome`` (ticket, no_route, quarantined), ``reason``, ``signal``, ``route``, ``connection``, ``ticket``
    {``kind``, ``fields``, ``resolution`` for resolved signals}, ``warnings``. Stored links are not read: a Resolved
    shows the ticket it belongs to as it would be created, and what would resolve it.
    """
    return [_item(item, mapper) for item in parse(body, now)]


def _item(item: Signal | Unreadable, mapper: Mapper) -> dict[str, Any]:
    if isinstance(item, Unreadable):
        return _answer("quarantined", item.reason)
    shown = {name: value for name, value in to_dict(item).items() if name not in _INNER}
    unwanted = not_allowed(item, mapper.accept_only)
    if unwanted:
        return _answer("quarantined", unwanted, signal=shown, warnings=list(item.warnings))
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
    if item.state is State.RESOLVED and route.resolve_action == "resolve":
        closing = mapper.closing(route, item)
        ticket["resolution"] = closing.fields
        warnings += closing.warnings
    reason = f"route '{route.name}' matches"
    return _answer(
        "ticket", reason, signal=shown, route=route.name, connection=route.connection, ticket=ticket, warnings=warnings
    )


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
