"""A world that does all it can to break delivery: what every state machine of these tests has in common."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.delivery.world import World

_AT_DESK = ("create", "find", "existing", "comment", "resolve", "reopen")
_TELL_DESK = st.sampled_from(["ok", "ok", "ok", "ok", "not_sent", "throttled", "lost", "vain"])
_TELL_STORAGE = st.sampled_from(["ok"] * 10 + ["storage_down", "written_unanswered", "written_twice"])

#: Which of those at hand; taken modulo their number, so that no draw is in vain.
PICK = st.integers(0, 11)

SETTINGS = settings(
    max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class Hostile(RuleBasedStateMachine):
    """Workers that stop anywhere, crashes, lost answers, storage that fails, time that passes. Needs ``self.world``."""

    world: World

    @rule(pick=PICK, storage=_TELL_STORAGE, desk=_TELL_DESK)
    def somebody_does_one_step(self, pick: int, storage: str, desk: str) -> None:
        self._move(pick, storage, desk, steps=1)

    @rule(pick=PICK, storage=_TELL_STORAGE, desk=_TELL_DESK)
    def somebody_does_several_steps(self, pick: int, storage: str, desk: str) -> None:
        self._move(pick, storage, desk, steps=4)

    @rule(pick=PICK, desk=_TELL_DESK)
    def somebody_works_to_the_end(self, pick: int, desk: str) -> None:
        self._move(pick, "ok", desk, steps=60)

    def _move(self, pick: int, storage: str, desk: str, steps: int) -> None:
        """A worker at work goes on, or a new one takes a message. Faults happen once, at the first chance."""
        running = sorted(self.world.running)
        visible = self.world.visible() if len(running) < 3 else []
        if not (running or visible):
            return
        chosen = pick % (len(running) + len(visible))
        number = running[chosen] if chosen < len(running) else self.world.start(visible[chosen - len(running)])
        for _ in range(steps):
            run = self.world.running.get(number)
            if run is None:
                return
            if run.place in _AT_DESK:
                self.world.resume(number, desk)
                desk = "ok"
            else:
                self.world.resume(number, storage)
                storage = "ok"

    @rule(pick=PICK)
    def a_worker_is_killed(self, pick: int) -> None:
        running = sorted(self.world.running)
        if running:
            self.world.kill(running[pick % len(running)])

    @rule(seconds=st.sampled_from([3, 30, 119, 301]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(timedelta(seconds=seconds))

    @invariant()
    def one_ticket_per_generation(self) -> None:
        if not hasattr(self, "world"):
            return
        correlations = [row.correlation for row in self.world.desk.rows.values()]
        assert len(correlations) == len(set(correlations)), f"two tickets for one generation: {correlations}"
        for row in self.world.desk.rows.values():
            ends = [note.rsplit("\n", 1)[-1] for note in row.notes]
            assert len(ends) == len(set(ends)), f"a note was written twice: {row.notes}"
