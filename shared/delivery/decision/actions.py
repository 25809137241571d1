"""What can be decided about a signal, and what decisions depend on. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from shared.core.link import Link, Op
from shared.core.signal import Order
from shared.core.ticket_system import TicketKind

#: A ticket that was not read for this long is read before a note, where nothing else is configured.
NOTE_RECHECK: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Hold:
    """What keeps a firing from opening a ticket.

    Attributes:
        rule: name of what holds, for people.
        until: end of the maintenance window that is on now, None when none is.
        after: the problem has to last this long first, zero for at once.
        firings: or fire this often; 0 when only time counts.
    """

    rule: str
    until: datetime | None = None
    after: timedelta = timedelta()
    firings: int = 0


@dataclass(frozen=True, slots=True)
class Flap:
    """More than ``changes`` changes within ``window`` hold the ticket open until the problem is quiet for as long."""

    changes: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """The part of route and configuration that decisions depend on.

    Attributes:
        resolve: what a Resolved does: resolve, comment, or nothing.
        comments: whether updates and repeated firings are written as notes.
        reopen_window: how long after its end a problem reopens its ticket.
        recheck_after: a ticket not heard of for this long is read before it is written; None: always before a resolve,
            after ``NOTE_RECHECK`` before a note.
        findable: whether tickets of this kind can be looked up at all.
        hold: what keeps a firing from opening a ticket, None when nothing does.
        flap: when a problem that comes and goes keeps its ticket open, None for never.
    """

    resolve: Literal["resolve", "comment", "nothing"] = "resolve"
    comments: bool = True
    reopen_window: timedelta = timedelta(hours=24)
    recheck_after: timedelta | None = None
    findable: bool = True
    hold: Hold | None = None
    flap: Flap | None = None


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing to do. ``why`` is ``duplicate``, ``stale``, ``in_progress``, ``nothing_to_do``, ``suppressed`` or
    ``no_ticket``."""

    why: Literal["duplicate", "stale", "in_progress", "nothing_to_do", "suppressed", "no_ticket"]


@dataclass(frozen=True, slots=True)
class Locked:
    """Another worker holds the key: come back at ``until`` at the latest."""

    until: datetime


@dataclass(frozen=True, slots=True)
class SaveLink:
    """Only the link changes."""

    link: Link
    why: Literal["resolved_before_fired", "already_over", "noted", "closed", "suppressed"]


@dataclass(frozen=True, slots=True)
class Reschedule:
    """The link is written, and the signal comes back at ``until`` (None: another one will decide for it)."""

    link: Link
    until: datetime | None
    why: Literal["held", "flapping"]


@dataclass(frozen=True, slots=True)
class ReadTicket:
    """Read the ticket first. ``reconcile_pending`` says what the answer means for the link."""


@dataclass(frozen=True, slots=True)
class TicketDeleted:
    """The ticket that the signal should change is believed to be deleted: the signal becomes a dead letter."""


@dataclass(frozen=True, slots=True)
class CallTicketSystem:
    """Reserve, call, commit.

    ``generation`` is the ticket's. ``over``: the problem has already ended. ``flapping``: the comment says that the
    ticket is held open. ``changes``: what the link is to know of the problem's coming and going.
    """

    op: Op
    generation: int
    event: Order
    over: bool = False
    flapping: bool = False
    changes: tuple[datetime, ...] | None = None


Decision = Ignore | Locked | SaveLink | Reschedule | ReadTicket | TicketDeleted | CallTicketSystem


@dataclass(frozen=True, slots=True)
class CallTarget:
    """Where a call goes: connection, ticket kind and the route that chose them."""

    connection: str
    kind: TicketKind
    route: str
