"""How far the tickets of a connection were read, in Blob storage: a watermark may be 55 KB long.

One blob for each kind of ticket and one for the full check. They are written after the work that they stand for is
done, so that a run that died is repeated and never skipped. A blob that cannot be read counts as none: reading begins
anew, which costs calls and changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.core.ticket_system import TicketKind, TicketSnapshot
from shared.platform.blobs import JsonBlob
from shared.platform.storage import Storage

CONTAINER = "bridge-resync"


@dataclass(frozen=True, slots=True)
class SnapshotReading:
    """What a reading of the changes found of one ticket, and when it was asked for (UTC)."""

    changed: TicketSnapshot
    read_at: datetime


@dataclass(frozen=True, slots=True)
class ResyncPosition:
    """How far the changes of one kind were read.

    Attributes:
        watermark: for the next page, None at the very beginning.
        ran_at: when the changes were last read to their end, None for never.
        waiting: of tickets whose making is not known to have succeeded yet.
    """

    watermark: str | None = None
    ran_at: datetime | None = None
    waiting: tuple[SnapshotReading, ...] = ()


@dataclass(frozen=True, slots=True)
class FullCheckPosition:
    """How far the full check has come: the ``next`` part of the links, 0 when none is under way; when it ended last."""

    next: int = 0
    ran_at: datetime | None = None


class ResyncProgress:
    """Reads and writes. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage, *, read_only: bool = False) -> None:
        """
        Args:
            storage: the bridge's own.
            read_only: remember nothing new: for a run that only shows what it would do.
        """
        self._storage = storage
        self._read_only = read_only

    def _position(self, connection: str, kind: TicketKind) -> JsonBlob[ResyncPosition]:
        return JsonBlob(self._storage, CONTAINER, f"{connection}/{kind.value}.json", ResyncPosition)

    def _full_check(self, connection: str) -> JsonBlob[FullCheckPosition]:
        return JsonBlob(self._storage, CONTAINER, f"{connection}/full-check.json", FullCheckPosition)

    async def reading(self, connection: str, kind: TicketKind) -> ResyncPosition:
        """How far a kind was read."""
        return await self._position(connection, kind).read_or_forget() or ResyncPosition()

    async def note_reading(self, connection: str, kind: TicketKind, reading: ResyncPosition) -> None:
        """Remember how far a kind was read."""
        if not self._read_only:
            await self._position(connection, kind).write(reading)

    async def checking(self, connection: str) -> FullCheckPosition:
        """How far the full check has come."""
        return await self._full_check(connection).read_or_forget() or FullCheckPosition()

    async def note_checking(self, connection: str, checking: FullCheckPosition) -> None:
        """Remember how far the full check has come."""
        if not self._read_only:
            await self._full_check(connection).write(checking)
