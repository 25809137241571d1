"""One ticket for each part, in the right state, whatever happens: the state machine of delivery, aimed at parts.

Workers die between any two storage operations, messages come twice and in any order, and answers are lost. In the end
a part is on exactly when the newest firing has it and that firing has not ended.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import Phase
from tests.delivery.hostile import SETTINGS, Hostile
from tests.delivery.world import World
from tests.splitting.alerts import ROW, alert

FIRINGS: dict[int, tuple[str, ...]] = {0: ("a", "b"), 5: ("b", "c"), 12: ("c", "a", "d")}
TIMELINE = [
    *(alert(minute, *computers) for minute, computers in FIRINGS.items()),
    *(
        replace(alert(minute + 3, key=f"alert:1:at-{minute}", state=SignalState.RESOLVED), series="")
        for minute in FIRINGS
    ),
]


class Parts(Hostile):
    """Firings of one rule and their ends, in any order and number."""

    @initialize(indices=st.lists(st.integers(0, len(TIMELINE) - 1), min_size=2, max_size=6))
    def begin(self, indices: list[int]) -> None:
        self.world = World(route=ROW, workers=2)
        self.posted: list[Signal] = []
        for index in indices:
            self.an_event_arrives(index)

    @rule(index=st.integers(0, len(TIMELINE) - 1))
    def an_event_arrives(self, index: int) -> None:
        self.posted.append(TIMELINE[index])
        self.world.post(TIMELINE[index], f"{len(self.posted):032x}")

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.drain()
        self.one_ticket_per_generation()
        assert not self.world.kept.kept, "nothing here deserves a dead letter"
        fired = [signal for signal in self.posted if signal.state is SignalState.FIRED]
        ended = {signal.key for signal in self.posted if signal.state is SignalState.RESOLVED}
        newest = max(fired, key=lambda signal: signal.order, default=None)
        on = set() if newest is None or newest.key in ended else _computers(newest)
        assert self._tickets() == (on, {computer for signal in fired for computer in _computers(signal)})

    def _tickets(self) -> tuple[set[str], set[str]]:
        """Computers with an open ticket, and computers with any."""
        titles = {draft.id: str(draft.fields["short_description"]) for draft in self.world.desk.drafts}
        names = {row.id: titles[row.id].rpartition(" ")[2] for row in self.world.desk.rows.values()}
        on = [names[row.id] for row in self.world.desk.rows.values() if row.phase is Phase.OPEN]
        assert len(on) == len(set(on)), f"two open tickets for one part: {on}"
        return set(on), set(names.values())


def _computers(signal: Signal) -> set[str]:
    assert signal.rows is not None
    return {row.values[0] for row in signal.rows.rows}


TestParts = Parts.TestCase
TestParts.settings = SETTINGS
