"""Tickets that cannot be seen: for a moment, for a while, for good; and changes that an answer does not show."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.link import LinkStage
from shared.core.messages import EndWhenQuiet
from shared.core.outcome import OutcomeKind
from shared.core.signal import SignalState
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import START, World, signal

KEY = "alert:1:one"


def letters(story: Story) -> list[str]:
    return [code for code, _ in story.world.kept.kept.values()]


@pytest.mark.parametrize("recheck", ["0s", "1h"])
@pytest.mark.parametrize("minutes", [0.2, 2, 30])
def test_an_end_is_paid_when_its_ticket_is_visible_again(minutes: float, recheck: str) -> None:
    story = Story(recheck=recheck)
    story.fired(0)
    story.world.desk.hide(START + (1 + minutes) * MINUTE)
    story.resolved(1)
    assert story.tickets == [(KEY, "open")]
    postponed = story.world.listener.outcomes[-1]
    assert (postponed.kind, postponed.code, postponed.call_error) == (OutcomeKind.POSTPONED, "ticket_not_seen", "")
    story.later(120)
    assert story.tickets == [(KEY, "resolved")]
    assert letters(story) == []


def test_a_newer_firing_waits_for_its_hidden_ticket_and_becomes_its_note() -> None:
    story = Story()
    story.fired(0)
    story.world.desk.hide(START + 50 * MINUTE)
    story.fired(10)
    story.later(120)
    assert story.tickets == [(KEY, "open")]
    assert len(story.ticket().notes) == 1


def test_a_deletion_is_believed_after_some_minutes_while_others_are_visible() -> None:
    story = Story()
    story.world.add_neighbours(visible=3, hidden=3)
    story.fired(0)
    story.world.desk.rows.clear()
    story.fired(10)
    story.later(14.9)
    assert story.tickets == []
    story.later(15.1)
    assert story.tickets == [(f"{KEY}#2", "open")]


@pytest.mark.parametrize(
    ("visible", "hidden", "hours"), [(0, 0, 1), (1, 3, 1), (0, 3, 24)], ids=["no others", "few", "none visible"]
)
def test_it_is_believed_later_where_others_prove_less(visible: int, hidden: int, hours: int) -> None:
    story = Story()
    story.world.add_neighbours(visible, hidden)
    story.fired(0)
    story.world.desk.rows.clear()
    story.resolved(10)
    story.later(10 + hours * 60 - 1)
    assert letters(story) == []
    story.later(10 + hours * 60 + 10)
    assert letters(story) == ["ticket_missing"]


def test_an_end_without_a_ticket_becomes_a_dead_letter_and_its_replay_ends_the_ticket_that_came_back() -> None:
    story = Story()
    story.world.add_neighbours(2)
    story.fired(0)
    story.world.desk.hide()
    story.resolved(5)
    story.later(30)
    assert letters(story) == ["ticket_missing"]
    link = story.world.links.peek(KEY)
    assert link is not None
    assert (link.stage, link.missing_since, link.dead_letter) == (LinkStage.CLOSED, START + 5 * MINUTE, f"{2:032x}")
    story.world.desk.show()
    story.world.queue.put(replace(story.world.kept.kept[f"{2:032x}"][1], replayed=True, attempts=0))
    story.world.work_off()
    assert story.tickets == [(KEY, "resolved")]
    assert letters(story) == []


def test_a_resolved_that_comes_long_after_the_deletion_was_noticed_is_a_dead_letter_too() -> None:
    story = Story()
    story.world.add_neighbours(2)
    story.fired(0)
    story.world.desk.rows.clear()
    story.updated(5)
    story.later(30)
    assert letters(story) == []
    assert story.resolved(40) == ["find"]
    assert letters(story) == ["ticket_missing"]


def test_a_ticket_that_was_taken_for_deleted_is_looked_for_before_a_second_one_is_made() -> None:
    story = Story()
    story.world.add_neighbours(2)
    story.fired(0)
    story.world.desk.hide(START + 30 * MINUTE)
    story.updated(5)
    story.later(20)
    assert story.fired(40) == ["find", "comment"]
    assert story.tickets == [(KEY, "open")]


def test_an_automatic_end_of_a_missing_ticket_is_not_silent() -> None:
    story = Story()
    story.world.add_neighbours(2)
    story.fired(0)
    story.world.desk.rows.clear()
    end = signal(SignalState.RESOLVED, 60 * MINUTE)
    story.later(60)
    story.world.queue.put(
        EndWhenQuiet(id="e" * 32, received_at=story.world.now, signal=end, since=(START, 0), only_if_healthy=False)
    )
    story.later(90)
    assert letters(story) == ["ticket_missing"]


@pytest.mark.parametrize("honours_ids", [True, False])
def test_a_ticket_that_was_committed_late_is_not_made_twice(honours_ids: bool) -> None:
    world = World(honours_ids=honours_ids)
    world.desk.commit_delay = timedelta(seconds=90)
    world.post(signal(SignalState.FIRED, timedelta()), "a" * 32)
    number = world.start(world.visible()[0])
    world.resume(number)
    world.resume(number, "lost")
    world.drain()
    assert len(world.desk.rows) == 1
    assert world.desk.calls.count("create") == 1


def test_a_create_is_repeated_at_once_where_the_instance_keeps_our_ids() -> None:
    for theirs, late in ((False, timedelta(seconds=30)), (True, timedelta(minutes=5))):
        world = World()
        world.add_neighbours(2, ids_of_theirs=theirs)
        world.post(signal(SignalState.FIRED, timedelta()), "a" * 32)
        number = world.start(world.visible()[0])
        world.resume(number)
        world.resume(number, "vain")
        world.drain()
        assert [row.correlation for row in world.desk.rows.values()] == [KEY]
        assert world.now - START < late
        assert (world.now - START > timedelta(minutes=1)) == theirs


def test_a_resolve_of_a_record_that_was_made_seconds_ago_waits_for_its_commit() -> None:
    story = Story(recheck="1h")
    story.world.desk.commit_delay = timedelta(seconds=45)
    story.fired(0)
    story.resolved(0.1)
    story.later(10)
    assert story.tickets == [(KEY, "resolved")]
    assert letters(story) == []


def test_a_resolve_whose_answer_shows_it_open_is_looked_at_again() -> None:
    story = Story()
    story.fired(0)
    story.world.desk.stubborn = 1
    assert story.resolved(5) == ["find", "resolve"]
    assert story.later(10) == ["find"]
    assert letters(story) == []
    link = story.world.links.peek(KEY)
    assert link is not None
    assert (link.stage, link.pending) == (LinkStage.RESOLVED, None)


def test_a_resolve_that_does_not_last_is_a_dead_letter_after_a_minute() -> None:
    story = Story()
    story.fired(0)
    story.world.desk.stubborn = 2
    story.resolved(5)
    assert story.later(5.9) == ["find"]
    assert letters(story) == []
    assert story.later(10) == ["find"]
    assert letters(story) == ["refused"]
    link = story.world.links.peek(KEY)
    assert link is not None
    assert link.pending is None


def test_given_a_reservation_written_by_a_repeated_request_when_its_ticket_is_not_seen_then_it_is_made_later() -> None:
    story = Story()
    world = story.world
    world.post(signal(SignalState.FIRED, 0 * MINUTE), f"{1:032x}")
    answers = {"create": ["throttled"], "write": ["ok", "written_twice"]}
    for _ in range(2):
        number = world.start(next(iter(world.visible())))
        while number in world.running:
            told = answers.get(world.running[number].place, [])
            world.resume(number, told.pop(0) if told else "ok")
        world.now = min(message.visible_at for message in world.queue.messages.values())
    assert [outcome.code for outcome in world.listener.outcomes] == ["throttled", "ticket_not_seen"]
    world.drain()
    assert letters(story) == []
    assert story.tickets == [(KEY, "open")]
