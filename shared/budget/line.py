"""Who has to wait, and until when. Pure.

What finds no call gets a place in a line and is told when that place's turn will be. The turn moves on with the pace
at which the budget allows calls, whether or not those in front use it; so a message that is never seen again holds up
nobody, and the calls it leaves behind quicken the rest of the window. While nothing may be called, the turn stands
still. A message that comes back too early (because the instance slept meanwhile, or others spent the budget) keeps its
place and is told anew: order stays, and a message is told a few times in a long outage instead of once in every window.
"""

from __future__ import annotations

import math
from dataclasses import replace

from shared.budget.state import (
    Backlog,
    QuotaRules,
    QuotaState,
    closes,
    cost_of,
    index,
    largest_block,
    limit_of,
    opens,
    reserve_of,
    workers_of,
)

#: Share of a later window's calls that is promised: what promises too much makes messages come in vain.
_PROMISED = 0.985

#: Messages per second where no limit is known and a backlog is let in again.
_UNLIMITED_PACE = 10.0

#: Urgent work is let in during this share of a window's beginning instead of all over it.
_URGENT_SPREAD = 0.1

#: Seconds to wait while somebody else finds out whether the instance is back.
_WHILE_PROBED = 3.0


def line_of(state: QuotaState, urgent: bool) -> Backlog:
    """The line of urgent or of ordinary work."""
    return state.urgent_waiting if urgent else state.waiting


def _with(state: QuotaState, urgent: bool, line: Backlog) -> QuotaState:
    return replace(state, urgent_waiting=line) if urgent else replace(state, waiting=line)


def _span(rules: QuotaRules, urgent: bool) -> float:
    """Seconds of a window over which a line's turns are spread."""
    whole = closes(rules, 0.0, 0) - opens(rules, 0.0, 0)
    return whole * (_URGENT_SPREAD if urgent else 1.0)


def _rooms(state: QuotaState, rules: QuotaRules, urgent: bool) -> tuple[float, float]:
    """Messages that a line can send in the rest of the present window, and in each later one."""
    limit, cost = limit_of(state, rules), cost_of(state)
    if limit is None:
        every = max(_UNLIMITED_PACE * _span(rules, False), 1.0)
        return every, every
    kept = 0 if urgent else reserve_of(rules, limit, 0.0)
    used = state.ordinary + state.urgent
    return max(limit - kept - used, 0) / cost, max((limit - kept) * _PROMISED, 1.0) / cost


def _beginning(state: QuotaState, rules: QuotaRules, urgent: bool) -> tuple[int, float, float, float, float]:
    """From where a line's turns are counted: window, moment, end of its turns, room till then, room per window."""
    room, every = _rooms(state, rules, urgent)
    circuit = state.circuit
    start = max(line_of(state, urgent).anchor, state.cool_until, 0.0 if circuit.closed else circuit.probe_at)
    window = max(state.window, index(rules, state.skew, start))
    start = max(start, opens(rules, state.skew, window))
    end = min(closes(rules, state.skew, window), start + _span(rules, urgent))
    if window != state.window:
        room = every
    if end <= start:
        return window, start, start, 0.0, every
    return window, start, end, room, every


def progress(state: QuotaState, rules: QuotaRules, urgent: bool, now: float) -> float:
    """The place whose turn it is; never beyond the last one given away."""
    line = line_of(state, urgent)
    window, start, end, room, every = _beginning(state, rules, urgent)
    if not state.circuit.closed or now <= start:
        return min(line.head, line.tail)
    later = index(rules, state.skew, now) - window
    if later <= 0:
        moved = room * min((now - start) / (end - start), 1.0) if end > start else 0.0
    else:
        since = now - opens(rules, state.skew, window + later)
        moved = room + every * (later - 1 + min(max(since / _span(rules, urgent), 0.0), 1.0))
    return min(line.head + moved, line.tail)


def due(state: QuotaState, rules: QuotaRules, urgent: bool, place: float, now: float) -> float:
    """When the turn of a place will be, as things stand; never in the past."""
    window, start, end, room, every = _beginning(state, rules, urgent)
    if not state.circuit.closed and state.circuit.probe_until > now:
        start, end = max(start, now + _WHILE_PROBED), max(end, now + _WHILE_PROBED)
    distance = place - line_of(state, urgent).head
    if distance <= 0:
        return max(start, now)
    if distance <= room:
        return max(start + (end - start) * distance / room, now)
    distance -= room
    windows = math.ceil(distance / every) - 1
    part = (distance - windows * every) / every
    return max(opens(rules, state.skew, window + 1 + windows) + part * _span(rules, urgent), now)


def is_turn(state: QuotaState, rules: QuotaRules, urgent: bool, place: int | None, now: float) -> bool:
    """Whether a message may take a call now: its turn has come, or nobody waits. ``place`` is None for a new one."""
    soon = progress(state, rules, urgent, now + rules.early)
    limit = limit_of(state, rules)
    if place is None or limit is None:
        return soon >= line_of(state, urgent).tail
    return soon + _held(state, limit, now) >= place


def _held(state: QuotaState, limit: int, now: float) -> float:
    """Blocks count as spent when they are leased, so the turn is behind by what workers may still hold of them."""
    return largest_block(limit) * workers_of(state, now) / cost_of(state)


def move_on(state: QuotaState, rules: QuotaRules, now: float) -> QuotaState:
    """Write down how far the turns have come, before anything that changes the pace."""
    for urgent in (False, True):
        line = line_of(state, urgent)
        at = progress(state, rules, urgent, now)
        state = _with(state, urgent, replace(line, head=at, anchor=max(now, line.anchor)))
    return state


def join(state: QuotaState, rules: QuotaRules, now: float, urgent: bool, count: int) -> tuple[QuotaState, int]:
    """Give away ``count`` places at the end of a line; the first of them."""
    state = move_on(state, rules, now)
    line = line_of(state, urgent)
    return _with(state, urgent, replace(line, tail=line.tail + count)), line.tail + 1


def set_back(state: QuotaState, urgent: bool, place: int) -> QuotaState:
    """It was this place's turn, but there was no call left: its turn is still to come. After ``move_on``."""
    line = line_of(state, urgent)
    return _with(state, urgent, replace(line, head=min(line.head, place - 1)))


def reached(state: QuotaState, rules: QuotaRules, now: float, urgent: bool, place: int) -> QuotaState:
    """This place got its call: what was promised to it and to those before it is not promised again.

    One far ahead of its turn moves nothing far: it made the attempt at an open circuit. After ``move_on``.
    """
    line = line_of(state, urgent)
    furthest = min(line.tail, line.head + _held(state, limit_of(state, rules) or 1, now))
    return _with(state, urgent, replace(line, head=max(line.head, min(place, furthest))))
