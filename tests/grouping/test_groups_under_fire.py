"""One ticket for a group, in the right state, whatever happens: the state machine of delivery, aimed at groups."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from shared.core.messages import decode
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import Phase
from shared.delivery.grouping.store import GROUPS
from tests.delivery.hostile import SETTINGS, Hostile
from tests.delivery.world import World, signal

#: Of problems that come and go: keys of an alert's id would name one occurrence.
KEYS = ("log:1:one", "log:1:two", "log:1:three")
_STATES = (SignalState.FIRED, SignalState.RESOLVED) * 2
_MINUTES = (0, 5, 12, 20)

#: What each alert may go through, a minute apart from the others.
TIMELINE = [
    signal(state, timedelta(minutes=minute + offset), key=key, resource=f"vm-{offset}")
    for offset, key in enumerate(KEYS)
    for state, minute in zip(_STATES, _MINUTES, strict=True)
]


class Groups(Hostile):
    """Events of three alerts of one rule, in any order and number."""

    route: ClassVar[str] = "group: {by: rule, note_every: 5m}"

    @initialize(indices=st.lists(st.integers(0, len(TIMELINE) - 1), min_size=2, max_size=6))
    def begin(self, indices: list[int]) -> None:
        self.world = World(route=self.route, workers=2)
        self.posted: list[Signal] = []
        for index in indices:
            self.an_event_arrives(index)

    @rule(index=st.integers(0, len(TIMELINE) - 1))
    def an_event_arrives(self, index: int) -> None:
        self.posted.append(TIMELINE[index])
        self.world.post(TIMELINE[index], f"{len(self.posted):032x}")

    @invariant()
    def the_look_that_a_group_waits_for_is_on_the_queue(self) -> None:
        if not hasattr(self, "world"):
            return
        ordered = {decode(message.text).id for message in self.world.queue.messages.values()}
        for (table, _, _), (entity, _) in self.world.groups.rows.items():
            if table == GROUPS and entity.get("FlushAt"):
                assert entity["FlushId"] in ordered

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.drain()
        self.one_ticket_per_generation()
        assert not self.world.kept.kept, "nothing here deserves a dead letter"
        fired = {s.key for s in self.posted if s.state is SignalState.FIRED}
        rows = list(self.world.desk.rows.values())
        assert bool(rows) == bool(fired), "a ticket exists exactly when something fired"
        if not rows:
            return
        assert len(rows) == 1, [row.correlation for row in rows]
        on = {key for key in fired if self._newest(key).state is SignalState.FIRED}
        assert rows[0].phase is (Phase.OPEN if on else Phase.RESOLVED), f"still on: {on}"

    def _newest(self, key: str) -> Signal:
        return max((s for s in self.posted if s.key == key), key=lambda s: s.order)


class GroupsThatWait(Groups):
    """The same with a ticket only for what lasts or repeats: what is on in the end has its ticket all the same."""

    route = "group: {by: rule, note_every: 5m}\nonly_after: {lasting: 4m, firings: 3}"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.drain()
        self.one_ticket_per_generation()
        rows = list(self.world.desk.rows.values())
        assert len(rows) <= 1
        fired = {s.key for s in self.posted if s.state is SignalState.FIRED}
        on = {key for key in fired if self._newest(key).state is SignalState.FIRED}
        if on:
            assert [row.phase for row in rows] == [Phase.OPEN], f"still on, and no open ticket: {on}"
        else:
            assert all(row.phase is Phase.RESOLVED for row in rows)


TestGroups = Groups.TestCase
TestGroups.settings = SETTINGS
TestGroupsThatWait = GroupsThatWait.TestCase
TestGroupsThatWait.settings = SETTINGS
