"""Groups, their members and the counters of throttles in Table storage; ETags are the lock.

Members of one group share a partition, which takes 2,000 operations a second; groups and counters are spread.
Source: Microsoft Learn, "Scalability and performance targets for Table storage".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from shared.core.letter_case import fold_case
from shared.core.link import link_id
from shared.core.signal import from_dict, to_dict
from shared.core.times import rfc3339
from shared.delivery.grouping.burst_model import Bursts
from shared.delivery.grouping.model import Group, Member
from shared.platform.codec import WRONG_FORM, Coding, RowCodec, coding_of
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, Versioned, VersionedTable

GROUPS = "groups"
MEMBERS = "members"

#: A group key remembers so many windows; a Resolved that comes later than that has no group any more.
MOST_STARTS = 20


@dataclass(frozen=True, slots=True)
class _Windows:
    """When the windows of a group key began, oldest first."""

    starts: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class _Count:
    """How many tickets a throttle let through in one period."""

    count: int


#: Characters of a column; Table storage takes 64 KiB in UTF-16, where a character has up to four bytes. Source:
#: Microsoft Learn, "Understanding the Table service data model".
_COLUMN = 16_000


@dataclass(frozen=True, slots=True)
class _InPieces:
    """Bursts as text, in as many columns as that needs: a hundred alerts with long keys are more than one holds."""

    piece1: str
    piece2: str = ""
    piece3: str = ""
    piece4: str = ""
    piece5: str = ""
    piece6: str = ""
    piece7: str = ""
    piece8: str = ""
    piece9: str = ""


class _BurstsCodec:
    """Rows of bursts."""

    def __init__(self) -> None:
        self._pieces = RowCodec(_InPieces)
        self._value = coding_of(Bursts)

    def to_row(self, value: Bursts) -> dict[str, Any]:
        """All columns of a value."""
        text = json.dumps(self._value.write(value), separators=(",", ":"), ensure_ascii=False)
        pieces = [text[begin : begin + _COLUMN] for begin in range(0, len(text), _COLUMN)]
        return self._pieces.to_row(_InPieces(*pieces))

    def from_row(self, row: Mapping[str, Any]) -> Bursts:
        """Read what :meth:`to_row` wrote. Raises ValueError for anything else."""
        found = self._pieces.from_row(row)
        text = "".join(getattr(found, one.name) for one in fields(found))
        try:
            bursts: Bursts = self._value.read(json.loads(text))
        except WRONG_FORM as error:
            raise ValueError(f"no bursts: {error}") from error
        return bursts


BURSTS_CODEC = _BurstsCodec()
GROUP_CODEC = RowCodec(Group, head=Coding(to_dict, from_dict, structured=True))
MEMBER_CODEC = RowCodec(Member)
WINDOWS_CODEC = RowCodec(_Windows)
COUNT_CODEC = RowCodec(_Count)


class GroupStore:
    """Loads and writes. All methods raise StorageUnavailable, and those that read one row UnreadableRow."""

    def __init__(self, storage: Storage) -> None:
        self._groups = VersionedTable(storage, GROUPS, GROUP_CODEC)
        self._windows = VersionedTable(storage, GROUPS, WINDOWS_CODEC)
        self._counts = VersionedTable(storage, GROUPS, COUNT_CODEC)
        self._members = VersionedTable(storage, MEMBERS, MEMBER_CODEC)
        self._bursts = VersionedTable(storage, GROUPS, BURSTS_CODEC)

    async def load(self, key: str) -> Versioned[Group] | None:
        """A group, None when there is none."""
        return await self._groups.load(_spread(key))

    async def write(self, group: Group, etag: str | None) -> str:
        """Write a group read under ``etag``, or a new one with None; the new ETag. Raises RowOvertaken."""
        return await self._groups.write(_spread(group.key), group, etag)

    async def member(self, group: str, key: str) -> Versioned[Member] | None:
        """One member of a group, None when it is none."""
        return await self._members.load(_member_address(group, key))

    async def write_member(self, group: str, member: Member, etag: str | None) -> str:
        """Write a member read under ``etag``, or a new one with None. Raises RowOvertaken."""
        return await self._members.write(_member_address(group, member.key), member, etag)

    async def members(self, group: str) -> list[Versioned[Member]]:
        """All members of a group that can be read."""
        partition = {"partition": _member_address(group, "").partition}
        return [member async for _, member in self._members.scan("PartitionKey eq @partition", partition)]

    async def starts(self, base: str) -> Versioned[tuple[datetime, ...]]:
        """When the windows of a group key began, oldest first; an empty ETag when there were none so far."""
        found = await self._windows.load(_spread(f"starts {base}"))
        return Versioned((), "") if found is None else Versioned(found.value.starts, found.etag)

    async def write_starts(self, base: str, starts: tuple[datetime, ...], etag: str) -> None:
        """Write the windows of a group key, the newest ones of them. Raises RowOvertaken."""
        newest = _Windows(tuple(sorted(starts)[-MOST_STARTS:]))
        await self._windows.write(_spread(f"starts {base}"), newest, etag or None)

    async def bursts(self, base: str) -> Versioned[Bursts]:
        """What was counted before there is a ticket; an empty ETag when nothing was so far."""
        return await self._bursts.load(_spread(f"bursts {base}")) or Versioned(Bursts(), "")

    async def write_bursts(self, base: str, bursts: Bursts, etag: str) -> str:
        """Write what was counted; the new ETag. Raises RowOvertaken."""
        return await self._bursts.write(_spread(f"bursts {base}"), bursts, etag or None)

    async def count(self, counter: str) -> Versioned[int]:
        """A throttle's counter; an empty ETag when nothing was counted so far."""
        found = await self._counts.load(_spread(f"count {counter}"))
        return Versioned(0, "") if found is None else Versioned(found.value.count, found.etag)

    async def write_count(self, counter: str, count: int, etag: str) -> None:
        """Write a counter. Raises RowOvertaken."""
        await self._counts.write(_spread(f"count {counter}"), _Count(count), etag or None)


def at_start(base: str, start: datetime) -> str:
    """Key of the group that began then: a window, a period of a throttle, or a burst."""
    return fold_case(f"{base}@{rfc3339(start)}")


def _spread(key: str) -> RowAddress:
    row = link_id(key)
    return RowAddress(row[:2], row)


def _member_address(group: str, key: str) -> RowAddress:
    return RowAddress(link_id(group), hashlib.sha256(key.encode()).hexdigest())
