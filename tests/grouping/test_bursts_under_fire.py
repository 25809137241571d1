"""Firings are counted exactly once, whatever happens: the state machine of delivery, aimed at ``open_after``.

Workers die at any step, storage fails or answers late, messages come twice, in any order and to two workers at once.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import Phase
from tests.delivery.hostile import SETTINGS, Hostile
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import World, signal

#: Alerts with an id of their own each; some end.
TIMELINE = [
    signal(state, timedelta(minutes=minute), key=f"alert:1:{number}", resource=f"vm-{number}")
    for number in range(5)
    for state, minute in ((SignalState.FIRED, number), (SignalState.RESOLVED, number + 6))
]
COUNT = 3
ROUTE = f"open_after: {{count: {COUNT}, within: 30m}}"


class Bursts(Hostile):
    """Events of five alerts of one rule, in any order and number: a ticket exists exactly when three of them fired."""

    route: ClassVar[str] = ROUTE

    @initialize(indices=st.lists(st.integers(0, len(TIMELINE) - 1), min_size=2, max_size=7))
    def begin(self, indices: list[int]) -> None:
        self.world = World(route=self.route, workers=2)
        self.posted: list[Signal] = []
        for index in indices:
            self.an_event_arrives(index)

    @rule(index=st.integers(0, len(TIMELINE) - 1))
    def an_event_arrives(self, index: int) -> None:
        self.posted.append(TIMELINE[index])
        self.world.post(TIMELINE[index], f"{len(self.posted):032x}")

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.drain()
        self.one_ticket_per_generation()
        assert not self.world.kept.kept, "nothing here deserves a dead letter"
        fired = {s.key for s in self.posted if s.state is SignalState.FIRED}
        over = {s.key for s in self.posted if s.state is SignalState.RESOLVED}
        rows = list(self.world.desk.rows.values())
        assert len(rows) == (len(fired) >= COUNT), f"{len(fired)} fired: {[row.correlation for row in rows]}"
        if rows:
            assert rows[0].phase is (Phase.OPEN if fired - over else Phase.RESOLVED), f"still on: {fired - over}"


TestBursts = Bursts.TestCase
TestBursts.settings = SETTINGS


def one_worker_stops(story: Story, step: int, how: str) -> bool:
    """Three alerts are worked on by one worker after the other; at one step, counted over all, something happens.
    Whether there was such a step."""
    seen = 0
    for number in range(3):
        story.world.post(signal(SignalState.FIRED, number * MINUTE, key=f"alert:1:{number}"), f"{number:032x}")
    for message in list(story.world.visible()):
        worker = story.world.start(message)
        while worker in story.world.running:
            if seen == step and how == "dies":
                story.world.kill(worker)
                seen += 1
                break
            place = story.world.running[worker].place
            story.world.resume(worker, how if seen == step and place in ("write", "load", "send") else "ok")
            seen += 1
    return seen > step


@pytest.mark.parametrize("how", ["dies", "storage_down", "written_unanswered", "written_twice"])
def test_a_crash_or_failure_at_each_step_counts_nothing_twice_and_loses_nothing(how: str) -> None:
    for step in range(60):
        story = Story(route=ROUTE, workers=1)
        if not one_worker_stops(story, step, how):
            assert step > 8, "there are many steps"
            return
        story.later(60)
        assert len(story.tickets) == 1, f"step {step}"
        assert "3 alerts so far" in str(story.world.desk.drafts[0].fields["description"]), f"step {step}"
    raise AssertionError("it never ends")
