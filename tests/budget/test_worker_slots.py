"""More workers than calls in flight: only as many of them call as the instance takes at once."""

from __future__ import annotations

import asyncio
import random

import pytest

from shared.budget import BudgetGate, QuotaRules
from shared.budget.backlog import Backlog, slot_duration, take_slot
from shared.core.errors import MustWait
from shared.core.rate_gate import CallReport, SystemCondition
from tests.budget.fakes import Clock, MemoryStore, worker

WORKERS = 12


class Instance:
    """Counts the calls that are under way."""

    def __init__(self) -> None:
        self.under_way = self.most = self.answered = 0
        self.waits: list[MustWait] = []

    async def call(self, budget: BudgetGate) -> bool:
        """One delivery with one call; False when it has to wait."""
        try:
            await budget.admit(urgent=False)
        except MustWait as wait:
            self.waits.append(wait)
            return False
        async with budget.slot():
            permit = await budget.acquire()
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            for _ in range(5):
                await asyncio.sleep(0)
            self.under_way -= 1
            budget.report(permit, CallReport(SystemCondition.ANSWERED))
        self.answered += 1
        return True


def crowd(store: MemoryStore, clock: Clock, rules: QuotaRules) -> list[BudgetGate]:
    return [worker(store, clock, rules, f"w{number:02}", number) for number in range(WORKERS)]


async def registered(budgets: list[BudgetGate], clock: Clock) -> None:
    """Each has said that it is there, and has heard of the others."""
    for budget in budgets:
        await asyncio.gather(budget.admit(urgent=False), return_exceptions=True)
    clock.at += 3
    for budget in budgets:
        await asyncio.gather(budget.admit(urgent=True), return_exceptions=True)
    clock.at += 3


@pytest.mark.parametrize("calls", [None, 10_000])
async def test_twelve_workers_have_four_calls_in_flight_and_all_work_is_done(calls: int | None) -> None:
    clock, store, instance = Clock(), MemoryStore(), Instance()
    budgets = crowd(store, clock, QuotaRules(calls=calls, in_flight=4))
    await registered(budgets, clock)
    waiting = list(range(240))
    chance = random.Random(7)
    for _ in range(200):
        batch, waiting = waiting[:48], waiting[48:]
        done = await asyncio.gather(
            *(asyncio.create_task(instance.call(budgets[chance.randrange(WORKERS)])) for _ in batch)
        )
        waiting += [number for number, ended in zip(batch, done, strict=True) if not ended]
        clock.at += 1
        if not waiting:
            break
    assert not waiting
    assert instance.answered == 240
    assert instance.most == 4
    assert all(1.0 <= (wait.retry_after or 0) <= 3.0 for wait in instance.waits)
    assert all("max_in_flight" in wait.advice for wait in instance.waits)


async def test_a_worker_that_died_or_rests_loses_its_slot_to_another() -> None:
    clock, store = Clock(), MemoryStore()
    budgets = crowd(store, clock, QuotaRules(in_flight=1))
    await registered(budgets, clock)
    instance = Instance()
    with_slot = [budget for budget in budgets if await asyncio.create_task(instance.call(budget))]
    assert len(with_slot) == 1
    others = [budget for budget in budgets if budget is not with_slot[0]]
    clock.at += slot_duration(QuotaRules()) + 3
    heirs = [budget for budget in others if await asyncio.create_task(instance.call(budget))]
    assert len(heirs) == 1
    assert not await asyncio.create_task(instance.call(with_slot[0]))


async def test_a_worker_keeps_its_slot_while_it_works_at_the_cost_of_a_write_in_fifteen_seconds() -> None:
    clock, store, instance = Clock(), MemoryStore(), Instance()
    budgets = crowd(store, clock, QuotaRules(in_flight=2))
    await registered(budgets, clock)
    (mine, *_) = [budget for budget in budgets if await asyncio.create_task(instance.call(budget))]
    before = store.writes
    for _ in range(60):
        assert await asyncio.create_task(instance.call(mine))
        clock.at += 1
    assert store.writes - before <= 60 / (slot_duration(QuotaRules()) / 2) + 1


def test_there_are_never_more_worker_slots_than_calls_in_flight() -> None:
    rules, backlog = QuotaRules(in_flight=2), Backlog("backlog")
    taken = []
    for number, now in enumerate((0.0, 1.0, 2.0, 31.5, 32.5, 33.0)):
        backlog, got = take_slot(backlog, rules, f"w{number}", now)
        taken.append(got)
        assert len([1 for _, expiry in backlog.worker_slots if expiry > now]) <= 2
    assert taken == [True, True, False, True, True, False]
