"""Alerts go first: the export takes calls that nobody else wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.core.messages import SignalMessage, encode
from shared.core.outcome import OutcomeKind
from tests.export.world import World
from tests.resync.stage import fired

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXPORT = "kinds: [incident], query: 'short_descriptionSTARTSWITHDisk full'"


async def deliver(world: World, count: int) -> list[str]:
    """So many alerts of severity 3 come in; how each ended."""
    ends: list[str] = []
    for _ in range(count):
        message = SignalMessage(id=uuid4().hex, received_at=world.now(), signal=fired(severity=3))
        await world.services.worker.handle(message.id, encode(message), 1)
        links = await world.services.live_links.load(message.signal.key)
        ends.append("delivered" if links is not None and links.value.ticket is not None else OutcomeKind.POSTPONED)
    return ends


async def test_an_export_leaves_calls_to_alerts_and_goes_on_as_the_hour_passes(world: World) -> None:
    # given an hour that has just begun, with 40 calls, and an export that needs more than that
    begin = datetime.now(UTC).replace(minute=0, second=30, microsecond=0) + timedelta(hours=1)
    await world.desk.clock(set=begin.isoformat())
    world.later = begin - datetime.now(UTC)
    services = world.configured(EXPORT, connection="budget: {calls: 40, reserve: 10%}")
    services.exports.page = 10
    await world.add_many(500, seconds=3600)
    # when it runs
    result = await world.export(timedelta())
    # then it stops when half of the hour's calls are used, and says why
    assert not result.finished
    assert "the calls that are left in this window are left to alerts" in result.reason
    assert 10 <= result.calls <= 20
    # and alerts are delivered at once
    assert await deliver(world, 12) == ["delivered"] * 12
    # when most of the hour has passed, then it goes on where it stood
    await world.desk.clock(advance=2400)
    before = len(world.store.tickets)
    again = await world.export(timedelta(minutes=40))
    assert again.rows > 0
    assert len(world.store.tickets) == before + again.rows == len(world.store.ids)


async def test_an_export_waits_while_alerts_wait_for_a_call(world: World) -> None:
    begin = datetime.now(UTC).replace(minute=0, second=30, microsecond=0) + timedelta(hours=1)
    await world.desk.clock(set=begin.isoformat())
    world.later = begin - datetime.now(UTC)
    world.configured(EXPORT, connection="budget: {calls: 12, reserve: 10%}")
    await world.add_many(5, seconds=3600)
    ends = await deliver(world, 14)
    assert OutcomeKind.POSTPONED in ends
    made = await world.desk.calls()
    result = await world.export(timedelta(minutes=1))
    assert (result.rows, result.calls, result.finished) == (0, 0, False)
    assert await world.desk.calls() == made
