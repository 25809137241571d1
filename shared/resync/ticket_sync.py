"""Brings links after their tickets, and orders that sources are told: many links at once, each under its ETag.

An order to tell a source goes onto the queue after the link is written. Whoever dies between the two is repeated, and
then the link shows that the source is still owed something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import uuid4

from shared.core.errors import BridgeError, KeyContended
from shared.core.identity import link_id, link_ids
from shared.core.link import Link
from shared.core.messages import Envelope, QueueSender
from shared.core.ticket_system import TicketSystem
from shared.delivery.links import LinkOvertaken, LinkStore, Stored
from shared.resync.changes import TicketMatch, contested, fit, gone, moved
from shared.resync.progress import SnapshotReading

#: Links that are worked on at the same time.
ABREAST = 16

_MOST_TRIES = 8

T = TypeVar("T")


class Owed(Protocol):
    """Knows whether the source of a link is owed news. See ``shared.delivery.write_back.Backs``."""

    def owes(self, link: Link) -> bool: ...


@dataclass(slots=True)
class SyncCounts:
    """What came of some tickets.

    Attributes:
        moved: links that were written. known: of ours, and no news. left: earlier generations, or not ours.
        told: orders that a source be told. waiting: tickets whose making is not known to have succeeded yet.
    """

    moved: int = 0
    known: int = 0
    left: int = 0
    told: int = 0
    waiting: list[SnapshotReading] | None = None


class TicketSync:
    """Follows the tickets of all connections.

    Args:
        links, queue: the bridge's own.
        backs: what sources are owed.
        now: the clock.
    """

    def __init__(self, links: LinkStore, backs: Owed, queue: QueueSender, *, now: Callable[[], datetime]) -> None:
        self._links = links
        self._backs = backs
        self._queue = queue
        self._now = now

    async def follow(self, system: TicketSystem, accounts: Iterable[SnapshotReading]) -> SyncCounts:
        """Bring links after what was found of their tickets.

        Args:
            system: whose tickets these are; asked again for the few whose state is contested.
            accounts: what was found.

        Raises StorageUnavailable, KeyContended, and what ``TicketSystem.find`` raises; some links may be written then.
        """
        tally = SyncCounts(waiting=[])
        await each(accounts, lambda account: self._one(system, account, tally))
        return tally

    async def missing(self, links: Iterable[Link], tally: SyncCounts) -> None:
        """Close links whose tickets are gone. Raises StorageUnavailable and KeyContended."""

        async def close(link: Link) -> None:
            def closing(now: Link) -> Link:
                same = now.ticket == link.ticket and now.pending is None
                return gone(now, self._now()) if same else now

            written = await self._write(link_id(link.key), closing)
            if written is not None:
                tally.moved += written.stage is not link.stage
                await self.tell(written, tally)

        await each(links, close)

    async def tell(self, link: Link, tally: SyncCounts) -> None:
        """Order that a link's source is told, if it is owed anything. Raises StorageUnavailable."""
        if self._backs.owes(link):
            await self._queue.send(Envelope(id=uuid4().hex, received_at=self._now(), tell=link.key))
            tally.told += 1

    async def _one(self, system: TicketSystem, account: SnapshotReading, tally: SyncCounts) -> None:
        found = await self._owner(system.name, account)
        if found is None:
            tally.left += 1
            return
        link = found.link
        if fit(link, account.changed, system.name) is TicketMatch.COMING:
            if tally.waiting is not None:
                tally.waiting.append(account)
            return
        for _ in range(_MOST_TRIES):
            if fit(link, account.changed, system.name) is not TicketMatch.OURS:
                tally.left += 1
                return
            account = await self._undisputed(system, link, account)
            after = moved(link, account.changed, account.read_at)
            if after is link:
                tally.known += 1
                await self.tell(link, tally)
                return
            try:
                await self._links.write(after, found.etag)
            except LinkOvertaken:
                again = await self._links.load(link.key)
                if again is None:
                    tally.left += 1
                    return
                found, link = again, again.link
                continue
            tally.moved += 1
            await self.tell(after, tally)
            return
        raise _contended(link.key)

    async def _owner(self, connection: str, account: SnapshotReading) -> Stored | None:
        """The link that a ticket belongs to, None for an earlier generation's and for a stranger's."""
        for row in link_ids(account.changed.ref.correlation):
            stored = await self._links.at(row)
            if stored is not None and fit(stored.link, account.changed, connection) is not TicketMatch.OTHER:
                return stored
        return None

    async def _undisputed(self, system: TicketSystem, link: Link, account: SnapshotReading) -> SnapshotReading:
        """The account, with the ticket's present state where that is contested.

        What is learnt now is newer than anything that the link says: it is written under the link's ETag.
        """
        changed = account.changed
        if not contested(link, changed, account.read_at):
            return account
        ticket = await system.find(link.kind, changed.ref.id, changed.ref.correlation)
        if ticket is None:  # deleted since: the full check finds that
            return account
        return replace(account, changed=replace(changed, state=ticket.state, phase=ticket.phase))

    async def _write(self, row: str, change: Callable[[Link], Link]) -> Link | None:
        """Change a link; the link as it is then, None when there is none."""
        for _ in range(_MOST_TRIES):
            stored = await self._links.at(row)
            if stored is None:
                return None
            after = change(stored.link)
            if after is stored.link:
                return after
            try:
                await self._links.write(after, stored.etag)
            except LinkOvertaken:
                continue
            return after
        raise _contended(row)


def _contended(key: str) -> KeyContended:
    return KeyContended(
        f"{key}: others kept changing its link while it was brought after its ticket; the next run does"
    )


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on many things, some at a time. After a failure nothing new is begun, and the first one is raised."""
    waiting = iter(items)
    failures: list[BridgeError] = []

    async def worker() -> None:
        for item in waiting:
            if failures:
                return
            try:
                await work(item)
            except BridgeError as error:
                failures.append(error)

    await asyncio.gather(*(worker() for _ in range(ABREAST)))
    if failures:
        raise failures[0]
