"""The whole app in a host whose triggers sleep: alerts are answered with 202, and every one has its ticket in time.

Every time is a sixth of what it is in production, so that three minutes are thirty seconds. ``make chaos`` runs the
same at full length.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from app import standby
from app.registry import REGISTRY
from local import servicenow
from local.azurite import Azurite
from local.demo.alerts import Azure
from local.host import asleep
from local.host.server import Host
from shared.delivery.queue import SignalQueue
from shared.operations import overdue, vital_signs
from shared.platform.storage import Storage
from shared.web.intake import accept
from tests.azure_simulator.support import NO_AUTHORITIES
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected
from tests.standby.world import CONFIG

ROOT = Path(__file__).parents[2]
SCALE = 6
#: Within which every alert has its ticket.
IN_TIME = 180 / SCALE


@pytest.fixture(autouse=True)
def _time_runs_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_EVERY", "WEBHOOK_SECONDS", "HEALTH_SECONDS"):
        monkeypatch.setattr(standby, name, getattr(standby, name) / SCALE)
    for name in ("WAIT_BOUND", "SILENCE_BOUND"):
        monkeypatch.setattr(overdue, name, getattr(overdue, name) / SCALE)
    monkeypatch.setattr(vital_signs, "WRITE_EVERY", vital_signs.WRITE_EVERY / SCALE)


class Sleeper:
    """Two processes of the app, or one, whose host may sleep."""

    def __init__(self, desk: SimulatedServiceNow, hosts: list[Host], file: Path) -> None:
        self.desk, self.hosts, self.file = desk, hosts, file
        self.http = httpx.AsyncClient(verify=NO_AUTHORITIES, trust_env=False)
        self.sent: dict[str, float] = {}
        self.seen: dict[str, float] = {}

    def sleeps(self, *functions: str) -> None:
        asleep.write(self.file, functions)

    async def alert(self, body: dict[str, Any], number: int = 0) -> None:
        host = self.hosts[number % len(self.hosts)]
        answer = await self.http.post(
            f"{host.url}/api/alerts", json=body, headers={"x-functions-key": host.keys.function[0]}
        )
        assert answer.status_code == 202, answer.text

    async def alerts(self, count: int, pause: float) -> None:
        """Send so many alerts, one after the other."""
        for number in range(count):
            alert = str(uuid4())
            self.sent[alert] = time.monotonic()
            await self.alert(Azure().metric(alert), number)
            await asyncio.sleep(pause)

    async def health(self) -> str:
        answer = await self.http.get(f"{self.hosts[0].url}/api/health", timeout=30)
        assert answer.status_code == 200
        return str(answer.json()["status"])

    async def watch(self, most: float = IN_TIME + 5) -> None:
        """Until every alert has a ticket; when each was seen."""
        deadline = time.monotonic() + most
        while time.monotonic() < deadline and len(self.seen) < len(self.sent):
            for row in await self.desk.rows("incident", "correlation_idSTARTSWITHalert:1:"):
                self.seen.setdefault(row["correlation_id"].removeprefix("alert:1:"), time.monotonic())
            await asyncio.sleep(0.3)

    async def every_alert_has_one_ticket_in_time(self) -> None:
        rows = await self.desk.rows("incident", "correlation_idSTARTSWITHalert:1:")
        found = [row["correlation_id"].removeprefix("alert:1:") for row in rows]
        assert sorted(found) == sorted(self.sent)
        late = {alert: self.seen[alert] - at for alert, at in self.sent.items() if self.seen[alert] - at > IN_TIME}
        assert late == {}


@pytest_asyncio.fixture(params=[1], ids=["one process"])
async def sleeper(
    request: pytest.FixtureRequest, own_azurite: Azurite, storage: Storage, tmp_path: Path
) -> AsyncIterator[Sleeper]:
    file = tmp_path / "asleep.json"
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(servicenow.running())
        desk = await stack.enter_async_context(connected(simulator))
        config = tmp_path / "bridge.yaml"
        name = f"desk-{uuid4().hex[:8]}"
        config.write_text(CONFIG.format(name=name, url=simulator.url, user=simulator.integration_username))
        settings = {
            "AzureWebJobsStorage": own_azurite.connection_string,
            "BRIDGE_CONFIG": str(config),
            "DESK_PASSWORD": simulator.integration_password,
        }
        asleep.write(file, [asleep.ALL])
        hosts = []
        for _ in range(request.param):
            host = await stack.enter_async_context(Host(ROOT, settings=settings, asleep=file, grace=1.0))
            assert host.module is not None
            stack.push_async_callback(host.module.services.aclose)
            hosts.append(host)
        opened = Sleeper(desk, hosts, file)
        stack.push_async_callback(opened.http.aclose)
        yield opened


async def test_alerts_that_come_while_the_trigger_sleeps_have_one_ticket_each_in_time(sleeper: Sleeper) -> None:
    await asyncio.gather(sleeper.alerts(60, 0.15), sleeper.watch())
    await sleeper.every_alert_has_one_ticket_in_time()
    assert await sleeper.health() == "degraded"


async def test_the_pulse_of_an_availability_test_alone_keeps_it_going(sleeper: Sleeper, storage: Storage) -> None:
    # Straight onto the queue: a webhook that took them in would stand in for the trigger itself.
    for _ in range(8):
        alert = str(uuid4())
        sleeper.sent[alert] = time.monotonic()
        for message in accept(Azure().metric(alert), datetime.now(UTC), REGISTRY.schemas).messages:
            await SignalQueue(storage).send(message)

    async def pulse() -> None:
        for _ in range(5):
            await sleeper.health()
            await asyncio.sleep(60 / SCALE)

    pulsing = asyncio.create_task(pulse())
    await sleeper.watch()
    pulsing.cancel()
    await sleeper.every_alert_has_one_ticket_in_time()


async def test_a_resolved_ends_its_ticket_while_the_trigger_sleeps(sleeper: Sleeper) -> None:
    azure, alert = Azure(), str(uuid4())
    sleeper.sent[alert] = time.monotonic()
    await sleeper.alert(azure.metric(alert))
    await sleeper.alert(azure.metric(alert, resolved=True))
    for _ in range(150):
        rows = await sleeper.desk.rows("incident", f"correlation_id=alert:1:{alert}")
        if rows and rows[0]["state"] == "6":
            break
        await sleeper.health()
        await asyncio.sleep(0.3)
    assert [row["state"] for row in rows] == ["6"]


@pytest.mark.parametrize("sleeper", [2], ids=["two processes"], indirect=True)
async def test_a_trigger_that_wakes_up_meanwhile_doubles_nothing_and_loses_nothing(sleeper: Sleeper) -> None:
    async def wakes_up() -> None:
        while len(sleeper.seen) < 5:  # noqa: ASYNC110 - somebody stands in by then
            await asyncio.sleep(0.1)
        sleeper.sleeps()

    waking = asyncio.create_task(wakes_up())
    await asyncio.gather(sleeper.alerts(60, 0.15), sleeper.watch())
    await waking
    await sleeper.every_alert_has_one_ticket_in_time()
