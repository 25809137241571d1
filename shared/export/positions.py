"""How far the export has come, in Blob storage.

What people order is stored apart from what the job notes, so that neither overwrites the other. A position that cannot
be read counts as none: the log says so, and the export begins anew, which costs calls and sends rows once more under
the same ids. An order that cannot be read stops the export of its connection: somebody may have stopped it on purpose.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from shared.core.errors import UnreadableRow
from shared.core.ticket_system import TicketKind
from shared.platform.blobs import JsonBlob
from shared.platform.storage import Storage

CONTAINER = "bridge-export"

_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class KindPosition:
    """How far the tickets of one kind were exported.

    Attributes:
        watermark: for the next page, None at the very beginning.
        order: id of the back-fill that this belongs to, empty for the first one.
        since: beginning of the back-fill. expected: rows that it will read, as counted when it began.
        rows: sent since then. pages: calls since then.
        limit: tickets of a page, where the usual number took the instance too long; else 0.
        read_to: newest change that was sent.
        ran_at: when changes were last read to their end, None while the back-fill is under way.
        noted_at: when this was written.
        lacking: fields and columns that the instance was said to lack.
        deletions_to: deletions are known until then. deletions_at: when they were last asked for.
        deletions_hidden: the instance does not tell of them.
    """

    watermark: str | None = None
    order: str = ""
    since: datetime | None = None
    expected: int | None = None
    rows: int = 0
    pages: int = 0
    limit: int = 0
    read_to: datetime | None = None
    ran_at: datetime | None = None
    noted_at: datetime | None = None
    lacking: tuple[str, ...] = ()
    deletions_to: datetime | None = None
    deletions_at: datetime | None = None
    deletions_hidden: bool = False


@dataclass(frozen=True, slots=True)
class ExportOrders:
    """What people want of the export of a connection.

    Attributes:
        stopped_at: nothing is exported since then; None: it is.
        backfill: id of the back-fill that was asked for, empty for none. days: how far it goes back. asked_at: when.
    """

    stopped_at: datetime | None = None
    backfill: str = ""
    days: int = 0
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ConnectionNotes:
    """How the export of a connection goes.

    Attributes:
        began_at: when it ran for the first time.
        last_success: when it last came to its end without an error.
        last_error: when it last broke off. code, reason: of that error.
    """

    began_at: datetime | None = None
    last_success: datetime | None = None
    last_error: datetime | None = None
    code: str = ""
    reason: str = ""

    @property
    def is_failing(self) -> bool:
        """Whether the last run broke off."""
        return self.last_error is not None and (self.last_success is None or self.last_error > self.last_success)


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far the log of actions was sent, and how often."""

    sent_to: datetime | None = None
    last_success: datetime | None = None


@dataclass(frozen=True, slots=True)
class _RedactionKey:
    key: str = field(default="", repr=False)


class ExportStore:
    """Reads and writes. All methods raise StorageUnavailable.

    Args:
        storage: the bridge's own.
        read_only: remember nothing new: for a run that only shows what it would do.
    """

    def __init__(self, storage: Storage, *, read_only: bool = False) -> None:
        self._storage = storage
        self._read_only = read_only

    def _position(self, connection: str, kind: TicketKind) -> JsonBlob[KindPosition]:
        return JsonBlob(self._storage, CONTAINER, f"{connection}/{kind.value}.json", KindPosition)

    def _orders(self, connection: str) -> JsonBlob[ExportOrders]:
        return JsonBlob(self._storage, CONTAINER, f"{connection}/orders.json", ExportOrders)

    def _notes(self, connection: str) -> JsonBlob[ConnectionNotes]:
        return JsonBlob(self._storage, CONTAINER, f"{connection}/notes.json", ConnectionNotes)

    def _log(self) -> JsonBlob[LogPosition]:
        return JsonBlob(self._storage, CONTAINER, "log.json", LogPosition)

    async def position(self, connection: str, kind: TicketKind) -> KindPosition:
        """How far a kind was exported."""
        return await self._position(connection, kind).read_or_forget() or KindPosition()

    async def note_position(self, connection: str, kind: TicketKind, position: KindPosition) -> None:
        """Remember how far a kind was exported."""
        if not self._read_only:
            await self._position(connection, kind).write(position)

    async def orders(self, connection: str) -> ExportOrders:
        """What people want of a connection. Raises UnreadableRow where that cannot be known."""
        return await self._orders(connection).read() or ExportOrders()

    async def order(self, connection: str, orders: ExportOrders) -> None:
        """Remember what people want of a connection."""
        await self._orders(connection).write(orders)

    async def notes(self, connection: str) -> ConnectionNotes:
        """How the export of a connection goes."""
        return await self._notes(connection).read_or_forget() or ConnectionNotes()

    async def note(self, connection: str, notes: ConnectionNotes) -> None:
        """Remember how the export of a connection goes."""
        if not self._read_only:
            await self._notes(connection).write(notes)

    async def log(self) -> LogPosition:
        """How far the log of actions was sent."""
        return await self._log().read_or_forget() or LogPosition()

    async def note_log(self, position: LogPosition) -> None:
        """Remember how far the log of actions was sent."""
        if not self._read_only:
            await self._log().write(position)

    async def redaction_key(self) -> bytes:
        """The key with which names are hashed: made once, and the same for as long as the storage account lives.

        Raises UnreadableRow where it cannot be read: another key would make two people of everyone.
        """
        blob: JsonBlob[_RedactionKey] = JsonBlob(self._storage, CONTAINER, "redaction-key.json", _RedactionKey)
        found = await blob.read()
        if found is None:
            await blob.create(_RedactionKey(secrets.token_hex(32)))
            found = await blob.read()  # another worker may have been first
        if found is None or len(found.key) < 64:
            raise UnreadableRow(
                f"the key with which names are hashed ({CONTAINER}/redaction-key.json) is damaged. Delete it: from "
                "then on the same person has another hash"
            )
        return bytes.fromhex(found.key)


def shortened(reason: str) -> str:
    """A reason as it is stored."""
    return reason[:_LONGEST_REASON]
