"""Tags as workers read them: from memory, from the shared table, from Resource Graph over real sockets."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from connectors.azure_monitor.resource_tags.ids import scopes_of
from connectors.azure_monitor.resource_tags.query import query_of
from connectors.azure_monitor.resource_tags.reader import MOST_RESOURCES, UNSEEN_AGE
from shared.core.signal import Resource
from tests.owners.conftest import Build
from tests.owners.support import Clock, Estate, resource

HOUR = timedelta(hours=1)


async def test_tags_of_resource_group_and_subscription_come_with_one_call(estate: Estate, worker: Build) -> None:
    found = await worker().read([resource(estate.vm.upper())])
    (tagged,) = found.resources
    assert found.warnings == ()
    assert dict(tagged.own_tags) == {"Owner": "lee.gu@contoso.example"}
    assert dict(tagged.group_tags) == {"Team": "shop", "stage": "prod"}
    assert dict(tagged.subscription_tags) == {"team": "platform", "cost": "47"}
    assert dict(tagged.tags) == {"Team": "shop", "stage": "prod", "cost": "47", "Owner": "lee.gu@contoso.example"}
    assert len(await estate.calls()) == 1


async def test_a_tag_of_the_resource_goes_before_one_of_its_group(estate: Estate, worker: Build) -> None:
    await estate.tag(estate.vm, TEAM="checkout")
    (tagged,) = (await worker().read([resource(estate.vm)])).resources
    assert tagged.tags["TEAM"] == "checkout"
    assert "Team" not in tagged.tags


async def test_a_nested_resource_has_the_tags_of_what_it_is_in(estate: Estate, worker: Build) -> None:
    account = f"{estate.group}/providers/Microsoft.Storage/storageAccounts/stshop"
    await estate.tag(account, owner="ada.winterfeld@contoso.example")
    (tagged,) = (await worker().read([resource(f"{account}/blobServices/default")])).resources
    assert tagged.own_tags == {"owner": "ada.winterfeld@contoso.example"}


async def test_a_second_alert_and_a_second_worker_ask_azure_nothing(estate: Estate, worker: Build) -> None:
    first = worker()
    for _ in range(3):
        await first.read([resource(estate.vm)])
    (tagged,) = (await worker().read([resource(estate.vm)])).resources
    assert tagged.tags["Team"] == "shop"
    assert len(await estate.calls()) == 1


async def test_two_workers_at_once_agree(estate: Estate, worker: Build) -> None:
    found = await asyncio.gather(*(worker().read([resource(estate.vm)]) for _ in range(2)))
    assert found[0] == found[1]
    assert found[0].resources[0].tags["Team"] == "shop"


async def test_many_alerts_at_once_share_one_call_in_flight(estate: Estate, worker: Build) -> None:
    machines = [f"{estate.vm}-{number}" for number in range(30)]
    for one in machines:
        await estate.tag(one, owner=one[-6:])
    reader = worker(wait="10s")
    found = await asyncio.gather(*(reader.read([resource(one)]) for one in machines))
    assert [one.resources[0].tags["owner"] for one in found] == [one[-6:] for one in machines]
    assert len(await estate.calls()) < 8, "a call asks for what all need that came while the one before was under way"


async def test_tags_are_read_again_when_they_are_too_old(estate: Estate, worker: Build, clock: Clock) -> None:
    reader = worker(max_age="1h")
    await reader.read([resource(estate.vm)])
    await estate.tag(estate.vm, Owner="kim.akers@contoso.example")
    clock.passes(HOUR - timedelta(seconds=1))
    assert (await reader.read([resource(estate.vm)])).resources[0].tags["Owner"] == "lee.gu@contoso.example"
    clock.passes(timedelta(seconds=1))
    assert (await reader.read([resource(estate.vm)])).resources[0].tags["Owner"] == "kim.akers@contoso.example"


async def test_old_tags_are_used_while_azure_is_away_and_the_record_says_so(
    estate: Estate, worker: Build, clock: Clock
) -> None:
    await worker().read([resource(estate.vm)])
    await estate.breaks(status=503)
    clock.passes(HOUR * 30)
    found = await worker(wait="1s").read([resource(estate.vm)])
    assert found.resources[0].tags["Owner"] == "lee.gu@contoso.example"
    (warning,) = found.warnings
    assert warning.startswith("tags are as of 2026-03-01T12:00:00.000Z, because they could not be read again: ")


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("fail", {"status": 503, "retry_after": 99}, "503"),
        ("deny", {}, "403"),
        ("throttle", {"retry_after": 120}, "429"),
        ("page", {}, "no JSON object"),
        ("slow", {"seconds": 20}, "no answer within 1s"),
    ],
)
async def test_an_alert_goes_on_without_tags_and_the_next_does_not_wait(
    estate: Estate, worker: Build, clock: Clock, kind: str, more: dict[str, object], said: str
) -> None:
    await estate.breaks(kind, **more)
    reader = worker(wait="1s")
    async with asyncio.timeout(5):
        found = await reader.read([resource(estate.vm)])
    assert found.resources == (resource(estate.vm),)
    assert said in found.warnings[0]
    assert found.warnings[0].startswith("tags could not be read: ")
    async with asyncio.timeout(0.9):
        again = await reader.read([resource(estate.vm)])
    assert "it is asked again after 2026-03-01T12:" in again.warnings[0]
    assert len(await estate.calls()) <= 1
    await estate.works()
    clock.passes(timedelta(minutes=16))
    assert (await reader.read([resource(estate.vm)])).resources[0].tags["Team"] == "shop"


async def test_what_may_not_be_read_is_named_and_not_asked_for_again_at_once(
    estate: Estate, worker: Build, clock: Clock
) -> None:
    stranger = resource(estate.vm.replace(estate.subscription, "99999999-0000-4000-8000-000000000000"))
    reader = worker()
    for _ in range(2):
        found = await reader.read([stranger])
        assert found.resources == (stranger,)
        assert "Fix: assign role Reader" in found.warnings[0]
    text = str(await estate.world.tell("GET", "/requests"))
    assert text.count("99999999-0000-4000-8000-000000000000") > 0
    later = f"/subscriptions/{estate.subscription}/resourceGroups/rg-new"
    assert (await reader.read([resource(later)])).resources[0].tags["team"] == "platform"
    await estate.tag(later, team="new")
    clock.passes(UNSEEN_AGE - timedelta(seconds=1))
    assert (await reader.read([resource(later)])).resources[0].tags["team"] == "platform"
    clock.passes(timedelta(seconds=1))
    assert (await reader.read([resource(later)])).resources[0].tags["team"] == "new"


async def test_only_the_first_resources_of_an_alert_are_looked_up(estate: Estate, worker: Build) -> None:
    found = await worker().read([resource(f"{estate.vm}-{number}") for number in range(500)])
    tagged = [one for one in found.resources if one.tags]
    assert len(tagged) == MOST_RESOURCES
    assert len(await estate.calls()) == 1


async def test_tags_that_a_signal_has_no_room_for_are_counted(estate: Estate, worker: Build) -> None:
    await estate.tag(estate.vm, **{f"tag{number:02}": "x" * 250 for number in range(50)})
    (found,) = (tagged := await worker().read([resource(estate.vm)])).resources
    assert sum(len(name) + len(value) for name, value in found.own_tags.items()) <= 4_000
    assert tagged.warnings == (
        f"{50 - len(found.own_tags)} tags of {estate.vm.lower()} are left out: there are too many",
    )


@pytest.mark.parametrize(
    "hostile",
    [
        "/subscriptions/{}/resourceGroups/rg') | union (resources) //",
        "/subscriptions/{}/resourceGroups/rg\\",
        '/subscriptions/{}/resourceGroups/rg"',
        "/subscriptions/{}/resourceGroups/rg\n| where true",
        "/subscriptions/x' or true/resourceGroups/rg",
        "/providers/Microsoft.Management/managementGroups/contoso",
        "https://example.com/",
        "",
    ],
)
async def test_an_id_that_is_none_is_never_part_of_a_query(estate: Estate, worker: Build, hostile: str) -> None:
    given = Resource(id=hostile.format(estate.subscription))
    assert (await worker().read([given, Resource(id=None, name="web-01")])).resources[0] == given
    assert await estate.calls() == []


def test_the_places_of_an_extension_are_those_of_what_it_extends() -> None:
    sub = "/subscriptions/11111111-2222-3333-4444-555555555555"
    vm = f"{sub}/resourcegroups/rg/providers/microsoft.compute/virtualmachines/vm"
    found = scopes_of(Resource(id=f"{vm}/providers/Microsoft.Insights/metricAlerts/a"))
    assert found is not None
    assert found.own == (f"{vm}/providers/microsoft.insights/metricalerts/a", vm)
    assert (found.group, found.subscription) == (f"{sub}/resourcegroups/rg", sub)


def test_a_query_of_containers_alone_has_no_union() -> None:
    assert query_of(["/subscriptions/x"]) == (
        "resourcecontainers\n| where id in~ ('/subscriptions/x')\n| project id, tags\n| order by id asc"
    )
