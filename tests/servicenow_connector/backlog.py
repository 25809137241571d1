"""Deliveries of one worker that come together: each passes the call budget and creates a ticket."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from connectors.servicenow import ServiceNow
from connectors.servicenow.batch import PATH
from connectors.servicenow.batch_finding import TOPIC, account_of
from local.servicenow import Simulator
from shared.budget import BudgetGate, QuotaRules
from shared.core.errors import TicketSystemError
from shared.core.findings import Finding
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import Draft, TicketKind
from tests.budget.fakes import MemoryStore
from tests.servicenow_connector.simulated import SimulatedServiceNow, secrets_of, settings_for

TABLES = ("incident", "problem", "change_request")


class KeptFindings:
    """Findings in memory."""

    def __init__(self, *findings: Finding) -> None:
        self.kept = {finding.topic: finding for finding in findings}

    async def read(self, topic: str) -> Finding | None:
        await asyncio.sleep(0)
        return self.kept.get(topic)

    async def write(self, finding: Finding) -> None:
        self.kept[finding.topic] = finding


def draft(name: str, kind: TicketKind = TicketKind.INCIDENT) -> Draft:
    sys_id = hashlib.sha256(name.encode()).hexdigest()[:32]
    return Draft(kind, sys_id, f"alert:1:{name}", {"short_description": f"Disk {name} is full"})


def drafts(count: int, prefix: str = "a") -> list[Draft]:
    return [draft(f"{prefix}{number}") for number in range(count)]


class _Together:
    """Waits until so many deliveries were admitted or sent back."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self.all = asyncio.Event()

    def arrive(self) -> None:
        self._missing -= 1
        if not self._missing:
            self.all.set()


class Backlog:
    """A worker with a budget, in front of the simulator.

    Attributes:
        stage: the simulator's other side. gate, system, findings: of the worker.
        order: names in the order in which their creates ended.
    """

    def __init__(
        self, stage: SimulatedServiceNow, findings: KeptFindings, rules: QuotaRules, *, batch: str = "auto"
    ) -> None:
        self.stage = stage
        self.findings = findings
        self.store = MemoryStore()
        self.gate = BudgetGate("contoso", rules, self.store, chance=lambda: 0.5)
        settings = settings_for(stage.simulator, batch=batch, total_timeout="5s", read_timeout="3s")
        secrets = SettingSecrets(secrets_of(stage.simulator))
        self.system = ServiceNow("contoso", settings, secrets, gate=self.gate, findings=findings)
        self.order: list[str] = []

    def start(self, *drafts: Draft, urgent: bool = False, name: str = "") -> list[asyncio.Task[str]]:
        """Deliveries as tasks of their own: each ``created``, or the error's code. None calls before all are admitted,
        as where their messages were taken off the queue together."""
        together = _Together(len(drafts))
        return [asyncio.create_task(self._deliver(one, urgent, name, together)) for one in drafts]

    async def _deliver(self, one: Draft, urgent: bool, name: str, together: _Together) -> str:
        try:
            try:
                await self.gate.admit(urgent=urgent)
            finally:
                together.arrive()
            await together.all.wait()
            await self.system.create(one)
        except TicketSystemError as error:
            return error.code
        finally:
            self.order.append(name)
        return "created"

    async def deliver(self, count: int, prefix: str = "a") -> Counter[str]:
        """So many deliveries at once; how they ended."""
        return Counter(await asyncio.gather(*self.start(*drafts(count, prefix))))

    async def again(self, count: int, prefix: str = "a") -> None:
        """What delivery does after an unknown outcome: look each ticket up, and create those that are not found."""
        for one in drafts(count, prefix):
            if await self.system.find(one.kind, one.id, one.correlation) is None:
                await self.system.create(one)

    async def calls(self) -> list[str]:
        """Paths of the calls of the integration user, in the order in which they arrived."""
        requests = (await self.stage.told("/requests?limit=1000"))["requests"]
        ordered = sorted(requests, key=lambda one: int(one["id"]) if str(one["id"]).isdigit() else 0)
        return [one["path"] for one in ordered if one["user"] == "azure.bridge"]

    async def batches(self) -> int:
        """Requests of the Batch API."""
        return (await self.calls()).count(PATH)

    async def until_a_batch_left(self) -> None:
        """Wait until the simulator has a request of the Batch API."""
        async with asyncio.timeout(10):
            while not await self.batches():  # noqa: ASYNC110 - the simulator tells nobody
                await asyncio.sleep(0.01)

    async def tickets(self) -> list[str]:
        """Keys of the tickets that are there."""
        rows = await self.stage.rows("incident", "correlation_idSTARTSWITHalert:1:", sysparm_fields="correlation_id")
        return sorted(row["correlation_id"] for row in rows)


def seen(simulator: Simulator, **changes: object) -> Finding:
    """What the write test leaves behind on an instance that is fit for batches."""
    settings = settings_for(simulator)
    found = Finding(TOPIC, settings.url, account_of(settings), datetime.now(UTC), holds=True, tables=TABLES)
    return replace(found, **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def backlog(
    stage: SimulatedServiceNow,
    findings: Sequence[Finding] | None = None,
    *,
    calls: int | None = 500,
    batch: str = "auto",
) -> AsyncIterator[Backlog]:
    """A worker; its findings are those of a fit instance unless others are given."""
    kept = KeptFindings(*([seen(stage.simulator)] if findings is None else findings))
    made = Backlog(stage, kept, QuotaRules(calls=calls), batch=batch)
    try:
        yield made
    finally:
        await made.system.aclose()
        await made.gate.aclose()
