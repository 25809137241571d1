"""A consent that is revoked at the instance: alerts wait on the queue, people are told once, and nothing is lost."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from app.container import Container
from cli.connect import connecting
from connectors.bridge.source import BridgeSource
from connectors.bridge.store import TABLE as OWN
from shared.core.messages import QUEUE, SignalMessage, decode, encode
from shared.operations.connection_health import TABLE as HEALTH
from shared.operations.credential_watch import TABLE as CREDENTIALS
from shared.platform.storage import Storage
from tests.mapping.signals import signal
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected
from tests.tokens.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
version: 1
connections:
  {desk}:
    type: servicenow
    url: {url}
    auth:
      type: oauth_authorization_code
      client_id: {client_id}
      client_secret: {{secret: servicenow-client-secret}}
      refresh_token: {{secret: servicenow-refresh-token}}
      redirect_url: https://contoso.example/callback
  {desk}-ops:
    type: servicenow
    url: {url}
    auth: {{type: basic, username: {user}, password: {{secret: ops-password}}}}
routes:
  - {{name: own, when: {{source: bridge}}, connection: {desk}-ops}}
default: {{connection: {desk}}}
delivery: {{first_retry: 1s, longest_retry: 1s}}
report_itself: {{reasons: [connection_failing, dead_letters_grow]}}
"""


class Bridge:
    """The app with its real queue."""

    def __init__(self, world: World, instance: SimulatedServiceNow, folder: Path) -> None:
        self.world, self.instance = world, instance
        simulator = world.simulator
        world.vault.secrets["ops-password"] = simulator.integration_password
        filled = {"url": simulator.url, "client_id": simulator.client_id, "user": simulator.integration_username}
        file = folder / "bridge.yaml"
        file.write_text(CONFIG.format(desk=world.name, **filled))
        settings = {**world.settings, "BRIDGE_CONFIG": str(file)}
        self.services = Container(settings, now=world.now, storage=world.storage, secrets=world.secrets())
        world.stack.push_async_callback(self.services.aclose)

    async def accept(self, count: int) -> list[str]:
        """So many alerts are put on the queue; their keys."""
        keys = [f"alert:1:{uuid4()}" for _ in range(count)]
        for key in keys:
            one = signal(key=key, occurred_at=self.world.now())
            await self.services.queue.send(SignalMessage(id=uuid4().hex, received_at=self.world.now(), signal=one))
        return keys

    async def work(self, messages: int) -> None:
        """The worker takes so many messages, each when it becomes visible; TimeoutError when they do not come."""
        queue, taken = self.world.storage.queue(QUEUE), 0
        async with asyncio.timeout(20):
            while taken < messages:
                async for message in queue.receive_messages(messages_per_page=32, visibility_timeout=30):
                    await queue.delete_message(message)
                    taken += 1
                    await self.services.worker.handle(str(message.id), encode(decode(message.content)), 1)
                await asyncio.sleep(0.1)

    async def report(self, minutes: float) -> None:
        """The timer ``report_itself``, some minutes later."""
        await self.world.advance(timedelta(minutes=minutes))
        self.services.__dict__.pop("health_reporter", None)
        await self.services.source(BridgeSource).report()

    async def tickets(self, key: str) -> list[dict[str, str]]:
        return await self.instance.rows("incident", f"correlation_id={key}")


@pytest_asyncio.fixture(loop_scope="module")
async def bridge(world: World, tmp_path: Path) -> AsyncIterator[Bridge]:
    for table in (OWN, HEALTH, CREDENTIALS, "parked"):
        await _emptied(world.storage, table)
    async with connected(world.simulator) as instance:
        opened = Bridge(world, instance, tmp_path)
        await opened.services.queue.depth()
        await opened.accept(1)  # the queue exists then
        await world.storage.queue(QUEUE).clear_messages()
        yield opened


async def _emptied(storage: Storage, name: str) -> None:
    from azure.core.exceptions import ResourceNotFoundError

    table = storage.table(name)
    try:
        async for row in table.list_entities():
            await table.delete_entity(row["PartitionKey"], row["RowKey"])
    except ResourceNotFoundError:
        return


async def test_given_a_consent_that_is_revoked_when_alerts_come_then_they_wait_and_people_are_told_once_until_connect(
    world: World, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.consent()
    (before,) = await bridge.accept(1)
    await bridge.work(1)
    assert len(await bridge.tickets(before)) == 1

    await world.revoke()
    waiting = await bridge.accept(3)
    await bridge.work(6)  # each is tried again
    await bridge.report(0)
    await bridge.report(16)
    for _ in range(2):
        await bridge.work(4)
        await bridge.report(20)
    problem = f"bridge:1:connection_failing|{world.name}"
    (warning,) = await bridge.tickets(problem)
    assert f"Run bridge.py check {world.name}" in warning["description"]
    assert [await bridge.tickets(key) for key in waiting] == [[], [], []]
    assert [key async for key in bridge.services.parked.rows("dead-letter")] == []

    lines = f"{world.simulator.integration_username}\n{world.simulator.integration_password}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    await connecting(bridge.services, world.name, with_password=True)
    await world.advance(timedelta(minutes=1))  # the vault is not asked more often
    await bridge.work(3)
    assert [len(await bridge.tickets(key)) for key in waiting] == [1, 1, 1]
    await bridge.report(5)
    await bridge.work(1)
    (warning,) = await bridge.tickets(problem)
    assert warning["state"] == "6"
