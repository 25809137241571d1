"""A ticket system and a source that the product does not know, from webhook to ticket and back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.configuration import parse_config
from app.container import Container
from app.sources import check
from local.azurite import Azurite
from shared.core.errors import ConfigurationError
from shared.core.http import Request
from shared.core.jobs import JobRun
from shared.core.link import LinkStage
from shared.core.messages import QUEUE
from shared.core.plugins import Registry
from shared.core.ticket_system import CheckStatus
from tests.plugins import toy_source
from tests.plugins.toy_desk import ToyDesk, plugin
from tests.plugins.toy_source import ToyFactory

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

CONFIG = """\
version: 1
connections:
  toys: {type: toy_desk, room: attic}
default: {connection: toys, fields: {colour: red}}
factory: {line: 7}
"""


class World:
    """The app with nothing but the two toys."""

    services: Container

    def __init__(self, registry: Registry, desks: list[ToyDesk]) -> None:
        self.registry = registry
        self._desks = desks
        self.later = timedelta()

    def now(self) -> datetime:
        return NOW + self.later

    @property
    def desk(self) -> ToyDesk:
        return self._desks[-1]

    @property
    def factory(self) -> ToyFactory:
        return self.services.source(ToyFactory)

    async def post(self, body: object) -> None:
        """A webhook's request, and the queue's worker."""
        (intake,) = toy_source.PLUGIN.intakes
        request = Request("POST", headers={"Content-Type": "application/json"}, body=json.dumps(body).encode())
        response = await self.services.webhook.take_in(intake, request)
        assert response.status == 202
        ids = {item["id"] for item in response.body["items"]}
        queue = self.services.storage.queue(QUEUE)
        while ids:
            async for message in queue.receive_messages(messages_per_page=32, visibility_timeout=5):
                mine = {one for one in ids if one in message.content}  # others' tests use the same queue
                if mine:
                    ids -= mine
                    await self.services.worker.handle(message.id, message.content, 1)
                    await queue.delete_message(message)


@pytest.fixture
async def world(azurite: Azurite, tmp_path: Path) -> AsyncIterator[World]:
    file = tmp_path / "bridge.yaml"
    file.write_text(CONFIG)
    desks: list[ToyDesk] = []
    registry = Registry(sources=(toy_source.PLUGIN,), more_ticket_systems=(plugin(NOW, desks),))
    settings = {"BRIDGE_CONFIG": str(file), "AzureWebJobsStorage": azurite.connection_string}
    started = World(registry, desks)
    started.services = Container(settings, registry=registry, now=started.now)
    yield started
    desk, factory = started.desk, started.factory
    await started.services.aclose()
    assert desk.closed
    assert factory.closed


async def test_a_signal_becomes_a_ticket_is_resolved_and_comes_back(world: World, tmp_path: Path) -> None:
    toy = f"Bear of {tmp_path.name} with a very long name"
    await world.post({"toy": toy})
    (ticket,) = world.desk.tickets.values()
    assert ticket.fields["headline"] == f"{toy} is broken"[:29].rstrip() + "…"
    assert (ticket.fields["damage"], ticket.fields["haste"], ticket.fields["colour"]) == ("2", "1", "red")
    assert ticket.correlation.startswith("toy:1:bear")
    await world.post({"toy": toy})  # the very same event again
    assert len(world.desk.tickets) == 1
    world.later += timedelta(minutes=1)
    await world.post({"toy": toy})
    assert "The toy broke again at 2030-01-02T03:05:05.000Z." in ticket.notes[-1]
    world.later += timedelta(minutes=1)
    await world.post({"toy": toy, "mended": True})
    assert ticket.state == "d"
    assert ticket.fields["end"].endswith(", reported by Toy Factory.")


async def test_what_people_do_with_the_ticket_comes_back_and_is_pushed_to_the_source(
    world: World, tmp_path: Path
) -> None:
    toy = f"train of {tmp_path.name}"
    await world.post({"toy": toy})
    key = f"toy:1:{toy.lower()}"
    (ticket,) = world.desk.tickets.values()
    world.later += timedelta(minutes=10)
    world.desk.now = world.now()
    ticket.state, ticket.revision, ticket.updated_on = "d", ticket.revision + 1, world.now()
    (result,) = await world.services.timers.resync()
    assert (result.connection, result.reason) == ("toys", "")
    stored = await world.services.links.load(key)
    assert stored is not None
    assert (stored.value.stage, stored.value.state) == (LinkStage.RESOLVED, "d")
    assert await world.services.write_back.push(key) == "pushed"
    assert world.factory.pushed[-1] == f"{key} is d"
    assert world.services.state_name("toys", stored.value.kind, "d") == "Done"


async def test_checks_preview_timers_and_endpoints_know_the_toys(world: World) -> None:
    (line,) = await world.services.system("toys").check(world.services.mapper.needs("toys"))
    assert line.detail == "attic is open; wanted are colour, damage, end, haste, headline, story"
    (section,) = await check(world.services.sources)
    assert (section.name, section.lines[0].verdict, section.lines[0].detail) == (
        "factory",
        CheckStatus.OK,
        "line 7 runs",
    )
    (shown,) = world.services.preview({"toy": "doll"})
    assert shown["ticket"]["fields"]["headline"] == "doll is broken"
    assert shown["ticket"]["fields"]["label"].startswith("incident/toy:1:doll")
    await world.services.jobs["inspect"](JobRun())
    answer = await world.factory.handlers()["inspections"](Request())
    assert (answer.status, answer.body) == (200, {"inspected": 1})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("room: attic", "roam: attic", "bridge.yaml:3: connections.toys.roam: unknown name 'roam'. Fix: did you mean"),
        ("type: toy_desk", "type: toydesk", "bridge.yaml:3: connections.toys.type: must be 'toy_desk'"),
        (
            "colour: red",
            "rank: 1",
            "bridge.yaml:4: default.fields.rank: The desk ranks tickets itself. Fix: set damage",
        ),
        ("line: 7", "line: 13", "bridge.yaml:5: factory.line: nobody works at line 13. Fix: take another line"),
        ("line: 7", "lane: 7", "bridge.yaml:5: factory.lane: unknown name 'lane'. Fix: did you mean 'line'?"),
    ],
)
def test_mistakes_are_told_with_line_and_fix(old: str, new: str, message: str) -> None:
    registry = Registry(sources=(toy_source.PLUGIN,), more_ticket_systems=(plugin(NOW, []),))
    with pytest.raises(ConfigurationError) as caught:
        parse_config(CONFIG.replace(old, new), settings={}, registry=registry)
    assert any(line.startswith(message) for line in caught.value.problems), caught.value.problems


def test_connections_of_two_systems_are_told_apart_by_their_type() -> None:
    registry = Registry(
        sources=(toy_source.PLUGIN,),
        ticket_system_modules=("connectors.servicenow.plugin",),
        more_ticket_systems=(plugin(NOW, []),),
    )
    both = CONFIG.replace(
        "connections:\n",
        "connections:\n  desk: {type: servicenow, url: 'https://contoso.service-now.com', "
        "auth: {type: api_key, key: {secret: key}}}\n",
    )
    config = parse_config(both, settings={}, registry=registry)
    assert {name: one.type for name, one in config.connections.items()} == {"desk": "servicenow", "toys": "toy_desk"}
    with pytest.raises(ConfigurationError) as caught:
        parse_config(both.replace("toy_desk", "toydesk"), settings={}, registry=registry)
    assert caught.value.problems == [
        "bridge.yaml:4: connections.toys: type 'toydesk' is none of 'servicenow', 'toy_desk'. "
        "Fix: did you mean 'toy_desk'?"
    ]
