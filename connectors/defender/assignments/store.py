"""Assignments in Table storage. The ETag is the lock, as for links: a write that was overtaken is decided anew.

Two tables. ``assignments`` has one row per recommendation. ``assignmenttickets`` says which recommendations a ticket
has: its row is written *before* the assignment that names the ticket, so that a crash leaves a row too many at most.
Readers look at the assignment itself, and nobody deletes such a row: a writer may be about to make it true.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from connectors.defender.assignments.assignment import WITHDRAWN, Assignment
from shared.core.identity import link_id
from shared.core.order import order_text, parse_order
from shared.core.signal import rfc3339
from shared.core.ticket_system import TicketKind
from shared.platform.storage import RowOvertaken, Storage, put_row, storage_errors

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

TABLE = "assignments"
TICKETS = "assignmenttickets"

#: Index rows that this process knows to be there.
_MOST_KNOWN = 10_000


class AssignmentOvertaken(Exception):
    """Somebody else wrote the assignment since it was read: an answer rather than an error."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An assignment with the ETag under which it was read."""

    assignment: Assignment
    etag: str


class AssignmentStore:
    """Loads and writes assignments. ``operations`` counts the calls to storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._indexed: set[tuple[str, str]] = set()
        self.operations = 0

    def _table(self, name: str = TABLE) -> TableClient:
        self.operations += 1
        return self._storage.table(name)

    async def load(self, key: str) -> Stored | None:
        """The assignment of a recommendation's key, None when there never was one. Raises StorageUnavailable."""
        return await self._at(link_id(key))

    async def _at(self, row: str) -> Stored | None:
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("reading an assignment"):
            try:
                entity = await self._table().get_entity(row[:2], row)
            except ResourceNotFoundError:
                return None
        return Stored(from_entity(entity), str(entity.metadata["etag"]))

    async def write(self, assignment: Assignment, etag: str | None) -> str:
        """Write an assignment read under ``etag``, or a new one with None; returns the new ETag.

        Raises:
            AssignmentOvertaken: it exists already, or was written since.
            StorageUnavailable: storage did not answer.
        """
        entity = to_entity(assignment)
        async with storage_errors("writing an assignment"):
            await self._index(assignment)
            try:
                return await put_row(self._table(), entity, etag)
            except RowOvertaken as error:
                raise AssignmentOvertaken from error

    async def _index(self, assignment: Assignment) -> None:
        """Note that the ticket has the recommendation, unless this process knows that it is noted."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        known = (assignment.ticket_key, assignment.key)
        if not assignment.ticket_key or known in self._indexed:
            return
        entity = {
            "PartitionKey": link_id(assignment.ticket_key),
            "RowKey": link_id(assignment.key),
            "TicketKey": assignment.ticket_key,
            "Key": assignment.key,
        }
        try:
            await self._table(TICKETS).upsert_entity(entity)
        except ResourceNotFoundError:
            with contextlib.suppress(ResourceExistsError):
                await self._table(TICKETS).create_table()
            await self._table(TICKETS).upsert_entity(entity)
        if len(self._indexed) >= _MOST_KNOWN:
            self._indexed.clear()
        self._indexed.add(known)

    async def of_ticket(self, ticket_key: str) -> list[Assignment]:
        """Assignments, open and ended, whose ticket the link of ``ticket_key`` has; by key. Raises StorageUnavailable.

        Args:
            ticket_key: key of a recommendation or of a group, as :attr:`Assignment.ticket_key` has it.
        """
        from azure.core.exceptions import ResourceNotFoundError

        rows: list[str] = []
        async with storage_errors("listing the assignments of a ticket"):
            try:
                found = self._table(TICKETS).query_entities(
                    "PartitionKey eq @ticket", parameters={"ticket": link_id(ticket_key)}, select=["RowKey"]
                )
                rows = [entity["RowKey"] async for entity in found]
            except ResourceNotFoundError:
                return []
        read = [stored.assignment for row in rows if (stored := await self._at(row)) is not None]
        return sorted((one for one in read if one.ticket_key == ticket_key), key=lambda one: one.key)

    def open_on(self, ticket_key: str) -> AsyncGenerator[Assignment, None]:
        """Open assignments of a ticket. Raises StorageUnavailable."""
        return self._where("TicketKey eq @key and EndedAt eq ''", key=ticket_key)

    def withdrawn_on(self, ticket_key: str) -> AsyncGenerator[Assignment, None]:
        """Assignments of a ticket that were withdrawn while their finding was there. Raises StorageUnavailable."""
        return self._where(f"TicketKey eq @key and Outcome eq '{WITHDRAWN}'", key=ticket_key)

    def open_of(self, integration: str) -> AsyncGenerator[Assignment, None]:
        """Open assignments of an integration, also of one that the configuration has no more."""
        return self._where("Integration eq @name and EndedAt eq ''", name=integration)

    def below(self, prefix: str) -> AsyncGenerator[Assignment, None]:
        """Assignments, open and ended, whose key begins with a text that ends in ``/``. Raises StorageUnavailable."""
        return self._where("Key ge @first and Key lt @after", first=prefix, after=f"{prefix[:-1]}0")

    async def has_open(self, ticket_key: str) -> bool:
        """Whether an assignment of a ticket is open; reads one of them. Raises StorageUnavailable."""
        return bool(await first(self.open_on(ticket_key), 1))

    async def knows_ticket(self, ticket_key: str) -> bool:
        """Whether a ticket has, or had, an assignment. Raises StorageUnavailable."""
        return bool(await first(self._where("TicketKey eq @key", key=ticket_key), 1))

    async def knows_integration(self, name: str) -> bool:
        """Whether there is, or was, an assignment of an integration. Raises StorageUnavailable."""
        return bool(await first(self._where("Integration eq @name", name=name), 1))

    async def _where(self, condition: str, **parameters: str) -> AsyncGenerator[Assignment, None]:
        """Assignments that storage finds by a condition, in no useful order; it looks at every row for that."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("looking for assignments"):
            try:
                async for entity in self._table().query_entities(condition, parameters=parameters):
                    yield from_entity(entity)
            except ResourceNotFoundError:
                return

    async def all(self) -> AsyncIterator[Assignment]:
        """Every assignment, open and ended, in no useful order. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("listing assignments"):
            try:
                async for entity in self._table().list_entities():
                    yield from_entity(entity)
            except ResourceNotFoundError:
                return

    async def open_due_before(self, moment: datetime) -> AsyncIterator[Assignment]:
        """Assignments that are open and were due before a moment, in no useful order. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("listing overdue assignments"):
            try:
                overdue = self._table().query_entities(
                    "EndedAt eq '' and Due lt @moment", parameters={"moment": _sortable(moment)}
                )
                async for entity in overdue:
                    yield from_entity(entity)
            except ResourceNotFoundError:
                return


