"""What the poll remembers of findings: one compressed blob per tenant and kind, read and written as a stream.

Entries stand in the order of their keys, one JSON line each, so that a poll merges them with pages in the same order
and never holds more than a few of either. A new snapshot takes the place of the old one in a single step, when it is
committed; what was written before that is nobody's, and Azure forgets it after a week (REST reference, "Put Block
List").
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from connectors.defender.poll.changes import Entry
from connectors.defender.poll.management_groups import CONTAINER
from shared.core.errors import StorageUnavailable
from shared.platform.codec import WRONG_FORM, coding_of, codings
from shared.platform.storage import Storage, storage_errors

#: Bytes that are read or written at once; compressed, that is some thousand findings.
_BLOCK = 256 * 1024

#: Bytes that are unpacked at once.
_UNPACKED = 64 * 1024

#: gzip, so that a person can look into it.
_GZIP = 31


@dataclass(frozen=True, slots=True)
class PollProgress:
    """How far the poll of one tenant and kind has come.

    Attributes:
        ran_at: when it was last brought to an end, None for never.
        position: id of the subscription where it was broken off for want of time; empty when it was not.
        rules: of the configuration, by which its entries were judged.
    """

    ran_at: datetime | None = None
    position: str = ""
    rules: str = ""


_PROGRESS = coding_of(PollProgress)

#: Fields of an entry in the order in which a line holds their values.
_ENTRY = codings(Entry)


class Snapshot:
    """The snapshot as it was when it was opened, and the one that takes its place.

    An entry that cannot be read is left out, and the log says so: its finding is sent once more when it is listed.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        """
        Args:
            storage: where the blob lies.
            name: of the blob.
        """
        self._storage = storage
        self._name = name
        self._blob: Any = storage.container(CONTAINER).get_blob_client(name)
        self._container: Any = storage.container(CONTAINER)
        self._etag: str | None = None
        self._size = 0
        self.progress = PollProgress()

    async def open(self) -> None:
        """Look what there is. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        async with storage_errors("opening what is known of findings"):
            try:
                found = await self._blob.get_blob_properties()
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    await self._container.create_container()
                return
        self._etag, self._size = found.etag, found.size
        try:
            self.progress = _PROGRESS.read({name: text for name, text in (found.metadata or {}).items() if text})
        except ValueError as error:
            self._storage.unreadable(CONTAINER, self._name, error)

    async def entries(self) -> AsyncGenerator[Entry, None]:
        """Everything in it, in the order of the keys. Raises StorageUnavailable, also in the midst."""
        packed, rest = zlib.decompressobj(_GZIP), b""
        async for part in self._parts():
            while part:
                try:
                    lines = (rest + packed.decompress(part, _UNPACKED)).split(b"\n")
                except zlib.error as error:  # nothing behind this can be read
                    self._storage.unreadable(CONTAINER, self._name, error)
                    return
                part, rest = packed.unconsumed_tail, lines.pop()
                for line in lines:
                    try:
                        entry = read_entry(line)
                    except ValueError as error:
                        self._storage.unreadable(CONTAINER, self._name, error)
                        continue
                    yield entry

    def writer(self, *, forgetful: bool = False) -> SnapshotWriter:
        """Begins the one that takes its place; a forgetful one never does."""
        return ForgetfulWriter(self._blob, self._etag) if forgetful else SnapshotWriter(self._blob, self._etag)

    async def _parts(self) -> AsyncIterator[bytes]:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        for begin in range(0, self._size, _BLOCK):
            async with storage_errors("reading what is known of findings"):
                try:
                    download = await self._blob.download_blob(
                        offset=begin,
                        length=min(_BLOCK, self._size - begin),
                        etag=self._etag,
                        match_condition=MatchConditions.IfNotModified,
                    )
                    yield await download.readall()
                except (ResourceModifiedError, ResourceNotFoundError):
                    raise _overtaken() from None


class SnapshotWriter:
    """A snapshot in the making; nothing of it counts before :meth:`commit`."""

    def __init__(self, blob: Any, etag: str | None) -> None:
        self._blob = blob
        self._etag = etag
        self._packed = zlib.compressobj(wbits=_GZIP)
        self._waiting = bytearray()
        self._blocks: list[str] = []
        self._run = uuid4().hex[:12]  # blocks of one run never mix with those of another

    async def add(self, entry: Entry) -> None:
        """Add an entry; its key comes after those before. Raises StorageUnavailable."""
        self._waiting += self._packed.compress(write_entry(entry) + b"\n")
        if len(self._waiting) >= _BLOCK:
            await self._stage()

    async def commit(self, progress: PollProgress) -> None:
        """Put it in the place of the old one.

        Raises StorageUnavailable, also when another run has done so since this one began: what that run knows stays.
        """
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError
        from azure.storage.blob import BlobBlock

        self._waiting += self._packed.flush()
        await self._stage()
        condition: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        if self._etag is not None:
            condition = {"etag": self._etag, "match_condition": MatchConditions.IfNotModified}
        metadata = {name: text for name, text in _PROGRESS.write(progress).items() if text}
        async with storage_errors("keeping what is known of findings"):
            try:
                blocks = [BlobBlock(block_id=name) for name in self._blocks]
                await self._blob.commit_block_list(blocks, metadata=metadata, **condition)
            except (ResourceExistsError, ResourceModifiedError):
                raise _overtaken() from None

    async def _stage(self) -> None:
        name = f"{self._run}-{len(self._blocks):06}"
        async with storage_errors("keeping what is known of findings"):
            await self._blob.stage_block(name, bytes(self._waiting))
        self._blocks.append(name)
        self._waiting.clear()


class ForgetfulWriter(SnapshotWriter):
    """Takes a snapshot and writes nothing, for a dry run."""

    async def add(self, entry: Entry) -> None:
        """Forget the entry."""

    async def commit(self, progress: PollProgress) -> None:
        """Leave the old snapshot in its place."""


class Ahead:
    """Entries in the order of their keys, taken when their turn comes."""

    def __init__(self, entries: AsyncGenerator[Entry, None]) -> None:
        self._entries = entries
        self._next: Entry | None = None
        self._ended = False

    async def before(self, key: str | None) -> Entry | None:
        """Take the next one if it comes before a key, or (None) whatever it is. Raises StorageUnavailable."""
        entry = await self._peek()
        if entry is None or (key is not None and entry.key >= key):
            return None
        self._next = None
        return entry

    async def at(self, key: str) -> Entry | None:
        """Take the next one if it has this key. Raises StorageUnavailable."""
        entry = await self._peek()
        if entry is None or entry.key != key:
            return None
        self._next = None
        return entry

    async def aclose(self) -> None:
        """Read no further."""
        await self._entries.aclose()

    async def _peek(self) -> Entry | None:
        if self._next is None and not self._ended:
            self._next = await anext(self._entries, None)
            self._ended = self._next is None
        return self._next


def write_entry(entry: Entry) -> bytes:
    """One line of JSON: the fields in their order, without their names."""
    data = [coding.write(getattr(entry, name)) for name, coding in _ENTRY.items()]
    return json.dumps(data, separators=(",", ":")).encode()


def read_entry(line: bytes) -> Entry:
    """Read what :func:`write_entry` wrote. Raises ValueError for anything else."""
    try:
        values = zip(_ENTRY.values(), json.loads(line), strict=True)
        return Entry(*(coding.read(value) for coding, value in values))
    except WRONG_FORM as error:
        raise ValueError(str(error)) from error


def _overtaken() -> StorageUnavailable:
    return StorageUnavailable("another run of the poll has written what is known of findings meanwhile: its work stays")
