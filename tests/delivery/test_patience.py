"""What keeps alerts from becoming tickets too early, too often or for ever, and the calls it costs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core.link import Link
from shared.core.signal import SignalState
from shared.core.ticket_system import Phase
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import START, signal

KEY = "alert:1:one"

WINDOW = """
maintenance:
  - {name: patching, from: "2026-03-01T11:00:00Z", to: "2026-03-01T13:00:00Z"}
"""


def link_of(story: Story) -> Link:
    link = story.world.links.peek(KEY)
    assert link is not None
    return link


# --- only after


def test_a_problem_that_lasts_gets_its_ticket_when_it_has_lasted() -> None:
    story = Story(route="only_after: {lasting: 5m}")
    assert story.fired(0) == []
    assert story.later(4.9) == []
    assert story.later(5.1) == ["create"]
    assert story.tickets == [(KEY, "open")]


def test_a_problem_that_ends_sooner_never_becomes_a_ticket() -> None:
    story = Story(route="only_after: {lasting: 5m}")
    story.fired(0)
    story.resolved(3)
    assert story.later(60) == []
    assert story.tickets == []
    assert link_of(story).held_by == "only_after"


def test_after_a_problem_that_went_away_the_next_one_waits_anew() -> None:
    story = Story(route="only_after: {lasting: 5m}")
    story.fired(0)
    story.resolved(3)
    assert story.fired(4) == []
    assert story.later(8.9) == []
    assert story.later(9.1) == ["create"]


def test_the_third_firing_opens_the_ticket_without_waiting() -> None:
    story = Story(route="only_after: {lasting: 30m, firings: 3}")
    assert story.fired(0) == []
    assert story.fired(1) == []
    assert story.fired(2) == ["create"]
    assert story.later(60) == []
    assert story.tickets == [(KEY, "open")]


def test_a_firing_delivered_twice_counts_once() -> None:
    story = Story(route="only_after: {firings: 2}")
    story.fired(0)
    assert story.fired(0) == []
    assert story.tickets == []
    assert story.fired(1) == ["create"]


def test_by_firings_alone_nothing_waits_on_the_queue() -> None:
    story = Story(route="only_after: {firings: 3}")
    story.fired(0)
    assert not story.world.queue.messages


def test_a_late_fired_of_a_problem_that_lasted_long_enough_becomes_a_ticket_born_resolved() -> None:
    story = Story(route="only_after: {lasting: 5m}")
    story.resolved(20)
    assert story.fired(0) == ["create"]
    assert story.tickets == [(KEY, "resolved")]


def test_a_late_fired_of_a_problem_that_was_short_becomes_none() -> None:
    story = Story(route="only_after: {lasting: 5m}")
    story.resolved(3)
    assert story.fired(0) == []
    assert story.tickets == []


def test_a_ticket_that_is_open_is_told_at_once() -> None:
    story = Story(route="only_after: {lasting: 5m}", recheck="10m")
    story.fired(0)
    story.later(5)
    assert story.fired(6) == ["comment"]
    assert story.resolved(7) == ["resolve"]


# --- maintenance


def test_what_fires_during_maintenance_and_ends_during_it_becomes_no_ticket() -> None:
    story = Story(sections=WINDOW)
    assert story.fired(0) == []
    assert story.resolved(10) == []
    assert story.later(120) == []
    assert story.tickets == []
    assert link_of(story).held_by == "patching"


def test_what_is_still_on_when_maintenance_ends_gets_its_ticket_then() -> None:
    story = Story(sections=WINDOW)
    story.fired(0)
    assert story.later(59) == []
    assert story.later(61) == ["create"]
    assert story.tickets == [(KEY, "open")]


def test_maintenance_holds_a_reopening_too() -> None:
    window = WINDOW.replace("11:00", "12:10")
    story = Story(sections=window, recheck="10m")
    story.fired(0)
    story.resolved(5)
    assert story.fired(20) == []
    assert story.resolved(25) == []
    assert story.later(61) == []
    assert story.tickets == [(KEY, "resolved")]


def test_a_ticket_that_was_open_before_is_resolved_during_maintenance() -> None:
    story = Story(sections=WINDOW.replace("11:00", "12:10"), recheck="1h")
    story.fired(0)
    assert story.resolved(20) == ["resolve"]


def test_a_window_that_is_not_for_the_signal_holds_nothing() -> None:
    story = Story(sections=WINDOW.replace("patching,", "patching, when: {rule: Backup*},"))
    assert story.fired(0) == ["create"]


def test_a_weekly_window_in_local_time_holds() -> None:
    weekly = """
maintenance:
  - {name: weekly, cron: "30 12 * * SUN", lasts: 1h, time_zone: Europe/Berlin}
