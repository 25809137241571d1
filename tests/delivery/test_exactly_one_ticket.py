"""One ticket per key and generation, in the right state, whatever happens: a state machine tries to break it.

Hypothesis chooses the events of one key (firings, updates, ends, all duplicated and reordered at will), which worker
takes which message and goes how far, who is killed where, which answers are lost, when storage fails, and what people
do to the ticket meanwhile.
"""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.delivery.identity import correlation
from shared.signals.model import Signal, State
from shared.tickets import Phase
from tests.delivery.world import START, World, signal

KEY = "alert:1:one"

#: What a key may go through: each firing is followed by its end; the gaps lie inside and outside the reopen window.
_MINUTES = (0, 5, 30, 45, 200, 230, 260, 700)
_STATES = (State.FIRED, State.RESOLVED) * 4
TIMELINE = [signal(state, timedelta(minutes=m)) for state, m in zip(_STATES, _MINUTES, strict=True)]

_TELL_DESK = ("ok", "ok", "ok", "not_sent", "throttled", "lost", "vain")
_TELL_STORAGE = ("ok", "ok", "ok", "ok", "storage_down", "written_unanswered")


class Deliveries(RuleBasedStateMachine):
    """See the module's docstring."""

    honours_ids = True

    @initialize()
    def begin(self) -> None:
        self.world = World(honours_ids=self.honours_ids)
        self.posted: list[Signal] = []
        self.people_intervened = False
        self.count = 0

    @rule(index=st.integers(0, len(TIMELINE) - 1), copies=st.integers(1, 2))
    def an_event_arrives(self, index: int, copies: int) -> None:
        for _ in range(copies):
            self.count += 1
            self.world.post(TIMELINE[index], f"{self.count:032x}")
            self.posted.append(TIMELINE[index])

    @precondition(lambda self: self.world.visible() and len(self.world.running) < 3)
    @rule(data=st.data())
    def a_worker_takes_a_message(self, data: st.DataObject) -> None:
        self.world.start(data.draw(st.sampled_from(self.world.visible())))

    @precondition(lambda self: self.world.running)
    @rule(data=st.data(), steps=st.integers(1, 6))
    def a_worker_goes_on(self, data: st.DataObject, steps: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.world.running)))
        for _ in range(steps):
            run = self.world.running.get(number)
            if run is None:
                return
            at_desk = run.place in ("create", "find", "comment", "resolve", "reopen")
            self.world.resume(number, data.draw(st.sampled_from(_TELL_DESK if at_desk else _TELL_STORAGE)))

    @precondition(lambda self: self.world.running)
    @rule(data=st.data())
    def a_worker_is_killed(self, data: st.DataObject) -> None:
        self.world.kill(data.draw(st.sampled_from(sorted(self.world.running))))

    @rule(seconds=st.sampled_from([1, 30, 119, 301, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(timedelta(seconds=seconds))

    @precondition(lambda self: any(r.phase is not Phase.CLOSED for r in self.world.desk.rows.values()))
    @rule(data=st.data(), phase=st.sampled_from([Phase.RESOLVED, Phase.CLOSED, Phase.OPEN]))
    def people_change_a_ticket(self, data: st.DataObject, phase: Phase) -> None:
        rows = [r for r in self.world.desk.rows.values() if r.phase is not Phase.CLOSED]
        data.draw(st.sampled_from(rows)).phase = phase
        self.people_intervened = True

    @invariant()
    def one_ticket_per_generation(self) -> None:
        world = getattr(self, "world", None)
        if world is None:
            return
        correlations = [row.correlation for row in world.desk.rows.values()]
        assert len(correlations) == len(set(correlations)), f"two tickets for one generation: {correlations}"
        for row in world.desk.rows.values():
            ends = [note.rsplit("\n", 1)[-1] for note in row.notes]
            assert len(ends) == len(set(ends)), f"a note was written twice: {row.notes}"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.drain()
        self.one_ticket_per_generation()
        assert not self.world.kept.kept, "nothing here deserves a dead letter"
        link = self.world.links.peek(KEY)
        rows = list(self.world.desk.rows.values())
        fired = [s for s in self.posted if s.state is State.FIRED]
        assert bool(rows) == bool(fired), "a ticket exists exactly when something fired"
        if not rows:
            return
        assert link is not None
        assert link.pending is None, "nothing is left half done"
        assert {r.correlation for r in rows} == {correlation(KEY, n) for n in range(1, link.generation + 1)}
        if self.people_intervened:
            return
        newest = max(self.posted, key=lambda s: s.order)
        last = next(r for r in rows if r.correlation == correlation(KEY, link.generation))
        expected = Phase.RESOLVED if newest.state is State.RESOLVED else Phase.OPEN
        assert last.phase is expected, f"newest event is {newest.state} of {newest.occurred_at - START}"
        for row in rows:
            if row is not last:
                assert row.phase is Phase.RESOLVED, "an earlier ticket is still open"


class DeliveriesToAnInstanceThatIgnoresIds(Deliveries):
    """The same where the ticket system gives its own ids, so that only looking up prevents a second ticket."""

    honours_ids = False


_SETTINGS = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = _SETTINGS
TestDeliveriesWithoutIds = DeliveriesToAnInstanceThatIgnoresIds.TestCase
TestDeliveriesWithoutIds.settings = _SETTINGS
