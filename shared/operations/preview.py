"""What would a payload become? No storage, no call, no side effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.core.link import correlation
from shared.core.plugins import Previewed, Trap
from shared.core.settings import format_duration
from shared.core.signal import Signal, SignalState, Unreadable, to_dict
from shared.core.ticket_json import planned_ticket_json
from shared.mapping.allow_list import not_allowed
from shared.mapping.mapper import CompiledRoute, Mapper
from shared.mapping.parts import chosen, fired_part, parts_of

#: What the queue carries and a reader of the preview has no use for.
_INNER = ("occurred_at", "opens", "origin", "warnings", "rows", "rows_from", "series", "part_of", "via")


#: Why a preview shows no values of a template.
NOT_ASKED = "the ticket system was not asked for its values"

_NO_TAGS = "tags of its resources count here, and were not read: ask with tags (bridge.py preview --tags, ?tags=true)"

#: The signal as its source would change it now.
BySource = Callable[[Signal], Previewed]


def preview(
    items: Sequence[Signal | Unreadable],
    mapper: Mapper,
    by_source: BySource = Previewed,
    traps: Callable[[Signal], Sequence[Trap]] = lambda _signal: (),
    *,
    tags_read: bool = False,
) -> list[dict[str, Any]]:
    """One object per item of a payload, in order.

    Keys: ``outcome`` (ticket, no_ticket, no_route, quarantined), ``reason``, ``signal``, ``route``, ``connection``,
    ``ticket`` (not made yet: ``id``, ``number`` and ``url`` are None; ``kind``, ``connection``, ``fields``, and
    ``resolution`` for resolved signals, ``template`` where the route names one: ``name``, and ``asked``: whether the
    ticket system was asked for its ``values``, which it was not here), ``warnings``, ``lookups`` (which step of its
    chain gave each field that is looked up), and what a source adds. Where each row or item gets a ticket, ``ticket``
    is None, and ``parts`` has ``signal``, ``ticket`` and ``warnings`` of each. Stored links are not read: a Resolved
    shows the ticket it belongs to as it would be created, and what would resolve it.

    Args:
        items: of ``shared.payloads.parse.parse``.
        mapper: the compiled configuration.
        by_source: applies what sources would do first, for example the rules that assign findings to somebody.
        traps: what a signal shows of a rule that is set up badly; it is among the warnings.
        tags_read: the tags of their resources are those of now.
    """
    return [_item(item, mapper, by_source, traps, tags_read) for item in items]


def _item(
    item: Signal | Unreadable,
    mapper: Mapper,
    by_source: BySource,
    traps: Callable[[Signal], Sequence[Trap]],
    tags_read: bool,
) -> dict[str, Any]:
    if isinstance(item, Unreadable):
        return _answer("quarantined", item.reason)
    shown = {name: value for name, value in to_dict(item).items() if name not in _INNER}
    odd = [*item.warnings, *(f"{trap.text}. Fix: {trap.fix}" for trap in traps(item))]
    unwanted = not_allowed(item, mapper.accept_only)
    if unwanted:
        return _answer("quarantined", unwanted, signal=shown, warnings=odd)
    if not tags_read and mapper.tags.needed(item):
        odd.append(_NO_TAGS)
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
    ticket, warnings, lookups = (None, [], {}) if parts else _ticket(mapper, route, item)
    if parts and route.split is not None:
        reason += f": {len(parts)} {'ticket' if len(parts) == 1 else 'tickets'}, by {route.split.by}"
    if route.open_after is not None and route.open_after.base(item):
        reason += f"; held until {route.open_after.count} fired within {format_duration(route.open_after.within)}"
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
    return {
        **answer,
        **({"lookups": lookups} if lookups else {}),
        **({"parts": parts} if parts else {}),
        **changed.shown,
    }


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
        ticket, warnings, lookups = _ticket(mapper, route, signal)
        shown = {name: value for name, value in to_dict(signal).items() if name not in _INNER}
        answer = {"signal": shown, "ticket": ticket, "warnings": [*found.warnings, *warnings]}
        answers.append({**answer, **({"lookups": lookups} if lookups else {})})
    return answers


def _ticket(mapper: Mapper, route: CompiledRoute, item: Signal) -> tuple[dict[str, Any], list[str], Mapping[str, str]]:
    """The ticket of a signal, what was odd about filling it, and where the fields that are looked up come from."""
    mapped = mapper.ticket(route, item)
    key = route.columns.key_fields(route.kind, correlation(item.key, 1))
    ticket: dict[str, Any] = {
        **planned_ticket_json(route.kind, route.connection),
        "fields": {**mapped.fields, **key},
    }
    if route.template:
        ticket["template"] = {"name": route.template, "asked": False, "reason": NOT_ASKED, "values": {}}
    warnings, lookups = [*mapped.warnings], dict(mapped.lookups)
    if item.state is SignalState.RESOLVED and route.resolve_action == "resolve":
        closing = mapper.closing(route, item)
        ticket["resolution"] = closing.fields
        warnings += closing.warnings
        lookups |= closing.lookups
    return ticket, warnings, lookups


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
