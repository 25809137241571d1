"""Calls that several deliveries share: what the budget promises, and what it counts."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict

import pytest

from shared.budget import BudgetGate, QuotaRules
from shared.budget.quota import Quota, calls_per_delivery, deliveries_per_call, roll
from shared.core.errors import MustWait
from shared.core.rate_gate import CallReport, PrioritySemaphore, SystemCondition, UnlimitedGate
from tests.budget.fakes import START, Clock, MemoryStore, worker

HOUR = 3600.0


class Batches:
    """One worker whose deliveries come in groups; a group makes one call, or each of it makes so many.

    Attributes:
        calls: made so far. waiting: positions of those that were sent back, each with when they are due.
    """

    def __init__(self, rules: QuotaRules, sharing: int = 16) -> None:
        self.clock, self.store = Clock(), MemoryStore()
        self.gate: BudgetGate = worker(self.store, self.clock, rules)
        self.sharing = sharing
        self.calls = 0
        self.waiting: list[tuple[float, str]] = []

    async def group(self, positions: list[str], *, alone: int = 0) -> int:
        """Deliver a group; how many were let through. ``alone``: calls that each makes by itself."""
        self.gate.share(self.sharing)
        admitted, go = 0, asyncio.Event()

        async def deliver(position: str) -> None:
            nonlocal admitted
            try:
                await self.gate.admit(urgent=False, position=position)
            except MustWait as error:
                self.waiting.append((self.clock.at + (error.retry_after or 0), error.position))
                return
            admitted += 1
            leads = admitted == 1
            await go.wait()
            coming_delivery = self.gate.coming_delivery()
            assert coming_delivery is not None
            if not leads and not alone:
                coming_delivery.leave()
            for _ in range(alone or int(leads)):
                permit = await self.gate.acquire()
                self.calls += 1
                self.gate.report(permit, CallReport(SystemCondition.ANSWERED))

        tasks = [asyncio.create_task(deliver(position)) for position in positions]
        for _ in range(50):
            await asyncio.sleep(0)
        go.set()
        with contextlib.suppress(MustWait):
            await asyncio.gather(*tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        return admitted


async def test_one_call_admits_as_many_deliveries_as_may_share_it() -> None:
    batches = Batches(QuotaRules(calls=10, reserve=0))
    through = 0
    for _ in range(12):
        through += await batches.group([""] * 16)
    assert (through, batches.calls) == (160, 10)
    quota = batches.gate.state.quota
    assert quota.ordinary + quota.urgent <= 10


async def test_what_nobody_used_of_a_shared_call_goes_back() -> None:
    batches = Batches(QuotaRules(calls=2, reserve=0))
    batches.gate.share(16)

    async def given_up() -> None:
        await batches.gate.admit(urgent=False)

    await asyncio.gather(*(asyncio.create_task(given_up()) for _ in range(16)))
    assert await batches.group([""] * 16) == 16
    assert await batches.group([""] * 16) == 16
    assert batches.calls == 2


async def test_a_delivery_that_calls_alone_takes_a_call_of_its_own_and_never_one_too_many() -> None:
    batches = Batches(QuotaRules(calls=10, reserve=0))
    await batches.group([""] * 16, alone=1)
    assert batches.calls == 10


async def test_deliveries_that_turn_out_to_need_more_calls_are_admitted_with_them() -> None:
    batches = Batches(QuotaRules(calls=500))
    for _ in range(3):
        await batches.group([""] * 16, alone=2)
    await batches.gate.aclose()
    batches.clock.at += 3
    await batches.group([""] * 4, alone=2)
    quota = batches.gate.state.quota
    assert calls_per_delivery(quota) == pytest.approx(2, abs=0.2)
    assert deliveries_per_call(quota) == 1


async def test_a_backlog_that_shares_calls_is_called_back_in_the_next_window_and_not_over_many() -> None:
    batches = Batches(QuotaRules(calls=100, reserve=0.1))
    for _ in range(90):
        await batches.group([""], alone=1)
    batches.clock.at += 600
    for _ in range(63):
        await batches.group([""] * 16)
    assert len(batches.waiting) >= 990, "but for the little that became free of the reserve"
    opens = (START // HOUR + 1) * HOUR
    assert max(due for due, _ in batches.waiting) < opens + 120
    waiting, batches.waiting = sorted(batches.waiting), []
    before = batches.calls
    while waiting:
        group, waiting = waiting[:16], waiting[16:]
        batches.clock.at = max(batches.clock.at, group[-1][0] + 1)
        await batches.group([position for _, position in group])
        waiting = sorted([*waiting, *batches.waiting])
        batches.waiting = []
    assert batches.clock.at < opens + 240
    assert batches.calls - before <= 90


async def test_one_call_each_is_promised_to_a_backlog_that_shares_none() -> None:
    batches = Batches(QuotaRules(calls=100, reserve=0.1), sharing=1)
    for _ in range(90):
        await batches.group([""], alone=1)
    batches.clock.at += 600
    await batches.group([""] * 300, alone=1)
    assert max(due for due, _ in batches.waiting) > (START // HOUR + 3) * HOUR


async def test_urgent_work_and_calls_of_no_delivery_have_no_company() -> None:
    gate = worker(MemoryStore(), Clock(), QuotaRules(calls=100))
    assert gate.coming_delivery() is None
    await gate.admit(urgent=True)
    assert gate.coming_delivery() is None
    assert UnlimitedGate(4).coming_delivery() is None


async def test_deliveries_are_expected_until_they_call_end_or_take_too_long() -> None:
    clock = Clock()
    gate = worker(MemoryStore(), clock, QuotaRules(calls=100))
    await gate.admit(urgent=False)
    mine = gate.coming_delivery()
    assert mine is not None

    async def other(*, calls: bool) -> None:
        await gate.admit(urgent=False)
        assert mine is not None
        assert mine.coming == 2
        if calls:
            gate.report(await gate.acquire(), CallReport(SystemCondition.ANSWERED))
            assert mine.coming == 1

    await asyncio.create_task(other(calls=True))
    await asyncio.create_task(other(calls=False))
    await asyncio.sleep(0)  # until its task is gone
    assert mine.coming == 1
    clock.at += 1.5
    assert mine.coming == 0
    mine.leave()


async def test_a_shared_call_leaves_a_slot_and_lets_others_pass() -> None:
    slots, order = PrioritySemaphore(lambda: 2), []
    release = asyncio.Event()

    async def call(name: str, *, shared: bool = False) -> None:
        async with slots.slot(urgent=False, shared=shared):
            order.append(name)
            await release.wait()

    tasks = [asyncio.create_task(call(f"shared {n}", shared=True)) for n in range(2)]
    tasks.append(asyncio.create_task(call("alone")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["shared 0", "alone"]
    release.set()
    await asyncio.gather(*tasks)
    assert order == ["shared 0", "alone", "shared 1"]
    only = PrioritySemaphore(lambda: 1)
    async with only.slot(urgent=False, shared=True):
        assert only.in_use == 1


def test_what_was_learned_of_sharing_lasts_over_a_window() -> None:
    quota = Quota(window=1, deliveries=320, calls=20, waited=160, waited_calls=10, sharing=16)
    later = roll(quota, QuotaRules(calls=100), 2 * HOUR + 10)
    assert (later.sharing, calls_per_delivery(later), deliveries_per_call(later, waited=True)) == (16, 1 / 16, 16)
    assert calls_per_delivery(Quota(**{**asdict(quota), "sharing": 1})) == 1.0
