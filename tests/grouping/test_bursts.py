"""Tickets that are opened only once several alerts fired (``open_after``), told as stories."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.configuration import parse_config
from shared.core.errors import ConfigurationError
from shared.core.outcome import Outcome
from shared.core.signal import SignalState
from shared.core.ticket_system import Phase
from shared.delivery.grouping.burst_model import BurstRules, Bursts, hold
from shared.delivery.grouping.store import BURSTS_CODEC
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import START, signal
from tests.grouping.side_by_side import side_by_side
from tests.mapping.signals import HEAD

THREE = "open_after: {count: 3, within: 10m}"
RULES = BurstRules(3, 10 * MINUTE)


def vm(number: int) -> dict[str, Any]:
    return {"key": f"alert:1:{number}", "resource": f"vm-{number:03}"}


def last(story: Story) -> Outcome:
    return story.world.listener.outcomes[-1]


def test_the_third_alert_within_ten_minutes_opens_one_ticket_that_names_all_three() -> None:
    story = Story(route=THREE)
    assert story.fired(0, **vm(1)) == []
    assert (last(story).decision, last(story).rule, last(story).route) == ("held", "open_after", "default")
    assert last(story).reason == "a ticket is opened from 3 firings within 10m on"
    assert story.fired(4, **vm(2)) == []
    story.fired(9, **vm(3))
    assert story.later(9.5) == ["create"]
    description = str(story.world.desk.drafts[0].fields["description"])
    assert "3 alerts so far on 3 resources; all still on." in description
    assert "vm-001, vm-002, vm-003" in description
    assert "Counted since 2026-03-01T12:00:00.000Z." in description


def test_too_few_open_none_and_what_is_too_old_no_longer_counts() -> None:
    story = Story(route=THREE)
    story.fired(0, **vm(1))
    story.fired(9, **vm(2))
    story.fired(10.1, **vm(3))
    assert story.later(15) == []
    story.fired(18, **vm(4))
    assert story.later(19) == ["create"], "9, 10.1 and 18 are within ten minutes, whatever was before"
    assert "3 alerts so far on 3 resources" in str(story.world.desk.drafts[0].fields["description"])
    assert "vm-001" not in str(story.world.desk.drafts[0].fields["description"])


def test_the_same_message_again_counts_once() -> None:
    story = Story(route=THREE)
    for _ in range(5):
        story.fired(0, **vm(1))
    assert last(story).decision == "duplicate"
    story.fired(1, **vm(2))
    assert story.later(5) == []


def test_one_alert_that_fires_again_counts_as_often() -> None:
    story = Story(route=THREE)
    for minute in (0, 2, 4):
        story.fired(minute, key="log:1:one")
        story.resolved(minute + 1, key="log:1:one")
    story.later(6)
    assert story.tickets[0][1] == "resolved", "it was over when its ticket was made"
    assert "1 alert so far (3 firings)" in str(story.world.desk.drafts[0].fields["description"])


def test_further_alerts_go_to_the_same_ticket_as_notes() -> None:
    story = Story(route=THREE, recheck="1h")
    for minute, number in enumerate((1, 2, 3)):
        story.fired(minute, **vm(number))
    story.later(4)
    story.fired(5, **vm(4))
    assert story.later(20) == ["comment"]
    story.fired(60, **vm(5))
    assert story.later(70) == ["comment"], "its ticket is open still"
    assert len(story.tickets) == 1


def test_ends_of_held_alerts_are_remembered() -> None:
    story = Story(route=THREE, recheck="1h")
    story.fired(0, **vm(1))
    story.resolved(1, **vm(1))
    assert last(story).decision == "noted"
    story.fired(2, **vm(2))
    story.fired(3, **vm(3))
    story.later(4)
    assert "2 still on" in str(story.world.desk.drafts[0].fields["description"])
    story.resolved(5, **vm(2))
    story.resolved(6, **vm(3))
    assert story.later(7)[-1] == "resolve"


def test_an_end_that_comes_before_its_firing_leaves_no_ticket_open() -> None:
    story = Story(route=THREE, recheck="1h")
    story.resolved(5, **vm(1))
    for number in (2, 3, 1):
        story.fired(0, **vm(number))
    story.later(6)
    story.resolved(7, **vm(2))
    story.resolved(7, **vm(3))
    story.later(8)
    assert [phase for _, phase in story.tickets] == ["resolved"]


def test_after_a_ticket_that_is_over_counting_starts_anew() -> None:
    story = Story(route=THREE, recheck="1h")
    for number in (1, 2, 3):
        story.fired(number, **vm(number))
    for number in (1, 2, 3):
        story.resolved(number + 4, **vm(number))
    story.later(8)
    assert [phase for _, phase in story.tickets] == ["resolved"]
    story.fired(40, **vm(4))
    story.fired(41, **vm(5))
    assert story.later(45) == []
    story.fired(46, **vm(6))
    story.later(47)
    assert [phase for _, phase in story.tickets] == ["resolved", "open"]
    assert "3 alerts so far" in str(story.world.desk.drafts[1].fields["description"])
    story.fired(2, **vm(2))
    assert last(story).decision == "duplicate", "an alert of the ticket before, delivered once more"
    assert "3 alerts so far" in str(story.world.desk.drafts[1].fields["description"])


def test_soon_after_the_ticket_an_alert_reopens_it_even_when_all_were_over() -> None:
    story = Story(route=THREE, recheck="1h")
    for number in (1, 2, 3):
        story.fired(number, **vm(number))
        story.resolved(number + 0.5, **vm(number))
    story.later(5)
    assert [phase for _, phase in story.tickets] == ["resolved"]
    story.fired(9, **vm(4))
    assert story.later(10)[-1] == "reopen"


def test_when_people_closed_the_ticket_the_next_alerts_are_counted_first() -> None:
    story = Story(route=THREE, recheck="0s")
    for number in (1, 2, 3):
        story.fired(number, **vm(number))
    story.later(5)
    story.ticket().phase = Phase.CLOSED
    story.fired(20, **vm(4))  # the bridge learns of it by this one, which gets its ticket
    story.later(30)
    assert [phase for _, phase in story.tickets] == ["closed", "open"]
    assert story.ticket().follows == story.ticket(0).number


@pytest.mark.parametrize(("per", "calls"), [("resource", []), ("'{{ signal.rule | upper }}'", ["create"])])
def test_each_thing_is_counted_by_itself(per: str, calls: list[str]) -> None:
    story = Story(route=f"open_after: {{count: 3, within: 10m, per: {per}}}")
    for number in (1, 2, 3):
        story.fired(number, **vm(number))
    assert story.later(5) == calls


def test_alerts_that_are_counted_by_nothing_have_tickets_at_once() -> None:
    story = Story(route="open_after: {count: 3, within: 10m, per: '{{ signal.custom_properties.team }}'}")
    assert story.fired(0, **vm(1)) == ["create"]


def test_a_firing_that_comes_late_is_counted_where_it_belongs() -> None:
    story = Story(route=THREE)
    story.fired(0, **vm(1))
    story.fired(2, **vm(2))
    story.world.now = START + 14 * MINUTE
    story.fired(14, **vm(3))
    story.world.post(signal(SignalState.FIRED, 5 * MINUTE, **vm(4)), "f" * 32)
    story.world.work_off()
    story.later(16)
    assert len(story.tickets) == 1
    assert "vm-001, vm-002, vm-004" in str(story.world.desk.drafts[0].fields["description"])


def test_a_firing_of_the_future_counts_as_one_of_now() -> None:
    story = Story(route=THREE)
    story.world.post(signal(SignalState.FIRED, timedelta(days=900), **vm(1)), "f" * 32)
    story.world.work_off()
    story.fired(1, **vm(2))
    story.fired(2, **vm(3))
    assert story.later(4) == ["create"]


def test_four_hundred_alerts_at_once_are_one_ticket_with_one_call() -> None:
    story = Story(route="open_after: {count: 50, within: 10m}", recheck="1h", workers=24)
    for number in range(400):
        story.world.post(signal(SignalState.FIRED, timedelta(), **vm(number)), f"{number:032x}")
    side_by_side(story.world)
    story.later(60)
    assert story.world.desk.calls == ["create"]
    assert "400 alerts so far on 400 resources" in str(story.world.desk.drafts[0].fields["description"])


def test_what_is_held_is_bounded_and_fits_a_row_with_the_longest_keys() -> None:
    bursts, rules = Bursts(), BurstRules(50, timedelta(days=7))
    for number in range(400):
        state = SignalState.RESOLVED if number % 8 else SignalState.FIRED
        one = signal(state, number * MINUTE, key=f"alert:1:{number}-{'𝄞' * 365}", resource="r" * 256)
        bursts, _ = hold(bursts, one, rules, START + timedelta(days=1))
        if bursts.moving:
            break
    assert bursts.moving
    assert len(bursts.held) <= 100
    row = BURSTS_CODEC.to_row(bursts)
    assert max(map(len, row.values())) <= 16_000
    assert all(len(text.encode("utf-16-le")) < 65_536 for text in row.values())
    assert BURSTS_CODEC.from_row(row) == bursts


def test_a_row_that_cannot_be_read_is_an_error_of_its_own() -> None:
    row = BURSTS_CODEC.to_row(Bursts())
    with pytest.raises(ValueError, match="no bursts"):
        BURSTS_CODEC.from_row({**row, "Piece1": '{"held": 7}'})


def test_no_more_firings_are_held_than_can_be_among_enough() -> None:
    bursts = Bursts()
    for number in range(200):
        one = signal(SignalState.FIRED, number * 6 * MINUTE, **vm(number))
        bursts, decision = hold(bursts, one, RULES, START + timedelta(days=9))
        assert decision == "held"
        assert len(bursts.held) <= 4


def test_an_update_and_what_opens_nothing_are_not_counted() -> None:
    for one in (signal(SignalState.UPDATED, MINUTE), replace(signal(SignalState.FIRED, MINUTE), opens=False)):
        assert hold(Bursts(), one, RULES, START + MINUTE) == (Bursts(), "noted")


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ("open_after: {count: 1, within: 10m}", "must be at least 2"),
        ("open_after: {count: 51, within: 10m}", "must be at most 50"),
        ("open_after: {count: 2, within: 10s}", "must be at least 1m"),
        ("open_after: {count: 2, within: 10m, per: team}", "'team' is a fixed text, so that everything would be one"),
        ("open_after: {count: 2, within: 10m, per: '{{ x }}'}", "nothing is called 'x'"),
        ("open_after: {count: 2, within: 10m}, group: {by: rule}", "Fix: take 'group' or it out"),
        ("open_after: {count: 2, within: 10m}, only_after: {firings: 2}", "Fix: take 'only_after' or it out"),
    ],
)
def test_what_makes_no_sense_is_a_mistake_with_its_fix(route: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_config(f"{HEAD}default: {{connection: desk, {route}}}", settings={})
    assert said in str(refused.value)
