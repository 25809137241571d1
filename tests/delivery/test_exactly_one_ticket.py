"""One ticket per key and generation, in the right state, whatever happens: a state machine tries to break it.

Hypothesis chooses the events of one key (firings and ends, duplicated and reordered at will), which worker takes
which message and goes how far, who is killed where, which answers are lost, when storage fails, how time passes, and
what people do to the ticket meanwhile. The real Worker, Deliverer and decide run; see world.py.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from shared.core.link import correlation
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import Phase
from tests.delivery.hostile import PICK, SETTINGS, Hostile
from tests.delivery.world import START, World, signal

#: A key whose problem comes and goes: one of an alert's id would name one occurrence.
KEY = "resource_health:1:one"

#: What a key may go through: each firing is followed by its end; the gaps lie inside and outside the reopen window.
_MINUTES = (0, 5, 30, 45, 200, 230)
_STATES = (SignalState.FIRED, SignalState.RESOLVED) * 3
TIMELINE = [signal(state, timedelta(minutes=m), key=KEY) for state, m in zip(_STATES, _MINUTES, strict=True)]


class Deliveries(Hostile):
    """Events, workers, crashes, lost answers, time. See the module's docstring."""

    honours_ids: ClassVar[bool] = True
    people: ClassVar[bool] = False
    hides: ClassVar[bool] = False
    longest_commit: ClassVar[int] = 0
    neighbours: ClassVar[int] = 0

    @initialize(indices=st.lists(st.integers(0, len(TIMELINE) - 1), min_size=2, max_size=5))
    def begin(self, indices: list[int]) -> None:
        self.world = World(honours_ids=self.honours_ids, missing="30d" if self.hides else "5m")
        self.world.add_neighbours(self.neighbours, ids_of_theirs=not self.honours_ids)
        self.posted: list[Signal] = []
        for index in indices:
            self.an_event_arrives(index)

    @rule(index=st.integers(0, len(TIMELINE) - 1))
    def an_event_arrives(self, index: int) -> None:
        self.posted.append(TIMELINE[index])
        self.world.post(TIMELINE[index], f"{len(self.posted):032x}")

    @rule(pick=PICK, phase=st.sampled_from([Phase.RESOLVED, Phase.CLOSED, Phase.OPEN]))
    def people_change_a_ticket(self, pick: int, phase: Phase) -> None:
        rows = [r for r in self.world.desk.rows.values() if r.phase is not Phase.CLOSED]
        if rows and self.people:
            rows[pick % len(rows)].phase = phase

    @rule(seconds=st.integers(0, 100))
    def records_are_committed_late(self, seconds: int) -> None:
        self.world.desk.commit_delay = timedelta(seconds=min(seconds, self.longest_commit))

    @rule(seconds=st.sampled_from([5, 60, 900, 7200]), hides=st.booleans())
    def tickets_cannot_be_seen_for_a_while(self, seconds: int, hides: bool) -> None:
        if hides and self.hides:
            self.world.desk.hide(self.world.now + timedelta(seconds=seconds))
        else:
            self.world.desk.show()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.drain()
        self.one_ticket_per_generation()
        assert not self.world.kept.kept, "nothing here deserves a dead letter"
        link = self.world.links.peek(KEY)
        rows = {row.correlation: row for row in self.world.desk.rows.values()}
        fired = [s for s in self.posted if s.state is SignalState.FIRED]
        assert bool(rows) == bool(fired), "a ticket exists exactly when something fired"
        if not rows:
            return
        assert link is not None
        assert link.pending is None, "nothing is left half done"
        assert set(rows) == {correlation(KEY, n) for n in range(1, link.generation + 1)}
        newest = max(self.posted, key=lambda s: s.order)
        last = rows[correlation(KEY, link.generation)]
        if not self.people:
            expected = Phase.RESOLVED if newest.state is SignalState.RESOLVED else Phase.OPEN
            assert last.phase is expected, f"newest event is {newest.state} of {newest.occurred_at - START}"
            assert all(r.phase is Phase.RESOLVED for r in rows.values() if r is not last), "an earlier one is open"


class DeliveriesToAnInstanceThatIgnoresIds(Deliveries):
    """The ticket system gives its own ids, so that only looking up prevents a second ticket."""

    honours_ids = False


class DeliveriesWhilePeopleWork(Deliveries):
    """People resolve, close and reopen tickets at any moment."""

    people = True


class DeliveriesOfHiddenTickets(Deliveries):
    """All tickets vanish from sight and come back, at any moment; an instance that keeps our ids."""

    hides = True
    neighbours = 2


class DeliveriesThatAreCommittedLate(Deliveries):
    """A new record is visible up to 100 seconds after it was made, and has an id of the instance's own."""

    honours_ids = False
    longest_commit = 100
    neighbours = 2


TestDeliveriesOfHiddenTickets = DeliveriesOfHiddenTickets.TestCase
TestDeliveriesOfHiddenTickets.settings = SETTINGS
TestDeliveriesThatAreCommittedLate = DeliveriesThatAreCommittedLate.TestCase
TestDeliveriesThatAreCommittedLate.settings = SETTINGS
TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = SETTINGS
TestDeliveriesWithoutIds = DeliveriesToAnInstanceThatIgnoresIds.TestCase
TestDeliveriesWithoutIds.settings = SETTINGS
TestDeliveriesWithPeople = DeliveriesWhilePeopleWork.TestCase
TestDeliveriesWithPeople.settings = SETTINGS


def test_a_ticket_that_people_resolve_while_its_reopening_is_not_committed_stays_resolved() -> None:
    """The worker dies after the ticket was reopened, before the link says so."""
    machine = DeliveriesWhilePeopleWork()
    machine.begin([0, 1])
    machine.somebody_works_to_the_end(0, "ok")
    machine.somebody_works_to_the_end(0, "ok")
    machine.an_event_arrives(2)
    while not any(run.place == "reopen answered" for run in machine.world.running.values()):
        machine.somebody_does_one_step(0, "ok", "ok")
    machine.people_change_a_ticket(0, Phase.RESOLVED)
    machine.teardown()
    (row,) = machine.world.desk.rows.values()
    assert (row.phase, len(row.notes)) == (Phase.RESOLVED, 1)
