"""Values in Table storage. The ETag of a row is its lock: a write fails when somebody else wrote the row since.

A row that cannot be read (damaged, or written by another release) is left out of every list, and the log says so once
(event ``unreadable_row``). Read by its key it is an UnreadableRow: the work waits on the queue until a person or a
release mends the row.

Sources: Microsoft Learn, "Managing concurrency in Table storage", "Performing entity group transactions".
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from shared.core.errors import KeyContended
from shared.platform.storage import Storage, create_on_first_use, page_limit, storage_errors

if TYPE_CHECKING:
    from azure.core.async_paging import AsyncItemPaged
    from azure.data.tables import TableEntity
    from azure.data.tables.aio import TableClient

T = TypeVar("T")
R = TypeVar("R")

#: An operation of a table transaction: its name, the entity, and options.
Operation = tuple[str, dict[str, Any]] | tuple[str, dict[str, Any], dict[str, Any]]

#: Operations that one transaction may have.
MOST_OPERATIONS = 100

#: Tries to write a row that others keep writing.
MOST_TRIES = 8


class RowAddress(NamedTuple):
    """Where a row is."""

    partition: str
    row: str

    def columns(self) -> dict[str, str]:
        """As Table storage names them."""
        return {"PartitionKey": self.partition, "RowKey": self.row}


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A value with the ETag under which it was read."""

    value: T
    etag: str


class RowOvertaken(Exception):
    """Somebody else wrote the row since it was read: an answer rather than an error, for the code that wrote it."""


class Codec(Protocol[T]):
    """Turns values into columns and back. See ``shared.platform.codec.RowCodec``."""

    def to_row(self, value: T, /) -> dict[str, Any]: ...

    def from_row(self, row: Mapping[str, Any], /) -> T:
        """Raises ValueError for a row that cannot be read."""
        ...


