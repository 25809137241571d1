"""The part of the write test that finds out whether creates may share a call of the Batch API.

What has to be seen: each item gets an answer of its own; a record keeps the sys_id that it is given, so that a
repeated create makes no second one; and no rate limit rule counts the items one by one. ServiceNow's answers do not say
how many calls are left. They do say, by the X-RateLimit headers, which answers a rule counted: where items bear them,
they are counted. A rule that is only for the Batch API has a limit of its own, which the budget does not keep apart.

Source: ServiceNow docs, "Batch API", "Inbound REST API rate limiting".
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.servicenow.batch import BatchReply
from connectors.servicenow.batch_finding import BatchFinding
from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.check.writes import TEST_TITLE, WriteProbe
from connectors.servicenow.client import Client
from connectors.servicenow.refusals import DuplicateKey
from connectors.servicenow.settings import ServiceNowSettings
from connectors.servicenow.tables import TicketTable
from connectors.servicenow.tickets import Tickets
from connectors.servicenow.wire import Purpose, WireCall, value
from shared.core.errors import ConfigurationError, StorageUnavailable, TicketMissing, TicketSystemError
from shared.core.link import DISPLAY
from shared.core.ticket_system import TicketKind, TicketRef

_LINE = "batch"
_ALONE = "in a backlog, each create takes a call of its own"
_LIMIT = "x-ratelimit-limit"

#: Items for each table: a create, the same create again, and a record that does not exist.
_ITEMS = 3


@dataclass(frozen=True, slots=True)
class _Test:
    """The items for one kind of ticket."""

    kind: TicketKind
    table: TicketTable
    sys_id: str
    key: str

    @property
    def calls(self) -> list[WireCall]:
        path = f"/api/now/table/{self.table.name}"
        body = {
            "short_description": TEST_TITLE,
            "sys_id": self.sys_id,
            "correlation_id": self.key,
            "correlation_display": DISPLAY,
        }
        fields = {"sysparm_fields": "sys_id,number,state,active,correlation_id"}
        create = WireCall("POST", path, Purpose.CREATE, fields, body)
        return [create, create, WireCall("GET", f"{path}/{uuid.uuid4().hex}", Purpose.RECORD, fields)]


class BatchCheck:
    """Says what is known of batches, and finds it out.

    Args:
        client, settings, tables, tickets: of the connection.
        finding: where it is kept.
        writes: takes test records away again.
    """

    def __init__(
        self,
        client: Client,
        settings: ServiceNowSettings,
        tables: Mapping[TicketKind, TicketTable],
        tickets: Tickets,
        finding: BatchFinding,
        writes: WriteProbe,
    ) -> None:
        self._client = client
        self._settings = settings
        self._tables = tables
        self._tickets = tickets
        self._finding = finding
        self._writes = writes

    async def known(self, report: CheckReport) -> None:
        """What an earlier write test has seen."""
        try:
            found = await self._finding.read()
        except (StorageUnavailable, ConfigurationError) as error:
            report.warning(_LINE, f"not known: {error}")
            return
        if found is None:
            report.warning(
                _LINE,
                f"{_ALONE}: it was not tested whether the instance counts a batch of them as one call",
                "Run the check with the write test, or set 'batch: never'.",
            )
        elif found.holds:
            report.ok(_LINE, f"in a backlog, creates share calls: {found.detail} ({found.seen_at:%Y-%m-%d})")
        else:
            report.ok(_LINE, f"{_ALONE}: {found.detail} ({found.seen_at:%Y-%m-%d})")

    async def probe(self, kinds: Sequence[TicketKind], report: CheckReport) -> None:
        """Send one batch, and keep what it shows."""
        tests = [
            _Test(kind, self._tables[kind], uuid.uuid4().hex, f"check:1:{uuid.uuid4().hex}")
            for kind in kinds
            if kind in self._tables and self._by_table_api(kind)
        ]
        if not tests:
            return
        calls = [call for test in tests for call in test.calls]
        try:
            reply = await self._client.call_together(lambda: calls)
            fault, tables = await self._judge(tests, reply, report)
        except TicketSystemError as error:
            report.warning(_LINE, f"not tested: {error}")
            return
        detail = fault or f"a batch counts as one call at most, and keeps ids ({', '.join(tables)})"
        try:
            await self._finding.write(holds=not fault, detail=detail, tables=tables)
        except (StorageUnavailable, ConfigurationError) as error:
            report.warning(
                _LINE,
                f"{_ALONE}: {detail}, but this could not be kept: {error}",
                "Run the check with the settings of the app, so that it reaches its storage account.",
            )
            return
        if fault:
            report.warning(_LINE, f"{_ALONE}: {fault}", "Nothing has to be done; 'batch: never' skips this test.")
        else:
            report.ok(_LINE, f"in a backlog, creates share calls: {detail}")

    def _by_table_api(self, kind: TicketKind) -> bool:
        if kind is TicketKind.CHANGE_REQUEST and self._settings.change.api == "change_management":
            return False
        return getattr(self._settings.import_set, kind.value) is None

    async def _judge(
        self, tests: Sequence[_Test], reply: BatchReply | None, report: CheckReport
    ) -> tuple[str, tuple[str, ...]]:
        """What is wrong (empty for nothing), and the tables that are fit. Raises as ``Client.call``."""
        if reply is None or not reply.readable:
            status = "no answer" if reply is None else f"HTTP {reply.outer.status}"
            return f"the instance does not answer a batch as documented ({status})", ()
        alone = await self._limit_of_one(tests[0], report)
        fit = [test for number, test in enumerate(tests) if await self._keeps_ids(test, number, reply, report)]
        if not fit:
            return "records do not keep the id that a batch gives them, or its items get no answers of their own", ()
        if reply.counted_one_by_one:
            return "a rate limit rule of the instance counts the creates of a batch one by one", ()
        shared = reply.outer.headers.get(_LIMIT)
        if shared is not None and shared != alone:
            return f"the Batch API has a rate limit of its own ({shared} calls per hour)", ()
        return "", tuple(test.table.name for test in fit)

    async def _limit_of_one(self, test: _Test, report: CheckReport) -> str | None:
        """The rate limit of a create that goes alone: a repetition, which makes no second record."""
        self._client.response_facts.rate_limit = {}
        try:
            made = await self._client.call(test.calls[0])
        except DuplicateKey:
            pass
        else:
            await self._take_away(test, made, report)
        return self._client.response_facts.rate_limit.get(_LIMIT)

    async def _keeps_ids(self, test: _Test, number: int, reply: BatchReply, report: CheckReport) -> bool:
        """Whether the create made the record, its repetition did not, and the missing record is reported as such."""
        made = [self._outcome(test.calls[at], reply, number * _ITEMS + at) for at in range(_ITEMS)]
        for created in made[:2]:
            await self._take_away(test, created, report)
        first, again, missing = made
        kept = isinstance(first, Mapping) and (value(first, "sys_id") or "").lower() == test.sys_id
        return kept and isinstance(again, DuplicateKey) and isinstance(missing, TicketMissing)

    def _outcome(self, call: WireCall, reply: BatchReply, position: int) -> object:
        """The record or the error of an item; None where it has no answer."""
        if position not in reply.items:
            return None
        try:
            found: object = self._client.interpret(call, reply.items[position])
        except TicketSystemError as error:
            return error
        return found

    async def _take_away(self, test: _Test, made: object, report: CheckReport) -> None:
        """Delete or end a record that was made; nothing for an error."""
        sys_id = value(made, "sys_id") if isinstance(made, Mapping) else None
        if isinstance(made, Mapping) and sys_id:
            ref = TicketRef(test.kind, sys_id, test.key, value(made, "number") or "")
            await self._writes.remove(test.kind, test.table, self._tickets.ticket(ref, made), report)
