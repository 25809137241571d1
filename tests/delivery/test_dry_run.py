"""Dry runs: everything is decided and rendered, nothing is written outside, and nothing of it counts afterwards."""

from __future__ import annotations

import json
from typing import Any

from shared.core.link import LinkStage
from shared.core.outcome import OutcomeKind
from tests.delivery.story import Story

KEY = "alert:1:one"
ALL = "mode: dry_run\n"
ROUTE = "routes:\n- {name: new, when: {rule: CPU*}, connection: desk, mode: dry_run, fields: {category: software}%s}\n"
DAY = 24 * 60


def told(story: Story) -> list[tuple[str, str, str]]:
    return [(one.mode, one.decision, one.route) for one in story.world.listener.outcomes]


def calls(story: Story) -> list[dict[str, Any]]:
    return [call for one in story.world.listener.outcomes if one.rendered for call in json.loads(one.rendered)]


def test_a_problem_is_followed_from_fired_to_resolved_without_a_call() -> None:
    story = Story(sections=ALL, recheck="10m")
    assert story.fired(0) == story.fired(0) == story.fired(3) == story.resolved(5) == story.fired(10) == []
    decisions = ["created", "duplicate", "commented", "resolved", "reopened"]
    assert told(story) == [("dry_run", decision, "default") for decision in decisions]
    assert [call["call"] for call in calls(story)] == ["create", "comment", "resolve", "reopen"]
    assert story.world.links.peek(KEY) is None
    assert story.world.queue.messages == {}
    assert story.world.asked == [], "no call budget is asked"


def test_the_record_shows_the_fields_as_they_would_be_written() -> None:
    story = Story(sections=ROUTE % "")
    story.fired(0)
    (call,) = calls(story)
    assert (call["call"], call["kind"], call["fields"]["category"]) == ("create", "incident", "software")
    assert call["fields"]["short_description"] == "CPU high on vm-web-01"
    story.resolved(5)
    assert "2026-03-01" in calls(story)[-1]["fields"]["close_notes"]


def test_given_a_fired_in_a_dry_run_when_the_route_is_live_then_its_next_fired_gets_a_ticket() -> None:
    story = Story(sections=ROUTE % "", recheck="10m")
    story.fired(0)
    story.world.configure(ROUTE.replace("mode: dry_run, ", "") % "")
    assert story.fired(5) == ["create"]
    assert story.resolved(9) == ["resolve"]
    assert story.tickets == [(KEY, "resolved")]


def test_given_a_fired_in_a_dry_run_when_its_resolved_is_live_then_nothing_is_written() -> None:
    story = Story(sections=ROUTE % "")
    story.fired(0)
    story.world.configure("")
    assert story.resolved(5) == []
    assert story.world.listener.outcomes[-1].decision == "resolved_before_fired"
    assert story.world.kept.kept == {}


def test_given_a_live_ticket_when_its_end_comes_in_a_dry_run_then_the_record_names_it_and_it_stays_open() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    before = story.world.links.peek(KEY)
    story.world.configure(ALL)
    assert story.resolved(5) == []
    assert told(story)[-1] == ("dry_run", "resolved", "default")
    assert calls(story)[-1]["ticket"] == story.ticket().number
    assert story.world.links.peek(KEY) == before
    story.world.configure("")
    assert story.resolved(9) == ["resolve"]


def test_given_a_rehearsed_key_when_its_live_ticket_moved_on_since_then_the_live_one_counts() -> None:
    story = Story(sections=ALL, recheck="10m")
    story.fired(0)
    story.world.configure("")
    assert story.fired(5) == ["create"]
    assert story.resolved(6) == ["resolve"]
    story.world.configure(ALL)
    story.fired(8)
    assert told(story)[-1] == ("dry_run", "reopened", "default")


def test_other_routes_stay_live_beside_a_route_in_a_dry_run() -> None:
    story = Story(sections=ROUTE % "")
    assert story.fired(0) == []
    assert story.fired(1, key="alert:1:two", rule="Disk full") == ["create"]
    assert told(story) == [("dry_run", "created", "new"), ("", "created", "default")]


