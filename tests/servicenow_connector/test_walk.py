"""Changes and problems on their way from state to state, on the simulator and on instances with habits of their own."""

from __future__ import annotations

import pytest

from connectors.servicenow import ServiceNow
from shared.core.errors import NotAuthorised, Refused, TicketMissing
from shared.core.ticket_system import Closure, Draft, Phase, TicketKind, TicketRef
from tests.servicenow_connector.conftest import Connect, Stages
from tests.servicenow_connector.scripted import Asked, Echo, Instance, Say, refusal, result
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID = "0123456789abcdef0123456789abcdef"
KEY = "alert:1:a"
CHANGE = TicketRef(TicketKind.CHANGE_REQUEST, ID, KEY, "CHG0030001")
PROBLEM = TicketRef(TicketKind.PROBLEM, ID, KEY, "PRB0040001")
GROUP = "287ebd7da9fe198100f92cc8d1d2154e"
REVIEW = {"change_request": {"resolved": "Review"}}
ALL_STEPS = {"change_request": {"steps": [-4, -3, -2, -1, 0]}}


async def create(stage: SimulatedServiceNow, kind: TicketKind, **fields: str) -> TicketRef:
    draft = Draft(kind, ID, KEY, {"short_description": "Disk full", **fields})
    return (await stage.system.create(draft)).ref


async def states(stage: SimulatedServiceNow, ref: TicketRef) -> list[str]:
    """The states that a record went through."""
    history = (await stage.told(f"/history/{ref.id}"))["history"]
    return [entry["changes"]["state"][1] for entry in history if "state" in entry["changes"]]


# -- on the simulator ------------------------------------------------------------------------------------------------


async def test_a_standard_change_is_walked_from_new_to_closed(stages: Stages) -> None:
    """Nobody has to approve it, and every step is one write."""
    async with stages(states={"change_request": {"resolved": "Closed"}}) as stage:
        ref = await create(stage, TicketKind.CHANGE_REQUEST, type="standard", assignment_group=GROUP)
        before = await stage.calls()
        ended = await stage.system.resolve(ref, Closure({"close_notes": "healed"}))
        assert (ended.state, ended.phase, ended.dropped) == ("3", Phase.CLOSED, ())
        assert await stage.calls() - before == 5
        assert await states(stage, ref) == ["-5", "-2", "-1", "0", "3"]
        assert await stage.field(ref, "close_notes") == "healed"


async def test_by_default_no_approval_is_asked_for(stages: Stages) -> None:
    async with stages(states=REVIEW) as stage:
        ref = await create(stage, TicketKind.CHANGE_REQUEST, assignment_group=GROUP)
        with pytest.raises(
            Refused, match=r"CHG\d+ stopped at New \(-5\).* Review \(0\): Assess \(-4\) is a step that"
        ) as caught:
            await stage.system.resolve(ref, Closure())
        assert "states.change_request.steps" in caught.value.advice
        assert await states(stage, ref) == ["-5"]


async def test_approvals_are_waited_for_and_never_given(stages: Stages) -> None:
    async with stages(states=ALL_STEPS) as stage:
        ref = await create(stage, TicketKind.CHANGE_REQUEST, assignment_group=GROUP)
        with pytest.raises(Refused, match=r"stopped at Assess \(-4\).*Authorize \(-3\) follows by approval") as caught:
            await stage.system.resolve(ref, Closure())
        assert "its approval is requested" in str(caught.value)
        assert await stage.field(ref, "approval") == "requested"
        await stage.write(ref, start_date="2026-01-01 08:00:00", end_date="2026-01-01 09:00:00")
        await stage.approve(ref)
        with pytest.raises(Refused, match=r"stopped at Authorize \(-3\)"):
            await stage.system.resolve(ref, Closure())
        await stage.approve(ref)
        assert (await stage.system.resolve(ref, Closure())).state == "0"
        assert await states(stage, ref) == ["-5", "-4", "-3", "-2", "-1", "0"]


