"""The budget of one connection as values: what the configuration says, and what all workers share. Pure.

Times are Unix seconds by our own clock; ``skew`` is what the instance's clock is ahead of it. Windows are the fixed
clock windows in which the instance counts (ServiceNow docs, "Inbound REST API rate limiting": per clock hour).

A call that leaves near the end of a window may be counted in the next one, because clocks differ and requests travel.
So our window begins ``lead`` after the instance's, and what leaves after ``closes`` (``lead`` and ``tail`` before the
instance's end) is charged to both windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

#: Of the reserve, this share stays until the window ends; the rest becomes free in step with the time that passes.
_RESERVE_TO_THE_END = 0.2


@dataclass(frozen=True, slots=True)
class QuotaRules:
    """What the configuration says of a connection.

    Attributes:
        calls: allowed per window; None when only the instance says.
        per: length of a window, seconds.
        reserve: share of the calls that is kept for urgent work, 0 to 0.5.
        in_flight: most calls at the same time, over all workers.
        longest_call: seconds that an operation may take, from leaving to its answer.
    """

    calls: int | None = None
    per: float = 3600.0
    reserve: float = 0.1
    in_flight: int = 4
    longest_call: float = 120.0

    @property
    def lead(self) -> float:
        """Seconds by which clocks may differ unnoticed."""
        return min(2.0, self.per / 20)

    @property
    def tail(self) -> float:
        """Seconds that a request may travel, connecting included."""
        return min(15.0, self.per / 10)

    @property
    def early(self) -> float:
        """Seconds that a message may come before its time: queues count whole seconds."""
        return min(2.0, self.per / 10)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Who waits. Places are numbers that only grow.

    Attributes:
        head: the place whose turn it was at ``anchor``; between writes it moves on with the pace of the budget.
        anchor: when that was.
        tail: the last place that was given away.
    """

    head: float = 0.0
    anchor: float = 0.0
    tail: int = 0


@dataclass(frozen=True, slots=True)
class Circuit:
    """Whether the instance is tried at all.

    Attributes:
        openings: failed attempts in a row since it opened; 0 when it is closed.
        opened_at: when it opened.
        probe_at: when the next attempt is due.
        probe_until: till then the attempt under way belongs to ``prober``.
        prober: who makes it, empty for nobody.
    """

    openings: int = 0
    opened_at: float = 0.0
    probe_at: float = 0.0
    probe_until: float = 0.0
    prober: str = ""

    @property
    def closed(self) -> bool:
        """Whether calls flow."""
        return not self.openings


@dataclass(frozen=True, slots=True)
class QuotaState:
    """What all workers of a connection share: one row.

    Attributes:
        line_id: names the lines, so that places of another connection or of a lost row are not taken for ours.
        window: number of the window that is counted (Unix seconds divided by its length).
        ordinary, urgent: calls leased in it.
        carried: calls leased near its end, charged to the next one too.
        limit: calls per window by the instance's own words, None if it said nothing. limit_window: when it said so.
        skew: the instance's clock less ours, seconds.
        cool_until: no call before. cool_downs: how many in a row the instance gave no time for.
        circuit: whether the instance is tried at all.
        waiting, urgent_waiting: the two lines.
        workers: id and expiry of every worker seen.
        seats: id and expiry of the workers that may call, where there are more workers than calls in flight.
        messages, calls: deliveries let in and calls they made, fading; what a delivery costs.
    """

    line_id: str
    window: int = 0
    ordinary: int = 0
    urgent: int = 0
    carried: int = 0
    limit: int | None = None
    limit_window: int = 0
    skew: float = 0.0
    cool_until: float = 0.0
    cool_downs: int = 0
    circuit: Circuit = field(default_factory=Circuit)
    waiting: Backlog = field(default_factory=Backlog)
    urgent_waiting: Backlog = field(default_factory=Backlog)
    workers: tuple[tuple[str, float], ...] = ()
    seats: tuple[tuple[str, float], ...] = ()
    messages: float = 0.0
    calls: float = 0.0


def index(rules: QuotaRules, skew: float, now: float) -> int:
    """Number of the window that a call leaving now is charged to."""
    return math.floor((now + skew - rules.lead) / rules.per)


def opens(rules: QuotaRules, skew: float, window: int) -> float:
    """When a window begins for us."""
    return window * rules.per + rules.lead - skew


def closes(rules: QuotaRules, skew: float, window: int) -> float:
    """From when on a call may fall into the next window."""
    return (window + 1) * rules.per - rules.lead - rules.tail - skew


def limit_of(state: QuotaState, rules: QuotaRules) -> int | None:
    """Calls allowed per window: the lower of what is configured and what the instance named of late; None: any."""
    named = state.limit if state.limit is not None and state.window - state.limit_window <= 1 else None
    known = [limit for limit in (rules.calls, named) if limit is not None]
    return max(min(known), 1) if known else None


def reserve_of(rules: QuotaRules, limit: int, left: float) -> int:
    """Calls that ordinary work must leave when the share ``left`` (1 to 0) of the window is still to come.

    All of the reserve at first; less as fewer urgent signals can still come, for what is never used would be lost.
    """
    if limit < 2 or not rules.reserve:
        return 0
    whole = max(1, math.ceil(limit * rules.reserve))
    return max(1, math.ceil(whole * _RESERVE_TO_THE_END), math.ceil(whole * left))


def cost_of(state: QuotaState) -> float:
    """Calls that a delivery takes, as observed; 1 until enough were seen."""
    return min(max(state.calls / state.messages, 1.0), 8.0) if state.messages >= 8 else 1.0


def largest_block(limit: int) -> int:
    """Most calls that a worker leases at once: one that is killed takes them along."""
    return min(64, max(1, limit // 50))


def workers_of(state: QuotaState, now: float) -> int:
    """Workers seen of late, at least one."""
    return max(1, sum(expiry > now for _, expiry in state.workers))


def crowded(state: QuotaState, worker: str, rules: QuotaRules, now: float) -> bool:
    """Whether there are more workers than calls in flight, so that only those with a seat may call."""
    return len({name for name, expiry in state.workers if expiry > now} | {worker}) > rules.in_flight


def seat_of(state: QuotaState, worker: str, now: float) -> float:
    """Seconds that a worker's seat is still good for; 0 for none."""
    return max((expiry - now for name, expiry in state.seats if name == worker), default=0.0)


def share_of(state: QuotaState, worker: str, rules: QuotaRules, now: float) -> int:
    """Calls in flight that one worker may have: its part of the connection's, or one where it is crowded.

    Whoever has no seat there is not let in (``Budget.admit``); what it has under way, and what timers do, still counts
    one.
    """
    live = sorted({name for name, expiry in state.workers if expiry > now} | {worker})
    part, over = divmod(rules.in_flight, len(live))
    return max(1, part + (live.index(worker) < over))
