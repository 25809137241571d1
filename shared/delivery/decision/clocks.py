"""Compares the times of a problem's events, which senders cut to different precisions. Pure.

Azure writes ``firedDateTime`` with seven digits of a second in one message and with three or none in the next, and its
Resolved often has no time but this one. Such a Resolved seems to be older than its own Fired.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.core.link import Link, LinkStage
from shared.core.signal import RESOLVED_RANK, Order, Signal, SignalState, names_one_occurrence


def aligned(link: Link, signal: Signal) -> Signal:
    """A Resolved that ends the newest event of its link, with a time that is not before that event's.

    Every other signal as it is.
    """
    if signal.state is not SignalState.RESOLVED:
        return signal
    for newest in (link.latest, link.last_held):
        if newest is not None and newest[1] != RESOLVED_RANK and ends(link, signal.order, newest):
            signal = replace(signal, occurred_at=after(signal.order, newest)[0])
    return signal


def ends(link: Link, resolved: Order, event: Order) -> bool:
    """Whether a Resolved ends the problem that another event reports.

    It does when it is newer, or as new at the coarser precision of the two. Where the key names one occurrence, whose
    ticket is open and which has not ended before, any Resolved is its end, whatever its clock says; but one from
    between two Fired ended the first of them, so the key names more than one occurrence after all.
    """
    if is_as_new(resolved, event):
        return True
    if link.stage is not LinkStage.OPEN or not names_one_occurrence(link.key) or _has_ended_before(link):
        return False
    first = link.opened_by
    return first is None or first >= event or resolved <= first or _same_time(resolved[0], first[0])


def is_as_new(resolved: Order, event: Order) -> bool:
    """Whether a Resolved is newer than another event, or as new at the coarser precision of the two."""
    return resolved >= event or _same_time(resolved[0], event[0])


def after(resolved: Order, event: Order) -> Order:
    """The order of a Resolved that ends an event: its own, or that of the event's time."""
    return max(resolved, (event[0], RESOLVED_RANK))


def _has_ended_before(link: Link) -> bool:
    """Whether the problem has ended and come back, so that a Resolved may belong to an earlier time."""
    came_back = link.generation > 1 or link.reopened or link.flapping or len(link.changes) > 1
    return came_back or link.ended is not None


def _same_time(one: datetime, other: datetime) -> bool:
    unit = max(_unit(one), _unit(other))
    return _cut(one, unit) == _cut(other, unit)


def _unit(moment: datetime) -> int:
    """Microseconds of the precision in which a time is written: a second, a millisecond or a microsecond."""
    return next(unit for unit in (1_000_000, 1_000, 1) if moment.microsecond % unit == 0)


def _cut(moment: datetime, unit: int) -> datetime:
    return moment.replace(microsecond=moment.microsecond // unit * unit)
