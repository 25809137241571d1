"""Assignments in Table storage. The ETag is the lock: after a write that was overtaken, the decision is made again.

Two tables. ``assignments`` has one row per recommendation. ``assignmenttickets`` says which recommendations a ticket
has: its row is written *before* the assignment that names the ticket, so that a crash leaves a row too many at most.
Readers look at the assignment itself, and nobody deletes such a row: a writer may be about to make it true.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.defender.assignments.assignment import WITHDRAWN, Assignment
from shared.core.errors import UnreadableRow
from shared.core.link import link_id
from shared.core.times import parse_moment
from shared.platform.codec import Coding, RowCodec
from shared.platform.storage import Storage
from shared.platform.tables import MOST_TRIES, RowAddress, Versioned, VersionedTable, change_row

TABLE = "assignments"
TICKETS = "assignmenttickets"

#: Index rows that this process knows to be there.
_MOST_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class _TicketIndex:
    """One row of the index: a ticket has a recommendation."""

    ticket_key: str
    key: str


def _sortable(moment: datetime) -> str:
    """A time as text whose order is that of the times: always with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


#: Storage compares due dates as text.
CODEC = RowCodec(Assignment, due=Coding(_sortable, parse_moment))
_INDEX = RowCodec(_TicketIndex)


def address(key: str) -> RowAddress:
    """Where the assignment of a recommendation is; 256 partitions."""
    row = link_id(key)
    return RowAddress(row[:2], row)


class AssignmentStore:
    """Loads and writes assignments. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._table = VersionedTable(storage, TABLE, CODEC)
        self._tickets = VersionedTable(storage, TICKETS, _INDEX)
        self._indexed: set[tuple[str, str]] = set()

    @property
    def operations(self) -> int:
        """Calls to storage so far."""
        return self._table.operations + self._tickets.operations

    async def load(self, key: str) -> Versioned[Assignment] | None:
        """The assignment of a recommendation's key, None when there never was one. Raises UnreadableRow."""
        return await self._table.load(address(key))

    async def write(self, assignment: Assignment, etag: str | None) -> str:
        """Write an assignment read under ``etag``, or a new one with None; returns the new ETag.

        Raises RowOvertaken when it exists already, or was written since.
        """
        await self._index(assignment)
        return await self._table.write(address(assignment.key), assignment, etag)

    async def update(
        self,
        key: str,
        change: Callable[[Assignment | None], Assignment | None],
        *,
        contended: str,
        tries: int = MOST_TRIES,
    ) -> Assignment | None:
        """Change the assignment of a recommendation, see ``VersionedTable.update``."""
        return await change_row(lambda: self.load(key), self.write, change, contended=contended, tries=tries)

    async def _index(self, assignment: Assignment) -> None:
        """Note that the ticket has the recommendation, unless this process knows that it is noted."""
        known = (assignment.ticket_key, assignment.key)
        if not assignment.ticket_key or known in self._indexed:
            return
        index = _TicketIndex(assignment.ticket_key, assignment.key)
        await self._tickets.merge(
            RowAddress(link_id(assignment.ticket_key), link_id(assignment.key)), _INDEX.to_row(index)
        )
        if len(self._indexed) >= _MOST_KNOWN:
            self._indexed.clear()
        self._indexed.add(known)

    async def of_ticket(self, ticket_key: str) -> list[Assignment]:
        """Assignments, open and ended, whose ticket the link of ``ticket_key`` has; by key.

        Args:
            ticket_key: key of a recommendation or of a group, as :attr:`Assignment.ticket_key` has it.
        """
        keys = await self._tickets.row_keys("PartitionKey eq @ticket", {"ticket": link_id(ticket_key)})
        found = []
        for key in keys:
            with contextlib.suppress(UnreadableRow):
                stored = await self._table.load(RowAddress(key[:2], key))
                if stored is not None and stored.value.ticket_key == ticket_key:
                    found.append(stored.value)
        return sorted(found, key=lambda one: one.key)

    def open_on(self, ticket_key: str) -> AsyncGenerator[Assignment, None]:
        """Open assignments of a ticket."""
        return self._table.query("TicketKey eq @key and EndedAt eq ''", {"key": ticket_key})

    def withdrawn_on(self, ticket_key: str) -> AsyncGenerator[Assignment, None]:
        """Assignments of a ticket that were withdrawn while their finding was there."""
        return self._table.query(f"TicketKey eq @key and Outcome eq '{WITHDRAWN}'", {"key": ticket_key})

    def open_of(self, integration: str) -> AsyncGenerator[Assignment, None]:
        """Open assignments of an integration, also of one that the configuration has no more."""
        return self._table.query("Integration eq @name and EndedAt eq ''", {"name": integration})

    def below(self, prefix: str) -> AsyncGenerator[Assignment, None]:
        """Assignments, open and ended, whose key begins with a text that ends in ``/``."""
        return self._table.query("Key ge @first and Key lt @after", {"first": prefix, "after": f"{prefix[:-1]}0"})

    async def has_open(self, ticket_key: str) -> bool:
        """Whether an assignment of a ticket is open; reads one of them."""
        return bool(await first(self.open_on(ticket_key), 1))

    async def knows_ticket(self, ticket_key: str) -> bool:
        """Whether a ticket has, or had, an assignment."""
        return bool(await first(self._table.query("TicketKey eq @key", {"key": ticket_key}), 1))

    async def knows_integration(self, name: str) -> bool:
        """Whether there is, or was, an assignment of an integration."""
        return bool(await first(self._table.query("Integration eq @name", {"name": name}), 1))

    def all(self) -> AsyncGenerator[Assignment, None]:
        """Every assignment, open and ended, in no useful order."""
        return self._table.query()

    def open_due_before(self, moment: datetime) -> AsyncGenerator[Assignment, None]:
        """Assignments that are open and were due before a moment, in no useful order."""
        return self._table.query("EndedAt eq '' and Due lt @moment", {"moment": _sortable(moment)})


async def first(assignments: AsyncGenerator[Assignment, None], most: int) -> list[Assignment]:
    """The first assignments of a listing; what comes after ``most`` of them is not read."""
    found: list[Assignment] = []
    async with contextlib.aclosing(assignments):
        async for one in assignments:
            found.append(one)
            if len(found) >= most:
                break
    return found
