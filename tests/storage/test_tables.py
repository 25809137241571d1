"""Rows that several write at once, and work on many things at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest

from local.azurite import Azurite
from shared.core.errors import KeyContended
from shared.platform.codec import RowCodec
from shared.platform.concurrency import for_each
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, RowOvertaken, VersionedTable, until_written


@dataclass(frozen=True)
class Count:
    count: int = 0
    name: str = ""


@pytest.fixture
async def table(azurite: Azurite) -> AsyncIterator[VersionedTable[Count]]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    opened = VersionedTable(storage, f"t{uuid4().hex}", RowCodec(Count))
    yield opened
    await storage.table(opened.name).delete_table()
    await storage.aclose()


HERE = RowAddress("p", "r")


def one_more(now: Count | None) -> Count:
    return Count(1) if now is None else replace(now, count=now.count + 1)


async def test_a_table_is_created_by_its_first_write_and_empty_before(table: VersionedTable[Count]) -> None:
    assert await table.load(HERE) is None
    assert [one async for one in table.query()] == []
    assert await table.row_keys("PartitionKey eq @p", {"p": "p"}) == []
    await table.merge(HERE, RowCodec(Count).cells(name="n"))
    stored = await table.load(HERE)
    assert stored is not None
    assert stored.value == Count(0, "n"), "a merge leaves the other columns as they are"


async def test_many_change_one_row_and_no_change_is_lost(table: VersionedTable[Count]) -> None:
    done = await asyncio.gather(*(table.update(HERE, one_more, contended="busy", tries=50) for _ in range(8)))
    assert sorted(one.count for one in done if one is not None) == list(range(1, 9))


async def test_what_stays_equal_is_not_written(table: VersionedTable[Count]) -> None:
    assert await table.update(HERE, lambda _: None, contended="busy") is None
    await table.update(HERE, one_more, contended="busy")
    before = table.operations
    assert await table.update(HERE, lambda now: now and replace(now), contended="busy") == Count(1)
    assert await table.update(HERE, lambda _: None, contended="busy") == Count(1)
    assert table.operations == before + 2, "two reads"


async def test_who_is_overtaken_again_and_again_gives_up_with_a_sentence() -> None:
    attempts = 0

    async def attempt() -> str:
        nonlocal attempts
        attempts += 1
        raise RowOvertaken

    with pytest.raises(KeyContended, match="others kept changing it"):
        await until_written(attempt, contended="others kept changing it", tries=3)
    assert attempts == 3


async def test_so_many_at_once_in_the_order_of_the_items() -> None:
    running, most = 0, 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (5 - number % 5))
        running -= 1
        return number * 2

    assert await for_each(range(20), work, limit=3) == [number * 2 for number in range(20)]
    assert most == 3
    assert await for_each([], work, limit=3) == []


async def test_after_a_failure_nothing_is_begun_and_what_runs_is_brought_to_its_end() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0 if number == 1 else 0.01)
        if number == 1:
            raise ValueError("one")
        ended.append(number)

    with pytest.raises(ValueError, match="one"):
        await for_each(range(10), work, limit=2)
    assert (begun, ended) == ([0, 1], [0])
