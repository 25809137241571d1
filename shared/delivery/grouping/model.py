"""A group of alerts that share one ticket: who belongs to it, and what its ticket has been told. Pure values.

A group is a signal source of its own. What happens to its members is counted here; what its ticket has to know is sent
as signals with the group's key, which are delivered as every other signal, so that delivery knows nothing of groups.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.core.signal import Order, Signal, SignalState, names_one_occurrence
from shared.delivery.decision.clocks import after, is_as_new

#: Resources that a member row names, and that a note lists.
MEMBER_RESOURCES = 5
LISTED = 20

#: After a Resolved the group waits this long for others before it says that all is over.
SETTLE = timedelta(seconds=15)

#: A flush is ordered at least this far ahead, so that it counts what joins meanwhile.
AHEAD = timedelta(seconds=1)

#: A flush that is overdue for so long is taken to be lost: longer than the message of a killed worker stays hidden.
LOST = timedelta(minutes=1)

#: Digits of an order's id that are its own; the others are the first ones of the id that it replaces.
_OWN = 16

#: Communications whose digests a group remembers, hex digits of each, and texts that wait to be told, in characters.
_MOST_SEEN = 60
_DIGEST = 16
_MOST_NEW = 5
_LONGEST_TEXT = 3_000


@dataclass(frozen=True, slots=True)
class Member:
    """One alert of a group.

    Attributes:
        key: the alert's own key.
        latest: the newest event counted. fired: the newest firing. over: the newest Resolved, which may have come
            before its Fired.
        firings: how often it fired.
        resources: names of what is affected, a few. items: the same as configuration items are looked for, by id.
        first: when it fired first since it was off, None while only its Resolved is known.
    """

    key: str
    latest: Order
    fired: Order | None = None
    over: Order | None = None
    firings: int = 0
    resources: tuple[str, ...] = ()
    first: datetime | None = None
    items: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        """Whether the alert is fired as far as anybody knows."""
        return self.fired is not None and (self.over is None or self.over < self.fired)


def communication_of(signal: Signal) -> str:
    """What the sender itself writes about the problem with this very signal, ``""`` for nothing."""
    return signal.details.get("communication", "")


def count(member: Member | None, signal: Signal) -> Member | None:
    """The member after a signal, None when the signal says nothing new."""
    affected = signal.resources[:MEMBER_RESOURCES]
    names, items = tuple(r.name or r.id or "" for r in affected), tuple(r.id or r.name or "" for r in affected)
    if member is None:
        member = Member(signal.key, signal.order, resources=names, items=items)
    newest = max(member.latest, signal.order)
    if signal.state is SignalState.RESOLVED:
        over = signal.order
        if member.fired is not None and member.is_on:
            only_end = names_one_occurrence(signal.key) and member.over is None
            if only_end or is_as_new(over, member.fired):
                over = after(over, member.fired)
        if member.over is not None and over <= member.over:
            return None
        return replace(member, latest=max(newest, over), over=over)
    if member.fired is not None and signal.order <= member.fired:
        return None
    if signal.state is SignalState.UPDATED and member.fired is not None:
        return replace(member, latest=newest, resources=names, items=items)
    if communication_of(signal) and member.is_on:  # the sender writes more about it; it did not fire again
        return replace(member, latest=newest, fired=signal.order, resources=names, items=items)
    if member.fired is None and member.over is not None and is_as_new(member.over, signal.order):
        member = replace(member, over=after(member.over, signal.order))
    first = signal.occurred_at if member.first is None or not member.is_on else member.first
    member = replace(member, resources=names, items=items, first=first)
    return replace(member, latest=newest, fired=signal.order, firings=member.firings + 1)


@dataclass(frozen=True, slots=True)
class Census:
    """What there is to say of a group at one moment.

    ``alerts`` that fired at least once, ``firings`` altogether, alerts still ``on``, and the ``resources`` of all, in
    the order in which they joined. ``began``: when the first of those that are on fired, None when none is.
    ``lasted``: the longest time that one was on which is over now.
    """

    alerts: int = 0
    firings: int = 0
    on: int = 0
    resources: tuple[str, ...] = ()
    began: datetime | None = None
    lasted: timedelta = timedelta()


def census(members: list[Member]) -> Census:
    """Count a group's members."""
    fired = sorted((m for m in members if m.firings and m.first), key=lambda m: (m.first or m.latest[0], m.key))
    return Census(
        alerts=len(fired),
        firings=sum(m.firings for m in fired),
        on=sum(m.is_on for m in fired),
        resources=tuple(dict.fromkeys(name for m in fired for name in m.resources if name)),
        began=min((m.first for m in fired if m.is_on and m.first), default=None),
        lasted=max((m.over[0] - m.first for m in fired if m.over and m.first and not m.is_on), default=timedelta()),
    )