def test_a_storm_of_a_grouped_route_is_one_rehearsed_ticket() -> None:
    story = Story(sections=ROUTE % ", group: {by: rule, note_every: 5m}", recheck="10m")
    for number in range(5):
        story.fired(0, key=f"alert:1:{number}", resource=f"vm-{number}")
    story.later(6)
    for number in range(5):
        story.resolved(7, key=f"alert:1:{number}", resource=f"vm-{number}")
    assert story.later(20) == []
    done = [(one.decision, one.mode) for one in story.world.listener.outcomes if one.kind is OutcomeKind.DELIVERED]
    assert done == [("created", "dry_run"), ("commented", "dry_run"), ("resolved", "dry_run")]
    assert sum(one.kind is OutcomeKind.GROUPED for one in story.world.listener.outcomes) >= 8
    assert story.world.groups.rows == {}
    assert story.world.links.rows == {}


def test_given_a_live_group_when_everything_is_a_dry_run_then_its_pending_note_waits_for_the_end_of_that() -> None:
    story = Story(route="group: {by: rule, note_every: 5m}", recheck="1h")
    story.fired(0, key="alert:1:1", resource="vm-1")
    story.fired(1, key="alert:1:2", resource="vm-2")
    story.world.configure(ALL)
    assert story.later(3 * 60) == []
    story.world.configure("")
    assert story.later(5 * 60)[-1] == "comment"
    assert "2 alerts so far" in story.ticket().notes[-1]


def test_given_a_live_ticket_that_ends_when_quiet_when_that_comes_in_a_dry_run_then_it_ends_afterwards() -> None:
    story = Story(route="close_after_quiet: 1h", recheck="1d")
    story.fired(0)
    story.world.configure(ALL)
    assert story.later(4 * 60) == []
    assert story.tickets == [(KEY, "open")]
    story.world.configure("")
    assert story.later(6 * 60) == ["resolve"]


def test_a_rehearsed_ticket_ends_when_quiet_without_a_call() -> None:
    story = Story(sections=ROUTE % ", close_after_quiet: 1h")
    story.fired(0)
    assert story.later(2 * 60) == []
    assert told(story)[-1] == ("dry_run", "resolved", "new")


def test_given_a_firing_that_is_held_in_a_dry_run_when_that_ends_before_then_it_gets_its_ticket() -> None:
    story = Story(sections=ROUTE % ", only_after: {lasting: 30m}")
    story.fired(0)
    assert story.world.listener.outcomes[-1].kind is OutcomeKind.HELD
    story.world.configure(ROUTE.replace("mode: dry_run, ", "") % "")
    assert story.later(DAY) == ["create"]
    link = story.world.links.peek(KEY)
    assert link is not None
    assert link.stage is LinkStage.OPEN


def test_what_would_be_refused_is_said_and_is_no_dead_letter() -> None:
    story = Story(recheck="0s")
    story.fired(0)
    text = story.world._text
    story.world._text = text.replace("default:", "routes:\n- {name: x, when: {rule: none}, connection: desk}\nother:")
    story.world._text = story.world._text.split("other:")[0] + "delivery:" + text.split("delivery:")[1]
    story.ticket().phase = story.ticket().phase.CLOSED
    link = story.world.links.peek(KEY)
    assert link is not None
    story.resolved(1)
    story.world.configure(ALL)
    assert story.fired(2 * DAY) == []
    assert told(story)[-1][:2] == ("dry_run", "refused")
    assert "no route matches" in story.world.listener.outcomes[-1].reason
    assert story.world.kept.kept == {}


def test_alerts_that_are_counted_before_a_ticket_are_rehearsed_apart_from_live_ones() -> None:
    story = Story(sections=ROUTE % ", open_after: {count: 3, within: 10m}")
    for number in range(3):
        story.fired(number, key=f"alert:1:{number}", resource=f"vm-{number}")
    story.later(5)
    done = [(one.kind, one.decision) for one in story.world.listener.outcomes if one.mode == "dry_run"]
    assert [decision for kind, decision in done if kind is OutcomeKind.GROUPED] == ["held", "held", "grouped"]
    assert [decision for kind, decision in done if kind is OutcomeKind.DELIVERED] == ["created"]
    assert "3 alerts so far on 3 resources" in str(calls(story)[0]["fields"]["description"])
    assert story.world.groups.rows == {}
