"""Rows of log searches: tables as the query API gives them and old alerts embed them, and rows of simple log alerts.

Sources: Microsoft Learn, "Azure Monitor Log Analytics API response format" (tables with columns and rows), "Sample
alert payloads" (SearchResults of log alerts V1), "IT Service Management Connector Overview" (the columns by which a log
alert names a configuration item).

Columns tell rows apart in this order: those that name a resource (:data:`RESOURCE_NAMES`), each a column of its own;
else columns that are dimensions of the alert; else all columns of text. Numbers and times tell nothing apart: they are
what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.microsoft.azure_resources import is_id, is_precise, parse_id
from shared.core.payload_schema import Fields
from shared.core.signal import Resource, Row, Rows
from shared.payloads.tables import LONGEST_CELL, MOST_ROWS, bounded_rows
from shared.payloads.values import anything, array_of, cut, fold, given, line, squash

#: Dimensions and columns that name a resource, the most precise first.
RESOURCE_NAMES = ("_resourceid", "resourceid", "resource", "computer")

#: Columns that are looked at.
MOST_READ = 200

#: Types of columns that hold text, as the API names them; none is given by some senders.
_TEXT_TYPES = frozenset({"string", "guid", "uuid", ""})

#: Columns of text that say when or how a row came to be, and not what it is about.
_NEVER_TELL = frozenset({"timegenerated", "timestamp", "tenantid", "aggregatedvalue", "type", "_itemid"})

_LONGEST_ID = 1_024


def columns_of(table: Fields) -> list[str]:
    """Names of the columns of a table."""
    columns = array_of(table.get("columns"))[:MOST_READ]
    return [line(given(fold(column).get("name")) or given(column)) for column in columns]


def read_table(table: Fields, dimensions: Sequence[str] = (), *, more: bool = False) -> Rows | None:
    """The rows of a table, None when it has none.

    Args:
        table: folded, with ``columns`` and ``rows``.
        dimensions: names of the alert's dimensions.
        more: there are rows that the table does not have.
    """
    columns = columns_of(table)
    listed = [row for row in array_of(table.get("rows")) if isinstance(row, list)]
    if not columns or not listed:
        return None
    types = [squash(fold(column).get("type")) for column in array_of(table.get("columns"))[:MOST_READ]]
    rows = [_row(columns, [_cell(value) for value in row[: len(columns)]]) for row in listed[:MOST_ROWS]]
    by = _telling(columns, types, rows, dimensions)
    return bounded_rows(columns, rows, len(listed) + more, by)


def read_event(value: Any) -> Rows | None:
    """The rows of a simple log alert, each a list of name and value; None when there are none.

    Such a rule makes an alert of each row: what is missing in one of them is not over.
    """
    listed = array_of(value)
    found: list[dict[str, str]] = []
    for row in listed[:MOST_ROWS]:
        cells = [fold(cell) for cell in array_of(row)[:MOST_READ]]
        named = {line(given(cell.get("name"))): _cell(cell.get("value")) for cell in cells}
        named.pop("", None)
        if any(named.values()):
            found.append(named)
    columns = list(dict.fromkeys(name for row in found for name in row))
    if not columns:
        return None
    rows = [_row(columns, [row.get(name, "") for name in columns]) for row in found]
    by = _telling(columns, [""] * len(columns), rows, ())
    return bounded_rows(columns, rows, len(listed), by, whole=False)


def resource_of(pairs: Sequence[tuple[str, str]]) -> Resource | None:
    """The resource that columns name: an id of the thing itself, else a name; None for none."""
    found = {name: value for name in RESOURCE_NAMES for key, value in pairs if key.lower() == name and value}
    for value in found.values():
        if is_precise(value) and len(value) <= _LONGEST_ID:
            return parse_id(value)
    name = next((value for value in found.values() if not is_id(value)), "")
    return Resource(id=None, name=cut(name, LONGEST_CELL)) if name else None


def _row(columns: Sequence[str], values: Sequence[str]) -> Row:
    return Row(tuple(values), resource_of([*zip(columns, values, strict=False)]))


def _cell(value: Any) -> str:
    if isinstance(value, str):
        value = value[: LONGEST_CELL * 20]
    return line(anything(value))


def _telling(columns: Sequence[str], types: Sequence[str], rows: Sequence[Row], wanted: Sequence[str]) -> list[str]:
    """Names of the columns that tell rows apart."""

    def filled(place: int) -> bool:
        return any(place < len(row.values) and row.values[place] for row in rows)

    low = [name.lower() for name in columns]
    for name in RESOURCE_NAMES:
        if name in low and filled(low.index(name)):
            return [columns[low.index(name)]]
    dimensions = {name.lower() for name in wanted}
    by = [columns[place] for place, name in enumerate(low) if name in dimensions and filled(place)]
    if by:
        return by
    return [
        columns[place]
        for place, name in enumerate(low)
        if name and name not in _NEVER_TELL and types[place] in _TEXT_TYPES and filled(place)
    ]
