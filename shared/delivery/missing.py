"""When a ticket that cannot be seen is believed to be deleted.

One look-up that finds nothing proves nothing. The ticket may be hidden (a right was taken away, a rule hides rows, its
domain changed), its record may not be committed yet, or a replica may lag behind. So a ticket has to be missing for a
while, and other tickets of the same connection and kind have to be visible meanwhile. The times are multiples of
``delivery.missing_after``:

==========================  ====================================
other tickets               the ticket is believed to be deleted
==========================  ====================================
at least half are visible   after ``missing_after``
some are visible            after 12 times ``missing_after``
there are no others         after 12 times ``missing_after``
none is visible             after 288 times ``missing_after``
==========================  ====================================

With the default of five minutes these are an hour and a day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.core.errors import Refused, TicketMissing
from shared.core.link import Link, Op, Pending, ticket_id
from shared.core.ticket_system import Phase, Ticket, TicketKind, TicketSystems
from shared.delivery.links import LinkStore

#: Tickets that are compared with the missing one: one call to the ticket system.
_COMPARED: Final = 50

#: How long the answer of a comparison is used by a process.
_USED_FOR: Final = timedelta(minutes=1)

_FEW_VISIBLE: Final = 12
_NONE_VISIBLE: Final = 288

#: A create whose outcome is unknown is repeated after this time at the latest, where other tickets are visible or there
#: are none: its record is committed by then, and an alert should not wait longer.
_LONGEST_COMMIT: Final = timedelta(minutes=2)

_FIRST_WAIT: Final = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class _Others:
    """Other tickets at a time: how many there should be, and how many of them are visible."""

    at: datetime
    known: int
    visible: int

    @property
    def patience(self) -> int:
        """By how much the time is multiplied after which a ticket is believed to be deleted."""
        if self.known and self.visible * 2 >= self.known:
            return 1
        return _NONE_VISIBLE if self.known and not self.visible else _FEW_VISIBLE


class MissingTickets:
    """Judges tickets that a look-up did not show.

    Args:
        links: of all tickets.
        systems: gives the ticket system of a connection, within its budget.
        missing_after, longest_wait: see above, and the longest time between two looks.
        now: the clock.
    """

    def __init__(
        self,
        links: LinkStore,
        systems: TicketSystems,
        missing_after: timedelta,
        longest_wait: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._links = links
        self._systems = systems
        self._missing_after = missing_after
        self._longest_wait = longest_wait
        self._now = now
        self._others: dict[tuple[str, TicketKind], _Others] = {}

    async def wait(self, link: Link) -> float | None:
        """Seconds until the ticket of a link is looked for again; None when its absence is believed.

        ``link.missing_since`` says since when the ticket is missing. Raises StorageUnavailable and what
        ``TicketSystem.existing`` raises.
        """
        pending = link.pending
        creating = pending is not None and pending.op is Op.CREATE
        connection, kind = (pending.connection, pending.kind) if pending and creating else (link.connection, link.kind)
        if creating and await self._keeps_ids(connection, kind, link.key):
            return None  # to repeat the create is safe: the ticket's id is known, and makes no second ticket
        now = self._now()
        missing = now - (link.missing_since or now)
        least = min(self._missing_after, _LONGEST_COMMIT) if creating else self._missing_after
        if missing < least:
            return self._next(missing, least)
        others = await self._seen(connection, kind, link.key)
        needed = self._missing_after * others.patience
        if creating and (others.visible or not others.known):
            needed = least
        return self._next(missing, needed) if missing < needed else None

    def _next(self, missing: timedelta, needed: timedelta) -> float:
        """The next look comes after twice the time that has passed, and at the latest when it decides."""
        wait = min(max(_FIRST_WAIT, missing * 2), self._longest_wait, needed - missing)
        return max(wait.total_seconds(), 1.0)

    async def _keeps_ids(self, connection: str, kind: TicketKind, key: str) -> bool:
        """Whether the connection's tickets have the ids that the bridge chose; False when there are none."""
        others = await self._links.sample(connection, kind, key, _COMPARED)
        return bool(others) and all(
            one.ticket is not None and one.ticket.id == ticket_id(connection, one.key, one.generation) for one in others
        )

    async def _seen(self, connection: str, kind: TicketKind, key: str) -> _Others:
        known = self._others.get((connection, kind))
        now = self._now()
        if known is not None and now - known.at < _USED_FOR:
            return known
        others = await self._links.sample(connection, kind, key, _COMPARED)
        ids = [one.ticket.id for one in others if one.ticket is not None]
        visible = await self._systems(connection).existing(kind, ids) if ids else frozenset()
        found = self._others[(connection, kind)] = _Others(now, len(ids), len(visible))
        return found


def called(link: Link) -> str:
    """What a link's missing ticket is called."""
    if link.pending is not None and link.pending.op is Op.CREATE:
        return "a ticket that may have been made"
    return "its ticket" if link.ticket is None else link.ticket.number or link.ticket.id


def deleted(link: Link) -> TicketMissing:
    """What becomes of a signal whose ticket is believed to be deleted."""
    since = "" if link.missing_since is None else f" since {link.missing_since:%Y-%m-%d %H:%M} UTC"
    return TicketMissing(
        f"{called(link)} cannot be seen{since}, and is taken for deleted",
        connection=link.connection,
        advice="Look whether it exists and whether the integration user may read it. When it is visible again, the "
        "full check replays this by itself; drop it if the ticket was deleted on purpose",
    )


def unchanged(pending: Pending, ticket: Ticket) -> str:
    """What is wrong with a ticket that does not show yet what a call changed."""
    number = ticket.ref.number or ticket.ref.id
    wanted = "resolved" if pending.op is Op.RESOLVE else "reopened"
    return f"{pending.connection}: {number} was accepted as {wanted} and does not show it yet"


def shows(pending: Pending, ticket: Ticket) -> bool:
    """Whether a ticket is in the state that a resolve or a reopen wanted."""
    return (ticket.phase is Phase.OPEN) == (pending.op is Op.REOPEN)


def stays_open(pending: Pending, ticket: Ticket) -> Refused:
    """What becomes of a signal whose resolve was accepted and had no effect."""
    return Refused(
        f"{ticket.ref.number or ticket.ref.id} was accepted as resolved but stayed open",
        connection=pending.connection,
        advice="A business rule, a state model or a missing right keeps the state. Resolve it by hand, or set "
        "resolve.fields.state of the route to a state that the instance allows",
    )
