"""Groups and storms told as stories, with the calls they cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared.core.signal import SignalState
from shared.core.ticket_system import Phase
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import START, signal

BY_RULE = "group: {by: rule, note_every: 5m}"


def vm(number: int) -> dict[str, Any]:
    return {"key": f"alert:1:{number}", "resource": f"vm-{number:03}"}


def storm(story: Story, size: int, minute: float = 0) -> None:
    """That many alerts of one rule at once."""
    story.world.now = max(story.world.now, START + minute * MINUTE)
    for number in range(size):
        story.world.post(signal(SignalState.FIRED, minute * MINUTE, **vm(number)), f"{number:032x}")
    story.world.work_off()


def test_alerts_of_one_rule_share_a_ticket_that_is_told_at_most_once_in_five_minutes() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    assert story.fired(0, **vm(1)) == ["create"]
    assert story.fired(1, **vm(2)) == []
    assert story.fired(2, **vm(3)) == []
    assert story.later(4.9) == []
    assert story.later(5.1) == ["comment"]
    assert story.tickets == [("group:1:default/cpu high", "open")]
    note = story.ticket().notes[-1]
    assert "3 alerts so far on 3 resources; all still on." in note
    assert "vm-002, vm-003" in note
    assert "vm-001" not in note, "what the ticket knows already is not listed again"


def test_the_ticket_is_resolved_when_the_last_of_them_is_over() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    for number in (1, 2, 3):
        story.fired(0, **vm(number))
    story.later(6)
    assert story.resolved(7, **vm(1)) == []
    assert story.resolved(7, **vm(2)) == []
    assert story.later(9) == []
    assert story.resolved(9, **vm(3)) == []
    assert story.later(9.5) == ["resolve"]
    assert story.tickets == [("group:1:default/cpu high", "resolved")]


def test_an_end_that_bears_the_time_of_the_firing_that_began_the_group_ends_it() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.later(1)
    story.resolved(0, **vm(1))
    assert story.later(2) == ["resolve"]


def test_one_alert_alone_reads_like_any_other_ticket() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.resolved(3, **vm(1))
    assert story.later(4) == ["resolve"]
    assert story.ticket().notes == []


def test_a_storm_costs_calls_by_time_and_not_by_alerts() -> None:
    story = Story(route=BY_RULE, recheck="1h", workers=3)
    storm(story, 400)
    story.later(60)
    assert story.world.desk.calls == ["create", "comment"]
    assert "400 alerts so far on 400 resources" in story.ticket().notes[-1]
    assert "(of 400)" in story.ticket().notes[-1]


def test_duplicates_are_not_counted_twice() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    story.fired(1, **vm(2))
    story.fired(1, **vm(2))
    story.later(10)
    assert "2 alerts so far on 2 resources" in story.ticket().notes[-1]


def test_a_member_that_fires_again_reopens_the_ticket_of_the_group() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.resolved(3, **vm(1))
    story.later(4)
    story.fired(20, **vm(2))
    assert story.later(21)[-1] == "reopen"
    assert story.tickets == [("group:1:default/cpu high", "open")]


def test_when_people_closed_the_ticket_the_next_alert_gets_a_new_one_that_names_it() -> None:
    story = Story(route=BY_RULE)
    story.fired(0, **vm(1))
    story.ticket().phase = Phase.CLOSED
    story.fired(10, **vm(2))
    story.later(12)
    assert story.tickets == [("group:1:default/cpu high", "closed"), ("group:1:default/cpu high#2", "open")]
    assert story.ticket().follows == story.ticket(0).number


def test_a_resolved_that_comes_before_its_fired_leaves_no_ticket_open() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.resolved(5, **vm(1))
    story.fired(0, **vm(1))
    story.later(10)
    assert story.tickets == [("group:1:default/cpu high", "resolved")]


def test_signals_without_what_is_grouped_by_have_tickets_of_their_own() -> None:
    story = Story(route='group: {by: "{{ signal.custom_properties.service }}"}')
    story.fired(0, **vm(1))
    story.fired(0, **vm(2))
    assert story.tickets == [("alert:1:1", "open"), ("alert:1:2", "open")]


def test_each_resource_may_have_one_ticket() -> None:
    story = Story(route="group: {by: resource}", recheck="1h")
    story.fired(0, key="alert:1:cpu", resource="VM-1", rule="CPU high")
    story.fired(1, key="alert:1:disk", resource="vm-1", rule="Disk full")
    story.fired(1, key="alert:1:other", resource="vm-2", rule="Disk full")
    assert [c for c, _ in story.tickets] == ["group:1:default/vm-1", "group:1:default/vm-2"]


def test_alerts_that_fire_after_the_window_begin_another_ticket() -> None:
    story = Story(route="group: {by: rule, window: 30m}", recheck="1h")
    story.fired(0, **vm(1))
    story.fired(29, **vm(2))
    story.fired(31, **vm(3))
    first, second = (correlation for correlation, _ in story.tickets)
    assert first == "group:1:default/cpu high@2026-03-01t12:00:00.000z"
    assert second == "group:1:default/cpu high@2026-03-01t12:31:00.000z"


def test_a_resolved_finds_the_window_in_which_its_alert_fired() -> None:
    story = Story(route="group: {by: rule, window: 30m}", recheck="1h")
    story.fired(0, **vm(1))
    story.fired(31, **vm(2))
    story.resolved(40, fired=timedelta(), **vm(1))
    story.resolved(70, **vm(2))  # this one does not say when it fired
    story.later(75)
    assert [phase for _, phase in story.tickets] == ["resolved", "resolved"]


def test_a_group_that_has_to_last_or_repeat_opens_no_ticket_before() -> None:
    story = Story(route=f"{BY_RULE}\nonly_after: {{lasting: 10m, firings: 3}}", recheck="1h")
    story.fired(0, **vm(1))
    story.fired(1, **vm(2))
    assert story.later(2) == []
    story.fired(3, **vm(3))
    assert story.later(4) == ["create"]
    assert "3 alerts so far on 3 resources" in story.world.desk.drafts[0].fields["description"]


def test_a_group_whose_alerts_went_away_in_time_is_suppressed_and_counts_anew() -> None:
    story = Story(route=f"{BY_RULE}\nonly_after: {{lasting: 10m, firings: 3}}", recheck="1h")
    for number in (1, 2):
        story.fired(0, **vm(number))
        story.resolved(1, **vm(number))
    assert story.later(30) == []
    story.fired(40, **vm(3))
    assert story.later(41) == [], "the two that went away are not counted again"
    assert story.later(51) == ["create"]


THROTTLE = """
throttles:
  - {name: rule-storm, tickets: 3, per: 15m}
