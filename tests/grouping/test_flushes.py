"""Looks at groups that run side by side: none too many, and none in the way of another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.core.messages import decode
from shared.core.signal import SignalState
from shared.delivery.grouping import model as m
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import START, signal
from tests.grouping.side_by_side import (
    BY_RULE,
    KEY,
    SECOND,
    looks,
    post,
    row,
    side_by_side,
    strangers,
    the_look_that_the_row_names_is_on_the_queue,
    to_the_end,
    until_it_lists,
    vm,
    without_its_order,
)


@pytest.mark.parametrize("damaged", [False, True])
def test_of_many_looks_at_once_one_is_taken_and_orders_the_next(damaged: bool) -> None:
    story = Story(route=BY_RULE, workers=3)
    story.fired(0, **vm(1))
    story.fired(0, **vm(2))
    story.world.now = START + 20 * SECOND
    if damaged:
        without_its_order(story.world)
    strangers(story.world, 23)
    side_by_side(story.world)
    (ordered,) = looks(story.world)
    assert ordered.visible_at == START + 5 * MINUTE
    assert row(story.world)["flush_id"] == decode(ordered.text).id


def test_a_superseded_look_costs_one_read() -> None:
    story = Story(route=BY_RULE)
    story.fired(0, **vm(1))
    (ordered,) = looks(story.world)
    before = row(story.world)
    strangers(story.world, 1)
    (message,) = story.world.visible()
    assert to_the_end(story.world, story.world.start(message)) == ["load"]
    assert looks(story.world) == [ordered]
    assert row(story.world) == before


def test_a_storm_side_by_side_comes_to_rest_and_orders_few_looks() -> None:
    story = Story(route=BY_RULE, recheck="1h", workers=3)
    world = story.world
    ordered: set[str] = set()
    post(story, SignalState.FIRED, timedelta(), *range(200))
    for minutes in range(1, 60):
        side_by_side(world)
        ordered |= {decode(message.text).id for message in looks(world)}
        if minutes == 10:
            post(story, SignalState.RESOLVED, minutes * MINUTE, *range(200))
        world.now = START + minutes * MINUTE
    assert not world.queue.messages
    # Those that begin the group side by side, and those that are the first to resolve, order one each.
    assert len(ordered) <= 2 * 24 + 4
    assert world.desk.calls == ["create", "comment", "resolve"]
    assert "200 alerts so far on 200 resources" in story.ticket().notes[-1]


def test_alerts_that_come_while_members_are_listed_neither_wait_for_ever_nor_stop_the_look() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.later(1)
    story.fired(2, **vm(2))
    (ordered,) = looks(story.world)
    story.world.now = START + 5 * MINUTE
    look = until_it_lists(story.world, ordered)
    story.world.resume(look)
    for number in (3, 4, 5):
        story.fired(5, **vm(number))
    assert len(looks(story.world)) == 2, "the one that is under way, and one for those that came meanwhile"
    to_the_end(story.world, look)
    story.world.work_off()
    assert "2 alerts so far on 2 resources" in story.ticket().notes[-1], "it tells what it has found"
    story.later(11)
    assert "5 alerts so far on 5 resources" in story.ticket().notes[-1]
    assert not looks(story.world)


def test_a_look_leaves_in_force_what_was_ordered_meanwhile_for_an_earlier_time() -> None:
    story = Story(route=BY_RULE)
    story.fired(0, **vm(1))
    story.fired(0, **vm(2))
    (ordered,) = looks(story.world)
    story.world.now = START + 15 * SECOND
    look = until_it_lists(story.world, ordered)
    story.resolved(0.25, **vm(2))
    places = to_the_end(story.world, look)
    assert places.count("write") == 1, "overtaken once, and then there is nothing to write"
    assert decode(looks(story.world)[0].text).id == row(story.world)["flush_id"]
    assert looks(story.world)[0].visible_at == START + 30 * SECOND


def test_an_alert_that_is_overtaken_sends_no_second_order_while_the_first_one_holds() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    story.later(4)
    (ordered,) = looks(story.world)
    story.world.now = START + 5 * MINUTE
    look = story.world.start(ordered)
    while row(story.world)["pending_update"] is None:
        story.world.resume(look)
    post(story, SignalState.FIRED, 5 * MINUTE, 3)
    author = story.world.start(list(story.world.queue.messages.values())[-1])
    while len(looks(story.world)) < 2:
        story.world.resume(author)
    to_the_end(story.world, look)  # what was said is off the row, which overtakes the alert
    assert "load" in to_the_end(story.world, author)
    assert len(looks(story.world)) == 1
    assert the_look_that_the_row_names_is_on_the_queue(story.world)


def test_an_alert_that_is_overtaken_orders_an_earlier_look_where_that_is_needed() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.later(1)
    story.resolved(2, **vm(1))
    (ordered,) = looks(story.world)
    story.world.now = START + 3 * MINUTE
    look = until_it_lists(story.world, ordered)
    story.world.resume(look)  # it has listed: all is over
    post(story, SignalState.FIRED, 3 * MINUTE, 2)
    author = story.world.start(list(story.world.queue.messages.values())[-1])
    while len(looks(story.world)) < 2:
        story.world.resume(author)
    to_the_end(story.world, look)
    to_the_end(story.world, author)
    assert looks(story.world)[0].visible_at == story.world.now + m.AHEAD
    assert decode(looks(story.world)[0].text).id == row(story.world)["flush_id"]
    assert story.later(3.1) == ["resolve", "reopen"]


def lists_last(first: int, second: int) -> tuple[int, int]:
    return first, second


def lists_first(first: int, second: int) -> tuple[int, int]:
    return second, first


@pytest.mark.parametrize("order", [lists_last, lists_first])
def test_of_two_looks_that_overlap_none_forgets_what_the_other_told(
    order: Callable[[int, int], tuple[int, int]],
) -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.fired(0, **vm(2))
    story.later(6)
    story.resolved(7, **vm(1))
    (ordered,) = looks(story.world)
    story.world.now = START + 11 * MINUTE
    first = until_it_lists(story.world, ordered)
    story.world.resume(first)  # it has listed: one of the two is on
    post(story, SignalState.RESOLVED, 11 * MINUTE, 2)
    (message,) = story.world.visible()
    to_the_end(story.world, story.world.start(message))
    story.world.now = START + 12 * MINUTE
    second = until_it_lists(story.world, looks(story.world)[-1])
    story.world.resume(second)
    for number in order(first, second):
        to_the_end(story.world, number)
    story.later(20)
    assert story.tickets == [(KEY, "resolved")]


def test_a_look_that_is_delivered_twice_at_once_tells_once() -> None:
    story = Story(route=BY_RULE, recheck="1h", workers=2)
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    story.later(4)
    (ordered,) = looks(story.world)
    story.world.now = START + 5 * MINUTE
    story.world.queue.put(decode(ordered.text))
    side_by_side(story.world)
    assert story.world.desk.calls == ["create", "comment"]
    story.later(30)
    assert story.world.desk.calls == ["create", "comment"]


def group(**changes: Any) -> m.Group:
    found = m.Group(KEY, "default", signal(SignalState.FIRED, timedelta()), START, m.GroupRules(5 * MINUTE))
    return replace(found, **changes)


def test_an_order_is_in_force_while_the_row_names_it_or_the_one_that_it_replaces() -> None:
    first = m.order_id("", "a" * 32)
    second = m.order_id(first, "b" * 32)
    third = m.order_id(second, "c" * 32)
    named = group(flush_id=second, flush_at=START + MINUTE)
    assert len({first, second, third}) == 3
    assert {len(order) for order in (first, second, third)} == {32}
    assert [m.is_in_force(named, order, START) for order in (first, second, third)] == [False, True, True]
    assert m.is_in_force(named, first, START + MINUTE), "one is due, and one is as good as the other"
    taken = replace(named, flush_at=None)
    assert [m.is_in_force(taken, order, START + MINUTE) for order in (first, second, third)] == [False, True, True]
    assert m.is_in_force(group(flush_at=START + MINUTE), uuid4().hex, START), "the row names no order"


def test_a_look_is_ordered_where_none_will_count_in_time() -> None:
    at = START + 5 * MINUTE
    named = group(flush_id="a" * 32, flush_at=at)
    assert not m.needs_flush(named, at, START)
    assert not m.needs_flush(named, at - m.AHEAD, START)
    assert m.needs_flush(named, at - m.AHEAD - SECOND, START)
    assert not m.needs_flush(named, at + MINUTE, at + m.LOST - SECOND)
    assert m.needs_flush(named, at + MINUTE, at + m.LOST)
    assert m.needs_flush(replace(named, flush_id=""), at + MINUTE, at), "the row names no order"
    assert m.needs_flush(replace(named, flush_at=None), at, START)


def test_what_is_said_by_several_looks_at_once_is_told_once_and_nobody_asks_back() -> None:
    story = Story(route=BY_RULE, recheck="1h", workers=3)
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    (ordered,) = looks(story.world)
    story.world.now = START + 5 * MINUTE
    look = story.world.start(ordered)
    while row(story.world)["pending_update"] is None:
        story.world.resume(look)
    strangers(story.world, 8)
    side_by_side(story.world)
    assert story.world.desk.calls == ["create", "comment"]
    assert not looks(story.world)
