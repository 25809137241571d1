"""A bridge with real services in front of the ServiceNow simulator: envelopes in, tickets out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx

from app.container import Container
from local.servicenow import Simulator
from local.servicenow.server import running
from shared.core.messages import Message, SignalMessage, encode
from shared.core.secrets import SettingSecrets
from shared.core.signal import Signal
from shared.platform.storage import Storage
from tests.azure_simulator.support import NO_AUTHORITIES

CONFIG = """
version: 1
connections:
  desk:
    type: servicenow
    url: %(url)s
    auth: {type: basic, username: %(user)s, password: {secret: desk-password}}
    max_in_flight: 16  # workers of earlier tests keep their slots in the shared budget for some seconds
default: {connection: desk}
%(more)s
"""


class Desk:
    """The bridge's worker, and an administrator of the instance."""

    def __init__(self, simulator: Simulator, services: Container, admin: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.services = services
        self.admin = admin

    async def deliver(self, signals: Iterable[Signal]) -> None:
        """The queue's worker takes signals, one after the other."""
        for signal in signals:
            await self.work(SignalMessage(id=uuid4().hex, received_at=self.services.now(), signal=signal))

    async def work(self, envelope: Message) -> None:
        await self.services.worker.handle(envelope.id, encode(envelope), 1)

    async def rows(self, table: str, query: str) -> list[dict[str, str]]:
        answer = await self.admin.get(f"/api/now/table/{table}", params={"sysparm_query": query})
        return list(answer.raise_for_status().json()["result"])

    async def states(self, key: str) -> list[str]:
        """States of all incidents that bear a key."""
        return [row["state"] for row in await self.rows("incident", f"correlation_id={key}")]

    async def write(self, table: str, fields: dict[str, str], sys_id: str = "") -> dict[str, str]:
        """Make a record, or change one."""
        method, path = ("PATCH", f"/{sys_id}") if sys_id else ("POST", "")
        answer = await self.admin.request(method, f"/api/now/table/{table}{path}", json=fields)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json()["result"])


@asynccontextmanager
async def working(
    storage: Storage, folder: Path, more: str = "", now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[Desk]:
    """A bridge at work by a clock; ``more`` are sections of its configuration."""
    async with running() as simulator:
        text = CONFIG % {"url": simulator.url, "user": simulator.integration_username, "more": more}
        (folder / "bridge.yaml").write_text(text)
        services = Container(
            {"BRIDGE_CONFIG": str(folder / "bridge.yaml")},
            now=now,
            storage=storage,
            secrets=SettingSecrets({"DESK_PASSWORD": simulator.integration_password}),
        )
        async with httpx.AsyncClient(
            base_url=simulator.url, auth=(simulator.username, simulator.password), verify=NO_AUTHORITIES
        ) as admin:
            yield Desk(simulator, services, admin)
        await services.aclose()
