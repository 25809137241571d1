"""Looks at groups that come too early, late or never, and workers that die: whatever was counted is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.core.messages import decode
from shared.core.signal import SignalState
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import START
from tests.grouping.side_by_side import (
    BY_RULE,
    KEY,
    SECOND,
    looks,
    meanwhile,
    post,
    row,
    strangers,
    the_look_that_the_row_names_is_on_the_queue,
    to_the_end,
    until_it_lists,
    vm,
)


def test_an_order_that_comes_before_its_author_could_write_the_group_is_taken() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.later(1)
    post(story, SignalState.RESOLVED, 2 * MINUTE, 1)
    story.world.now = START + 2 * MINUTE
    (message,) = story.world.visible()
    author = story.world.start(message)
    while not looks(story.world):
        story.world.resume(author)
    assert story.world.running[author].place == "write"
    meanwhile(story.world, 2.5)
    assert story.tickets == [(KEY, "resolved")]
    to_the_end(story.world, author)
    assert the_look_that_the_row_names_is_on_the_queue(story.world)
    story.later(10)
    assert story.world.desk.calls == ["create", "resolve"]
    assert not looks(story.world)


@pytest.mark.parametrize("dies", [False, True])
def test_an_order_that_comes_before_its_group_waits_for_it(dies: bool) -> None:
    story = Story(route=BY_RULE, recheck="1h")
    post(story, SignalState.FIRED, timedelta(), 1)
    (message,) = story.world.visible()
    author = story.world.start(message)
    while not looks(story.world):
        story.world.resume(author)
    story.resolved(0.1, **vm(1))
    meanwhile(story.world, 0.5)
    assert len(looks(story.world)) == 1, "it comes again"
    if dies:
        story.world.kill(author)
    else:
        to_the_end(story.world, author)
    story.later(2)
    assert story.tickets == [(KEY, "resolved")]
    story.later(12)
    assert not story.world.queue.messages


def test_an_order_of_a_group_that_nobody_begins_is_given_up() -> None:
    story = Story(route=BY_RULE)
    strangers(story.world, 1)
    story.later(9)
    assert len(looks(story.world)) == 1
    story.later(11)
    assert not looks(story.world)


@pytest.mark.parametrize("taken", [False, True])
def test_a_lost_look_is_ordered_again_by_the_next_alert(taken: bool) -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    story.later(4)
    (ordered,) = looks(story.world)
    if taken:  # and failed again and again while it listed
        story.world.now = START + 5 * MINUTE
        story.world.kill(until_it_lists(story.world, ordered))
    del story.world.queue.messages[ordered.id]
    story.later(6.5)
    story.fired(7, **vm(3))
    story.later(8)
    assert "3 alerts so far on 3 resources" in story.ticket().notes[-1]


def test_an_overdue_look_is_waited_for_and_not_ordered_again_by_every_alert() -> None:
    story = Story(route=BY_RULE)
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    story.later(4)
    (ordered,) = looks(story.world)
    ordered.held_by = 99  # a worker that was killed: its message comes back later
    story.fired(5.5, **vm(3))
    assert looks(story.world) == [ordered]
    ordered.held_by = None
    story.later(6)
    assert "3 alerts so far on 3 resources" in story.ticket().notes[-1]


def test_a_queue_that_is_minutes_late_does_not_keep_a_group_silent() -> None:
    story = Story(route=BY_RULE)
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    story.later(4)
    (oldest,) = looks(story.world)
    for number in range(3, 8):  # of every look, the message is far behind; so it is ordered again each minute
        story.world.now = START + (4 + number * 1.1) * MINUTE
        for message in looks(story.world):
            message.held_by = 99
        post(story, SignalState.FIRED, story.world.now - START, number)
        (message,) = story.world.visible()
        to_the_end(story.world, story.world.start(message))
    assert len(looks(story.world)) > 3
    story.world.now += 5 * SECOND
    for message in looks(story.world):
        message.held_by = None if message is oldest else 99
    story.world.work_off()
    assert "7 alerts so far on 7 resources" in story.ticket().notes[-1]


STEPS = range(12)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("others", [False, True], ids=["alone", "among others"])
def test_a_look_that_dies_at_any_step_loses_nothing(step: int, others: bool) -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.fired(0, **vm(2))
    story.later(4)
    (ordered,) = looks(story.world)
    story.world.now = START + 5 * MINUTE
    dies = story.world.start(ordered)
    for _ in range(step):
        if dies in story.world.running:
            story.world.resume(dies)
    if others:
        post(story, SignalState.FIRED, 5 * MINUTE, 3)
        to_the_end(story.world, story.world.start(list(story.world.queue.messages.values())[-1]))
    if dies in story.world.running:
        story.world.kill(dies)
    alerts = 3 if others else 2
    story.later(12)
    assert f"{alerts} alerts so far on {alerts} resources" in story.ticket().notes[-1]
    for number in range(1, alerts + 1):
        story.resolved(20, **vm(number))
    story.later(30)
    assert story.tickets == [(KEY, "resolved")]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [1, 2], ids=["the first alert", "a second one"])
def test_an_alert_whose_worker_dies_at_any_step_is_not_lost(step: int, number: int) -> None:
    story = Story(route=BY_RULE, recheck="1h")
    if number == 2:
        story.fired(0, **vm(1))
        story.later(1)
    story.world.now = START + 2 * MINUTE
    post(story, SignalState.FIRED, 2 * MINUTE, number)
    (message,) = story.world.visible()
    dies = story.world.start(message)
    for _ in range(step):
        if dies in story.world.running:
            story.world.resume(dies)
    if dies in story.world.running:
        story.world.kill(dies)
    story.later(8)
    assert [phase for _, phase in story.tickets] == ["open"]
    assert ("2 alerts so far" in "".join(story.ticket().notes)) is (number == 2)
    for each in range(1, number + 1):
        story.resolved(20, **vm(each))
    story.later(30)
    assert story.tickets == [(KEY, "resolved")]


def test_what_was_found_and_not_said_is_said_by_the_message_when_it_comes_back() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    story.later(4)
    (ordered,) = looks(story.world)
    story.world.now = START + 5 * MINUTE
    dies = story.world.start(ordered)
    while row(story.world)["pending_update"] is None:
        story.world.resume(dies)
    story.world.kill(dies)
    post(story, SignalState.FIRED, 5 * MINUTE, 3)
    to_the_end(story.world, story.world.start(list(story.world.queue.messages.values())[-1]))
    assert row(story.world)["flush_id"] != decode(ordered.text).id
    places = to_the_end(story.world, story.world.start(ordered))
    assert places == ["load", "send", "write"], "it says, and that this was said; it counts nothing"
    assert row(story.world)["pending_update"] is None
    assert len(looks(story.world)) == 1
    story.later(5.1)
    assert "2 alerts so far on 2 resources" in story.ticket().notes[-1]
