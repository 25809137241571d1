"""Back-fill, then what changes: every change is sent, whatever happens in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.errors import SourceRefused, SourceUnavailable
from shared.core.export import ExportField as F
from shared.core.ticket_system import Phase, TicketKind
from shared.export.positions import CONTAINER
from shared.platform.blobs import JsonBlob
from tests.export.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Only what a test made itself.
OURS = "kinds: [incident], query: 'short_descriptionSTARTSWITHDisk full'"


class Killed(BaseException):
    """The process ends here."""


async def test_a_backfill_sends_the_tickets_of_the_past_days_and_then_only_what_changes(world: World) -> None:
    # given tickets of the past days, and one that last changed before
    world.configured(f"{OURS}, days: 2")
    recent = await world.add_many(3, seconds=86_400)
    await world.add_many(1, seconds=4 * 86_400)
    # when the export runs for the first time
    result = await world.export()
    # then it sends those of the past days
    assert (result.rows, result.finished, result.reason) == (3, True, "")
    assert {one.id for one in world.store.tickets} == set(recent)
    # when nothing changes, then it costs one call
    result = await world.export()
    assert (result.rows, result.calls, result.requests) == (0, 1, 0)
    # when one changes, then it is sent once more, with another revision
    await world.desk.patch("incident", recent[0], short_description="Disk full: solved")
    result = await world.export()
    assert (result.rows, result.calls) == (1, 1)
    before, after = world.store.of(recent[0])
    assert before.revision != after.revision
    assert after.values[F.TITLE] == "Disk full: solved"


async def test_a_ticket_that_changes_while_pages_are_read_is_sent_as_it_was_and_as_it_is(world: World) -> None:
    world.configured(OURS).exports.page = 10
    ids = await world.add_many(25, seconds=3600)

    async def change_the_first() -> None:
        if world.store.requests == 1:
            await world.desk.patch("incident", min(ids), short_description="Disk full again")

    world.store.before = change_the_first
    result = await world.export()
    assert {one.id for one in world.store.tickets} == set(ids)
    assert [one.values[F.TITLE] for one in world.store.of(min(ids))][-1] == "Disk full again"
    assert result.rows == 26


async def test_many_changes_of_one_second_are_all_sent_once(world: World) -> None:
    world.configured(OURS).exports.page = 10
    ids = await world.add_many(43, seconds=60)
    result = await world.export()
    assert (result.rows, len(world.store.ids)) == (43, 43)
    assert {one.id for one in world.store.tickets} == set(ids)
    assert (await world.export()).rows == 0


@pytest.mark.parametrize("place", range(1, 5))
async def test_an_export_that_is_killed_between_sending_and_noting_goes_on_at_that_page(
    world: World, place: int
) -> None:
    # given pages of ten, and a process that dies when the log store has taken one of them
    world.configured(OURS).exports.page = 10
    ids = await world.add_many(35, seconds=3600)

    async def die() -> None:
        world.store.dies = Killed() if world.store.requests + 1 == place else None

    world.store.before = die
    with pytest.raises(Killed):
        await world.export()
    # when another process goes on
    world.restarted().exports.page = 10
    await world.export()
    # then every ticket is there, and what came twice has the same id
    assert {one.id for one in world.store.tickets} == set(ids)
    assert len(world.store.ids) == 35
    assert len(world.store.tickets) <= 45


async def test_rows_that_the_log_store_did_not_take_are_sent_in_the_next_run(world: World) -> None:
    world.configured(OURS)
    await world.add_many(4, seconds=60)
    world.store.fails = SourceUnavailable("the log store is busy", status=429, retry_after=7)
    result = await world.export()
    assert (result.rows, result.finished, result.reason) == (0, False, "the log store is busy")
    world.store.fails = SourceRefused("no role. Fix: assign Monitoring Metrics Publisher", status=403)
    assert "Fix: assign" in (await world.export()).reason
    world.store.fails = None
    assert (await world.export()).rows == 4


async def test_a_position_that_cannot_be_read_begins_the_export_anew(world: World) -> None:
    world.configured(OURS)
    await world.add_many(3, seconds=60)
    await world.export()
    blob = JsonBlob(world.storage, CONTAINER, f"{world.name}/incident.json", int)
    await blob.write(7)
    result = await world.export()
    assert (result.rows, len(world.store.ids), len(world.store.tickets)) == (3, 3, 6)


async def test_an_order_that_cannot_be_read_stops_the_export_of_its_connection_and_says_so(world: World) -> None:
    world.configured(OURS)
    await world.add_many(3, seconds=60)
    await JsonBlob(world.storage, CONTAINER, f"{world.name}/orders.json", int).write(7)
    result = await world.export()
    assert (result.rows, result.finished) == (0, False)
    assert "orders.json" in result.reason
    shown = (await world.services.exports.statuses())[world.name].shown(world.now())
    assert (shown["state"], shown["last_error"]["code"]) == ("failing", "unreadable_row")


async def test_a_ticket_that_an_import_dated_in_the_future_hides_no_change(world: World) -> None:
    world.configured(OURS)
    await world.add_many(1, seconds=-300 * 86_400)
    await world.export()
    await world.add_many(2, seconds=1)
    assert (await world.export()).rows == 2
    assert (await world.export()).rows == 0


async def test_a_dry_run_counts_and_sends_nothing(world: World) -> None:
    world.configured(OURS)
    await world.add_many(3, seconds=60)
    result = await world.export(dry_run=True)
    assert (result.rows, result.requests, world.store.tickets) == (3, 0, [])
    assert (await world.export()).rows == 3
    world.configured(OURS, more="mode: dry_run")
    assert await world.services.exports.export_tickets() == []


async def test_an_export_that_is_wanted_every_hour_asks_nothing_in_between(world: World) -> None:
    services = world.configured(f"{OURS}, every: 1h")
    await world.add_many(1, seconds=60)
    await world.export()
    world.later += timedelta(minutes=30)
    assert await services.exports.export_tickets() == []
    assert (await world.export(always=True)).calls == 1
    assert (await world.export(timedelta(hours=1))).calls >= 1


async def test_two_connections_do_not_disturb_each_other(world: World) -> None:
    services = world.configured(OURS)
    text = services.config_path.read_text()
    down = (
        "connections:\n  down:\n    type: servicenow\n    url: http://127.0.0.1:9\n    export: {kinds: [incident]}\n"
        "    auth: {type: api_key, key: {secret: desk-password}}\n"
    )
    services.config_path.write_text(text.replace("connections:\n", down))
    await world.add_many(3, seconds=60)
    first, second = await world.restarted().exports.export_tickets()
    assert (first.connection, second.connection) == tuple(sorted(("down", world.name)))
    up, broken = (second, first) if first.connection == "down" else (first, second)
    assert (up.rows, up.finished) == (3, True)
    assert (broken.rows, broken.finished) == (0, False)
    assert broken.reason


async def test_a_thousand_tickets_cost_hardly_more_calls_than_there_are_pages(world: World) -> None:
    world.configured(OURS)
    await world.add_many(1000, seconds=3600)
    calls = await world.desk.calls()
    result = await world.export()
    made = await world.desk.calls() - calls
    # two pages, the count of the back-fill, the question for deletions, and which columns the query may name
    assert (result.rows, result.calls) == (1000, 4)
    assert made <= 8
    await world.add_many(1000, seconds=1)
    result = await world.export()
    assert (result.rows, result.calls) == (1000, 2)


async def test_changes_and_problems_are_exported_with_their_own_fields(world: World) -> None:
    world.configured("kinds: [change_request, problem], query: 'short_descriptionSTARTSWITHDisk full'")
    planned = {"start_date": "2026-03-01 08:00:00", "end_date": "2026-03-01 09:30:00", "type": "normal"}
    await world.add_many(1, "change_request", seconds=60, **planned)
    await world.add_many(1, "problem", seconds=60)
    assert (await world.export()).rows == 2
    change, problem = sorted(world.store.tickets, key=lambda one: one.kind)
    assert (change.kind, change.phase, change.values[F.TYPE]) == (TicketKind.CHANGE_REQUEST, Phase.OPEN, "Normal")
    assert change.values[F.PLANNED_START] == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert change.values[F.STATE] == "New"
    assert (problem.kind, problem.phase, problem.values[F.STATE]) == (TicketKind.PROBLEM, Phase.OPEN, "New")


@pytest.mark.parametrize("fault", ["slow_quota", "partial_result"])
async def test_a_page_that_takes_the_instance_too_long_is_asked_for_in_smaller_parts(world: World, fault: str) -> None:
    world.configured(OURS)
    await world.add_many(800, seconds=3600)
    # the count is answered, the first page is cut off by the instance's quota of time
    await world.desk.order(type=fault, match={"method": "GET", "table": "incident"}, after=1, times=1)
    result = await world.export()
    assert (result.rows, result.finished) == (0, False)
    assert result.reason
    result = await world.export()
    # the count, four pages of 250, and deletions
    assert (result.rows, result.calls, result.finished) == (800, 6, True)


async def test_a_run_that_uses_its_time_up_goes_on_in_the_next_one(world: World) -> None:
    services = world.configured(OURS)
    services.exports.page = 10
    await world.add_many(25, seconds=3600)

    async def a_page_takes_long() -> None:
        world.later += timedelta(minutes=3)

    world.store.before = a_page_takes_long
    result = await world.export()
    assert (result.rows, result.finished) == (20, False)
    shown = (await world.services.exports.statuses())[world.name].shown(world.now())
    assert (shown["state"], shown["kinds"]["incident"]["rows"], shown["kinds"]["incident"]["expected"]) == (
        "backfilling",
        20,
        25,
    )
    assert shown["lag_seconds"] >= 3600
    assert (await world.export()).finished
    assert (await world.services.exports.statuses())[world.name].shown(world.now())["state"] == "ok"
    assert len(world.store.ids) == 25
