"""Deliveries told one after the other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared.core.signal import SignalState
from tests.delivery.world import START, Row, World, signal

MINUTE = timedelta(minutes=1)


class Story:
    """A world in which things happen one after the other; its clock stands still in between."""

    def __init__(self, **options: Any) -> None:
        self.world = World(**options)
        self._count = 0

    def happens(self, state: SignalState, minute: float, **more: Any) -> list[str]:
        """An event is delivered, with all that is due by then; the calls that it cost."""
        self._count += 1
        before = len(self.world.desk.calls)
        self.world.now = max(self.world.now, START + minute * MINUTE)
        self.world.post(signal(state, minute * MINUTE, **more), f"{self._count:032x}")
        self.world.work_off()
        return self.world.desk.calls[before:]

    def fired(self, minute: float, **more: Any) -> list[str]:
        return self.happens(SignalState.FIRED, minute, **more)

    def resolved(self, minute: float, **more: Any) -> list[str]:
        return self.happens(SignalState.RESOLVED, minute, **more)

    def updated(self, minute: float, **more: Any) -> list[str]:
        return self.happens(SignalState.UPDATED, minute, **{"opens": False, **more})

    def later(self, minute: float) -> list[str]:
        """Nothing comes until then, and what was put off until then is done; the calls that it cost."""
        before = len(self.world.desk.calls)
        self.world.work_off(START + minute * MINUTE)
        return self.world.desk.calls[before:]

    @property
    def tickets(self) -> list[tuple[str, str]]:
        """(correlation, phase) of each ticket, in order of creation."""
        return [(row.correlation, row.phase.value) for row in self.world.desk.rows.values()]

    def ticket(self, index: int = -1) -> Row:
        return list(self.world.desk.rows.values())[index]