async def first(assignments: AsyncGenerator[Assignment, None], most: int) -> list[Assignment]:
    """The first assignments of a listing; what comes after ``most`` of them is not read."""
    found: list[Assignment] = []
    async with contextlib.aclosing(assignments):
        async for one in assignments:
            found.append(one)
            if len(found) >= most:
                break
    return found


def _sortable(moment: datetime) -> str:
    """A time as text whose order is that of the times: always with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def to_entity(assignment: Assignment) -> dict[str, Any]:
    """The table row. All text, so that it reads well in any storage explorer; 256 partitions."""
    row = link_id(assignment.key)
    return {
        "PartitionKey": row[:2],
        "RowKey": row,
        "Key": assignment.key,
        "Origin": assignment.origin,
        "Title": assignment.title,
        "Resource": assignment.resource,
        "Owner": assignment.owner,
        "Due": _sortable(assignment.due),
        "Grace": assignment.grace,
        "NotifyOwner": assignment.notify_owner,
        "NotifyManager": assignment.notify_manager,
        "Caller": assignment.caller,
        "Integration": assignment.integration,
        "Rule": assignment.rule,
        "By": assignment.by,
        "Kind": assignment.kind.value,
        "Fields": json.dumps(dict(assignment.fields)) if assignment.fields else "",
        "TicketKey": assignment.ticket_key,
        "Latest": order_text(assignment.latest),
        "CreatedAt": rfc3339(assignment.created_at) or "",
        "EndedAt": rfc3339(assignment.ended_at) or "",
        "Outcome": assignment.outcome,
        "Withdrawn": assignment.withdrawn,
        "OverdueSince": rfc3339(assignment.overdue_since) or "",
        "RemindedAt": rfc3339(assignment.reminded_at) or "",
        "Told": assignment.told,
    }


def from_entity(entity: Mapping[str, Any]) -> Assignment:
    """Read a table row back."""
    return Assignment(
        key=entity["Key"],
        origin=entity["Origin"],
        owner=entity["Owner"],
        due=datetime.fromisoformat(entity["Due"]),
        integration=entity["Integration"],
        kind=TicketKind(entity["Kind"]),
        created_at=datetime.fromisoformat(entity["CreatedAt"]),
        title=entity["Title"],
        resource=entity["Resource"],
        grace=bool(entity["Grace"]),
        notify_owner=bool(entity["NotifyOwner"]),
        notify_manager=bool(entity["NotifyManager"]),
        caller=entity["Caller"],
        rule=entity["Rule"],
        by=entity["By"],
        fields=json.loads(entity["Fields"]) if entity["Fields"] else {},
        ticket_key=entity["TicketKey"],
        latest=parse_order(entity["Latest"]),
        ended_at=_moment(entity["EndedAt"]),
        outcome=entity["Outcome"],
        withdrawn=entity.get("Withdrawn", ""),  # rows of older releases have none
        overdue_since=_moment(entity["OverdueSince"]),
        reminded_at=_moment(entity["RemindedAt"]),
        told=entity["Told"],
    )
