"""Defender for Cloud is told of assignments and of how their tickets stand; what others wrote there stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.azure import (
    ENDED,
    TicketFacts,
    assignment_name,
    is_mail,
    merged,
    ticket_number,
    wanted,
)
from connectors.defender.assignments.write_back import AssignmentWriteBack, push_key
from local import azure, servicenow
from local.azurite import Azurite
from shared.core.errors import SourceRefused, SourceUnavailable
from shared.core.link import Link, LinkStage
from shared.core.ticket_system import TicketKind, TicketRef
from shared.platform.storage import Storage
from tests.defender_assignments.house import DELETE, DISKS, WRITE, House, simulators

Sides = tuple[azure.Simulator, servicenow.Simulator, httpx.AsyncClient]

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ASSESSMENT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Security/assessments/"
FACTS = TicketFacts("INC0012345", "https://contoso.example/nav_to.do", "In Progress")


def assignment(**changes: Any) -> Assignment:
    made = Assignment(
        key="recommendation:1:/subscriptions/s/x",
        origin=f"{ASSESSMENT}{DISKS}",
        owner="lee.gu@contoso.example",
        due=NOW + timedelta(days=7),
        integration="production",
        kind=TicketKind.INCIDENT,
        created_at=NOW,
        notify_owner=True,
    )
    return replace(made, **changes)


# -- pure: the form that Defender for Cloud wants


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        ("INC0012345", 12345),
        ("CHG0000001", 1),
        ("INC2147483647", 2147483647),
        ("INC2147483648", None),
        ("REQ", None),
        ("", None),
        ("INC" + "9" * 5000, None),
    ],
)
def test_the_digits_of_a_number_fit_or_are_left_out(number: str, digits: int | None) -> None:
    assert ticket_number(number) == digits
    data = merged(None, assignment(), replace(FACTS, number=number))["additionalData"]
    assert data.get("ticketNumber") == digits
    assert data["ticketStatus"] == ("In Progress" if digits or not number else f"In Progress ({number})")


def test_a_name_is_the_assessments_own_where_that_is_a_guid_and_follows_from_the_id_otherwise() -> None:
    assert assignment_name(f"{ASSESSMENT}{DISKS.upper()}") == DISKS
    made = assignment_name(f"{ASSESSMENT}custom-check")
    assert UUID(made).version == 5
    assert made == assignment_name(f"{ASSESSMENT}Custom-Check/".lower())
    assert made != assignment_name(f"{ASSESSMENT}other-check")
    without_dashes = assignment_name(f"{ASSESSMENT}{DISKS.replace('-', '')}")
    assert without_dashes != DISKS


def test_what_others_wrote_stays_and_what_is_ours_is_replaced() -> None:
    existing = {
        "owner": "old@contoso.example",
        "remediationDueDate": "2026-01-01T00:00:00.0000000Z",
        "remediationEta": {"eta": "2026-01-02T00:00:00.0000000Z", "justification": "waiting for parts"},
        "isGracePeriod": True,
        "governanceEmailNotification": {"disableOwnerEmailNotification": True, "theirs": 1},
        "additionalData": {"ticketNumber": 7, "ticketStatus": "Old", "note": "theirs"},
    }
    put = merged(existing, assignment(), replace(FACTS, number="REQ"))
    assert put == {
        "owner": "lee.gu@contoso.example",
        "remediationDueDate": "2026-03-08T12:00:00Z",
        "remediationEta": existing["remediationEta"],
        "isGracePeriod": False,
        "governanceEmailNotification": {
            "disableOwnerEmailNotification": False,
            "disableManagerEmailNotification": True,
            "theirs": 1,
        },
        "additionalData": {"ticketLink": FACTS.url, "ticketStatus": "In Progress (REQ)", "note": "theirs"},
    }


def test_an_owner_that_is_no_address_is_left_to_them_unless_it_was_ours() -> None:
    nobody = assignment(owner="Cloud Operations")
    assert "owner" not in merged(None, nobody, FACTS)
    theirs = {"owner": "chosen.there@contoso.example"}
    assert merged(theirs, nobody, FACTS)["owner"] == "chosen.there@contoso.example"
    told = wanted(assignment(), FACTS)
    ours = {"owner": "lee.gu@contoso.example"}
    assert "owner" not in merged(ours, replace(nobody, last_pushed=told), FACTS)


def test_the_services_way_to_write_a_time_is_no_change() -> None:
    before = {**merged(None, assignment(), FACTS), "remediationDueDate": "2026-03-08T12:00:00.0000000Z"}
    assert merged(before, assignment(), FACTS) == before


@pytest.mark.parametrize(
    ("text", "mail"),
    [("a@contoso.example", True), ("a@b", False), ("ada", False), ("A <a@contoso.example>", False), ("", False)],
)
def test_what_an_address_is(text: str, mail: bool) -> None:
    assert is_mail(text) is mail


def test_what_is_wanted_changes_with_what_defender_shows_and_with_nothing_else() -> None:
    known = wanted(assignment(), FACTS)
    for change in ({"owner": "kim@contoso.example"}, {"due": NOW}, {"grace": True}, {"notify_manager": True}):
        assert wanted(assignment(**change), FACTS) != known
    assert wanted(assignment(), replace(FACTS, status="Resolved")) != known
    assert wanted(assignment(last_pushed="x", reminded_at=NOW, overdue_since=NOW, fields={"a": "b"}), FACTS) == known
    assert wanted(assignment(ended_at=NOW), FACTS) == ENDED


# -- over sockets: with Defender for Cloud


async def _at_once(seconds: float) -> None:
    del seconds


class Scene:
    """An assignment in the store, and its counterpart."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.back: AssignmentWriteBack = house.defender.governance

    async def given(self, **changes: Any) -> Assignment:
        resource = await self.house.finding()
        made = assignment(
            key=self.house.key(),
            origin=f"{resource}/providers/Microsoft.Security/assessments/{DISKS}",
            ticket_key=self.house.key(),
            **changes,
        )
        await self.house.defender.assignments.write(made, None)
        return made

    async def change(self, **changes: Any) -> None:
        stored = await self.house.defender.assignments.load(self.house.key())
        assert stored is not None
        await self.house.defender.assignments.write(replace(stored.value, **changes), stored.etag)

    async def link(self, **changes: Any) -> Link:
        key = self.house.key()
        stored = await self.house.services.links.load(key)
        ref = TicketRef(TicketKind.INCIDENT, "0" * 32, key, "INC0000042", "https://contoso.example/42")
        link = replace(
            stored.value
            if stored
            else Link(key, source="defender", connection=self.house.connection, stage=LinkStage.OPEN),
            ticket=ref,
            **changes,
        )
        await self.house.services.links.write(link, stored.etag if stored else None)
        return link

    async def told(self) -> str:
        return await self.house.services.write_back.push(self.house.key())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sides() -> AsyncIterator[Sides]:
    async with simulators() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def scene(sides: Sides, azurite: Azurite, tmp_path: Path) -> AsyncIterator[Scene]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    clouds, desk, http = sides
    house = House(clouds, desk, storage, tmp_path, http)
    await house.calm()
    yield Scene(house)
    await house.aclose()
    await storage.aclose()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_ticket_that_moves_is_shown_and_one_that_stands_costs_nothing(scene: Scene) -> None:
    await scene.given()
    await scene.link(state="1")
    assert await scene.told() == "pushed"
    assert await scene.told() == "up_to_date"
    await scene.link(state="2", revision=7)
    assert await scene.told() == "pushed"
    written = await scene.house.writes()
    assert [one["after"]["properties"]["additionalData"]["ticketStatus"] for one in written] == ["New", "In Progress"]
    await scene.link(state="2", revision=8, owner="Beth Anglin")
    before = (await scene.house.azure("GET", "/counters"))["total"]
    assert await scene.told() == "up_to_date"
    assert (await scene.house.azure("GET", "/counters"))["total"] == before