async def test_a_missing_field_is_named_and_may_come_with_the_closing_fields(stages: Stages) -> None:
    async with stages(states=ALL_STEPS) as stage:
        ref = await create(stage, TicketKind.CHANGE_REQUEST)
        with pytest.raises(Refused, match=r"stopped at New \(-5\).*data policy.*Assignment group"):
            await stage.system.resolve(ref, Closure())
        with pytest.raises(Refused, match=r"stopped at Assess \(-4\)"):
            await stage.system.resolve(ref, Closure({"assignment_group": "Network"}))
        assert await stage.rows("change_request", f"sys_id={ref.id}^assignment_group={GROUP}")
        assert await stage.field(ref, "close_notes") == ""


async def test_a_change_on_hold_says_so(stages: Stages) -> None:
    async with stages(states=REVIEW) as stage:
        ref = await create(stage, TicketKind.CHANGE_REQUEST)
        await stage.ready(ref)
        await stage.write(ref, on_hold="true", on_hold_reason="Freeze until Monday")
        with pytest.raises(Refused, match=r"stopped at Scheduled \(-2\).*it is on hold \(Freeze until Monday\)"):
            await stage.system.resolve(ref, Closure())


async def test_a_change_that_nobody_began_can_be_cancelled_instead(stages: Stages) -> None:
    async with stages(states={"change_request": {"resolved": "Canceled"}}) as stage:
        ref = await create(stage, TicketKind.CHANGE_REQUEST)
        ended = await stage.system.resolve(ref, Closure())
        assert (ended.state, ended.phase) == ("4", Phase.CLOSED)
        assert await states(stage, ref) == ["-5", "4"]


async def test_a_problem_is_walked_with_the_fields_that_each_step_wants(stage: SimulatedServiceNow) -> None:
    ref = await create(stage, TicketKind.PROBLEM)
    with pytest.raises(Refused, match=r"stopped at New \(101\) on its way to Resolved \(106\).*Assigned to"):
        await stage.system.resolve(ref, Closure())
    await stage.ready(ref)
    before = await stage.calls()
    ended = await stage.system.resolve(ref, Closure({"cause_notes": "a leak", "fix_notes": "restarted"}))
    assert (ended.phase, ended.dropped) == (Phase.RESOLVED, ())
    assert await states(stage, ref) == ["101", "102", "103", "104", "106"]
    assert await stage.calls() - before == 5
    assert await stage.field(ref, "cause_notes") == "a leak"


async def test_steps_that_are_left_to_people_are_not_taken(stages: Stages) -> None:
    async with stages(states={"problem": {"steps": ["Assess"]}}) as stage:
        ref = await create(stage, TicketKind.PROBLEM)
        await stage.ready(ref)
        with pytest.raises(Refused, match=r"stopped at Assess \(102\).*Root Cause Analysis \(103\) is a step that"):
            await stage.system.resolve(ref, Closure())
        assert await states(stage, ref) == ["101", "102"]


async def test_a_closed_change_is_not_written(stages: Stages) -> None:
    async with stages(states={"change_request": {"resolved": "Closed"}}) as stage:
        ref = await create(stage, TicketKind.CHANGE_REQUEST)
        await stage.write(ref, state="4")
        before = len(await states(stage, ref))
        ended = await stage.system.resolve(ref, Closure())
        assert (ended.phase, ended.state, ended.dropped) == (Phase.CLOSED, "4", ("state",))
        assert len(await states(stage, ref)) == before


async def test_a_change_that_people_closed_is_not_cancelled(stages: Stages) -> None:
    async with stages(states={"change_request": {"resolved": "Canceled"}}) as stage:
        ref = await create(stage, TicketKind.CHANGE_REQUEST)
        await stage.close(ref)
        before = await stage.calls()
        ended = await stage.system.resolve(ref, Closure())
        assert (ended.phase, ended.state) == (Phase.CLOSED, "3")
        assert await stage.calls() == before + 1


# -- on instances with habits of their own ----------------------------------------------------------------------------


@pytest.fixture
def connector(connect: Connect) -> ServiceNow:
    """A connection that moves changes."""
    return connect(states=REVIEW)


