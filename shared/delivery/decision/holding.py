"""May a firing open a ticket yet? Maintenance windows, and "only after n firings or m minutes". Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.core.link import Link
from shared.core.order import Order
from shared.core.signal import Signal
from shared.delivery.decision.actions import CallTicketSystem, Hold, Reschedule, SaveLink


def may_open(
    link: Link, signal: Signal, call: CallTicketSystem, hold: Hold | None, now: datetime
) -> CallTicketSystem | Reschedule | SaveLink:
    """Let a create or a reopen through, or hold its firing back.

    What is held comes back by itself when its time has come. A problem that ended by then (``call.over``, or a newer
    event in the link) is suppressed: nobody is woken for what went away during maintenance or too quickly to matter.

    Args:
        link: of the signal's key.
        signal: the firing.
        call: the create or reopen that was decided for it.
        hold: what holds, None when nothing does now.
        now: present time.
    """
    if call.over:
        return _overtaken(link, signal, call, hold, now)
    if hold is None:
        return call
    since, firings, counted = link.first_held, link.firings, link.last_held
    if since is None or counted is None or _ended_since(link):
        since, firings, counted = signal.order, 1, signal.order
    elif signal.order > counted:
        firings, counted = firings + 1, signal.order
    waits = [] if hold.until is None or now >= hold.until else [hold.until]
    often_enough = hold.firings > 0 and firings >= hold.firings
    if not often_enough and now < since[0] + hold.after:
        waits.append(since[0] + hold.after)
    elif not often_enough and hold.firings and not hold.after:
        return Reschedule(_held(link, hold, since, firings, counted), None, "held")  # only another firing can let it go
    if not waits:
        return call
    return Reschedule(_held(link, hold, since, firings, counted), max(waits), "held")


def _held(link: Link, hold: Hold, since: Order, firings: int, counted: Order) -> Link:
    return replace(link, first_held=since, held_by=hold.rule, firings=firings, last_held=counted)


def _ended_since(link: Link) -> bool:
    """Whether the problem whose firings are held has ended, so that counting starts anew."""
    return link.first_held is not None and any(
        end is not None and end > link.first_held for end in (link.resolved_by, link.latest)
    )


def _overtaken(
    link: Link, signal: Signal, call: CallTicketSystem, hold: Hold | None, now: datetime
) -> CallTicketSystem | SaveLink:
    """The firing's Resolved is known already: suppressed if it was held or would have been, else born resolved."""
    if link.first_held is None and not (hold is not None and _would_hold(hold, link, signal, now)):
        return call
    rule = link.held_by or (hold.rule if hold is not None else "")
    return SaveLink(replace(link, first_held=None, held_by=rule, firings=0, last_held=None), "suppressed")


def _would_hold(hold: Hold, link: Link, signal: Signal, now: datetime) -> bool:
    if hold.until is not None and now < hold.until:
        return True
    if hold.after:
        return link.resolved_by is not None and link.resolved_by[0] - signal.occurred_at < hold.after
    return hold.firings > 1
