"""Traps are noticed while signals are delivered, and said once for each rule."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.registry import REGISTRY
from local.azurite import Azurite
from shared.core.errors import StorageUnavailable
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.signal import Resource, Signal, SignalState
from shared.operations.trap_watch import SeenTrap, TrapWatch
from shared.payloads.parse import parse
from shared.platform.log import listen
from shared.platform.storage import Storage
from tests.mapping.signals import signal

ROOT = Path(__file__).parents[1] / "fixtures/azure_monitor"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KNOWN = {"monitoring_service": "Platform"}


def read(name: str) -> Signal:
    (found,) = parse(json.loads((ROOT / name).read_text("utf-8")), NOW, REGISTRY.schemas)
    assert isinstance(found, Signal)
    return found


class Watched:
    """A watch of this test's own rules, and the clock."""

    def __init__(self, storage: Storage) -> None:
        self.now = NOW
        self.storage = storage
        self.rule = f"rule {uuid4().hex[:8]}"
        self.watch = self.another_process()

    def another_process(self) -> TrapWatch:
        return TrapWatch(self.storage, REGISTRY.traps, lambda: self.now)

    async def ends(self, decision: str = "created", watch: TrapWatch | None = None, **changes: Any) -> None:
        kind = OutcomeKind.GROUPED if decision == "grouped" else OutcomeKind.DELIVERED
        rule = changes.pop("throttle", "")
        about = replace(signal(rule=self.rule, details=KNOWN), **changes)
        await (watch or self.watch).ended(Outcome(kind, decision, signal=about, rule=rule, attempts=1))

    async def found(self) -> list[SeenTrap]:
        return [one for one in await self.watch.read() if self.rule in one.about]


@pytest.fixture
async def watched(azurite: Azurite) -> AsyncIterator[Watched]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield Watched(storage)
    await storage.aclose()


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []

    def heard(event: str, fields: Any) -> None:
        events.append({"event": event, **fields})

    end = listen(heard)
    yield events
    end()


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("common/metric-static-fired.json", []),
        ("noncommon/log-v1-flat.json", ["older_schema", "no_configuration_item"]),
        ("common/log-minimal-no-alert-id-fired.json", ["no_configuration_item"]),
        ("common/log-v2-resource-lowerthan-fired.json", []),
    ],
)
def test_a_payload_shows_how_its_rule_is_set_up(name: str, codes: list[str]) -> None:
    assert [trap.code for trap in REGISTRY.traps(read(name))] == codes


async def test_a_trap_is_said_once_for_a_rule_however_many_alerts_and_processes_there_are(
    watched: Watched, logged: list[dict[str, Any]]
) -> None:
    for number in range(5):
        await watched.ends(key=f"alert:1:{number}", details={})
    await watched.ends(details={}, watch=watched.another_process())
    (trap,) = await watched.found()
    assert (trap.code, trap.first_seen) == ("older_schema", NOW)
    assert "Fix: switch 'Enable the common alert schema' on" in trap.sentence
    assert [one["about"] for one in logged if one["event"] == "trap_found"] == [watched.rule]


async def test_a_trap_that_is_not_seen_any_more_is_not_shown_after_a_week(watched: Watched) -> None:
    await watched.ends(details={})
    watched.now += timedelta(days=6)
    await watched.ends(details={})
    (trap,) = await watched.found()
    assert (trap.first_seen, trap.last_seen) == (NOW, watched.now)
    watched.now += timedelta(days=6)
    assert len(await watched.found()) == 1
    watched.now += timedelta(days=2)
    assert await watched.found() == []


async def test_alerts_of_a_rule_that_always_come_twice_have_two_ways_here(watched: Watched) -> None:
    for number in range(4):
        await watched.ends(key=f"alert:1:{number}")
        await watched.ends("duplicate", key=f"alert:1:{number}")
    assert await watched.found() == []
    await watched.ends(key="alert:1:4")
    await watched.ends("duplicate", key="alert:1:4")
    (trap,) = await watched.found()
    assert (trap.code, trap.about) == ("delivered_twice", watched.rule)


async def test_repetitions_now_and_then_are_no_trap(watched: Watched) -> None:
    for number in range(40):
        await watched.ends(key=f"alert:1:{number}")
        if number % 5 == 0:
            await watched.ends("duplicate", key=f"alert:1:{number}")
            await watched.ends("duplicate", key=f"alert:1:{number}", state=SignalState.RESOLVED)
    assert await watched.found() == []


async def test_a_throttle_that_is_exceeded_hour_after_hour_is_too_low(watched: Watched) -> None:
    for hour in range(4):
        watched.now = NOW + timedelta(hours=3 * hour)
        await watched.ends("grouped", throttle=watched.rule)
        await watched.ends("grouped", throttle=watched.rule)
    assert await watched.found() == []
    watched.now = NOW + timedelta(hours=14)
    await watched.ends("grouped", throttle=watched.rule)
    (trap,) = await watched.found()
    assert trap.code == "throttle_too_low"
    assert "raise its 'tickets'" in trap.fix


async def test_a_log_alert_that_names_its_machine_is_no_trap(watched: Watched) -> None:
    machine = Resource(id=None, name="vm-1", type="microsoft.compute/virtualmachines")
    await watched.ends(kind="log", resources=(machine,))
    assert await watched.found() == []
    workspace = Resource(id=None, name="law", type="Microsoft.OperationalInsights/workspaces")
    await watched.ends(kind="log", resources=(workspace,))
    assert [trap.code for trap in await watched.found()] == ["no_configuration_item"]


async def test_storage_that_does_not_answer_is_no_failure_of_a_signal() -> None:
    away = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=a2V5;TableEndpoint=http://127.0.0.1:9/a;"
    storage = Storage({"AzureWebJobsStorage": away})
    watch = TrapWatch(storage, REGISTRY.traps, lambda: NOW)
    await watch.ended(Outcome(OutcomeKind.DELIVERED, "created", signal=signal(details={}), attempts=1))
    with pytest.raises(StorageUnavailable):
        await watch.read()
    await storage.aclose()
