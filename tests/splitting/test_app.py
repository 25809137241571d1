"""The app with real tables and queues, Azure's payloads, the simulator of Log Analytics, and a toy ticket system."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.container import Container
from connectors.azure_monitor.plugin import PLUGIN
from connectors.microsoft.clients import CloudEndpoints
from local.azure.logs.store import WORKSPACE
from local.azurite import Azurite
from shared.core.messages import QUEUE
from shared.core.outcome import Outcome
from shared.core.plugins import Registry
from shared.web.intake import accept, read_json
from tests.microsoft.world import World, built
from tests.payloads.support import common, log
from tests.plugins.toy_desk import ToyDesk, ToyTicket, plugin

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
VM = "/subscriptions/{}/resourceGroups/rg-shop/providers/Microsoft.Compute/virtualMachines/{}"
OURS, THEIRS = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
COLUMNS = [{"name": "Computer", "type": "string"}, {"name": "FreeMB", "type": "real"}]


class App:
    """One app; ``rule`` is the name of its alert rule, which no other test has."""

    def __init__(self, services: Container, desks: list[ToyDesk], registry: Registry, rule: str) -> None:
        self._services = services
        self._desks = desks
        self._registry = registry
        self.rule = rule
        self.outcomes: list[Outcome] = []

    @property
    def tickets(self) -> dict[str, ToyTicket]:
        """By headline."""
        return {ticket.fields["headline"]: ticket for ticket in self._desks[-1].tickets.values()} if self._desks else {}

    async def post(self, body: dict[str, Any]) -> None:
        """A webhook's request, and the worker until nothing of it is left on the queue."""
        decoded = read_json(json.dumps(body).encode(), "application/json")
        for message in accept(decoded, NOW, self._registry.schemas).messages:
            self.outcomes.append(await self._services.worker.handle_now(message))
        await self._work_off()

    async def waiting(self) -> int:
        """Messages on the queue, hidden ones included."""
        return await self._services.queue.depth()

    async def _work_off(self) -> None:
        queue = self._services.storage.queue(QUEUE)
        for _ in range(50):
            mine = [one async for one in queue.receive_messages(messages_per_page=32, visibility_timeout=1)]
            mine = [one for one in mine if self.rule in one.content]
            if not mine:
                return
            for one in mine:
                message = await self._services.queue.decoded(one.content)
                self.outcomes.append(await self._services.worker.handle_now(replace(message, due=None)))
                await queue.delete_message(one)
        raise AssertionError("the queue does not come to rest")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clouds")


@pytest.fixture
async def clouds(certificates: Path) -> AsyncIterator[World]:
    async with built(certificates) as world:
        yield world


Start = Callable[[str], App]


@pytest.fixture
async def started(azurite: Azurite, tmp_path: Path, clouds: World) -> AsyncIterator[Start]:
    opened: list[Container] = []

    def start(sections: str) -> App:
        services, app = _app(azurite, tmp_path, clouds, sections)
        opened.append(services)
        return app

    yield start
    for services in opened:
        await services.aclose()


def _app(azurite: Azurite, tmp_path: Path, clouds: World, sections: str) -> tuple[Container, App]:
    file = tmp_path / "bridge.yaml"
    toys = f"toys{uuid4().hex[:9]}"  # the budget of a connection is shared by all tests of a process
    text = f"version: 1\nconnections:\n  toys: {{type: toy_desk, room: attic}}\n{sections}"
    file.write_text(text.replace("toys", toys))
    desks: list[ToyDesk] = []
    registry = Registry(sources=(PLUGIN,), more_ticket_systems=(plugin(NOW, desks),))
    endpoints: CloudEndpoints = clouds.endpoints()
    services = Container(
        {"BRIDGE_CONFIG": str(file), "AzureWebJobsStorage": azurite.connection_string},
        registry=registry,
        now=lambda: NOW,
        secrets=clouds.vault,
        given=(endpoints,),
    )
    return services, App(services, desks, registry, f"r{uuid4().hex[:9]}")


def old_alert(app: App, alert: str, *computers: tuple[str, str], resolved: bool = False) -> dict[str, Any]:
    """A log alert V1 that brings a row for each subscription and name of a machine."""
    rows = [[VM.format(subscription, name), 5] for subscription, name in computers]
    columns = [{"name": "_ResourceId", "type": "string"}, COLUMNS[1]]
    context: dict[str, Any] = {"SearchQuery": "Disks", "ResultCount": len(rows)}
    if rows:
        context["SearchResults"] = {"tables": [{"columns": columns, "rows": rows}]}
    essentials = {
        "alertId": f"/subscriptions/{OURS}/providers/Microsoft.AlertsManagement/alerts/{alert}",
        "alertRule": app.rule,
        "monitorCondition": "Resolved" if resolved else "Fired",
    }
    return common(context, monitoringService="Log Analytics", **essentials)


