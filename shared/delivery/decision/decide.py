"""What to do with a signal, given what is known. Pure: a function of values, driven by a state machine test.

The order of one delivery is always: decide, reserve (write the pending call into the link), call, commit (write the
outcome and clear the pending call). A worker that dies leaves the pending call behind; the next worker reads the
ticket, reconciles the pending call with what it finds, and decides anew.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.core.link import Link, LinkStage, Op, Pending
from shared.core.signal import FIRED_RANK, Order, Signal, SignalState
from shared.core.ticket_system import Phase, Ticket
from shared.delivery.decision.actions import (
    NOTE_RECHECK,
    CallTarget,
    CallTicketSystem,
    Decision,
    Ignore,
    Locked,
    Policy,
    ReadTicket,
    SaveLink,
    TicketDeleted,
)
from shared.delivery.decision.clocks import after, aligned, ends
from shared.delivery.decision.rules import flapping_holds_open, guard_flapping, may_open


def decide(
    link: Link | None,
    signal: Signal,
    policy: Policy,
    now: datetime,
    message_id: str,
    *,
    ticket_was_read: bool = False,
    replayed: bool = False,
) -> Decision:
    """Choose what a signal requires.

    Args:
        link: what is known of the key, None when nothing is.
        signal: the signal to deliver; its key is the link's.
        policy: see :class:`Policy`.
        now: present time.
        message_id: id of the message that is being delivered.
        ticket_was_read: this delivery has read the ticket already.
        replayed: a person asked for this signal again after it was refused.
    """
    link = link or Link(key=signal.key)
    signal = aligned(link, signal)
    if link.pending is not None:
        return _decide_pending(link.pending, signal, now, message_id)
    if link.resolved_by is not None and link.stage is LinkStage.OPEN and _owes_end(link, policy):
        if not flapping_holds_open(link, policy.flap, now):
            action = _end(link, link.resolved_by, policy)
            return action if ticket_was_read else _read_first(action, link, policy, now)
        if signal.order < link.resolved_by:
            return Ignore("stale")
    if not (replayed and link.dead_letter) and link.latest is not None and signal.order <= link.latest:
        if link.first_held is not None and link.first_held <= signal.order:
            return Ignore("suppressed")
        return Ignore("duplicate" if signal.order == link.latest else "stale")
    chosen = _BY_STAGE[link.stage](link, signal, policy)
    if isinstance(chosen, CallTicketSystem):
        chosen = guard_flapping(link, signal, chosen, policy.flap, now)
    if isinstance(chosen, CallTicketSystem) and chosen.op in (Op.CREATE, Op.REOPEN):
        chosen = may_open(link, signal, chosen, policy.hold, now)
    return chosen if ticket_was_read else _read_first(chosen, link, policy, now)


def _decide_pending(pending: Pending, signal: Signal, now: datetime, message_id: str) -> Decision:
    if pending.by == message_id or now >= pending.until:
        return ReadTicket()
    if pending.event == signal.order:
        return Ignore("in_progress")  # the message that holds the key carries this very event
    return Locked(pending.until)


def _owes_end(link: Link, policy: Policy) -> bool:
    return (
        link.resolved_by is not None
        and (link.latest is None or link.resolved_by > link.latest)
        and policy.resolve != "nothing"
    )


def _end(link: Link, event: Order, policy: Policy) -> Decision:
    if policy.resolve == "nothing":
        return SaveLink(replace(link, latest=event, ended=event[0], resolved_by=None), "noted")
    op = Op.RESOLVE if policy.resolve == "resolve" else Op.COMMENT
    return CallTicketSystem(op, link.generation, event, over=True)


def _without_ticket(link: Link, signal: Signal, policy: Policy) -> Decision:
    del policy
    if signal.state is SignalState.RESOLVED:
        if link.resolved_by is not None and signal.order <= link.resolved_by:
            return Ignore("duplicate" if signal.order == link.resolved_by else "stale")
        over = replace(link, resolved_by=signal.order, ended=signal.occurred_at)
        held = link.first_held is not None and link.first_held < signal.order
        return SaveLink(over, "suppressed" if held else "resolved_before_fired")
    overtaken = link.resolved_by is not None and ends(link, link.resolved_by, signal.order)
    if not signal.opens or (overtaken and signal.state is SignalState.UPDATED):
        return Ignore("nothing_to_do")
    return CallTicketSystem(Op.CREATE, link.generation + 1, signal.order, over=overtaken)


def _with_open_ticket(link: Link, signal: Signal, policy: Policy) -> Decision:
    if signal.state is SignalState.RESOLVED:
        return _end(link, signal.order, policy)
    if not policy.comments:
        return SaveLink(replace(link, latest=signal.order, resolved_by=None), "noted")
    return CallTicketSystem(Op.COMMENT, link.generation, signal.order)


def _with_resolved_ticket(link: Link, signal: Signal, policy: Policy) -> Decision:
    if signal.state is SignalState.RESOLVED:
        return SaveLink(replace(link, latest=signal.order, ended=signal.occurred_at), "already_over")
    if signal.state is SignalState.UPDATED:
        if not policy.comments:
            return SaveLink(replace(link, latest=signal.order), "noted")
        return CallTicketSystem(Op.COMMENT, link.generation, signal.order)
    ended = link.ended or link.ticket_read_at or signal.occurred_at
    if signal.occurred_at - ended <= policy.reopen_window:
        return CallTicketSystem(Op.REOPEN, link.generation, signal.order)
    return CallTicketSystem(Op.CREATE, link.generation + 1, signal.order)


def _with_closed_ticket(link: Link, signal: Signal, policy: Policy) -> Decision:
    if signal.state is SignalState.FIRED:
        return CallTicketSystem(Op.CREATE, link.generation + 1, signal.order)
    if signal.state is SignalState.RESOLVED and link.missing_since is not None and policy.resolve != "nothing":
        return TicketDeleted()
    ended = signal.occurred_at if signal.state is SignalState.RESOLVED else link.ended
    return SaveLink(replace(link, latest=signal.order, ended=ended), "closed")


_BY_STAGE = {
    LinkStage.NONE: _without_ticket,
    LinkStage.OPEN: _with_open_ticket,
    LinkStage.RESOLVED: _with_resolved_ticket,
    LinkStage.CLOSED: _with_closed_ticket,
}


def _read_first(action: Decision, link: Link, policy: Policy, now: datetime) -> Decision:
    """Read a ticket first that was not seen last time, or that was not read for long and would be written blindly.

    A reopen needs no reading: the connector itself reads before it reopens. Nor does a create whose last attempt is
    known to have had no effect: what was not seen is the ticket that an earlier attempt might have made.
    """
    if not policy.findable:
        return action
    if (
        link.missing_since is not None
        and link.ticket is not None
        and isinstance(action, CallTicketSystem | TicketDeleted)
    ):
        return ReadTicket()
    if not isinstance(action, CallTicketSystem) or action.op not in (Op.COMMENT, Op.RESOLVE):
        return action
    recheck = policy.recheck_after
    if recheck is None:
        recheck = timedelta() if action.op is Op.RESOLVE else NOTE_RECHECK
    if link.ticket_read_at is None or now - link.ticket_read_at >= recheck:
        return ReadTicket()
    return action


def reserve(
    link: Link, call: CallTicketSystem, target: CallTarget, message_id: str, now: datetime, lease: timedelta
) -> Link:
    """The link with the call written into it as pending."""
    pending = Pending(
        op=call.op,
        by=message_id,
        until=now + lease,
        event=call.event,
        over=call.over,
        generation=call.generation,
        connection=target.connection,
        kind=target.kind,
        route=target.route,
        flapping=call.flapping,
    )
    changes = link.changes if call.changes is None else call.changes
    return replace(link, pending=pending, changes=changes, updated_at=now, created_at=link.created_at or now)


def commit(link: Link, pending: Pending, ticket: Ticket, now: datetime) -> Link:
    """The link after a call whose effect is known to be there. ``ticket`` is the system's own account of it."""
    done = replace(
        link,
        stage=LinkStage(ticket.phase.value),
        ticket=ticket.ref,
        state=ticket.state,
        latest=pending.event,
        ticket_read_at=now,
        missing_since=None,
        pending=None,
        dead_letter="",
        flapping=link.flapping or pending.flapping,
        updated_at=now,
    )
    if pending.op in (Op.CREATE, Op.REOPEN):
        done = replace(done, first_held=None, held_by="", firings=0, last_held=None, flapping=False)
    if pending.op is Op.CREATE:
        return _created(done, link, pending)
    if pending.over:
        return replace(done, ended=pending.event[0], resolved_by=None, flapping=False)
    if pending.op is Op.REOPEN or pending.event[1] == FIRED_RANK:
        # People may have resolved the ticket since the note was written.
        ended = now if done.stage is LinkStage.RESOLVED else None
        return replace(done, ended=ended, resolved_by=None, reopened=link.reopened or pending.op is Op.REOPEN)
    return done


