"""What lies outside the process, in memory: tables, queue and kept items. Each call stops where the test decides."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.core.errors import BridgeError, StorageUnavailable
from shared.core.link import Link
from shared.core.messages import Envelope, decode, encode
from shared.delivery.grouping.store import GroupStore, Overtaken
from shared.delivery.links import LinkOvertaken, LinkStore, Stored, from_entity, to_entity


class Clock(Protocol):
    """Whose time it is."""

    now: datetime


class Pause:
    """What a coroutine of this world waits on; awaiting it hands control to the test."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __await__(self) -> Generator[Pause, str, str]:
        return (yield self)


class MemoryLinks(LinkStore):
    """Links as rows with ETags, in memory, through the real row format."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[dict[str, Any], int]] = {}
        self.operations = 0

    async def load(self, key: str) -> Stored | None:
        await _storage("load")
        self.operations += 1
        found = self.rows.get(key)
        return Stored(from_entity(found[0]), str(found[1])) if found else None

    async def write(self, link: Link, etag: str | None) -> str:
        told = await Pause("write")
        self.operations += 1
        if told == "storage_down":
            raise StorageUnavailable("storage did not answer")
        found = self.rows.get(link.key)
        if (found is None) != (etag is None) or (found is not None and str(found[1]) != etag):
            raise LinkOvertaken
        version = found[1] + 1 if found else 1
        self.rows[link.key] = (to_entity(link), version)
        if told == "written_unanswered":
            raise StorageUnavailable("storage did not answer")
        return str(version)

    def peek(self, key: str) -> Link | None:
        found = self.rows.get(key)
        return from_entity(found[0]) if found else None


class MemoryGroups(GroupStore):
    """Groups and their members as rows with ETags, in memory, through the real row format."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], tuple[dict[str, Any], int]] = {}

    async def _get(self, table: str, partition: str, row: str) -> dict[str, Any] | None:
        await _storage("load")
        found = self.rows.get((table, partition, row))
        return {**found[0], "etag": str(found[1])} if found else None

    async def _list(self, table: str, partition: str) -> list[dict[str, Any]]:
        await _storage("load")
        found = [row for address, row in self.rows.items() if address[:2] == (table, partition)]
        return [{**entity, "etag": str(version)} for entity, version in found]

    async def _put(self, table: str, address: tuple[str, str], values: dict[str, Any], etag: str | None) -> str:
        told = await Pause("write")
        if told == "storage_down":
            raise StorageUnavailable("storage did not answer")
        found = self.rows.get((table, *address))
        if (found is None) != (etag is None) or (found is not None and str(found[1]) != etag):
            raise Overtaken
        version = found[1] + 1 if found else 1
        self.rows[(table, *address)] = ({**values}, version)
        if told == "written_unanswered":
            raise StorageUnavailable("storage did not answer")
        return str(version)


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

    def put(self, envelope: Envelope, delay: timedelta = timedelta()) -> None:
        number = next(self._ids)
        self.messages[number] = Message(number, encode(envelope), self._world.now + min(delay, self.longest))

    async def opened(self, text: str | bytes) -> Envelope:
        return decode(text)

    async def send(self, envelope: Envelope, delay: timedelta = timedelta()) -> None:
        await _storage("send")
        self.put(envelope, delay)

    async def done(self, envelope: Envelope) -> None:
        return


class MemoryKept:
    """Dead letters, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, Envelope]] = {}

    async def keep(self, kind: str, envelope: Envelope, *, code: str, reason: str, **_: str) -> None:
        await _storage("keep")
        self.kept[envelope.id] = (code, envelope)

    async def forget(self, kind: str, item: str) -> None:
        self.kept.pop(item, None)


class NoActions:
    async def finished(self, envelope: Envelope, decision: str, **_: Any) -> None:
        return


class NoPulse:
    """Hears how connections are doing; ``failures`` are those it was told of."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    async def succeeded(self, connection: str) -> None:
        return

    async def failed(self, connection: str, error: BridgeError) -> None:
        self.failures.append(f"{connection}: {error.code}")
