"""What answers teach a budget: limit, clock, cool-downs, and whether the instance is there at all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from shared.budget import plan
from shared.budget.plan import Lease
from shared.budget.shared_state import Event, SharedState
from shared.budget.state import QuotaRules
from shared.core.errors import StorageUnavailable
from shared.core.rate_gate import CallReport, SystemCondition

#: Calls in a row without an answer after which the instance is taken to be unavailable.
_FAILURES = 3

#: Seconds of difference that two clocks may have unnoticed; HTTP dates have whole seconds.
_CLOCK_TOLERANCE = 2.0


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A request that left: when, by whose calls, and as which attempt at an open circuit."""

    at: float
    block: Lease
    reserved: bool
    probe: str


class CallWatch:
    """Turns reports into events of the shared state.

    Args:
        shared: the state. rules: of the connection.
        now: Unix seconds. chance: 0 to 1.
    """

    def __init__(
        self, shared: SharedState, rules: QuotaRules, *, now: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self._shared, self._rules, self._now, self._chance = shared, rules, now, chance
        self._failures = 0
        self._closed_at = 0.0
        self._skews: deque[float] = deque(maxlen=3)
        self._writing: asyncio.Task[None] | None = None

    def told(self, departure: PendingCall, report: CallReport) -> None:
        """Take over what a report says."""
        self._learn(report)
        if report.condition is SystemCondition.UNKNOWN:
            return
        if report.condition in (SystemCondition.ASLEEP, SystemCondition.UNAVAILABLE):
            self._failed(departure, report)
            return
        self._failures = 0
        rules, now, state = self._rules, self._now(), self._shared.view
        if report.condition is SystemCondition.THROTTLED:
            wait, chance = report.retry_after, self._chance()
            if wait or state.cool_until <= now:
                self.happened(lambda state: plan.cool_down(state, rules, now, wait, chance))
        elif state.cool_downs and departure.at >= state.cool_until:
            self.happened(lambda state: plan.recovered(state, rules, now))
        if departure.probe and state.circuit.prober == departure.probe:
            self._closed_at = now
            self.happened(lambda state: plan.close_circuit(state, rules, now, departure.probe))

    def _failed(self, departure: PendingCall, report: CallReport) -> None:
        self._failures += 1
        rules, now, circuit = self._rules, self._now(), self._shared.view.circuit
        chance, wait, probe = self._chance(), report.retry_after, departure.probe
        if probe and circuit.prober == probe:
            self.happened(lambda state: plan.probe_failed(state, rules, now, probe, chance, wait))
            return
        # What left before the circuit closed tells of the time before.
        enough = report.condition is SystemCondition.ASLEEP or self._failures >= _FAILURES
        if enough and circuit.closed and departure.at >= self._closed_at:
            self._failures = 0
            self.happened(lambda state: plan.open_circuit(state, rules, now, chance, wait))

    def _learn(self, report: CallReport) -> None:
        """Limit and clock, where they are news."""
        rules, now = self._rules, self._now()
        state = plan.roll(self._shared.view, rules, now)
        limit = report.limit or 0
        news = (state.limit, state.limit_window) != (limit, state.window)
        if limit > 0 and news and self._fits(report.reset, now + state.skew):
            self.happened(lambda state: plan.learn_limit(state, rules, now, limit))
        if report.date is None:
            return
        self._skews.append(report.date + 0.5 - now)
        told = sorted(self._skews)
        if len(told) == 3 and told[-1] - told[0] <= _CLOCK_TOLERANCE and abs(told[1] - state.skew) > _CLOCK_TOLERANCE:
            self.happened(lambda state: plan.learn_skew(state, rules, now, told[1]))

    def _fits(self, reset: float | None, instance_time: float) -> bool:
        """Whether a limit is one of windows as we count them; ServiceNow's are hours."""
        per = self._rules.per
        return reset is not None and reset % per == 0 and reset - instance_time <= per + _CLOCK_TOLERANCE

    def happened(self, event: Event) -> None:
        """Obey an event here at once, and write it beside whatever goes on."""
        self._shared.happened(event)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # a delivery's leftovers, swept up after its loop had ended: the next operation tells of it
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._shared.unwritten:
                await self._shared.change(lambda state: (state, None))
        except StorageUnavailable:
            return  # this process obeys all the same, and tells the others with its next operation

    async def written(self) -> None:
        """Wait until what happened is written, or storage did not answer."""
        if self._writing is not None:
            await self._writing
