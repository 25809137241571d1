"""What a delivery does when the call budget tells it to wait."""

from __future__ import annotations

from datetime import timedelta

from shared.core.errors import MustWait
from shared.core.messages import decode
from shared.core.signal import SignalState
from tests.delivery.story import Story
from tests.delivery.world import START, signal

KEY = "alert:1:one"


def must_wait(seconds: float, place: str = "line/7") -> MustWait:
    error = MustWait("no call is left in this hour", connection="desk", retry_after=seconds)
    error.position = place
    return error


def test_who_has_to_wait_reserves_nothing_and_comes_back_at_its_turn_with_its_place() -> None:
    story = Story()
    story.world.refusals = [must_wait(754.2)]
    assert story.fired(0) == []
    assert story.world.links.operations == 0
    (message,) = story.world.queue.messages.values()
    assert message.visible_at == START + timedelta(seconds=754.2)
    waiting = decode(message.text)
    assert (waiting.position, waiting.attempts) == ("line/7", 0)
    assert story.world.listener.failures == [], "waiting is no failure of the connection"
    assert story.later(20) == ["create"]
    assert story.world.asked == [("desk", True, ""), ("desk", True, "line/7")]


def test_the_budget_is_asked_once_for_a_delivery_of_several_calls_and_never_for_one_of_none() -> None:
    story = Story(recheck="0s")
    story.fired(0)
    assert story.resolved(5) == ["find", "resolve"]
    story.resolved(5)
    assert len(story.world.asked) == 2


def test_low_severities_are_not_urgent() -> None:
    for severity, urgent in ((0, True), (1, True), (2, False), (None, False)):
        story = Story()
        story.fired(0, severity=severity)
        assert story.world.asked == [("desk", urgent, "")]


def test_after_a_call_that_did_nothing_waiting_costs_no_look() -> None:
    story = Story()
    world = story.world
    world.post(signal(SignalState.FIRED, timedelta()), "f" * 32)
    (message,) = world.visible()
    number = world.start(message)
    while world.running[number].place != "create":
        world.resume(number)
    world.resume(number, "throttled")  # refused with 429: a reservation is left, and nothing was done
    while number in world.running:
        world.resume(number)
    world.refusals = [must_wait(600)]
    assert story.later(9) == []
    assert story.later(15) == ["create"], "no look: what the first attempt knew still holds"
    assert story.tickets == [(KEY, "open")]
    assert world.listener.failures == ["desk: throttled"]
