"""Checks what configuration items are found by, and whether affected items can be listed."""

from __future__ import annotations

from connectors.servicenow.affected import TABLE
from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.client import Client
from connectors.servicenow.dictionary import TableColumns
from connectors.servicenow.settings import ConfigurationItems
from connectors.servicenow.wire import list_call
from shared.core.errors import TicketSystemError

_ITEMS = "cmdb_ci"


async def check_items(client: Client, settings: ConfigurationItems, report: CheckReport) -> None:
    """Add the lines of the CMDB. None of them is a failure: tickets are made without items, too."""
    line = "configuration items"
    columns = [settings.resource_id_attribute if kind == "resource_id" else kind for kind in settings.match]
    try:
        await client.call(list_call(_ITEMS, "ORDERBYDESCsys_created_on", ["sys_id", *columns], 1))
        missing = await TableColumns(client).missing(_ITEMS, columns)
    except TicketSystemError as error:
        report.warning(
            line,
            f"cannot be read, tickets are made without one: {error}",
            "Give the integration user the right to read cmdb_ci, or set 'cmdb_ci: null' in the routes.",
        )
    else:
        if missing:
            report.warning(
                line,
                f"{_ITEMS} has no {', '.join(missing)}, or the user may not read it: nothing is found by it, and the "
                "instance says nothing",
                "Set ci.resource_id_attribute to the column that holds Azure resource ids, or take it out of ci.match.",
            )
        else:
            report.ok(line, f"are found by {', '.join(columns)}")
    if not settings.affected:
        return
    line = "affected items"
    try:
        await client.call(list_call(TABLE, "ORDERBYDESCsys_created_on", ["sys_id", "task", "ci_item"], 1))
    except TicketSystemError as error:
        report.warning(
            line,
            f"cannot be listed on tickets: {error}",
            f"Give the integration user the right to read and create {TABLE}, or set ci.affected to 0.",
        )
    else:
        report.ok(line, f"{TABLE} can be read; whether rows may be created shows with the first ticket")
