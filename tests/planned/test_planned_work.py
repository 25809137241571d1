"""A change in Implement holds the alerts of its items; without it, or without news of it, they get their tickets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.configuration import parse_config
from local.azurite import Azurite
from local.servicenow.demo.cmdb import item_id
from shared.config.storms import MaintenanceSettings
from shared.core.errors import ConfigurationError, Unavailable
from shared.core.jobs import JobRun
from shared.core.messages import QUEUE
from shared.core.signal import Resource, Signal, SignalState
from shared.core.ticket_system import PlannedWork, WorkItem
from shared.delivery.planned_work import PlannedWorkCache
from shared.platform.log import listen
from shared.platform.storage import Storage
from tests.azure_simulator.support import NO_AUTHORITIES
from tests.mapping.signals import signal
from tests.reconcile.desk import Desk, working

GROUP = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg-contoso-prod"
WEB = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm-web-01"
OTHER = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm-web-02"
FOLLOW = "maintenance: [{name: changes, changes_of: desk, when: {severity: [1, 2]}}]\n"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


@asynccontextmanager
async def following(storage: Storage, folder: Path, clock: Clock) -> AsyncIterator[Desk]:
    async with working(storage, folder, FOLLOW, clock) as desk:
        async with httpx.AsyncClient(base_url=desk.simulator.control_url, verify=NO_AUTHORITIES) as control:
            answer = await control.patch("/settings", json={"change_transitions": "off"})
            assert answer.status_code == 200, answer.text
        yield desk
        await storage.queue(QUEUE).clear_messages()  # what is held


async def change(desk: Desk, item: str, *, ends: datetime | None = None, **more: str) -> dict[str, str]:
    """A change request in Implement on a configuration item."""
    fields = {"short_description": "Patching", "state": "-1", "cmdb_ci": item and item_id(item), **more}
    if ends is not None:
        fields["end_date"] = f"{ends:%Y-%m-%d %H:%M:%S}"
    return await desk.write("change_request", fields)


def alert(resource: str = WEB, clock: Clock | None = None, **changes: Any) -> Signal:
    affected = Resource(id=resource, name=resource.rpartition("/")[2])
    at = clock.now if clock else datetime.now(UTC)
    return signal(key=f"alert:1:{uuid4()}", resources=(affected,), occurred_at=at, fired_at=at, **changes)


async def test_an_alert_waits_until_the_change_on_its_item_leaves_implement(storage: Storage, tmp_path: Path) -> None:
    clock = Clock()
    async with following(storage, tmp_path, clock) as desk:
        changed = await change(desk, "vm-web-01", ends=clock.now + 8 * HOUR)
        await desk.services.timers.collect_planned_work()
        held = alert(WEB.upper(), clock)
        await desk.deliver([held])
        assert await desk.states(held.key) == []
        stored = await desk.services.links.load(held.key)
        assert stored is not None
        assert stored.value.held_by == f"changes: {changed['number']}"
        await desk.write("change_request", {"state": "0"}, changed["sys_id"])
        await desk.services.timers.collect_planned_work()
        clock.now += 10 * MINUTE
        await desk.deliver([held])
        assert await desk.states(held.key) == ["1"]


async def test_a_dry_run_counts_the_changes_and_holds_nothing_back(storage: Storage, tmp_path: Path) -> None:
    clock = Clock()
    async with following(storage, tmp_path, clock) as desk:
        changed = await change(desk, "vm-web-01", ends=clock.now + 8 * HOUR)
        asked = JobRun(dry_run=True)
        await desk.services.timers.collect_planned_work(asked)
        (part,) = asked.parts()
        assert part.counts["changes"] >= 1
        assert any(changed["number"] in sample for sample in asked.samples)
        free = alert(WEB, clock)
        await desk.deliver([free])
        assert await desk.states(free.key) == ["1"]


async def test_an_alert_gets_its_ticket_when_the_planned_end_has_passed(storage: Storage, tmp_path: Path) -> None:
    clock = Clock()
    async with following(storage, tmp_path, clock) as desk:
        await change(desk, "vm-web-01", ends=clock.now + 5 * MINUTE)
        await desk.services.timers.collect_planned_work()
        held = alert(clock=clock)
        await desk.deliver([held])
        assert await desk.states(held.key) == []
        clock.now += 5 * MINUTE
        await desk.deliver([held])
        assert await desk.states(held.key) == ["1"]


async def test_only_the_items_of_the_change_and_only_the_signals_of_the_section_wait(
    storage: Storage, tmp_path: Path
) -> None:
    clock = Clock()
    async with following(storage, tmp_path, clock) as desk:
        changed = await change(desk, "vm-web-01")
        await change(desk, "vm-app-01", state="-2")  # only scheduled
        await desk.write("task_ci", {"task": changed["sys_id"], "ci_item": item_id("vm-app-02")})
        await desk.services.timers.collect_planned_work()
        others = [
            alert(OTHER, clock),
            alert(WEB.replace("vm-web-01", "vm-app-01"), clock),
            alert(clock=clock, severity=3),
        ]
        attached = alert(WEB.replace("vm-web-01", "vm-app-02"), clock)
        await desk.deliver([*others, attached])
        assert [await desk.states(other.key) for other in others] == [["1"]] * 3
        assert await desk.states(attached.key) == []


async def test_what_ends_during_the_work_makes_no_ticket(storage: Storage, tmp_path: Path) -> None:
    clock = Clock()
    async with following(storage, tmp_path, clock) as desk:
        await change(desk, "vm-web-01")
        await desk.services.timers.collect_planned_work()
        held = alert(clock=clock)
        over = signal(
            key=held.key,
            state=SignalState.RESOLVED,
            occurred_at=clock.now + MINUTE,
            resolved_at=clock.now + MINUTE,
            resources=held.resources,
        )
        await desk.deliver([held, over, held])
        assert await desk.states(held.key) == []


async def test_one_interval_costs_two_calls_and_one_when_nothing_is_under_way(storage: Storage, tmp_path: Path) -> None:
    clock = Clock()
    async with following(storage, tmp_path, clock) as desk:

        async def calls() -> int:
            async with httpx.AsyncClient(base_url=desk.simulator.control_url, verify=NO_AUTHORITIES) as control:
                await control.delete("/requests")
                await desk.services.timers.collect_planned_work()
                return int((await control.get("/counters")).json()["total"])

        for row in await desk.rows("change_request", "state=-1"):
            await desk.write("change_request", {"state": "0"}, row["sys_id"])
        assert await calls() == 1
        await change(desk, "vm-web-01")
        assert await calls() == 2


class Told:
    """A ticket system that says what it is told to say."""

    def __init__(self, *works: PlannedWork) -> None:
        self.works: Sequence[PlannedWork] | None = works

    async def planned_work(self) -> Sequence[PlannedWork]:
        if self.works is None:
            raise Unavailable("asleep", connection="desk")
        return self.works


def sections(name: str) -> list[MaintenanceSettings]:
    return [MaintenanceSettings.model_validate({"name": "changes", "changes_of": name})]


async def known(storage: Storage, clock: Clock, *items: WorkItem, ends: datetime | None = None) -> PlannedWorkCache:
    """Planned work on items, collected and read."""
    planned = PlannedWorkCache(sections(f"desk-{uuid4().hex[:8]}"), storage, now=clock)
    told = Told(PlannedWork("CHG0030001", ends, items))
    await planned.collect(lambda _name: told)
    await planned.refresh()
    return planned


@pytest.mark.parametrize(
    ("item", "resource", "held"),
    [
        (WorkItem(WEB, "", "x"), Resource(id=WEB.upper() + "/", name="vm-web-01"), True),
        (WorkItem(WEB, "", "vm-web-01"), Resource(id=OTHER, name="vm-web-01"), False),
        (WorkItem("", "", "VM-WEB-01"), Resource(id=WEB, name="vm-web-01"), True),
        (WorkItem("", "db.contoso.example", ""), Resource(id=None, name="DB.contoso.example"), True),
        (WorkItem("", "", "db"), Resource(id=None, name="db.contoso.example"), True),
        (WorkItem(WEB, "", "vm-web-01"), Resource(id=None, name="vm-web-01"), True),
        (WorkItem("", "", "db"), Resource(id=None, name="web"), False),
        (WorkItem("i-0abc", "", "vm-web-01"), Resource(id=WEB, name="vm-web-01"), True),
        (WorkItem("", "", "db"), Resource(id=None, name=None), False),
    ],
)
async def test_items_are_recognised_by_id_host_name_and_name(
    storage: Storage, item: WorkItem, resource: Resource, held: bool
) -> None:
    clock = Clock()
    planned = await known(storage, clock, item)
    found = planned.holds(signal(resources=(resource,)), clock.now)
    assert (found is not None) is held


async def test_a_hold_is_short_so_that_an_early_end_is_seen(storage: Storage) -> None:
    clock = Clock()
    item = WorkItem(WEB)
    for ends, until in ((None, 10), (8 * HOUR, 10), (3 * MINUTE, 3)):
        planned = await known(storage, clock, item, ends=None if ends is None else clock.now + ends)
        found = planned.holds(alert(), clock.now)
        assert found is not None
        assert (found.rule, found.until) == ("changes: CHG0030001", clock.now + until * MINUTE)
    assert planned.holds(alert(), clock.now + 3 * MINUTE) is None


async def test_old_news_is_not_believed_and_that_is_said_once(storage: Storage) -> None:
    clock = Clock()
    planned = await known(storage, clock, WorkItem(WEB))
    clock.now += 15 * MINUTE
    assert planned.holds(alert(), clock.now) is not None
    clock.now += MINUTE
    heard: list[str] = []
    end = listen(lambda event, _fields: heard.append(event))
    assert [planned.holds(alert(), clock.now) for _ in range(3)] == [None] * 3
    end()
    assert heard == ["planned_work_stale"]


async def test_a_system_that_does_not_answer_leaves_the_last_news_and_workers_read_it_once_a_minute(
    storage: Storage,
) -> None:
    clock, told = Clock(), Told(PlannedWork("CHG0030001", None, (WorkItem(WEB),)))
    name = f"desk-{uuid4().hex[:8]}"
    planned, other = (PlannedWorkCache(sections(name), storage, now=clock) for _ in range(2))
    await other.refresh()
    assert other.holds(alert(), clock.now) is None
    await planned.collect(lambda _name: told)
    await other.refresh()
    assert other.holds(alert(), clock.now) is None  # read less than a minute ago
    clock.now += MINUTE
    await other.refresh()
    assert other.holds(alert(), clock.now) is not None
    told.works = None
    await planned.collect(lambda _name: told)
    clock.now += MINUTE
    await other.refresh()
    assert other.holds(alert(), clock.now) is not None


def test_following_an_unknown_connection_is_a_mistake() -> None:
    text = (
        "version: 1\nconnections:\n  desk: {type: servicenow, url: 'https://contoso.service-now.com', "
        "auth: {type: api_key, key: {secret: key}}}\ndefault: {connection: desk}\n"
        "maintenance: [{name: changes, changes_of: desc}]\n"
    )
    with pytest.raises(ConfigurationError, match="did you mean 'desk'"):
        parse_config(text, settings={})
