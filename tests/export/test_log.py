"""The bridge's own log is exported: what became of each signal, and the state of each connection."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio

from shared.core.errors import SourceRefused
from shared.core.export import LogRow
from shared.core.jobs import JobRun
from shared.core.messages import SignalMessage, encode
from shared.core.signal import Signal
from shared.export import LogResult
from shared.export.positions import CONTAINER, LogPosition
from shared.operations.audit_log import AuditEntry
from shared.operations.health import count_parked
from shared.platform.blobs import JsonBlob
from tests.export.world import World
from tests.resync.stage import fired, over

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def empty_log(world: World) -> None:
    """Tests share a storage account: what others logged is gone, and the export has never run."""
    await world.services.audit_log.forget_before(world.now() + timedelta(hours=2), 100_000)
    await JsonBlob(world.storage, CONTAINER, "log.json", LogPosition).delete()


async def deliver(world: World, signal: Signal) -> None:
    message = SignalMessage(id=uuid4().hex, received_at=world.now(), signal=signal)
    await world.services.worker.handle(message.id, encode(message), 1)


async def send(world: World, after: timedelta = timedelta(minutes=5)) -> LogResult:
    world.later += after
    result = await world.services.exports.export_log()
    assert result is not None
    return result


def of(world: World, key: str) -> list[LogRow]:
    return [one for one in world.store.log if one.key == key]


async def test_alert_decision_and_ticket_stand_in_one_row(world: World) -> None:
    begun = fired()
    await deliver(world, begun)
    await deliver(world, over(begun))
    await send(world)
    created, resolved = of(world, begun.key)
    resource = begun.resources[0]
    assert created.message == f"Incident {created.ticket_number} was created: {begun.title}."
    assert resolved.message == f"Incident {created.ticket_number} was resolved: {begun.title}."
    # its configuration item was not found, which is odd and no failure
    assert (created.level, created.succeeded, created.error, created.decision) == ("WARNING", True, "", "created")
    assert resolved.level == "INFO"
    assert (created.alert_rule, created.fired_at) == (begun.rule, begun.fired_at)
    assert (created.resource, created.resource_type) == (str(resource.id).lower(), resource.type)
    assert (created.subscription, created.connection) == (resource.subscription_id, world.name)
    assert created.ticket_url.startswith(world.desk.simulator.url)
    assert created.calls >= 1
    assert created.id != resolved.id


async def test_rows_that_were_sent_are_not_sent_again_and_late_ones_are_not_lost(world: World) -> None:
    first, late = fired(), fired()
    await deliver(world, first)
    await send(world)
    # a row that another worker writes some seconds late, of a time just before the last run
    await deliver(world, late)
    (row,) = [one async for one in world.services.audit_log.read(world.now() - timedelta(minutes=1), world.now())]
    assert (await send(world, timedelta(seconds=30))).rows == 0
    await world.services.audit_log.write(replace(row, id=uuid4().hex, time=row.time - timedelta(seconds=20)))
    result = await send(world)
    assert result.rows == 2
    assert (len(of(world, first.key)), len(of(world, late.key))) == (1, 2)
    assert (await send(world)).rows == 0


async def test_a_refusal_is_an_error_that_says_why(world: World) -> None:
    await world.services.audit_log.write(
        AuditEntry(
            world.now(), uuid4().hex, "dead_lettered", key="alert:1:refused", title="Disk", reason="HTTP 403: no"
        )
    )
    await send(world)
    (row,) = of(world, "alert:1:refused")
    assert (row.level, row.succeeded, row.error) == ("ERROR", False, "HTTP 403: no")
    assert row.message == "The ticket system refused it, and it became a dead letter: Disk."


async def test_each_run_tells_the_state_of_every_connection(world: World) -> None:
    world.configured("kinds: [incident]", connection="budget: {calls: 500, per: 1d}")
    await deliver(world, fired())
    letter = SignalMessage(id=uuid4().hex, received_at=world.now(), signal=fired())
    await world.services.parked.park("dead-letter", letter, code="refused", reason="why", connection=world.name)
    await world.export(timedelta())
    await send(world, timedelta(minutes=3))
    (row,) = [one for one in world.store.log if one.level == "STATUS"]
    assert (row.connection, row.succeeded, row.error) == (world.name, True, "")
    assert row.message.startswith(f"Connection {world.name} is well, ")
    assert row.lag is not None
    assert 180 <= row.lag <= 240
    assert (row.calls_used or 0) >= 2
    assert row.calls_allowed == 500
    parked = await count_parked(world.services.parked, world.now())  # other tests park items in the same storage
    assert (row.dead_letters, row.quarantined) == (parked["dead_letters"], parked["quarantine"])
    assert parked["dead_letters"] >= 1
    assert row.waiting is not None
    # what goes wrong is in the next one
    await world.add_many(1)
    world.store.fails = SourceRefused("the role is missing", status=403)
    await world.export()
    world.store.fails = None
    await send(world)
    row = world.store.log[-1]
    assert (row.succeeded, row.error) == (False, "the export broke off: the role is missing")


async def test_a_run_that_was_killed_sends_the_same_rows_again_under_the_same_ids(world: World) -> None:
    begun = fired()
    await deliver(world, begun)
    world.store.dies = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        await send(world)
    world.store.dies = None
    world.restarted()
    await send(world)
    first, second = of(world, begun.key)
    assert first.id == second.id


async def test_a_log_store_that_refuses_is_told_and_nothing_is_lost(world: World) -> None:
    begun = fired()
    await deliver(world, begun)
    world.store.fails = SourceRefused("the role is missing", status=403)
    result = await send(world)
    assert (result.finished, result.reason) == (False, "the role is missing")
    world.store.fails = None
    await send(world)
    assert len(of(world, begun.key)) == 1


async def test_a_dry_run_sends_no_log(world: World) -> None:
    begun = fired()
    await deliver(world, begun)
    world.later += timedelta(minutes=5)
    run = JobRun(dry_run=True)
    await world.services.exports.export_log(run)
    assert world.store.log == []
    assert any(begun.title in sample for sample in run.samples)
    await send(world)
    assert len(of(world, begun.key)) == 1
