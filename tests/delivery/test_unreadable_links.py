"""A signal whose link cannot be read waits on the queue until the row is mended; it never becomes a poison message."""

from __future__ import annotations

from datetime import timedelta

from shared.core.link import link_id
from shared.core.messages import decode
from shared.delivery.links import address
from tests.delivery.story import Story

KEY = "alert:1:one"


def test_a_signal_waits_for_its_link_to_be_mended_and_goes_on_then() -> None:
    story = Story()
    assert story.fired(0) == ["create"]
    rows = story.world.links.rows
    place = ("links", *address(link_id(KEY)))
    row, version = rows[place]
    rows[place] = ({**row, "Stage": "half open"}, version)
    assert story.resolved(5) == []
    (message,) = story.world.queue.messages.values()
    assert decode(message.text).attempts == 1
    assert story.world.kept.kept == {}
    rows[place] = (row, version)
    assert story.later(60)[-1] == "resolve"
    assert story.world.queue.messages == {}


def test_one_that_nobody_mends_becomes_a_dead_letter_in_the_end() -> None:
    story = Story()
    story.fired(0)
    rows = story.world.links.rows
    place = ("links", *address(link_id(KEY)))
    row, version = rows[place]
    rows[place] = ({**row, "Stage": "half open"}, version)
    story.resolved(5)
    story.world.now += timedelta(days=60)
    story.world.work_off()
    ((code, _),) = story.world.kept.kept.values()
    assert code == "expired"
    assert story.world.queue.messages == {}
