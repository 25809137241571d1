"""Never above the limit, whoever asks, in whatever order, with clocks that differ and requests that travel."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.budget import BudgetGate, QuotaRules
from shared.budget.backlog import Backlog, Capacity, add_positions, due_position
from shared.budget.quota import (
    Quota,
    available_calls,
    give_back,
    lease_calls,
    limit_of,
    reserve_of,
    roll,
    window_at,
    window_closes,
    window_opens,
)
from shared.core.errors import Throttled
from shared.core.rate_gate import CallReport, SystemCondition
from tests.budget.fakes import START, Clock, MemoryStore, spend

ANSWERED = CallReport(SystemCondition.ANSWERED)

steps = st.lists(
    st.tuples(
        st.floats(0, 0.4),  # how much of a window passes before
        st.lists(  # what happens at the same time: worker, urgent, calls, part of the longest travel time
            st.tuples(st.integers(0, 3), st.booleans(), st.integers(1, 3), st.floats(0, 1)), min_size=1, max_size=8
        ),
        st.sampled_from(["deliver", "deliver", "deliver", "kill", "call"]),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=120, deadline=None)
@given(
    limit=st.integers(2, 60),
    per=st.sampled_from([10.0, 60.0, 3600.0]),
    wrong=st.lists(st.floats(-1, 1), min_size=4, max_size=4),
    loses_every=st.sampled_from([0, 5, 7]),
    steps=steps,
)
def test_the_instance_never_counts_more_than_its_limit_in_any_window(
    limit: int,
    per: float,
    wrong: list[float],
    loses_every: int,
    steps: list[tuple[float, list[tuple[int, bool, int, float]], str]],
) -> None:
    rules = QuotaRules(calls=limit, per=per)
    counted: Counter[int] = Counter()
    waits: list[float] = []

    async def run() -> None:
        clock, store = Clock(), MemoryStore()
        store.loses_every = loses_every
        clocks = [clock.wrong_by(part * rules.lead * 0.99) for part in wrong]

        def new(number: int) -> BudgetGate:
            return BudgetGate("desk", rules, store, now=clocks[number], chance=lambda: 0.0)

        workers = [new(number) for number in range(4)]

        async def deliver(who: int, urgent: bool, calls: int, travel: float, admitted: bool) -> None:
            try:
                if admitted:
                    await workers[who].admit(urgent=urgent, calls=calls)
                for _ in range(calls):
                    permit = await workers[who].acquire()
                    counted[int((clock.at + travel * rules.tail * 0.99) // per)] += 1
                    workers[who].report(permit, ANSWERED)
            except Throttled as error:
                waits.append(error.retry_after or 0.0)

        for passes, together, what in steps:
            clock.at += passes * per
            if what == "kill":
                workers[together[0][0]] = new(together[0][0])
            await asyncio.gather(*(deliver(*item, what != "call") for item in together))

    asyncio.run(run())
    assert all(calls <= limit for calls in counted.values())
    assert all(wait >= 1 for wait in waits)


@given(
    limit=st.integers(2, 600),
    reserve=st.floats(0.01, 0.5),
    leases=st.lists(st.tuples(st.floats(0, 0.2), st.integers(1, 3)), max_size=60),
)
def test_ordinary_work_leaves_the_reserve_that_is_due_for_the_rest_of_the_window(
    limit: int, reserve: float, leases: list[tuple[float, int]]
) -> None:
    rules = QuotaRules(calls=limit, reserve=reserve)
    now, quota = START, Quota()
    for passes, calls in leases:
        now += passes * rules.per
        quota, _ = lease_calls(roll(quota, rules, now), rules, now, urgent=False, calls=calls, workers=1)
        left = (window_opens(rules, 0.0, quota.window + 1) - now) / rules.per
        kept = reserve_of(rules, limit, min(left, 1.0))
        assert kept >= 1
        assert quota.ordinary <= limit - kept
        assert available_calls(quota, rules, now, urgent=True) or now >= window_opens(rules, 0.0, quota.window + 1) - 20


@given(st.lists(st.floats(-2, 3), min_size=1, max_size=30))
def test_a_window_never_goes_back_whatever_clocks_do(jumps: list[float]) -> None:
    rules, quota, now = QuotaRules(calls=10), Quota(), START
    for jump in jumps:
        now += jump * rules.per
        before = quota.window
        quota = roll(quota, rules, now)
        assert quota.window >= max(before, window_at(rules, 0.0, now))


async def test_what_the_instance_names_counts_for_all_and_the_lower_limit_wins() -> None:
    clock, store = Clock(), MemoryStore()
    reset = (START // 3600 + 1) * 3600
    one, other = (BudgetGate("desk", QuotaRules(), store, now=clock, chance=lambda: 0.0) for _ in range(2))
    for _ in range(3):
        await one.admit(urgent=False)
        await spend(one, CallReport(SystemCondition.ANSWERED, limit=8, reset=reset))
    await one.aclose()
    spent = 0
    try:
        for _ in range(20):
            await other.admit(urgent=True)
            await spend(other)
            spent += 1
    except Throttled:
        pass
    assert 3 + spent <= 8
    assert spent >= 3
    assert limit_of(other.state.quota, QuotaRules(calls=5)) == 5
    assert limit_of(other.state.quota, QuotaRules(calls=50)) == 8


async def test_a_limit_of_other_windows_than_ours_is_not_taken_over() -> None:
    budget = BudgetGate("desk", QuotaRules(calls=100, per=60), MemoryStore(), now=Clock())
    await budget.admit(urgent=False)
    await spend(budget, CallReport(SystemCondition.ANSWERED, limit=8, reset=(START // 3600 + 1) * 3600))
    assert limit_of(budget.state.quota, QuotaRules(calls=100, per=60)) == 100


async def test_without_a_limit_a_delivery_costs_no_storage() -> None:
    clock, store = Clock(), MemoryStore()
    budget = BudgetGate("desk", QuotaRules(), store, now=clock)
    for _ in range(1_000):
        clock.at += 0.01
        await budget.admit(urgent=False)
        await spend(budget)
    assert store.operations <= 10


async def test_calls_that_a_delivery_did_not_make_go_to_others() -> None:
    clock, store = Clock(), MemoryStore()
    budget = BudgetGate("desk", QuotaRules(calls=10, reserve=0), store, now=clock)
    for _ in range(100):  # all of them duplicates
        await asyncio.create_task(budget.admit(urgent=False))
    made = 0
    try:
        for _ in range(20):
            await asyncio.create_task(_deliver(budget))
            made += 1
    except Throttled:
        pass
    assert made == 10


async def test_a_call_that_never_left_is_not_counted() -> None:
    budget = BudgetGate("desk", QuotaRules(calls=3, reserve=0), MemoryStore(), now=Clock())
    for _ in range(2):  # a third failure would open the circuit
        await budget.admit(urgent=False)
        await spend(budget, CallReport(SystemCondition.UNAVAILABLE, left=False))
    for _ in range(3):
        await asyncio.create_task(_deliver(budget))


async def _deliver(budget: BudgetGate) -> None:
    await budget.admit(urgent=False)
    await spend(budget)


async def test_calls_leased_before_the_end_of_a_window_do_not_count_as_those_that_are_charged_twice() -> None:
    rules = QuotaRules(calls=1_000, reserve=0)
    clock, store = Clock(), MemoryStore()
    budget = BudgetGate("desk", rules, store, now=clock, chance=lambda: 0.0)
    early = asyncio.Event()

    async def hold() -> None:
        await budget.admit(urgent=False, calls=5)
        await early.wait()

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0.01)
    clock.at = (START // 3600 + 1) * 3600 - 5
    await asyncio.create_task(_deliver(budget))  # leases anew, charged to both hours
    early.set()
    await holder
    del holder
    await asyncio.sleep(0)
    for _ in range(30):
        await asyncio.create_task(_deliver(budget))
    assert store.rows["desk"][0].quota.carried == 31


async def test_what_is_left_of_a_lease_is_given_back_once_although_an_answer_was_lost() -> None:
    clock, store = Clock(), MemoryStore()
    budget = BudgetGate("desk", QuotaRules(calls=200, reserve=0), store, now=clock, chance=lambda: 0.0)
    await asyncio.create_task(_deliver(budget))
    assert store.rows["desk"][0].quota.ordinary == 4
    clock.at = (START // 3600 + 1) * 3600 - 5  # too late for the three that are left
    store.loses_every = store.writes + 2  # after the sign of life, the lease
    await asyncio.create_task(_deliver(budget))
    assert store.rows["desk"][0].quota.ordinary >= 2


def test_urgent_work_may_use_its_reserve_to_the_last_however_much_ordinary_work_there_is() -> None:
    rules = QuotaRules(calls=100, reserve=0.1)
    now = window_opens(rules, 0.0, window_at(rules, 0.0, START) + 1) + 1
    quota = roll(Quota(), rules, now)
    window, found = quota.window, 0
    for minute in range(58):
        at = now + 60 * minute
        while (taken := lease_calls(quota, rules, at, urgent=False, calls=1, workers=1))[1] is not None:
            quota = taken[0]  # whatever it may have, it takes
        if minute % 6 == 0:  # all of the reserve, evenly over the window
            quota, lease = lease_calls(quota, rules, at, urgent=True, calls=1, workers=1)
            assert lease is not None, f"nothing left in minute {minute}"
            quota = give_back(quota, window, urgent=lease.calls - 1)
            found += 1
    assert found == 10
    assert quota.ordinary + quota.urgent >= 0.95 * 100


def test_the_backlog_promises_no_call_that_urgent_work_has_used_or_that_is_kept_for_it() -> None:
    rules = QuotaRules(calls=100, reserve=0.1)
    now = window_opens(rules, 0.0, window_at(rules, 0.0, START) + 1) + 1
    quota = replace(roll(Quota(), rules, now), ordinary=90, urgent=4)
    capacity = Capacity(rules, quota)
    backlog, _ = add_positions(Backlog("backlog"), capacity, now, False, 20)
    end = window_closes(rules, 0.0, quota.window) - 1
    promised = due_position(backlog, capacity, False, end)
    there_is = available_calls(quota, rules, end, False)
    assert there_is is not None
    assert there_is - 1 <= promised <= there_is
