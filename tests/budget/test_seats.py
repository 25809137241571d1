"""More workers than calls in flight: only as many of them call as the instance takes at once."""

from __future__ import annotations

import asyncio
import random

import pytest

from shared.budget import BudgetGate, QuotaRules, plan
from shared.budget.errors import MustWait
from shared.budget.state import QuotaState
from shared.core.rate_gate import CallReport, SystemCondition
from tests.budget.world import Clock, MemoryStore, worker

WORKERS = 12


class Instance:
    """Counts the calls that are under way."""

    def __init__(self) -> None:
        self.under_way = self.most = self.answered = 0
        self.told_to_wait: list[MustWait] = []

    async def call(self, budget: BudgetGate) -> bool:
        """One delivery with one call; False when it has to wait."""
        try:
            await budget.admit(urgent=False)
        except MustWait as wait:
            self.told_to_wait.append(wait)
            return False
        async with budget.slot():
            departure = await budget.leave()
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            for _ in range(5):
                await asyncio.sleep(0)
            self.under_way -= 1
            budget.told(departure, CallReport(SystemCondition.ANSWERED))
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
    assert all(1.0 <= (wait.retry_after or 0) <= 3.0 for wait in instance.told_to_wait)
    assert all("max_in_flight" in wait.advice for wait in instance.told_to_wait)


async def test_a_worker_that_died_or_rests_loses_its_seat_to_another() -> None:
    clock, store = Clock(), MemoryStore()
    budgets = crowd(store, clock, QuotaRules(in_flight=1))
    await registered(budgets, clock)
    instance = Instance()
    seated = [budget for budget in budgets if await asyncio.create_task(instance.call(budget))]
    assert len(seated) == 1
    others = [budget for budget in budgets if budget is not seated[0]]
    clock.at += plan.seat_lasts(QuotaRules()) + 3
    heirs = [budget for budget in others if await asyncio.create_task(instance.call(budget))]
    assert len(heirs) == 1
    assert not await asyncio.create_task(instance.call(seated[0]))


async def test_a_worker_keeps_its_seat_while_it_works_at_the_cost_of_a_write_in_fifteen_seconds() -> None:
    clock, store, instance = Clock(), MemoryStore(), Instance()
    budgets = crowd(store, clock, QuotaRules(in_flight=2))
    await registered(budgets, clock)
    (mine, *_) = [budget for budget in budgets if await asyncio.create_task(instance.call(budget))]
    before = store.writes
    for _ in range(60):
        assert await asyncio.create_task(instance.call(mine))
        clock.at += 1
    assert store.writes - before <= 60 / (plan.seat_lasts(QuotaRules()) / 2) + 1


def test_there_are_never_more_seats_than_calls_in_flight() -> None:
    rules, state = QuotaRules(in_flight=2), QuotaState("line")
    taken = []
    for number, now in enumerate((0.0, 1.0, 2.0, 31.5, 32.5, 33.0)):
        state, got = plan.take_seat(state, rules, f"w{number}", now)
        taken.append(got)
        assert len([1 for _, expiry in state.seats if expiry > now]) <= 2
    assert taken == [True, True, False, True, True, False]
