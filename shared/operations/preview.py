"""What would a payload become? No storage, no call, no side effect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from shared.core.link import correlation
from shared.core.payload_schema import ForeignReason, PayloadSchema, no_foreign_reason
from shared.core.plugins import Previewed, Trap
from shared.core.signal import Signal, SignalState, Unreadable, to_dict
from shared.mapping.allow_list import not_allowed
from shared.mapping.mapper import CompiledRoute, Mapper
from shared.mapping.parts import chosen, fired_part, parts_of
from shared.payloads.parse import parse

#: What the queue carries and a reader of the preview has no use for.
_INNER = ("occurred_at", "opens", "origin", "warnings", "rows", "rows_from", "series", "part_of", "via")


#: Why a preview shows no values of a template.
NOT_ASKED = "the ticket system was not asked for its values"

#: The signal as its source would change it now.
BySource = Callable[[Signal], Previewed]


def preview(
    body: dict[str, Any] | list[Any],
    mapper: Mapper,
    now: datetime,
    schemas: Sequence[PayloadSchema],
    foreign: ForeignReason = no_foreign_reason,
    by_source: BySource = Previewed,
    traps: Callable[[Signal], Sequence[Trap]] = lambda _signal: (),
) -> list[dict[str, Any]]:
    """One object per item of the body, in order.

    Keys: ``outcome`` (ticket, no_ticket, no_route, quarantined), ``reason``, ``signal``, ``route``, ``connection``,
    ``ticket`` (not made yet: ``id``, ``number`` and ``url`` are None; ``kind``, ``connection``, ``fields``, and
    ``resolution`` for resolved signals, ``template`` where the route names one: ``name``, and ``asked``: whether the
    ticket system was asked for its ``values``, which it was not here), ``warnings``, and what a source adds. Where each
    row or item gets a ticket, ``ticket`` is None, and ``parts`` has ``signal``, ``ticket`` and ``warnings`` of each.
    Stored links are not read: a Resolved shows the ticket it belongs to as it would be created, and what would resolve
    it.

    Args:
        body: of a request to the webhook.
        mapper: the compiled configuration.
        now: present time.
        schemas, foreign: as in ``shared.payloads.parse.parse``.
        by_source: applies what sources would do first, for example the rules that assign findings to somebody.
        traps: what a signal shows of a rule that is set up badly; it is among the warnings.
    """
    return [_item(item, mapper, by_source, traps) for item in parse(body, now, schemas, foreign)]


def _item(
    item: Signal | Unreadable, mapper: Mapper, by_source: BySource, traps: Callable[[Signal], Sequence[Trap]]
) -> dict[str, Any]:
    if isinstance(item, Unreadable):
        return _answer("quarantined", item.reason)
    shown = {name: value for name, value in to_dict(item).items() if name not in _INNER}
    odd = [*item.warnings, *(f"{trap.text}. Fix: {trap.fix}" for trap in traps(item))]
    unwanted = not_allowed(item, mapper.accept_only)
    if unwanted:
        return _answer("quarantined", unwanted, signal=shown, warnings=odd)
    changed = by_source(item)
    item = changed.signal
    route = mapper.route(item)
    if route is None and (name := mapper.no_ticket_route(item)):
        reason = f"route '{name}' says 'ticket: none'"
        return _answer("no_ticket", reason, signal=shown, route=name, warnings=odd)
    if route is None:
        reason = "no route matches and there is no default"
        return _answer("no_route", reason, signal=shown, warnings=odd)
    reason = f"{changed.reason}; {route.name} covers it" if changed.reason else f"route '{route.name}' matches"
    parts = _parts(mapper, route, item)
    ticket, warnings = (None, []) if parts else _ticket(mapper, route, item)
    if parts and route.split is not None:
        reason += f": {len(parts)} {'ticket' if len(parts) == 1 else 'tickets'}, by {route.split.by}"
    if mapper.is_dry_run(item):
        reason += "; dry run: nothing is written outside"
    answer = _answer(
        "ticket",
        reason,
        signal=shown,
        route=route.name,
        connection=route.connection,
        ticket=ticket,
        warnings=[*odd, *warnings],
    )
    return {**answer, **({"parts": parts} if parts else {}), **changed.shown}


def _parts(mapper: Mapper, route: CompiledRoute, item: Signal) -> list[dict[str, Any]]:
    """The tickets of the rows or items of a firing; none where it has one of its own."""
    if route.split is None or item.state is not SignalState.FIRED or not item.opens:
        return []
    found = parts_of(item, route.split)
    if found is None:
        return []
    answers = []
    for part in chosen(found, route.split.most, (), route.split.by):
        signal = fired_part(item, found, part, route.name)
        ticket, warnings = _ticket(mapper, route, signal)
        shown = {name: value for name, value in to_dict(signal).items() if name not in _INNER}
        answers.append({"signal": shown, "ticket": ticket, "warnings": [*found.warnings, *warnings]})
    return answers


def _ticket(mapper: Mapper, route: CompiledRoute, item: Signal) -> tuple[dict[str, Any], list[str]]:
    """The ticket of a signal, and what was odd about filling it."""
    mapped = mapper.ticket(route, item)
    key = route.columns.key_fields(route.kind, correlation(item.key, 1))
    ticket: dict[str, Any] = {
        "id": None,
        "number": None,
        "kind": route.kind.value,
        "connection": route.connection,
        "url": None,
        "fields": {**mapped.fields, **key},
    }
    if route.template:
        ticket["template"] = {"name": route.template, "asked": False, "reason": NOT_ASKED, "values": {}}
    warnings = [*mapped.warnings]
    if item.state is SignalState.RESOLVED and route.resolve_action == "resolve":
        closing = mapper.closing(route, item)
        ticket["resolution"] = closing.fields
        warnings += closing.warnings
    return ticket, warnings


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
