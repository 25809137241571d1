"""A bridge between Azurite and a ServiceNow simulator, and Azure that calls nothing unless the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from app.container import Container
from app.standby import Standby
from app.timers import all_jobs
from local.servicenow import Simulator
from shared.core.messages import SignalMessage
from shared.core.secrets import SettingSecrets
from shared.operations.vital_signs import VitalSigns
from shared.platform.log import listen
from shared.platform.storage import Storage
from tests.mapping.signals import signal
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected

CONFIG = """
version: 1
connections:
  {name}:
    type: servicenow
    url: {url}
    auth: {{type: basic, username: {user}, password: {{secret: desk-password}}}}
default: {{connection: {name}, ticket: incident}}
"""


class World:
    """One test's bridge. Its clocks stand ``later`` ahead of the real one."""

    def __init__(self, desk: SimulatedServiceNow, storage: Storage, folder: Path) -> None:
        self.desk, self.storage, self.later = desk, storage, timedelta()
        path = folder / "bridge.yaml"
        name = f"desk-{uuid4().hex[:8]}"  # its budget is its own: clocks of tests differ
        path.write_text(CONFIG.format(name=name, url=desk.simulator.url, user=desk.simulator.integration_username))
        self._path = path
        self.services = self.process()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def ticks(self) -> float:
        return self.now().timestamp()

    def process(self) -> Container:
        """Another process of the app."""
        services = Container(
            {"BRIDGE_CONFIG": str(self._path)},
            now=self.now,
            storage=self.storage,
            secrets=SettingSecrets({"DESK_PASSWORD": self.desk.simulator.integration_password}),
        )
        services.__dict__["vital_signs"] = VitalSigns(self.storage, self.now, self.ticks)
        services.__dict__["standby"] = Standby(services, ticks=self.ticks)
        services.built(services.standby)
        return services

    async def azure_calls(self, *functions: str) -> None:
        """Azure calls functions; what they do is left out."""
        for name in functions:
            async with self.services.vital_signs.call(name):
                pass

    async def azure_calls_everything(self) -> None:
        await self.azure_calls(
            "deliver", "park_poison", "run_job", *(job.name for job in all_jobs(self.services.registry))
        )

    async def accepted(self, key: str = "", **fields: Any) -> str:
        """A signal is on the queue; its key."""
        one = signal(key=key or f"alert:1:{uuid4()}", occurred_at=self.now(), **fields)
        await self.services.queue.send(SignalMessage(id=uuid4().hex, received_at=self.now(), signal=one))
        return one.key

    async def stands_in_until_all_is_done(self) -> None:
        """A look each minute. Some messages come back: the key was held, or a call was not free."""
        for _ in range(20):
            await self.services.standby.help(20)
            if await self.services.queue.depth() == 0:
                return
            await asyncio.sleep(1)
            self.later += timedelta(seconds=61)

    async def tickets(self, key: str) -> list[dict[str, str]]:
        return await self.desk.rows("incident", f"correlation_id={key}")

    async def status(self) -> tuple[str, list[str]]:
        """What health says now, and the codes of its reasons."""
        self.services.__dict__.pop("health_reporter", None)
        report = await self.services.health_report()
        return report.status, [reason.code for reason in report.reasons]


@asynccontextmanager
async def world(simulator: Simulator, storage: Storage, folder: Path) -> AsyncIterator[World]:
    async with connected(simulator) as desk:
        opened = World(desk, storage, folder)
        yield opened
        await opened.services.aclose()


@contextmanager
def heard() -> Iterator[list[dict[str, Any]]]:
    """Events that are recorded inside."""
    events: list[dict[str, Any]] = []
    end = listen(lambda event, fields: events.append({"event": event, **fields}))
    try:
        yield events
    finally:
        end()
