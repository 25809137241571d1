"""Brings links up to date with their tickets, and orders write-backs: many links at once, each under its ETag.

The order of a write-back is put on the queue after the link is written. When the run dies between the two, the next one
repeats it, and the link shows that the write-back is still missing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from shared.core.errors import UnreadableRow
from shared.core.link import Link, LinkStage, link_id, link_ids
from shared.core.messages import PushToSource, QueueSender
from shared.core.ticket_system import TicketRef, TicketSystem
from shared.delivery.decision.decide import believed_deleted, not_seen, reconcile_pending
from shared.delivery.links import LinkStore
from shared.platform.concurrency import for_each
from shared.platform.log import record
from shared.platform.tables import RowOvertaken, Versioned, until_written
from shared.resync.changes import TicketMatch, contested, fit, moved, returned
from shared.resync.progress import SnapshotReading

#: Sends a dead letter to the queue again, by its id.
ReplayDeadLetter = Callable[[str], Awaitable[None]]

#: Links that are worked on at the same time.
ABREAST = 16


class StaleSources(Protocol):
    """Knows whether the source of a link has to be told. See ``shared.delivery.write_back.WriteBack``."""

    def is_stale(self, link: Link) -> bool: ...


@dataclass(slots=True)
class SyncCounts:
    """What came of some tickets.

    Attributes:
        moved: links that were written. known: of ours, and no news. left: earlier generations, or not ours.
        returned: tickets that were taken for deleted and are visible again.
        told: orders that a source be told. waiting: tickets whose making is not known to have succeeded yet.
        deleted: tickets that are believed to be deleted from now on.
    """

    moved: int = 0
    known: int = 0
    left: int = 0
    returned: int = 0
    told: int = 0
    waiting: list[SnapshotReading] | None = None
    deleted: list[TicketRef] = field(default_factory=list)


class TicketSync:
    """Follows the tickets of all connections.

    Args:
        links, queue: the bridge's own.
        backs: what sources are owed.
        replay: sends a dead letter to the queue again: that of an end which is owed to a ticket that was missing.
        now: the clock.
        dry_run: ``links``, ``queue`` and ``replay`` do nothing, so that nothing is logged as done.
    """

    def __init__(
        self,
        links: LinkStore,
        backs: StaleSources,
        queue: QueueSender,
        *,
        replay: ReplayDeadLetter,
        now: Callable[[], datetime],
        dry_run: bool = False,
    ) -> None:
        self._dry_run = dry_run
        self._links = links
        self._backs = backs
        self._queue = queue
        self._replay = replay
        self._now = now

    async def follow(self, system: TicketSystem, accounts: Iterable[SnapshotReading]) -> SyncCounts:
        """Bring links after what was found of their tickets.

        Args:
            system: whose tickets these are; asked again for the few whose state is contested.
            accounts: what was found.

        Raises StorageUnavailable, KeyContended, and what ``TicketSystem.find`` raises; some links may be written then.
        """
        tally = SyncCounts(waiting=[])
        await for_each(accounts, lambda account: self._one(system, account, tally), limit=ABREAST)
        return tally

    async def missing(self, links: Iterable[Link], missing_after: timedelta, tally: SyncCounts) -> None:
        """Note that tickets are not seen, and close the links of those that were missing ``missing_after`` ago already.

        Raises StorageUnavailable and KeyContended.
        """

        async def close(link: Link) -> None:
            def closing(now: Link | None) -> Link | None:
                same = now is not None and now.ticket == link.ticket and now.pending is None
                if now is None or not same:
                    return None
                unseen, moment = not_seen(now, self._now()), self._now()
                long_enough = moment - (unseen.missing_since or moment) >= missing_after
                return believed_deleted(unseen, moment) if long_enough else unseen

            try:
                written = await self._links.update(link.key, closing, contended=_contended(link.key))
            except UnreadableRow:  # damaged since it was listed; the log says so
                return
            if written is not None:
                if written.stage is LinkStage.CLOSED and link.stage is not LinkStage.CLOSED:
                    tally.moved += 1
                    tally.deleted += [written.ticket] if written.ticket is not None else []
                    if not self._dry_run:
                        about = {"connection": link.connection, "key": link.key, "ticket": _number(link)}
                        record("ticket_deleted", logging.WARNING, **about)
                await self.tell(written, tally)

        await for_each(links, close, limit=ABREAST)

    async def visible_again(self, system: TicketSystem, links: Iterable[Link], tally: SyncCounts) -> None:
        """Read tickets that were missing and are visible again, and pay the ends that are owed to them.

        Raises StorageUnavailable, KeyContended, and what ``TicketSystem.find`` raises.
        """

        async def read(link: Link) -> None:
            if link.ticket is None:
                return
            found = await system.find(link.kind, link.ticket.id, link.ticket.correlation)
            if found is None:
                return

            def reading(now: Link | None) -> Link | None:
                same = now is not None and now.ticket == link.ticket and now.pending is None
                return reconcile_pending(now, found, True, self._now()) if now is not None and same else None

            await self._pay(link)
            try:
                written = await self._links.update(link.key, reading, contended=_contended(link.key))
            except UnreadableRow:
                return
            if written is not None and returned(link, written):
                tally.returned += 1
                await self.tell(written, tally)

        await for_each(links, read, limit=ABREAST)

    async def _pay(self, link: Link) -> None:
        """Replay the dead letter of a link whose ticket was taken for deleted.

        This comes before the link is written, so that a crash between the two repeats it.
        """
        if link.dead_letter and link.stage is LinkStage.CLOSED:
            await self._replay(link.dead_letter)
            if not self._dry_run:
                record("ticket_visible_again", connection=link.connection, key=link.key, ticket=_number(link))

    async def tell(self, link: Link, tally: SyncCounts) -> None:
        """Order that a link's source is told, if it is owed anything. Raises StorageUnavailable."""
        if self._backs.is_stale(link):
            await self._queue.send(PushToSource(id=uuid4().hex, received_at=self._now(), key=link.key))
            tally.told += 1

    async def _one(self, system: TicketSystem, account: SnapshotReading, tally: SyncCounts) -> None:
        found = await self._owner(system.name, account)
        if found is None:
            tally.left += 1
            return
        if fit(found.value, account.changed, system.name) is TicketMatch.COMING:
            if tally.waiting is not None:
                tally.waiting.append(account)
            return
        key, current = found.value.key, account

        async def attempt() -> Link | None:
            nonlocal found, current
            if found is None or fit(found.value, current.changed, system.name) is not TicketMatch.OURS:
                tally.left += 1
                return None
            link = found.value
            current = await self._undisputed(system, link, current)
            after = moved(link, current.changed, current.read_at)
            if after is link:
                tally.known += 1
                return link
            if returned(link, after):
                await self._pay(link)
            try:
                await self._links.write(after, found.etag)
            except RowOvertaken:
                found = await self._load(key)
                raise
            tally.moved += 1
            return after

        link = await until_written(attempt, contended=_contended(key))
        if link is not None:
            await self.tell(link, tally)

    async def _load(self, key: str) -> Versioned[Link] | None:
        """A link; None when there is none that can be read."""
        return await self._at(link_id(key))

    async def _at(self, row: str) -> Versioned[Link] | None:
        try:
            return await self._links.at(row)
        except UnreadableRow:  # the log says so; the other tickets go on
            return None

    async def _owner(self, connection: str, account: SnapshotReading) -> Versioned[Link] | None:
        """The link that a ticket belongs to, None for an earlier generation's and for a stranger's."""
        for row in link_ids(account.changed.ref.correlation):
            stored = await self._at(row)
            if stored is not None and fit(stored.value, account.changed, connection) is not TicketMatch.OTHER:
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


def _number(link: Link) -> str:
    return link.ticket.number if link.ticket is not None else ""


def _contended(key: str) -> str:
    return f"{key}: others kept changing its link while it was brought up to date with its ticket; the next run does it"
