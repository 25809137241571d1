"""A dry run of everything, with simulators that write down every write; and the same findings live afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from local import azure, servicenow
from local.azurite import Azurite
from shared.core.http import Request
from shared.core.jobs import JobRun
from shared.core.problem import Problem
from shared.platform.storage import Storage
from tests.defender_assignments.house import House, simulators

Sides = tuple[azure.Simulator, servicenow.Simulator, httpx.AsyncClient]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sides() -> AsyncIterator[Sides]:
    async with simulators() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def house(sides: Sides, azurite: Azurite, tmp_path: Path) -> AsyncIterator[House]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    clouds, desk, http = sides
    opened = House(clouds, desk, storage, tmp_path, http)
    await opened.calm()
    yield opened
    await opened.aclose()
    await storage.aclose()


def sections(house: House, **more: Any) -> dict[str, Any]:
    return {
        "governance": [{"name": "all", "owner": {"value": "ada.winterfeld"}, "days": 7}],
        "poll": {"when": {"resource_group": house.group}},
        **more,
    }


async def polled(house: House) -> None:
    # Other tests have polled this tenant a moment ago; it need not be due.
    await house.services.jobs["poll_findings"](JobRun(always=True))
    await house.work_off(timedelta(minutes=10))


async def reported(house: House) -> list[dict[str, Any]]:
    answer = await house.services.handler("report")(Request(query={"hours": "168", "mode": "dry_run"}))
    own = [line for line in answer.body["lines"] if any(house.group in str(sample) for sample in line["samples"])]
    return sorted(own, key=lambda line: str(line["action"]))


@pytest.mark.asyncio(loop_scope="module")
async def test_given_a_dry_run_when_findings_are_polled_then_nothing_is_written_and_the_report_shows_it(
    house: House,
) -> None:
    house.configure(**sections(house, mode="dry_run"))
    resource = await house.finding()
    await polled(house)
    assert await house.tickets() == []
    assert await house.writes() == []
    assert [call for call in await house.calls() if not call.startswith("GET")] == []
    (line,) = await reported(house)
    assert (line["route"], line["action"]) == ("integration:production", "create")
    shown = next(sample for sample in line["samples"] if house.group in str(sample))
    (call,) = shown["calls"]
    assert call["fields"]["assigned_to"] == "ada.winterfeld"
    assert shown["ticket"] is None
    await house.finding(resource, code="Healthy")
    house.now += timedelta(hours=2)
    await polled(house)
    assert [one["action"] for one in await reported(house)] == ["create", "resolve"]
    assert await house.writes() == []
    assert await house.tickets() == []
    assert [one async for one in house.services.live_links.all() if house.group in one.key] == []


@pytest.mark.asyncio(loop_scope="module")
async def test_given_a_finding_in_a_dry_run_when_everything_is_live_then_it_gets_ticket_and_assignment(
    house: House,
) -> None:
    house.configure(**sections(house, mode="dry_run"))
    resource = await house.finding()
    await polled(house)
    house.configure(**sections(house))
    await polled(house)
    (ticket,) = await house.tickets()
    assert ticket["assigned_to"] == "Ada Winterfeld"
    assert (await house.governance(resource))["remediationDueDate"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", ["assignments", "withdraw_assignments", "secure_score_ticket"])
async def test_endpoints_that_act_are_refused_in_a_dry_run(house: House, name: str) -> None:
    services = house.configure(**sections(house, mode="dry_run"))
    with pytest.raises(Problem) as refused:
        await services.handler(name)(Request(method="POST", body=b"{}"))
    assert (refused.value.status, refused.value.title) == (409, "Dry run")
    assert "mode: live" in refused.value.detail
    assert (await services.handler("integrations")(Request())).status == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_a_dry_run_asks_ticket_systems_nothing_by_timers_and_says_so_in_health(house: House) -> None:
    services = house.configure(**sections(house, mode="dry_run"))
    assert await services.timers.resync() == []
    assert await services.timers.full_check() == []
    await services.jobs["remind"](JobRun())
    assert await house.calls() == []
    report = await services.health_reporter.report()
    # Traps that signals of other tests have shown may follow.
    assert report.shown()["warnings"][0] == (
        "mode is dry_run: nothing is written outside; bridge.py report shows what would be done"
    )
