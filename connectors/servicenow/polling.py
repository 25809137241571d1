"""Reads which of our tickets changed, page by page, and which of them still exist.

A page is one query by keyset: rows after the last one read, in the order of (sys_updated_on, sys_id). Offsets would
lose rows while rows change. Each group of the query repeats the whole filter, since ``^NQ`` begins a new one.

Source: ServiceNow docs, "Table API" (sysparm_query, X-Total-Count) and "Encoded query strings"; support articles on
paging: the limit is applied before access rules hide rows, so a short page is no sign of the end, and the number of
matches is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.tables import TicketTable
from connectors.servicenow.watermark import Watermark, WatermarkRead, decode, format_time, parse_time
from connectors.servicenow.wire import WireCall, equal, is_sys_id, list_call, value
from shared.core.errors import NotAuthorised
from shared.core.link import DISPLAY
from shared.core.ticket_system import ChangePage, Person, TicketKind, TicketRef, TicketSnapshot

_LOG = logging.getLogger(__name__)

#: Rows of a page at most.
MAX_ROWS = 1000

#: Ids of one existence check. The URL stays far below 8 KB, which every server accepts.
BATCH = 100

_ORDER = "ORDERBYsys_updated_on^ORDERBYsys_id"
_OURS = f"{equal('correlation_display', DISPLAY)}^correlation_idISNOTEMPTY"

#: Makes the reference to a ticket from its kind, its key and its record.
RefOf = Callable[[TicketKind, str, Mapping[str, Any]], TicketRef]

_READ = (
    "sys_id",
    "number",
    "state",
    "active",
    "correlation_id",
    "correlation_display",
    "sys_updated_on",
    "sys_updated_by",
    "sys_mod_count",
    "assigned_to",
    "assigned_to.user_name",
    "assigned_to.name",
    "assigned_to.email",
    "due_date",
    "close_notes",
)


class Polling:
    """Reads the changes of one instance."""

    def __init__(self, client: Client, tables: Mapping[TicketKind, TicketTable], ref_of: RefOf) -> None:
        self._client = client
        self._tables = tables
        self._ref_of = ref_of

    async def changes_since(self, kind: TicketKind, watermark: str | None, limit: int) -> ChangePage:
        """One page. See ``TicketSystem.changes_since``."""
        table = self._tables[kind]
        mark = self._mark(table, watermark)
        limit = min(max(limit, 1), MAX_ROWS)
        before = datetime.now(UTC).timestamp()
        found, total = await self._client.call_with_total(_page(table, mark, limit))
        skew = self._client.response_facts.skew
        read = [self._read(table, row) for row in found]
        more = len(found) >= limit if total is None else total > mark.offset + limit
        following = mark.advance(read, more=more, skipped=limit, now=None if skew is None else before + skew)
        fresh = [row for row, one in zip(found, read, strict=True) if not mark.has_seen(one)]
        return ChangePage(tuple(self._changed(kind, table, row) for row in fresh), following.encode(), more)

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        """Those of the ids that are visible. See ``TicketSystem.existing``."""
        table = self._tables[kind]
        ids = frozenset(ids)
        wanted = sorted({one.lower() for one in ids if is_sys_id(one)})
        seen: set[str] = set()
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            found = await self._client.call(list_call(table.name, f"sys_idIN{','.join(batch)}", ["sys_id"], len(batch)))
            seen.update((value(row, "sys_id") or "").lower() for row in found)
        return frozenset(one for one in ids if one.lower() in seen)

    def _mark(self, table: TicketTable, watermark: str | None) -> Watermark:
        if not watermark:
            return Watermark()
        try:
            return decode(watermark)
        except ValueError as error:
            _LOG.warning(
                "%s: the watermark of %s cannot be used, everything is read again: %s",
                self._client.connection,
                table.name,
                error,
            )
            return Watermark()

    def _read(self, table: TicketTable, row: Mapping[str, Any]) -> WatermarkRead:
        """The part of a row that the watermark stores. Raises NotAuthorised for a row that is not ours: then the
        instance ignored a condition."""
        display = value(row, "correlation_display") or ""
        at = parse_time(value(row, "sys_updated_on") or "")
        sys_id = value(row, "sys_id") or ""
        if display.casefold() != DISPLAY.casefold() or not value(row, "correlation_id") or at is None or not sys_id:
            raise NotAuthorised(
                f"the instance shows rows of {table.name} that are not ours, or hides the fields that tell them apart",
                connection=self._client.connection,
                advice="Allow the integration user to read correlation_id, correlation_display, sys_updated_on and "
                "sys_mod_count: a condition on a field that it may not read is ignored.",
            )
        return WatermarkRead(at, sys_id, value(row, "sys_mod_count") or "")

    def _changed(self, kind: TicketKind, table: TicketTable, row: Mapping[str, Any]) -> TicketSnapshot:
        def text(name: str) -> str:
            return value(row, name) or ""

        state = text("state")
        assigned = text("assigned_to")
        person = None
        if assigned:
            person = Person(assigned, *(text(f"assigned_to.{name}") for name in ("user_name", "name", "email")))
        return TicketSnapshot(
            ref=self._ref_of(kind, text("correlation_id"), row),
            phase=table.phase(state, text("active")),
            state=state,
            state_name=table.state_name(state),
            updated_on=parse_time(text("sys_updated_on")) or datetime.fromtimestamp(0, UTC),
            updated_by=text("sys_updated_by"),
            revision=_whole(text("sys_mod_count")),
            assigned_to=person,
            due_date=parse_time(text("due_date")),
            close_code=text(table.code),
            close_notes=text("close_notes"),
            reopened=_whole(text(table.counter)),
        )


def _page(table: TicketTable, mark: Watermark, limit: int) -> WireCall:
    """The query for the rows that follow a mark. It asks for the count, which tells whether more follow."""
    if mark.after is not None:
        at, sys_id = format_time(mark.after[0]), mark.after[1]
        query = f"sys_updated_on>{at}^{_OURS}^NQsys_updated_on={at}^sys_id>{sys_id}^{_OURS}^{_ORDER}"
    elif mark.since is not None:
        query = f"sys_updated_on>={format_time(mark.since)}^{_OURS}^{_ORDER}"
    else:
        query = f"{_OURS}^{_ORDER}"
    call = list_call(table.name, query, [*_READ, table.code, *([table.counter] if table.counter else ())], limit)
    params = {name: text for name, text in call.params.items() if name != "sysparm_no_count"}
    if mark.offset:
        params["sysparm_offset"] = str(mark.offset)
    return replace(call, params=params)


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0