class GroupStatus(StrEnum):
    """Where a group stands."""

    WAITING = "waiting"  #: its ticket knows nothing yet
    ON = "on"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class GroupUpdate:
    """What the group's ticket was told last, or is being told: it is repeated unchanged until that is certain."""

    state: SignalState
    order: Order
    alerts: int = 0
    firings: int = 0
    on: int = 0
    resources: int = 0
    new: tuple[str, ...] = ()
    new_texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupRules:
    """How a group behaves: at most one note in ``note_every``; a ticket only once a member's problem lasted ``after``
    or there were ``firings`` of them (zero: at once). ``summary`` describes a throttle's summary ticket, else empty."""

    note_every: timedelta
    after: timedelta = timedelta()
    firings: int = 0
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """One group.

    Attributes:
        key: of the group's signals. route: by which they go.
        head: the signal that began it, for title, fields and routes.
        since: when that was.
        status: see :class:`GroupStatus`.
        last_update: what the ticket knows, None for nothing.
        pending_update: what is on its way to the ticket, None for nothing.
        flush_at: when the group is flushed next, None when no flush is ordered that has not begun yet.
        opened: its first signal opened the ticket at once; delivered once more, it does so again.
        flush_id: the order of a flush that is in force, or that was done last. Empty when the row names none.
        seen_texts: digests of what the senders of members wrote (communications), the newest ones.
        new_texts: of these the texts that the ticket does not have yet. Copies for several subscriptions are sent once.
    """

    key: str
    route: str
    head: Signal
    since: datetime
    rules: GroupRules
    status: GroupStatus = GroupStatus.WAITING
    last_update: GroupUpdate | None = None
    pending_update: GroupUpdate | None = None
    flush_at: datetime | None = None
    opened: bool = False
    flush_id: str = ""
    seen_texts: tuple[str, ...] = ()
    new_texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlushResult:
    """What a flush leads to: the group as it is then, with ``pending_update`` set when its ticket is to be updated.

    ``suppressed``: all of it ended before it was worth a ticket, and counting starts anew.
    """

    group: Group
    suppressed: bool = False


def next_flush(group: Group, signal: Signal, now: datetime) -> datetime:
    """When a group should be flushed because of a signal that was just counted."""
    if signal.state is SignalState.RESOLVED:
        at = now + SETTLE
    elif group.status is GroupStatus.WAITING:
        due = signal.occurred_at + group.rules.after if group.rules.after else now
        at = min(due, now + SETTLE) if group.rules.firings > 1 else due
    elif group.status is GroupStatus.OVER or group.last_update is None or group.new_texts:
        at = now
    else:
        at = group.last_update.order[0] + group.rules.note_every
    return max(at, now + AHEAD)


def needs_flush(group: Group, at: datetime, now: datetime) -> bool:
    """Whether a flush at ``at`` has to be ordered in place of the one that the group's row names.

    A flush takes its order off the row before it counts. So one that the row names, overdue or not, will count
    whatever was counted before the row was read; only a lost one would not. Where the row names no order, an overdue
    flush counts as lost at once.
    """
    if group.flush_at is None or group.flush_at > at + AHEAD:
        return True
    return group.flush_at + (LOST if group.flush_id else timedelta()) <= now


def order_id(replaces: str, random: str) -> str:
    """The id of an order that is to replace another one in the row (empty: none), made of 32 random hex digits."""
    return random[:_OWN] + (replaces[:_OWN] or "0" * _OWN)


def is_in_force(group: Group, order: str, now: datetime) -> bool:
    """Whether a flush may be done by this order: the row names it, or still names the order that it replaces, or names
    one that is due, for which this one does as well.

    All others are superseded: their authors can no longer write the row as it was then.
    """
    if group.flush_id in ("", order) or group.flush_id[:_OWN] == order[_OWN:]:
        return True
    return group.flush_at is not None and group.flush_at <= now


