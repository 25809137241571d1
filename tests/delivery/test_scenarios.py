"""Deliveries told as stories, one after the other, with the calls they cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.link import LinkStage
from shared.core.signal import SignalState
from shared.core.ticket_system import Phase
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import CONFIG, START, World, signal

KEY = "alert:1:one"


def test_a_new_ticket_costs_one_call_a_duplicate_none_and_a_resolve_one() -> None:
    story = Story(recheck="10m")
    assert story.fired(0) == ["create"]
    assert story.fired(0) == []
    assert story.resolved(5) == ["resolve"]
    assert story.resolved(5) == []
    assert story.fired(0) == []
    assert story.tickets == [(KEY, "resolved")]


def test_a_new_ticket_costs_two_storage_operations_and_a_resolve_three() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    assert story.world.links.operations == 2
    story.resolved(5)
    assert story.world.links.operations == 5


def test_a_resolved_that_overtakes_its_fired_gives_a_ticket_born_resolved_with_one_call() -> None:
    story = Story()
    assert story.resolved(5) == []
    assert story.tickets == []
    assert story.fired(0) == ["create"]
    assert story.tickets == [(KEY, "resolved")]
    assert story.fired(0) == []
    assert story.resolved(5) == []


def test_a_ticket_that_cannot_be_born_resolved_is_resolved_in_the_same_delivery() -> None:
    story = Story(recheck="10m")
    create = story.world.desk.create
    story.world.desk.create = lambda draft: create(replace(draft, closure=None))  # type: ignore[method-assign]
    story.resolved(5)
    assert story.fired(0) == ["create", "resolve"]
    assert story.tickets == [(KEY, "resolved")]


def test_a_fired_that_is_newer_than_the_resolved_before_it_opens_a_ticket() -> None:
    story = Story()
    story.resolved(5)
    assert story.fired(6) == ["create"]
    assert story.tickets == [(KEY, "open")]


def test_an_older_event_never_undoes_a_newer_one() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    story.resolved(5)
    story.fired(10)
    assert story.tickets == [(KEY, "open")]
    assert story.resolved(5) == []
    assert story.updated(7) == []
    assert story.tickets == [(KEY, "open")]


def test_a_key_that_flaps_inside_the_reopen_window_keeps_its_one_ticket() -> None:
    story = Story(recheck="10m")
    for minute in range(0, 40, 4):
        story.fired(minute)
        story.resolved(minute + 2)
    assert story.tickets == [(KEY, "resolved")]


def test_outside_the_reopen_window_a_new_ticket_follows_the_old_one() -> None:
    story = Story()
    story.fired(0)
    first = story.ticket().number
    story.resolved(5)
    assert story.fired(5 + 61) == ["create"]
    assert story.tickets == [(KEY, "resolved"), (f"{KEY}#2", "open")]
    assert story.ticket().follows == first
    story.resolved(70)
    assert story.tickets == [(KEY, "resolved"), (f"{KEY}#2", "resolved")]


def test_exactly_at_the_end_of_the_reopen_window_the_ticket_is_reopened() -> None:
    story = Story()
    story.fired(0)
    story.resolved(5)
    assert story.fired(65) == ["reopen"]
    assert story.tickets == [(KEY, "open")]


def test_a_closed_ticket_is_not_reopened_but_followed_by_a_new_one() -> None:
    story = Story()
    story.fired(0)
    story.resolved(5)
    story.ticket().phase = Phase.CLOSED
    assert story.fired(6) == ["reopen", "find", "create"]
    assert story.tickets == [(KEY, "closed"), (f"{KEY}#2", "open")]
    assert story.ticket(0).notes == []


def test_a_ticket_that_people_closed_is_not_written_when_the_alert_ends() -> None:
    story = Story()
    story.fired(0)
    story.ticket().phase = Phase.CLOSED
    assert story.resolved(5) == ["find"]
    assert story.tickets == [(KEY, "closed")]


def test_a_ticket_that_people_closed_a_moment_ago_refuses_the_write_and_that_settles_it() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    story.ticket().phase = Phase.CLOSED
    assert story.resolved(5) == ["resolve", "find"]
    assert story.world.kept.kept == {}
    link = story.world.links.peek(KEY)
    assert link is not None
    assert (link.stage, link.pending) == (LinkStage.CLOSED, None)


def test_the_resolution_that_people_wrote_is_left_alone() -> None:
    story = Story()
    story.fired(0)
    story.ticket().phase = Phase.RESOLVED
    assert story.resolved(5) == ["find"]


def test_a_firing_after_people_resolved_the_ticket_reopens_it() -> None:
    story = Story()
    story.fired(0)
    story.ticket().phase = Phase.RESOLVED
    assert story.fired(5) == ["find", "reopen"]
    assert story.tickets == [(KEY, "open")]


def test_a_note_on_a_ticket_resolved_a_moment_ago_is_not_enough_when_the_alert_fires_again() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    story.ticket().phase = Phase.RESOLVED
    assert story.fired(5) == ["comment", "reopen"]
    assert story.tickets == [(KEY, "open")]


def test_a_deleted_ticket_is_let_go_and_the_next_firing_gets_a_new_one() -> None:
    story = Story()
    story.world.add_neighbours(2)
    story.fired(0)
    story.world.desk.rows.clear()
    assert story.resolved(5) == ["find"]
    story.later(20)
    assert [code for code, _ in story.world.kept.kept.values()] == ["ticket_missing"]
    assert story.fired(21) == ["find", "create"]
    assert story.tickets == [(f"{KEY}#2", "open")]


def test_a_persons_resolution_is_kept_also_seconds_after_the_bridge_wrote() -> None:
    story = Story(recheck="")
    story.fired(0)
    story.ticket().phase = Phase.RESOLVED  # by a person, with code and notes of their own
    assert story.resolved(0.1) == ["find"]
    link = story.world.links.peek(KEY)
    assert link is not None
    assert link.stage is LinkStage.RESOLVED


def test_by_default_a_resolve_reads_first_and_a_note_after_a_minute() -> None:
    story = Story(recheck="")
    story.fired(0)
    assert story.updated(0.5) == ["comment"]
    assert story.updated(2) == ["find", "comment"]
    assert story.resolved(2.1) == ["find", "resolve"]


def test_a_signal_without_a_route_says_so_in_its_record() -> None:
    begin, rest = CONFIG.split("default:")
    routes = "routes:\n  - {name: other, when: {rule: other}, connection: desk}\ndelivery:"
    story = Story(text=begin + routes + rest.split("delivery:")[1])
    assert story.fired(0) == []
    outcome = story.world.listener.outcomes[-1]
    assert (outcome.decision, outcome.key) == ("no_route", KEY)
    assert "no route" in outcome.reason


def test_another_firing_while_the_ticket_is_open_is_one_note() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    assert story.fired(3) == ["comment"]
    assert story.fired(3) == []
    assert len(story.ticket().notes) == 1
    assert "fired again at 2026-03-01T12:03" in story.ticket().notes[0]


def test_updates_are_notes_and_never_reopen() -> None:
    story = Story(recheck="24h")
    story.fired(0)
    assert story.updated(1) == ["comment"]
    story.resolved(5)
    assert story.updated(1000) == ["comment"]
    assert story.tickets == [(KEY, "resolved")]


@pytest.mark.parametrize(("opens", "calls"), [(True, ["create"]), (False, [])])
def test_an_update_without_a_ticket_opens_one_only_if_it_is_of_that_sort(opens: bool, calls: list[str]) -> None:
    assert Story().updated(1, opens=opens) == calls


def test_comment_only_leaves_the_ticket_open_and_says_when_the_alert_ended() -> None:
    story = Story(resolve="comment", recheck="10m")
    story.fired(0)
    assert story.resolved(5) == ["comment"]
    assert story.tickets == [(KEY, "open")]
    assert "ended at 2026-03-01T12:05" in story.ticket().notes[0]
    assert story.fired(6) == ["comment"]


def test_comment_only_also_tells_of_an_end_that_came_first() -> None:
    story = Story(resolve="comment", recheck="10m")
    story.resolved(5)
    assert story.fired(0) == ["create", "comment"]
    assert "ended at 2026-03-01T12:05" in story.ticket().notes[0]


def test_resolve_nothing_costs_nothing() -> None:
    story = Story(resolve="nothing")
    story.fired(0)
    assert story.resolved(5) == []
    assert story.tickets == [(KEY, "open")]


def test_an_event_is_sent_again_when_nobody_knows_whether_it_arrived() -> None:
    story = Story(kind="event")
    world = story.world
    world.post(signal(SignalState.FIRED, timedelta()), "a" * 32)
    number = world.start(world.visible()[0])
    world.resume(number)
    world.resume(number, "vain")
    world.drain()
    assert world.desk.calls == ["create", "create"]
    assert story.fired(3) == ["update"]
    assert story.updated(4) == ["update"]  # with what the event is about, and the note
    assert story.resolved(5) == ["resolve"]
    assert story.fired(6) == ["update"]


def test_what_was_not_sent_is_sent_without_looking_first() -> None:
    world = World()
    world.post(signal(SignalState.FIRED, timedelta()), "a" * 32)
    number = world.start(world.visible()[0])
    world.resume(number)
    world.resume(number, "not_sent")
    world.resume(number)
    assert number not in world.running
    world.drain()
    assert world.desk.calls == ["create", "create"]


def test_that_knowledge_is_void_once_the_message_was_seen_again() -> None:
    world = World(honours_ids=False)
    world.post(signal(SignalState.FIRED, timedelta()), "a" * 32)
    number = world.start(world.visible()[0])
    world.resume(number)
    world.resume(number, "not_sent")
    world.resume(number)  # sends itself back, saying that nothing was applied
    world.now += timedelta(minutes=1)
    number = world.start(world.visible()[0])
    while world.running[number].place != "create answered":
        world.resume(number)
    world.kill(number)  # the ticket exists, and nobody wrote that down
    world.drain()
    assert len(world.desk.rows) == 1


def test_a_lost_answer_is_looked_up_before_anything_is_repeated() -> None:
    world = World()
    world.post(signal(SignalState.FIRED, timedelta()), "a" * 32)
    number = world.start(world.visible()[0])
    world.resume(number)
    world.resume(number, "lost")
    world.drain()
    assert world.desk.calls == ["create", "find"]
    assert len(world.desk.rows) == 1


def first_call(told: str) -> World:
    """A firing whose first call goes as told; then everything is worked off."""
    world = World()
    world.post(signal(SignalState.FIRED, timedelta()), "a" * 32)
    number = world.start(world.visible()[0])
    world.resume(number)
    world.resume(number, told)
    while number in world.running:
        world.resume(number)
    world.drain()
    return world


def test_a_refused_create_becomes_a_dead_letter_with_one_look() -> None:
    world = first_call("refused")
    assert world.desk.calls == ["create", "find"]
    assert [code for code, _ in world.kept.kept.values()] == ["refused"]
    link = world.links.peek(KEY)
    assert link is not None
    assert (link.stage, link.pending, link.dead_letter) == (LinkStage.NONE, None, "a" * 32)


def test_a_create_that_was_refused_although_the_ticket_was_made_counts_as_made() -> None:
    world = first_call("done_refused")
    assert world.desk.calls == ["create", "find"]
    assert (len(world.desk.rows), world.kept.kept) == (1, {})
    link = world.links.peek(KEY)
    assert link is not None
    assert (link.stage, link.ticket is not None) == (LinkStage.OPEN, True)


def test_after_a_refusal_duplicates_are_not_tried_again_but_newer_events_are() -> None:
    world = first_call("refused")
    for minute, expected in ((0, ["create", "find"]), (5, ["create", "find", "create"])):
        world.post(signal(SignalState.FIRED, minute * MINUTE), f"{minute:032x}")
        world.drain()
        assert world.desk.calls == expected


def test_a_duplicate_makes_way_while_the_first_is_under_way_and_a_resolved_waits() -> None:
    world = World(recheck="10m")
    world.post(signal(SignalState.FIRED, timedelta()), "a" * 32)
    first = world.start(world.visible()[0])
    world.resume(first)
    assert world.running[first].place == "create"
    world.post(signal(SignalState.FIRED, timedelta()), "b" * 32)
    world.post(signal(SignalState.RESOLVED, 5 * MINUTE), "c" * 32)
    for message in world.visible():
        number = world.start(message)
        while number in world.running:
            world.resume(number)
    assert world.desk.calls == []
    assert [m.visible_at > world.now for m in world.queue.messages.values() if m.held_by is None] == [True]
    while first in world.running:
        world.resume(first)
    world.drain()
    assert world.desk.calls == ["create", "resolve"]


@pytest.mark.parametrize("sequence", ["F", "FR", "FRF", "RF", "FRFR", "FF"])
def test_a_crash_between_any_two_steps_changes_nothing(sequence: str) -> None:
    """Kill the worker at its k-th stop, for every k, over the whole sequence of events."""

    def run(kill_at: int | None) -> tuple[World, int]:
        world, stops = World(honours_ids=False), 0
        for index, letter in enumerate(sequence):
            state = SignalState.FIRED if letter == "F" else SignalState.RESOLVED
            at = (5 - index if sequence == "RF" else index * 2) * MINUTE
            world.now = max(world.now, START + at)
            world.post(signal(state, at), f"{index:032x}")
            number = world.start(world.visible()[0])
            while number in world.running:
                stops += 1
                if stops == kill_at:
                    world.kill(number)
                    break
                world.resume(number)
            world.drain()
        return world, stops

    undisturbed, stops = run(None)
    expected = [(r.correlation, r.phase, r.notes) for r in undisturbed.desk.rows.values()]
    assert stops >= 4
    for kill_at in range(1, stops + 1):
        disturbed, _ = run(kill_at)
        found = [(r.correlation, r.phase, r.notes) for r in disturbed.desk.rows.values()]
        assert found == expected, f"killed at stop {kill_at} of {stops}"


def test_the_id_of_each_signal_stands_in_the_ticket() -> None:
    story = Story(recheck="10m")
    story.fired(0)
    assert f"signal {1:032x}" in story.world.desk.drafts[0].note
    assert "work_notes" not in story.world.desk.drafts[0].fields
    story.fired(5)
    assert f"signal {2:032x}" in story.ticket().notes[-1]
    story.resolved(6)
    story.fired(7)
    assert f"signal {4:032x}" in story.ticket().notes[-1]
