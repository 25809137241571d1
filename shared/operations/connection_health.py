"""How the connections are doing, over all workers: last success, last error, and since when work waits for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.core.errors import Refused as RefusedError
from shared.core.errors import StorageUnavailable, TicketMissing
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.times import rfc3339
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage, storage_errors
from shared.platform.tables import RowAddress, VersionedTable

TABLE = "health"
_PARTITION = "connection"

#: Row of the work that waits for no connection: for a secret, for a right configuration.
GENERAL = "-"

#: Seconds for a report: who asks for health must not wait for what is ill.
_PATIENCE = 4.0

#: A row is written this often at most: it must not cost a storage operation per ticket.
_WRITE_EVERY = timedelta(seconds=30)

#: Messages that one process remembers as waiting; the oldest ones are what counts.
_MOST_WAITING = 2_000

#: A message comes back when it is due, or a little later.
_LATE = timedelta(minutes=1)

#: Errors that say something about one ticket and nothing about the connection: it answered.
_OF_ONE_TICKET = frozenset({RefusedError.code, TicketMissing.code})


@dataclass(slots=True)
class _Known:
    """What this process knows of a connection and when it last wrote it down.

    Attributes:
        well: whether the last call succeeded. written: when that was written.
        waiting: messages that wait for it: when the bridge took each in, and until when it is certain that it waits.
        oldest: what was written of that, and when.
    """

    well: bool | None = None
    written: datetime | None = None
    waiting: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    oldest: datetime | None = None
    oldest_written: datetime | None = None


@dataclass(frozen=True, slots=True)
class ConnectionHealth:
    """One row.

    Attributes:
        last_success: of a call. last_error: when one failed last.
        last_error_code: stable name of that error. last_error_status: HTTP status, 0 when there was no answer.
        waiting_since: when the bridge took in the oldest signal that waits for the connection.
        waiting_until: until when that is certain: then the signal is tried again.
    """

    last_success: datetime | None = None
    last_error: datetime | None = None
    last_error_code: str = ""
    last_error_status: int = 0
    waiting_since: datetime | None = None
    waiting_until: datetime | None = None

    @property
    def is_failing(self) -> bool:
        """Whether the last call failed for a reason that holds for every call."""
        if self.last_error is None or self.last_error_code in _OF_ONE_TICKET:
            return False
        return self.last_success is None or self.last_error > self.last_success

    def waits_since(self, now: datetime) -> datetime | None:
        """When the oldest signal that waits for it was taken in; None when none is known to wait."""
        return self.waiting_since if self.waiting_until is not None and now <= self.waiting_until else None

    def shown(self, now: datetime) -> dict[str, Any]:
        """As JSON. ``status`` is ``ok``, ``failing``, or ``unknown`` when it was never called."""
        error: dict[str, Any] | None = None
        if self.last_error is not None:
            error = {"at": rfc3339(self.last_error), "code": self.last_error_code}
            if self.last_error_status:
                error["status"] = self.last_error_status
        known = self.last_success is not None or self.last_error is not None
        return {
            "status": "failing" if self.is_failing else "ok" if known else "unknown",
            "last_success": rfc3339(self.last_success),
            "last_error": error,
            "waiting_since": rfc3339(self.waits_since(now)),
        }


_CODEC = RowCodec(ConnectionHealth)


class ConnectionHealthStore:
    """Records the health of connections in Table storage and reads it back."""

    def __init__(self, storage: Storage, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table = VersionedTable(storage, TABLE, _CODEC)
        self._now = now
        self._known: dict[str, _Known] = {}

    async def ended(self, outcome: Outcome) -> None:
        """Take note of calls that succeeded or failed, and of what waits. See ``OutcomeListener``.

        Stored are code and HTTP status, never what the system said.
        """
        if outcome.call_succeeded:
            await self.succeeded(outcome.connection)
        elif outcome.call_error:
            cells = _CODEC.cells(
                last_error=self._now(),
                last_error_code=outcome.call_error,
                last_error_status=outcome.call_status or 0,
            )
            await self._note(outcome.connection, False, cells)
        await self._note_waiting(outcome)

    async def succeeded(self, connection: str) -> None:
        """A call to a connection succeeded."""
        await self._note(connection, True, _CODEC.cells(last_success=self._now()))

    async def _note(self, connection: str, well: bool, cells: dict[str, Any]) -> None:
        known = self._known.setdefault(connection, _Known())
        now = self._now()
        if known.well is well and known.written is not None and now - known.written < _WRITE_EVERY:
            return
        known.well, known.written = well, now
        await self._merge(connection, cells)

    async def _note_waiting(self, outcome: Outcome) -> None:
        """Remember a signal that waits for something else than its turn at its key, and forget one that ended."""
        now = self._now()
        connection = outcome.connection or GENERAL
        if outcome.kind is OutcomeKind.POSTPONED:
            known = self._known.setdefault(connection, _Known())
            until = now + (outcome.delay or timedelta()) + _LATE
            if outcome.id in known.waiting or len(known.waiting) < _MOST_WAITING:
                known.waiting[outcome.id] = (now - timedelta(seconds=outcome.seconds), until)
            await self._write_oldest(connection, known, now)
        elif not outcome.is_queued_again:
            for name, known in self._known.items():
                if known.waiting.pop(outcome.id, None) is not None:
                    await self._write_oldest(name, known, now)

    async def _write_oldest(self, connection: str, known: _Known, now: datetime) -> None:
        """Write since when the oldest one waits: when that begins or ends, and else now and then."""
        recently = known.oldest_written is not None and now - known.oldest_written < _WRITE_EVERY
        if recently and (known.oldest is None) == (not known.waiting):
            return
        known.waiting = {one: times for one, times in known.waiting.items() if times[1] >= now}
        since, until = min(known.waiting.values(), default=(None, None))
        known.oldest, known.oldest_written = since, now
        await self._merge(connection, _CODEC.cells(waiting_since=since, waiting_until=until))

    async def _merge(self, connection: str, cells: dict[str, Any]) -> None:
        with contextlib.suppress(StorageUnavailable):  # health must never stand in the way of a ticket
            await self._table.merge(RowAddress(_PARTITION, connection), cells)

    async def read(self) -> dict[str, ConnectionHealth]:
        """The health of each connection by its name. Raises StorageUnavailable."""
        async with storage_errors("reading health", within=_PATIENCE):
            return {connection: found.value async for connection, found in self._table.scan()}
