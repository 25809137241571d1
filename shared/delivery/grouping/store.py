"""Groups, their members and the counters of throttles in Table storage; ETags are the lock.

Members of one group share a partition, which takes 2,000 operations a second; groups and counters are spread.
Source: Microsoft Learn, "Scalability and performance targets for Table storage".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from shared.core.identity import link_id
from shared.core.order import order_text, parse_order
from shared.core.signal import SignalState, from_dict, rfc3339, to_dict
from shared.delivery.grouping.model import Group, GroupRules, GroupStanding, GroupUpdate, Member
from shared.platform.storage import RowOvertaken, Storage, put_row, storage_errors

if TYPE_CHECKING:
    pass

GROUPS = "groups"
MEMBERS = "members"

#: A group key remembers so many windows; who resolves later than that has no group any more.
MOST_STARTS = 20

T = TypeVar("T")


class Overtaken(Exception):
    """Somebody else wrote the row since it was read: an answer, known to grouping alone."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """A value with the ETag under which it was read."""

    value: T
    etag: str


class GroupStore:
    """Loads and writes. All methods raise StorageUnavailable when storage does not answer."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def load(self, key: str) -> Kept[Group] | None:
        """A group, None when there is none."""
        entity = await self._get(GROUPS, *_spread(key))
        return None if entity is None else Kept(_group(json.loads(entity["State"])), _etag(entity))

    async def write(self, group: Group, etag: str | None) -> str:
        """Write a group read under ``etag``, or a new one with None; the new ETag. Raises Overtaken."""
        return await self._put(GROUPS, _spread(group.key), {"State": json.dumps(_group_data(group))}, etag)

    async def member(self, group: str, key: str) -> Kept[Member] | None:
        """One member of a group, None when it is none."""
        entity = await self._get(MEMBERS, *_member_address(group, key))
        return None if entity is None else Kept(_member(entity), _etag(entity))

    async def write_member(self, group: str, member: Member, etag: str | None) -> str:
        """Write a member read under ``etag``, or a new one with None. Raises Overtaken."""
        values = {
            "Key": member.key,
            "Latest": order_text(member.latest),
            "Fired": order_text(member.fired),
            "Over": order_text(member.over),
            "Firings": member.firings,
            "Resources": json.dumps(member.resources),
            "First": rfc3339(member.first) or "",
        }
        return await self._put(MEMBERS, _member_address(group, member.key), values, etag)

    async def members(self, group: str) -> list[Kept[Member]]:
        """All members of a group."""
        found = await self._list(MEMBERS, _member_address(group, "")[0])
        return [Kept(_member(entity), _etag(entity)) for entity in found]

    async def starts(self, base: str) -> Kept[tuple[datetime, ...]]:
        """When the windows of a group key began, oldest first; an empty ETag when there were none so far."""
        entity = await self._get(GROUPS, *_spread(f"starts {base}"))
        if entity is None:
            return Kept((), "")
        return Kept(tuple(datetime.fromisoformat(text) for text in json.loads(entity["State"])), _etag(entity))

    async def write_starts(self, base: str, starts: tuple[datetime, ...], etag: str) -> None:
        """Write the windows of a group key, the newest ones of them. Raises Overtaken."""
        state = json.dumps([rfc3339(start) for start in sorted(starts)[-MOST_STARTS:]])
        await self._put(GROUPS, _spread(f"starts {base}"), {"State": state}, etag or None)

    async def count(self, counter: str) -> Kept[int]:
        """A throttle's counter; an empty ETag when nothing was counted so far."""
        entity = await self._get(GROUPS, *_spread(f"count {counter}"))
        return Kept(0, "") if entity is None else Kept(int(entity["State"]), _etag(entity))

    async def write_count(self, counter: str, count: int, etag: str) -> None:
        """Write a counter. Raises Overtaken."""
        await self._put(GROUPS, _spread(f"count {counter}"), {"State": str(count)}, etag or None)

    async def _get(self, table: str, partition: str, row: str) -> dict[str, Any] | None:
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"reading from table {table}"):
            try:
                entity = await self._storage.table(table).get_entity(partition, row)
            except ResourceNotFoundError:
                return None
        return {**entity, "etag": entity.metadata["etag"]}

    async def _list(self, table: str, partition: str) -> list[dict[str, Any]]:
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"listing table {table}"):
            try:
                found = self._storage.table(table).query_entities(
                    "PartitionKey eq @partition", parameters={"partition": partition}
                )
                return [{**entity, "etag": entity.metadata["etag"]} async for entity in found]
            except ResourceNotFoundError:
                return []

    async def _put(self, table: str, address: tuple[str, str], values: dict[str, Any], etag: str | None) -> str:
        entity = {"PartitionKey": address[0], "RowKey": address[1], **values}
        async with storage_errors(f"writing to table {table}"):
            try:
                return await put_row(self._storage.table(table), entity, etag)
            except RowOvertaken as error:
                raise Overtaken from error


def _spread(key: str) -> tuple[str, str]:
    row = link_id(key)
    return row[:2], row


def _member_address(group: str, key: str) -> tuple[str, str]:
    return link_id(group), hashlib.sha256(key.encode()).hexdigest()


def _etag(entity: Mapping[str, Any]) -> str:
    return str(entity["etag"])


def _member(entity: Mapping[str, Any]) -> Member:
    latest = parse_order(entity["Latest"])
    if latest is None:
        raise ValueError("a member without its newest event")
    return Member(
        key=entity["Key"],
        latest=latest,
        fired=parse_order(entity["Fired"]),
        over=parse_order(entity["Over"]),
        firings=int(entity["Firings"]),
        resources=tuple(json.loads(entity["Resources"])),
        first=_moment(entity["First"]),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _group_data(group: Group) -> dict[str, Any]:
    seconds = {name: getattr(group.rules, name).total_seconds() for name in ("note_every", "after")}
    return {
        "key": group.key,
        "route": group.route,
        "head": to_dict(group.head),
        "since": rfc3339(group.since),
        "rules": {**asdict(group.rules), **seconds},
        "standing": group.standing.value,
        "said": _said_data(group.said),
        "saying": _said_data(group.saying),
        "look_at": rfc3339(group.look_at),
        "opened": group.opened,
        "look_id": group.look_id,
    }


def _group(data: Mapping[str, Any]) -> Group:
    rules = data["rules"]
    return Group(
        key=data["key"],
        route=data["route"],
        head=from_dict(data["head"]),
        since=datetime.fromisoformat(data["since"]),
        rules=GroupRules(
            note_every=timedelta(seconds=rules["note_every"]),
            after=timedelta(seconds=rules["after"]),
            firings=rules["firings"],
            summary=rules["summary"],
        ),
        standing=GroupStanding(data["standing"]),
        said=_said(data["said"]),
        saying=_said(data["saying"]),
        look_at=_moment(data["look_at"]),
        opened=data["opened"],
        look_id=data.get("look_id", ""),
    )


def _said_data(said: GroupUpdate | None) -> dict[str, Any] | None:
    return None if said is None else {**asdict(said), "state": said.state.value, "order": order_text(said.order)}


def _said(data: Mapping[str, Any] | None) -> GroupUpdate | None:
    if data is None:
        return None
    order = parse_order(data["order"])
    if order is None:
        raise ValueError("something said without its time")
    return GroupUpdate(**{**data, "state": SignalState(data["state"]), "order": order, "new": tuple(data["new"])})
