"""A bridge with real services, a queue and a clock that the test holds, before the ServiceNow simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import yaml

from app.container import Container
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.source import DefenderSource
from local.servicenow import Simulator
from local.servicenow.server import running
from shared.core.messages import Message, PushToSource, SignalMessage, encode
from shared.core.secrets import SettingSecrets
from shared.core.signal import Signal
from shared.delivery.queue import SignalQueue
from shared.platform.storage import Storage
from tests.azure_simulator.support import NO_AUTHORITIES

CONNECTION = """
version: 1
connections:
  desk:
    type: servicenow
    url: %(url)s
    auth: {type: basic, username: %(user)s, password: {secret: desk-password}}
    max_in_flight: 16  # every configuration that is deployed is another worker
"""


class Line(SignalQueue):
    """The signal queue in memory: what is sent waits here, in the order in which it falls due."""

    def __init__(self, storage: Storage, now: Callable[[], datetime]) -> None:
        super().__init__(storage)
        self._now = now
        self.waiting: list[tuple[datetime, Message]] = []
        self.orders: list[str] = []

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        if isinstance(message, PushToSource):
            self.orders.append(message.key)
        else:
            self.waiting.append((self._now() + delay, message))


class Office:
    """The bridge's worker under a configuration that may change, and an administrator of the instance."""

    def __init__(self, simulator: Simulator, storage: Storage, admin: httpx.AsyncClient, folder: Path) -> None:
        self.simulator = simulator
        self.storage = storage
        self.admin = admin
        self.now = datetime.now(UTC).replace(microsecond=0)
        self._folder = folder
        self._opened: list[Container] = []
        self.line = Line(storage, lambda: self.now)
        self.group = f"rg-{uuid4().hex[:12]}"
        self.services = self.configure()

    def configure(self, defender: dict[str, Any] | None = None, **sections: Any) -> Container:
        """Deploy a configuration: every process starts anew. The queue keeps what it holds."""
        content = yaml.safe_load(CONNECTION % {"url": self.simulator.url, "user": self.simulator.integration_username})
        content["connections"] |= sections.pop("connections", {})
        sections.setdefault("default", {"connection": "desk"})
        content |= {name: value for name, value in {"defender": defender, **sections}.items() if value is not None}
        (self._folder / "bridge.yaml").write_text(yaml.safe_dump(content))
        self.services = Container(
            {"BRIDGE_CONFIG": str(self._folder / "bridge.yaml")},
            now=lambda: self.now,
            storage=self.storage,
            secrets=SettingSecrets({"DESK_PASSWORD": self.simulator.integration_password}),
        )
        self.services.__dict__["queue"] = self.line
        self._opened.append(self.services)
        return self.services

    async def deliver(self, *signals: Signal) -> None:
        """The worker takes signals, one after the other, and whatever falls due at once."""
        for signal in signals:
            await self.line.send(SignalMessage(id=uuid4().hex, received_at=self.now, signal=signal))
            await self.work_off()

    async def work_off(self, ahead: timedelta = timedelta()) -> None:
        """Work on what is due now, and on what falls due within ``ahead``, each at its time."""
        until = self.now + ahead
        while due := [each for each in self.line.waiting if each[0] <= until]:
            next_one = min(due, key=lambda each: each[0])
            self.line.waiting.remove(next_one)
            self.now = max(self.now, next_one[0])
            await self.services.worker.handle(next_one[1].id, encode(next_one[1]), 1)
        self.now = until

    async def assignment(self, signal: Signal) -> Assignment | None:
        stored = await self.defender.assignments.load(signal.key)
        return stored.value if stored is not None else None

    async def tickets(self, table: str = "incident", query: str = "") -> list[dict[str, str]]:
        """Tickets that the bridge made in this test, oldest first, by their display values."""
        where = f"correlation_display=Azure ITSM Bridge{query}^ORDERBYnumber"
        answer = await self.admin.get(
            f"/api/now/table/{table}", params={"sysparm_query": where, "sysparm_display_value": "true"}
        )
        return [_plain(row) for row in answer.raise_for_status().json()["result"]]

    @property
    def defender(self) -> DefenderSource:
        """The source, in the process that runs now."""
        return self.services.source(DefenderSource)

    async def aclose(self) -> None:
        for services in self._opened:
            await services.aclose()


def _plain(row: dict[str, Any]) -> dict[str, str]:
    """References show as objects with their display value."""
    return {
        name: str(value.get("display_value", "")) if isinstance(value, dict) else value for name, value in row.items()
    }


@asynccontextmanager
async def opened(storage: Storage, folder: Path) -> AsyncIterator[Office]:
    async with (
        running() as simulator,
        httpx.AsyncClient(
            base_url=simulator.url, auth=(simulator.username, simulator.password), verify=NO_AUTHORITIES
        ) as admin,
    ):
        office = Office(simulator, storage, admin, folder)
        yield office
        await office.aclose()
