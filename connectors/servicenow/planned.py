"""Change requests that are being carried out now, and what they work on.

One list of the change requests in state Implement, which brings along the configuration item of each; where there are
any, one list of the further items that are attached to them (table task_ci, "Affected CIs"). Both are paged by sys_id,
because a page by offset shifts while people work.

Source: ServiceNow docs, "Change management state model", "Affected CIs" (task_ci), "Table API" (dot-walked fields).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.settings import ConfigurationItems
from connectors.servicenow.watermark import parse_time
from connectors.servicenow.wire import equal, is_sys_id, list_call, value
from shared.core.errors import NotAuthorised, Refused
from shared.core.ticket_system import PlannedWork, WorkItem

_LOG = logging.getLogger(__name__)

PAGE = 500
MAX_PAGES = 10


class PlannedChanges:
    """Planned work of one instance.

    Args:
        client: makes the calls.
        settings: which column of an item holds the Azure resource id.
        state: of change requests that are being carried out.
    """

    def __init__(self, client: Client, settings: ConfigurationItems, state: str) -> None:
        self._client = client
        self._columns = (settings.resource_id_attribute, "fqdn", "name")
        self._state = state

    async def current(self) -> list[PlannedWork]:
        """Changes under way, each with its items. Raises what calls raise."""
        fields = ["sys_id", "number", "state", "end_date", *(f"cmdb_ci.{column}" for column in self._columns)]
        found = await self._all("change_request", equal("state", self._state), fields)
        changes = {value(row, "sys_id") or "": row for row in found if value(row, "state") == self._state}
        items = {sys_id: [self._item(row, "cmdb_ci")] for sys_id, row in changes.items()}
        for row in await self._affected() if changes else ():
            items.get(value(row, "task") or "", []).append(self._item(row, "ci_item"))
        return [
            PlannedWork(
                value(row, "number") or sys_id,
                parse_time(value(row, "end_date") or ""),
                tuple(dict.fromkeys(item for item in items[sys_id] if item != WorkItem())),
            )
            for sys_id, row in changes.items()
        ]

    async def _affected(self) -> Sequence[Mapping[str, Any]]:
        """Rows of task_ci that belong to changes under way; none where the integration user may not read them."""
        query = f"{equal('task.sys_class_name', 'change_request')}^{equal('task.state', self._state)}"
        fields = ["sys_id", "task", *(f"ci_item.{column}" for column in self._columns)]
        try:
            return await self._all("task_ci", query, fields)
        except Refused as error:
            reason: Exception = error
        except NotAuthorised as error:
            if error.status != 403:
                raise
            reason = error
        _LOG.warning("%s: affected items of changes cannot be read: %s", self._client.connection, reason)
        return ()

    async def _all(self, table: str, query: str, fields: Sequence[str]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        last = ""
        for _ in range(MAX_PAGES):
            after = f"^sys_id>{last}" if last else ""
            page = await self._client.call(list_call(table, f"{query}{after}^ORDERBYsys_id", fields, PAGE))
            found += page
            last = value(page[-1], "sys_id") or "" if page else ""
            if len(page) < PAGE or not is_sys_id(last):
                return found
        _LOG.warning("%s: more than %d rows of planned work in %s", self._client.connection, len(found), table)
        return found

    def _item(self, row: Mapping[str, Any], reference: str) -> WorkItem:
        return WorkItem(*((value(row, f"{reference}.{column}") or "").strip() for column in self._columns))
