"""Which delivery has to wait for a call, and until when; which workers there are. Pure.

A delivery that finds no call gets a position in the backlog and is told when that position will be due (its ETA). The
position that is due moves up as fast as the calls in flight allow, for as long as the window has calls, whether or not
the messages before it come back. So no call stays unused while messages wait, but for the reserve, and a message that
is never seen again delays nobody. While nothing may be called, the position that is due stands still. A message that
comes back too early (because the instance was asleep meanwhile, or others used the calls) keeps its position and gets a
new ETA: the order stays.

Urgent and ordinary work have positions of their own. Times are Unix seconds by our own clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from shared.budget.quota import (
    Quota,
    QuotaRules,
    calls_per_delivery,
    deliveries_per_second,
    largest_lease,
    limit_of,
    reserve_of,
    window_at,
    window_closes,
    window_opens,
)

#: Share of a later window's calls that is promised: if too many are promised, messages come back in vain.
_PROMISED = 0.985

#: Below this, a part of a call is an error of rounding.
_ROUNDING = 1e-6

#: Seconds to wait while another worker finds out whether the instance is back.
_WHILE_PROBED = 3.0

#: Workers that are remembered at most.
_MOST_WORKERS = 200


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of urgent, or of ordinary, work: numbers that only grow.

    Attributes:
        due: the position that was due at ``as_of``; between writes it moves up at the pace of the quota.
        as_of: when that was.
        last: the last position that was given out.
    """

    due: float = 0.0
    as_of: float = 0.0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Backlog:
    """Who waits for calls of a connection, and who makes them.

    Attributes:
        id: names this backlog, so that positions in another one, or in one that was lost, are not taken for ours.
        ordinary, urgent: the positions of either kind of work.
        workers: id and expiry of every worker seen.
        call_slots: how many calls each worker may have in flight, and until when: id, number, expiry (``call_slots``).
    """

    id: str
    ordinary: Positions = field(default_factory=Positions)
    urgent: Positions = field(default_factory=Positions)
    workers: tuple[tuple[str, float], ...] = ()
    call_slots: tuple[tuple[str, int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Capacity:
    """What quota and circuit leave for the deliveries that wait.

    Attributes:
        rules, quota: of the connection.
        stopped: whether the circuit is open: no position moves up.
        paused_until: no call before this time, because of a cool-down or an open circuit.
        probe_until: until then another worker may be making the attempt at an open circuit; 0 for no attempt.
    """

    rules: QuotaRules
    quota: Quota
    stopped: bool = False
    paused_until: float = 0.0
    probe_until: float = 0.0


# When a position is due


class _Stretch(NamedTuple):
    """What one window has for the deliveries that wait, all of it as early as calls in flight allow.

    Attributes:
        rules, limit: of the connection; limit None for any number of calls.
        urgent: nothing is kept back from urgent work.
        start, closes, ends: from when on, from when on no more is promised, and when the window ends.
        calls: that are not used yet, those of the reserve among them.
        cost, pace: calls that a delivery takes, and deliveries per second.
    """

    rules: QuotaRules
    limit: int | None
    urgent: bool
    start: float
    closes: float
    ends: float
    calls: float
    cost: float
    pace: float

    def _reserve(self, at: float) -> int:
        if self.urgent or self.limit is None:
            return 0
        return reserve_of(self.rules, self.limit, min(max((self.ends - at) / self.rules.per, 0.0), 1.0))

    def due(self, at: float) -> float:
        """Deliveries that are due at that time."""
        at = min(at, self.closes)
        free = max(self.calls - self._reserve(at), 0.0) / self.cost
        return min(self.pace * max(at - self.start, 0.0), free)

    @property
    def room(self) -> float:
        """Deliveries that are due before the window closes."""
        return self.due(self.closes)

    def eta(self, distance: float) -> float:
        """When so many deliveries are due; ``distance`` is at most ``room``."""
        at, kept = self.start, self.calls - distance * self.cost
        whole = self._reserve(self.ends - self.rules.per)
        if whole and kept < self._reserve(at):  # it goes as the reserve becomes free
            at = max(at, self.ends - math.floor(max(kept, 0.0) + _ROUNDING) / whole * self.rules.per)
        return min(max(at, self.start + distance / self.pace), max(self.closes, self.start))


def _cost(quota: Quota) -> float:
    """Calls that a delivery takes which has waited."""
    return calls_per_delivery(quota, waited=True)


def positions_of(backlog: Backlog, urgent: bool) -> Positions:
    """The positions of urgent or of ordinary work."""
    return backlog.urgent if urgent else backlog.ordinary


def _with(backlog: Backlog, urgent: bool, positions: Positions) -> Backlog:
    return replace(backlog, urgent=positions) if urgent else replace(backlog, ordinary=positions)


def _stretch(capacity: Capacity, urgent: bool, window: int, start: float, calls: float) -> _Stretch:
    rules, quota = capacity.rules, capacity.quota
    closes, ends = window_closes(rules, quota.skew, window), window_opens(rules, quota.skew, window + 1)
    limit, pace = limit_of(quota, rules), deliveries_per_second(quota, rules)
    if limit is None:
        closes = ends = calls = math.inf
    return _Stretch(rules, limit, urgent, start, closes, ends, calls, _cost(quota), pace)


def _later(capacity: Capacity, urgent: bool, window: int) -> _Stretch:
    """A window of which nothing is used yet. It has room for one delivery at least."""
    limit = limit_of(capacity.quota, capacity.rules) or 1
    start = window_opens(capacity.rules, capacity.quota.skew, window)
    least = _cost(capacity.quota) + reserve_of(capacity.rules, limit, 0.0)
    return _stretch(capacity, urgent, window, start, max(limit * _PROMISED, least))


def _first(backlog: Backlog, capacity: Capacity, urgent: bool) -> tuple[int, _Stretch]:
    """The window in which positions move up next, and what it has. Ordinary work follows urgent work that waits."""
    rules, quota = capacity.rules, capacity.quota
    start = max(positions_of(backlog, urgent).as_of, capacity.paused_until)
    window = max(quota.window, window_at(rules, quota.skew, start))
    if window == quota.window:
        calls = float((limit_of(quota, rules) or 1) - quota.ordinary - quota.urgent)
        start = max(start, window_opens(rules, quota.skew, window))
        found = _stretch(capacity, urgent, window, start, calls)
    else:
        found = _later(capacity, urgent, window)
        found = found._replace(start=max(found.start, start))
    if not urgent:
        ahead = backlog.urgent.last - backlog.urgent.due
        ahead = min(ahead, found._replace(urgent=True).room) if ahead > 0 else 0.0
        found = found._replace(start=found.start + ahead / found.pace, calls=found.calls - ahead * found.cost)
    return window, found


def due_position(backlog: Backlog, capacity: Capacity, urgent: bool, now: float) -> float:
    """The position that is due now; never beyond the last one given out."""
    positions = positions_of(backlog, urgent)
    if capacity.stopped or positions.due >= positions.last:
        return min(positions.due, positions.last)
    window, first = _first(backlog, capacity, urgent)
    present = window_at(capacity.rules, capacity.quota.skew, now)
    moved = first.due(now)
    if present > window and first.limit is not None:
        every, last = _later(capacity, urgent, window + 1).room, _later(capacity, urgent, present)
        moved = first.room + every * (present - window - 1) + last.due(now)
    return min(positions.due + moved, positions.last)


def eta_of(backlog: Backlog, capacity: Capacity, urgent: bool, position: float, now: float) -> float:
    """When a position will be due (Unix seconds), as far as is known now; never in the past."""
    window, first = _first(backlog, capacity, urgent)
    if capacity.probe_until > now:
        first = first._replace(start=max(first.start, now + _WHILE_PROBED))
    distance = position - positions_of(backlog, urgent).due
    if distance <= 0:
        return max(first.start, now)
    if distance <= first.room:
        return max(first.eta(distance), now)
    distance -= first.room
    every = _later(capacity, urgent, window + 1).room
    windows = math.ceil(distance / every) - 1
    there = _later(capacity, urgent, window + 1 + windows)
    return max(there.eta(distance - windows * every), now)


def is_due(backlog: Backlog, capacity: Capacity, urgent: bool, position: int | None, now: float) -> bool:
    """Whether a delivery may take a call now: its position is due; or nobody waits, where it has none (None)."""
    soon = due_position(backlog, capacity, urgent, now + capacity.rules.early)
    limit = limit_of(capacity.quota, capacity.rules)
    if position is None or limit is None:
        return soon >= positions_of(backlog, urgent).last
    return soon + _leased(backlog, capacity.quota, limit, now) >= position


def _leased(backlog: Backlog, quota: Quota, limit: int, now: float) -> float:
    """Deliveries for which workers may still hold calls: a call counts as spent as soon as it is leased, so the
    position that is due falls behind by as many."""
    return largest_lease(limit) * live_workers(backlog, now) / _cost(quota)


# How positions change


def move_up(backlog: Backlog, capacity: Capacity, now: float) -> Backlog:
    """Write down which positions are due, before anything that changes the pace."""
    for urgent in (False, True):
        positions = positions_of(backlog, urgent)
        due = due_position(backlog, capacity, urgent, now)
        backlog = _with(backlog, urgent, replace(positions, due=due, as_of=max(now, positions.as_of)))
    return backlog


def add_positions(backlog: Backlog, capacity: Capacity, now: float, urgent: bool, count: int) -> tuple[Backlog, int]:
    """Give out ``count`` positions at the end of the backlog; the first of them."""
    backlog = move_up(backlog, capacity, now)
    positions = positions_of(backlog, urgent)
    return _with(backlog, urgent, replace(positions, last=positions.last + count)), positions.last + 1


def set_back(backlog: Backlog, urgent: bool, position: int) -> Backlog:
    """This position was due, but there was no call left: it is still to come. Takes a backlog after ``move_up``."""
    positions = positions_of(backlog, urgent)
    return _with(backlog, urgent, replace(positions, due=min(positions.due, position - 1)))


def mark_served(backlog: Backlog, capacity: Capacity, now: float, urgent: bool, position: int) -> Backlog:
    """This position got its call: what was promised to it and to those before it is not promised again.

    One that came long before it was due (it made the attempt at an open circuit) moves the others up only a little.
    Takes a backlog after ``move_up``.
    """
    positions, limit = positions_of(backlog, urgent), limit_of(capacity.quota, capacity.rules) or 1
    furthest = min(positions.last, positions.due + _leased(backlog, capacity.quota, limit, now))
    return _with(backlog, urgent, replace(positions, due=max(positions.due, min(position, furthest))))


def format_position(backlog: Backlog, urgent: bool, number: int) -> str:
    """A position as messages carry it."""
    return f"{backlog.id}:{'urgent' if urgent else 'ordinary'}:{number}"


def parse_position(text: str, backlog: Backlog, urgent: bool) -> int | None:
    """The number of a position in this backlog; None for a position in another one, or for none."""
    backlog_id, _, rest = text.partition(":")
    kind, _, number = rest.partition(":")
    own = backlog_id == backlog.id and kind == ("urgent" if urgent else "ordinary")
    if not own or not number.isascii() or not number.isdigit():
        return None
    return int(number)


# Workers


def worker_lifetime(rules: QuotaRules) -> float:
    """Seconds that a worker is counted for after it was last seen."""
    return min(60.0, max(rules.per, 10.0))


def note_worker(backlog: Backlog, rules: QuotaRules, worker: str, now: float) -> Backlog:
    """Note that a worker was seen, and forget those that expired."""
    others = [(name, expiry) for name, expiry in backlog.workers if name != worker and expiry > now]
    newest = sorted(others, key=lambda item: -item[1])[: _MOST_WORKERS - 1]
    return replace(backlog, workers=tuple(sorted([*newest, (worker, now + worker_lifetime(rules))])))


def live_workers(backlog: Backlog, now: float) -> int:
    """Workers seen of late, at least one."""
    return max(1, sum(expiry > now for _, expiry in backlog.workers))
