"""Budgets that meet in a real table: tasks, and processes of their own."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from local.azurite import Azurite
from shared.budget import BudgetGate, QuotaRules, TableBudgets
from shared.budget.backlog import Backlog, Positions
from shared.budget.circuit import Circuit
from shared.budget.quota import Quota
from shared.budget.store import BudgetOvertaken, BudgetState, from_entity, to_entity
from shared.core.errors import StorageUnavailable, Throttled
from shared.core.rate_gate import CallReport, SystemCondition
from shared.platform.storage import Storage

ROOT = Path(__file__).parents[2]
FULL = BudgetState(
    Backlog(
        id="backlog",
        ordinary=Positions(1.5, 2.5, 30),
        urgent=Positions(0.5, 1.5, 3),
        workers=(("one", 1.5), ("two", 2.5)),
        call_slots=(("two", 3, 2.5),),
    ),
    Quota(
        window=7,
        ordinary=3,
        urgent=2,
        carried=1,
        limit=500,
        limit_window=6,
        skew=-0.5,
        cool_until=12.5,
        cool_downs=2,
        deliveries=8.0,
        calls=9.5,
        timed=9.0,
        seconds=2.5,
    ),
    Circuit(2, 1.0, 2.0, 3.0, "w:1"),
)


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


def name() -> str:
    return f"desk-{uuid4().hex[:8]}"


def test_a_state_survives_the_trip_through_its_row() -> None:
    assert from_entity(to_entity("desk", FULL)) == FULL
    new = BudgetState(Backlog("backlog"))
    assert from_entity(to_entity("desk", new)) == new


def test_what_another_release_wrote_is_left_out_and_nonsense_is_said() -> None:
    row = to_entity("desk", FULL)
    data = json.loads(row["State"])
    newer = {part: {**fields, "unheard_of": 1} for part, fields in data.items()}
    newer["backlog"]["urgent"]["unheard_of"] = 1
    newer["colour"] = {}
    assert from_entity({"State": json.dumps(newer)}) == FULL
    for nonsense in (
        "",
        "[]",
        "{}",
        '{"backlog": {"id": "x"}}',
        json.dumps({**data, "backlog": {**data["backlog"], "workers": 3}}),
        json.dumps({**data, "quota": {**data["quota"], "cool_until": "soon"}}),
        json.dumps({"backlog": data["backlog"], "quota": data["quota"]}),
    ):
        with pytest.raises(ValueError, match="Without the row the bridge counts from zero"):
            from_entity({"State": nonsense})


async def test_of_two_writers_the_later_one_is_overtaken(storage: Storage) -> None:
    store, desk = TableBudgets(storage), name()
    assert await store.read(desk) is None
    etag = await store.write(desk, FULL, None)
    with pytest.raises(BudgetOvertaken):
        await store.write(desk, FULL, None)
    changed = replace(FULL, quota=replace(FULL.quota, ordinary=4))
    newer = await store.write(desk, changed, etag)
    with pytest.raises(BudgetOvertaken):
        await store.write(desk, FULL, etag)
    assert await store.read(desk) == (changed, newer)


async def test_storage_that_does_not_answer_is_said(azurite: Azurite) -> None:
    nobody = re.sub(r"(TableEndpoint=http://[^:/]+:)\d+", r"\g<1>1", azurite.connection_string)
    storage = Storage({"AzureWebJobsStorage": nobody})
    with pytest.raises(StorageUnavailable):
        await BudgetGate("desk", QuotaRules(), TableBudgets(storage)).admit(urgent=True)
    await storage.aclose()


async def test_many_deliveries_of_many_workers_stay_within_one_limit(storage: Storage) -> None:
    desk, made = name(), 0
    store = TableBudgets(storage)
    budgets = [BudgetGate(desk, QuotaRules(calls=400, per=86_400, reserve=0), store) for _ in range(4)]

    async def deliver(budget: BudgetGate) -> None:
        nonlocal made
        try:
            await budget.admit(urgent=False)
            permit = await budget.acquire()
        except Throttled:
            return
        made += 1
        budget.report(permit, CallReport(SystemCondition.ANSWERED))

    await asyncio.gather(*(deliver(budgets[n % 4]) for n in range(1200)))
    assert 0.95 * 400 <= made <= 400
    assert store.operations < 0.6 * 1200  # those who have to wait cost storage too


async def test_processes_share_one_limit(azurite: Azurite, tmp_path: Path) -> None:
    desk = name()
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.budget.competing_process", azurite.connection_string, desk, "200", "150",
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    made = [int((await process.communicate())[0]) for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert 0.95 * 200 <= sum(made) <= 200
    assert all(made)
