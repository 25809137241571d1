"""All tickets of an instance for the export, whoever made them: pages of what changed, counts, and deletions.

What people see comes from display values; times, ids and states come from the stored values beside them
(``sysparm_display_value=all``), because display values of times follow zone and format of the integration user.

A column that the instance does not have, or hides from the integration user, is missing in every row. A column of the
condition that people write would be ignored then, and every ticket be selected: so those are looked for first.

Sources: ServiceNow docs, "Table API" (sysparm_display_value, X-Total-Count), "Aggregate API", "Deleted records"
(sys_audit_delete); Microsoft's documentation of IT Service Management Connector, "Data synced from your ITSM product"
(which field is which column).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.dictionary import TableColumns
from connectors.servicenow.encoded_query import all_of, alternatives, any_group, columns_of
from connectors.servicenow.export_columns import TIMES, columns_of_kind
from connectors.servicenow.keyset import KeysetReader, TableRead
from connectors.servicenow.polling import OURS
from connectors.servicenow.tables import TicketTable, record_url
from connectors.servicenow.watermark import WatermarkRead, format_time, parse_time
from connectors.servicenow.wire import Purpose, WireCall, display, equal, list_call, value
from shared.core.errors import NotAuthorised, Refused
from shared.core.export import ExportField, ExportValue, RecordPage, Selection, TicketRecord
from shared.core.link import DISPLAY
from shared.core.ticket_system import Phase, TicketKind
from shared.core.times import rfc3339

#: What every row has, whatever is selected.
_ALWAYS = ("sys_id", "number", "state", "active", "sys_updated_on", "sys_mod_count")

_OF_OURS = ("correlation_id", "correlation_display")

_DELETED = "sys_audit_delete"
_DELETED_COLUMNS = ("sys_id", "documentkey", "display_value", "sys_created_on")

#: ``TicketRecord.revision`` of a deleted ticket: it has one row.
_GONE = "deleted"


class TicketExport:
    """Lists the tickets of one instance.

    Args:
        client: makes the calls.
        tables: by kind of ticket.
        url: address of the instance.
        resource_id: column of cmdb_ci that holds the Azure resource id.
    """

    def __init__(self, client: Client, tables: Mapping[TicketKind, TicketTable], url: str, resource_id: str) -> None:
        self._client = client
        self._tables = tables
        self._url = url
        self._resource_id = resource_id
        self._pages = KeysetReader(client)
        self._columns = TableColumns(client)
        self._checked: set[tuple[str, str]] = set()

    @property
    def kinds(self) -> frozenset[TicketKind]:
        """See ``ExportsTickets.export_kinds``."""
        return frozenset(self._tables)

    async def page(self, kind: TicketKind, selection: Selection, watermark: str | None, limit: int) -> RecordPage:
        """See ``ExportsTickets.export_page``. The first page of a condition that people wrote takes a few calls more
        in each process: they look whether its columns exist."""
        table = self._tables[kind]
        columns = columns_of_kind(kind, table, selection.fields, self._resource_id)
        await self._check_query(table, selection.query)
        names = (*_ALWAYS, *(_OF_OURS if selection.ours else ()), *columns.values(), *selection.more)
        page = await self._pages.page(
            TableRead(table.name, _filters(selection), tuple(dict.fromkeys(names)), display=True),
            watermark,
            limit,
            lambda row: self._read(table, row, ours=selection.ours),
            since=selection.since,
        )
        records = tuple(self._record(kind, table, row, columns, selection.more) for row in page.fresh)
        return RecordPage(records, page.watermark, page.more, _lacking(page.rows, columns, selection.more))

    async def count(self, kind: TicketKind, selection: Selection) -> int:
        """See ``ExportsTickets.export_count``. A second call where the instance does not count what it lists."""
        table = self._tables[kind]
        await self._check_query(table, selection.query)
        at = f"sys_updated_on>={format_time(int(selection.since.timestamp()))}"
        query = any_group([all_of(at, one) for one in _filters(selection)])
        listed = list_call(table.name, query, ["sys_id"], 1)
        params = {name: text for name, text in listed.params.items() if name != "sysparm_no_count"}
        _, total = await self._client.call_with_total(replace(listed, params=params))
        if total is not None:
            return total
        counted = await self._client.call(
            WireCall(
                "GET",
                f"/api/now/stats/{table.name}",
                Purpose.RECORD,
                {"sysparm_count": "true", "sysparm_query": query},
            )
        )
        stats = counted.get("stats") if isinstance(counted, Mapping) else None
        return int(stats["count"]) if isinstance(stats, Mapping) and str(stats.get("count")).isdecimal() else 0

    async def deleted(self, kind: TicketKind, since: datetime, limit: int) -> RecordPage | None:
        """See ``ExportsTickets.export_deleted``. Deletions of one second are read together, however many there are."""
        table = self._tables[kind]
        begin = int(since.timestamp())
        query = f"{equal('tablename', table.name)}^sys_created_on>={format_time(begin)}"
        rows: list[Mapping[str, Any]] = []
        while True:
            found = await self._deletions(f"{query}^ORDERBYsys_created_on^ORDERBYsys_id", limit, len(rows))
            if found is None:
                return None
            more = len(found) >= limit
            rows += found
            if not more or value(rows[0], "sys_created_on") != value(rows[-1], "sys_created_on"):
                break
        records = [self._deletion(kind, table, row) for row in rows]
        last = max((one.changed_at for one in records), default=since)
        return RecordPage(tuple(records), rfc3339(last) or "", more)

    async def _deletions(self, query: str, limit: int, offset: int) -> Sequence[Mapping[str, Any]] | None:
        """Rows of the table of deleted records; None where the integration user may not read it."""
        call = list_call(_DELETED, query, _DELETED_COLUMNS, limit)
        params = {name: text for name, text in call.params.items() if name != "sysparm_no_count"}
        if offset:
            params["sysparm_offset"] = str(offset)
        try:
            rows, total = await self._client.call_with_total(replace(call, params=params))
        except Refused:
            return None
        except NotAuthorised as error:
            if error.status != 403:  # the credentials are refused, not this table
                raise
            return None
        # Rules of access take rows out after they were counted.
        return None if total and not rows and not offset else rows

    async def _check_query(self, table: TicketTable, query: str) -> None:
        """Raise Refused when a condition names a column that the table lacks: it would be ignored without a word."""
        if not query or (table.name, query) in self._checked:
            return
        missing = await self._columns.missing(table.name, columns_of(query))
        if missing:
            raise Refused(
                f"the query of the export names {', '.join(missing)}, which {table.name} does not have or does not "
                "show; the instance would ignore the condition and every ticket be exported",
                connection=self._client.connection,
                advice=f"Correct connections.{self._client.connection}.export.query, allow the integration user to "
                "read the column, or take the kind out of export.kinds",
            )
        self._checked.add((table.name, query))

    def _read(self, table: TicketTable, row: Mapping[str, Any], *, ours: bool) -> WatermarkRead:
        """The part of a row that the watermark stores. Raises NotAuthorised for a row that should not be there."""
        at, sys_id = parse_time(value(row, "sys_updated_on") or ""), value(row, "sys_id") or ""
        stranger = ours and (value(row, "correlation_display") or "").casefold() != DISPLAY.casefold()
        if at is None or not sys_id or stranger:
            raise NotAuthorised(
                f"the instance shows rows of {table.name} that are not ours, or hides the fields that tell when they "
                "changed",
                connection=self._client.connection,
                advice="Allow the integration user to read sys_updated_on, sys_mod_count, correlation_id and "
                "correlation_display: a condition on a field that it may not read is ignored.",
            )
        return WatermarkRead(at, sys_id, _revision(row))

    def _record(
        self,
        kind: TicketKind,
        table: TicketTable,
        row: Mapping[str, Any],
        columns: Mapping[ExportField, str],
        more: Sequence[str],
    ) -> TicketRecord:
        sys_id = value(row, "sys_id") or ""
        state = value(row, "state")
        values = {field: found for field, column in columns.items() if (found := _value(field, row, column))}
        return TicketRecord(
            connection=self._client.connection,
            kind=kind,
            id=sys_id,
            number=value(row, "number") or "",
            url=record_url(self._url, table.name, sys_id),
            revision=_revision(row),
            changed_at=parse_time(value(row, "sys_updated_on") or "") or datetime.fromtimestamp(0, UTC),
            phase=_phase(table, state, value(row, "active")),
            values=values,
            more={name: text for name in more if (text := _shown(row, name))},
        )

    def _deletion(self, kind: TicketKind, table: TicketTable, row: Mapping[str, Any]) -> TicketRecord:
        sys_id = value(row, "documentkey") or ""
        return TicketRecord(
            connection=self._client.connection,
            kind=kind,
            id=sys_id,
            number=value(row, "display_value") or "",
            url=record_url(self._url, table.name, sys_id),
            revision=_GONE,
            changed_at=parse_time(value(row, "sys_created_on") or "") or datetime.fromtimestamp(0, UTC),
            deleted=True,
        )


def _filters(selection: Selection) -> list[str]:
    """Groups of conditions: a ticket is selected when one of them holds. Raises ValueError for a query that cannot be
    combined; the settings of a connection refuse those."""
    return [all_of(OURS if selection.ours else "", one) for one in alternatives(selection.query)]


def _revision(row: Mapping[str, Any]) -> str:
    return value(row, "sys_mod_count") or value(row, "sys_updated_on") or ""


def _phase(table: TicketTable, state: str | None, active: str | None) -> Phase | None:
    return None if not state else table.phase(state, active or "")


def _value(field: ExportField, row: Mapping[str, Any], column: str) -> ExportValue | None:
    stored = value(row, column) or ""
    if field in TIMES:
        return parse_time(stored) or parse_time(f"{stored} 00:00:00")
    if field in (ExportField.REOPENED, ExportField.CORRELATION):
        return stored
    return stored.lower() if field is ExportField.AZURE_RESOURCE else _shown(row, column)


def _shown(row: Mapping[str, Any], column: str) -> str:
    """What people see; the stored value of what has no display value, such as a reference to a deleted record. Times
    are shown as stored, in UTC."""
    stored = value(row, column) or ""
    return stored if parse_time(stored) is not None else display(row, column) or stored


def _lacking(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[ExportField, str], more: Iterable[str]
) -> frozenset[str]:
    """Fields and further columns that no row of a page has, where that means something: a path to another record says
    nothing in rows that refer to none."""
    named = {field.value: column for field, column in columns.items()} | {name: name for name in more}
    lacking = set()
    for name, column in named.items():
        reference, dot, _ = column.partition(".")
        telling = [row for row in rows if not dot or value(row, reference)]
        if telling and not any(column in row for row in telling):
            lacking.add(name)
    return frozenset(lacking)