@pytest.mark.asyncio(loop_scope="module")
async def test_an_assignment_without_its_ticket_is_told_already(scene: Scene) -> None:
    made = await scene.given()
    assert await scene.back.push_assignment(push_key(made.key)) == "pushed"
    assert await scene.back.push_assignment(push_key(made.key)) == "up_to_date"
    (one,) = await scene.house.writes()
    assert one["after"]["properties"]["owner"] == made.owner
    assert one["target"].endswith(f"/governanceAssignments/{DISKS}")


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_written_before_a_crash_is_not_written_again(scene: Scene) -> None:
    made = await scene.given()
    await scene.link(state="1")
    await scene.back.push_assignment(push_key(made.key))
    await scene.change(last_pushed="")  # it died before it remembered
    assert await scene.back.push_assignment(push_key(made.key)) == "pushed"
    assert len(await scene.house.writes()) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_an_assignment_that_ended_is_deleted_and_one_that_returns_is_written_anew(scene: Scene) -> None:
    made = await scene.given()
    await scene.back.push_assignment(push_key(made.key))
    await scene.change(ended_at=NOW, outcome="healthy")
    assert await scene.back.push_assignment(push_key(made.key)) == "pushed"
    assert await scene.back.push_assignment(push_key(made.key)) == "up_to_date"
    assert len(await scene.house.writes(operation=DELETE)) == 1
    await scene.change(ended_at=None, outcome="")
    assert await scene.back.push_assignment(push_key(made.key)) == "pushed"
    assert len(await scene.house.writes(operation=WRITE)) == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_a_shared_ticket_tells_every_assignment_even_when_one_is_refused(scene: Scene) -> None:
    house = scene.house
    names = ("web-01", "web-02", "web-03")
    group = f"group:1:integration:production/{house.group}"
    for name in names:
        resource = await house.finding(house.machine(name))
        origin = f"{resource}/providers/Microsoft.Security/assessments/{DISKS}"
        made = assignment(key=house.key(resource), origin=origin, ticket_key=group)
        await house.defender.assignments.write(made, None)
    match = {"path": f"{house.group}.*web-02"}
    await house.azure("POST", "/scenarios", {"type": "deny", "match": match})
    link = Link(group, source="defender", stage=LinkStage.OPEN, ticket=TicketRef(TicketKind.INCIDENT, "0" * 32, group))
    with pytest.raises(SourceRefused, match="Defender CSPM"):
        await scene.back.push(link, "")
    assert len(await house.writes()) == 2
    await house.calm()
    await scene.back.push(link, "")
    assert len(await house.writes()) == 3


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("gone", [False, True])
async def test_an_assessment_that_is_gone_needs_nothing_more(scene: Scene, gone: bool) -> None:
    made = await scene.given(ended_at=NOW if gone else None)
    await scene.house.azure("DELETE", "/assessments", {"id": made.origin})
    assert await scene.back.push_assignment(push_key(made.key)) == "pushed"
    assert await scene.back.push_assignment(push_key(made.key)) == "up_to_date"


