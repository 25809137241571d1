"""The link between a key and its ticket: all that the bridge remembers of a signal, and the names that follow from a
key: the ticket's id and correlation text, and the id of the link's row. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.core.signal import Order
from shared.core.ticket_system import TicketKind, TicketRef

#: The shortest field that ticket systems have for the correlation text holds 100 characters; a longer text would be cut
#: and never found again.
MAX_CORRELATION = 100

#: The name of the bridge, written into its tickets and searched for beside the correlation text.
DISPLAY = "Azure ITSM Bridge"


class LinkStage(StrEnum):
    """Where the key's current ticket stands, as far as the bridge knows."""

    NONE = "none"  #: no ticket was made so far
    OPEN = "open"
    RESOLVED = "resolved"
    CLOSED = "closed"  #: closed or deleted: never written again


class Op(StrEnum):
    """A call to a ticket system that changes something."""

    CREATE = "create"
    COMMENT = "comment"
    RESOLVE = "resolve"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that was decided and not yet confirmed. While it stands, its outcome must be taken as unknown.

    Attributes:
        op: which call.
        by: id of the message whose delivery makes it.
        until: end of the lease; afterwards anybody may find out what became of it.
        event: order of the signal being delivered.
        over: the problem is known to have ended: a resolve, a comment that says so, or a ticket born resolved.
        flapping: a comment that says that the ticket is held open, because its problem comes and goes.
        unconfirmed_since: when the call was accepted but its answer showed the ticket unchanged; None otherwise.
        generation, connection, kind, route: of the ticket that the call makes or changes.
    """

    op: Op
    by: str
    until: datetime
    event: Order
    over: bool
    generation: int
    connection: str
    kind: TicketKind
    route: str
    flapping: bool = False
    unconfirmed_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One key, its current ticket, and the events applied so far.

    Attributes:
        key: the signal's key.
        generation: how many tickets the key has had; 0 while there was none.
        stage: of the current ticket.
        connection, kind, route: by which the ticket was made; empty while there is none.
        ticket: the current ticket, None while there is none.
        earlier: numbers of the key's earlier tickets, oldest first.
        latest: the newest event applied to the ticket (or known to have needed nothing).
        ended: when the problem ended last, if it did.
        resolved_by: a Resolved that came before its Fired, or that the ticket does not show yet.
        ticket_read_at: when the ticket system last reported the ticket's state.
        missing_since: when the ticket (or the one that a pending create may have made) was first not seen by a look-up;
            None while it is visible. A stage of closed with it means that the ticket is believed to be deleted.
        reopened: the current ticket was reopened because its problem came back.
        pending: the call under way.
        first_held: the first of the firings that wait for a maintenance window to end or for more of their kind.
        held_by: name of the rule that holds or suppressed them.
        firings: how many firings are held, ``last_held`` the newest of them.
        changes: when the problem came and went last, oldest first; only kept where a route guards against flapping.
        flapping: the ticket is held open until the problem has been quiet for a while.
        dead_letter: id of the dead letter when the newest event was refused for good.
        title, source, origin: of the newest signal, for lists and for the write-back.
        opened_at: when the current ticket was made. opened_by: the event for which it was made.
        state: of the current ticket, as the ticket system stores it; empty while it has not said so.
        owner, due: who works on the ticket, and until when, as the ticket system said last.
        close_code: how the ticket ended, as the ticket system said last.
        revision: how often the ticket had been changed when the ticket system said so.
        last_pushed: what was last pushed to the source, as text that only its write-back target understands.
        affected: digest of the resources that the current ticket lists as affected; empty for none.
        created_at, updated_at: of the link.
    """

    key: str
    generation: int = 0
    stage: LinkStage = LinkStage.NONE
    connection: str = ""
    kind: TicketKind = TicketKind.INCIDENT
    route: str = ""
    ticket: TicketRef | None = None
    earlier: tuple[str, ...] = ()
    latest: Order | None = None
    ended: datetime | None = None
    resolved_by: Order | None = None
    ticket_read_at: datetime | None = None
    missing_since: datetime | None = None
    reopened: bool = False
    pending: Pending | None = None
    first_held: Order | None = None
    held_by: str = ""
    firings: int = 0
    last_held: Order | None = None
    changes: tuple[datetime, ...] = ()
    flapping: bool = False
    dead_letter: str = ""
    title: str = ""
    source: str = ""
    origin: str = ""
    opened_at: datetime | None = None
    opened_by: Order | None = None
    state: str = ""
    owner: str = ""
    due: datetime | None = None
    close_code: str = ""
    revision: int = 0
    last_pushed: str = ""
    affected: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None


def ticket_id(connection: str, key: str, generation: int) -> str:
    """32 hex digits for one ticket of a key: the same in every worker, at every attempt.

    The connection is part of it, so that a key that moves to another instance gets a ticket of its own there.
    """
    return hashlib.sha256(f"{connection}\n{key}\n{generation}".encode()).hexdigest()[:32]


def correlation(key: str, generation: int) -> str:
    """At most 100 characters that name one ticket of a key: the key itself, ``#2`` and so on for later tickets.

    A key that is too long keeps its type and version and is hashed: ``alert:1:sha256.<hex>``.
    """
    suffix = f"#{generation}" if generation > 1 else ""
    if len(key) + len(suffix) <= MAX_CORRELATION:
        return key + suffix
    kind, version, _ = key.split(":", 2)
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f"{kind[:20]}:{version}:sha256.{digest}{suffix}"


def link_id(key: str) -> str:
    """64 hex digits under which a key's link is stored: keys hold characters that storage forbids."""
    return hashlib.sha256(key.encode()).hexdigest()


_LATER = re.compile(r"(.+)#([2-9]|[1-9][0-9]+)", re.DOTALL)
_HASHED = re.compile(r"[^:]{1,20}:[^:]+:sha256\.([0-9a-f]{64})")


def link_ids(correlation_text: str) -> tuple[str, ...]:
    """The inverse of :func:`correlation`: ids of the links that may have given a ticket its correlation, likely first.

    At most four, mostly one, never none: ``#2`` may be a generation or the end of the key itself, and a key may look as
    if it were hashed. Only the ticket's own id tells: the right link names it.
    """
    later = _LATER.fullmatch(correlation_text)
    keys = [later[1], correlation_text] if later else [correlation_text]
    hashed = [found[1] for key in keys if (found := _HASHED.fullmatch(key))]
    return tuple(dict.fromkeys([*hashed, *(link_id(key) for key in keys)]))
