"""The poll by hand: what a dry run shows, and that it leaves nothing behind."""

from __future__ import annotations

from connectors.defender.poll.management_groups import UNKNOWN
from shared.core.jobs import JobRun
from tests.defender_poll.stage import Stage


async def test_given_new_findings_when_a_dry_run_reads_them_then_they_are_shown_and_neither_queued_nor_remembered(
    stage: Stage,
) -> None:
    asked = JobRun(dry_run=True)
    (tried,) = await stage.run(asked=asked)
    assert tried.new > 0
    assert stage.outbox.take() == []
    assert await stage.remembered() == []
    assert (await stage.ancestries()).of(stage.production) == UNKNOWN
    assert asked.samples
    assert all(sample.startswith("fired: ") for sample in asked.samples)
    (part,) = asked.parts()
    assert part.counts["new"] == tried.new
    assert (await stage.poll()).new == tried.new, "the dry run left all to this one"
    assert len(stage.outbox.take()) == tried.new


async def test_given_a_poll_just_now_when_a_person_asks_then_it_polls_although_it_is_not_due(stage: Stage) -> None:
    await stage.poll()
    assert await stage.run() == []
    assert len(await stage.run(asked=JobRun(always=True))) == 1
