"""Groups whose messages are worked on side by side, and what can be seen of them then."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

from shared.core.messages import Envelope, decode
from shared.core.signal import SignalState
from shared.delivery.grouping.store import GROUPS
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
    found = [message for message in world.queue.messages.values() if decode(message.text).flush]
    return sorted(found, key=lambda message: message.visible_at)


def strangers(world: World, number: int) -> None:
    """Orders that were sent and whose authors were overtaken before they could write the group."""
    for _ in range(number):
        world.queue.put(Envelope(id=uuid4().hex, received_at=world.now, flush=KEY, due=world.now))


def row(world: World) -> dict[str, Any]:
    """The group as it is kept."""
    for (table, _, _), (entity, _) in world.groups.rows.items():
        state = json.loads(entity["State"]) if table == GROUPS else None
        if isinstance(state, dict):
            return state
    raise AssertionError("no group is there")


def as_an_older_release_wrote_it(world: World) -> None:
    for address, (entity, version) in world.groups.rows.items():
        state = json.loads(entity["State"]) if address[0] == GROUPS else None
        if isinstance(state, dict):
            del state["look_id"]
            world.groups.rows[address] = ({**entity, "State": json.dumps(state)}, version)


def the_look_that_the_row_names_is_on_the_queue(world: World) -> bool:
    found = row(world)
    ids = [decode(message.text).id for message in looks(world)]
    return found["look_at"] is None or found["look_id"] in ids


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
        if world.running[number].place == "load" and row(world)["look_at"] is None:
            return number
        world.resume(number)
    raise AssertionError("it lists nothing")
