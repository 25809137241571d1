"""Rules of the configuration that change a decision. Pure.

* Flapping: a problem that comes and goes keeps its ticket open, says so once, and ends when it stays quiet.
* Holding: a firing waits for a maintenance window to end, or for more firings ("only after n firings or m minutes").
* :class:`Policies` gathers both, and the options of the route, into the :class:`Policy` that ``decide`` takes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from shared.core.link import Link, LinkStage, Op
from shared.core.signal import Order, Signal, SignalState
from shared.delivery.decision.actions import CallTicketSystem, Decision, Flap, Hold, Policy, Reschedule, SaveLink
from shared.mapping.maintenance import ActiveWindow
from shared.mapping.mapper import CompiledRoute, Mapper

#: More are never kept; configuration allows no larger number.
MOST_CHANGES = 20

#: Of the note about flapping: below the Resolved of the same time, which is still to be applied.
_NOTE_RANK = 1


def flapping_holds_open(link: Link, flap: Flap | None, now: datetime) -> bool:
    """Whether the end that the link knows of is not to be believed yet."""
    return (
        link.flapping and flap is not None and link.resolved_by is not None and now < link.resolved_by[0] + flap.window
    )


def guard_flapping(
    link: Link, signal: Signal, call: CallTicketSystem, flap: Flap | None, now: datetime
) -> CallTicketSystem | Reschedule | SaveLink:
    """Count a change of the problem, and turn what would be done about it into patience when there were too many."""
    if flap is None:
        return replace(call, changes=()) if link.changes else call
    ends = signal.state is SignalState.RESOLVED and call.over
    comes_back = signal.state is SignalState.FIRED and (
        link.stage is not LinkStage.OPEN or link.resolved_by is not None
    )
    changes = _counted(link, signal.occurred_at, flap) if ends or comes_back else link.changes
    if link.stage is not LinkStage.OPEN:
        return replace(call, changes=changes)
    if link.flapping and signal.state is SignalState.FIRED:
        return SaveLink(replace(link, latest=signal.order, resolved_by=None, changes=changes), "noted")
    quiet_at = signal.occurred_at + flap.window
    if not ends or now >= quiet_at or len(changes) <= flap.changes:
        return replace(call, changes=changes)
    if not link.flapping:
        note = (signal.occurred_at, _NOTE_RANK)
        return CallTicketSystem(Op.COMMENT, link.generation, note, flapping=True, changes=changes)
    return Reschedule(replace(link, resolved_by=signal.order, changes=changes), quiet_at, "flapping")


def _counted(link: Link, moment: datetime, flap: Flap) -> tuple[datetime, ...]:
    recent = {change for change in (*link.changes, moment) if moment - change <= flap.window}
    return tuple(sorted(recent))[-MOST_CHANGES - 1 :]


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


def opens_ticket(decision: Decision) -> bool:
    """Whether a decision opens or reopens a ticket, now or when what holds it ends."""
    if isinstance(decision, Reschedule):
        return decision.why == "held"
    return isinstance(decision, CallTicketSystem) and decision.op in (Op.CREATE, Op.REOPEN)


#: The planned work that holds a signal at a moment, None when there is none.
PlannedWorkLookup = Callable[[Signal, datetime], ActiveWindow | None]


def no_planned_work(_signal: Signal, _now: datetime) -> ActiveWindow | None:
    """No planned work is known."""
    return None


class Policies:
    """Gives the policy for a signal.

    Args:
        mapper: the compiled configuration.
        planned_work: planned work that ticket systems know of.
        now: the clock.
    """

    def __init__(self, mapper: Mapper, planned_work: PlannedWorkLookup, now: Callable[[], datetime]) -> None:
        self._mapper = mapper
        self._planned_work = planned_work
        self._now = now

    def of(self, signal: Signal, route: CompiledRoute | None, link: Link, findable: bool) -> Policy:
        """The policy for a signal that takes ``route``, or the one that made its ticket."""
        delivery = self._mapper.delivery
        route = route or self._mapper.named(link.route)
        if route is None:
            return Policy(reopen_window=delivery.reopen_window, recheck_after=delivery.recheck_after, findable=findable)
        return Policy(
            resolve=route.resolve_action,
            comments=route.comments,
            reopen_window=route.reopen_window,
            recheck_after=delivery.recheck_after,
            findable=findable,
            hold=self._hold(signal, route),
            flap=None if route.flapping is None else Flap(route.flapping.changes, route.flapping.within),
        )

    def _hold(self, signal: Signal, route: CompiledRoute) -> Hold | None:
        if signal.state is SignalState.RESOLVED:
            return None
        now = self._now()
        windows = (self._mapper.maintenance(signal, now), self._planned_work(signal, now))
        on = max((w for w in windows if w is not None), key=lambda w: w.until, default=None)
        # A group has waited for its members to last or repeat before it spoke.
        wanted = None if signal.via and not signal.part_of else route.only_after
        if on is None and wanted is None:
            return None
        rule = on.rule if on is not None else "only_after"
        until = on.until if on is not None else None
        return Hold(rule, until) if wanted is None else Hold(rule, until, wanted.lasting, wanted.firings)
