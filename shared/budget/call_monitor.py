"""What reports of calls teach: rate limit, clock, cool-downs, and whether the instance can be reached at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from shared.budget.circuit import CallOutcomes, Circuit, close_circuit, open_circuit, probe_failed
from shared.budget.quota import (
    CLOCK_TOLERANCE,
    Quota,
    QuotaRules,
    cool_down,
    end_cool_downs,
    is_limit_of_windows,
    learn_limit,
    learn_skew,
    roll,
)
from shared.budget.store import SharedState, change_circuit, change_quota
from shared.core.rate_gate import CallReport, SystemCondition


class CallMonitor:
    """Learns from reports of calls: rate limit, clock, cool-downs, and whether the instance can be reached at all.

    Args:
        shared: the state. rules: of the connection.
        now: Unix seconds. chance: 0 to 1.
    """

    def __init__(
        self, shared: SharedState, rules: QuotaRules, *, now: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self._shared, self._rules, self._now, self._chance = shared, rules, now, chance
        self._outcomes = CallOutcomes(rules)
        self._closed_at = 0.0
        self._skews: deque[float] = deque(maxlen=3)

    def report(self, report: CallReport, *, sent_at: float, probe: str) -> None:
        """Take over what the report of a call says, sent at that time and as that attempt at an open circuit."""
        self._learn_limit(report)
        self._learn_skew(report)
        if report.condition is SystemCondition.UNKNOWN:
            return
        if report.condition in (SystemCondition.ASLEEP, SystemCondition.UNAVAILABLE):
            self._failed(report, sent_at, probe)
            return
        now, quota = self._now(), self._shared.view.quota
        self._outcomes.add(now, failed=False)
        if report.condition is SystemCondition.ANSWERED and now >= sent_at:
            self._shared.count_answer(now - sent_at)
        if report.condition is SystemCondition.THROTTLED:
            wait, chance = report.retry_after, self._chance()
            if wait or quota.cool_until <= now:
                self._change_quota(now, lambda quota: cool_down(quota, self._rules, now, wait, chance))
        elif quota.cool_downs and sent_at >= quota.cool_until:
            self._change_quota(now, lambda quota: end_cool_downs(quota, now))
        if probe and self._shared.view.circuit.prober == probe:
            self._closed_at = now
            self._change_circuit(now, lambda circuit: close_circuit(circuit, probe))

    def _failed(self, report: CallReport, sent_at: float, probe: str) -> None:
        rules, now, circuit = self._rules, self._now(), self._shared.view.circuit
        chance, wait = self._chance(), report.retry_after
        if probe and circuit.prober == probe:
            self._change_circuit(now, lambda circuit: probe_failed(circuit, rules, now, probe, chance, wait))
            return
        # A call that was sent while the circuit was open, or before it closed, says nothing of the time after it.
        if not circuit.is_closed or sent_at < self._closed_at:
            return
        self._outcomes.add(now, failed=True)
        if report.condition is SystemCondition.ASLEEP or self._outcomes.is_outage(now):
            self._outcomes.clear()
            self._change_circuit(now, lambda circuit: open_circuit(circuit, rules, now, chance, wait))

    def _learn_limit(self, report: CallReport) -> None:
        now, limit = self._now(), report.limit or 0
        quota = roll(self._shared.view.quota, self._rules, now)
        is_news = (quota.limit, quota.limit_window) != (limit, quota.window)
        if limit > 0 and is_news and is_limit_of_windows(quota, self._rules, now, report.reset):
            self._change_quota(now, lambda quota: learn_limit(quota, limit))

    def _learn_skew(self, report: CallReport) -> None:
        """Follow the instance's clock where three answers agree on it."""
        if report.date is None:
            return
        now = self._now()
        self._skews.append(report.date + 0.5 - now)
        seen, known = sorted(self._skews), self._shared.view.quota.skew
        agree = len(seen) == 3 and seen[-1] - seen[0] <= CLOCK_TOLERANCE
        if agree and abs(seen[1] - known) > CLOCK_TOLERANCE:
            self._change_quota(now, lambda quota: learn_skew(quota, self._rules, now, seen[1]))

    def _change_quota(self, now: float, change: Callable[[Quota], Quota]) -> None:
        self._shared.record(lambda state: change_quota(state, self._rules, now, change))

    def _change_circuit(self, now: float, change: Callable[[Circuit], Circuit]) -> None:
        self._shared.record(lambda state: change_circuit(state, self._rules, now, change))
