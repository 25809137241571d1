"""How a link follows its ticket: what a look at the ticket system's changes does to what is remembered. Pure.

Two orders decide what is news. The ticket's revision orders its own changes, so an older account never undoes a newer
one. The state may also have come from the answer to a call of ours, which names no revision; there the times decide
whether the account at hand was asked for before or after.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.core.link import Link, LinkStage, Op, correlation
from shared.core.ticket_system import Person, TicketSnapshot

#: The clocks of two workers differ by less.
SKEW = timedelta(seconds=30)


class TicketMatch(StrEnum):
    """What a ticket is to a link that it may belong to."""

    OURS = "ours"  #: the link's present ticket
    COMING = "coming"  #: a delivery is making it just now: the link will name it in a moment
    OTHER = "other"  #: an earlier generation's, another connection's, or no ticket of this link


def fit(link: Link, changed: TicketSnapshot, connection: str) -> TicketMatch:
    """Whether a ticket that a connection reports is the link's own. A key is never enough: the ticket's id decides."""
    pending = link.pending
    if link.connection == connection and link.ticket is not None and link.ticket.id == changed.ref.id:
        return TicketMatch.OURS
    if pending is not None and pending.op is Op.CREATE and pending.connection == connection:
        coming = correlation(link.key, pending.generation) == changed.ref.correlation
        return TicketMatch.COMING if coming and pending.kind is changed.ref.kind else TicketMatch.OTHER
    return TicketMatch.OTHER


def contested(link: Link, changed: TicketSnapshot, read_at: datetime) -> bool:
    """Whether link and account disagree on the state, and nobody can say which is newer: the ticket has to be asked.

    That is so only where a call of ours was answered at about the time at which the changes were asked for.

    Args:
        link: the ticket's.
        changed: the account.
        read_at: when it was asked for, by the bridge's clock.
    """
    if link.pending is not None or changed.revision < link.revision or link.ticket_read_at is None:
        return False
    same = link.state == changed.state and link.stage.value == changed.phase.value
    return not same and link.ticket_read_at > read_at - SKEW


def moved(link: Link, changed: TicketSnapshot, read_at: datetime) -> Link:
    """The link after what a look at its ticket found; the same link when that is no news.

    While a delivery is pending its stage stays: the delivery finds out itself, because the link was written meanwhile.
    A ticket that people reopen has not ended, whatever was known before.

    Args:
        link: the ticket's.
        changed: the account, of which :func:`contested` is not true.
        read_at: when it was asked for, by the bridge's clock.
    """
    if changed.revision < link.revision:
        return link
    stage, ended = link.stage, link.ended
    if link.pending is None:
        stage = LinkStage(changed.phase.value)
        if stage is LinkStage.RESOLVED and link.stage is not LinkStage.RESOLVED:
            ended = link.ended or read_at
        elif stage is LinkStage.OPEN and link.stage is not LinkStage.OPEN:
            ended = None
    follows = replace(
        link,
        stage=stage,
        ended=ended,
        state=changed.state,
        owner=called(changed.assigned_to),
        due=changed.due_date,
        close_code=changed.close_code,
        revision=changed.revision,
        missing_since=None,
    )
    if follows == link:
        return link
    seen = read_at if link.ticket_read_at is None else max(link.ticket_read_at, read_at)
    return replace(follows, ticket_read_at=seen, updated_at=read_at)


def returned(before: Link, after: Link) -> bool:
    """Whether a ticket that was taken for deleted is visible again."""
    return before.missing_since is not None and before.stage is LinkStage.CLOSED and after.missing_since is None


def called(person: Person | None) -> str:
    """What a list calls somebody; empty for nobody."""
    return "" if person is None else person.name or person.user_name or person.email or person.id