"""


def test_what_exceeds_the_throttle_is_one_summary_ticket() -> None:
    story = Story(sections=THROTTLE, recheck="1h", workers=2)
    storm(story, 50)
    story.later(14)
    correlations = [correlation for correlation, _ in story.tickets]
    assert len(correlations) == 4
    assert [c for c in correlations if c.startswith("alert:1:")] == correlations[:3]
    assert correlations[3] == "storm:1:rule-storm/cpu high@2026-03-01t12:00:00.000z"
    assert story.world.desk.calls.count("create") == 4
    assert story.world.desk.drafts[-1].fields["short_description"] == (
        "Alert storm: CPU high: more than 3 tickets in 15m"
    )


def test_the_next_period_has_tickets_of_its_own_again() -> None:
    story = Story(sections=THROTTLE, recheck="1h")
    storm(story, 5)
    story.fired(16, **vm(77))
    assert ("alert:1:77", "open") in story.tickets


def test_every_alert_of_a_throttled_storm_finds_its_ticket_when_it_resolves() -> None:
    story = Story(sections=THROTTLE, recheck="1h", workers=2)
    storm(story, 10)
    story.later(1)
    for number in range(10):
        story.resolved(20, **vm(number))
    story.later(40)
    assert {phase for _, phase in story.tickets} == {"resolved"}
    assert len(story.tickets) == 4


def test_a_throttle_never_stands_in_the_way_of_a_ticket_that_exists() -> None:
    story = Story(sections=THROTTLE, recheck="1h")
    story.fired(0, key="alert:1:mine")
    storm(story, 10, minute=1)
    story.later(1.5)
    assert story.fired(2, key="alert:1:mine") == ["comment"]
    assert story.resolved(3, key="alert:1:mine") == ["resolve"]


def test_rules_are_counted_apart() -> None:
    story = Story(sections=THROTTLE, recheck="1h")
    storm(story, 5)
    story.fired(2, key="alert:1:disk", rule="Disk full")
    assert ("alert:1:disk", "open") in story.tickets


def test_a_resolved_that_overtook_its_alert_is_known_to_the_summary() -> None:
    story = Story(sections=THROTTLE, recheck="1h")
    storm(story, 3)
    story.resolved(5, **vm(9))
    story.fired(1, **vm(9))
    story.later(10)
    assert story.tickets[-1][1] == "resolved"


def stopped_at(story: Story, place: str, steps: int = 20) -> int:
    """A worker takes the message that is due and goes on until it is about to do something there."""
    (message,) = story.world.visible()
    number = story.world.start(message)
    for _ in range(steps):
        if story.world.running[number].place == place:
            return number
        story.world.resume(number)
    raise AssertionError(f"it never came to {place}")


def test_a_resolved_that_is_counted_before_the_group_is_there_is_not_forgotten() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.world.post(signal(SignalState.FIRED, timedelta(), **vm(1)), "f" * 32)
    worker = stopped_at(story, "load")  # its alert is a member, and there is no group yet
    story.world.running[worker].since = START
    assert story.resolved(1, **vm(1)) == []
    story.world.resume(worker)
    for _ in range(20):
        if worker in story.world.running:
            story.world.resume(worker)
    story.later(2)
    assert story.tickets == [("group:1:default/cpu high", "resolved")]


def test_a_resolved_that_comes_while_the_group_is_looked_at_is_not_forgotten() -> None:
    story = Story(route=BY_RULE, recheck="1h")
    story.fired(0, **vm(1))
    story.fired(0, **vm(2))
    story.resolved(0.1, **vm(2))
    story.world.now = START + timedelta(seconds=22)
    worker = stopped_at(story, "write")  # it has counted, and is about to write what it found
    assert story.resolved(0.4, **vm(1)) == []
    for _ in range(20):
        if worker in story.world.running:
            story.world.resume(worker)
    story.later(2)
    assert story.tickets == [("group:1:default/cpu high", "resolved")]
