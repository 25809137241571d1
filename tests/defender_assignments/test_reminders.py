"""What is overdue is marked, and its ticket reminded: once per interval, and never a ticket that is closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.overdue import Reminding, by_ticket, is_due, reminder, reminding
from connectors.defender.assignments.reminders import ReminderResult, Reminders
from connectors.defender.settings import GovernanceRuleSettings
from connectors.servicenow.tables import journal_text
from local import azure, servicenow
from local.azurite import Azurite
from shared.core.jobs import JobRun
from shared.core.link import Link, link_id
from shared.core.ticket_system import TicketKind
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress
from tests.defender_assignments.house import House, simulators
from tests.storage.damage import damage, heard

Sides = tuple[azure.Simulator, servicenow.Simulator, httpx.AsyncClient]

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
RULE = {"name": "all", "owner": {"value": "ada.winterfeld"}, "days": 7}


def assignment(**changes: Any) -> Assignment:
    made = Assignment(
        key="recommendation:1:/subscriptions/s/x",
        origin="",
        owner="lee.gu@contoso.example",
        due=NOW - 3 * DAY,
        integration="production",
        kind=TicketKind.INCIDENT,
        created_at=NOW - 10 * DAY,
        title="Encrypt disks",
        resource="web-01",
    )
    return replace(made, **changes)


# -- pure: who is reminded, when, and of what


def test_only_what_is_open_and_late_counts_and_tickets_are_ordered_by_lateness() -> None:
    late = assignment(key="recommendation:1:a", ticket_key="group:1:x")
    later = assignment(key="recommendation:1:b", ticket_key="group:1:x", due=NOW - DAY)
    alone = assignment(key="recommendation:1:c", due=NOW - 5 * DAY)
    others = [assignment(key="recommendation:1:d", due=NOW + DAY), assignment(key="recommendation:1:e", ended_at=NOW)]
    assert by_ticket([later, late, alone, *others], NOW) == {"recommendation:1:c": [alone], "group:1:x": [late, later]}


def test_a_rule_says_how_and_a_person_is_reminded_weekly() -> None:
    rule = GovernanceRuleSettings.model_validate(
        {**RULE, "remind_every": "3d", "remind_with": "comment", "remind_manager": True}
    )
    assert reminding(assignment(rule="all"), {"all": rule}) == Reminding(3 * DAY, "comment", True)
    assert reminding(assignment(rule="gone"), {"all": rule}) == Reminding(7 * DAY, "work_note", False)
    assert reminding(assignment(by="Hugo", notify_manager=True), {}).manager
    never = GovernanceRuleSettings.model_validate({**RULE, "remind_every": None})
    assert not is_due(reminding(assignment(rule="all"), {"all": never}), None, NOW)


def test_at_once_and_then_at_most_once_per_interval() -> None:
    how = Reminding(7 * DAY)
    assert is_due(how, None, NOW)
    assert not is_due(how, NOW - 7 * DAY + timedelta(minutes=1), NOW)
    assert is_due(how, NOW - 7 * DAY, NOW)


def test_a_reminder_is_the_same_at_every_attempt_and_another_one_the_next_time() -> None:
    link, late = Link("recommendation:1:x", generation=1), [assignment()]
    first = reminder(link, late, Reminding(), None, NOW)
    assert reminder(link, late, Reminding(), None, NOW + timedelta(hours=1)).marker == first.marker
    assert reminder(link, late, Reminding(), NOW, NOW + 7 * DAY).marker != first.marker
    assert reminder(replace(link, generation=2), late, Reminding(), None, NOW).marker != first.marker
    assert "Encrypt disks on web-01 was to be fixed by 2026-03-07 12:00 UTC (3 days ago, owner lee.gu" in first.text
    assert first.marker in first.text


def test_many_are_listed_as_far_as_there_is_room_and_a_comment_bears_no_marker() -> None:
    late = [assignment(title="[code]" + "x" * 400, resource="r" * 400, owner="o" * 900) for _ in range(50)]
    note = reminder(Link("group:1:x"), late, Reminding(by="comment"), None, NOW)
    assert "50 recommendations are overdue" in note.comment
    assert "... and 30 more" in note.comment
    assert len(reminder(Link("group:1:x"), late, Reminding(), None, NOW).text) < 8000
    assert note.marker in note.text
    assert "[bridge:" not in note.comment
    assert "[code]" not in journal_text(note.comment)


# -- over sockets: with ServiceNow


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
    await no_open_assignments(opened)
    yield opened
    await opened.aclose()
    await storage.aclose()


async def no_open_assignments(house: House) -> None:
    """End those that other tests left, so that nobody is reminded of them."""
    async for one in house.defender.assignments.all():
        stored = await house.defender.assignments.load(one.key)
        if stored is not None and stored.value.open:
            await house.defender.assignments.write(replace(one, ended_at=house.now), stored.etag)


async def overdue(house: House, name: str = "web-01", **body: Any) -> dict[str, str]:
    """The row of the ticket of an assignment whose time ran out an hour ago."""
    resource = await house.finding(house.machine(name))
    status, answer = await house.ask(resources=[resource], remediation_days=7, **body)
    assert status == 201
    await house.work_off(7 * DAY + timedelta(hours=1))
    await house.calm()
    ticket = answer["items"][0]["ticket"]
    return {"sys_id": ticket["id"], "number": ticket["number"]}


async def reminders(house: House, ticket: dict[str, str], element: str = "work_notes") -> list[str]:
    notes = await house.notes(ticket, element)
    return [note for note in notes if "Overdue:" in note or "Reminded by" in note or "are overdue" in note]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_dry_run_counts_whom_it_would_remind_and_writes_nothing(house: House) -> None:
    ticket = await overdue(house)
    asked = JobRun(dry_run=True)
    assert await house.defender.remind(asked) == ReminderResult(overdue=1, marked=1, reminded=1)
    assert [ticket["number"] in sample for sample in asked.samples] == [True]
    assert await reminders(house, ticket) == []
    assert await house.defender.remind() == ReminderResult(overdue=1, marked=1, reminded=1)
    assert len(await reminders(house, ticket)) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_an_overdue_ticket_is_marked_and_reminded_once_per_interval(house: House) -> None:
    ticket = await overdue(house)
    since = house.now
    assert await house.defender.remind() == ReminderResult(overdue=1, marked=1, reminded=1)
    for _ in range(3):
        house.now += timedelta(hours=1)
        assert await house.defender.remind() == ReminderResult(overdue=1)
    assert len(await reminders(house, ticket)) == 1
    marked = await house.assignment()
    assert marked is not None
    assert (marked.overdue_since, marked.reminded_at) == (since, since)
    house.now = since + 7 * DAY
    assert await house.defender.remind() == ReminderResult(overdue=1, reminded=1)
    notes = await reminders(house, ticket)
    assert len(notes) == 2
    assert "owner ada.winterfeld@contoso.example" in notes[0]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_link_and_an_assignment_that_cannot_be_read_do_not_stop_the_run(house: House) -> None:
    ticket = await overdue(house)
    marked = await house.assignment()
    assert marked is not None
    row = link_id(marked.key)
    address = RowAddress(row[:2], row)
    with heard() as said:
        await damage(house.services.storage, "links", address, Stage="half open")
        assert await house.defender.remind() == ReminderResult(overdue=1, marked=1)
        await damage(house.services.storage, "links", address, Stage="open")
        await damage(house.services.storage, "assignments", address, Kind="story")
        assert await house.defender.remind() == ReminderResult()
        await damage(house.services.storage, "assignments", address, Kind=marked.kind.value)
        assert await house.defender.remind() == ReminderResult(overdue=1, reminded=1)
    assert [(one["table"], one["row"]) for one in said] == [("links", row), ("assignments", row)]
    assert len(await reminders(house, ticket)) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_not_due_yet_is_left_alone(house: House) -> None:
    await house.finding()
    await house.ask()
    await house.work_off(DAY)
    await house.calm()
    assert await house.defender.remind() == ReminderResult()
    assert await house.calls() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_run_that_died_after_its_note_writes_no_second_one(house: House) -> None:
    ticket = await overdue(house)
    before = await house.assignment()
    assert before is not None
    await house.defender.remind()
    stored = await house.defender.assignments.load(before.key)
    assert stored is not None
    await house.defender.assignments.write(before, stored.etag)  # it remembers nothing of it
    house.now += timedelta(hours=1)
    assert (await house.defender.remind()).reminded == 1
    assert len(await reminders(house, ticket)) == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_that_was_lost_is_found_in_the_ticket(house: House) -> None:
    ticket = await overdue(house)
    match = {"method": "PATCH", "path": "^/api/"}
    await house.servicenow("POST", "/scenarios", {"type": "cut_after_commit", "times": 1, "match": match})
    assert await house.defender.remind() == ReminderResult(overdue=1, marked=1, failed=1)
    house.now += timedelta(hours=1)
    house.configure()
    assert await house.defender.remind() == ReminderResult(overdue=1, reminded=1)
    assert len(await reminders(house, ticket)) == 1


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("state", ["6", "7"])
async def test_a_ticket_that_people_ended_is_not_written(house: House, state: str) -> None:
    ticket = await overdue(house)
    (row,) = await house.tickets()
    await house.change(row, state=state, close_code="Solution provided", close_notes="done")
    (row,) = await house.tickets()
    assert (await house.defender.remind()).reminded == 0
    assert (await house.tickets())[0]["sys_mod_count"] == row["sys_mod_count"]
    assert await reminders(house, ticket) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_finding_that_heals_is_not_reminded(house: House) -> None:
    ticket = await overdue(house)
    stored = await house.defender.assignments.load(house.key())
    assert stored is not None
    await house.defender.assignments.write(replace(stored.value, ended_at=house.now), stored.etag)
    assert await house.defender.remind() == ReminderResult()
    assert await reminders(house, ticket) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_rule_may_want_a_comment_and_the_owners_manager(house: House) -> None:
    rule = {**RULE, "remind_with": "comment", "remind_manager": True}
    house.configure(governance=[rule])
    boss = (
        await house._http.get(
            f"{house.desk.url}/api/now/table/sys_user",
            params={"sysparm_query": "user_nameINbeth.anglin,ada.winterfeld^ORDERBYuser_name"},
            auth=house._admin,
        )
    ).json()["result"]
    ada, beth = boss
    url = f"{house.desk.url}/api/now/table/sys_user/{ada['sys_id']}"
    (await house._http.patch(url, json={"manager": beth["sys_id"]}, auth=house._admin)).raise_for_status()
    ticket = await overdue(house)
    stored = await house.defender.assignments.load(house.key())
    assert stored is not None
    await house.defender.assignments.write(replace(stored.value, rule="all", by=""), stored.etag)
    assert (await house.defender.remind()).reminded == 1
    assert ["Overdue: " in note for note in await house.notes(ticket, "comments")] == [True]
    (marker,) = await reminders(house, ticket)
    assert "Overdue" not in marker
    assert (await house.tickets(display="false"))[0]["watch_list"] == beth["sys_id"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_shared_ticket_is_reminded_once_of_all(house: House) -> None:
    house.configure(integrations=[{"name": "owners", "one_ticket_per": "owner"}])
    machines = [await house.finding(house.machine(f"web-{n}")) for n in range(3)]
    await house.ask(resources=machines, remediation_days=7)
    await house.work_off(7 * DAY + timedelta(hours=1))
    assert await house.defender.remind() == ReminderResult(overdue=3, marked=3, reminded=1)
    house.now += timedelta(hours=1)
    assert await house.defender.remind() == ReminderResult(overdue=3)
    (ticket,) = await house.tickets()
    (note,) = await reminders(house, ticket)
    assert "3 recommendations are overdue" in note


@pytest.mark.asyncio(loop_scope="module")
async def test_an_instance_that_is_away_is_asked_once_and_the_rest_follows(house: House) -> None:
    for name in ("web-01", "web-02"):
        await overdue(house, name)
    await house.servicenow("POST", "/scenarios", {"type": "hibernate"})
    assert (await house.defender.remind()).failed == 1
    await house.calm()
    house.now += timedelta(hours=1)
    house.configure()
    assert (await house.defender.remind()).reminded == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_a_run_ends_and_the_next_one_goes_on(house: House) -> None:
    for name in ("web-01", "web-02", "web-03"):
        await overdue(house, name)
    parts = house.defender.assignments, house.services.links, house.services.system
    runs = [await Reminders({}, *parts, now=lambda: house.now, most=2).run() for _ in range(3)]
    assert [run.reminded for run in runs] == [2, 1, 0]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_new_date_ends_being_overdue(house: House) -> None:
    await overdue(house)
    await house.defender.remind()
    await house.ask(remediation_days=14)
    fresh = await house.assignment()
    assert fresh is not None
    assert (fresh.overdue_since, fresh.reminded_at) == (None, None)
    assert await house.defender.remind() == ReminderResult()
