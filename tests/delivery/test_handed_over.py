"""Tickets that are not resolved although their problem is over, because people go on with them; and tickets that the
ticket system does not reopen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.core.link import Link, LinkStage
from shared.core.ticket_system import Closure, Note, Phase, Ticket, TicketRef
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import START

KEY = "alert:1:one"
WHY = "CHG0030001 is at Implement (-1) and is left to people"


def link_of(story: Story) -> Link:
    link = story.world.links.peek(KEY)
    assert link is not None
    return link


@pytest.fixture
def story() -> Story:
    """A desk that leaves every ticket to people when its problem is over, with the note of the closure in it."""
    story = Story(recheck="10m")

    async def resolve(ref: TicketRef, closure: Closure) -> Ticket:
        assert closure.note is not None
        assert closure.note.marker in closure.note.text
        return replace(await story.world.desk.comment(ref, closure.note), handed_over=WHY)

    story.world.desk.resolve = resolve  # type: ignore[method-assign]
    return story


def test_a_ticket_that_is_left_to_people_is_no_dead_letter_and_its_link_says_that_the_problem_is_over(
    story: Story,
) -> None:
    story.fired(0)
    assert story.resolved(5) == ["comment"]
    assert story.world.refusals == []
    link = link_of(story)
    assert (link.stage, link.ended, link.dead_letter) == (LinkStage.OPEN, START + 5 * MINUTE, "")
    (note,) = story.ticket().notes
    assert "ended at 2026-" in note
    assert story.resolved(5) == []
    assert len(story.ticket().notes) == 1


def test_a_problem_that_comes_back_is_a_note_of_the_same_ticket(story: Story) -> None:
    story.fired(0)
    story.resolved(5)
    assert story.fired(7) == ["comment"]
    assert link_of(story).ended is None
    assert story.tickets == [(KEY, "open")]


def test_a_ticket_that_the_system_does_not_reopen_is_followed_by_a_new_one() -> None:
    story = Story(recheck="10m")

    async def kept(ref: TicketRef, note: Note) -> Ticket:
        return replace(await story.world.desk.comment(ref, note), phase=Phase.RESOLVED)

    story.world.desk.reopen = kept  # type: ignore[method-assign]
    story.fired(0)
    story.resolved(5)
    assert story.fired(7) == ["comment"]
    assert story.later(9) == ["find", "find", "create"]  # the answer may lag behind: it is believed after a minute
    assert [phase for _, phase in story.tickets] == ["resolved", "open"]
    assert story.ticket().follows == story.ticket(0).number
    assert link_of(story).stage is LinkStage.OPEN
    assert story.fired(7) == []
