"""Which deliveries of this process are about to make their first call: those that a shared call may take along."""

from __future__ import annotations

from collections.abc import Callable

#: Seconds after its admission in which a delivery is expected to call: its reservation is one write to storage. One
#: that takes longer is not waited for.
_EXPECTED_FOR = 1.0


class ComingDeliveries:
    """Deliveries that were admitted and have not called yet.

    Args:
        now: Unix seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._admitted: dict[int, float] = {}
        self._last = 0

    def add(self, *, urgent: bool) -> int:
        """A delivery was admitted; its number. Urgent ones share no call, so they are not expected to."""
        self._last += 1
        if not urgent:
            self._admitted[self._last] = self._now()
        return self._last

    def remove(self, number: int) -> None:
        """A delivery called, or ended without a call."""
        self._admitted.pop(number, None)

    def count(self) -> int:
        """How many are expected to call soon."""
        now = self._now()
        return sum(0 <= now - admitted <= _EXPECTED_FOR for admitted in self._admitted.values())

    def coming_delivery(self, number: int, *, rationed: bool) -> AdmittedDelivery:
        """A delivery as one whose call may be shared."""
        return AdmittedDelivery(self, number, rationed)


class AdmittedDelivery:
    """See ``shared.core.rate_gate.ComingDelivery``; ``rationed`` is what it was when the delivery asked."""

    def __init__(self, deliveries: ComingDeliveries, number: int, rationed: bool) -> None:
        self._deliveries, self._number, self.rationed = deliveries, number, rationed

    @property
    def coming(self) -> int:
        """See ``ComingDelivery.coming``."""
        return self._deliveries.count()

    def leave(self) -> None:
        """See ``ComingDelivery.leave``."""
        self._deliveries.remove(self._number)
