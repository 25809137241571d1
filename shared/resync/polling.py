"""Asks ticket systems which tickets of ours changed, and brings the links after them.

What costs what: one call for each page of ``page_size`` tickets, at least one for each kind and run; one read of a link
for each ticket that changed, and one write where that is news. A page's watermark is kept after its tickets are dealt
with: a run that dies, or fails, is repeated from the last page that was done, and finds that the links moved already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.config.resync import ResyncSettings
from shared.core.errors import BridgeError, CircuitOpen, MustWait, StorageUnavailable
from shared.core.jobs import JobRun
from shared.core.ticket_system import TicketKind, TicketSystem, TicketSystems
from shared.platform.log import record
from shared.resync.progress import ResyncPosition, ResyncProgress, SnapshotReading
from shared.resync.ticket_sync import TicketSync

#: All connections together, side by side; the timer comes every five minutes.
MOST_TIME = timedelta(minutes=4)

#: Pages of one kind in one run.
MOST_PAGES = 100

#: How long a ticket may wait for its link to name it: longer than any delivery is under way.
_MOST_WAITING = timedelta(days=1)

#: The timer is never exactly on time.
SLACK = timedelta(minutes=1)

#: How often the timer runs. Who wants to be asked that often is asked whenever it runs, by hand too.
TIMER = timedelta(minutes=5)

_KINDS = (TicketKind.INCIDENT, TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST)


@dataclass(slots=True)
class ResyncResult:
    """What came of one connection.

    Attributes:
        changes: tickets that changed. moved: links that were written. known: of ours, and no news.
        left: tickets of earlier generations, and those of no link. waiting: those that are being made just now.
        told: orders that a source be told. pages: calls that listed changes.
        finished: False when the rest follows in the next run. reason: why the run broke off.
    """

    connection: str
    changes: int = 0
    moved: int = 0
    known: int = 0
    left: int = 0
    waiting: int = 0
    told: int = 0
    pages: int = 0
    finished: bool = True
    reason: str = ""


class Resyncer:
    """Follows what people do with the tickets of all connections.

    Args:
        settings: of the configuration.
        connections: names of those configured.
        systems: gives the ticket system of a connection, within its budget.
        follower: brings links after tickets.
        progress: how far each kind was read.
        now: the clock.
        most_pages: of one kind in one run.
    """

    def __init__(
        self,
        settings: ResyncSettings,
        connections: Iterable[str],
        systems: TicketSystems,
        follower: TicketSync,
        progress: ResyncProgress,
        *,
        now: Callable[[], datetime],
        most_pages: int = MOST_PAGES,
    ) -> None:
        self._settings = settings
        self._connections = sorted(connections)
        self._systems = systems
        self._follower = follower
        self._progress = progress
        self._now = now
        self._most_pages = most_pages

    async def run(self, run: JobRun | None = None) -> list[ResyncResult]:
        """Follow every connection whose turn it is, side by side; what goes wrong with one does not stop the others.

        Args:
            run: what is asked for; the run of a timer when None. In a dry run, follower and progress must not write.

        Raises StorageUnavailable when storage fails: nothing is lost, the next run begins where this one did.
        """
        ends = self._now() + MOST_TIME
        results = await asyncio.gather(*(self._connection(name, ends, run or JobRun()) for name in self._connections))
        for _, failure in results:
            if isinstance(failure, StorageUnavailable):
                raise failure
        return [result for result, _ in results if result.pages or result.reason]

    async def _connection(self, name: str, ends: datetime, run: JobRun) -> tuple[ResyncResult, BridgeError | None]:
        result, failure = ResyncResult(name), None
        run.follow(name, result)
        try:
            system = self._systems(name)
            for kind in _KINDS:
                if kind in system.kinds and system.findable(kind):
                    await self._kind(system, kind, ends, result, run)
        except BridgeError as error:
            failure, result.finished, result.reason = error, False, str(error)
        if result.pages or result.reason:
            waits = isinstance(failure, MustWait | CircuitOpen)
            record(
                "tickets_resynced",
                logging.INFO if failure is None or waits else logging.WARNING,
                connection=name,
                changes=result.changes,
                moved=result.moved,
                known=result.known,
                left=result.left,
                waiting=result.waiting,
                told=result.told,
                calls=result.pages,
                finished=result.finished,
                reason=result.reason,
                dry_run=run.dry_run or None,
            )
        return result, failure

    async def _kind(
        self, system: TicketSystem, kind: TicketKind, ends: datetime, result: ResyncResult, run: JobRun
    ) -> None:
        """Read the changes of one kind to their end, or as far as one run may."""
        reading = await self._progress.reading(system.name, kind)
        began = self._now()
        if not run.always and not _is_due(reading.ran_at, began, self._settings.every):
            return
        waiting = await self._follow(system, [one for one in reading.waiting if self._may_wait(one)], result)
        more = True
        for _ in range(self._most_pages):
            read_at = self._now()
            page = await system.changes_since(kind, reading.watermark, limit=self._settings.page_size)
            result.pages += 1
            result.changes += len(page.rows)
            waiting += await self._follow(system, [SnapshotReading(row, read_at) for row in page.rows], result)
            more = page.more  # then it stays due
            reading = ResyncPosition(page.watermark, reading.ran_at if more else began, waiting)
            await self._progress.note_reading(system.name, kind, reading)
            if not more or self._now() >= ends:
                break
        result.waiting += len(waiting)
        if more:
            result.finished = False
            result.reason = "there is more than one run may read; the rest follows in the next one"

    async def _follow(
        self, system: TicketSystem, accounts: list[SnapshotReading], result: ResyncResult
    ) -> tuple[SnapshotReading, ...]:
        """Deal with accounts; those that have to wait."""
        tally = await self._follower.follow(system, accounts)
        result.moved += tally.moved
        result.known += tally.known
        result.left += tally.left
        result.told += tally.told
        return tuple(tally.waiting or ())

    def _may_wait(self, account: SnapshotReading) -> bool:
        return self._now() - account.read_at < _MOST_WAITING


def _is_due(ran_at: datetime | None, now: datetime, every: timedelta) -> bool:
    return ran_at is None or every <= TIMER or now - ran_at >= every - SLACK
