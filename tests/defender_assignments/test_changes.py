"""Findings whose tickets are changes or problems: what becomes of them when the finding is healthy, or is withdrawn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.sources import with_owners
from local import azure, servicenow
from local.azurite import Azurite
from shared.core.link import LinkStage
from shared.core.signal import SignalState
from shared.core.ticket_system import CheckStatus
from shared.platform.storage import Storage
from tests.defender_assignments.house import House, simulators
from tests.defender_assignments.taking_back import HOUR, later, push, signal_of, withdraw

pytestmark = pytest.mark.asyncio(loop_scope="module")

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
    await opened.servicenow("PATCH", "/settings", {"problem_transitions": "checked"})
    await opened.calm()
    yield opened
    await opened.aclose()
    await storage.aclose()


async def change(house: House, ticket: dict[str, str], **fields: str) -> None:
    """People work on a change."""
    url = f"{house.desk.url}/api/now/table/change_request/{ticket['sys_id']}"
    async with httpx.AsyncClient(auth=(house.desk.username, house.desk.password), verify=False) as http:
        (await http.patch(url, json=fields)).raise_for_status()


async def assigned(house: House, kind: str, **more: Any) -> tuple[str, dict[str, str]]:
    house.configure(integrations=[{"name": "production", "ticket": kind}])
    resource = await house.finding()
    status, answer = await house.ask(**more)
    assert status == 201, answer
    (ticket,) = await house.tickets(kind)
    return resource, ticket


async def test_a_change_that_nobody_began_is_cancelled_when_the_finding_is_healthy(house: House) -> None:
    resource, ticket = await assigned(house, "change_request")
    assert ticket["state"] == "New"
    await push(house, later(await signal_of(house, resource), HOUR, SignalState.RESOLVED))
    (ticket,) = await house.tickets("change_request")
    assert ticket["state"] == "Canceled"
    assert "ended at" in (await house.notes(ticket))[-1]
    link = await house.link()
    assert link is not None
    assert (link.stage, link.dead_letter) == (LinkStage.CLOSED, "")


async def test_a_change_under_way_is_told_and_left_to_its_people(house: House) -> None:
    resource, ticket = await assigned(house, "change_request")
    await change(house, ticket, state="-4", assignment_group="Cloud Operations")
    await push(house, later(await signal_of(house, resource), HOUR, SignalState.RESOLVED))
    (ticket,) = await house.tickets("change_request")
    assert ticket["state"] == "Assess"
    assert "(healthy)" in (await house.notes(ticket))[-1]
    link = await house.link()
    assert link is not None
    assert (link.stage, link.dead_letter) == (LinkStage.OPEN, "")
    assert link.ended is not None


async def test_withdrawing_cancels_a_change_that_nobody_began(house: House) -> None:
    await assigned(house, "change_request")
    status, answer = await withdraw(house, tickets="resolve")
    assert (status, answer["items"][0]["resolved"]) == (200, True)
    (ticket,) = await house.tickets("change_request")
    assert (ticket["state"], "Withdrawn by Grace Moreau" in ticket["close_notes"]) == ("Canceled", True)


async def test_withdrawing_leaves_a_change_under_way_to_its_people_and_says_why(house: House) -> None:
    _, ticket = await assigned(house, "change_request")
    await change(house, ticket, state="-4", assignment_group="Cloud Operations")
    status, answer = await withdraw(house, tickets="resolve")
    item = answer["items"][0]
    assert (status, item["status"], item["resolved"]) == (200, "withdrawn", False)
    assert item["reason"] == f"{ticket['number']} is at Assess (-4) and is left to people"
    await house.work_off(timedelta(hours=2))
    notes = [note for note in await house.notes(ticket) if "Withdrawn by Grace Moreau" in note]
    assert len(notes) == 1


@pytest.mark.parametrize("habit", ["ignored", "aborted"])
async def test_a_problem_that_the_instance_does_not_move_is_told_and_is_no_dead_letter(
    house: House, habit: str
) -> None:
    resource, ticket = await assigned(house, "problem")
    await house.servicenow("PATCH", "/settings", {"problem_transitions": habit})
    await push(house, later(await signal_of(house, resource), HOUR, SignalState.RESOLVED))
    (ticket,) = await house.tickets("problem")
    assert ticket["state"] == "New"
    assert "ended at" in (await house.notes(ticket))[-1]
    link = await house.link()
    assert link is not None
    assert (link.stage, link.dead_letter, link.ended is None) == (LinkStage.OPEN, "", False)


async def test_the_check_looks_for_the_owners_that_governance_names(house: House) -> None:
    rules = [
        {"name": "known", "owner": {"value": "david.loo"}},
        {"name": "by tag", "owner": {"tag": "owner", "otherwise": "nobody@contoso.example"}},
        {"name": "off", "owner": {"value": "also.nobody"}, "disabled": True},
    ]
    services = house.configure(governance=rules)
    needs = with_owners(services.sources, house.connection, services.mapper.needs(house.connection))
    assert needs.owners == {"david.loo", "nobody@contoso.example"}
    findings = await services.system(house.connection).check(needs)
    assert [line.name for line in findings if line.verdict is CheckStatus.FAILED] == ["owner nobody@contoso.example"]
