"""The parts of a signal that get tickets of their own: its rows, or its affected resources. Pure.

A part is named by what it is about, never by its place: the same computer in a later firing is the same part. Its key
is made of the rule with the dimensions (``Signal.series``, else the signal's own key) and a digest of the values that
tell parts apart, in any case.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.core.letter_case import fold_case
from shared.core.signal import Resource, Row, Rows, Signal, SignalState
from shared.core.times import rfc3339
from shared.mapping.groups import CompiledSplit
from shared.payloads.tables import table_text
from shared.payloads.values import cut

#: In ``Signal.details``: rows as text. Layouts present it; see ``SourcePlugin.layouts``.
ROWS_DETAIL = "result_rows"

#: Id of the part that lists what has no ticket of its own. No digest: those have 16 digits.
MORE = "more"

_DIGITS = 16
_LONGEST_NAME = 80
_MOST_RESOURCES = 50
_TEST = "[Test] "


@dataclass(frozen=True, slots=True)
class SignalPart:
    """A row, or several that are equal in what tells them apart, or a resource.

    Attributes:
        id: digest of what tells it apart. name: for people.
        resource: what it is about, None when only values are known.
        rows: its rows. values: of the columns that tell it apart, by their names.
        resources: of :data:`MORE`, the affected resources.
    """

    id: str
    name: str
    resource: Resource | None = None
    rows: Rows | None = None
    values: tuple[tuple[str, str], ...] = ()
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts of a firing.

    Attributes:
        parent: identity of what fires, as ``Signal.part_of`` of each part.
        parts: in the order of the payload.
        whole: a part that is missing is over.
        unread: rows that are not among the parts.
        warnings: what was odd, one sentence each.
    """

    parent: str
    parts: tuple[SignalPart, ...]
    whole: bool
    unread: int = 0
    warnings: tuple[str, ...] = ()


def parts_of(signal: Signal, split: CompiledSplit) -> Parts | None:
    """The parts of a signal; None when it has no rows, or nothing tells them apart, or names no resource."""
    return _rows_of(signal, split) if split.by == "row" else _items_of(signal)


def _rows_of(signal: Signal, split: CompiledSplit) -> Parts | None:
    rows = signal.rows
    if rows is None:
        return None
    by, warnings = _places(rows, split.columns)
    if not by:
        return None
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows.rows:
        found.setdefault(tuple(fold_case(row.values[place]) for place in by), []).append(row)
    parts = tuple(_part(rows, by, values, same) for values, same in found.items())
    whole = rows.whole and not rows.unread
    return Parts(_parent(signal, "row"), parts, whole, rows.unread, warnings)


def _part(rows: Rows, by: Sequence[int], identity: Sequence[str], same: Sequence[Row]) -> SignalPart:
    values = [same[0].values[place] for place in by]
    resource = same[0].resource
    plain = ", ".join(filter(None, values)) or f"no {rows.columns[by[0]]}"
    is_resource = resource is not None and len(by) == 1 and values[0] in (resource.id, resource.name)
    return SignalPart(
        id=_digest(*identity),
        name=cut((resource.name if is_resource and resource is not None else None) or plain, _LONGEST_NAME),
        resource=resource,
        rows=replace(rows, rows=tuple(same), total=len(same)),
        values=tuple((rows.columns[place], same[0].values[place]) for place in by),
    )


