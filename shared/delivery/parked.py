"""What could not become a ticket and is kept: dead letters (refused) and quarantine (unreadable).

Table rows say when and why, for lists; the whole message lies in a blob beside them, for replay.

Table storage lists by row key, upwards only. So each item has three equal rows in its kind's partition, written in one
transaction: one under its id, one under its time for "oldest first", one under the time counted down for "newest
first". That makes a page of any list cost what the page holds, however much is kept.
Source: Azure Storage, "Table design patterns" (log tail pattern, intra-partition secondary index).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from shared.core.messages import Envelope, content, encode
from shared.core.signal import rfc3339
from shared.platform.storage import Storage, storage_errors

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

ParkedKind = Literal["dead-letter", "quarantine"]

#: An operation of a table transaction: its name, the entity, and options.
Operation = tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], dict[str, Any]]

TABLE = "kept"
CONTAINER = "bridge-kept"

#: Table text holds 32,768 characters.
_LONGEST_TEXT = 30_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Row keys compare as text, so times have sixteen digits of microseconds: good until the year 2286.
_END_OF_TIME = 10**16 - 1


@dataclass(frozen=True, slots=True)
class ParkedItem:
    """One row.

    Attributes:
        kind: ``dead-letter`` or ``quarantine``. id: the envelope's.
        kept_at, received_at: RFC 3339. reason: why. advice: what to do. code: of the error, for filters.
        key, title, source, connection: of the signal, empty for unreadable items; the key of an order that a source be
            told is what is to be told.
        attempts: deliveries that failed. replayed_at: when it was last sent again, empty if never.
    """

    kind: ParkedKind
    id: str
    kept_at: str
    received_at: str
    code: str
    reason: str
    advice: str = ""
    key: str = ""
    title: str = ""
    source: str = ""
    connection: str = ""
    attempts: int = 0
    replayed_at: str = ""


class ParkedStore:
    """Keeps, lists, shows and forgets."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def keep(
        self, kind: ParkedKind, envelope: Envelope, *, code: str, reason: str, advice: str = "", connection: str = ""
    ) -> ParkedItem:
        """Keep an envelope. Keeping the same one again replaces its row. Raises StorageUnavailable."""
        signal = envelope.signal
        row = ParkedItem(
            kind=kind,
            id=envelope.id,
            kept_at=rfc3339(datetime.now(UTC)) or "",
            received_at=rfc3339(envelope.received_at) or "",
            code=code,
            reason=reason[:_LONGEST_TEXT],
            advice=advice[:_LONGEST_TEXT],
            key=signal.key if signal else envelope.tell,
            title=signal.title if signal else "",
            source=signal.source if signal else "",
            connection=connection,
            attempts=envelope.attempts,
        )
        body = json.loads(encode(envelope)) | content(envelope)
        await self._write(row, json.dumps(body, separators=(",", ":")))
        return row

    async def keep_text(self, message_id: str, text: str, *, code: str, reason: str, advice: str) -> ParkedItem:
        """Keep a message that is none of ours as it came. Raises StorageUnavailable."""
        now = rfc3339(datetime.now(UTC)) or ""
        row = ParkedItem("dead-letter", message_id, now, now, code, reason[:_LONGEST_TEXT], advice)
        await self._write(row, json.dumps({"text": text}))
        return row

    async def _write(self, row: ParkedItem, body: str) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        async with storage_errors("keeping what could not be delivered"):
            container = self._storage.container(CONTAINER)
            name = _blob_name(row.kind, row.id)
            try:
                await container.upload_blob(name, body.encode(), overwrite=True)
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    await container.create_container()
                await container.upload_blob(name, body.encode(), overwrite=True)
            table = self._storage.table(TABLE)
            try:
                await self._replace(table, row)
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    await table.create_table()
                await self._replace(table, row)

    async def _replace(self, table: TableClient, row: ParkedItem) -> None:
        """Write the rows of an item, and take away those it had under another time."""
        before = await self._get(row.kind, row.id)
        kept = _row_keys(row)
        gone = [key for key in _row_keys(before) if key not in kept] if before else []
        operations: list[Operation] = [("upsert", {**_entity(row), "RowKey": key}, {"mode": "replace"}) for key in kept]
        operations += [("delete", {"PartitionKey": row.kind, "RowKey": key}) for key in gone]
        await submit(table, operations)

    async def _get(self, kind: ParkedKind, item: str) -> ParkedItem | None:
        """The row of an item, None when there is none. Raises what the SDK raises for a table that is not there."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return _row(dict(await self._storage.table(TABLE).get_entity(kind, _ID + item)))
        except ResourceNotFoundError as error:
            if getattr(error, "error_code", None) == "TableNotFound":
                raise
            return None

    async def list(self, kind: ParkedKind) -> AsyncIterator[ParkedItem]:
        """All rows of a kind, oldest first. Raises StorageUnavailable."""
        async for _, row in self.rows(kind):
            yield row

    async def rows(
        self,
        kind: ParkedKind,
        *,
        newest: bool = False,
        after: str = "",
        since: datetime | None = None,
        code: str = "",
        connection: str = "",
        replayed: bool | None = None,
    ) -> AsyncIterator[tuple[str, ParkedItem]]:
        """Rows of a kind in order of their time, each with the place from which a list can go on.

        Args:
            kind: dead-letter or quarantine.
            newest: newest first instead of oldest first.
            after: a place that an earlier list gave, for the same order; empty for the beginning.
            since: only what was kept at or after this moment.
            code, connection: only rows with exactly this; empty for all.
            replayed: only rows that were sent again (True) or were not (False); None for all.

        Raises:
            StorageUnavailable: storage did not answer.
        """
        from azure.core.exceptions import ResourceNotFoundError

        prefix = _NEWEST if newest else _OLDEST
        first, last = prefix, prefix + "~"  # "~" sorts behind every digit and letter
        if since is not None and newest:
            last = f"{prefix}{_END_OF_TIME - _microseconds(since):016}~"
        elif since is not None:
            first = f"{prefix}{_microseconds(since):016}"
        conditions = ["PartitionKey eq @kind", "RowKey gt @first", "RowKey lt @last"]
        given: dict[str, str] = {"kind": kind, "first": max(first, after), "last": last}
        for column, value in (("Code", code), ("Connection", connection)):
            if value:
                conditions.append(f"{column} eq @{column}")
                given[column] = value
        if replayed is not None:
            conditions.append(f"ReplayedAt {'ne' if replayed else 'eq'} @nothing")
            given["nothing"] = ""
        query = " and ".join(conditions)
        async with storage_errors("listing what is kept"):
            try:
                async for entity in self._storage.table(TABLE).query_entities(query, parameters=given):
                    yield entity["RowKey"], _row(dict(entity))
            except ResourceNotFoundError:
                return

    async def show(self, kind: ParkedKind, item: str) -> tuple[ParkedItem, dict[str, Any]] | None:
        """Row and whole message of one item, None when there is none. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("reading what is kept"):
            try:
                row = await self._get(kind, item)
                if row is None:
                    return None
                download = await self._storage.container(CONTAINER).download_blob(_blob_name(kind, item))
                body = await download.readall()
            except ResourceNotFoundError:
                return None
        data: dict[str, Any] = json.loads(body)
        return row, data

    async def mark_replayed(self, row: ParkedItem) -> None:
        """Note in the row that it was sent again; nothing when it is gone meanwhile. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        moment = rfc3339(datetime.now(UTC)) or ""
        changes: list[Operation] = [
            ("update", {"PartitionKey": row.kind, "RowKey": key, "ReplayedAt": moment}) for key in _row_keys(row)
        ]
        async with storage_errors("marking a replay"):
            with contextlib.suppress(ResourceNotFoundError):  # delivered and forgotten already
                await submit(self._storage.table(TABLE), changes)

    async def forget(self, kind: ParkedKind, item: str) -> bool:
        """Remove an item that is settled; whether there was one. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("forgetting what was kept"):
            with contextlib.suppress(ResourceNotFoundError):
                await self._storage.container(CONTAINER).delete_blob(_blob_name(kind, item))
            with contextlib.suppress(ResourceNotFoundError):
                row = await self._get(kind, item)
                if row is not None:
                    deletions: list[Operation] = [
                        ("delete", {"PartitionKey": kind, "RowKey": key}) for key in _row_keys(row)
                    ]
                    await submit(self._storage.table(TABLE), deletions)
                    return True
        return False


