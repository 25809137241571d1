"""A bridge with two connections to a simulated ServiceNow, whose clock the test moves: ``desk`` for alerts, ``ops`` for
the bridge's own problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from app.container import Container
from connectors.bridge.reporter import ReportResult
from connectors.bridge.source import BridgeSource
from connectors.bridge.store import TABLE as OWN
from local import servicenow
from local.azurite import Azurite
from shared.core.jobs import JobRun
from shared.core.messages import QUEUE, PushToSource, SignalMessage, decode, encode
from shared.core.signal import Signal
from shared.operations.connection_health import TABLE as HEALTH
from shared.operations.credential_watch import TABLE as CREDENTIALS
from shared.platform.log import listen
from shared.platform.storage import Storage
from tests.credentials.vault import Vault
from tests.mapping.signals import signal
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected

CONFIG = """
version: 1
connections:
  {desk}:
    type: servicenow
    url: {url}
    auth: {{type: basic, username: {user}, password: {{secret: desk-password}}}}
  {ops}:
    type: servicenow
    url: {url}
    auth: {{type: basic, username: {user}, password: {{secret: ops-password}}}}
routes:
  - {{name: own, when: {{source: bridge}}, connection: {to}}}
default: {{connection: {desk}}}
{section}
"""

#: Nobody calls the timers of these tests, so functions that are not called are left out.
SECTION = "report_itself: {reasons: [connection_failing, dead_letters_grow, credential_ends]}"

MINUTE = timedelta(minutes=1)


class World:
    """One test's bridge."""

    def __init__(self, desk: SimulatedServiceNow, storage: Storage, folder: Path) -> None:
        self.instance, self.storage, self._folder = desk, storage, folder
        mark = uuid4().hex[:8]
        self.desk, self.ops = f"desk-{mark}", f"ops-{mark}"
        self.later = timedelta()
        self.vault = Vault()
        for name in ("desk-password", "ops-password"):
            self.vault.store(name, desk.simulator.integration_password)
        self.events: list[dict[str, Any]] = []
        self._started: list[Container] = []
        self.services = self.configured()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def configured(self, section: str = SECTION, *, to: str = "") -> Container:
        """The bridge starts (again) with this section, and the route of its own problems to this connection."""
        simulator = self.instance.simulator
        text = CONFIG.format(
            url=simulator.url,
            user=simulator.integration_username,
            section=section,
            desk=self.desk,
            ops=self.ops,
            to=to or self.ops,
        )
        path = self._folder / "bridge.yaml"
        path.write_text(text)
        self.services = Container({"BRIDGE_CONFIG": str(path)}, now=self.now, storage=self.storage, secrets=self.vault)
        self._started.append(self.services)
        return self.services

    async def aclose(self) -> None:
        for services in self._started:
            await services.aclose()

    async def report(self, run: JobRun | None = None, services: Container | None = None) -> ReportResult | None:
        """The timer's work now."""
        services = services or self.services
        services.__dict__.pop("health_reporter", None)
        return await services.source(BridgeSource).report(run)

    async def after(self, minutes: float) -> ReportResult | None:
        """The timer's work some minutes later."""
        self.later += minutes * MINUTE
        return await self.report()

    async def deliver(self, one: Signal | None = None) -> None:
        """The worker takes a signal, as if an alert came."""
        one = one or signal(key=f"alert:1:{uuid4()}", occurred_at=self.now())
        message = SignalMessage(id=uuid4().hex, received_at=self.now(), signal=one)
        await self.services.worker.handle(message.id, encode(message), 1)

    async def queued(self) -> list[Signal]:
        """The worker takes what lies on the queue; the bridge's own signals among it."""
        found = []
        queue = self.storage.queue(QUEUE)
        async for message in queue.receive_messages(messages_per_page=32, visibility_timeout=300):
            await queue.delete_message(message)
            content = decode(message.content)
            if isinstance(content, SignalMessage) and content.signal.source == "bridge":
                found.append(content.signal)
                await self.services.worker.handle(str(message.id), encode(content), 1)
        return found

    async def tickets(self, key: str) -> list[dict[str, str]]:
        return await self.instance.rows("incident", f"correlation_id={key}")

    def said(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[servicenow.Simulator]:
    async with servicenow.running() as simulator:
        yield simulator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def world(
    simulator: servicenow.Simulator, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    async with connected(simulator) as desk:
        await desk.reset()
        opened = World(desk, storage, tmp_path)
        end = listen(lambda event, fields: opened.events.append({"event": event, **fields}))
        await opened.services.queue.depth()
        await opened.services.queue.send(PushToSource(id="0" * 32, received_at=opened.now(), key="x"))  # it exists
        await storage.queue(QUEUE).clear_messages()
        for table in (OWN, HEALTH, CREDENTIALS, "parked"):
            await _emptied(storage, table)
        yield opened
        end()
        await opened.aclose()


async def _emptied(storage: Storage, name: str) -> None:
    from azure.core.exceptions import ResourceNotFoundError

    table = storage.table(name)
    try:
        async for row in table.list_entities():
            await table.delete_entity(row["PartitionKey"], row["RowKey"])
    except ResourceNotFoundError:
        return