class Guarded(Echo):
    """An instance that lets ``moves`` pass and refuses other writes of the state, and tells what may follow."""

    def __init__(self, moves: dict[str, str], offered: Say | None = None, **row: str) -> None:
        super().__init__()
        self.moves = moves
        self.offered = offered
        self.records[ID] = {
            "sys_id": ID,
            "number": "CHG0030001",
            "state": "-5",
            "active": "true",
            "correlation_id": KEY,
            "type": "normal",
            **row,
        }

    def __call__(self, asked: Asked) -> Say:
        row = self.records[ID]
        if asked.path.endswith("/nextstates"):
            if self.offered is not None:
                return self.offered
            to = [new for old, new in (move.split(">") for move in self.moves) if old == row["state"]]
            return result({"available_states": [row["state"], *to], "state_transitions": [], "state_label": {}})
        if asked.method == "PATCH" and f"{row['state']}>{asked.json['state']}" not in self.moves:
            text = "Operation against file 'change_request' was aborted by Business Rule 'Check State Transition^1'."
            return refusal(403, "Operation Failed", text)
        return super().__call__(asked)


def free(*moves: str) -> dict[str, str]:
    return dict.fromkeys(moves, "")


def written(instance: Instance) -> list[str]:
    return [asked.json["state"] for asked in instance.asked if asked.method == "PATCH"]


@pytest.mark.asyncio(loop_scope="function")
async def test_what_the_instance_offers_is_taken_where_its_model_differs(
    instance: Instance, connector: ServiceNow
) -> None:
    """From Scheduled it leads straight to Review."""
    instance.handler = Guarded(free("-2>0"), state="-2")
    ended = await connector.resolve(CHANGE, Closure())
    assert ended.state == "0"
    assert written(instance) == ["-1", "0"]


@pytest.mark.asyncio(loop_scope="function")
async def test_states_of_the_instance_can_be_steps(instance: Instance, connect: Connect) -> None:
    connector = connect(states={"change_request": {"names": {"17": "Test"}, "steps": ["Implement", "Test"]}})
    instance.handler = Guarded(free("-1>17", "17>0"), state="-1")
    assert (await connector.resolve(CHANGE, Closure())).state == "0"
    assert written(instance) == ["17", "0"]


