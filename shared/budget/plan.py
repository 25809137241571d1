"""How the shared state of a budget changes. Pure: every function takes the state and the time and gives a new state."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.budget.line import move_on
from shared.budget.state import (
    Circuit,
    QuotaRules,
    QuotaState,
    closes,
    index,
    largest_block,
    limit_of,
    opens,
    reserve_of,
    workers_of,
)

#: Seconds that a worker is counted for after its last sign of life.
WORKER_LIVES = 300.0
_MOST_WORKERS = 200

#: Largest block of calls out of the reserve.
_LARGEST_URGENT_BLOCK = 4

#: Seconds of the first cool-down and the first pause of a circuit, and how far they grow. Where windows are short, all
#: is quicker: the first is no longer than a tenth of a window, the longest no longer than a window.
_COOL_FIRST, _COOL_LONGEST = 30.0, 900.0
_OPEN_FIRST, _OPEN_LONGEST = 15.0, 300.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Calls leased to one worker: good in their window, until ``until`` (Unix seconds by our clock)."""

    window: int = -1
    calls: int = 0
    until: float = 0.0

    def holds(self, calls: int, now: float) -> bool:
        """Whether that many may be spent now."""
        return self.calls >= calls and now < self.until


def roll(state: QuotaState, rules: QuotaRules, now: float) -> QuotaState:
    """Bring the state up to the time: a new window begins with what was charged to it already.

    A window never goes back, whatever clocks do.
    """
    state = move_on(state, rules, now)
    window = max(state.window, index(rules, state.skew, now))
    if window == state.window:
        return state
    carried = state.carried if window == state.window + 1 else 0
    return replace(
        state,
        window=window,
        ordinary=carried,
        urgent=0,
        carried=0,
        messages=state.messages / 2,
        calls=state.calls / 2,
    )


def room(state: QuotaState, rules: QuotaRules, now: float, urgent: bool) -> int | None:
    """Calls that may be leased now, None for any number. Takes a rolled state."""
    limit = limit_of(state, rules)
    if limit is None:
        return None
    free = limit - state.ordinary - state.urgent
    end = opens(rules, state.skew, state.window + 1)
    if not urgent:
        # On top of what urgent work has used: the last of it in a busy window must find something left, too.
        free -= reserve_of(rules, limit, min(max((end - now) / rules.per, 0.0), 1.0))
    if now >= closes(rules, state.skew, state.window):
        free = min(free, limit - state.carried - (0 if urgent else reserve_of(rules, limit, 1.0)))
    return max(free, 0)


