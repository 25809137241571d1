"""How the connections are doing, for ``GET /api/health``: last success and last error of each, over all workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core.errors import ConfigurationError, StorageUnavailable, TicketSystemError
from shared.core.signal import rfc3339
from shared.core.version import VERSION
from shared.platform.storage import Storage, storage_errors

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


class ConnectionHealthStore:
    """Records the pulse of connections in Table storage and reads it back."""

    def __init__(self, storage: Storage, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._storage = storage
        self._now = now
        self._known: dict[str, _Known] = {}

    async def succeeded(self, connection: str) -> None:
        """A call to the connection succeeded."""
        await self._note(connection, True, {"LastSuccess": rfc3339(self._now())})

    async def failed(self, connection: str, error: TicketSystemError) -> None:
        """A call to the connection failed. Kept are code and HTTP status, never what the system said: health can be
        read without a key."""
        fields = {"LastError": rfc3339(self._now()), "LastErrorCode": error.code, "LastErrorStatus": error.status or 0}
        await self._note(connection, False, fields)

    async def _note(self, connection: str, well: bool, fields: dict[str, Any]) -> None:
        known = self._known.setdefault(connection, _Known())
        now = self._now()
        if known.well is well and known.written is not None and now - known.written < _WRITE_EVERY:
            return
        known.well, known.written = well, now
        with contextlib.suppress(StorageUnavailable):  # health must never stand in the way of a ticket
            await self._upsert({"PartitionKey": _PARTITION, "RowKey": connection, **fields})

    async def _upsert(self, entity: dict[str, Any]) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        async with storage_errors("recording health"):
            table = self._storage.table(TABLE)
            try:
                await table.upsert_entity(entity)
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    await table.create_table()
                await table.upsert_entity(entity)

    async def read(self) -> dict[str, dict[str, Any]]:
        """Last success and last error by connection. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        found: dict[str, dict[str, Any]] = {}
        async with storage_errors("reading health", within=_PATIENCE):
            try:
                async for entity in self._storage.table(TABLE).list_entities():
                    error = None
                    if entity.get("LastError"):
                        error = {"at": entity["LastError"], "code": entity["LastErrorCode"]}
                        if entity.get("LastErrorStatus"):
                            error["status"] = int(entity["LastErrorStatus"])
                    found[entity["RowKey"]] = {"last_success": entity.get("LastSuccess"), "last_error": error}
            except ResourceNotFoundError:
                return {}
        return found


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
