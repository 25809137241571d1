"""Groups, members and counters in real tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from local.azurite import Azurite
from shared.core.signal import SignalState
from shared.delivery.grouping.model import Group, GroupRules, GroupStatus, GroupUpdate, Member
from shared.delivery.grouping.store import MOST_STARTS, GroupStore
from shared.platform.storage import Storage
from shared.platform.tables import RowOvertaken
from tests.mapping.signals import signal

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def groups(azurite: Azurite) -> AsyncIterator[GroupStore]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield GroupStore(storage)
    await storage.aclose()


def group(key: str) -> Group:
    said = GroupUpdate(SignalState.UPDATED, (NOW, 1), 3, 4, 2, 3, ("vm-1", "vm-ü"))
    rules = GroupRules(timedelta(minutes=5), timedelta(seconds=90), 3, "Alert storm: it's 'big'")
    return Group(key, "a route", signal(), NOW, rules, GroupStatus.ON, said, said, NOW + timedelta(minutes=5), True)


async def test_a_group_is_read_as_it_was_written_and_belongs_to_who_read_it_last(groups: GroupStore) -> None:
    one = group(f"group:1:{uuid4()}")
    assert await groups.load(one.key) is None
    etag = await groups.write(one, None)
    with pytest.raises(RowOvertaken):
        await groups.write(one, None)
    kept = await groups.load(one.key)
    assert kept is not None
    assert (kept.value, kept.etag) == (one, etag)
    quiet = replace(one, last_update=None, pending_update=None, flush_at=None)
    await groups.write(quiet, etag)
    with pytest.raises(RowOvertaken):
        await groups.write(one, etag)
    again = await groups.load(one.key)
    assert again is not None
    assert again.value == quiet


async def test_members_are_listed_page_by_page_and_apart_from_those_of_other_groups(groups: GroupStore) -> None:
    key, other = f"group:1:{uuid4()}", f"group:1:{uuid4()}"
    full = Member("alert:1:full", (NOW, 2), (NOW, 0), (NOW, 2), 3, ("vm-'1'", "vm-2"), NOW)
    etag = await groups.write_member(key, full, None)
    await groups.write_member(other, replace(full, key="alert:1:other"), None)
    for start in range(0, 1050, 50):
        many = [Member(f"alert:1:{n}", (NOW, 0)) for n in range(start, start + 50)]
        await asyncio.gather(*(groups.write_member(key, member, None) for member in many))
    members = {kept.value.key: kept for kept in await groups.members(key)}
    assert len(members) == 1051
    assert (members[full.key].value, members[full.key].etag) == (full, etag)
    found = await groups.member(key, full.key)
    assert found == members[full.key]
    assert await groups.member(key, "alert:1:stranger") is None
    with pytest.raises(RowOvertaken):
        await groups.write_member(key, full, None)


async def test_windows_and_counters_take_turns(groups: GroupStore) -> None:
    base = f"storm:1:{uuid4()}"
    first = await groups.starts(base)
    assert (first.value, first.etag) == ((), "")
    starts = tuple(NOW + n * timedelta(hours=1) for n in range(MOST_STARTS + 5))
    await groups.write_starts(base, starts, first.etag)
    with pytest.raises(RowOvertaken):
        await groups.write_starts(base, starts, first.etag)
    assert (await groups.starts(base)).value == starts[5:], "the newest are remembered"

    async def one_more() -> None:
        while True:
            kept = await groups.count(base)
            try:
                await groups.write_count(base, kept.value + 1, kept.etag)
            except RowOvertaken:
                continue
            return

    await asyncio.gather(*(one_more() for _ in range(12)))
    assert (await groups.count(base)).value == 12
