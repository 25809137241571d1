"""Items that could not become a ticket: dead letters (refused) and quarantine (unreadable).

Table rows say when and why, for lists; a blob beside them holds the whole message, for replay.

Table storage lists by row key, upwards only. So each item has three equal rows in its kind's partition, written in one
transaction: one under its id, one under its time for "oldest first", one under the time counted down for "newest
first". That makes a page of any list cost what the page holds, however much is kept.
Source: Azure Storage, "Table design patterns" (log tail pattern, intra-partition secondary index).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from shared.core.errors import UnreadableRow
from shared.core.messages import FlushGroup, Message, content, encode, key_of, signal_of
from shared.core.times import parse_moment, rfc3339
from shared.platform.blobs import JsonBlob
from shared.platform.codec import Coding, RowCodec
from shared.platform.storage import Storage
from shared.platform.tables import Operation, RowAddress, VersionedTable, submit

ParkedKind = Literal["dead-letter", "quarantine"]

TABLE = "parked"
CONTAINER = "bridge-parked"

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
        kind: ``dead-letter`` or ``quarantine``. id: the message's.
        parked_at, received_at: RFC 3339. reason: why. advice: what to do. code: of the error, for filters.
        key, title, source, connection: of the signal, empty for unreadable items; the key of an order that a source be
            told is what is to be told.
        attempts: deliveries that failed. replayed_at: when it was last sent again, empty if never.
    """

    kind: ParkedKind
    id: str
    parked_at: str
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


def _time(raw: str) -> str:
    """A text that is a time: the row keys are made of it."""
    parse_moment(raw)
    return raw


_CODEC = RowCodec(ParkedItem, parked_at=Coding(str, _time))


class ParkedStore:
    """Parks, lists, shows and removes items. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._table = VersionedTable(storage, TABLE, _CODEC)

    def _blob(self, kind: ParkedKind, item: str) -> JsonBlob[dict[str, Any]]:
        """The whole message of an item."""
        return JsonBlob(self._storage, CONTAINER, f"{kind}/{item}.json", dict[str, Any])

    async def park(
        self, kind: ParkedKind, message: Message, *, code: str, reason: str, advice: str = "", connection: str = ""
    ) -> ParkedItem:
        """Park a message. Parking the same one again replaces its row."""
        signal = signal_of(message)
        row = ParkedItem(
            kind=kind,
            id=message.id,
            parked_at=rfc3339(datetime.now(UTC)) or "",
            received_at=rfc3339(message.received_at) or "",
            code=code,
            reason=reason[:_LONGEST_TEXT],
            advice=advice[:_LONGEST_TEXT],
            key="" if isinstance(message, FlushGroup) else key_of(message),
            title=signal.title if signal else "",
            source=signal.source if signal else "",
            connection=connection,
            attempts=message.attempts,
        )
        await self._write(row, json.loads(encode(message)) | content(message))
        return row

    async def park_text(self, message_id: str, text: str, *, code: str, reason: str, advice: str) -> ParkedItem:
        """Park a message that the bridge did not write, as it came."""
        now = rfc3339(datetime.now(UTC)) or ""
        row = ParkedItem("dead-letter", message_id, now, now, code, reason[:_LONGEST_TEXT], advice)
        await self._write(row, {"text": text})
        return row

    async def _write(self, row: ParkedItem, body: dict[str, Any]) -> None:
        await self._blob(row.kind, row.id).write(body)
        await self._table.creating(lambda: self._replace(row))

    async def _replace(self, row: ParkedItem) -> None:
        """Write the rows of an item, and delete those that it had under another time."""
        now = _row_keys(row)
        before = [key for key in await self._keys_of(row.kind, row.id) if key not in now]
        cells = _CODEC.to_row(row)
        operations: list[Operation] = [
            ("upsert", {**cells, **_columns(row.kind, key)}, {"mode": "replace"}) for key in now
        ]
        await submit(self._table.client, operations + _deletions(row.kind, before))

    async def _get(self, kind: ParkedKind, item: str) -> ParkedItem | None:
        """The row of an item, None when there is none. Raises UnreadableRow."""
        found = await self._table.load(RowAddress(kind, _ID + item))
        return None if found is None else found.value

    async def _keys_of(self, kind: ParkedKind, item: str) -> Sequence[str]:
        """The row keys of an item; none when there is no such item."""
        try:
            row = await self._get(kind, item)
        except UnreadableRow:  # the row keys cannot be computed: look for them
            return await self._table.row_keys("PartitionKey eq @kind and Id eq @item", {"kind": kind, "item": item})
        return () if row is None else _row_keys(row)

    async def list(self, kind: ParkedKind) -> AsyncIterator[ParkedItem]:
        """All rows of a kind, oldest first."""
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
    ) -> AsyncGenerator[tuple[str, ParkedItem], None]:
        """Rows of a kind in order of their time, each with the position from which a list can go on.

        Args:
            kind: dead-letter or quarantine.
            newest: newest first instead of oldest first.
            after: a position that an earlier list gave, for the same order; empty for the beginning.
            since: only what was parked at or after this moment.
            code, connection: only rows with exactly this; empty for all.
            replayed: only rows that were sent again (True) or were not (False); None for all.
        """
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
        async with contextlib.aclosing(self._table.scan(" and ".join(conditions), given)) as found:
            async for key, row in found:
                yield key, row.value

    async def show(self, kind: ParkedKind, item: str) -> tuple[ParkedItem, dict[str, Any]] | None:
        """Row and whole message of one item, None when there is none. Raises UnreadableRow."""
        row = await self._get(kind, item)
        body = None if row is None else await self._blob(kind, item).read()
        return None if row is None or body is None else (row, body)

    async def mark_replayed(self, row: ParkedItem) -> None:
        """Note in the row that it was sent again; nothing happens when it was removed meanwhile."""
        cells = _CODEC.cells(replayed_at=rfc3339(datetime.now(UTC)) or "")
        changes: list[Operation] = [("update", {**_columns(row.kind, key), **cells}) for key in _row_keys(row)]
        await self._table.submit_if_there(changes)

    async def forget(self, kind: ParkedKind, item: str) -> bool:
        """Remove an item that is settled; whether there was one."""
        await self._blob(kind, item).delete()
        keys = await self._keys_of(kind, item)
        return bool(keys) and await self._table.submit_if_there(_deletions(kind, keys))


def _columns(kind: ParkedKind, key: str) -> dict[str, str]:
    return RowAddress(kind, key).columns()


def _deletions(kind: ParkedKind, keys: Sequence[str]) -> list[Operation]:
    return [("delete", _columns(kind, key)) for key in keys]


_ID, _NEWEST, _OLDEST = "i-", "n-", "o-"


def _microseconds(moment: datetime) -> int:
    return min(max((moment - _EPOCH) // _MICROSECOND, 0), _END_OF_TIME)


def _row_keys(row: ParkedItem) -> tuple[str, str, str]:
    """The row keys of an item: under its id, by time, and by time counted down."""
    parked_at = _microseconds(parse_moment(row.parked_at))
    return (
        _ID + row.id,
        f"{_OLDEST}{parked_at:016}-{row.id}",
        f"{_NEWEST}{_END_OF_TIME - parked_at:016}-{row.id}",
    )