class VersionedTable(Generic[T]):
    """Values of one type in one table. All methods raise StorageUnavailable.

    Args:
        storage: the account.
        name: of the table; it is created by the first write.
        codec: of the rows.

    Attributes:
        operations: calls to storage so far; a list is one, however many pages it has.
    """

    def __init__(self, storage: Storage, name: str, codec: Codec[T]) -> None:
        self._storage = storage
        self._codec = codec
        self.name = name
        self.operations = 0

    @property
    def client(self) -> TableClient:
        """The SDK's client, counted as one operation."""
        self.operations += 1
        return self._storage.table(self.name)

    async def load(self, address: RowAddress) -> Versioned[T] | None:
        """The value of a row, None when there is none. Raises UnreadableRow."""
        found = await self._get(address)
        if found is None:
            return None
        row, etag = found
        try:
            return Versioned(self._codec.from_row(row), etag)
        except ValueError as error:
            raise self._storage.unreadable(self.name, address.row, error) from error

    async def load_or_forget(self, address: RowAddress) -> Versioned[T | None] | None:
        """As :meth:`load`, but the value of a row that cannot be read is None; the log says so.

        For what can be found out anew. A write under the ETag replaces the row.
        """
        found = await self._get(address)
        return None if found is None else Versioned(self._value_or_none(address, found[0]), found[1])

    async def load_with_age(self, address: RowAddress) -> tuple[Versioned[T | None] | None, timedelta, datetime]:
        """As :meth:`load_or_forget`, with the time since the row was written and the time now, by the service's clock.

        The age is that of ``Timestamp``, which the service sets with each write, at the ``Date`` of its answer, which
        has whole seconds: the age may be up to a second too low. It is zero when there is no row. Source: Microsoft
        Learn, "Understanding the Table service data model" (system properties), "Query Entities" (response headers).
        """
        from azure.core.exceptions import ResourceNotFoundError

        dates: list[str] = []

        def keep_date(response: Any) -> None:
            dates.append(response.http_response.headers["Date"])

        async with storage_errors(f"reading from table {self.name}"):
            try:
                row = await self.client.get_entity(*address, raw_response_hook=keep_date)
            except ResourceNotFoundError:
                return None, timedelta(0), parsedate_to_datetime(dates[-1])
        now = parsedate_to_datetime(dates[-1])
        found = Versioned(self._value_or_none(address, row), str(row.metadata["etag"]))
        return found, now - (row.metadata["timestamp"] or now), now

    async def delete(self, address: RowAddress, etag: str) -> None:
        """Delete a row read under ``etag``; nothing when it is gone. Raises RowOvertaken when it was written since."""
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError

        async with storage_errors(f"deleting from table {self.name}"):
            try:
                await self.client.delete_entity(*address, etag=etag, match_condition=MatchConditions.IfNotModified)
            except ResourceModifiedError as error:
                raise RowOvertaken from error

    async def write(self, address: RowAddress, value: T, etag: str | None) -> str:
        """Write a value read under ``etag``, or a new one with None; returns the new ETag.

        Raises RowOvertaken when the row exists already, or was written since.
        """
        return await self._put({**address.columns(), **self._codec.to_row(value)}, etag)

    async def update(
        self, address: RowAddress, change: Callable[[T | None], T | None], *, contended: str, tries: int = MOST_TRIES
    ) -> T | None:
        """Change a row, again when somebody else wrote it meanwhile; returns the value as it is then.

        Args:
            address: of the row.
            change: gives the new value for the present one (None: there is none). An equal value, or None, writes
                nothing.
            contended: what KeyContended says.
            tries: attempts.

        Raises KeyContended when others kept writing the row, and UnreadableRow.
        """

        return await change_row(
            lambda: self.load(address),
            lambda value, etag: self.write(address, value, etag),
            change,
            contended=contended,
            tries=tries,
        )

    async def scan(
        self, condition: str = "", parameters: Mapping[str, str] | None = None, *, select: Sequence[str] = ()
    ) -> AsyncGenerator[tuple[str, Versioned[T]], None]:
        """Row keys and values, in the order of partitions and row keys; rows that cannot be read are left out.

        Args:
            condition: an OData filter, with ``@name`` for each parameter; all rows when empty.
            parameters: values of the filter.
            select: columns to fetch; all when empty. Fields of others have their defaults.

        One call for each 1,000 rows.
        """
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"listing table {self.name}", within=math.inf):
            try:
                async for row, etag in self._find(condition, parameters, select):
                    try:
                        found = Versioned(self._codec.from_row(row), etag)
                    except ValueError as error:
                        self._storage.unreadable(self.name, row["RowKey"], error)
                        continue
                    yield row["RowKey"], found
            except ResourceNotFoundError:  # no such table
                return

    async def query(
        self, condition: str = "", parameters: Mapping[str, str] | None = None, *, select: Sequence[str] = ()
    ) -> AsyncGenerator[T, None]:
        """As :meth:`scan`, the values alone."""
        async with aclosing(self.scan(condition, parameters, select=select)) as found:
            async for _, versioned in found:
                yield versioned.value

    async def merge(self, address: RowAddress, cells: Mapping[str, Any]) -> None:
        """Write some columns of a row, whoever wrote it before, and leave its other columns as they are."""
        row = {**address.columns(), **cells}
        await self.creating(lambda: self.client.upsert_entity(row))

    async def row_keys(self, condition: str, parameters: Mapping[str, str]) -> list[str]:
        """Row keys of the rows that a filter finds, also of those that cannot be read."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"listing table {self.name}"):
            try:
                return [row["RowKey"] async for row, _ in self._find(condition, parameters, ["RowKey"])]
            except ResourceNotFoundError:  # no such table
                return []

    async def submit(self, operations: Sequence[Operation]) -> None:
        """Do upserts of one partition together, ``MOST_OPERATIONS`` at most."""
        await self.creating(lambda: submit(self.client, operations))

    async def submit_if_there(self, operations: Sequence[Operation]) -> bool:
        """Do updates or deletes of one partition together; False, and none is done, when one of the rows is missing."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"writing to table {self.name}"):
            try:
                await submit(self.client, operations)
            except ResourceNotFoundError:
                return False
        return True

    async def creating(self, work: Callable[[], Awaitable[R]]) -> R:
        """Do a write; when something is not there, create the table and do the write again."""
        async with storage_errors(f"writing to table {self.name}"):
            return await create_on_first_use(work, lambda: self.client.create_table())

    def _value_or_none(self, address: RowAddress, row: Mapping[str, Any]) -> T | None:
        try:
            return self._codec.from_row(row)
        except ValueError as error:
            self._storage.unreadable(self.name, address.row, error)
            return None

    async def _get(self, address: RowAddress) -> tuple[Mapping[str, Any], str] | None:
        """A row as storage has it, and its ETag."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"reading from table {self.name}"):
            try:
                row = await self.client.get_entity(*address)
            except ResourceNotFoundError:
                return None
        return row, str(row.metadata["etag"])

    async def _put(self, row: dict[str, Any], etag: str | None) -> str:
        """Write a row as storage has it. Raises RowOvertaken."""
        async with storage_errors(f"writing to table {self.name}"):
            return await put_row(self.client, row, etag)

    def _find(
        self, condition: str, parameters: Mapping[str, str] | None, select: Sequence[str]
    ) -> AsyncIterator[tuple[Mapping[str, Any], str]]:
        """Rows as storage has them, and their ETags. Raises what the SDK raises."""
        columns = list(dict.fromkeys(("PartitionKey", "RowKey", *select))) if select else None
        if condition:
            return _Rows(self.client.query_entities(condition, parameters=dict(parameters or {}), select=columns))
        return _Rows(self.client.list_entities(select=columns))


class _Rows:
    """Rows of the SDK's list with their ETags. Not a generator, so that nothing has to be closed."""

    def __init__(self, rows: AsyncItemPaged[TableEntity]) -> None:
        self._rows = rows.__aiter__()
        self._limit = page_limit()

    def __aiter__(self) -> _Rows:
        return self

    async def __anext__(self) -> tuple[Mapping[str, Any], str]:
        # Most rows are there already: they came with their page.
        async with nullcontext() if self._limit is None else asyncio.timeout(self._limit):
            row = await self._rows.__anext__()
        return row, str(row.metadata["etag"])


