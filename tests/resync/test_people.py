"""What people do with tickets, and what the links know of it afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.core.link import LinkStage as Ticketed
from shared.core.link import Op, Pending, link_id
from shared.core.signal import Signal
from shared.core.ticket_system import TicketKind
from shared.platform.log import listen
from shared.platform.tables import RowAddress
from tests.asking import get
from tests.resync.stage import Stage, again, fired, over
from tests.storage.damage import damage, heard

pytestmark = pytest.mark.asyncio(loop_scope="module")

BETH = "46d44a23a9fe19810012d100cca80666"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def test_who_works_on_it_and_until_when_comes_back(stage: Stage) -> None:
    stage.configured(states='{incident: {names: {"2": Wird bearbeitet}}}')
    link = await stage.deliver(fired())
    assert (link.owner, link.due) == ("", None)
    await stage.write(link, assigned_to=BETH, due_date="2027-01-02 03:04:05", state="2")
    result = await stage.resync()
    link = await stage.link(link.key)
    assert (link.owner, link.due) == ("Beth Anglin", datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert (link.stage, link.state) == (Ticketed.OPEN, "2")
    assert link.revision > 0
    assert (result.changes, result.moved, result.left, result.finished) == (1, 1, 0, True)
    for state in ("Wird bearbeitet", "2"):
        listed = await get(stage.services.endpoints.tickets, connection=stage.name, state=state)
        (item,) = listed["items"]
        assert (item["state"], item["owner"], item["due"]) == (
            "Wird bearbeitet",
            link.owner,
            "2027-01-02T03:04:05.000Z",
        )
        assert listed["counts"]["states"] == {"incident": {"Wird bearbeitet": 1}}
    await stage.write(link, assigned_to="", due_date="")
    await stage.resync()
    link = await stage.link(link.key)
    assert (link.owner, link.due) == ("", None)


async def test_a_ticket_that_people_resolve_is_reopened_when_its_problem_comes_back(stage: Stage) -> None:
    problem = fired()
    link = await stage.deliver(problem)
    await stage.resolve(link)
    await stage.resync()
    link = await stage.link(problem.key)
    assert (link.stage, link.state, link.close_code) == (Ticketed.RESOLVED, "6", "Solution provided")
    assert link.ended is not None
    before = await stage.desk.calls()
    link = await stage.deliver(over(problem))
    assert await stage.desk.calls() == before  # it is resolved already, and the link knows that
    link = await stage.deliver(again(problem))
    assert (link.stage, link.generation) == (Ticketed.OPEN, 1)


async def test_a_ticket_that_people_close_is_followed_by_a_new_one(stage: Stage) -> None:
    problem = fired()
    first = await stage.deliver(problem)
    await stage.write(first, state="7", close_code="Solution provided", close_notes="x")
    await stage.resync()
    assert (await stage.link(problem.key)).stage is Ticketed.CLOSED
    second = await stage.deliver(again(problem))
    assert (second.stage, second.generation) == (Ticketed.OPEN, 2)
    assert first.ticket is not None
    assert second.ticket is not None
    assert second.ticket.correlation == f"{problem.key}#2"
    # the old one is nobody's any more, the new one is followed
    await stage.write(first, short_description="somebody tidies up")
    await stage.resolve(second)
    result = await stage.resync()
    link = await stage.link(problem.key)
    assert (link.stage, link.ticket) == (Ticketed.RESOLVED, second.ticket)
    assert (result.moved, result.left) == (1, 1)


async def test_a_ticket_that_people_reopen_flows_again(stage: Stage) -> None:
    problem = fired()
    await stage.deliver(problem)
    link = await stage.deliver(over(problem))
    assert link.stage is Ticketed.RESOLVED
    await stage.resync()
    await stage.write(link, state="2")
    await stage.resync()
    link = await stage.link(problem.key)
    assert (link.stage, link.ended) == (Ticketed.OPEN, None)
    link = await stage.deliver(over(problem, after=HOUR))
    assert link.stage is Ticketed.RESOLVED
    assert link.ticket is not None
    assert await stage.desk.field(link.ticket, "state") == "6"


@pytest.mark.parametrize(("kind", "closed"), [("problem", "107"), ("change_request", "4")])
async def test_problems_and_changes_are_followed_too(stage: Stage, kind: str, closed: str) -> None:
    stage.configured(kind=kind)
    link = await stage.deliver(fired())
    await stage.desk.set(change_transitions="off")
    if kind == "problem":
        for state in ("102", "103", "104", "106"):
            fields = {"resolution_code": "fix_applied", "close_notes": "x"} if state == "106" else {}
            await stage.write(link, state=state, assigned_to=BETH, cause_notes="x", fix_notes="x", **fields)
        await stage.write(link, state=closed, resolution_code="fix_applied")
    else:
        await stage.write(link, state=closed, close_code="unsuccessful", close_notes="x")
    await stage.resync()
    link = await stage.link(link.key)
    assert (link.kind, link.stage, link.state) == (TicketKind(kind), Ticketed.CLOSED, closed)


async def test_what_we_did_ourselves_starts_nothing(stage: Stage) -> None:
    """Create and resolve show up as changes: each link is at most brought up to date, and nobody is called."""
    stage.configured("resync: {alerts: {close: [closed, resolved]}}")
    problems = [fired() for _ in range(3)]
    await stage.deliver(*problems, *map(over, problems[:2]))
    await stage.told()
    before = await stage.desk.calls()
    result = await stage.resync()
    assert await stage.desk.calls() - before == 3  # one look for each kind
    assert (result.changes, result.told, await stage.told()) == (3, 0, [])
    assert [(await stage.link(one.key)).stage.value for one in problems] == ["resolved", "resolved", "open"]
    before = await stage.desk.calls()
    result = await stage.resync()
    assert (result.changes, result.moved) == (0, 0)
    assert await stage.desk.calls() - before == 3


async def test_it_goes_on_where_it_stood_after_a_restart(stage: Stage) -> None:
    links = [await stage.deliver(fired()) for _ in range(3)]
    assert (await stage.resync()).changes == 3
    stage.configured()
    await stage.resolve(links[1])
    result = await stage.resync()
    assert (result.changes, result.moved) == (1, 1)


async def test_it_is_asked_as_often_as_configured(stage: Stage) -> None:
    stage.configured("resync: {every: 15m}")
    await stage.resync()
    stage.later += 10 * MINUTE
    before = await stage.desk.calls()
    assert await stage.services.timers.resync() == []
    assert await stage.desk.calls() == before
    await stage.resync(5 * MINUTE)
    assert await stage.desk.calls() == before + 3
    stage.configured("resync: {enabled: false}")
    stage.later += HOUR
    assert await stage.services.timers.resync() == []
    assert await stage.services.timers.full_check() == []


async def test_who_is_asked_as_often_as_the_timer_runs_is_asked_whenever_it_is_called(stage: Stage) -> None:
    await stage.resync()
    before = await stage.desk.calls()
    await stage.services.timers.resync()  # a moment later, by hand
    assert await stage.desk.calls() == before + 3


async def test_while_a_delivery_is_under_way_the_stage_is_its_own_business(stage: Stage) -> None:
    problem = fired()
    link = await stage.deliver(problem)
    pending = Pending(
        Op.COMMENT,
        "f" * 32,
        stage.now() + HOUR,
        (stage.now(), 1),
        False,
        1,
        stage.name,
        TicketKind.INCIDENT,
        "default",
    )
    await stage.change(problem.key, pending=pending)
    await stage.write(link, assigned_to=BETH, state="6", close_code="Solution provided", close_notes="x")
    result = await stage.resync()
    link = await stage.link(problem.key)
    assert (link.stage, link.state, link.owner, link.pending) == (Ticketed.OPEN, "6", "Beth Anglin", pending)
    assert (result.moved, result.told) == (1, 0)


async def test_a_ticket_whose_making_is_under_way_waits_for_its_link(stage: Stage) -> None:
    """Its row can be read before the link names it; what it says must not be lost."""
    problem = fired()
    link = await stage.deliver(problem)
    await stage.write(link, assigned_to=BETH)
    event = (problem.occurred_at, 0)
    lease = stage.now() + HOUR
    pending = Pending(Op.CREATE, "f" * 32, lease, event, False, 1, stage.name, link.kind, link.route)
    await stage.change(problem.key, ticket=None, generation=0, stage=Ticketed.NONE, connection="", pending=pending)
    result = await stage.resync()
    assert (result.waiting, result.moved) == (1, 0)
    assert (await stage.resync()).waiting == 1
    await stage.change(
        problem.key, ticket=link.ticket, generation=1, stage=Ticketed.OPEN, connection=stage.name, pending=None
    )
    result = await stage.resync()
    assert (result.changes, result.waiting, result.moved) == (0, 0, 1)
    assert (await stage.link(problem.key)).owner == "Beth Anglin"


async def test_where_both_spoke_at_once_the_ticket_is_asked(stage: Stage) -> None:
    """A page that was asked for just before our own call's answer must not undo it, nor may a person's be lost."""
    problem = fired()
    link = await stage.deliver(problem)
    await stage.resync()
    await stage.resolve(link)
    # our own answer, newer by the clock, says that it is in progress; the ticket itself knows better
    await stage.change(problem.key, state="2", ticket_read_at=stage.now() + 10 * MINUTE)
    before = await stage.desk.calls()
    await stage.resync()
    assert await stage.desk.calls() - before == 3 + 1
    link = await stage.link(problem.key)
    assert (link.stage, link.state) == (Ticketed.RESOLVED, "6")


async def test_tickets_of_other_links_and_strangers_are_left_alone(stage: Stage) -> None:
    await stage.desk.burst(TicketKind.INCIDENT, 7)
    problem = fired()
    link = await stage.deliver(problem)
    assert link.ticket is not None
    await stage.change(problem.key, ticket=replace(link.ticket, id="0" * 32))
    result = await stage.resync()
    assert (result.changes, result.left, result.moved) == (8, 8, 0)
    assert (await stage.link(problem.key)).revision == 0


# -- the full check ---------------------------------------------------------------------------------------------------


async def test_a_deleted_ticket_is_noticed_and_a_new_one_is_made(stage: Stage) -> None:
    kept, gone = fired(), fired()
    await stage.deliver(kept)
    link = await stage.deliver(gone)
    await stage.delete(link)
    await stage.resync()
    assert (await stage.link(gone.key)).stage is Ticketed.OPEN  # no poll shows what is not there
    heard: list[dict[str, object]] = []
    end = listen(lambda event, fields: heard.append(dict(fields)) if event == "ticket_deleted" else None)
    result = await stage.full_check()
    assert (result.tickets, result.gone, result.unseen, result.calls, result.finished) == (2, 0, 1, 1, True)
    assert (await stage.link(gone.key)).stage is Ticketed.OPEN  # one look proves nothing
    assert heard == []
    result = await stage.full_check()
    end()
    assert (result.tickets, result.gone, result.unseen, result.calls, result.finished) == (2, 1, 0, 1, True)
    assert [(one["key"], one["ticket"]) for one in heard] == [(gone.key, link.ticket.number if link.ticket else "")]
    assert (await stage.link(gone.key)).stage is Ticketed.CLOSED
    assert (await stage.link(kept.key)).stage is Ticketed.OPEN
    assert (await stage.deliver(again(gone))).generation == 2


async def test_the_full_check_runs_once_a_day_and_goes_on_where_it_was_broken_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: dict[str, Signal] = {}
    while len(problems) < 4:  # each in a part of the table of its own, so that each is a step of the check
        problem = fired()
        problems[link_id(problem.key)[:2]] = problem
    await stage.deliver(*problems.values())
    monkeypatch.setattr("shared.resync.full_check._TOGETHER", 1)
    await stage.desk.order(type="throttle", retry_after=1, match={"method": "GET"}, times=1, after=2)
    result = await stage.full_check()
    assert (result.tickets, result.finished) == (2, False)
    assert "429" in result.reason
    assert (await stage.full_check(timedelta(hours=1))).tickets == 2
    stage.later += timedelta(hours=20)
    assert await stage.services.timers.full_check() == []
    assert (await stage.full_check(timedelta(hours=5))).tickets == 4


async def test_tickets_that_all_vanish_at_once_are_hidden_and_not_deleted(stage: Stage) -> None:
    problems = [fired() for _ in range(21)]
    await stage.deliver(*problems)
    await stage.desk.set(hidden_rows={"incident": "correlation_idISNOTEMPTY"})
    result = await stage.full_check()
    assert (result.tickets, result.gone, result.hidden) == (21, 0, 21)
    assert "integration user" in result.reason
    assert {(await stage.link(one.key)).stage for one in problems} == {Ticketed.OPEN}


async def test_a_link_that_cannot_be_read_stops_neither_the_resync_nor_the_full_check(stage: Stage) -> None:
    bad, good = await stage.deliver(fired()), await stage.deliver(fired())
    await stage.write(bad, state="2")
    await stage.write(good, state="2")
    row = link_id(bad.key)
    await damage(stage.services.storage, "links", RowAddress(row[:2], row), Stage="half open")
    with heard() as said:
        result = await stage.resync()
        checked = await stage.full_check()
    assert (await stage.link(good.key)).state == "2"
    assert (result.moved, result.left, result.finished, result.reason) == (1, 1, True, "")
    assert (checked.finished, checked.reason) == (True, "")
    assert [one["row"] for one in said] == [row]
