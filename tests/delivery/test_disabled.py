"""Connections and routes that are disabled: what waits, what goes on, and that nothing is lost."""

from __future__ import annotations

from shared.core.outcome import OutcomeKind
from tests.delivery.story import Story
from tests.delivery.world import START

KEY = "alert:1:one"
DAY = 24 * 60


def test_given_a_disabled_connection_when_alerts_come_for_days_then_they_wait_and_none_is_a_dead_letter() -> None:
    story = Story(recheck="10m")
    story.world.disabled = True
    assert story.fired(0) == []
    assert story.later(9 * DAY) == []
    outcome = story.world.listener.outcomes[-1]
    assert (outcome.kind, outcome.code, outcome.call_error) == (OutcomeKind.POSTPONED, "connection_disabled", "")
    assert story.world.kept.kept == {}
    assert len(story.world.queue.messages) == 1
    story.world.disabled = False
    assert story.later(9 * DAY + 20) == ["create"]
    assert story.tickets == [(KEY, "open")]


def test_given_days_of_waiting_when_the_enabled_connection_fails_at_first_then_the_alert_is_still_tried_again() -> None:
    story = Story(recheck="10m")
    story.world.disabled = True
    story.fired(0)
    story.later(8 * DAY)
    story.world.disabled = False
    (message,) = story.world.queue.messages.values()
    story.world.now = message.visible_at
    number = story.world.start(message)
    while story.world.running[number].place != "create":
        story.world.resume(number)
    story.world.resume(number, "not_sent")
    story.world.drain()
    assert story.world.kept.kept == {}
    assert story.tickets == [(KEY, "open")]


def test_given_a_ticket_when_its_connection_is_disabled_and_enabled_then_the_end_that_waited_resolves_it() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    story.world.disabled = True
    assert story.resolved(5) == []
    assert story.later(60) == []
    story.world.disabled = False
    assert story.later(80)[-1] == "resolve"
    assert story.tickets == [(KEY, "resolved")]
    assert (story.world.now - START).total_seconds() <= 80 * 60


def test_a_disabled_route_lets_its_signals_go_on_to_the_next_one() -> None:
    first = "routes:\n- {name: first, when: {rule: CPU*}, ticket: none%s}\n"
    story = Story(sections=first % ", disabled: true")
    assert story.fired(0) == ["create"]
    assert story.world.listener.outcomes[-1].route == "default"
    story.world.configure(first % "")
    assert story.fired(1, key="alert:1:two") == []


def test_a_ticket_of_a_route_that_is_disabled_is_resolved_with_the_fields_of_that_route() -> None:
    route = (
        "routes:\n- {name: own, when: {rule: CPU*}, connection: desk, %s"
        "resolve: {fields: {close_code: Solved by the vendor}}}\n"
    )
    story = Story(sections=route % "", recheck="10m")
    story.fired(0)
    story.world.configure((route % "disabled: true, ").replace("Solved by", "Solved after all by"))
    assert story.resolved(5) == ["resolve"]
    assert story.world.desk.closures[-1].fields["close_code"] == "Solved after all by the vendor"
