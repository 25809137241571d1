"""Rows as the two tables take them: by the columns of :mod:`columns`, small enough, and valid JSON. Pure.

Source: Microsoft Learn, "Azure Monitor service limits" (Logs Ingestion API: 64 KB for a field value, longer ones are
cut; 1 MB for a call), "Standard columns in Azure Monitor Logs" (TimeGenerated is replaced by the
time of receipt where it lies more than two days back or more than a day ahead; the row stays).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from connectors.log_analytics.columns import LOG_COLUMNS, TICKET_COLUMNS, WORK_ITEM_TYPES, Column, ColumnType
from shared.core.export import ExportField, LogRow, TicketRecord
from shared.core.ticket_system import TicketKind
from shared.core.times import rfc3339

#: Bytes of a text, in UTF-8. Azure would cut at 64 KB without a word.
LONGEST_TEXT = 64_000
_CUT = " [cut]"

#: Bytes of all further columns of a ticket together.
_LONGEST_MORE = 60_000

JsonRow = dict[str, Any]


def ticket_row(record: TicketRecord) -> JsonRow:
    """The row of a ticket; columns without a value are left out."""
    kind = record.kind
    state = record.values.get(ExportField.STATE)
    known: dict[str, Any] = {field.value: value for field, value in record.values.items()} | {
        "record_id": record_id(record),
        "connection": record.connection,
        "work_item_type": WORK_ITEM_TYPES.get(kind.value, kind.value),
        "number": record.number,
        "incident_state": state if kind is TicketKind.INCIDENT else None,
        "change_state": state if kind is TicketKind.CHANGE_REQUEST else None,
        "kind": kind,
        "id": record.id,
        "url": record.url,
        "revision": record.revision,
        "changed_at": record.changed_at,
        "phase": record.phase,
        "deleted": record.deleted,
        "more": _more(record.more),
    }
    return _row(TICKET_COLUMNS, known)


def log_row(row: LogRow) -> JsonRow:
    """The row of a line of the bridge's own log; columns without a value are left out."""
    known = {name: getattr(row, name) for name in row.__slots__}
    return _row(LOG_COLUMNS, {**known, "action_status": 1.0 if row.succeeded else 0.0})


def record_id(record: TicketRecord) -> str:
    """What names the row of a record: the same for the same revision of the same ticket, whenever it is sent."""
    parts = (record.connection, record.kind.value, record.id, record.revision, "deleted" if record.deleted else "")
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def shortened(row: JsonRow, most: int) -> JsonRow:
    """The row with its texts cut until its JSON has no more bytes than so many, or texts of 1,000 bytes.

    Only needed for several long texts in one row: one alone always fits in a call.
    """
    for longest in (16_000, 4_000, 1_000):
        if len(json.dumps(row)) <= most:
            break
        row = {name: _cut(value, longest) for name, value in row.items()}
    return row


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, dict):
        return {name: clean(text, longest // len(value)) for name, text in value.items()}
    return clean(value, longest) if isinstance(value, str) else value


def _row(columns: tuple[Column, ...], known: Mapping[str, Any]) -> JsonRow:
    found = {column.name: _value(column.type, known.get(column.source)) for column in columns}
    return {name: value for name, value in found.items() if value is not None}


def _value(kind: ColumnType, value: Any) -> Any:
    """A value as its column takes it; None for none, and for one that does not fit."""
    if value is None or value == "" or value == {}:
        return None
    match kind:
        case ColumnType.STRING:
            return clean(value.value if isinstance(value, Enum) else str(value))
        case ColumnType.DATETIME:
            return rfc3339(value.astimezone(UTC)) if isinstance(value, datetime) else None
        case ColumnType.INT:
            text = str(value).strip()
            return int(text) if text.lstrip("-").isdecimal() and len(text) < 10 else None
        case ColumnType.REAL:
            return float(value)
        case _:
            return value


def _more(more: Mapping[str, str]) -> dict[str, str]:
    """Further columns, each with its fair share of what a field may hold."""
    longest = _LONGEST_MORE // max(len(more), 1)
    return {clean(name, 200): clean(text, longest) for name, text in more.items() if text}


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text that is valid Unicode and no longer than so many bytes in UTF-8; what is cut says so."""
    data = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    if len(data) <= longest:
        return data.decode()
    return data[: max(longest - len(_CUT), 0)].decode(errors="ignore") + _CUT