@pytest.mark.asyncio(loop_scope="module")
async def test_azure_that_is_busy_is_told_later_and_remembers_nothing(scene: Scene) -> None:
    made = await scene.given()
    fault = {"type": "throttle", "retry_after": 900, "match": {"path": "governanceAssignments"}}
    await scene.house.azure("POST", "/scenarios", fault)
    with pytest.raises(SourceUnavailable):
        await scene.back.push_assignment(push_key(made.key))
    await scene.house.calm()
    assert await scene.back.push_assignment(push_key(made.key)) == "pushed"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_that_was_lost_makes_no_second_write(scene: Scene) -> None:
    made = await scene.given()
    scene.house.defender.clouds.governance(made.origin)._manager._sleep = _at_once
    match = {"path": "governanceAssignments", "method": "PUT"}
    await scene.house.azure("POST", "/scenarios", {"type": "cut_after_commit", "times": 3, "match": match})
    with pytest.raises(SourceUnavailable):
        await scene.back.push_assignment(push_key(made.key))
    once = len(await scene.house.writes())
    assert await scene.back.push_assignment(push_key(made.key)) == "pushed"
    assert len(await scene.house.writes()) == once


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_is_told_where_writing_back_is_off(scene: Scene) -> None:
    made = await scene.given()
    link = await scene.link(state="1")
    scene.house.configure(write_back=False)
    off = scene.house.defender.governance
    assert (off.wants(link), await off.push_assignment(push_key(made.key))) == ("", "no_target")
    assert await scene.told() == "no_target"
    assert await scene.house.writes() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_what_has_no_arm_id_cannot_be_told(scene: Scene) -> None:
    await scene.given()
    await scene.change(origin="")
    assert await scene.back.push_assignment(push_key(scene.house.key())) == "up_to_date"
    assert await scene.back.push_assignment(push_key("recommendation:1:nobody")) == "no_assignment"
