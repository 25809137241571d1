"""What a table keeps of the rows that a client sent.

Sources: Microsoft Learn, "Ingestion behavior of invalid data" (Azure Data Explorer, the engine of Azure Monitor Logs: a
value that does not fit the type of its column becomes null; null in place of what is missing), "Standard columns in
Azure Monitor Logs" (TimeGenerated more than two days before the time of receipt, or more than a day after it, becomes
that time), "Null values" of the Kusto query language (a text is never null, but empty), "Azure Monitor service limits"
(64 KB for a field; longer ones are cut). Whether a time of receipt also stands in for a TimeGenerated that is missing,
and what is left of an object that was cut, is said nowhere: here it does, and the beginning of its JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from local.azure.ingestion.rules import Columns
from local.azure.times import parse

#: Bytes of a field in UTF-8.
LONGEST = 64 * 1024
TIME = "TimeGenerated"

_OLDEST, _LATEST = timedelta(days=2), timedelta(days=1)
_BITS = {"int": 31, "long": 63}

Row = dict[str, Any]


class BadValue(ValueError):
    """A value does not fit its column; the text names both."""


def read_rows(sent: Iterable[Mapping[str, Any]], columns: Columns, received: datetime, *, strict: bool) -> list[Row]:
    """Rows as a table keeps them: declared columns only, each with a value of its type or None.

    Args:
        sent: rows of a request.
        columns: that the rule declares.
        received: time of receipt, UTC.
        strict: what does not fit is refused.

    Raises:
        BadValue: strict, and something does not fit.
    """
    return [_row(row, columns, received, strict) for row in sent]


def _row(sent: Mapping[str, Any], columns: Columns, received: datetime, strict: bool) -> Row:
    row: Row = {}
    for name, kind in columns.items():
        value = sent.get(name)
        kept = None if value is None else _kept(kind, value)
        if strict and value is not None and kept is None:
            raise BadValue(f"The value of column '{name}' is not of type {kind}.")
        row[name] = "" if kept is None and kind == "string" else kept
    when = row[TIME]
    if when is None or not received - _OLDEST <= when <= received + _LATEST:
        if strict:
            raise BadValue(f"{TIME} is missing, more than two days old or more than a day ahead.")
        row[TIME] = received
    return row


def _kept(kind: str, value: Any) -> Any:
    """A value in its column's type; None where it does not fit."""
    match kind:
        case "string":
            return cut(value) if isinstance(value, str) else None
        case "datetime":
            when = parse(value) if isinstance(value, str) else None
            return when.astimezone(UTC) if when else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "int" | "long":
            whole = isinstance(value, int) and not isinstance(value, bool)
            return value if whole and -(2 ** _BITS[kind]) <= value < 2 ** _BITS[kind] else None
        case "real":
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text.encode()) <= LONGEST else cut(text)


def cut(text: str) -> str:
    """The beginning of a text that a field takes."""
    data = text.encode()
    return text if len(data) <= LONGEST else data[:LONGEST].decode(errors="ignore")
