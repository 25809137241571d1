"""Looks at every link once in a while: is its ticket still there, and does its source know what it has to know?

What costs what: one call for each 100 tickets that are open or resolved, and one read of the table for each of its 256
parts and connection. A run that is broken off goes on where it stood.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.config.resync import ResyncSettings
from shared.core.errors import BridgeError, CircuitOpen, MustWait, StorageUnavailable
from shared.core.jobs import JobRun
from shared.core.link import Link, LinkStage
from shared.core.ticket_system import TicketRef, TicketSystem, TicketSystems
from shared.delivery.links import PARTS, LinkStore
from shared.platform.concurrency import for_each
from shared.platform.log import record
from shared.resync.polling import MOST_TIME, SLACK
from shared.resync.progress import FullCheckPosition, ResyncProgress
from shared.resync.ticket_sync import ABREAST, SyncCounts, TicketSync

#: Tickets of one connection in one run: a hundred calls.
MOST_TICKETS = 10_000

#: Tickets that are asked for before the progress is kept.
_TOGETHER = 500

#: When more than half of the tickets that were asked for are missing, and not just a handful, they are hidden and not
#: deleted: somebody took a right away. To believe it would give every problem a second ticket.
_HANDFUL = 20


@dataclass(slots=True)
class FullCheckResult:
    """What came of one connection.

    Attributes:
        tickets: asked for. gone: believed to be deleted. hidden: missing too, but too many to be believed.
        unseen: missing for the first time, or not for long enough. returned: taken for deleted, and visible again.
        told: orders that a source be told. calls: to the ticket system.
        deleted: the tickets that are gone.
        finished: False when the rest follows in the next run. reason: why the run broke off.
    """

    connection: str
    tickets: int = 0
    gone: int = 0
    hidden: int = 0
    unseen: int = 0
    returned: int = 0
    told: int = 0
    calls: int = 0
    deleted: list[TicketRef] = field(default_factory=list)
    finished: bool = True
    reason: str = ""


class FullCheck:
    """Checks the links of all connections.

    Args:
        settings: of the configuration.
        missing_after: how long a ticket must be missing until it is believed to be deleted, see
            ``shared.delivery.missing``.
        connections: names of those configured.
        systems: gives the ticket system of a connection, within its budget.
        links, follower: what is known, and what writes it.
        progress: how far each connection was checked.
        now: the clock.
        most: tickets of one connection in one run.
    """

    def __init__(
        self,
        settings: ResyncSettings,
        connections: Iterable[str],
        systems: TicketSystems,
        links: LinkStore,
        follower: TicketSync,
        progress: ResyncProgress,
        *,
        missing_after: timedelta,
        now: Callable[[], datetime],
        most: int = MOST_TICKETS,
    ) -> None:
        self._settings = settings
        self._connections = sorted(connections)
        self._systems = systems
        self._links = links
        self._follower = follower
        self._progress = progress
        self._missing_after = missing_after
        self._now = now
        self._most = most

    async def run(self, run: JobRun | None = None) -> list[FullCheckResult]:
        """Check every connection whose turn it is, side by side; what goes wrong with one does not stop the others.

        Args:
            run: what is asked for; the run of a timer when None. In a dry run, follower and progress must not write.

        Raises StorageUnavailable when storage fails: the next run goes on where this one stood.
        """
        ends = self._now() + MOST_TIME
        results = await asyncio.gather(*(self._connection(name, ends, run or JobRun()) for name in self._connections))
        for _, failure in results:
            if isinstance(failure, StorageUnavailable):
                raise failure
        return [result for result, _ in results if result is not None]

    async def _connection(
        self, name: str, ends: datetime, run: JobRun
    ) -> tuple[FullCheckResult | None, BridgeError | None]:
        result, failure = FullCheckResult(name), None
        try:
            stands = await self._progress.checking(name)
            recent = stands.ran_at is not None and self._now() - stands.ran_at < self._settings.full_check_every - SLACK
            if recent and not run.always:  # one that was broken off stays due
                return None, None
            run.follow(name, result)
            await self._check(self._systems(name), stands, ends, result)
        except BridgeError as error:
            failure, result.finished, result.reason = error, False, str(error)
        if result.hidden:
            result.reason = (
                f"{result.hidden} tickets cannot be seen any more, too many at once to take them for deleted. Check "
                "what the integration user may read; a deleted ticket is noticed too when its problem is heard of again"
            )
        expected = failure is None or isinstance(failure, MustWait | CircuitOpen)
        record(
            "tickets_checked",
            logging.INFO if expected and not result.hidden else logging.WARNING,
            connection=name,
            tickets=result.tickets,
            gone=result.gone,
            hidden=result.hidden,
            unseen=result.unseen,
            returned=result.returned,
            told=result.told,
            calls=result.calls,
            finished=result.finished,
            reason=result.reason,
            dry_run=run.dry_run or None,
        )
        return result, failure

    async def _check(
        self, system: TicketSystem, stands: FullCheckPosition, ends: datetime, result: FullCheckResult
    ) -> None:
        began, found = self._now(), list[Link]()
        for part in range(stands.next, PARTS):
            found += await self._links.part(part, system.name)
            last = part == PARTS - 1
            full = result.tickets + len(found) >= self._most or self._now() >= ends
            if len(found) < _TOGETHER and not last and not full:
                continue
            await self._together(system, found, result)
            found = []
            checking = FullCheckPosition(0, began) if last else FullCheckPosition(part + 1, stands.ran_at)
            await self._progress.note_checking(system.name, checking)
            if full and not last:
                result.finished = False
                result.reason = "there is more than one run may ask for; the rest follows in the next one"
                return

    async def _together(self, system: TicketSystem, links: list[Link], result: FullCheckResult) -> None:
        """Ask for the tickets of some links.

        Links whose ticket is missing for the second time are closed; tickets that are visible again get what they are
        owed; sources are told what they have to know.
        """
        gone, back = list[Link](), list[Link]()
        living = [one for one in links if _is_asked_for(one) and system.findable(one.kind)]
        for kind in sorted({link.kind for link in living}):
            ids = {link.ticket.id: link for link in living if link.kind is kind and link.ticket is not None}
            there = await system.existing(kind, ids)
            result.tickets += len(ids)
            result.calls += -(-len(ids) // 100)
            back += [link for ticket, link in ids.items() if ticket in there and link.missing_since is not None]
            live = {ticket: link for ticket, link in ids.items() if link.stage is not LinkStage.CLOSED}
            missing = [link for ticket, link in live.items() if ticket not in there]
            if len(missing) > max(_HANDFUL, len(live) // 2):
                result.hidden += len(missing)
                continue
            gone += missing
        tally = SyncCounts()
        await self._follower.missing(gone, self._missing_after, tally)
        await self._follower.visible_again(system, back, tally)
        keys = {link.key for link in (*gone, *back)}
        others = [one for one in links if one.key not in keys]
        await for_each(others, lambda link: self._follower.tell(link, tally), limit=ABREAST)
        result.gone += tally.moved
        result.deleted += tally.deleted
        result.unseen += len(gone) - tally.moved
        result.returned += tally.returned
        result.calls += len(back)
        result.told += tally.told


def _is_asked_for(link: Link) -> bool:
    missing = link.stage is LinkStage.CLOSED and link.missing_since is not None
    live = link.stage in (LinkStage.OPEN, LinkStage.RESOLVED)
    return link.ticket is not None and link.pending is None and (live or missing)
