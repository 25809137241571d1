"""Rows of a query as values of bounded size, and as text for tickets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from shared.core.signal import Resource, Row, Rows
from shared.payloads.values import cut, line

#: Rows, columns and characters of a cell that a signal carries, and of all cells together.
MOST_ROWS = 1_000
MOST_COLUMNS = 40
LONGEST_CELL = 200
LARGEST_TABLE = 100_000

#: What stands in a ticket for the value of a redacted column.
HIDDEN = "(hidden)"

#: Rows below each other as name and value read better than a table when there are few.
_FEW_ROWS = 1
_SEPARATOR = " | "


@dataclass(frozen=True, slots=True)
class TableLimits:
    """What is shown of a table: rows, columns, characters of a cell, and bytes of the whole text in UTF-8."""

    rows: int = 10
    columns: int = 12
    cell: int = 100
    size: int = 4_000


def bounded_rows(
    columns: Sequence[str], rows: Iterable[Row], total: int, by: Collection[str] = (), *, whole: bool = True
) -> Rows:
    """Rows of a size that a message has room for; what has none is counted.

    Columns that tell rows apart come first, so that they are never left out.

    Args:
        columns: names, in the order of the values.
        rows: as read; each has a value for each column, or fewer.
        total: how many there are, at least.
        by, whole: see ``Rows``.
    """
    known = [name for name in by if name in columns]
    order = sorted(range(len(columns)), key=lambda place: columns[place] not in known)[:MOST_COLUMNS]
    order.sort()
    kept: list[Row] = []
    left = LARGEST_TABLE
    for row in rows:
        if len(kept) >= MOST_ROWS:
            break
        values = tuple(cut(line(row.values[place]), LONGEST_CELL) if place < len(row.values) else "" for place in order)
        left -= sum(map(len, values)) + 3 * len(values) + _size(row.resource)
        if left < 0:
            break
        kept.append(replace(row, values=values))
    names = tuple(cut(columns[place], LONGEST_CELL) for place in order)
    return Rows(names, tuple(kept), max(total, len(kept)), tuple(known), whole)


def _size(resource: Resource | None) -> int:
    if resource is None:
        return 0
    parts = (resource.id, resource.name, resource.type, resource.resource_group, resource.subscription_id)
    return sum(len(part) + 20 for part in parts if part)


def without_columns(rows: Rows, dropped: Collection[str], redacted: Collection[str]) -> Rows:
    """Rows without some columns, and with :data:`HIDDEN` in place of the values of others.

    What is hidden tells no rows apart any more.
    """
    if not dropped and not redacted:
        return rows
    places = [place for place, name in enumerate(rows.columns) if name not in dropped]
    hidden = {place for place in places if rows.columns[place] in redacted}

    def cells(row: Row) -> tuple[str, ...]:
        return tuple(HIDDEN if place in hidden and row.values[place] else row.values[place] for place in places)

    return replace(
        rows,
        columns=tuple(rows.columns[place] for place in places),
        rows=tuple(replace(row, values=cells(row)) for row in rows.rows),
        by=tuple(name for name in rows.by if name not in dropped and name not in redacted),
    )


def table_text(rows: Rows, limits: TableLimits = TableLimits()) -> str:
    """The first rows, one line each below the names of the columns; a single row as names and values.

    What is left out is counted in the last line. Empty for a table without rows or columns.
    """
    columns = rows.columns[: limits.columns]
    if not columns or not rows.rows:
        return ""
    if rows.total <= _FEW_ROWS:
        pairs = zip(columns, rows.rows[0].values, strict=False)
        lines = [f"{name}: {cut(value, limits.cell)}" for name, value in pairs if name and value]
        return _fitting(lines, limits.size)
    lines = [_SEPARATOR.join(columns)]
    size = len(lines[0].encode())
    shown = 0
    for row in rows.rows[: limits.rows]:
        text = _SEPARATOR.join(cut(value, limits.cell) for value in row.values[: limits.columns])
        size += len(text.encode()) + 1
        if size > limits.size - _ROOM_FOR_COUNT and shown:
            break
        lines.append(text)
        shown += 1
    if rows.total > shown:
        lines.append(f"... and {rows.total - shown} more rows")
    return _fitting(lines, limits.size)


#: Bytes that the line about what is left out may take.
_ROOM_FOR_COUNT = 40


def _fitting(lines: Sequence[str], size: int) -> str:
    text = "\n".join(lines)
    if len(text.encode()) <= size:
        return text
    return text.encode()[: size - 3].decode("utf-8", "ignore").rstrip() + "…"
