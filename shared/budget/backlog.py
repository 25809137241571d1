"""Which delivery has to wait for a call, until when, and which workers may make calls at all. Pure.

A delivery that finds no call gets a position in the backlog and is told when that position will be due (its ETA). The
position that is due moves up at the pace at which the quota allows calls, whether or not the messages before it come
back. So a message that is never seen again delays nobody, and the calls that it does not use speed up the rest of the
window. While nothing may be called, the position that is due stands still. A message that comes back too early
(because the instance was asleep meanwhile, or others used the calls) keeps its position and gets a new ETA: the order
stays, and a message comes back a few times in a long outage instead of once in every window.

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
    largest_lease,
    limit_of,
    reserve_of,
    window_at,
    window_closes,
    window_opens,
)

#: Share of a later window's calls that is promised: if too many are promised, messages come back in vain.
_PROMISED = 0.985

#: Deliveries per second where no limit is known and a backlog is admitted again.
_UNLIMITED_PACE = 10.0

#: Urgent work is admitted during this share of a window, at its beginning, instead of all over it.
_URGENT_SPREAD = 0.1

#: Seconds to wait while another worker finds out whether the instance is back.
_WHILE_PROBED = 3.0

#: Positions are leased in blocks of this size at first, then of twice as many while they are used up quickly.
_FIRST_BLOCK, _LARGEST_BLOCK = 4, 64

#: Seconds that a block of positions may last: older ones would overtake messages that came after them.
_BLOCK_LASTS = 10.0

#: Seconds that a worker is counted for after it was last seen.
WORKER_LIFETIME = 300.0
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
        worker_slots: id and expiry of the workers that may call, where there are more workers than calls in flight.
    """

    id: str
    ordinary: Positions = field(default_factory=Positions)
    urgent: Positions = field(default_factory=Positions)
    workers: tuple[tuple[str, float], ...] = ()
    worker_slots: tuple[tuple[str, float], ...] = ()


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


class _Schedule(NamedTuple):
    """From when on positions move up, and how fast.

    Deliveries: ``room`` between ``start`` and ``end``, which lie in ``window``, and ``per_window`` in each later one.
    """

    window: int
    start: float
    end: float
    room: float
    per_window: float


def positions_of(backlog: Backlog, urgent: bool) -> Positions:
    """The positions of urgent or of ordinary work."""
    return backlog.urgent if urgent else backlog.ordinary


def _with(backlog: Backlog, urgent: bool, positions: Positions) -> Backlog:
    return replace(backlog, urgent=positions) if urgent else replace(backlog, ordinary=positions)


def _spread(rules: QuotaRules, urgent: bool) -> float:
    """Seconds of a window over which its deliveries are spread."""
    whole = window_closes(rules, 0.0, 0) - window_opens(rules, 0.0, 0)
    return whole * (_URGENT_SPREAD if urgent else 1.0)


def _rooms(capacity: Capacity, urgent: bool) -> tuple[float, float]:
    """Deliveries for which there are calls in the rest of the present window, and in each later one."""
    quota, rules = capacity.quota, capacity.rules
    limit, cost = limit_of(quota, rules), calls_per_delivery(quota)
    if limit is None:
        every = max(_UNLIMITED_PACE * _spread(rules, False), 1.0)
        return every, every
    reserved = 0 if urgent else reserve_of(rules, limit, 0.0)
    used = quota.ordinary + quota.urgent
    return max(limit - reserved - used, 0) / cost, max((limit - reserved) * _PROMISED, 1.0) / cost


def _schedule(backlog: Backlog, capacity: Capacity, urgent: bool) -> _Schedule:
    room, every = _rooms(capacity, urgent)
    rules, skew, present = capacity.rules, capacity.quota.skew, capacity.quota.window
    start = max(positions_of(backlog, urgent).as_of, capacity.paused_until)
    window = max(present, window_at(rules, skew, start))
    start = max(start, window_opens(rules, skew, window))
    end = min(window_closes(rules, skew, window), start + _spread(rules, urgent))
    if window != present:
        room = every
    if end <= start:
        return _Schedule(window, start, start, 0.0, every)
    return _Schedule(window, start, end, room, every)


def due_position(backlog: Backlog, capacity: Capacity, urgent: bool, now: float) -> float:
    """The position that is due now; never beyond the last one given out."""
    positions, rules, skew = positions_of(backlog, urgent), capacity.rules, capacity.quota.skew
    window, start, end, room, every = _schedule(backlog, capacity, urgent)
    if capacity.stopped or now <= start:
        return min(positions.due, positions.last)
    later = window_at(rules, skew, now) - window
    if later <= 0:
        moved = room * min((now - start) / (end - start), 1.0) if end > start else 0.0
    else:
        since = now - window_opens(rules, skew, window + later)
        moved = room + every * (later - 1 + min(max(since / _spread(rules, urgent), 0.0), 1.0))
    return min(positions.due + moved, positions.last)


