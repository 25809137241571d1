"""What is wrong with the bridge becomes one ticket through a connection that works, and is resolved when it is over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared.core.errors import StorageUnavailable
from shared.core.jobs import JobRun
from shared.core.signal import SignalState
from tests.conformance.stage import Fault
from tests.own_problems.conftest import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = timedelta(days=1)


async def fail(world: World) -> str:
    """Calls to ``desk`` fail from now on; the key of that problem."""
    world.vault.values["desk-password"] = "demo-wrong-password"
    await world.deliver()
    return f"bridge:1:connection_failing|{world.desk}"


async def mend(world: World) -> None:
    world.vault.values["desk-password"] = world.vault.values["ops-password"]
    world.later += timedelta(minutes=1)
    await world.deliver()


async def test_given_a_failing_connection_when_it_fails_for_long_then_another_one_gets_one_ticket_until_it_is_mended(
    world: World,
) -> None:
    key = await fail(world)
    await world.report()
    await world.after(10)
    assert await world.queued() == []
    await world.after(6)
    (fired,) = await world.queued()
    assert (fired.source, fired.kind, fired.state, fired.severity) == (
        "bridge",
        "connection_failing",
        SignalState.FIRED,
        1,
    )
    (ticket,) = await world.tickets(key)
    assert ticket["short_description"] == (f"Azure ITSM Bridge: Calls to connection {world.desk} fail (not_authorised)")
    assert f"Run bridge.py check {world.desk}" in ticket["description"]
    await world.after(30)
    assert await world.queued() == []
    await mend(world)
    await world.after(5)
    (resolved,) = await world.queued()
    assert resolved.state is SignalState.RESOLVED
    (ticket,) = await world.tickets(key)
    assert ticket["state"] == "6"
    await world.after(5)
    assert await world.queued() == []


async def test_given_a_failure_that_passes_when_it_was_short_then_nothing_is_reported(world: World) -> None:
    key = await fail(world)
    await world.report()
    await mend(world)
    await world.after(1)
    await fail(world)
    await world.after(14)
    assert (await world.queued(), await world.tickets(key)) == ([], [])


async def test_given_a_route_to_the_failing_connection_itself_when_it_fails_then_the_problem_waits_and_says_so_once(
    world: World,
) -> None:
    world.configured(to=world.desk)
    key = await fail(world)
    await world.report()
    result = await world.after(16)
    await world.after(5)
    assert result is not None
    assert (result.held, result.fired) == (1, 0)
    assert f"leads to connection {world.desk}" in result.reason
    assert await world.queued() == []
    assert [one["key"] for one in world.said("own_signal_held")] == [key]
    world.configured(to=world.ops)
    await world.after(5)
    assert [one.key for one in await world.queued()] == [key]


async def test_given_a_run_that_ends_before_its_signal_is_sent_when_it_runs_again_then_there_is_one_ticket(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await fail(world)
    await world.report()
    world.later += timedelta(minutes=16)

    async def lost(*_args: object, **_more: object) -> None:
        raise StorageUnavailable("the queue does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(world.services.queue, "send", lost)
        with pytest.raises(StorageUnavailable):
            await world.report()
    world.configured()
    await world.after(5)
    await world.after(5)
    (sent,) = await world.queued()
    assert sent.state is SignalState.FIRED
    assert len(await world.tickets(key)) == 1


async def test_given_two_workers_when_both_report_at_once_then_there_is_one_ticket(world: World) -> None:
    key = await fail(world)
    other, first = world.configured(), world.services
    await world.report()
    world.later += timedelta(minutes=16)
    await asyncio.gather(world.report(services=other), world.report(services=first))
    await world.queued()
    assert len(await world.tickets(key)) == 1


async def test_given_a_dead_letter_of_the_bridge_itself_when_reported_then_it_makes_no_new_signal(
    world: World,
) -> None:
    await fail(world)
    await world.report()
    await world.after(16)
    await world.instance.strike(Fault.REFUSED)
    assert [one.kind for one in await world.queued()] == ["connection_failing"]
    assert [one["source"] for one in world.said("signal_dead_lettered")] == ["bridge"]
    await world.instance.heal()
    await world.report()
    report = await world.services.health_report()
    assert "dead_letters_grow" in {one.code for one in report.reasons}
    await world.after(20)
    assert await world.queued() == []


async def test_given_dead_letters_of_alerts_when_they_pile_up_then_that_is_reported(world: World) -> None:
    await world.instance.strike(Fault.REFUSED)
    await world.deliver()
    await world.instance.heal()
    await world.report()
    await world.after(16)
    (fired,) = await world.queued()
    assert (fired.kind, fired.severity) == ("dead_letters_grow", 2)


async def test_given_a_credential_that_ends_when_forty_days_pass_then_one_ticket_gets_a_note_for_each_step(
    world: World,
) -> None:
    world.configured("report_itself: {reasons: [credential_ends]}")
    ends = world.now() + 40 * DAY
    world.vault.store("desk-password", world.vault.values["desk-password"], ends)
    sent = []
    for _ in range(41):
        world.later += DAY
        await world.services.timers.check_credentials()
        await world.report()
        sent += await world.queued()
    assert [(one.state.value, one.severity) for one in sent] == [
        ("fired", 3),
        ("updated", 3),
        ("updated", 2),
        ("updated", 1),
        ("updated", 1),
    ]
    assert {one.key for one in sent} == {"bridge:1:credential_ends|secret:desk-password"}
    assert sent[0].details["connection"] == world.desk
    (ticket,) = await world.tickets(sent[0].key)
    assert "az keyvault secret set --vault-name contoso --name desk-password" in ticket["description"]
    assert ticket["state"] == "1"
    world.vault.store("desk-password", world.vault.values["desk-password"], ends + 365 * DAY)
    await world.services.timers.check_credentials()
    await world.after(5)
    (resolved,) = await world.queued()
    assert resolved.state is SignalState.RESOLVED
    (ticket,) = await world.tickets(sent[0].key)
    assert ticket["state"] == "6"


async def test_given_many_problems_when_more_than_a_day_may_have_then_the_rest_waits_for_the_next_day(
    world: World,
) -> None:
    world.configured("report_itself: {reasons: [credential_ends], most_per_day: 1}")
    for name in ("desk-password", "ops-password"):
        world.vault.store(name, world.vault.values[name], world.now() + 5 * DAY)
    await world.services.timers.check_credentials()
    first = await world.report()
    await world.after(5)
    assert len(await world.queued()) == 1
    assert first is not None
    assert first.held == 1
    assert len(world.said("own_signal_held")) == 1
    world.later += DAY
    await world.report()
    assert len(await world.queued()) == 1


async def test_given_no_section_when_the_timer_comes_then_nothing_is_read_or_said(world: World) -> None:
    world.configured("")
    await fail(world)
    assert await world.report() is None
    assert await world.after(60) is None
    assert await world.queued() == []


async def test_given_a_dry_run_when_asked_for_then_the_samples_say_what_would_be_sent(world: World) -> None:
    world.vault.store("desk-password", world.vault.values["desk-password"], world.now() + 5 * DAY)
    await world.services.timers.check_credentials()
    run = JobRun(dry_run=True)
    await world.report(run)
    assert [one.split(":")[0] for one in run.samples] == ["fired"]
    assert await world.queued() == []
    await world.report()
    assert len(await world.queued()) == 1


async def test_given_reasons_and_severities_when_the_section_names_them_then_only_those_are_sent_as_it_says(
    world: World,
) -> None:
    world.configured("report_itself: {reasons: [credential_ends], severity: {credential_ends: 0}}")
    await fail(world)
    world.vault.store("ops-password", world.vault.values["ops-password"], world.now() + 5 * DAY)
    await world.services.timers.check_credentials()
    await world.report()
    await world.after(60)
    assert [(one.kind, one.severity) for one in await world.queued()] == [("credential_ends", 0)]


async def test_given_routes_when_checked_then_each_reason_without_a_way_to_a_ticket_is_named(world: World) -> None:
    from connectors.bridge.source import BridgeSource

    world.configured("report_itself: {}")
    (section,) = await world.services.source(BridgeSource).check(DAY)
    assert [(line.name, line.verdict.value) for line in section.lines] == [
        ("connection_failing", "warning"),
        ("signals_wait", "warning"),
    ]
    assert f"leads to connection {world.ops}" in section.lines[0].detail
    assert "when: {source: bridge" in section.lines[0].fix


async def test_given_a_problem_as_a_payload_when_previewed_then_the_ticket_and_its_route_are_shown(
    world: World,
) -> None:
    body = {"bridge_problem": {"reason": "connection_failing", "about": world.desk, "text": "Calls fail."}}
    (shown,) = world.services.preview(body)
    assert shown["route"] == "own"
    assert shown["signal"]["key"] == f"bridge:1:connection_failing|{world.desk}"
    (wrong,) = world.services.preview({"bridge_problem": {"reason": "bad mood"}})
    assert "bridge_problem.reason: write one of connection_failing" in str(wrong)
