"""Firings that are counted before there is a ticket (``open_after``): which are held, and when there are enough. Pure.

All that is known before the ticket is in one row for each thing that is counted, so that one write with its ETag
decides what a firing was: one too few, or the one that opens. The firings that were enough are a *burst*: a group whose
members they are. Its ticket is that of the group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.core.signal import Order, Signal, SignalState
from shared.delivery.grouping.model import Member, count

#: Ends of alerts that are remembered while their firings did not come, and bursts of which members are still known.
_MOST_ENDS: Final = 50
MOST_BURSTS: Final = 20

#: Names of resources that an alert is held with, and characters of each: the row has to hold up to 150 alerts.
_MOST_NAMES: Final = 2
_LONGEST_NAME: Final = 60

_INSTANT: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class BurstRules:
    """So many firings ``within`` so much time open a ticket."""

    count: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Held:
    """An alert that is held, and when it fired; no times where only its end is known."""

    member: Member
    times: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Bursts:
    """What is known of one thing that is counted.

    Attributes:
        held: alerts whose firings are too few so far; while ``moving``, those of the newest burst.
        starts: when each burst began, oldest first: the time of its first firing. It names the burst's group.
        until: firings up to then belong to the newest burst, whatever has become of its ticket.
        moving: the newest burst is decided, and its members may not be stored as such yet.
    """

    held: tuple[Held, ...] = ()
    starts: tuple[datetime, ...] = ()
    until: datetime | None = None
    moving: bool = False


def hold(bursts: Bursts, signal: Signal, rules: BurstRules, now: datetime) -> tuple[Bursts, str]:
    """Count a signal that belongs to no burst: what is known then, and what became of it.

    ``held``: a firing, too few so far. ``opened``: a firing, and they are enough: a new burst. ``noted``: the end of an
    alert, or an update. ``duplicate``: nothing new.

    Args:
        bursts: not ``moving``.
        signal: of an alert.
        rules: of its route.
        now: present time; no firing counts as later than that.
    """
    before = next((one for one in bursts.held if one.member.key == signal.key), Held(Member(signal.key, signal.order)))
    is_known = before in bursts.held
    if signal.state is SignalState.UPDATED or not (signal.opens or signal.state is SignalState.RESOLVED):
        return bursts, "noted"
    counted = count(before.member if is_known else None, signal)
    if counted is None:
        return bursts, "duplicate"
    fired = counted.firings > before.member.firings
    moment = min(signal.occurred_at, now)
    others = [one for one in bursts.held if one.member.key != signal.key]
    times = tuple(sorted((*before.times, moment))) if fired else before.times
    held = _within_reach([*others, Held(_short(counted), times)], rules, now)
    first = _enough(held, rules) if fired else None
    if first is None:
        return replace(bursts, held=held), "held" if fired else "noted"
    start = max(first, bursts.starts[-1] + _INSTANT) if bursts.starts else first
    opened = Bursts(
        held=tuple(_counted_in(held, first, first + rules.within)),
        starts=(*bursts.starts, start)[-MOST_BURSTS:],
        until=max(moment, first) + rules.within,
        moving=True,
    )
    return opened, "opened"


def moved(bursts: Bursts) -> Bursts:
    """The same once the members of the newest burst are stored."""
    return replace(bursts, held=(), moving=False)


def start_of_firing(bursts: Bursts, fired: datetime) -> tuple[datetime, ...]:
    """Bursts that may have counted a firing of then, newest first: the one under way at the time, and the newest."""
    begun = [start for start in bursts.starts if start <= fired]
    return tuple(dict.fromkeys((*bursts.starts[-1:], *begun[-1:])))


def knows(member: Member, signal: Signal) -> bool:
    """Whether a member of a burst has counted a signal, or is what a Resolved ends."""
    newest: Order = member.fired or member.latest
    return signal.state is not SignalState.FIRED or signal.order <= newest


def _within_reach(held: Iterable[Held], rules: BurstRules, now: datetime) -> tuple[Held, ...]:
    """Without what can no longer be among enough firings: they may come late by ``within``."""
    all_held = list(held)
    newest = max(max((*one.times, min(one.member.latest[0], now))) for one in all_held)
    oldest = newest - 2 * rules.within
    kept = [replace(one, times=tuple(time for time in one.times if time >= oldest)) for one in all_held]
    ends = sorted((one for one in kept if not one.times and one.member.latest[0] >= oldest), key=_latest)
    dropped = ends[: max(len(ends) - _MOST_ENDS, 0)]
    return tuple(one for one in kept if one.times or (one in ends and one not in dropped))


def _latest(one: Held) -> Order:
    return one.member.latest


def _enough(held: Iterable[Held], rules: BurstRules) -> datetime | None:
    """The first of the first firings that are enough; None when they are too few."""
    times = sorted(time for one in held for time in one.times)
    runs = zip(times, times[rules.count - 1 :], strict=False)
    return next((first for first, last in runs if last - first <= rules.within), None)


def _counted_in(held: Iterable[Held], begin: datetime, end: datetime) -> Iterable[Held]:
    """The members of a burst with what they did in it, and the ends that came before their firings."""
    for one in held:
        times = tuple(time for time in one.times if begin <= time <= end)
        if times:
            yield Held(replace(one.member, firings=len(times), first=times[0]), times)
        elif not one.times:
            yield one


def _short(member: Member) -> Member:
    names = tuple(name[:_LONGEST_NAME] for name in member.resources[:_MOST_NAMES])
    return replace(member, resources=names)
