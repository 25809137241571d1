"""A bridge with real services between the simulator of ServiceNow and a log store that remembers what it was sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from app.container import Container
from app.registry import REGISTRY
from local.servicenow import Simulator
from shared.core.errors import BridgeError
from shared.core.export import LogRow, TicketRecord
from shared.core.jobs import JobRun
from shared.core.plugins import DestinationPlugin, SectionCheck
from shared.core.secrets import SettingSecrets
from shared.export import ExportResult
from shared.platform.storage import Storage
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected

CONFIG = """
version: 1
connections:
  {name}:
    type: servicenow
    url: {url}
    auth: {{type: basic, username: {user}, password: {{secret: desk-password}}}}
{settings}
default: {{connection: {name}, ticket: incident}}
{more}
"""


class RecordingStore:
    """A log store that remembers what it was sent. ``fails``: raised instead of taking rows; ``dies``: raised after it
    took them, as when the process ends before it hears of it."""

    def __init__(self) -> None:
        self.tickets: list[TicketRecord] = []
        self.log: list[LogRow] = []
        self.requests = 0
        self.fails: BridgeError | None = None
        self.dies: BaseException | None = None
        self.before: Callable[[], Any] | None = None

    async def send_tickets(self, records: Sequence[TicketRecord]) -> int:
        return await self._take(self.tickets, records)

    async def send_log(self, rows: Sequence[LogRow]) -> int:
        return await self._take(self.log, rows)

    async def _take(self, into: list[Any], rows: Sequence[Any]) -> int:
        if self.before is not None:
            await self.before()
        self.requests += 1
        if self.fails is not None:
            raise self.fails
        into += rows
        if self.dies is not None:
            raise self.dies
        return 1

    async def check(self) -> list[SectionCheck]:
        return []

    async def aclose(self) -> None:
        return None

    @property
    def ids(self) -> set[tuple[str, str, str]]:
        """What names a row."""
        return {(one.connection, one.id, one.revision) for one in self.tickets}

    def of(self, ticket: str) -> list[TicketRecord]:
        """The rows of one ticket, by its id."""
        return [one for one in self.tickets if one.id == ticket]


class World:
    """One test's world. ``later`` is how far the bridge's clock is ahead of that of the instance."""

    def __init__(self, desk: SimulatedServiceNow, storage: Storage, folder: Path) -> None:
        self.desk = desk
        self.name = f"desk-{uuid4().hex[:8]}"
        self.later = timedelta()
        self.store = RecordingStore()
        self.storage = storage
        self._folder = folder
        self._started: list[Container] = []
        self.services = self.configured("kinds: [incident]")

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def configured(self, export: str = "", more: str = "", connection: str = "", user: str = "") -> Container:
        """The bridge starts (again) with these options of the export, further sections and options of the connection,
        and logs in as this user."""
        simulator = self.desk.simulator
        options = [f"export: {{{export}}}", *([connection] if connection else [])]
        text = CONFIG.format(
            name=self.name,
            url=simulator.url,
            user=user or simulator.integration_username,
            settings="\n".join(f"    {one}" for one in options),
            more=more,
        )
        path = self._folder / f"{self.name}.yaml"
        path.write_text(text)
        self.services = self.started(path, user)
        return self.services

    def started(self, path: Path, user: str = "") -> Container:
        """Another process with a configuration."""
        simulator = self.desk.simulator
        password = simulator.accounts[user] if user else simulator.integration_password
        plugin = DestinationPlugin("recorder", "Recorder", sections=lambda: (), open=lambda _: self.store)
        services = Container(
            {"BRIDGE_CONFIG": str(path)},
            registry=replace(REGISTRY, destinations=(plugin,)),
            now=self.now,
            storage=self.storage,
            secrets=SettingSecrets({"DESK_PASSWORD": password}),
        )
        self._started.append(services)
        return services

    def restarted(self) -> Container:
        """The process died, and another one begins."""
        self.services = self.started(self.services.config_path)
        return self.services

    async def export(self, after: timedelta = timedelta(minutes=5), **asked: Any) -> ExportResult:
        """The timer, some minutes later."""
        self.later += after
        results = await self.services.exports.export_tickets(JobRun(**asked))
        (result,) = [one for one in results if one.connection == self.name]
        return result

    async def add_many(self, count: int, table: str = "incident", *, seconds: float = 0.0, **fields: str) -> list[str]:
        """Tickets that changed this long ago, all in the same second; their ids."""
        at = (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S")
        rows = [{"short_description": f"Disk full {n}", "sys_updated_on": at, **fields} for n in range(count)]
        return await self.desk.put(table, rows)

    async def aclose(self) -> None:
        """Close what the bridge opened, except the storage."""
        for services in self._started:
            await services.aclose()


@asynccontextmanager
async def opened(simulator: Simulator, storage: Storage, folder: Path) -> AsyncIterator[World]:
    """A fresh instance without its demo tickets' changes in reach."""
    async with connected(simulator) as desk:
        await desk.reset()
        world = World(desk, storage, folder)
        yield world
        await world.aclose()
