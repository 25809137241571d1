"""Planned work of ticket systems that holds alerts back: collected by a timer, read by every worker from one copy.

The ticket system is asked once per interval however many workers there are; they read the copy in Blob storage, at
most once a minute each. Signals are matched in memory.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.config.storms import MaintenanceSettings
from shared.core.errors import ConnectionDisabled, StorageUnavailable, TicketSystemError
from shared.core.jobs import JobRun
from shared.core.signal import Resource, Signal
from shared.core.ticket_system import PlannedWork, PlansWork
from shared.core.times import rfc3339
from shared.mapping.maintenance import ActiveWindow
from shared.mapping.routes import Predicate, compile_when
from shared.platform.blobs import JsonBlob
from shared.platform.log import record
from shared.platform.storage import Storage

CONTAINER = "bridge-planned"

#: A worker reads the copy again after this time.
REREAD = timedelta(minutes=1)

#: What is older is not believed: then nothing is held, for a ticket too many is better than none.
BELIEVED = timedelta(minutes=15)

#: What is held is looked at again after this time, because a change may leave its state before its planned end.
LOOK_AGAIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Stored:
    """The planned work of one connection as it is stored, and when the ticket system reported it."""

    read_at: datetime
    works: tuple[PlannedWork, ...]


@dataclass(slots=True)
class CollectedWork:
    """What one connection was asked for: changes under way and their items; why it did not answer."""

    changes: int = 0
    items: int = 0
    finished: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Copy:
    """Work of one connection by what alerts may call its items, and when the ticket system said so."""

    read_at: datetime
    by_id: Mapping[str, Sequence[PlannedWork]]
    by_name: Mapping[str, Sequence[tuple[str, PlannedWork]]]


@dataclass(frozen=True, slots=True)
class _Section:
    """A maintenance section of the configuration that follows a connection's changes."""

    name: str
    connection: str
    matches: Predicate


class PlannedWorkCache:
    """The planned work of all connections that the configuration follows.

    Args:
        sections: the maintenance section; those without ``changes_of`` are none of ours.
        storage: of the copies.
        now: the clock.
    """

    def __init__(
        self, sections: Sequence[MaintenanceSettings], storage: Storage, *, now: Callable[[], datetime]
    ) -> None:
        self._sections = [
            _Section(section.name, section.changes_of, compile_when(section.when))
            for section in sections
            if section.changes_of is not None
        ]
        self._storage = storage
        self._now = now
        self._copies: dict[str, _Copy] = {}
        self._asked: datetime | None = None
        self._stale: set[str] = set()

    @property
    def connections(self) -> list[str]:
        """Whose changes are followed."""
        return sorted({section.connection for section in self._sections})

    async def collect(self, system: Callable[[str], object], run: JobRun | None = None) -> None:
        """Ask every connection for its planned work, and write the copies. For a timer.

        Args:
            system: gives the ticket system of a connection; raises Refused for one that is not configured.
            run: what is asked for; the run of a timer when None.

        Raises StorageUnavailable. A ticket system that does not answer leaves its old copy in place.
        """
        run = run or JobRun()
        for connection in self.connections:
            result = CollectedWork()
            run.follow(connection, result)
            try:
                asked = system(connection)
                found = await asked.planned_work() if isinstance(asked, PlansWork) else ()
            except ConnectionDisabled:
                continue
            except TicketSystemError as error:
                record("planned_work_unavailable", logging.WARNING, connection=connection, reason=str(error))
                result.finished, result.reason = False, str(error)
                continue
            result.changes, result.items = len(found), sum(len(work.items) for work in found)
            for work in found:
                run.sample(f"{work.number}: {len(work.items)} items")
            if not run.dry_run:
                await self._write(connection, found)
            counts = {"changes": result.changes, "items": result.items}
            record("planned_work_read", connection=connection, **counts, dry_run=run.dry_run or None)

    async def refresh(self) -> None:
        """Read the copies again when it is time. Storage that does not answer leaves what is known."""
        now = self._now()
        if not self._sections or (self._asked is not None and now - self._asked < REREAD):
            return
        self._asked = now
        for connection in self.connections:
            with contextlib.suppress(StorageUnavailable):
                copy = await self._read(connection)
                if copy is not None:
                    self._copies[connection] = copy

    def holds(self, signal: Signal, now: datetime) -> ActiveWindow | None:
        """The change that holds a signal now, None when none does.

        It holds for ten minutes at a time, or until its planned end where that is sooner.
        """
        found = [
            ActiveWindow(f"{section.name}: {work.number}", now + LOOK_AGAIN if work.ends is None else work.ends)
            for section in self._sections
            for work in self._under_way(section, signal, now)
        ]
        longest = max(found, key=lambda each: each.until, default=None)
        return None if longest is None else ActiveWindow(longest.rule, min(longest.until, now + LOOK_AGAIN))

    def _under_way(self, section: _Section, signal: Signal, now: datetime) -> Iterator[PlannedWork]:
        copy = self._copies.get(section.connection)
        if copy is None or not self._is_believed(section.connection, copy, now) or not section.matches(signal):
            return
        for resource in signal.resources:
            for work in _works_on(copy, resource):
                if work.ends is None or now < work.ends:
                    yield work

    def _is_believed(self, connection: str, copy: _Copy, now: datetime) -> bool:
        if now - copy.read_at <= BELIEVED:
            self._stale.discard(connection)
            return True
        if connection not in self._stale:
            self._stale.add(connection)
            record("planned_work_stale", logging.WARNING, connection=connection, read_at=rfc3339(copy.read_at))
        return False

    def _blob(self, connection: str) -> JsonBlob[_Stored]:
        return JsonBlob(self._storage, CONTAINER, f"{connection}.json", _Stored)

    async def _write(self, connection: str, works: Sequence[PlannedWork]) -> None:
        await self._blob(connection).write(_Stored(self._now(), tuple(works)))

    async def _read(self, connection: str) -> _Copy | None:
        """The copy, None when there is none that can be read."""
        stored = await self._blob(connection).read_or_forget()
        return None if stored is None else _copy(stored)


def _copy(stored: _Stored) -> _Copy:
    by_id: dict[str, list[PlannedWork]] = {}
    by_name: dict[str, list[tuple[str, PlannedWork]]] = {}
    for work in stored.works:
        for item in work.items:
            resource_id = _folded(item.resource_id)
            if resource_id:
                by_id.setdefault(resource_id, []).append(work)
            for name in {_folded(item.fqdn), _folded(item.name)} - {""}:
                by_name.setdefault(name, []).append((resource_id, work))
    return _Copy(stored.read_at, by_id, by_name)


def _works_on(copy: _Copy, resource: Resource) -> Iterator[PlannedWork]:
    """Work on a resource: by its id, else by its name, unless the item is known to be another Azure resource."""
    resource_id = _folded(resource.id or "")
    if resource_id in copy.by_id:
        yield from copy.by_id[resource_id]
        return
    name = _folded(resource.name or "")
    short = name if "/" in name else name.partition(".")[0]  # a nested resource has no host name
    for wanted in dict.fromkeys((name, short)):
        for known, work in copy.by_name.get(wanted, ()):
            if not (resource_id and known.startswith("/subscriptions/")):
                yield work


def _folded(text: str) -> str:
    return text.strip().rstrip("/").casefold()
