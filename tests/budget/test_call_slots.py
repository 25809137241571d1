"""Calls in flight over all workers: never more than the instance takes at once, from the first call on."""

from __future__ import annotations

import asyncio
import random
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.budget import BudgetGate, QuotaRules
from shared.budget.backlog import Backlog, note_worker
from shared.budget.call_slots import held_slots, slot_duration, take_slots
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


async def test_a_worker_keeps_its_slot_while_it_works_at_the_cost_of_a_write_in_five_seconds() -> None:
    clock, store, instance = Clock(), MemoryStore(), Instance()
    budgets = crowd(store, clock, QuotaRules(in_flight=2))
    await registered(budgets, clock)
    (mine, *_) = [budget for budget in budgets if await asyncio.create_task(instance.call(budget))]
    before = store.writes
    for _ in range(60):
        assert await asyncio.create_task(instance.call(mine))
        clock.at += 1
    assert store.writes - before <= 60 / (slot_duration(QuotaRules()) / 2) + 1


def test_there_are_never_more_slots_than_calls_in_flight() -> None:
    rules, backlog = QuotaRules(in_flight=2), Backlog("backlog")
    taken = []
    for number, now in enumerate((0.0, 1.0, 2.0, 10.5, 11.5, 12.0)):
        backlog, got = take_slots(backlog, rules, f"w{number}", now)
        taken.append(got)
        assert sum(count for _, count, expiry in backlog.call_slots if expiry > now) <= 2
    assert taken == [1, 1, 0, 1, 1, 0]


def test_a_worker_gives_up_what_is_above_its_share_as_its_calls_end_and_seldom_callers_take_one() -> None:
    rules, backlog = QuotaRules(in_flight=4), Backlog("backlog")
    backlog = note_worker(backlog, rules, "b", 0.0)  # it has no work
    backlog, alone = take_slots(backlog, rules, "a", 0.0, wanted=9, in_use=0)
    assert alone == 4
    backlog, none = take_slots(backlog, rules, "b", 1.0, wanted=9)
    assert none == 0
    backlog, busy = take_slots(backlog, rules, "a", 2.0, wanted=9, in_use=3)
    assert busy == 3
    backlog, shares = take_slots(backlog, rules, "a", 2.0, wanted=9, in_use=1)
    assert shares == 2
    backlog, other = take_slots(backlog, rules, "b", 2.5, wanted=9)
    assert other == 2
    assert take_slots(backlog, rules, "a", 3.0, wanted=1)[1] == 1


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("workers", [2, 3, 6])
async def test_workers_that_start_together_are_never_above_the_limit(workers: int, in_flight: int) -> None:
    clock, store, instance = Clock(), MemoryStore(), Instance()
    rules = QuotaRules(calls=10_000, in_flight=in_flight)
    budgets = [worker(store, clock, rules, f"w{number}", number) for number in range(workers)]
    for _ in range(30):  # a second each: most of the second that workers begin with not knowing of each other
        await asyncio.gather(*(asyncio.create_task(instance.call(budget)) for budget in budgets for _ in range(8)))
        clock.at += 1
    assert instance.most == in_flight
    if in_flight >= workers:
        before = dict.fromkeys(budgets, 0)
        for budget in budgets:
            before[budget] += await asyncio.create_task(instance.call(budget))
        assert all(before.values()), "in the long run each has its share"


async def test_a_worker_that_joins_one_that_seldom_calls_makes_no_call_above_the_limit() -> None:
    clock, store, instance = Clock(), MemoryStore(), Instance()
    rules = QuotaRules(calls=500, in_flight=4)
    old = worker(store, clock, rules, "old")
    await asyncio.gather(*(asyncio.create_task(instance.call(old)) for _ in range(8)))
    clock.at += 50  # its copy of the row is as old as it may be
    assert await asyncio.create_task(instance.call(old))
    new = worker(store, clock, rules, "new", 2)
    made = await asyncio.gather(*(asyncio.create_task(instance.call(one)) for one in [new, old] * 8))
    assert instance.most == 4
    assert any(made)


@settings(max_examples=60, deadline=None)
@given(
    in_flight=st.integers(1, 5),
    steps=st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.2, 1.0, 2.5, 6.0, 70.0]),  # seconds before
            st.lists(st.integers(0, 4), min_size=1, max_size=12),  # who delivers
            st.integers(0, 9),  # who is killed and starts anew: nobody above 4
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_whoever_starts_dies_or_comes_back_the_limit_holds(
    in_flight: int, steps: list[tuple[float, list[int], int]]
) -> None:
    async def run() -> None:
        clock, store, instance = Clock(), MemoryStore(), Instance()
        rules = QuotaRules(calls=100_000, in_flight=in_flight)
        names = iter(range(1_000))
        budgets = [worker(store, clock, rules, f"w{next(names)}", n) for n in range(5)]
        for passes, who, killed in steps:
            clock.at += passes
            if killed < 5:
                budgets[killed] = worker(store, clock, rules, f"w{next(names)}", killed)
            await asyncio.gather(*(asyncio.create_task(instance.call(budgets[n])) for n in who))
        assert instance.most <= in_flight

    with patch("shared.budget.call_slots._HAND_OVER", 0.0):  # real seconds, of which there would be thousands here
        asyncio.run(run())


async def test_slots_are_extended_while_a_call_takes_long_and_no_other_worker_gets_them() -> None:
    store, rules = MemoryStore(), QuotaRules(in_flight=1)
    clock = Clock()
    one, two = worker(store, clock, rules, "one"), worker(store, clock, rules, "two", 2)
    instance, ended = Instance(), asyncio.Event()

    async def long_call() -> None:
        await one.admit(urgent=False)
        async with one.slot():
            await one.acquire()
            await ended.wait()

    call = asyncio.create_task(long_call())
    for _ in range(4):
        await asyncio.sleep(slot_duration(rules) / 10 + 0.1)  # real seconds: the keeper's next turn
        clock.at += slot_duration(rules) * 0.6
        assert not await asyncio.create_task(instance.call(two))
    assert held_slots(store.rows["desk"][0].backlog, "one", clock.at)[0] == 1
    ended.set()
    await call
    clock.at += slot_duration(rules) + 1
    assert await asyncio.create_task(instance.call(two))
