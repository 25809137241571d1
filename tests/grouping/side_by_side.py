"""Groups whose messages are worked on side by side, and what can be seen of them then."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any
from uuid import uuid4

from shared.core.messages import FlushGroup, decode
from shared.core.signal import SignalState
from shared.delivery.grouping.store import GROUP_CODEC, GROUPS
from tests.delivery.memory import Message
from tests.delivery.story import MINUTE, Story
from tests.delivery.world import START, World, signal

BY_RULE = "group: {by: rule, note_every: 5m}"
KEY = "group:1:default/cpu high"
SECOND = timedelta(seconds=1)


def vm(number: int) -> dict[str, Any]:
    return {"key": f"alert:1:{number}", "resource": f"vm-{number:03}"}


def post(story: Story, state: SignalState, at: timedelta, *numbers: int) -> None:
    """Alerts come in and are not worked on yet."""
    for number in numbers:
        story.world.post(signal(state, at, **vm(number)), uuid4().hex)


def looks(world: World) -> list[Message]:
    """Orders on the queue, the next one first."""
    found = [message for message in world.queue.messages.values() if isinstance(decode(message.text), FlushGroup)]
    return sorted(found, key=lambda message: message.visible_at)


def strangers(world: World, number: int) -> None:
    """Orders that were sent and whose authors were overtaken before they could write the group."""
    for _ in range(number):
        world.queue.put(FlushGroup(id=uuid4().hex, received_at=world.now, group=KEY, due=world.now))


def row(world: World) -> dict[str, Any]:
    """The group as it is stored."""
    for (table, _, _), (entity, _) in world.groups.rows.items():
        if table == GROUPS and "Head" in entity:
            group = GROUP_CODEC.from_row(entity)
            return {one.name: getattr(group, one.name) for one in fields(group)}
    raise AssertionError("no group is there")


def without_its_order(world: World) -> None:
    """The rows of groups lack the column of their order, as damaged ones may."""
    for address, (entity, version) in world.groups.rows.items():
        if address[0] == GROUPS and "Head" in entity:
            world.groups.rows[address] = ({name: cell for name, cell in entity.items() if name != "FlushId"}, version)


def the_look_that_the_row_names_is_on_the_queue(world: World) -> bool:
    found = row(world)
    ids = [decode(message.text).id for message in looks(world)]
    return found["flush_at"] is None or found["flush_id"] in ids


def side_by_side(world: World, most: int = 24) -> None:
    """What is due is worked off, so many at once, each doing one step in its turn."""
    for _ in range(20_000):
        ready = world.visible()
        while ready and len(world.running) < most:
            world.start(ready.pop(0))
        if not world.running:
            return
        for number in sorted(world.running):
            world.resume(number)
    raise AssertionError("the queue does not come to rest")


def to_the_end(world: World, number: int) -> list[str]:
    """One worker goes on until it has finished; where it stopped on its way."""
    places = []
    while number in world.running:
        places.append(world.running[number].place)
        world.resume(number)
    return places


def meanwhile(world: World, minute: float) -> None:
    """Time passes until then, and all but those who hang do their work."""
    until = START + minute * MINUTE
    while world.now < until:
        world.work_off()
        due = [one.visible_at for one in world.queue.messages.values() if one.held_by is None]
        world.now = min(*due, until) if due else until
    world.work_off()


def until_it_lists(world: World, message: Message) -> int:
    """A worker takes a look and goes on until it is about to list the members."""
    number = world.start(message)
    for _ in range(10):
        if world.running[number].place == "load" and row(world)["flush_at"] is None:
            return number
        world.resume(number)
    raise AssertionError("it lists nothing")
