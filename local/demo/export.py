"""The demo's last part: tickets and the bridge's log go to Log Analytics, one query joins them, the workbook is drawn.

The app exports the tickets. It sends rows of its log once they are two minutes old. The demo does not wait for that: it
sends them as the app will, and leaves the app's own position where it is.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import aclosing, closing
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.container import Container
from connectors.log_analytics.columns import LOG_TABLE, TABLES, TICKETS_TABLE
from local import log_store
from local.demo.surroundings import Surroundings
from local.running import NotRunning, Running
from local.up import APP
from local.workbook.answer import Answer
from local.workbook.queries import FOLDER
from local.workbook.render import render
from local.workbook.workspace import Workspace
from shared.export import ExportStore, LogExporter
from shared.export.action_log import SETTLED
from shared.export.log_rows import BridgeState

#: The line of the shipped configuration that exports the tickets of a connection, and the same switched on.
EXPORT = ("    # export: {days: 30}\n", "    export: {days: 30}\n", 1)

PAGE = APP / ".local" / "workbook.html"

#: Which alerts made a ticket, and how it is now.
QUERY = """\
ServiceDeskActions()
| where Decision startswith "created" and isnotempty(AlertRule)
| join kind=inner (ServiceDeskTickets() | project Connection, SysId, State, AssignmentGroup) on Connection, SysId
| order by StatusLogTime_t asc
| project AlertRule, Decision, Ticket = ServiceDeskId_s, State, AssignmentGroup
| take 6"""

_SECONDS = 60.0
_CONNECTION = "servicenow"


class Export(Surroundings):
    """The export of the running app.

    Attributes:
        counts: rows by table. tickets: how many different ones. answer: to the query.

    Raises NotRunning when it does not come to its end in time.
    """

    def __init__(self, running: Running) -> None:
        super().__init__(running)
        asyncio.run(self._export())
        self.counts = log_store.counts(self.clouds)
        with closing(Workspace()) as workspace:
            for table in TABLES:
                workspace.add(table, log_store.rows(self.clouds, table))
            self.tickets = len(workspace.run("ServiceDeskTickets()").rows)
            self.answer: Answer = workspace.run(QUERY)
            PAGE.parent.mkdir(exist_ok=True)
            render(json.loads((FOLDER / "workbook.json").read_text("utf-8")), workspace.run, PAGE)

    def show(self, out: Console) -> None:
        """What is in Log Analytics, the answer to one query, and where the workbook is."""
        table = Table(title="Alert, decision and ticket, joined in Log Analytics", title_justify="left")
        for column in self.answer.columns:
            table.add_column(column)
        for row in self.answer.rows:
            table.add_row(*(escape(str(value or "")) for value in row))
        out.print(table)
        rows, log = self.counts[TICKETS_TABLE], self.counts[LOG_TABLE]
        text = (
            f"Log Analytics has {rows} rows of {self.tickets} tickets, and {log} rows of what the bridge did. "
            f"The workbook on them: {PAGE.as_uri()}"
        )
        out.print(text, markup=False, soft_wrap=True)

    async def _export(self) -> None:
        settings = {**os.environ, **self.running.session["settings"]}
        # The client library finds the managed identity in the environment of its process.
        os.environ.update({name: settings[name] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")})
        async with aclosing(Container(settings)) as services:
            await self._tickets(services)
            await self._log(services)

    async def _tickets(self, services: Container) -> None:
        began = datetime.now(UTC)
        self.timer("export_tickets")
        deadline = time.monotonic() + _SECONDS
        while True:
            status = (await services.exports.statuses())[_CONNECTION]
            if all(one.ran_at is not None and one.ran_at >= began for one in status.kinds.values()):
                return
            if time.monotonic() > deadline:
                raise NotRunning(f"the export did not end within {_SECONDS:g} s: {status.notes.reason}")
            await asyncio.sleep(0.2)

    async def _log(self, services: Container) -> None:
        """Send the rows of the log that the app will send in two minutes."""
        destination = services.exports.destination
        if destination is None:
            raise NotRunning("the demo's configuration has no log store")
        self.timer("export_log")  # the state of the connections
        self.until(lambda: log_store.counts(self.clouds)[LOG_TABLE] > 0, "a row of the bridge's log")
        store = ExportStore(services.storage, read_only=True)

        async def of_none() -> BridgeState:
            return BridgeState(connections=[])

        exporter = LogExporter(
            services.audit_log,
            destination,
            store,
            of_none,
            now=lambda: datetime.now(UTC) + SETTLED + timedelta(minutes=1),
        )
        result = await exporter.run()
        if not result.finished:
            raise NotRunning(f"the log was not sent: {result.reason}")
