"""Links in Table storage. The ETag is the lock: a write that was overtaken fails, and the decision is made again."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncGenerator, Callable

from shared.core.link import Link, LinkStage, link_id
from shared.core.ticket_system import TicketKind
from shared.platform.codec import RowCodec, column
from shared.platform.storage import Storage
from shared.platform.tables import MOST_TRIES, RowAddress, Versioned, VersionedTable

TABLE = "links"

#: Partitions of the table: the first two hexadecimal digits of the row key. They spread any storm evenly and can still
#: be listed.
PARTS = 256

CODEC = RowCodec(Link)

#: Columns of what lists show.
_LISTED = CODEC.columns(
    *("key", "generation", "stage", "connection", "kind", "route", "ticket", "title", "source", "opened_at"),
    *("state", "owner", "due", "created_at"),
)


def address(row: str) -> RowAddress:
    """Where the link with an id is, see ``identity.link_id``."""
    return RowAddress(row[:2], row)


class LinkStore:
    """Loads and writes links. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._table = VersionedTable(storage, TABLE, CODEC)

    @property
    def operations(self) -> int:
        """Calls to storage so far."""
        return self._table.operations

    async def load(self, key: str) -> Versioned[Link] | None:
        """The link of a key, None when there is none. Raises UnreadableRow."""
        return await self.at(link_id(key))

    async def at(self, row: str) -> Versioned[Link] | None:
        """The link with an id (see ``identity.link_id``), None when there is none. Raises UnreadableRow."""
        return await self._table.load(address(row))

    async def write(self, link: Link, etag: str | None) -> str:
        """Write a link read under ``etag``, or a new one with None; returns the new ETag.

        Raises RowOvertaken when it exists already, or was written since.
        """
        return await self._table.write(address(link_id(link.key)), link, etag)

    async def update(
        self, key: str, change: Callable[[Link | None], Link | None], *, contended: str, tries: int = MOST_TRIES
    ) -> Link | None:
        """Change the link of a key, see ``VersionedTable.update``."""
        return await self._table.update(address(link_id(key)), change, contended=contended, tries=tries)

    def all(self) -> AsyncGenerator[Link, None]:
        """Every link, in no useful order."""
        return self._table.query()

    async def part(self, number: int, connection: str) -> list[Link]:
        """The links of one of the ``PARTS`` parts of the table whose tickets are of a connection.

        One call for each 1,000 rows found.
        """
        condition = "PartitionKey eq @part and Connection eq @connection"
        parameters = {"part": f"{number:02x}", "connection": connection}
        return [link async for link in self._table.query(condition, parameters)]

    async def sample(self, connection: str, kind: TicketKind, besides: str, most: int) -> list[Link]:
        """Some links whose tickets are open or resolved, without that of the key ``besides``; with what lists show of
        them. They are taken from a random place of the table, so that each call may give others.

        Args:
            connection, kind: of the tickets.
            besides: a key.
            most: how many at most.
        """
        first = random.randrange(PARTS)  # noqa: S311 (a sample, no secret)
        found: list[Link] = []
        for parts in (range(first, PARTS), range(first)):
            if not parts:
                continue
            async with contextlib.aclosing(self.tickets(parts, connection=connection, kind=kind.value)) as links:
                async for link in links:
                    if link.key != besides and link.stage in (LinkStage.OPEN, LinkStage.RESOLVED):
                        found.append(link)
                    if len(found) == most:
                        return found
        return found

    def tickets(self, parts: range, **equal: str) -> AsyncGenerator[Link, None]:
        """Links that have, or had, a ticket, with what lists show of them; all other fields have their defaults.

        One call for each 1,000 rows, which storage reads in one partition after the other.

        Args:
            parts: neighbouring parts of the table, of the ``PARTS`` that there are.
            equal: values that text fields must have; storage compares them.
        """
        # after the last part comes 'g', which no hexadecimal number begins with
        end = f"{parts.stop:02x}" if parts.stop < PARTS else "g"
        conditions = ["PartitionKey ge @begin", "PartitionKey lt @end", "Ticket ne ''"]
        conditions += [f"{column(name)} eq @{name}" for name in equal]
        parameters = {"begin": f"{parts.start:02x}", "end": end, **equal}
        return self._table.query(" and ".join(conditions), parameters, select=_LISTED)
