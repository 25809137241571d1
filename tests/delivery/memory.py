"""What lies outside the process, in memory: tables, queue and kept items. Each call stops where the test decides."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from shared.core import messages
from shared.core.errors import SourceRefused, SourceUnavailable, StorageUnavailable
from shared.core.link import Link, LinkStage, link_id
from shared.core.messages import decode, encode
from shared.core.outcome import Outcome
from shared.core.signal import Rows as SignalRows
from shared.core.signal import Signal
from shared.core.ticket_system import TicketKind
from shared.delivery import links
from shared.delivery.grouping import store
from shared.delivery.grouping.store import GroupStore
from shared.delivery.links import LinkStore
from shared.delivery.splitting.store import OCCURRENCE_CODEC, OPEN_PARTS_CODEC, PartStore
from shared.payloads.tables import table_text
from shared.platform.storage import Storage
from shared.platform.tables import Codec, RowAddress, RowOvertaken, VersionedTable

T = TypeVar("T")

#: Rows and their versions by table, partition and row key.
Rows = dict[tuple[str, str, str], tuple[dict[str, Any], int]]


class Clock(Protocol):
    """Whose time it is."""

    now: datetime


class Pause:
    """What a coroutine of this world waits on; awaiting it hands control to the test."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __await__(self) -> Generator[Pause, str, str]:
        return (yield self)


class MemoryTable(VersionedTable[T]):
    """A table as rows with ETags, in memory, through the real row format."""

    def __init__(self, name: str, codec: Codec[T], rows: Rows | None = None) -> None:
        super().__init__(Storage({}), name, codec)
        self.rows: Rows = {} if rows is None else rows
        self.codec = codec

    async def _get(self, address: RowAddress) -> tuple[Mapping[str, Any], str] | None:
        await _storage("load")
        self.operations += 1
        found = self.rows.get((self.name, *address))
        return (found[0], str(found[1])) if found else None

    def _find(
        self, condition: str, parameters: Mapping[str, str] | None, select: Sequence[str]
    ) -> AsyncIterator[tuple[Mapping[str, Any], str]]:
        self.operations += 1
        assert condition == "PartitionKey eq @partition"
        return Partition(self.rows, (self.name, (parameters or {})["partition"]))

    async def _put(self, row: dict[str, Any], etag: str | None) -> str:
        told = await Pause("write")
        self.operations += 1
        if told == "storage_down":
            raise StorageUnavailable("storage did not answer")
        address = (self.name, row["PartitionKey"], row["RowKey"])
        found = self.rows.get(address)
        if (found is None) != (etag is None) or (found is not None and str(found[1]) != etag):
            raise RowOvertaken
        version = found[1] + 1 if found else 1
        self.rows[address] = (row, version)
        if told == "written_unanswered":
            raise StorageUnavailable("storage did not answer")
        if told == "written_twice":  # the answer got lost, the client repeated the request, and met its own row
            raise RowOvertaken
        return str(version)

    def peek(self, address: RowAddress) -> T | None:
        found = self.rows.get((self.name, *address))
        return self.codec.from_row(found[0]) if found else None


class Partition:
    """The rows of a partition as they are when the first one is asked for."""

    def __init__(self, rows: Rows, partition: tuple[str, str]) -> None:
        self._rows = rows
        self._partition = partition
        self._found: list[tuple[dict[str, Any], int]] | None = None

    def __aiter__(self) -> Partition:
        return self

    async def __anext__(self) -> tuple[Mapping[str, Any], str]:
        if self._found is None:
            await _storage("load")
            self._found = [row for address, row in self._rows.items() if address[:2] == self._partition]
        if not self._found:
            raise StopAsyncIteration
        row, version = self._found.pop(0)
        return row, str(version)


