"""The circuit breaker: whether a connection is called at all. No input or output.

closed      calls flow
open        the instance is asleep or unavailable: nothing is called until an attempt is due (``probe_at``)
half-open   one worker (``prober``) makes that attempt, until ``probe_until``; it closes the circuit, or opens it longer

Times are Unix seconds by our own clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from shared.budget.quota import QuotaRules, growing_pause

#: Seconds of the first pause and of the longest one.
_PAUSE_FIRST, _PAUSE_LONGEST = 15.0, 300.0


#: The last calls that count, and seconds after which a call does not count any more.
_COUNTED, _COUNTED_FOR = 20, 300.0

#: It is an outage when this share of at least so many of them had no answer ...
_SHARE_FAILED, _LEAST_CALLS = 0.9, 10

#: ... or when there are few calls: none of at least so many was answered, for so many seconds.
_LEAST_UNANSWERED, _UNANSWERED_FOR = 5, 60.0


class CallOutcomes:
    """Which of the last calls of one worker were answered: an instance is unavailable by the rate of failures.

    A few failures in a row prove nothing: where 30 % of all calls are cut, three in a row happen every minute, and the
    other calls still do their work. With 30 % of failures this trips about once in ten thousand calls.

    Args:
        rules: short windows shorten all seconds.
    """

    def __init__(self, rules: QuotaRules) -> None:
        self._failed: deque[tuple[float, bool]] = deque(maxlen=_COUNTED)
        self._counted_for = min(_COUNTED_FOR, rules.per)
        self._unanswered_for = min(_UNANSWERED_FOR, rules.per / 4)

    def add(self, now: float, *, failed: bool) -> None:
        """A call ended, with an answer or without."""
        self._failed.append((now, failed))

    def clear(self) -> None:
        """Start anew."""
        self._failed.clear()

    def is_outage(self, now: float) -> bool:
        """Whether so many calls failed that the instance is taken to be unavailable."""
        recent = [(at, failed) for at, failed in self._failed if now - at <= self._counted_for]
        failures = sum(failed for _, failed in recent)
        if len(recent) >= _LEAST_CALLS and failures >= _SHARE_FAILED * len(recent):
            return True
        unanswered: list[float] = []  # since the last answer, newest first
        for at, failed in reversed(recent):
            if not failed:
                break
            unanswered.append(at)
        return len(unanswered) >= _LEAST_UNANSWERED and now - unanswered[-1] >= self._unanswered_for


@dataclass(frozen=True, slots=True)
class Circuit:
    """The circuit of one connection.

    Attributes:
        openings: failed attempts in a row since it opened; 0 when it is closed.
        opened_at: when it opened.
        probe_at: when the next attempt is due.
        probe_until: until then the attempt under way belongs to ``prober``.
        prober: who makes it, empty for nobody.
    """

    openings: int = 0
    opened_at: float = 0.0
    probe_at: float = 0.0
    probe_until: float = 0.0
    prober: str = ""

    @property
    def is_closed(self) -> bool:
        """Whether calls flow."""
        return not self.openings


def open_circuit(
    circuit: Circuit, rules: QuotaRules, now: float, chance: float, retry_after: float | None = None
) -> Circuit:
    """The instance is asleep or unavailable. ``chance`` (0 to 1) is jitter. An open circuit stays as it is."""
    if not circuit.is_closed:
        return circuit
    return Circuit(1, now, now + _pause(rules, 1, chance, retry_after))


def _pause(rules: QuotaRules, openings: int, chance: float, retry_after: float | None) -> float:
    """A system that says how long it will be away is believed up to ten minutes."""
    grown = growing_pause(_PAUSE_FIRST, _PAUSE_LONGEST, rules, openings - 1, chance)
    return max(grown, min(retry_after or 0.0, 2 * _PAUSE_LONGEST))


def is_probe_due(circuit: Circuit, now: float) -> bool:
    """Whether an attempt is due that nobody makes yet."""
    return not circuit.is_closed and circuit.probe_at <= now and circuit.probe_until <= now


def probe_duration(rules: QuotaRules) -> float:
    """Seconds after which an attempt without a result is made by another worker: longer than any call."""
    return 1.25 * rules.longest_call


def claim_probe(circuit: Circuit, rules: QuotaRules, now: float, prober: str) -> tuple[Circuit, bool]:
    """Make the attempt that is due, unless somebody else does; whether it belongs to ``prober`` now."""
    if circuit.prober == prober and circuit.probe_until > now:
        return circuit, True  # our own claim, written although its answer was lost
    if not is_probe_due(circuit, now):
        return circuit, False
    return replace(circuit, prober=prober, probe_until=now + probe_duration(rules)), True


def probe_failed(
    circuit: Circuit, rules: QuotaRules, now: float, prober: str, chance: float, retry_after: float | None = None
) -> Circuit:
    """The instance is still asleep or unavailable: the next attempt comes later."""
    if circuit.is_closed or circuit.prober != prober:
        return circuit
    openings = circuit.openings + 1
    return Circuit(openings, circuit.opened_at, now + _pause(rules, openings, chance, retry_after))


def release_probe(circuit: Circuit, now: float, prober: str) -> Circuit:
    """The attempt was not made after all: any worker may make it."""
    if circuit.prober != prober:
        return circuit
    return replace(circuit, prober="", probe_until=now)


def close_circuit(circuit: Circuit, prober: str) -> Circuit:
    """The attempt was answered: calls flow again."""
    if circuit.is_closed or circuit.prober != prober:
        return circuit
    return Circuit()