async def submit(table: TableClient, operations: Sequence[Operation]) -> None:
    """Do operations of one partition together, a hundred at most.

    Raises ResourceNotFoundError for a row or table that is not there, as single operations do; the SDK's own error for
    transactions is no kin of it.
    """
    from azure.core.exceptions import ResourceNotFoundError
    from azure.data.tables import TableTransactionError

    try:
        await table.submit_transaction(operations)
    except TableTransactionError as error:
        if error.status_code == 404:
            raise ResourceNotFoundError(str(error)) from error
        raise


_ID, _NEWEST, _OLDEST = "i-", "n-", "o-"


def _microseconds(moment: datetime) -> int:
    return min(max((moment - _EPOCH) // _MICROSECOND, 0), _END_OF_TIME)


def _row_keys(row: ParkedItem) -> tuple[str, str, str]:
    """Where the rows of an item stand: under its id, by time, and by time counted down."""
    kept_at = _microseconds(datetime.fromisoformat(row.kept_at))
    return (
        _ID + row.id,
        f"{_OLDEST}{kept_at:016}-{row.id}",
        f"{_NEWEST}{_END_OF_TIME - kept_at:016}-{row.id}",
    )


def _blob_name(kind: ParkedKind, item: str) -> str:
    return f"{kind}/{item}.json"


def _entity(row: ParkedItem) -> dict[str, Any]:
    values = asdict(row)
    kind = values.pop("kind")
    return {"PartitionKey": kind, **{_column(name): value for name, value in values.items()}}


def _column(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _row(entity: dict[str, Any]) -> ParkedItem:
    names = [name for name in ParkedItem.__dataclass_fields__ if name != "kind"]
    values = {name: entity.get(_column(name)) for name in names}
    given = {name: value for name, value in values.items() if value is not None}
    return ParkedItem(kind=entity["PartitionKey"], **given)