def _created(done: Link, before: Link, pending: Pending) -> Link:
    earlier = (*before.earlier, before.ticket.number) if before.ticket is not None else before.earlier
    done = replace(
        done,
        generation=pending.generation,
        connection=pending.connection,
        kind=pending.kind,
        route=pending.route,
        earlier=earlier,
        reopened=False,
        opened_at=done.updated_at,
        opened_by=pending.event,
        owner="",
        due=None,
        close_code="",
        revision=0,
    )
    if before.resolved_by is None or not (pending.over or before.resolved_by > pending.event):
        return replace(done, resolved_by=None, ended=None)
    end = after(before.resolved_by, pending.event)
    if done.stage is LinkStage.OPEN:
        return replace(done, resolved_by=end)  # the ticket does not show the end yet: the next decision resolves it
    return replace(done, latest=end, ended=end[0], resolved_by=None)


def reconcile_pending(link: Link, found: Ticket | None, findable: bool, now: datetime) -> Link:
    """The link after its ticket was read: what the pending call achieved, or what people did meanwhile.

    A pending call that shows no effect is cleared, so that it is decided anew; it cannot have an effect later, because
    its lease is longer than any call. Of kinds that cannot be looked up (``findable`` is False) nothing is learnt, and
    the call is made again: they are idempotent by key. What is not found proves nothing either: see :func:`not_seen`.
    """
    pending = link.pending
    if pending is not None and found is not None and _achieved(pending, found):
        return commit(link, pending, found, now)
    cleared = replace(link, pending=None, missing_since=None, updated_at=now)
    if not findable or found is None or (pending is not None and pending.op is Op.CREATE):
        return cleared
    stage = LinkStage(found.phase.value)
    ended = (link.ended or now) if stage is LinkStage.RESOLVED else link.ended
    return replace(cleared, stage=stage, ticket=found.ref, state=found.state, ended=ended, ticket_read_at=now)


