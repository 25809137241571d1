"""A bridge with real services between the stand-ins of Azure and ServiceNow, its queue in Azurite."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from app.container import Container
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints
from local.azure import Simulator as Clouds
from local.servicenow import Simulator
from shared.core.link import Link
from shared.core.messages import QUEUE, Message, PushToSource, SignalMessage, decode, encode
from shared.core.secrets import SettingSecrets
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import TicketKind, TicketRef
from shared.platform.storage import Storage
from shared.resync import FullCheckResult, ResyncResult
from tests.azure_simulator.support import ARM, NO_AUTHORITIES
from tests.mapping.signals import signal
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected

CONFIG = """
version: 1
connections:
  {name}:
    type: servicenow
    url: {url}
    auth: {{type: basic, username: {user}, password: {{secret: desk-password}}}}
    states: {states}
default: {{connection: {name}, ticket: {kind}}}
delivery: {{recheck_after: 1h}}
{more}
"""


class Stage:
    """One test's world. ``later`` is how far the bridge's clock is ahead of that of the stand-ins."""

    def __init__(self, desk: SimulatedServiceNow, storage: Storage, folder: Path, clouds: Clouds | None = None) -> None:
        self.desk = desk
        self.name = f"desk-{uuid4().hex[:8]}"
        self.later = timedelta()
        self._storage = storage
        self._folder = folder
        self._clouds = clouds
        self._started: list[Container] = []
        self.secrets: dict[str, str] = {}
        self.services = self.configured()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def configured(self, more: str = "", *, kind: str = "incident", states: str = "{}") -> Container:
        """The bridge starts (again) with these sections."""
        simulator: Simulator = self.desk.simulator
        text = CONFIG.format(
            name=self.name, url=simulator.url, user=simulator.integration_username, states=states, kind=kind, more=more
        )
        path = self._folder / f"{self.name}.yaml"
        path.write_text(text)
        secrets = self.secrets = {"DESK_PASSWORD": simulator.integration_password}
        reach = None
        if self._clouds is not None:
            secrets["BRIDGE"] = self._clouds.client_secret
            reach = CloudEndpoints(
                Endpoint(self._clouds.https_url, ARM),
                self._clouds.https_url,
                ssl.create_default_context(cafile=self._clouds.ca_file),
                {"disable_instance_discovery": True, "connection_verify": self._clouds.ca_file},
            )
        self.services = Container(
            {"BRIDGE_CONFIG": str(path)},
            now=self.now,
            storage=self._storage,
            secrets=SettingSecrets(secrets),
            given=(reach,) if reach is not None else (),
        )
        self._started.append(self.services)
        return self.services

    async def aclose(self) -> None:
        """Close what the bridge opened, except the storage."""
        for services in self._started:
            await services.aclose()

    # The bridge

    async def deliver(self, *signals: Signal) -> Link:
        """The worker takes signals, one after the other; the link of the last."""
        for one in signals:
            envelope = SignalMessage(id=uuid4().hex, received_at=self.now(), signal=one)
            await self.services.worker.handle(envelope.id, encode(envelope), 1)
        return await self.link(signals[-1].key)

    async def link(self, key: str) -> Link:
        stored = await self.services.links.load(key)
        assert stored is not None
        return stored.value

    async def change(self, key: str, **fields: Any) -> None:
        """Change a link as another worker would."""
        stored = await self.services.links.load(key)
        await self.services.links.write(replace(await self.link(key), **fields), stored.etag if stored else None)

    async def resync(self, after: timedelta = timedelta(minutes=5)) -> ResyncResult:
        """The timer, some minutes later."""
        self.later += after
        (result,) = await self.services.timers.resync()
        return result

    async def full_check(self, after: timedelta = timedelta(days=1)) -> FullCheckResult:
        self.later += after
        (result,) = await self.services.timers.full_check()
        return result

    async def told(self) -> list[str]:
        """Keys whose sources are to be told, by what lies on the queue. The messages are taken off it."""
        return [one.key for _, one in await self._messages() if isinstance(one, PushToSource)]

    async def work_off(self) -> list[str]:
        """The worker takes what lies on the queue; the keys whose sources were to be told."""
        told = []
        for message, envelope in await self._messages():
            await self.services.worker.handle(message, encode(envelope), 1)
            told.append(envelope.key if isinstance(envelope, PushToSource) else "")
        return told

    async def _messages(self) -> Sequence[tuple[str, Message]]:
        queue = self._storage.queue(QUEUE)
        found = []
        async for message in queue.receive_messages(messages_per_page=32, visibility_timeout=300):
            found.append((str(message.id), decode(message.content)))
            await queue.delete_message(message)
        return found

    # People

    async def write(self, link: Link, **fields: str) -> None:
        """Somebody changes the ticket."""
        await self.desk.write(_ref(link), **fields)

    async def resolve(self, link: Link) -> None:
        await self.write(link, state="6", close_code="Solution provided", close_notes="Restarted it.")

    async def delete(self, link: Link) -> None:
        await self.desk.delete(_ref(link))


def fired(**changes: Any) -> Signal:
    """A problem of its own begins, an hour ago."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    return replace(signal(key=f"alert:1:{uuid4()}", occurred_at=began, fired_at=began), **changes)


def over(begun: Signal, after: timedelta = timedelta(minutes=10)) -> Signal:
    """The end of a problem."""
    at = begun.occurred_at + after
    return replace(begun, state=SignalState.RESOLVED, occurred_at=at, resolved_at=at)


def again(begun: Signal, after: timedelta = timedelta(minutes=20)) -> Signal:
    """It begins once more."""
    return replace(begun, occurred_at=begun.occurred_at + after)


def _ref(link: Link) -> TicketRef:
    assert link.ticket is not None
    return link.ticket


@asynccontextmanager
async def staged(
    simulator: Simulator, storage: Storage, folder: Path, clouds: Clouds | None = None
) -> AsyncIterator[Stage]:
    """A fresh instance and an empty queue."""
    async with connected(simulator) as desk:
        await desk.reset()
        await desk.set(change_transitions="off")
        stage = Stage(desk, storage, folder, clouds)
        await stage.services.queue.depth()
        await stage.services.queue.send(PushToSource(id="0" * 32, received_at=stage.now(), key="x"))  # it exists
        await storage.queue(QUEUE).clear_messages()
        yield stage
        await stage.aclose()


def admin(url: str) -> httpx.AsyncClient:
    """A client for loopback http."""
    return httpx.AsyncClient(base_url=url, verify=NO_AUTHORITIES, trust_env=False)


__all__ = ["Stage", "TicketKind", "admin", "again", "fired", "over", "staged"]
