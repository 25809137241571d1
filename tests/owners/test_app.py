"""The app with real tables and queues, alerts of Azure Monitor, the simulator of Resource Graph, and a toy desk."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.container import Container
from app.sources import check
from connectors.azure_monitor.plugin import PLUGIN
from local.azurite import Azurite
from shared.core.http import Request
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.plugins import Registry
from shared.core.problem import Problem
from shared.core.ticket_system import CheckLine, CheckStatus
from shared.web.intake import accept
from tests.microsoft.world import World
from tests.owners.support import NOW, Estate
from tests.payloads.support import common
from tests.plugins.toy_desk import ToyDesk, plugin

RECONCILE = """
reconcile: {subscriptions: [{id: %s, sign_in: {tenant: %s, client_id: %s, client_secret: {secret: bridge}}}]}
resource_tags: {wait: 1s}
"""
ROUTES = """
lookups:
  owners: {file: owners.csv, key: key, value: group}
routes:
  - name: checkout
    when: {resource_tags: {team: checkout}}
    connection: toys
    fields: {team: Checkout}
default:
  connection: toys
  fields:
    team: {lookup: owners, key: ["{{ resource.tags.team }}", "{{ resource.resource_group }}"], default: Nobody}
"""

Start = Callable[[str], Container]


@pytest.fixture
async def start(azurite: Azurite, tmp_path: Path, world: World, estate: Estate) -> AsyncIterator[Start]:
    opened: list[Container] = []

    def begin(text: str = ROUTES) -> Container:
        toys = f"toys{uuid4().hex[:9]}"
        who = world.sign_in()
        sections = RECONCILE % (estate.subscription, who["tenant"], who["client_id"])
        head = "version: 1\nconnections:\n  toys: {type: toy_desk, room: attic}\n"
        (tmp_path / "bridge.yaml").write_text((head + sections + text).replace("toys", toys))
        (tmp_path / "owners.csv").write_text("key,group\nshop,Shop Team\nrg-*,Cloud Team\n")
        services = Container(
            {"BRIDGE_CONFIG": str(tmp_path / "bridge.yaml"), "AzureWebJobsStorage": azurite.connection_string},
            registry=Registry(sources=(PLUGIN,), more_ticket_systems=(plugin(NOW, []),)),
            now=lambda: NOW,
            secrets=world.vault,
            given=(world.endpoints(),),
        )
        opened.append(services)
        return services

    yield begin
    for services in opened:
        await services.aclose()


def alert(estate: Estate) -> dict[str, Any]:
    return common(
        alertId=f"/subscriptions/{estate.subscription}/providers/Microsoft.AlertsManagement/alerts/{uuid4()}",
        alertTargetIDs=[estate.vm],
    )


async def deliver(services: Container, body: dict[str, Any]) -> tuple[Outcome, str]:
    """The outcome, and the team of the ticket."""
    (message,) = accept(body, NOW, services.registry.schemas).messages
    outcome = await services.worker.handle_now(message)
    desk = services.system(outcome.connection)
    assert isinstance(desk, ToyDesk)
    assert outcome.ticket is not None
    return outcome, desk.tickets[outcome.ticket.id].fields["team"]


async def test_the_owner_comes_from_the_tag_else_from_the_resource_group(start: Start, estate: Estate) -> None:
    services = start(ROUTES)
    outcome, team = await deliver(services, alert(estate))
    assert (outcome.route, team, outcome.warnings) == ("default", "Shop Team", ())


async def test_a_route_may_ask_for_a_tag(start: Start, estate: Estate) -> None:
    await estate.tag(estate.vm, team="Checkout")
    outcome, team = await deliver(start(ROUTES), alert(estate))
    assert (outcome.route, team) == ("checkout", "Checkout")


async def test_while_azure_is_away_the_ticket_comes_without_tags_and_the_record_says_so(
    start: Start, estate: Estate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await estate.breaks("slow", seconds=30)
    services = start(ROUTES)
    outcome, team = await deliver(services, alert(estate))
    assert (outcome.kind, team) == (OutcomeKind.DELIVERED, "Cloud Team")
    assert outcome.warnings[0] == "tags could not be read: no answer within 1s"
    (said,) = [json.loads(one.message) for one in caplog.records if "signal_delivered" in one.message]
    assert said["warnings"] == ["tags could not be read: no answer within 1s"]


async def test_an_alert_of_a_group_has_the_tags_too(start: Start, estate: Estate) -> None:
    text = ROUTES.replace("  fields:\n    team: {lookup", "  group: {by: rule}\n  fields:\n    team: {lookup")
    outcome, team = await deliver(start(text), alert(estate))
    assert (outcome.signal is not None and outcome.signal.via, team) == ("default", "Shop Team")


async def test_a_configuration_without_tags_asks_azure_nothing(start: Start, estate: Estate) -> None:
    await deliver(start("default: {connection: toys, fields: {team: One}}\n"), alert(estate))
    assert await estate.calls() == []


async def ask(services: Container, estate: Estate, **query: str) -> dict[str, Any]:
    request = Request("POST", query=query, headers={"Content-Type": "application/json"})
    body = json.dumps(alert(estate)).encode()
    answer = await services.handler("preview")(Request("POST", {}, query, request.headers, body))
    found: dict[str, Any] = answer.body["items"][0]
    return found


async def test_a_preview_calls_nothing_unless_it_is_asked_for_tags(start: Start, estate: Estate) -> None:
    services = start(ROUTES)
    found = await ask(services, estate)
    assert await estate.calls() == []
    assert any("were not read: ask with tags" in one for one in found["warnings"])
    assert found["lookups"]["team"].startswith("step 2, {{ resource.resource_group }}, is 'rg-shop': entry 'rg-*'")
    found = await ask(services, estate, tags="true")
    assert found["signal"]["resources"][0]["group_tags"] == {"Team": "shop", "stage": "prod"}
    assert found["lookups"]["team"] == "step 1, {{ resource.tags.team }}, is 'shop': entry 'shop' of lookup 'owners'"
    assert not any("were not read" in one for one in found["warnings"])
    with pytest.raises(Problem) as refused:
        await ask(services, estate, tags="perhaps")
    assert refused.value.status == 400


async def test_check_says_whether_tags_can_be_read(start: Start, estate: Estate, world: World) -> None:
    tenant = world.simulator.tenant_id

    async def lines(text: str = ROUTES) -> dict[str, CheckLine]:
        checked = await check(start(text).sources)
        return {line.name: line for one in checked if one.name == "resource_tags" for line in one.lines}

    found = (await lines())[f"{tenant}: tags"]
    assert (found.verdict, "resources in" in found.detail) == (CheckStatus.OK, True)
    await estate.breaks("deny")
    found = (await lines())[f"{tenant}: tags"]
    assert (found.verdict, "ssign role Reader" in found.fix) == (CheckStatus.FAILED, True)
    assert await lines("default: {connection: toys}\n") == {}