def not_seen(link: Link, now: datetime) -> Link:
    """The link after a look-up did not show its ticket. A pending call stays: its outcome is still unknown."""
    return link if link.missing_since is not None else replace(link, missing_since=now)


def believed_deleted(link: Link, now: datetime) -> Link:
    """The link after its ticket was missing for long enough. Where a create is pending, it made no ticket."""
    since = link.missing_since or now
    if link.pending is not None and link.pending.op is Op.CREATE:
        return replace(link, pending=None, missing_since=None, updated_at=now)
    return replace(
        link, pending=None, stage=LinkStage.CLOSED, state="", missing_since=since, ticket_read_at=now, updated_at=now
    )


def refused(link: Link, event: Order, dead_letter: str, now: datetime) -> Link:
    """The link after an event was refused for good: its duplicates are not tried again, its replay is."""
    latest = event if link.latest is None else max(link.latest, event)
    return replace(link, pending=None, latest=latest, dead_letter=dead_letter, updated_at=now)


def _achieved(pending: Pending, found: Ticket) -> bool:
    """Whether the ticket as it was found shows the effect of a call."""
    match pending.op:
        case Op.CREATE:
            return True
        case Op.RESOLVE:
            return found.phase is not Phase.OPEN
        case Op.REOPEN:  # with its note there, it was open: who resolved it since did so after the problem came back
            return found.phase is Phase.OPEN or found.noted is True
        case Op.COMMENT:
            return found.noted is True