def eta_of(backlog: Backlog, capacity: Capacity, urgent: bool, position: float, now: float) -> float:
    """When a position will be due (Unix seconds), as far as is known now; never in the past."""
    window, start, end, room, every = _schedule(backlog, capacity, urgent)
    if capacity.probe_until > now:
        start, end = max(start, now + _WHILE_PROBED), max(end, now + _WHILE_PROBED)
    distance = position - positions_of(backlog, urgent).due
    if distance <= 0:
        return max(start, now)
    if distance <= room:
        return max(start + (end - start) * distance / room, now)
    distance -= room
    windows = math.ceil(distance / every) - 1
    part = (distance - windows * every) / every
    opens = window_opens(capacity.rules, capacity.quota.skew, window + 1 + windows)
    return max(opens + part * _spread(capacity.rules, urgent), now)


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
    return largest_lease(limit) * live_workers(backlog, now) / calls_per_delivery(quota)


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


@dataclass(frozen=True, slots=True)
class PositionBlock:
    """Positions leased by one worker and not yet given to messages: ``next`` to ``last``."""

    backlog_id: str = ""
    next: int = 1
    last: int = 0
    leased_at: float = 0.0
    size: int = _FIRST_BLOCK

    def is_recent(self, backlog_id: str, now: float) -> bool:
        """Whether its positions are still worth something."""
        return 0 <= now - self.leased_at < _BLOCK_LASTS and self.backlog_id == backlog_id

    def next_size(self, backlog_id: str, now: float) -> int:
        """How many positions to lease after these."""
        return min(self.size * 2, _LARGEST_BLOCK) if self.is_recent(backlog_id, now) else _FIRST_BLOCK


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


def note_worker(backlog: Backlog, worker: str, now: float) -> Backlog:
    """Note that a worker was seen, and forget those that expired."""
    others = [(name, expiry) for name, expiry in backlog.workers if name != worker and expiry > now]
    newest = sorted(others, key=lambda item: -item[1])[: _MOST_WORKERS - 1]
    return replace(backlog, workers=tuple(sorted([*newest, (worker, now + WORKER_LIFETIME)])))


def live_workers(backlog: Backlog, now: float) -> int:
    """Workers seen of late, at least one."""
    return max(1, sum(expiry > now for _, expiry in backlog.workers))


def _names(backlog: Backlog, worker: str, now: float) -> list[str]:
    return sorted({name for name, expiry in backlog.workers if expiry > now} | {worker})


def is_crowded(backlog: Backlog, worker: str, rules: QuotaRules, now: float) -> bool:
    """Whether there are more workers than calls in flight, so that only those with a worker slot may call."""
    return len(_names(backlog, worker, now)) > rules.in_flight


def calls_in_flight(backlog: Backlog, worker: str, rules: QuotaRules, now: float) -> int:
    """Calls in flight that one worker may have: its part of the connection's, or one where it is crowded.

    A worker without a slot is not admitted there (``BudgetGate.admit``); but what it has under way, and what timers
    do, still may have one call.
    """
    names = _names(backlog, worker, now)
    part, over = divmod(rules.in_flight, len(names))
    return max(1, part + (names.index(worker) < over))


def slot_duration(rules: QuotaRules) -> float:
    """Seconds that a worker slot is good for: longer than a worker's copy of the state may be old, shorter than
    anybody wants to wait for a worker that was killed."""
    return min(30.0, rules.per / 10)


def slot_time_left(backlog: Backlog, worker: str, now: float) -> float:
    """Seconds that a worker's slot is still good for; 0 for none."""
    return max((expiry - now for name, expiry in backlog.worker_slots if name == worker), default=0.0)


def take_slot(backlog: Backlog, rules: QuotaRules, worker: str, now: float) -> tuple[Backlog, bool]:
    """Take or extend one of the worker slots; whether there was one.

    There are as many as calls in flight. A worker that stopped calling, or was killed, loses its slot after a while.
    """
    others = [(name, expiry) for name, expiry in backlog.worker_slots if name != worker and expiry > now]
    if len(others) >= rules.in_flight:
        return replace(backlog, worker_slots=tuple(others)), False
    return replace(backlog, worker_slots=tuple(sorted([*others, (worker, now + slot_duration(rules))]))), True
