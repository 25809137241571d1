"""What a ticket's alerts affect is listed on it: after the ticket, each item once, with few calls."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.azurite import Azurite
from local.servicenow.demo.cmdb import SUBSCRIPTION, item_id
from shared.core.signal import Resource, Signal, SignalState
from shared.platform.log import listen
from shared.platform.storage import Storage
from tests.azure_simulator.support import NO_AUTHORITIES
from tests.defender_assignments.house import Line
from tests.mapping.signals import signal
from tests.reconcile.desk import Desk, working

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-contoso-prod/providers/Microsoft.Compute/virtualMachines"
WEB, WEB2, APP, APP2 = (
    Resource(id=f"{GROUP}/{name}", name=name) for name in ("vm-web-01", "vm-web-02", "vm-app-01", "vm-app-02")
)
STRANGER = Resource(id=f"{GROUP}/vm-nobody-knows", name="vm-nobody-knows")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


class Office:
    """A bridge at work whose clock is moved by hand, and what it logged."""

    def __init__(self, desk: Desk, control: httpx.AsyncClient, storage: Storage) -> None:
        self.desk = desk
        self.control = control
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.line = Line(storage, lambda: self.now)
        self.events: list[tuple[str, Mapping[str, Any]]] = []

    async def fired(self, *resources: Resource, key: str = "", **more: Any) -> Signal:
        """An alert fires now, and all that follows within a minute is done."""
        one = signal(key=key or f"alert:1:{uuid4()}", resources=resources, occurred_at=self.now, fired_at=self.now)
        one = replace(one, **more)
        await self.desk.deliver([one])
        await self.later(MINUTE)
        return one

    async def later(self, after: timedelta) -> None:
        """Time passes, and the worker takes what falls due."""
        until = self.now + after
        while due := sorted(one for one in self.line.waiting if one[0] <= until):
            self.line.waiting.remove(due[0])
            self.now = max(self.now, due[0][0])
            await self.desk.services.worker.handle(uuid4().hex, due[0][1], 1)
        self.now = until

    async def listed(self, key: str) -> list[str]:
        """Items that the key's ticket lists as affected, its own item first."""
        (ticket,) = await self.desk.rows("incident", f"correlation_id={key}")
        rows = await self.desk.rows("task_ci", f"task={ticket['sys_id']}")
        own = ticket["cmdb_ci"]["value"] if ticket["cmdb_ci"] else ""  # type: ignore[index]
        return [own, *sorted(row["ci_item"]["value"] for row in rows)]  # type: ignore[index]

    async def calls(self) -> int:
        return int((await self.control.get("/counters")).json()["total"])

    def of(self, name: str) -> list[Mapping[str, Any]]:
        return [fields for event, fields in self.events if event == name]


@asynccontextmanager
async def office(storage: Storage, folder: Path, more: str = "") -> AsyncIterator[Office]:
    clock: list[Office] = []
    async with (
        working(storage, folder, more, lambda: clock[0].now) as desk,
        httpx.AsyncClient(base_url=desk.simulator.control_url, verify=NO_AUTHORITIES) as control,
    ):
        clock.append(Office(desk, control, storage))
        desk.services.__dict__["queue"] = clock[0].line
        stop = listen(lambda event, fields: clock[0].events.append((event, fields)))
        try:
            yield clock[0]
        finally:
            stop()


def ids(*resources: Resource) -> list[str]:
    return [item_id(resources[0].name or ""), *sorted(item_id(one.name or "") for one in resources[1:])]


async def test_a_ticket_names_its_resource_and_lists_the_others(storage: Storage, tmp_path: Path) -> None:
    async with office(storage, tmp_path) as world:
        alert = await world.fired(WEB, WEB2, APP)
        assert await world.listed(alert.key) == ids(WEB, WEB2, APP)
        (said,) = world.of("affected_items_added")
        assert said["decision"] == "added"


async def test_one_resource_alone_costs_no_message_and_no_call(storage: Storage, tmp_path: Path) -> None:
    async with office(storage, tmp_path) as world:
        alert = await world.fired(WEB)
        assert await world.listed(alert.key) == ids(WEB)
        assert world.of("affected_items_added") == []


async def test_repeated_deliveries_and_firings_list_nothing_twice_and_ask_nothing(
    storage: Storage, tmp_path: Path
) -> None:
    async with office(storage, tmp_path) as world:
        alert = await world.fired(WEB, WEB2)
        await world.desk.deliver([alert])  # the queue shows the message once more
        await world.later(MINUTE)
        before = await world.calls()
        await world.fired(WEB, WEB2, key=alert.key)
        assert await world.calls() - before == 2, "the note, and the read before it"
        assert [one["decision"] for one in world.of("affected_items_added")] == ["added", "up_to_date", "up_to_date"]
        assert await world.listed(alert.key) == ids(WEB, WEB2)


async def test_a_firing_that_affects_more_adds_what_is_new(storage: Storage, tmp_path: Path) -> None:
    async with office(storage, tmp_path) as world:
        alert = await world.fired(WEB, WEB2)
        await world.fired(WEB, WEB2, APP, STRANGER, key=alert.key)
        assert await world.listed(alert.key) == ids(WEB, WEB2, APP)
        said = world.of("affected_items_added")[-1]
        assert said["warnings"] == ["1 of 4 affected resources have no configuration item"]