async def until_written(attempt: Callable[[], Awaitable[R]], *, contended: str, tries: int = MOST_TRIES) -> R:
    """The result of the first attempt that nobody overtook.

    Args:
        attempt: loads, decides and writes; a RowOvertaken of the write ends it, and it is made again.
        contended: what KeyContended says.
        tries: attempts.

    Raises KeyContended when all were overtaken.
    """
    for _ in range(tries):
        with suppress(RowOvertaken):
            return await attempt()
    raise KeyContended(contended)


async def change_row(
    load: Callable[[], Awaitable[Versioned[T] | None]],
    write: Callable[[T, str | None], Awaitable[object]],
    change: Callable[[T | None], T | None],
    *,
    contended: str,
    tries: int = MOST_TRIES,
) -> T | None:
    """What :meth:`VersionedTable.update` does, for stores that load or write in a way of their own."""

    async def attempt() -> T | None:
        stored = await load()
        before = stored.value if stored is not None else None
        after = change(before)
        if after is None or after == before:
            return before
        await write(after, stored.etag if stored is not None else None)
        return after

    return await until_written(attempt, contended=contended, tries=tries)


async def put_row(table: TableClient, entity: Mapping[str, Any], etag: str | None) -> str:
    """Write a row that was read under ``etag``, or a new one with None; the new ETag.

    Raises RowOvertaken when it exists already or was written since, and what the SDK raises.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
    from azure.data.tables import UpdateMode

    row = dict(entity)
    try:
        if etag is None:
            answer = await create_on_first_use(lambda: table.create_entity(row), table.create_table)
        else:
            answer = await table.update_entity(
                row, mode=UpdateMode.REPLACE, etag=etag, match_condition=MatchConditions.IfNotModified
            )
    except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError) as error:
        raise RowOvertaken from error
    return str(answer["etag"])


async def submit(table: TableClient, operations: Sequence[Operation]) -> None:
    """Do operations of one partition together, ``MOST_OPERATIONS`` at most.

    Raises ResourceNotFoundError for a row or table that is not there, as single operations do; the SDK's own error for
    transactions is not related to it.
    """
    from azure.core.exceptions import ResourceNotFoundError
    from azure.data.tables import TableTransactionError

    try:
        await table.submit_transaction(operations)
    except TableTransactionError as error:
        if error.status_code == 404:
            raise ResourceNotFoundError(str(error)) from error
        raise
