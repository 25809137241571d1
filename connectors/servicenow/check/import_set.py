"""Checks the import set through which tickets of a kind are created: staging table, its columns, its transform map."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.client import Client
from connectors.servicenow.dictionary import TableColumns
from connectors.servicenow.settings import ImportSet
from connectors.servicenow.wire import equal, list_call, shorten, value
from shared.core.errors import TicketSystemError

#: What a ticket needs to be found again.
_KEY = ("correlation_id", "correlation_display")

_MOST = 50


async def check_import_set(
    client: Client, staging: ImportSet, target: str, fields: Iterable[str], report: CheckReport
) -> None:
    """Add the lines of one import set.

    Args:
        client: makes the calls.
        staging: the staging table.
        target: table of the tickets.
        fields: what routes write.
        report: gets the lines.
    """
    line = f"{target}: import set"
    try:
        await client.call(list_call(staging.table, "ORDERBYDESCsys_created_on", ["sys_id"], 1))
        missing = await TableColumns(client).missing(
            staging.table, [f"{staging.prefix}{name}" for name in (*_KEY, *sorted(fields))]
        )
    except TicketSystemError as error:
        report.error(line, error)
        return
    if any(f"{staging.prefix}{name}" in missing for name in _KEY):
        report.failed(
            line,
            f"{staging.table} has no {shorten(', '.join(missing), 200)}: no ticket could be found again",
            "Add these columns to the staging table and to its transform map, or correct 'prefix' of import_set.",
        )
    elif missing:
        report.warning(
            line,
            f"{staging.table} has no {shorten(', '.join(missing), 300)}; the values would be ignored in silence",
            "Add these columns to the staging table and to its transform map, or take the fields out of the routes.",
        )
    else:
        report.ok(line, f"{staging.table} has a column for every field that is written")
    await _check_map(client, staging, target, report)


async def _check_map(client: Client, staging: ImportSet, target: str, report: CheckReport) -> None:
    """The line of the transform map: whether there is one, and whether it coalesces on the key."""
    line = f"{target}: transform map"
    try:
        maps = await client.call(
            list_call(
                "sys_transform_map",
                f"{equal('source_table', staging.table)}^active=true",
                ["sys_id", "name", "source_table", "target_table"],
                _MOST,
            )
        )
        ours = [
            value(row, "sys_id") or ""
            for row in maps
            if (value(row, "source_table"), value(row, "target_table")) == (staging.table, target)
        ]
        query = f"mapIN{','.join(ours)}^target_field=correlation_id"
        columns = ["map", "target_field", "coalesce"]
        entries = await client.call(list_call("sys_transform_entry", query, columns, _MOST)) if ours else []
    except TicketSystemError as error:
        report.warning(
            line,
            f"not tested: {error}",
            "Allow the user to read sys_transform_map and sys_transform_entry for the check (import_admin or "
            "import_transformer).",
        )
        return
    keyed = [row for row in entries if value(row, "map") in ours and value(row, "target_field") == "correlation_id"]
    if not ours:
        report.failed(
            line,
            f"no active transform map leads from {staging.table} to {target}",
            "Make one, and map every column; coalesce on the column of correlation_id.",
        )
    elif not keyed:
        report.failed(
            line,
            "the transform map does not set correlation_id: no ticket could be found again",
            "Map it, with coalesce.",
        )
    elif not any(value(row, "coalesce") == "true" for row in keyed):
        report.warning(
            line,
            "the transform map does not coalesce on correlation_id: two deliveries at the same time could make two "
            "tickets",
            "Set coalesce on the field map of correlation_id.",
        )
    else:
        report.ok(line, "leads to the table and coalesces on correlation_id")