"""
    story = Story(sections=weekly)  # 1 March 2026 is a Sunday, 12:00 UTC is 13:00 in Berlin
    assert story.fired(0) == []
    assert story.later(31) == ["create"]


# --- flapping

FLAPPING = "flapping: {changes: 3, within: 30m}"


def flap(story: Story, times: int, every: float = 2) -> list[str]:
    calls: list[str] = []
    for n in range(times):
        calls += story.fired(n * 2 * every)
        calls += story.resolved((n * 2 + 1) * every)
    return calls


def test_a_problem_that_comes_and_goes_keeps_its_ticket_open_and_says_so_once() -> None:
    story = Story(route=FLAPPING, recheck="10m")
    calls = flap(story, 8)
    # fired, resolved, fired again: three changes are believed; then one note, and nothing more
    assert calls == ["create", "resolve", "reopen", "comment"]
    assert story.tickets == [(KEY, "open")]
    assert "Flapping: the alert came and went 4 times" in story.ticket().notes[-1]


def test_it_is_resolved_once_it_stays_quiet() -> None:
    story = Story(route=FLAPPING, recheck="10m")
    flap(story, 4)
    last = 14
    assert story.later(last + 29) == []
    assert story.later(last + 31) == ["find", "resolve"]
    assert story.tickets == [(KEY, "resolved")]


def test_it_stays_open_when_it_comes_back_while_quiet() -> None:
    story = Story(route=FLAPPING, recheck="10m")
    flap(story, 4)
    story.fired(30)
    assert story.later(120) == []
    assert story.tickets == [(KEY, "open")]
    assert story.resolved(121) == ["find", "resolve"]


def test_changes_that_lie_far_apart_are_no_flapping() -> None:
    story = Story(route=FLAPPING, recheck="10m")
    for n in range(6):
        story.fired(n * 40)
        assert story.resolved(n * 40 + 20)[-1] == "resolve"
    assert story.tickets == [(KEY, "resolved")]


def test_people_who_resolve_a_flapping_ticket_are_believed() -> None:
    story = Story(route=FLAPPING)
    flap(story, 4)
    story.ticket().phase = Phase.RESOLVED
    story.later(60)
    assert story.tickets == [(KEY, "resolved")]


# --- quiet


def test_a_ticket_without_a_resolved_ends_when_nothing_was_heard_for_long() -> None:
    story = Story(route="close_after_quiet: 2h", recheck="10m")
    story.fired(0)
    assert story.later(119) == []
    assert story.later(121) == ["find", "resolve"]
    assert story.tickets == [(KEY, "resolved")]
    assert not story.world.queue.messages


def test_each_sign_of_life_begins_the_quiet_anew() -> None:
    story = Story(route="close_after_quiet: 2h", recheck="24h")
    story.fired(0)
    story.fired(60)
    assert story.later(179) == []
    assert story.later(181) == ["resolve"]


def test_a_resolved_that_does_come_leaves_nothing_to_close() -> None:
    story = Story(route="close_after_quiet: 2h", recheck="24h")
    story.fired(0)
    story.resolved(10)
    assert story.later(200) == []
    assert story.tickets == [(KEY, "resolved")]


def test_a_problem_that_came_back_before_the_quiet_ended_is_not_closed() -> None:
    story = Story(route="close_after_quiet: 2h", recheck="24h")
    story.fired(0)
    story.resolved(10)
    story.fired(60)
    assert story.later(130) == []
    assert story.tickets == [(KEY, "open")]


def test_quiet_may_last_longer_than_a_queue_hides_a_message() -> None:
    story = Story(route="close_after_quiet: 30d", recheck="60d")
    story.world.queue.longest = timedelta(days=7)
    story.fired(0)
    assert story.later(29 * 24 * 60) == []
    assert story.later(30 * 24 * 60 + 1) == ["resolve"]


@pytest.mark.parametrize("state", [SignalState.FIRED, SignalState.RESOLVED])
def test_what_is_put_off_is_written_down_first(state: SignalState) -> None:
    """A worker that dies after any step leaves nothing that would be forgotten."""
    for step in range(1, 6):
        story = Story(route="only_after: {lasting: 5m}")
        if state is SignalState.RESOLVED:
            story.fired(0)
        story.world.now = START + 2 * MINUTE
        story.world.post(signal(state, 2 * MINUTE), "f" * 32)
        (message,) = story.world.visible()
        number = story.world.start(message)
        for _ in range(step):
            if number in story.world.running:
                story.world.resume(number)
        if number in story.world.running:
            story.world.kill(number)
        story.later(60)
        assert len(story.tickets) == (1 if state is SignalState.FIRED else 0), f"killed after step {step}"


def test_firings_before_the_end_of_a_problem_are_not_counted_for_the_next() -> None:
    story = Story(route="only_after: {firings: 2}")
    story.fired(0)
    story.resolved(1)
    assert story.fired(2) == []
    assert story.fired(3) == ["create"]


def test_as_many_changes_as_allowed_are_believed() -> None:
    story = Story(route="flapping: {changes: 4, within: 30m}", recheck="10m")
    assert flap(story, 2) == ["create", "resolve", "reopen", "resolve"]
    assert story.fired(10) == ["reopen"]
    assert story.resolved(12) == ["comment"]


def test_a_ticket_born_resolved_is_not_looked_after() -> None:
    story = Story(route="close_after_quiet: 2h")
    story.resolved(5)
    story.fired(0)
    assert not story.world.queue.messages


# --- healthy again


def test_a_ticket_ends_when_its_resource_is_well_again() -> None:
    story = Story(route="close_when_healthy: 10m", recheck="24h")
    story.fired(0)
    assert story.later(35) == []
    assert len(story.world.asked_after) == 3, "asked every ten minutes"
    story.world.healthy = True
    assert story.later(41) == ["resolve"]
    assert story.tickets == [(KEY, "resolved")]
    assert not story.world.queue.messages


def test_nobody_is_asked_after_a_resource_whose_ticket_has_ended() -> None:
    story = Story(route="close_when_healthy: 10m", recheck="24h")
    story.fired(0)
    story.resolved(5)
    assert story.later(60) == []
    assert story.world.asked_after == []
    assert not story.world.queue.messages


def test_a_firing_while_the_resource_is_ill_leaves_one_question_open() -> None:
    story = Story(route="close_when_healthy: 10m", recheck="24h")
    story.fired(0)
    story.fired(5)
    story.later(31)
    assert len(story.world.asked_after) == 2, "only the newest sign of life is asked about"
    story.world.healthy = True
    assert story.later(36) == ["resolve"]