async def test_what_joins_a_group_later_is_listed_with_its_next_note(storage: Storage, tmp_path: Path) -> None:
    name = f"rule {uuid4()}"
    route = "routes: [{name: g, when: {rule: 'rule *'}, connection: desk, group: {by: rule, note_every: 5m}}]"
    async with office(storage, tmp_path, route) as world:
        key = f"group:1:g/{name}"
        for resource in (WEB, WEB2, APP, STRANGER):
            await world.fired(resource, rule=name)
        assert await world.listed(key) == ids(WEB)
        await world.later(5 * MINUTE)
        assert await world.listed(key) == ids(WEB, WEB2, APP)
        before = await world.calls()
        await world.fired(APP2, rule=name)
        await world.later(6 * MINUTE)
        assert await world.calls() - before <= 5, "read and note; the new item, and the one nobody knows; rows; insert"
        assert await world.listed(key) == ids(WEB, WEB2, APP, APP2)


async def test_a_storm_is_listed_with_few_calls(storage: Storage, tmp_path: Path) -> None:
    name = f"rule {uuid4()}"
    route = "routes: [{name: g, when: {rule: 'rule *'}, connection: desk, group: {by: rule, note_every: 5m}}]"
    async with office(storage, tmp_path, route) as world:
        rows = [{"name": f"host-{number}", "object_id": f"{GROUP}/host-{number}"} for number in range(45)]
        made = await world.control.post("/rows", json={"table": "cmdb_ci_vm_instance", "rows": rows})
        assert made.status_code in (200, 201), made.text
        before = await world.calls()
        alerts = [
            signal(
                key=f"alert:1:{uuid4()}",
                rule=name,
                resources=(Resource(id=row["object_id"], name=row["name"]),),
                occurred_at=world.now,
                fired_at=world.now,
            )
            for row in rows
        ]
        await world.desk.deliver(alerts)
        await world.later(8 * MINUTE)
        spent = await world.calls() - before
        assert spent <= 15, "ticket and note with their looks; two look-ups of twenty; the rows; five batches"
        assert len(await world.listed(f"group:1:g/{name}")) == 45


async def test_a_route_without_a_configuration_item_lists_none(storage: Storage, tmp_path: Path) -> None:
    route = "routes: [{name: bare, when: {kind: metric}, connection: desk, fields: {cmdb_ci: null}}]"
    async with office(storage, tmp_path, route) as world:
        alert = await world.fired(WEB, WEB2)
        assert await world.listed(alert.key) == [""]
        assert world.of("affected_items_added") == []


async def test_a_resolved_ticket_gets_no_list_any_more(storage: Storage, tmp_path: Path) -> None:
    async with office(storage, tmp_path) as world:
        alert = signal(key=f"alert:1:{uuid4()}", resources=(WEB, WEB2), occurred_at=world.now, fired_at=world.now)
        ended = replace(alert, state=SignalState.RESOLVED, occurred_at=world.now + timedelta(seconds=1))
        await world.desk.deliver([alert, ended])
        await world.later(MINUTE)
        assert [one["decision"] for one in world.of("affected_items_added")] == ["not_open"]
        assert await world.listed(alert.key) == ids(WEB)


async def test_a_refused_list_costs_no_ticket_and_is_said_once(storage: Storage, tmp_path: Path) -> None:
    async with office(storage, tmp_path) as world:
        refuse = {"type": "acl_refuse", "detail": "ACL Exception Insert Failed due to security constraints"}
        await world.control.post("/scenarios", json={**refuse, "match": {"table": "task_ci", "user": "azure.bridge"}})
        for _ in range(2):
            alert = await world.fired(WEB, WEB2)
            assert await world.listed(alert.key) == ids(WEB)
        assert [one["decision"] for one in world.of("affected_items_added")] == ["refused", "refused"]
        assert len(world.of("affected_items_refused")) == 1


async def test_rows_whose_answer_was_lost_are_there_once(storage: Storage, tmp_path: Path) -> None:
    async with office(storage, tmp_path) as world:
        lost = {"type": "commit_then_500", "times": 1, "match": {"path": "/v1/batch$"}}
        (await world.control.post("/scenarios", json=lost)).raise_for_status()
        alert = await world.fired(WEB, WEB2, APP)
        await world.later(10 * MINUTE)
        assert await world.listed(alert.key) == ids(WEB, WEB2, APP)
        assert [one["decision"] for one in world.of("affected_items_added")] == ["nothing_new"]


async def test_an_item_that_is_missing_is_said_once_for_each_rule_and_recorded_for_each_alert(
    storage: Storage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with office(storage, tmp_path) as world:
        rules = [f"rule {uuid4()}" for _ in range(2)]
        alerts = [await world.fired(STRANGER, rule=rule) for rule in (*rules, *rules)]
        said = world.of("field_left_out")
        assert [(one["alert_rule"], one["field"]) for one in said] == [(rule, "cmdb_ci") for rule in rules]
        delivered = [one for one in world.of("signal_delivered") if one["key"] in {alert.key for alert in alerts}]
        assert [one["left_out"] for one in delivered] == [[f"cmdb_ci '{STRANGER.id}': no record fits in cmdb_ci"]] * 4
        warned = [one for one in caplog.records if one.levelno >= logging.WARNING and "left_out" in one.getMessage()]
        assert len(warned) == 2
        entries = [
            entry async for entry in world.desk.services.audit_log.read(world.now - 60 * MINUTE, world.now + MINUTE)
        ]
        assert sum(entry.key in {alert.key for alert in alerts} and bool(entry.left_out) for entry in entries) == 4


async def test_an_alert_of_a_rule_that_names_no_resource_says_so_once(storage: Storage, tmp_path: Path) -> None:
    async with office(storage, tmp_path) as world:
        rule = f"/subscriptions/{SUBSCRIPTION}/providers/microsoft.insights/scheduledqueryrules/{uuid4()}"
        for _ in range(2):
            await world.fired(rule_id=rule, warnings=("The query names no resource.",))
        assert [one["reason"] for one in world.of("field_left_out")] == ["cmdb_ci: the alert names no resource"]
        assert [one["reason"] for one in world.of("odd_payload")] == ["The query names no resource."]