class MemoryLinks(LinkStore):
    """Links in memory."""

    def __init__(self) -> None:
        self._table: MemoryTable[Link] = MemoryTable("links", links.CODEC)
        self.rows = self._table.rows

    async def sample(self, connection: str, kind: TicketKind, besides: str, most: int) -> list[Link]:
        rows = [links.CODEC.from_row(row) for row, _ in self.rows.values()]
        live = (LinkStage.OPEN, LinkStage.RESOLVED)
        ours = [one for one in rows if one.connection == connection and one.kind is kind and one.stage in live]
        return [one for one in ours if one.key != besides][:most]

    def peek(self, key: str) -> Link | None:
        return self._table.peek(links.address(link_id(key)))


class MemoryParts(PartStore):
    """Parts of split signals in memory."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self._occurrences = MemoryTable("parts", OCCURRENCE_CODEC, self.rows)
        self._open = MemoryTable("parts", OPEN_PARTS_CODEC, self.rows)


class MemoryGroups(GroupStore):
    """Groups and their members in memory."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self._groups = MemoryTable("groups", store.GROUP_CODEC, self.rows)
        self._windows = MemoryTable("groups", store.WINDOWS_CODEC, self.rows)
        self._counts = MemoryTable("groups", store.COUNT_CODEC, self.rows)
        self._members = MemoryTable("members", store.MEMBER_CODEC, self.rows)
        self._bursts = MemoryTable("groups", store.BURSTS_CODEC, self.rows)


async def _storage(place: str) -> None:
    if await Pause(place) == "storage_down":
        raise StorageUnavailable("storage did not answer")


@dataclass
class Message:
    """On the queue."""

    id: int
    text: str
    visible_at: datetime
    dequeued: int = 0
    held_by: int | None = None


class MemoryQueue:
    """The queue: at least once, in no order, nothing lost."""

    def __init__(self, world: Clock) -> None:
        self._world = world
        self.longest = timedelta(days=3650)
        self.messages: dict[int, Message] = {}
        self._ids = itertools.count(1)

    def put(self, message: messages.Message, delay: timedelta = timedelta()) -> None:
        number = next(self._ids)
        self.messages[number] = Message(number, encode(message), self._world.now + min(delay, self.longest))

    async def decoded(self, text: str | bytes) -> messages.Message:
        return decode(text)

    async def send(self, message: messages.Message, delay: timedelta = timedelta()) -> None:
        await _storage("send")
        self.put(message, delay)

    async def send_text(self, text: str, delay: timedelta = timedelta()) -> None:
        await _storage("send")
        number = next(self._ids)
        self.messages[number] = Message(number, text, self._world.now + delay)

    async def delete_content(self, message: messages.Message) -> None:
        return


class MemoryKept:
    """Dead letters, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, messages.Message]] = {}
        self.texts: dict[str, str] = {}

    async def park(self, kind: str, message: messages.Message, *, code: str, reason: str, **_: str) -> None:
        await _storage("keep")
        self.kept[message.id] = (code, message)

    async def park_text(self, message_id: str, text: str, *, code: str, reason: str, advice: str) -> None:
        self.texts[message_id] = text

    async def forget(self, kind: str, item: str) -> None:
        self.kept.pop(item, None)


class Listener:
    """Hears how messages ended; ``failures`` are calls to connections that failed."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    async def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    @property
    def failures(self) -> list[str]:
        return [f"{one.connection}: {one.call_error}" for one in self.outcomes if one.call_error]


class Reader:
    """Reads the rows of signals whose ``rows_from`` it knows. Each read stops; ``slow`` and ``refused`` fail it."""

    def __init__(self) -> None:
        self.known: dict[str, SignalRows] = {}
        self.reads = 0

    def can_read(self, signal: Signal) -> bool:
        return signal.rows is None and bool(signal.rows_from)

    async def read(self, signal: Signal, *, waiting: bool) -> Signal:
        told = await Pause("rows" if waiting else "rows later")
        self.reads += 1
        if told == "slow":
            raise SourceUnavailable("no rows within 3 seconds")
        if told == "refused" or signal.rows_from not in self.known:
            raise SourceRefused("may not read them")
        rows = self.known[signal.rows_from]
        return replace(signal, rows=rows, details={**signal.details, "result_rows": table_text(rows)})
