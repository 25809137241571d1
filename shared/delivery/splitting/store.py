"""Which parts of split signals are on, in Table storage; ETags are the lock. Rows are spread over 256 partitions."""

from __future__ import annotations

from shared.core.link import link_id
from shared.delivery.splitting.model import Occurrence, OpenParts
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, Versioned, VersionedTable

PARTS = "parts"

OCCURRENCE_CODEC = RowCodec(Occurrence)
OPEN_PARTS_CODEC = RowCodec(OpenParts)


class PartStore:
    """Loads and writes. All methods raise StorageUnavailable, and those that read UnreadableRow."""

    def __init__(self, storage: Storage) -> None:
        self._occurrences = VersionedTable(storage, PARTS, OCCURRENCE_CODEC)
        self._open = VersionedTable(storage, PARTS, OPEN_PARTS_CODEC)

    async def occurrence(self, key: str) -> Versioned[Occurrence] | None:
        """What is known of the signals of a key, None for nothing."""
        return await self._occurrences.load(_address(f"signal {key}"))

    async def write_occurrence(self, occurrence: Occurrence, etag: str | None) -> str:
        """Write what was read under ``etag``, or a new one with None; the new ETag. Raises RowOvertaken."""
        return await self._occurrences.write(_address(f"signal {occurrence.key}"), occurrence, etag)

    async def open_parts(self, parent: str) -> Versioned[OpenParts] | None:
        """The parts of a parent that are on, None when there never were any."""
        return await self._open.load(_address(f"parts {parent}"))

    async def write_open_parts(self, parts: OpenParts, etag: str | None) -> str:
        """As :meth:`write_occurrence`."""
        return await self._open.write(_address(f"parts {parts.key}"), parts, etag)


def _address(name: str) -> RowAddress:
    row = link_id(name)
    return RowAddress(row[:2], row)
