"""Groups, their members and the counters of throttles in Table storage; ETags are the lock.

Members of one group share a partition, which takes 2,000 operations a second; groups and counters are spread.
Source: Microsoft Learn, "Scalability and performance targets for Table storage".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from shared.core.link import link_id
from shared.core.signal import from_dict, to_dict
from shared.delivery.grouping.model import Group, Member
from shared.platform.codec import Coding, RowCodec
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

    async def count(self, counter: str) -> Versioned[int]:
        """A throttle's counter; an empty ETag when nothing was counted so far."""
        found = await self._counts.load(_spread(f"count {counter}"))
        return Versioned(0, "") if found is None else Versioned(found.value.count, found.etag)

    async def write_count(self, counter: str, count: int, etag: str) -> None:
        """Write a counter. Raises RowOvertaken."""
        await self._counts.write(_spread(f"count {counter}"), _Count(count), etag or None)


def _spread(key: str) -> RowAddress:
    row = link_id(key)
    return RowAddress(row[:2], row)


def _member_address(group: str, key: str) -> RowAddress:
    return RowAddress(link_id(group), hashlib.sha256(key.encode()).hexdigest())
