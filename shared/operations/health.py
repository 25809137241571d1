"""How the connections are doing, for ``GET /api/health``: last success and last error of each, over all workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core.errors import ConfigurationError, StorageUnavailable
from shared.core.outcome import Outcome
from shared.core.times import rfc3339
from shared.core.version import VERSION
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage, storage_errors
from shared.platform.tables import RowAddress, VersionedTable

if TYPE_CHECKING:
    from shared.config.model import BridgeConfig
    from shared.delivery.queue import SignalQueue

TABLE = "health"
_PARTITION = "connection"

#: Seconds for a report: who asks for health must not wait for what is ill.
_PATIENCE = 4.0

#: A success is written this often at most: it must not cost a storage operation per ticket.
_WRITE_EVERY = timedelta(seconds=30)


@dataclass(slots=True)
class _Known:
    """What this process knows of a connection and when it last wrote it down."""

    well: bool | None = None
    written: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Health:
    """One row: the last success and the last error of a connection.

    Attributes:
        last_error_status: HTTP status, 0 when there was no answer.
    """

    last_success: datetime | None = None
    last_error: datetime | None = None
    last_error_code: str = ""
    last_error_status: int = 0

    def shown(self) -> dict[str, Any]:
        """As ``GET /api/health`` shows it."""
        error: dict[str, Any] | None = None
        if self.last_error is not None:
            error = {"at": rfc3339(self.last_error), "code": self.last_error_code}
            if self.last_error_status:
                error["status"] = self.last_error_status
        return {"last_success": rfc3339(self.last_success), "last_error": error}


_CODEC = RowCodec(_Health)


class ConnectionHealthStore:
    """Records the health of connections in Table storage and reads it back."""

    def __init__(self, storage: Storage, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table = VersionedTable(storage, TABLE, _CODEC)
        self._now = now
        self._known: dict[str, _Known] = {}

    async def ended(self, outcome: Outcome) -> None:
        """Take note of calls that succeeded or failed. See ``OutcomeListener``.

        Stored are code and HTTP status, never what the system said: health can be read without a key.
        """
        if outcome.call_succeeded:
            await self._note(outcome.connection, True, _CODEC.cells(last_success=self._now()))
        elif outcome.call_error:
            cells = _CODEC.cells(
                last_error=self._now(),
                last_error_code=outcome.call_error,
                last_error_status=outcome.call_status or 0,
            )
            await self._note(outcome.connection, False, cells)

    async def _note(self, connection: str, well: bool, cells: dict[str, Any]) -> None:
        known = self._known.setdefault(connection, _Known())
        now = self._now()
        if known.well is well and known.written is not None and now - known.written < _WRITE_EVERY:
            return
        known.well, known.written = well, now
        with contextlib.suppress(StorageUnavailable):  # health must never stand in the way of a ticket
            await self._table.merge(RowAddress(_PARTITION, connection), cells)

    async def read(self) -> dict[str, dict[str, Any]]:
        """Last success and last error by connection. Raises StorageUnavailable."""
        async with storage_errors("reading health", within=_PATIENCE):
            return {connection: found.value.shown() async for connection, found in self._table.scan()}


async def report(
    config: Callable[[], BridgeConfig], queue: SignalQueue, health: ConnectionHealthStore, now: datetime
) -> tuple[bool, dict[str, Any]]:
    """Can signals be taken in, and the health report: version, configuration, queue depth, connections.

    A wrong configuration leaves the app able to take signals in: they wait on the queue for the right one.

    Args:
        config: gives the configuration; raises ConfigurationError.
        queue, health: what is measured.
        now: present time.
    """
    answer: dict[str, Any] = {"status": "ok", "version": VERSION, "time": now.isoformat()}
    names: list[str] = []
    try:
        names = sorted(config().connections)
        answer["configuration"] = {"valid": True}
    except ConfigurationError as error:
        # The problems quote the file; they are for the log and for bridge.py validate, not for strangers.
        answer["configuration"] = {"valid": False, "problems": len(error.problems)}
    try:
        answer["queue_depth"] = await queue.depth()
        connections = await health.read()
    except (StorageUnavailable, ConfigurationError) as error:
        answer |= {"queue_depth": None, "storage": error.code}
        connections = {}
    unknown = {"last_success": None, "last_error": None}
    answer["connections"] = {name: connections.get(name, unknown) for name in names}
    stored = "storage" not in answer
    answer["status"] = "ok" if stored and answer["configuration"]["valid"] else "degraded"
    return stored, answer
