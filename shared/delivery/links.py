"""Links in Table storage. The ETag is the lock: a write that was overtaken fails and the decision is taken anew."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.core.identity import link_id
from shared.core.link import Link, LinkStage, Op, Pending
from shared.core.order import order_text, parse_order
from shared.core.signal import rfc3339
from shared.core.ticket_system import TicketKind, TicketRef
from shared.platform.storage import RowOvertaken, Storage, put_row, storage_errors

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

TABLE = "links"

#: Partitions of the table: see ``_address``.
PARTS = 256


class LinkOvertaken(Exception):
    """Somebody else wrote the link since it was read: an answer rather than an error, known to delivery alone."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A link with the ETag under which it was read."""

    link: Link
    etag: str


class LinkStore:
    """Loads and writes links. ``operations`` counts the calls to storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.operations = 0

    def _table(self) -> TableClient:
        self.operations += 1
        return self._storage.table(TABLE)

    async def load(self, key: str) -> Stored | None:
        """The link of a key, None when there is none. Raises StorageUnavailable."""
        return await self.at(link_id(key))

    async def at(self, row: str) -> Stored | None:
        """The link with an id (see ``identity.link_id``), None when there is none. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        partition = row[:2]
        async with storage_errors("reading a link"):
            try:
                entity = await self._table().get_entity(partition, row)
            except ResourceNotFoundError:
                return None
        return Stored(from_entity(entity), str(entity.metadata["etag"]))

    async def write(self, link: Link, etag: str | None) -> str:
        """Write a link read under ``etag``, or a new one with None; returns the new ETag.

        Raises:
            LinkOvertaken: it exists already, or was written since.
            StorageUnavailable: storage did not answer.
        """
        entity = to_entity(link)
        async with storage_errors("writing a link"):
            try:
                return await put_row(self._table(), entity, etag)
            except RowOvertaken as error:
                raise LinkOvertaken from error

    async def all(self) -> AsyncIterator[Link]:
        """Every link, in no useful order. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("listing links"):
            try:
                async for entity in self._table().list_entities():
                    yield from_entity(entity)
            except ResourceNotFoundError:
                return

    async def part(self, number: int, connection: str) -> list[Link]:
        """The links of one of the ``PARTS`` parts of the table whose tickets are of a connection.

        One call for each 1,000 rows found. Raises StorageUnavailable.
        """
        from azure.core.exceptions import ResourceNotFoundError

        rows = self._table().query_entities(
            "PartitionKey eq @part and Connection eq @connection",
            parameters={"part": f"{number:02x}", "connection": connection},
        )
        async with storage_errors("listing links"):
            try:
                return [from_entity(entity) async for entity in rows]
            except ResourceNotFoundError:
                return []

    async def tickets(self, parts: range, **equal: str) -> AsyncIterator[Link]:
        """Links that have, or had, a ticket, with what lists show of them; all else is left out.

        One call for each 1,000 rows, which storage reads in one partition after the other.

        Args:
            parts: neighbouring parts of the table, of the ``PARTS`` that there are.
            equal: values of columns (see ``to_entity``) that rows must have; storage compares them.

        Raises StorageUnavailable.
        """
        from azure.core.exceptions import ResourceNotFoundError

        # after the last part comes 'g', which no hexadecimal number begins with
        end = f"{parts.stop:02x}" if parts.stop < PARTS else "g"
        conditions = ["PartitionKey ge @begin", "PartitionKey lt @end", "TicketId ne ''"]
        conditions += [f"{column} eq @{column}" for column in equal]
        async with storage_errors("listing links"):
            try:
                async for entity in self._table().query_entities(
                    " and ".join(conditions),
                    parameters={"begin": f"{parts.start:02x}", "end": end, **equal},
                    select=_LISTED,
                ):
                    yield _listed(entity)
            except ResourceNotFoundError:
                return


_LISTED = [
    "PartitionKey",
    *("Key", "Generation", "Stage", "Connection", "Kind", "Route", "Title", "Source", "OpenedAt", "State", "Owner"),
    *("Due", "TicketId", "TicketNumber", "TicketUrl", "CreatedAt"),
]


def _listed(entity: Mapping[str, Any]) -> Link:
    kind = TicketKind(entity["Kind"])
    return Link(
        key=entity["Key"],
        generation=int(entity["Generation"]),
        stage=LinkStage(entity["Stage"]),
        connection=entity["Connection"],
        kind=kind,
        route=entity["Route"],
        ticket=TicketRef(kind, entity["TicketId"], "", entity["TicketNumber"], entity["TicketUrl"]),
        title=entity["Title"],
        source=entity.get("Source") or "",
        opened_at=_moment(entity.get("OpenedAt") or ""),
        state=entity.get("State") or "",
        owner=entity.get("Owner") or "",
        due=_moment(entity.get("Due") or ""),
        created_at=_moment(entity["CreatedAt"]),
    )


def _address(key: str) -> tuple[str, str]:
    """Partition and row. 256 partitions spread any storm evenly and can still be listed."""
    row = link_id(key)
    return row[:2], row


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def to_entity(link: Link) -> dict[str, Any]:
    """The table row. All text, so that it reads well in any storage explorer."""
    partition, row = _address(link.key)
    ticket = link.ticket
    return {
        "PartitionKey": partition,
        "RowKey": row,
        "Key": link.key,
        "Generation": link.generation,
        "Stage": link.stage.value,
        "Connection": link.connection,
        "Kind": link.kind.value,
        "Route": link.route,
        "Title": link.title,
        "Source": link.source,
        "Origin": link.origin,
        "OpenedAt": rfc3339(link.opened_at) or "",
        "State": link.state,
        "Owner": link.owner,
        "Due": rfc3339(link.due) or "",
        "CloseCode": link.close_code,
        "Revision": link.revision,
        "Told": link.last_pushed,
        "TicketId": ticket.id if ticket else "",
        "TicketNumber": ticket.number if ticket else "",
        "TicketUrl": ticket.url if ticket else "",
        "TicketCorrelation": ticket.correlation if ticket else "",
        "Earlier": " ".join(link.earlier),
        "Latest": order_text(link.latest),
        "Over": order_text(link.resolved_by),
        "Ended": rfc3339(link.ended) or "",
        "Seen": rfc3339(link.ticket_read_at) or "",
        "Pending": _pending_text(link.pending),
        "Held": order_text(link.first_held),
        "HeldBy": link.held_by,
        "Firings": link.firings,
        "Counted": order_text(link.last_held),
        "Changes": " ".join(rfc3339(moment) or "" for moment in link.changes),
        "Flapping": link.flapping,
        "DeadLetter": link.dead_letter,
        "CreatedAt": rfc3339(link.created_at) or "",
        "UpdatedAt": rfc3339(link.updated_at) or "",
    }


def from_entity(entity: Mapping[str, Any]) -> Link:
    """Read a table row back."""
    kind = TicketKind(entity["Kind"])
    ticket = None
    if entity["TicketId"]:
        ticket = TicketRef(
            kind=kind,
            id=entity["TicketId"],
            correlation=entity["TicketCorrelation"],
            number=entity["TicketNumber"],
            url=entity["TicketUrl"],
        )
    return Link(
        key=entity["Key"],
        generation=int(entity["Generation"]),
        stage=LinkStage(entity["Stage"]),
        connection=entity["Connection"],
        kind=kind,
        route=entity["Route"],
        ticket=ticket,
        earlier=tuple(entity["Earlier"].split()),
        latest=parse_order(entity["Latest"]),
        ended=_moment(entity["Ended"]),
        resolved_by=parse_order(entity["Over"]),
        ticket_read_at=_moment(entity["Seen"]),
        pending=_pending(entity["Pending"]),
        first_held=parse_order(entity["Held"]),
        held_by=entity["HeldBy"],
        firings=int(entity["Firings"]),
        last_held=parse_order(entity["Counted"]),
        changes=tuple(datetime.fromisoformat(text) for text in entity["Changes"].split()),
        flapping=bool(entity["Flapping"]),
        dead_letter=entity["DeadLetter"],
        title=entity["Title"],
        # rows of earlier releases do not have these
        source=entity.get("Source", ""),
        origin=entity.get("Origin", ""),
        opened_at=_moment(entity.get("OpenedAt", "")),
        state=entity.get("State", ""),
        owner=entity.get("Owner", ""),
        due=_moment(entity.get("Due", "")),
        close_code=entity.get("CloseCode", ""),
        revision=int(entity.get("Revision", 0)),
        last_pushed=entity.get("Told", ""),
        created_at=_moment(entity["CreatedAt"]),
        updated_at=_moment(entity["UpdatedAt"]),
    )


def _pending_text(pending: Pending | None) -> str:
    if pending is None:
        return ""
    return json.dumps(
        {
            "op": pending.op.value,
            "by": pending.by,
            "until": rfc3339(pending.until),
            "event": order_text(pending.event),
            "over": pending.over,
            "generation": pending.generation,
            "connection": pending.connection,
            "kind": pending.kind.value,
            "route": pending.route,
            "flapping": pending.flapping,
        }
    )


def _pending(text: str) -> Pending | None:
    if not text:
        return None
    data = json.loads(text)
    event = parse_order(data["event"])
    if event is None:
        raise ValueError("a pending call without its event")
    return Pending(
        op=Op(data["op"]),
        by=data["by"],
        until=datetime.fromisoformat(data["until"]),
        event=event,
        over=data["over"],
        generation=data["generation"],
        connection=data["connection"],
        kind=TicketKind(data["kind"]),
        route=data["route"],
        flapping=data["flapping"],
    )
