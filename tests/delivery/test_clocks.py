"""Clocks of senders: times that lost a fraction, clocks that are wrong, and which Resolved ends which Fired."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core.signal import SignalState
from shared.delivery.grouping.model import Member, count
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import signal

ALERT = "alert:1:one"
#: Its problem comes and goes under the same key.
HEALTH = "resource_health:1:/subscriptions/s/vm-web-01"

FRACTION = timedelta(microseconds=123456) / MINUTE
CUT = timedelta(microseconds=123000) / MINUTE


@pytest.mark.parametrize("key", [ALERT, HEALTH])
@pytest.mark.parametrize("ended", [CUT, 0.0], ids=["milliseconds", "seconds"])
def test_a_resolved_whose_time_lost_a_fraction_ends_its_fired(key: str, ended: float) -> None:
    story = Story()
    story.fired(FRACTION, key=key)
    story.resolved(ended, key=key)
    assert story.tickets == [(key, "resolved")]
    assert story.resolved(ended, key=key) == []
    assert story.fired(FRACTION, key=key) == []


@pytest.mark.parametrize("key", [ALERT, HEALTH])
def test_it_ends_it_too_when_it_arrives_first(key: str) -> None:
    story = Story()
    story.resolved(CUT, key=key)
    story.fired(FRACTION, key=key)
    assert story.tickets == [(key, "resolved")]


def test_it_ends_it_too_where_the_new_ticket_is_resolved_by_a_second_call() -> None:
    story = Story(kind="problem")
    create = story.world.desk.create

    async def open_only(draft):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        return await create(replace(draft, closure=None))

    story.world.desk.create = open_only  # type: ignore[method-assign]
    story.resolved(CUT)
    story.fired(FRACTION)
    assert story.tickets == [(ALERT, "resolved")]


def test_a_resolved_ends_the_only_occurrence_of_its_key_whatever_its_clock_says() -> None:
    story = Story()
    story.fired(30)
    story.resolved(10)
    assert story.tickets == [(ALERT, "resolved")]


@pytest.mark.parametrize("key", [HEALTH, "alert:1:/subscriptions/s/activitylogalerts/rule"])
def test_an_older_resolved_of_a_problem_that_comes_and_goes_is_stale(key: str) -> None:
    story = Story()
    story.fired(30, key=key)
    assert story.resolved(10, key=key) == []
    assert story.tickets == [(key, "open")]


def test_an_older_resolved_of_an_occurrence_that_came_back_is_stale() -> None:
    story = Story()
    story.fired(0)
    story.resolved(5)
    story.fired(20)
    assert story.resolved(5) == []
    assert story.resolved(4) == []
    assert story.tickets == [(ALERT, "open")]


def test_a_firing_in_the_second_after_a_resolved_is_new() -> None:
    story = Story()
    story.fired(0, key=HEALTH)
    story.resolved(5, key=HEALTH)
    story.fired(5 + FRACTION, key=HEALTH)
    assert story.tickets == [(HEALTH, "open")]


def test_a_held_firing_is_suppressed_by_a_resolved_that_lost_a_fraction() -> None:
    story = Story(route="only_after: {lasting: 10m}")
    story.fired(FRACTION)
    story.resolved(CUT)
    story.later(30)
    assert story.tickets == []


@pytest.mark.parametrize("key", [ALERT, HEALTH])
def test_a_member_of_a_group_ends_by_a_resolved_that_lost_a_fraction(key: str) -> None:
    fired = signal(SignalState.FIRED, FRACTION * MINUTE, key=key)
    over = signal(SignalState.RESOLVED, CUT * MINUTE, key=key)
    for events in ((fired, over), (over, fired)):
        member: Member | None = None
        for event in events:
            member = count(member, event)
            assert member is not None
        assert member is not None
        assert not member.is_on
        assert count(member, over) is None


def test_a_resolved_from_between_two_fired_does_not_end_the_second_also_when_it_comes_last() -> None:
    story = Story()
    story.fired(0)
    story.fired(20)
    assert story.resolved(5) == []
    assert story.tickets == [(ALERT, "open")]
    story.resolved(25)
    assert story.tickets == [(ALERT, "resolved")]


def test_a_resolved_with_the_time_of_the_first_fired_ends_an_alert_that_fired_again() -> None:
    story = Story()
    story.fired(FRACTION)
    story.fired(20)
    story.resolved(CUT)
    assert story.tickets == [(ALERT, "resolved")]