def _places(rows: Rows, wanted: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """Positions of the columns that tell rows apart; what was wanted and is not there."""
    at = {fold_case(name): place for place, name in reversed([*enumerate(rows.columns)])}
    found = [at[name] for name in map(fold_case, wanted) if name in at]
    missing = [name for name in wanted if fold_case(name) not in at]
    if found and not missing:
        return found, ()
    other = found or [at[name] for name in map(fold_case, rows.by) if name in at]
    if not missing:
        return other, ()
    told = ", ".join(rows.columns[place] for place in other) or "nothing"
    return other, (f"The rows have no column {', '.join(missing)}; they are told apart by {told}.",)


def _items_of(signal: Signal) -> Parts | None:
    parts: dict[str, SignalPart] = {}
    for resource in signal.resources:
        named = resource.id or resource.name
        if named:
            part = _digest(fold_case(named))
            name = cut(resource.name or named, _LONGEST_NAME)
            parts.setdefault(part, SignalPart(part, name, resource, _rows_about(signal.rows, resource)))
    if not parts:
        return None
    whole = not signal.unlisted and (signal.rows is None or (signal.rows.whole and not signal.rows.unread))
    return Parts(_parent(signal, "item"), tuple(parts.values()), whole)


def _rows_about(rows: Rows | None, resource: Resource) -> Rows | None:
    """The rows that name a resource; all of them when none does."""
    if rows is None:
        return None
    wanted = {fold_case(text) for text in (resource.id, resource.name) if text}

    def is_about(row: Row) -> bool:
        names = (row.resource.id, row.resource.name) if row.resource is not None else ()
        return not wanted.isdisjoint(fold_case(text) for text in names if text)

    about = tuple(row for row in rows.rows if is_about(row))
    return replace(rows, rows=about, total=len(about)) if about else rows


def _parent(signal: Signal, by: str) -> str:
    return f"{by}:1:{(signal.series or signal.key).split(':', 2)[2]}"


def _digest(*values: str) -> str:
    return hashlib.sha256("\n".join(values).encode()).hexdigest()[:_DIGITS]


def chosen(found: Parts, most: int, known: Sequence[str], by: str) -> tuple[SignalPart, ...]:
    """The parts that get tickets: ``most``, those first whose ids are known already; and :data:`MORE` for the rest."""
    before = frozenset(known)
    ranked = sorted(found.parts, key=lambda part: part.id not in before)
    left_over = ranked[max(most, sum(part.id in before for part in ranked)) :]
    count = len(left_over) + found.unread
    if not count:
        return found.parts
    out = {part.id for part in left_over}
    rows = [part.rows for part in left_over if part.rows is not None]
    listed = tuple(row for one in rows for row in one.rows)
    resources = tuple(dict.fromkeys(part.resource for part in left_over if part.resource is not None))
    more = SignalPart(
        id=MORE,
        name=f"{count} more {by if count == 1 else f'{by}s'}",
        rows=replace(rows[0], rows=listed, total=len(listed) + found.unread) if rows and by == "row" else None,
        resources=resources[:_MOST_RESOURCES],
    )
    return (*(part for part in found.parts if part.id not in out), more)


def key_of_part(parent: str, part: str) -> str:
    """Key of the signals of a part."""
    return f"{parent}/{part}"


def fired_part(signal: Signal, found: Parts, part: SignalPart, route: str) -> Signal:
    """The firing of a part of a signal that fired."""
    about = _resources(signal, found, part)
    details: dict[str, str] = dict(signal.details)
    details.pop(ROWS_DETAIL, None)
    if part.rows is not None and (text := table_text(part.rows)):
        details[ROWS_DETAIL] = text
    description = signal.description
    if part.id == MORE:
        kept = "The other rows have" if part.rows is not None or not part.resources else "The other resources have"
        description = f"{kept} tickets of their own; there are more than one alert may open.\n\n{description}".strip()
    return replace(
        signal,
        key=key_of_part(found.parent, part.id),
        title=_title(signal, part.name, named=part.resource is not None),
        description=description,
        resources=about,
        dimensions={**signal.dimensions, **dict(part.values)},
        details=details,
        via=route,
        part_of=found.parent,
        origin="",
        rows=part.rows,
        rows_from="",
        series="",
        unlisted=(),
        warnings=(*signal.warnings, *found.warnings),
    )


def _resources(signal: Signal, found: Parts, part: SignalPart) -> tuple[Resource, ...]:
    """What a part is about; what the signal is about where no part names anything."""
    if part.id == MORE:
        return part.resources
    if part.resource is not None:
        return (part.resource,)
    return () if any(one.resource is not None for one in found.parts) else signal.resources


def ended_part(signal: Signal, parent: str, part: str, name: str, at: datetime, route: str) -> Signal:
    """The end of a part: because of a signal that says so, or of a firing that it is missing from."""
    details: Mapping[str, str] = {key: text for key, text in signal.details.items() if key != ROWS_DETAIL}
    condition = signal.condition
    if signal.state is not SignalState.RESOLVED:
        condition = f"It is not among those of the alert that fired at {rfc3339(signal.occurred_at)}."
    return replace(
        signal,
        key=key_of_part(parent, part),
        state=SignalState.RESOLVED,
        occurred_at=at,
        resolved_at=at,
        opens=False,
        title=_title(signal, name, named=False),
        condition=condition,
        resources=(),
        details=details,
        via=route,
        part_of=parent,
        origin="",
        rows=None,
        rows_from="",
        series="",
        unlisted=(),
    )


def _title(signal: Signal, name: str, *, named: bool) -> str:
    what = signal.rule or signal.title
    marked = signal.title.startswith(_TEST) and not what.startswith(_TEST)
    return f"{_TEST if marked else ''}{what}{' on ' if named else ': '}{name}"