def add_communication(group: Group, signal: Signal) -> Group:
    """The group with what the sender of a signal writes, where nobody wrote the same before."""
    text = communication_of(signal)
    digest = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:_DIGEST]
    if not text or digest in group.seen_texts:
        return group
    texts = (*group.new_texts, text[:_LONGEST_TEXT])[-_MOST_NEW:]
    return replace(group, seen_texts=(*group.seen_texts, digest)[-_MOST_SEEN:], new_texts=texts)


def concluded(current: Group, taken: Group, found: Group) -> Group | None:
    """The group as it is now with what a flush found in it that began when it was ``taken``; None when its ticket
    was told something meanwhile, which ``found`` knows nothing of."""
    if (current.status, current.last_update) != (taken.status, taken.last_update):
        return None
    told = found.pending_update.new_texts if found.pending_update is not None else ()
    texts = tuple(text for text in current.new_texts if text not in told)
    return replace(
        current,
        status=found.status,
        last_update=found.last_update,
        pending_update=found.pending_update,
        new_texts=texts,
    )


def flush(group: Group, found: Census, now: datetime) -> FlushResult:
    """What the group's ticket has to be told now, given who belongs to it."""
    if group.status is GroupStatus.WAITING:
        return _open(group, found, now)
    last = group.last_update or GroupUpdate(SignalState.FIRED, (group.since, 0))
    if group.status is GroupStatus.OVER:
        if found.on:
            return _update(group, SignalState.FIRED, found, now, GroupStatus.ON)
        if group.new_texts:  # what is written after the end, such as the root cause
            return _update(group, SignalState.UPDATED, found, now, GroupStatus.OVER)
        return FlushResult(replace(group, flush_at=None))
    if not found.on:
        return _update(group, SignalState.RESOLVED, found, now, GroupStatus.OVER)
    if (found.firings, found.on) == (last.firings, last.on) and not group.new_texts:
        return FlushResult(replace(group, flush_at=None))
    due = last.order[0] + group.rules.note_every
    if now < due and not group.new_texts:
        return FlushResult(replace(group, flush_at=due))
    return _update(
        group, SignalState.FIRED if found.firings > last.firings else SignalState.UPDATED, found, now, GroupStatus.ON
    )


def _open(group: Group, found: Census, now: datetime) -> FlushResult:
    rules = group.rules
    if not found.alerts:
        return FlushResult(replace(group, flush_at=None))
    often_enough = found.firings >= rules.firings > 0
    lasted = rules.after > timedelta() and found.lasted >= rules.after
    if not found.on and (rules.after or rules.firings) and not (often_enough or lasted):
        return FlushResult(replace(group, flush_at=None), suppressed=True)
    due = (found.began or now) + rules.after
    lasts = now >= due if rules.after else rules.firings == 0
    if not (often_enough or lasted or lasts):
        return FlushResult(replace(group, flush_at=due if rules.after else None))
    return _update(group, SignalState.FIRED, found, now, GroupStatus.ON)


def _update(group: Group, state: SignalState, found: Census, now: datetime, status: GroupStatus) -> FlushResult:
    """Begin an update of the ticket; its time is later than that of all updates before."""
    before = group.last_update
    moment = now if before is None else max(now, before.order[0] + timedelta(milliseconds=1))
    known = before.resources if before is not None else 0
    rank = {SignalState.FIRED: 0, SignalState.UPDATED: 1, SignalState.RESOLVED: 2}[state]
    update = GroupUpdate(
        state,
        (moment, rank),
        found.alerts,
        found.firings,
        found.on,
        len(found.resources),
        found.resources[known : known + LISTED],
        group.new_texts,
    )
    # What is over before its ticket is made still has to be reported as over.
    again = now + AHEAD if state is SignalState.FIRED and not found.on else None
    return FlushResult(
        replace(group, status=status, last_update=update, pending_update=update, flush_at=again, new_texts=())
    )


def begin(key: str, route: str, head: Signal, rules: GroupRules, first: Member) -> Group:
    """A group that its first signal begins; where there is nothing to wait for, that signal opens the ticket."""
    group = add_communication(Group(key, route, head, head.occurred_at, rules), head)
    group = replace(group, new_texts=())  # the head brings its text
    if rules.after or rules.firings > 1 or rules.summary or not first.is_on:
        return group
    return replace(group, status=GroupStatus.ON, last_update=opening(group), opened=True)


def opening(group: Group) -> GroupUpdate:
    """What a group's first signal says of it."""
    names = tuple(r.name or r.id or "" for r in group.head.resources[:MEMBER_RESOURCES])
    return GroupUpdate(SignalState.FIRED, (group.since, 0), 1, 1, 1, len(names), names)
