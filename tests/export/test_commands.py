"""What people see of the export and do with it: bridge.py export, the health report, the doctor."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import typer

from app.checks import run_checks
from cli.export import _backfill, _preview, _set_stopped, _status
from shared.core.errors import SourceRefused
from shared.core.jobs import JobRun
from shared.core.ticket_system import CheckStatus
from tests.export.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXPORT = "kinds: [incident], query: 'short_descriptionSTARTSWITHDisk full', days: 3"


async def test_a_preview_counts_rows_and_calls_before_anything_is_sent(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.configured(EXPORT, connection="budget: {calls: 100}")
    await world.add_many(1200, seconds=3600)
    await world.add_many(10, seconds=5 * 86_400)
    await _preview(world.services, "", 0, True)
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["calls"], found["days"], found["allowed"]) == (1200, 4, 3, 100)
    assert found["time"] > 0
    await _preview(world.services, "", 6, False)
    assert "1210 tickets of 6 days take 4 calls (of 100 that a window allows)" in capsys.readouterr().out
    assert world.store.requests == 0


async def test_a_backfill_by_hand_begins_anew_and_shows_how_far_it_is(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.configured(EXPORT)
    await world.add_many(3, seconds=3600)
    await world.add_many(2, seconds=5 * 86_400)
    assert (await world.export()).rows == 3
    await _backfill(world.services, world.name, 6, yes=True, in_app=False)
    assert len(world.store.ids) == 5
    assert len(world.store.tickets) == 8
    assert "incident: 5 rows since" in capsys.readouterr().out
    assert (await world.export()).rows == 0


async def test_a_stopped_export_goes_on_where_it_stood(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.configured(EXPORT).exports.page = 10
    await world.add_many(25, seconds=3600)

    async def stop() -> None:  # while a page is on its way
        await _set_stopped(world.services, "", True)

    world.store.before = stop
    result = await world.export()
    assert (result.rows, result.finished) == (10, False)
    world.store.before = None
    assert await world.services.exports.export_tickets() == []
    await _status(world.services, "", False)
    assert f"{world.name}: stopped; bridge.py export start goes on" in capsys.readouterr().out
    await _set_stopped(world.services, "", False)
    assert (await world.export()).rows == 15
    assert len(world.store.tickets) == 25


async def test_a_connection_that_is_not_exported_is_named(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        await _status(world.services, "other", False)
    assert f"'other' is not exported: write one of {world.name}" in capsys.readouterr().err


async def test_health_shows_the_lag_and_says_when_the_export_does_not_go_on(world: World) -> None:
    world.configured(EXPORT)
    await world.add_many(2, seconds=3600)
    await world.export()
    world.later += timedelta(minutes=7)
    report = await world.services.health_report()
    shown = report.details["connections"][world.name]["export"]
    assert (shown["state"], shown["last_error"]) == ("ok", None)
    assert 420 <= shown["lag_seconds"] <= 480
    assert "export_lags" not in {one.code for one in report.reasons}
    # when the log store refuses rows for half an hour
    await world.add_many(1)
    world.store.fails = SourceRefused("403: the app lacks the role. Fix: assign it", status=403)
    for _ in range(8):
        await world.export()
    report = await world.restarted().health_report()
    (reason,) = [one for one in report.reasons if one.code == "export_lags"]
    assert reason.about == world.name
    assert "403: the app lacks the role. Fix: assign it." in reason.text
    assert report.details["connections"][world.name]["export"]["state"] == "failing"
    # when it takes them again
    world.store.fails = None
    await world.export()
    report = await world.restarted().health_report()
    assert "export_lags" not in {one.code for one in report.reasons}


async def test_the_job_shows_progress_and_says_what_it_would_do(world: World) -> None:
    world.configured(EXPORT)
    await world.add_many(2, seconds=60)
    run = JobRun(dry_run=True)
    await world.services.job_runner.run("export_tickets", run, by="a test")
    (part,) = run.parts()
    assert (part.name, part.counts["rows"], part.finished) == (world.name, 2, True)
    assert any(sample.startswith("export incident INC") for sample in run.samples)


async def test_the_check_says_what_the_export_may_not_read(world: World) -> None:
    world.configured("kinds: [incident, problem, change_request], more: [u_region], query: 'active=true'")
    await world.add_many(1, seconds=60)
    await world.desk.order(type="acl_refuse", match={"method": "GET", "table": "problem"})
    sections = [one async for one in run_checks(world.services, connection=world.name)]
    lines = {line.name: line for line in sections[0].lines if line.name.startswith("export ")}
    assert lines["export incident"].verdict is CheckStatus.WARNING
    assert lines["export incident"].detail == "No column is there, or shown, for u_region: they stay empty"
    assert lines["export problem"].verdict is CheckStatus.FAILED
    assert lines["export problem"].fix
    world.configured("kinds: [incident], query: 'statee=1'")
    sections = [one async for one in run_checks(world.services, connection=world.name)]
    (line,) = [line for line in sections[0].lines if line.name == "export incident"]
    assert (line.verdict, "names statee" in line.detail) == (CheckStatus.FAILED, True)
    assert f"Correct connections.{world.name}.export.query" in line.fix
    world.configured("kinds: [incident]")
    sections = [one async for one in run_checks(world.services, connection=world.name)]
    (line,) = [line for line in sections[0].lines if line.name == "export incident"]
    assert (line.verdict, line.detail) == (CheckStatus.OK, "Tickets can be read; which ones were deleted is not told")


async def test_a_ticket_of_the_bridge_that_the_full_check_misses_has_a_row(world: World) -> None:
    # given a connection that exports the bridge's tickets only, so that nobody else's deletions are told
    world.configured("kinds: [incident], tickets: ours", more="delivery: {missing_after: 1h}")
    from tests.export.test_log import deliver
    from tests.resync.stage import fired

    begun, other = fired(), fired()
    await deliver(world, begun)
    await deliver(world, other)
    await world.export()
    link = await world.services.live_links.load(begun.key)
    assert link is not None
    assert link.value.ticket is not None
    await world.desk.remove("incident", link.value.ticket.id)
    for _ in range(2):
        world.later += timedelta(days=1)
        await world.services.timers.full_check(JobRun(always=True))
    result = await world.export()
    assert (result.rows, result.deleted) == (1, 1)
    assert (world.store.tickets[-1].id, world.store.tickets[-1].deleted) == (link.value.ticket.id, True)
    assert (await world.export()).rows == 0
