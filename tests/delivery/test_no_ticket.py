"""Routes with ``ticket: none``: what they keep away, and what they owe tickets that were made before them."""

from __future__ import annotations

from datetime import timedelta

from shared.core.link import LinkStage
from shared.core.signal import SignalState
from shared.core.ticket_system import Phase
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import signal

KEY = "alert:1:one"
NOISE = "routes:\n- {name: noise, when: {rule: CPU*}, ticket: none}\n"


def last(story: Story) -> tuple[str, str]:
    outcome = story.world.listener.outcomes[-1]
    return outcome.decision, outcome.route


def test_a_signal_without_a_ticket_ends_with_its_route_and_without_a_call_or_a_link() -> None:
    story = Story(sections=NOISE)
    assert story.fired(0) == []
    assert last(story) == ("no_ticket", "noise")
    assert story.world.listener.outcomes[-1].reason
    assert story.resolved(5) == []
    assert last(story) == ("no_ticket", "noise")
    assert story.world.links.peek(KEY) is None


def test_given_a_ticket_made_before_the_route_when_its_problem_ends_then_it_is_resolved() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    story.world.configure(NOISE)
    assert story.resolved(5) == ["resolve"]
    assert story.tickets == [(KEY, "resolved")]


def test_given_an_open_ticket_when_it_fires_again_then_its_people_are_told() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    story.world.configure(NOISE)
    assert story.fired(5) == ["comment"]
    assert story.resolved(6) == ["resolve"]


def test_given_a_resolved_ticket_when_it_fires_again_then_it_stays_resolved() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    story.resolved(5)
    story.world.configure(NOISE)
    assert story.fired(10) == []
    assert last(story) == ("no_ticket", "noise")
    assert story.resolved(12) == []
    assert story.tickets == [(KEY, "resolved")]


def test_given_a_closed_ticket_when_it_fires_again_then_there_is_no_new_one_and_no_dead_letter() -> None:
    story = Story(recheck="0s")
    story.fired(0)
    story.ticket().phase = Phase.CLOSED
    story.resolved(5)
    story.world.configure(NOISE)
    assert story.fired(200) == []
    assert last(story) == ("no_ticket", "noise")
    assert story.world.kept.kept == {}
    assert len(story.tickets) == 1


def test_given_a_create_whose_answer_was_lost_when_the_route_is_gone_then_its_ticket_is_found_and_kept() -> None:
    story = Story()
    story.world.post(signal(SignalState.FIRED, timedelta()), "1" * 32)
    number = story.world.start(story.world.visible()[0])
    while story.world.running[number].place != "create":
        story.world.resume(number)
    story.world.resume(number, "lost")
    story.world.configure(NOISE)
    story.world.drain()
    link = story.world.links.peek(KEY)
    assert link is not None
    assert link.stage is LinkStage.OPEN
    assert story.tickets == [(KEY, "open")]
    assert story.resolved(60) == ["find", "resolve"]


def test_given_a_firing_held_for_maintenance_when_its_route_says_none_then_it_is_not_held_any_more() -> None:
    window = "maintenance:\n- {name: patching, from: 2026-03-01T11:00:00Z, to: 2026-03-01T13:00:00Z}\n"
    story = Story(sections=window)
    assert story.fired(0) == []
    story.world.configure(window + NOISE)
    assert story.later(90) == []
    assert last(story) == ("no_ticket", "noise")
    assert story.tickets == []


def test_given_an_alert_counted_in_a_group_when_its_route_says_none_then_the_group_hears_of_its_end() -> None:
    story = Story(route="group: {by: rule, note_every: 5m}", recheck="1h")
    story.fired(0, key="alert:1:1", resource="vm-1")
    story.world.configure(NOISE)
    assert story.fired(1, key="alert:1:2", resource="vm-2") == []
    assert last(story) == ("no_ticket", "noise")
    story.resolved(2, key="alert:1:1", resource="vm-1")
    assert story.later(4) == ["resolve"]
    assert story.tickets == [("group:1:default/cpu high", "resolved")]


def test_given_an_alert_counted_in_a_storm_when_its_route_says_none_then_the_summary_hears_of_its_end() -> None:
    throttle = "throttles:\n- {name: calm, tickets: 1, per: 15m, note_every: 1m}\n"
    story = Story(sections=throttle, recheck="1h")
    story.fired(0, key="alert:1:1", resource="vm-1")
    story.fired(0, key="alert:1:2", resource="vm-2")
    story.later(1)
    assert len(story.tickets) == 2
    story.world.configure(throttle + NOISE)
    story.resolved(5, key="alert:1:2", resource="vm-2")
    story.later(10)
    assert [stage for _, stage in story.tickets] == ["open", "resolved"]


def test_an_update_for_an_open_ticket_still_gets_there() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    story.world.configure(NOISE)
    assert story.updated((2 * MINUTE).total_seconds() / 60) == ["comment"]