@pytest.mark.asyncio(loop_scope="function")
async def test_an_approval_that_the_instance_does_not_want_is_no_obstacle(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.handler = Guarded(free("-3>-2", "-2>-1", "-1>0"), state="-3")
    assert (await connector.resolve(CHANGE, Closure())).state == "0"
    assert written(instance) == ["-2", "-1", "0"]


@pytest.mark.asyncio(loop_scope="function")
async def test_of_several_offered_states_the_furthest_is_taken(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Guarded(free("-3>-2", "-3>-1", "-3>4", "-1>0"), state="-3")
    assert (await connector.resolve(CHANGE, Closure())).state == "0"
    assert written(instance) == ["-1", "0"]


@pytest.mark.asyncio(loop_scope="function")
async def test_conditions_that_are_not_met_are_named(instance: Instance, connector: ServiceNow) -> None:
    move = {
        "to_state": "-1",
        "transition_available": False,
        "automatic_transition": False,
        "conditions": [
            {"passed": False, "condition": {"name": "Conflict check has run"}},
            {"passed": True, "condition": {"name": "Not on hold"}},
        ],
    }
    offered = result({"available_states": ["-2"], "state_transitions": [[move]], "state_label": {}})
    instance.handler = Guarded({}, offered, state="-2")
    with pytest.raises(Refused, match=r"not met: Conflict check has run") as caught:
        await connector.resolve(CHANGE, Closure())
    assert "Not on hold" not in str(caught.value)
    assert "Check State Transition" in str(caught.value)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_step_that_happens_by_itself_is_not_written(instance: Instance, connector: ServiceNow) -> None:
    move = {"to_state": "-2", "transition_available": True, "automatic_transition": True, "conditions": []}
    offered = result({"available_states": ["-3", "-2"], "state_transitions": [[move]], "state_label": {}})
    instance.handler = Guarded(free("-3>-2"), offered, state="-3")
    with pytest.raises(Refused, match="follows by approval"):
        await connector.resolve(CHANGE, Closure())
    assert written(instance) == []


@pytest.mark.parametrize(
    "answer",
    [
        refusal(400, "Requested URI does not represent any resource", "/api/sn_chg_rest/v1/change"),
        refusal(403, "User Not Authorized", "Failed API level ACL Validation"),
    ],
)
@pytest.mark.asyncio(loop_scope="function")
async def test_without_the_change_management_api_the_shipped_model_is_all_there_is(
    instance: Instance, connector: ServiceNow, answer: Say
) -> None:
    """It is asked once and then no more."""
    instance.handler = Guarded({}, answer, state="-2")
    for _ in range(2):
        with pytest.raises(Refused, match=r"stopped at Scheduled \(-2\)"):
            await connector.resolve(CHANGE, Closure())
    assert sum(asked.path.endswith("/nextstates") for asked in instance.asked) == 1


@pytest.mark.asyncio(loop_scope="function")
async def test_credentials_that_are_refused_on_the_way_are_no_refusal_of_the_step(
    instance: Instance, connector: ServiceNow
) -> None:
    denied = refusal(401, "User Not Authenticated", "Required to provide Auth information")
    instance.handler = Guarded({}, denied, state="-2")
    with pytest.raises(NotAuthorised):
        await connector.resolve(CHANGE, Closure())


@pytest.mark.asyncio(loop_scope="function")
async def test_a_model_that_leads_in_a_circle_comes_to_an_end(instance: Instance, connect: Connect) -> None:
    connector = connect(states={"change_request": {"steps": [-2, -1, 17]}})

    class Circle(Guarded):
        def __call__(self, asked: Asked) -> Say:
            if asked.method == "PATCH":
                row = self.records[ID]
                row["state"] = {"-2": "-1", "-1": "17", "17": "-2"}[row["state"]]
                return result(row)
            return super().__call__(asked)

    instance.handler = Circle({}, result({"available_states": ["-2", "-1", "17", "0"]}), state="-2")
    with pytest.raises(Refused, match="stopped at"):
        await connector.resolve(CHANGE, Closure())
    assert len(instance.asked) < 30


@pytest.mark.asyncio(loop_scope="function")
async def test_a_record_that_lost_our_key_is_not_walked(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Guarded(free("-1>0"), state="-1", correlation_id="somebody else's")
    with pytest.raises(TicketMissing, match="does not bear the key"):
        await connector.resolve(CHANGE, Closure())
    assert written(instance) == []


@pytest.mark.asyncio(loop_scope="function")
async def test_the_usual_last_step_is_one_look_and_one_write(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Guarded(free("-1>0"), state="-1")
    ended = await connector.resolve(CHANGE, Closure({"close_code": "unsuccessful", "work_notes": "over"}))
    assert (ended.state, ended.phase, ended.dropped) == ("0", Phase.CLOSED, ())
    assert [asked.method for asked in instance.asked] == ["GET", "PATCH"]
    assert instance.asked[1].json["close_code"] == "unsuccessful"
    assert "close_notes" in instance.asked[1].json


@pytest.mark.asyncio(loop_scope="function")
async def test_notes_and_codes_are_written_with_the_last_step_only(instance: Instance, connector: ServiceNow) -> None:
    moves = free("101>102", "102>103", "103>104", "104>106")
    instance.handler = Guarded(moves, state="101", number="PRB0040001")
    await connector.resolve(PROBLEM, Closure({"work_notes": "over", "u_team": "blue"}))
    sent = [asked.json for asked in instance.asked if asked.method == "PATCH"]
    assert [set(one) for one in sent[:3]] == [
        {"state", "u_team"},
        {"state", "u_team"},
        {"state", "u_team", "cause_notes", "fix_notes"},
    ]
    assert {"work_notes", "resolution_code", "close_notes", "cause_notes", "u_team"} <= set(sent[3])
