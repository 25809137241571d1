"""Resync and the full check by hand: at once, and without writing anything where that is asked for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core.jobs import JobRun
from shared.core.link import LinkStage
from shared.platform.log import listen
from tests.resync.stage import Stage, fired

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_given_a_resolved_ticket_when_a_dry_run_reads_it_then_it_is_counted_and_shown_and_nothing_is_written(
    stage: Stage,
) -> None:
    link = await stage.deliver(fired())
    await stage.resync()
    await stage.told()
    await stage.resolve(link)
    before = await stage.link(link.key)
    asked = JobRun(dry_run=True)
    (tried,) = await stage.services.timers.resync(asked)
    assert (tried.changes, tried.moved) == (1, 1)
    (part,) = asked.parts()
    assert (part.name, part.counts["moved"]) == (stage.name, 1)
    number = before.ticket.number if before.ticket is not None else ""
    assert any(sample.startswith(f"{number}: resolved") for sample in asked.samples), asked.samples
    assert await stage.link(link.key) == before
    assert await stage.told() == []
    assert (await stage.resync()).moved == 1, "the dry run left it to this one"


async def test_given_a_run_just_now_when_a_person_asks_then_it_runs_although_it_is_not_due(stage: Stage) -> None:
    stage.configured("resync: {every: 1h}")
    link = await stage.deliver(fired())
    await stage.resync(timedelta(hours=1))
    await stage.resolve(link)
    assert await stage.services.timers.resync() == [], "a timer finds that it is not due"
    (result,) = await stage.services.timers.resync(JobRun(always=True))
    assert result.moved == 1
    assert (await stage.link(link.key)).stage is LinkStage.RESOLVED


async def test_given_a_deleted_ticket_when_a_full_check_is_a_dry_run_then_its_link_stays_and_nothing_is_logged_as_done(
    stage: Stage,
) -> None:
    link = await stage.deliver(fired())
    await stage.delete(link)
    await stage.full_check()  # missing for the first time
    before = await stage.link(link.key)
    stage.later += timedelta(days=30)
    events: list[str] = []
    end = listen(lambda event, _: events.append(event))
    asked = JobRun(dry_run=True)
    (tried,) = await stage.services.timers.full_check(asked)
    end()
    assert tried.gone == 1
    assert "ticket_deleted" not in events
    assert await stage.link(link.key) == before
    assert any("closed" in sample for sample in asked.samples), asked.samples
    assert (await stage.full_check(timedelta())).gone == 1
    assert (await stage.link(link.key)).stage is LinkStage.CLOSED
