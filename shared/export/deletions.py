"""Tickets of ours that the full check found to be deleted, until a row of the export says so.

For instances that do not tell of deletions, and for connections that export the bridge's tickets only.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime

from shared.core.export import TicketRecord
from shared.core.ticket_system import TicketKind, TicketRef
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, RowOvertaken, Versioned, VersionedTable

TABLE = "exportgone"

#: ``TicketRecord.revision`` of a deleted ticket: it has one row.
REVISION = "deleted"


@dataclass(frozen=True, slots=True)
class GoneTicket:
    """A ticket that was deleted, and when that was noticed (UTC)."""

    connection: str
    kind: TicketKind
    id: str
    number: str
    url: str
    noticed_at: datetime

    def record(self) -> TicketRecord:
        """The row that says so."""
        return TicketRecord(
            self.connection, self.kind, self.id, self.number, self.url, REVISION, self.noticed_at, deleted=True
        )


class GoneTickets:
    """Remembers them. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._table = VersionedTable(storage, TABLE, RowCodec(GoneTicket))

    async def add(self, connection: str, tickets: Iterable[TicketRef], now: datetime) -> None:
        """Remember tickets until they are exported."""
        codec = RowCodec(GoneTicket)
        for one in tickets:
            gone = GoneTicket(connection, one.kind, one.id, one.number, one.url, now)
            await self._table.merge(_address(gone), codec.to_row(gone))

    async def of(self, connection: str) -> list[Versioned[GoneTicket]]:
        """Those of a connection."""
        rows = self._table.scan("PartitionKey eq @connection", {"connection": connection})
        async with aclosing(rows):
            return [one async for _, one in rows]

    async def forget(self, tickets: Iterable[Versioned[GoneTicket]]) -> None:
        """They are exported."""
        for one in tickets:
            with suppress(RowOvertaken):  # noticed once more meanwhile: it is exported once more
                await self._table.delete(_address(one.value), one.etag)


def _address(gone: GoneTicket) -> RowAddress:
    return RowAddress(gone.connection, f"{gone.kind.value}-{gone.id}")
