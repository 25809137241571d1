"""Reads which of our tickets changed, page by page, and which of them still exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.keyset import KeysetReader, TableRead
from connectors.servicenow.tables import TicketTable
from connectors.servicenow.watermark import WatermarkRead, parse_time
from connectors.servicenow.wire import equal, is_sys_id, list_call, value
from shared.core.errors import NotAuthorised
from shared.core.link import DISPLAY
from shared.core.ticket_system import ChangePage, Person, TicketKind, TicketRef, TicketSnapshot

#: Ids of one existence check. The URL stays far below 8 KB, which every server accepts.
BATCH = 100

#: The condition that a ticket is ours.
OURS = f"{equal('correlation_display', DISPLAY)}^correlation_idISNOTEMPTY"

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
        self._pages = KeysetReader(client)
        self._tables = tables
        self._ref_of = ref_of

    async def changes_since(self, kind: TicketKind, watermark: str | None, limit: int) -> ChangePage:
        """One page. See ``TicketSystem.changes_since``."""
        table = self._tables[kind]
        columns = (*_READ, table.code, *([table.counter] if table.counter else ()))
        page = await self._pages.page(
            TableRead(table.name, (OURS,), columns), watermark, limit, lambda row: self._read(table, row)
        )
        return ChangePage(tuple(self._changed(kind, table, row) for row in page.fresh), page.watermark, page.more)

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


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0
