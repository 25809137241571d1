"""What becomes of problems and changes whose problem is over, where the bridge does not move them to their end."""

from __future__ import annotations

import pytest

from connectors.servicenow import ServiceNow
from shared.core.errors import OutcomeUnknown, Refused
from shared.core.ticket_system import Closure, Draft, Note, Phase, TicketKind, TicketRef
from tests.conformance.stage import Fault
from tests.servicenow_connector.conftest import Connect, Stages
from tests.servicenow_connector.scripted import Instance, refusal, result
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "0123456789abcdef0123456789abcdef"
KEY = "alert:1:a"
NOTE = Note("The recommendation ended at noon. [bridge:1]", "[bridge:1]")
CLOSURE = Closure({"close_notes": "Healthy again"}, NOTE)
RESOURCE = {"problem": {"state_resource": "/api/x_demo/azure_itsm_bridge/problem"}}
PEOPLE = {"assigned_to": "5137153cc611227c000bbd1bd8cd2005"}
GROUP = "287ebd7da9fe198100f92cc8d1d2154e"


async def create(stage: SimulatedServiceNow, kind: TicketKind, **fields: str) -> TicketRef:
    return (await stage.system.create(Draft(kind, ID, KEY, {"short_description": "Disk full", **fields}))).ref


async def note_count(stage: SimulatedServiceNow, ref: TicketRef) -> int:
    return sum(NOTE.marker in text for text in await stage.notes(ref))


# -- changes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["normal", "standard", "emergency"])
async def test_a_change_that_nobody_began_is_cancelled_with_a_note(stage: SimulatedServiceNow, kind: str) -> None:
    ref = await create(stage, TicketKind.CHANGE_REQUEST, type=kind)
    before = await stage.calls()
    ended = await stage.system.resolve(ref, CLOSURE)
    assert (ended.state, ended.phase, ended.dropped, ended.handed_over) == ("4", Phase.CLOSED, (), "")
    assert await stage.calls() == before + 2
    assert await note_count(stage, ref) == 1
    assert await stage.field(ref, "close_notes") == "Healthy again"
    assert await stage.field(ref, "close_code") == ""
    again = await stage.system.resolve(ref, CLOSURE)
    assert (again.state, again.phase) == ("4", Phase.CLOSED)
    assert await note_count(stage, ref) == 1


async def test_a_change_under_way_gets_the_note_and_is_left_to_its_people(stage: SimulatedServiceNow) -> None:
    ref = await create(stage, TicketKind.CHANGE_REQUEST)
    await stage.write(ref, state="-4", assignment_group=GROUP)
    for _ in range(2):  # a repetition, as after a lost answer, writes no second note
        left = await stage.system.resolve(ref, CLOSURE)
        assert (left.state, left.phase) == ("-4", Phase.OPEN)
        assert left.handed_over == f"{ref.number} is at Assess (-4) and is left to people"
        assert await note_count(stage, ref) == 1
    await stage.close(ref)
    assert (await stage.system.resolve(ref, CLOSURE)).phase is Phase.CLOSED
    assert await note_count(stage, ref) == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_a_lost_answer_at_the_end_of_a_change_leaves_one_note(stage: SimulatedServiceNow, begun: bool) -> None:
    ref = await create(stage, TicketKind.CHANGE_REQUEST)
    if begun:
        await stage.write(ref, state="-4", assignment_group=GROUP)
    await stage.strike(Fault.LOST_ANSWER)
    with pytest.raises(OutcomeUnknown):
        await stage.system.resolve(ref, CLOSURE)
    await stage.heal()
    ended = await stage.system.resolve(ref, CLOSURE)
    assert (ended.phase, bool(ended.handed_over)) == ((Phase.OPEN, True) if begun else (Phase.CLOSED, False))
    assert await note_count(stage, ref) == 1


async def test_a_route_that_names_the_end_has_the_change_moved(stage: SimulatedServiceNow) -> None:
    ref = await create(stage, TicketKind.CHANGE_REQUEST, type="standard", assignment_group=GROUP)
    ended = await stage.system.resolve(ref, Closure({"state": "Review"}, NOTE))
    assert ended.state == "0"