async def test_three_rows_are_three_tickets_that_end_with_their_alert(started: Start) -> None:
    app = started("default: {connection: toys, group: {by: row}}\n")
    machines = [(OURS, f"web-0{number}") for number in (1, 2, 3)]
    await app.post(old_alert(app, "a1", *machines))
    assert set(app.tickets) == {f"{app.rule} on web-0{number}" for number in (1, 2, 3)}
    assert {ticket.state for ticket in app.tickets.values()} == {"o"}
    await app.post(old_alert(app, "a1", resolved=True))
    assert {ticket.state for ticket in app.tickets.values()} == {"d"}


async def test_a_row_about_a_resource_that_is_not_allowed_makes_no_ticket(started: Start, clouds: World) -> None:
    sections = f"default: {{connection: toys, group: {{by: row}}}}\naccept_only: {{subscriptions: {OURS}}}\n"
    app = started(f"{sections}{logs_of(clouds)}")
    rows = [[VM.format(OURS, "web-01"), 5], [VM.format(THEIRS, "web-02"), 5]]
    columns = [{"name": "_ResourceId", "type": "string"}, COLUMNS[1]]
    await clouds.tell("POST", "/log-queries", query="Disks", columns=columns, rows=rows)
    await app.post(new_alert(app, "a2"))
    assert set(app.tickets) == {f"{app.rule} on web-01"}
    assert [one.code for one in app.outcomes if one.kind == "signal_quarantined"] == ["not_allowed"]


async def test_the_rows_of_an_alert_that_brings_none_are_in_its_ticket(started: Start, clouds: World) -> None:
    app = started(f"default: {{connection: toys}}\n{logs_of(clouds)}")
    await clouds.tell("POST", "/log-queries", query="Disks", columns=COLUMNS, rows=[["web-01", 5], ["web-02", 7]])
    await app.post(new_alert(app, "a3"))
    (ticket,) = app.tickets.values()
    assert "Computer | FreeMB\nweb-01 | 5\nweb-02 | 7" in ticket.fields["story"]


async def test_while_log_analytics_fails_the_ticket_is_made_and_the_order_to_read_its_rows_is_on_the_queue(
    started: Start, clouds: World
) -> None:
    app = started(f"default: {{connection: toys}}\n{logs_of(clouds, wait='1s')}")
    await clouds.tell("POST", "/scenarios", type="fail", match={"service": "logs"}, times=1, retry_after=30)
    before, begun = await app.waiting(), asyncio.get_running_loop().time()
    await app.post(new_alert(app, "a4"))
    assert asyncio.get_running_loop().time() - begun < 5
    (ticket,) = app.tickets.values()
    assert "FreeMB" not in ticket.fields["story"]
    assert await app.waiting() == before + 1


async def test_an_alert_without_a_route_runs_no_query(started: Start, clouds: World) -> None:
    sections = "routes: [{name: others, when: {kind: metric}, connection: toys}]\n"
    app = started(f"{sections}{logs_of(clouds)}")
    await app.post(new_alert(app, "a5"))
    assert [one.decision for one in app.outcomes] == ["no_route"]
    found = (await clouds.tell("GET", "/requests"))["requests"]
    assert [one for one in found if one["operation"] == "logs/query"] == []


def logs_of(clouds: World, wait: str = "5s") -> str:
    return "log_rows: " + json.dumps({"sign_in": clouds.sign_in(), "wait": wait}) + "\n"


def new_alert(app: App, alert: str) -> dict[str, Any]:
    """A log alert V2, which brings no rows."""
    begin, end = NOW - timedelta(hours=1), NOW
    span = f"{begin:%Y-%m-%dT%H:%M:%SZ}%2f{end:%Y-%m-%dT%H:%M:%SZ}"
    link = f"https://api.loganalytics.io/v1/workspaces/{WORKSPACE}/query?query=Disks&timespan={span}"
    essentials = {
        "alertId": f"/subscriptions/{OURS}/providers/Microsoft.AlertsManagement/alerts/{alert}-{app.rule}",
        "alertRule": app.rule,
        "alertTargetIDs": [VM.format(OURS, "law")],
    }
    return common(log(searchQuery="Disks", linkToSearchResultsAPI=link), **essentials)
