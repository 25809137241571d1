"""The way back: what Secure Score is told of its tickets, and that it says nothing new by repeating it."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.secure_score.control_states import told_state
from tests.secure_score.world import World

MFA = [{"name": "mfa", "when": {"control": "AdminMFAV2"}}]
STANDARD = {"change": {"type": "standard"}}


async def told(world: World, control: str = "AdminMFAV2") -> list[tuple[str, str, str]]:
    """State, comment and assignee of each update, as Graph has them."""
    return [(one["state"], one["comment"], one["assignedTo"]) for one in await world.updates(control)]


async def test_a_change_walked_to_closed_updates_the_profile(world: World) -> None:
    world.configure(MFA, desk=STANDARD, states=[{"state": "Closed", "control": "Reviewed"}])
    await world.file()
    ticket = await world.ticket()
    for state in ("-2", "-1", "0"):
        await world.write(ticket["sys_id"], state=state, assignment_group="Service Desk")
        await world.resync()
        assert await told(world) == []
    await world.write(
        ticket["sys_id"], state="3", close_code="successful", close_notes="Done.", assigned_to="Beth Anglin"
    )
    await world.resync()
    ((state, comment, assignee),) = await told(world)
    assert (state, assignee) == ("Reviewed", "Beth Anglin")
    assert comment.startswith(f"{ticket['number']} is Closed: {world.instance.url}")
    await world.resync()
    assert len(await told(world)) == 1


async def test_what_we_said_ourselves_neither_resolves_nor_files_anything(world: World) -> None:
    world.configure(MFA, desk=STANDARD)
    await world.file()
    ticket = await world.ticket()
    await world.close_change(ticket["sys_id"])
    await world.resync()
    assert [state for state, *_ in await told(world)] == ["Reviewed"]
    writes = await world.writes()
    polled = await world.poll()
    assert (polled.filed, polled.resolved, world.line.waiting) == (0, 0, [])
    await world.score("AdminMFAV2", 7.0)
    polled = await world.poll()
    assert (polled.filed, polled.resolved, world.line.waiting) == (0, 0, [])
    assert await world.writes() == writes
    # Somebody takes it back in the portal: that is no echo.
    await world.settle("AdminMFAV2", "default")
    assert (await world.file()).filed == 1
    assert len(await world.tickets()) == 2


async def test_a_ticket_that_is_opened_again_opens_the_control_again(world: World) -> None:
    world.configure(MFA, ticket="incident")
    await world.setting(state_spelling="camel")
    await world.file()
    ticket = await world.ticket("incident")
    done = {"state": "6", "close_code": "Solution provided", "close_notes": "Done."}
    await world.write(ticket["sys_id"], "incident", **done)
    await world.resync()
    await world.poll()
    await world.write(ticket["sys_id"], "incident", state="2")
    await world.resync()
    assert [state for state, *_ in await told(world)] == ["reviewed", "default"]
    assert (await told(world))[1][1].startswith(f"{ticket['number']} was opened again")
    before = (await world.ticket("incident"))["work_notes"]
    polled = await world.file()
    assert (polled.filed, polled.resolved) == (0, 0)
    assert (await world.ticket("incident"))["work_notes"] == before
    await world.write(ticket["sys_id"], "incident", **done)
    await world.resync()
    assert [state for state, *_ in await told(world)] == ["reviewed", "default", "reviewed"]


async def test_a_ticket_resolved_because_of_the_full_score_tells_nothing(world: World) -> None:
    world.configure(MFA, ticket="incident")
    await world.file()
    await world.score("AdminMFAV2", 10.0)
    await world.file()
    ticket = await world.ticket("incident")
    assert ticket["state_value"] == "6"
    await world.resync()
    await world.write(ticket["sys_id"], "incident", state="7")
    await world.resync()
    assert await told(world) == []


@pytest.mark.parametrize(
    ("close_code", "wanted"), [("Solved Remotely (Permanently)", "ThirdParty"), ("Solution provided", "Reviewed")]
)
async def test_close_codes_say_what_it_means(world: World, close_code: str, wanted: str) -> None:
    states = [
        {
            "phase": "resolved",
            "close_code": "solved remotely*",
            "control": "ThirdParty",
            "comment": "{{ ticket.close_code }}",
        },
        {"phase": "resolved", "control": "Reviewed"},
        {"state": "Canceled", "control": "Ignored"},
    ]
    world.configure(MFA, ticket="incident", states=states)
    await world.file()
    ticket = await world.ticket("incident")
    await world.write(ticket["sys_id"], "incident", state="6", close_code=close_code, close_notes="Done.")
    await world.resync()
    ((state, comment, _),) = await told(world)
    assert state == wanted
    assert (comment == close_code) is (wanted == "ThirdParty")


async def test_open_states_may_mean_something_too(world: World) -> None:
    states: list[dict[str, Any]] = [
        {
            "state": "Work in Progress",
            "control": "Default",
            "comment": "{{ ticket.owner }} works on {{ ticket.number }}",
        },
    ]
    desk = {"states": {"incident": {"names": {"2": "Work in Progress"}}}}
    world.configure(MFA, ticket="incident", states=states, desk=desk)
    await world.file()
    ticket = await world.ticket("incident")
    await world.write(ticket["sys_id"], "incident", state="2", assigned_to="Beth Anglin")
    await world.resync()
    assert await told(world) == [("Default", f"Beth Anglin works on {ticket['number']}", "Beth Anglin")]


async def test_by_default_a_cancelled_ticket_and_one_that_solved_nothing_tell_nothing(world: World) -> None:
    rules = [{"name": "two", "when": {"control": ["AdminMFAV2", "DLPEnabled"]}}]
    world.configure(rules, desk=STANDARD)
    await world.file()
    first, second = await world.tickets()
    await world.write(first["sys_id"], state="4", close_notes="Not now.")
    await world.close_change(second["sys_id"], "unsuccessful")
    await world.resync()
    assert [*await told(world), *await told(world, "DLPEnabled")] == []


async def test_controls_of_defender_for_endpoint_are_left_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.configure([{"name": "endpoint", "when": {"control": "scid_*"}}], desk=STANDARD)
    await world.file()
    await world.close_change((await world.ticket())["sys_id"])
    await world.resync()
    assert await told(world, "scid_2000") == []
    assert not [one for one in await world.requests() if one["method"] == "PATCH"]
    assert "signal_dead_lettered" not in caplog.text


async def test_a_control_that_says_so_already_is_not_written(world: World) -> None:
    world.configure(MFA, desk=STANDARD)
    await world.file()
    await world.settle("AdminMFAV2", "reviewed")
    await world.close_change((await world.ticket())["sys_id"])
    await world.resync()
    assert len(await told(world)) == 1
    link = await world.link("AdminMFAV2")
    assert link is not None
    assert told_state(link.last_pushed) == "Reviewed"


async def test_what_does_not_reach_microsoft_is_told_later_and_once(world: World) -> None:
    world.configure(MFA, desk=STANDARD)
    await world.file()
    await world.close_change((await world.ticket())["sys_id"])
    match = {"operation": "secureScoreControlProfiles/write"}
    await world.cloud("throttle", match=match, times=1, retry_after=900)
    await world.resync()
    assert await told(world) == []
    assert len(world.line.later) == 1
    await world.cloud("cut_after_commit", match=match, times=1)
    world.line.waiting, world.line.later = world.line.later, []
    await world.work_off()
    # The answer was lost, the repetition is written too: Graph keeps both, and they say the same.
    assert {state for state, *_ in await told(world)} == {"Reviewed"}
    link = await world.link("AdminMFAV2")
    assert link is not None
    assert told_state(link.last_pushed) == "Reviewed"


async def test_a_control_that_is_gone_is_no_error(world: World) -> None:
    world.configure(MFA, desk=STANDARD)
    await world.file()
    await world.remove("AdminMFAV2")
    await world.close_change((await world.ticket())["sys_id"])
    await world.resync()
    link = await world.link("AdminMFAV2")
    assert link is not None
    assert told_state(link.last_pushed) == "Reviewed"


async def test_who_may_not_write_learns_which_permission_is_missing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    reader = [{"sign_in": world.sign_in(who="reader")}]
    world.configure(MFA, desk=STANDARD, tenants=reader)
    await world.file()
    await world.close_change((await world.ticket())["sys_id"])
    await world.resync()
    assert await told(world) == []
    assert "SecurityEvents.ReadWrite.All" in caplog.text
    assert '"event": "signal_dead_lettered"' in caplog.text


async def test_nothing_is_told_where_that_is_not_wanted(world: World) -> None:
    world.configure(MFA, desk=STANDARD, write_back=False)
    await world.file()
    await world.close_change((await world.ticket())["sys_id"])
    await world.resync()
    assert await told(world) == []