@pytest.mark.asyncio(loop_scope="function")
async def test_a_change_that_the_instance_does_not_cancel_is_left_to_people(
    instance: Instance, connector: ServiceNow
) -> None:
    row = {"sys_id": ID, "number": "CHG0030001", "state": "-5", "active": "true", "correlation_id": KEY}
    abort = "Operation against file 'change_request' was aborted by Business Rule 'Change Model: Check State^1'."
    shown = {name: {"value": text, "display_value": text} for name, text in row.items()}
    instance.says(result(row), refusal(403, "Operation Failed", abort), result(shown), result(row))
    left = await connector.resolve(TicketRef(TicketKind.CHANGE_REQUEST, ID, KEY, "CHG0030001"), CLOSURE)
    assert (left.phase, "Change Model: Check State" in left.handed_over) == (Phase.OPEN, True)
    assert NOTE.text in instance.asked[-1].body.decode()
    instance.says(result(row), result(row))
    kept = await connector.resolve(TicketRef(TicketKind.CHANGE_REQUEST, ID, KEY, "CHG0030001"), CLOSURE)
    assert (kept.phase, kept.handed_over) == (Phase.OPEN, "CHG0030001 stays at New (-5), although it was cancelled")


# -- problems on instances that move them by actions of their own -----------------------------------------------------


@pytest.mark.parametrize(("habit", "said"), [("ignored", "left the state as it was"), ("aborted", "Check State")])
async def test_a_problem_whose_state_cannot_be_written_gets_the_note_and_a_warning(
    stage: SimulatedServiceNow, habit: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.set(problem_transitions=habit)
    ref = await create(stage, TicketKind.PROBLEM, **PEOPLE)
    for _ in range(2):
        left = await stage.system.resolve(ref, CLOSURE)
        assert (left.state, left.phase) == ("101", Phase.OPEN)
        assert said in left.handed_over
        assert ref.number in left.handed_over
        assert await note_count(stage, ref) == 1
    assert "problem.state_resource" in caplog.text


@pytest.mark.parametrize("habit", ["checked", "ignored", "aborted"])
async def test_the_scripted_resource_moves_problems_whatever_the_table_api_does(stages: Stages, habit: str) -> None:
    async with stages(**RESOURCE) as stage:
        await stage.set(problem_transitions=habit)
        ref = await create(stage, TicketKind.PROBLEM, **PEOPLE)
        before = await stage.calls()
        ended = await stage.system.resolve(ref, CLOSURE)
        assert (ended.state, ended.phase, ended.handed_over) == ("106", Phase.RESOLVED, "")
        assert await stage.calls() == before + 2
        assert await stage.field(ref, "close_notes") == "Healthy again"
        assert await stage.field(ref, "resolution_code") == "fix_applied"
        assert (await stage.system.resolve(ref, CLOSURE)).phase is Phase.RESOLVED
        reopened = await stage.system.reopen(ref, Note("It is back [bridge:2]", "[bridge:2]"))
        assert (reopened.state, reopened.phase) == ("103", Phase.OPEN)
        assert any("[bridge:2]" in text for text in await stage.notes(ref))


@pytest.mark.parametrize("habit", ["ignored", "aborted"])
async def test_without_the_resource_a_resolved_problem_that_is_not_reopened_comes_back_as_it_is(
    stage: SimulatedServiceNow, habit: str
) -> None:
    """The engine then opens a new ticket."""
    ref = await create(stage, TicketKind.PROBLEM, **PEOPLE)
    await stage.system.resolve(ref, CLOSURE)
    await stage.set(problem_transitions=habit)
    kept = await stage.system.reopen(ref, Note("It is back [bridge:2]", "[bridge:2]"))
    assert (kept.state, kept.phase) == ("106", Phase.RESOLVED)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_resource_that_answers_something_else_is_no_success(instance: Instance, connect: Connect) -> None:
    row = {"sys_id": ID, "number": "PRB0040001", "state": "101", "active": "true", "correlation_id": KEY}
    connector = connect(**RESOURCE)
    ref = TicketRef(TicketKind.PROBLEM, ID, KEY, "PRB0040001")
    for answer, said in (
        (result({"ok": "true"}), "without the state"),
        (result({**row, "correlation_id": "other"}), "without the state"),
        (result(row), "is in state 101 after"),
        (refusal(400, "Requested URI does not represent any resource"), "refuses PATCH"),
    ):
        instance.says(result(row), answer)
        with pytest.raises(Refused, match=said) as caught:
            await connector.resolve(ref, CLOSURE)
        assert caught.value.advice