def lease(
    state: QuotaState, rules: QuotaRules, now: float, *, urgent: bool, calls: int
) -> tuple[QuotaState, Lease | None]:
    """Lease a block of at least ``calls`` calls; None when there are not that many. Takes a rolled, limited state."""
    limit, free = limit_of(state, rules), room(state, rules, now, urgent)
    if limit is None or free is None or free < calls:
        return state, None
    workers = workers_of(state, now)
    largest = _LARGEST_URGENT_BLOCK if urgent else largest_block(limit)
    late = now >= closes(rules, state.skew, state.window)
    size = calls if late else max(calls, min(free // (3 * workers), largest))
    end = opens(rules, state.skew, state.window + 1) if late else closes(rules, state.skew, state.window)
    given = replace(
        state,
        ordinary=state.ordinary + (0 if urgent else size),
        urgent=state.urgent + (size if urgent else 0),
        carried=state.carried + (size if late else 0),
    )
    return given, Lease(state.window, size, end)


def give_back(state: QuotaState, window: int, *, ordinary: int = 0, urgent: int = 0) -> QuotaState:
    """Take back calls of a block that were not spent; those of an earlier window are worth nothing."""
    if window != state.window:
        return state
    return replace(state, ordinary=max(state.ordinary - ordinary, 0), urgent=max(state.urgent - urgent, 0))


def count(state: QuotaState, window: int, calls: int) -> QuotaState:
    """Count calls that left without a lease, when no limit was known."""
    return replace(state, ordinary=state.ordinary + calls) if window == state.window else state


def observe(state: QuotaState, messages: float, calls: float) -> QuotaState:
    """Add to what is known of a delivery's cost."""
    return replace(state, messages=state.messages + messages, calls=state.calls + calls)


def alive(state: QuotaState, worker: str, now: float) -> QuotaState:
    """Note that a worker is at work, and forget those that are gone."""
    others = [(name, expiry) for name, expiry in state.workers if name != worker and expiry > now]
    newest = sorted(others, key=lambda item: -item[1])[: _MOST_WORKERS - 1]
    return replace(state, workers=tuple(sorted([*newest, (worker, now + WORKER_LIVES)])))


def seat_lasts(rules: QuotaRules) -> float:
    """Seconds that a seat is good for: longer than a worker's copy of the state may be old, shorter than anybody wants
    to wait for a worker that was killed."""
    return min(30.0, rules.per / 10)


def take_seat(state: QuotaState, rules: QuotaRules, worker: str, now: float) -> tuple[QuotaState, bool]:
    """Take or keep a seat among the workers that may call, where there are more of them than calls in flight; whether
    there was one. A worker that calls no more loses its seat after a while, and one that was killed, too."""
    others = [(name, expiry) for name, expiry in state.seats if name != worker and expiry > now]
    if len(others) >= rules.in_flight:
        return replace(state, seats=tuple(others)), False
    return replace(state, seats=tuple(sorted([*others, (worker, now + seat_lasts(rules))]))), True


def learn_limit(state: QuotaState, rules: QuotaRules, now: float, limit: int) -> QuotaState:
    """The instance named its limit."""
    state = roll(state, rules, now)
    return replace(state, limit=limit, limit_window=state.window)


def learn_skew(state: QuotaState, rules: QuotaRules, now: float, skew: float) -> QuotaState:
    """The instance's clock differs from ours by so many seconds.

    What was leased counts in whatever window that makes it: the instance may have counted it there.
    """
    state = roll(state, rules, now)
    return replace(state, skew=skew, window=max(state.window, index(rules, skew, now)))


def cool_down(state: QuotaState, rules: QuotaRules, now: float, retry_after: float | None, chance: float) -> QuotaState:
    """The instance refused a call because of a rate limit: everybody pauses.

    For ``retry_after`` seconds when it said so. Otherwise 30 s, growing to 15 minutes; refusals during a pause belong
    to calls that left before it and do not make it grow. ``chance`` (0 to 1) is jitter.
    """
    state = roll(state, rules, now)
    if retry_after is not None and retry_after > 0:
        return replace(state, cool_until=max(state.cool_until, now + retry_after))
    if state.cool_until > now:
        return state
    delay = _growing(_COOL_FIRST, _COOL_LONGEST, rules, state.cool_downs, chance)
    return replace(state, cool_until=now + delay, cool_downs=state.cool_downs + 1)


def recovered(state: QuotaState, rules: QuotaRules, now: float) -> QuotaState:
    """A call that left after the last pause was answered: the next pause is a short one again."""
    if state.cool_downs and now >= state.cool_until:
        return replace(roll(state, rules, now), cool_downs=0)
    return state


def _growing(first: float, longest: float, rules: QuotaRules, before: int, chance: float) -> float:
    doubled = min(first, rules.per / 10) * 2.0 ** min(before, 10)
    return min(doubled, longest, rules.per) * (0.9 + 0.2 * chance)


def _pause(rules: QuotaRules, openings: int, chance: float, retry_after: float | None) -> float:
    """A system that says how long it will be away is believed up to ten minutes."""
    grown = _growing(_OPEN_FIRST, _OPEN_LONGEST, rules, openings - 1, chance)
    return max(grown, min(retry_after or 0.0, 2 * _OPEN_LONGEST))


def open_circuit(
    state: QuotaState, rules: QuotaRules, now: float, chance: float, retry_after: float | None = None
) -> QuotaState:
    """The instance is asleep or unavailable: nothing is called until an attempt is due."""
    if not state.circuit.closed:
        return state
    state = roll(state, rules, now)
    return replace(state, circuit=Circuit(1, now, now + _pause(rules, 1, chance, retry_after)))


def may_probe(state: QuotaState, now: float) -> bool:
    """Whether an attempt is due that nobody makes yet."""
    circuit = state.circuit
    return not circuit.closed and circuit.probe_at <= now and circuit.probe_until <= now


def probe_lease(rules: QuotaRules) -> float:
    """Seconds after which an attempt that nobody heard of again is made by another worker: longer than any call."""
    return 1.25 * rules.longest_call


def claim_probe(state: QuotaState, rules: QuotaRules, now: float, prober: str) -> tuple[QuotaState, bool]:
    """Make the attempt that is due, unless somebody else does; whether it is ours."""
    if state.circuit.prober == prober and state.circuit.probe_until > now:
        return state, True  # our own claim, written although its answer was lost
    if not may_probe(state, now):
        return state, False
    return replace(state, circuit=replace(state.circuit, prober=prober, probe_until=now + probe_lease(rules))), True


def probe_failed(
    state: QuotaState, rules: QuotaRules, now: float, prober: str, chance: float, retry_after: float | None = None
) -> QuotaState:
    """The attempt met the same trouble: the next one comes later."""
    circuit = state.circuit
    if circuit.closed or circuit.prober != prober:
        return state
    state = roll(state, rules, now)
    tries = circuit.openings + 1
    return replace(state, circuit=Circuit(tries, circuit.opened_at, now + _pause(rules, tries, chance, retry_after)))


def probe_unused(state: QuotaState, now: float, prober: str) -> QuotaState:
    """The attempt was not made after all: anybody may."""
    if state.circuit.prober != prober:
        return state
    return replace(state, circuit=replace(state.circuit, prober="", probe_until=now))


def close_circuit(state: QuotaState, rules: QuotaRules, now: float, prober: str) -> QuotaState:
    """The attempt was answered: calls flow, and the turns move on from where they stood."""
    if state.circuit.closed or state.circuit.prober != prober:
        return state
    return replace(roll(state, rules, now), circuit=Circuit())
