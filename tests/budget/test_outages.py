"""Cool-downs and the circuit: everybody pauses, one tries, and news travels."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.budget import BudgetGate, QuotaRules
from shared.budget.circuit import probe_duration
from shared.core.errors import CircuitOpen, MustWait, StorageUnavailable
from shared.core.rate_gate import CallReport, SystemCondition
from tests.budget.fakes import START, Clock, MemoryStore, spend, worker

RULES = QuotaRules(calls=500)
ANSWERED = CallReport(SystemCondition.ANSWERED)
ASLEEP = CallReport(SystemCondition.ASLEEP)
DOWN = CallReport(SystemCondition.UNAVAILABLE)


def pair(rules: QuotaRules = RULES) -> tuple[Clock, MemoryStore, BudgetGate, BudgetGate]:
    clock, store = Clock(), MemoryStore()
    return clock, store, worker(store, clock, rules, "one"), worker(store, clock, rules, "two")


async def deliver(
    budget: BudgetGate, report: CallReport = ANSWERED, *, urgent: bool = False, position: str = ""
) -> None:
    await budget.admit(urgent=urgent, position=position)
    await spend(budget, report)
    await budget.aclose()


async def refused(budget: BudgetGate, *, urgent: bool = False, position: str = "") -> float:
    """Seconds that a delivery has to wait."""
    with pytest.raises((MustWait, CircuitOpen)) as caught:
        await asyncio.create_task(budget.admit(urgent=urgent, position=position))  # a delivery is a task of its own
    assert isinstance(caught.value, MustWait | CircuitOpen)
    assert caught.value.retry_after is not None
    assert caught.value.position
    assert caught.value.retry_after == int(caught.value.retry_after)  # queues count whole seconds
    return caught.value.retry_after


@pytest.mark.parametrize("rules", [RULES, QuotaRules()])
async def test_a_429_with_a_time_pauses_every_worker_and_urgent_ones_too(rules: QuotaRules) -> None:
    clock, _, one, two = pair(rules)
    await deliver(two)
    await deliver(one, CallReport(SystemCondition.THROTTLED, retry_after=120.0))
    clock.at += 2.1
    assert await refused(one) == pytest.approx(118, abs=12)
    assert await refused(two, urgent=True) == pytest.approx(118, abs=12)
    clock.at += 130
    await deliver(two, urgent=True)
    await deliver(one, urgent=True)


async def test_a_worker_that_seldom_asks_misses_the_news_by_one_call_at_most() -> None:
    clock, _, one, two = pair()
    await deliver(two)
    await deliver(one, CallReport(SystemCondition.THROTTLED, retry_after=600.0))
    clock.at += 20
    made = 0
    for _ in range(3):
        try:
            await deliver(two, CallReport(SystemCondition.THROTTLED, retry_after=580.0))
            made += 1
        except MustWait:
            clock.at += 20
    assert made <= 1


async def test_a_429_without_a_time_pauses_longer_each_time_up_to_a_quarter_of_an_hour() -> None:
    clock, _, one, _ = pair()
    pauses = []
    for _ in range(8):
        await deliver(one, CallReport(SystemCondition.THROTTLED), urgent=True)
        pauses.append(one.state.quota.cool_until - clock.at)
        clock.at = one.state.quota.cool_until + 1
    assert pauses == [pytest.approx(s, rel=0.11) for s in (30, 60, 120, 240, 480, 900, 900, 900)]
    await deliver(one, urgent=True)
    await deliver(one, CallReport(SystemCondition.THROTTLED), urgent=True)
    assert one.state.quota.cool_until - clock.at == pytest.approx(30, rel=0.11)


async def test_refusals_of_calls_that_were_under_way_together_count_once() -> None:
    clock, _, one, _ = pair()
    permits = [await one.acquire() for _ in range(4)]
    for permit in permits:
        one.report(permit, CallReport(SystemCondition.THROTTLED))
    assert one.state.quota.cool_downs == 1
    await one.aclose()
    assert one.state.quota.cool_until - clock.at < 34


async def test_a_sleeping_instance_is_left_alone_until_one_attempt_is_due() -> None:
    clock, _, one, two = pair()
    await deliver(two)
    await deliver(one, ASLEEP)
    clock.at += 2.1
    assert await refused(two, urgent=True) <= 40
    clock.at = one.state.circuit.probe_at + 0.1
    await two.admit(urgent=True)  # the attempt
    assert await refused(one, urgent=True) < 15  # looks again soon: the attempt may succeed at any moment
    await spend(two)
    await two.aclose()
    clock.at += 2.1
    await deliver(one)


async def test_attempts_come_at_growing_intervals_up_to_five_minutes() -> None:
    clock, _, one, _ = pair()
    await deliver(one, ASLEEP)
    pauses = [one.state.circuit.probe_at - clock.at]
    for _ in range(6):
        clock.at = one.state.circuit.probe_at + 0.1
        await deliver(one, ASLEEP)
        pauses.append(one.state.circuit.probe_at - clock.at)
    assert pauses == [pytest.approx(s, rel=0.11) for s in (15, 30, 60, 120, 240, 300, 300)]


async def test_failures_of_calls_that_left_before_the_recovery_open_nothing() -> None:
    clock, _, one, _ = pair()
    old = [await one.acquire() for _ in range(4)]
    one.report(old[0], ASLEEP)
    clock.at += 60
    await deliver(one)
    assert one.state.circuit.is_closed
    for permit in old[1:]:
        one.report(permit, ASLEEP)
    assert one.state.circuit.is_closed


async def test_an_attempt_that_makes_no_call_is_left_to_others() -> None:
    clock, _, one, two = pair()
    await deliver(one, ASLEEP)
    clock.at += 60
    await asyncio.create_task(one.admit(urgent=False))  # a duplicate, as it turns out
    await asyncio.sleep(0)  # the loop lets go of the task
    await one.aclose()
    await deliver(two)
    assert two.state.circuit.is_closed


async def test_an_attempt_that_nobody_hears_of_again_is_made_by_another() -> None:
    clock, _, one, two = pair()
    await deliver(one, ASLEEP)
    clock.at += 60
    await one.admit(urgent=False)
    clock.at += probe_duration(QuotaRules()) - 10
    await refused(two)
    clock.at += 20
    await deliver(two)
    assert two.state.circuit.is_closed


@settings(max_examples=60, deadline=None)
@given(workers=st.integers(2, 12), each=st.integers(1, 3), late=st.floats(0, 100))
def test_of_any_number_of_workers_exactly_one_makes_the_attempt(workers: int, each: int, late: float) -> None:
    async def run() -> int:
        clock, store = Clock(), MemoryStore()
        budgets = [worker(store, clock, RULES, f"w{n}", n) for n in range(workers)]
        await deliver(budgets[0], ASLEEP)
        clock.at = budgets[0].state.circuit.probe_at + late
        asked = (budget.admit(urgent=False) for budget in budgets for _ in range(each))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(answer is None or isinstance(answer, CircuitOpen | MustWait) for answer in answers)
        return sum(answer is None for answer in answers)

    assert asyncio.run(run()) == 1


async def test_a_message_keeps_its_position_when_it_comes_back_during_an_outage() -> None:
    clock, _, one, _ = pair()
    await deliver(one, ASLEEP)
    with pytest.raises(CircuitOpen) as first:
        await one.admit(urgent=False)
    with pytest.raises(CircuitOpen) as second:
        await one.admit(urgent=False)
    clock.at += 5
    with pytest.raises(CircuitOpen) as again:
        await one.admit(urgent=False, position=first.value.position)
    assert again.value.position == first.value.position
    assert first.value.retry_after is not None
    assert second.value.retry_after is not None
    assert first.value.retry_after <= second.value.retry_after


async def test_a_position_in_another_backlog_is_worth_nothing() -> None:
    clock, _, one, _ = pair()
    await deliver(one, CallReport(SystemCondition.THROTTLED, retry_after=60.0))
    with pytest.raises(MustWait) as caught:
        await one.admit(urgent=False, position="elsewhere:ordinary:999999")
    assert caught.value.position.startswith(one.state.backlog.id)
    assert not caught.value.position.endswith(":999999")
    clock.at += 100
    for nonsense in ("", ":", "a:b:c", f"{one.state.backlog.id}:ordinary:²", f"{one.state.backlog.id}:urgent:1"):
        await one.admit(urgent=False, position=nonsense)


async def test_storage_that_does_not_answer_is_said_and_heals() -> None:
    clock, store, one, _ = pair()
    store.down = True
    with pytest.raises(StorageUnavailable):
        await one.admit(urgent=True)
    store.down = False
    await deliver(one)
    store.down = True
    permit = await one.acquire()
    one.report(
        permit, CallReport(SystemCondition.THROTTLED, retry_after=60.0)
    )  # what happened is obeyed here all the same
    await one.aclose()
    store.down = False
    assert await refused(one) > 30
    clock.at += 2.1
    assert await refused(one) > 30
    assert store.rows["desk"][0].quota.cool_until > START + 50


async def test_a_wrong_clock_is_noticed_when_answers_agree() -> None:
    clock, _, one, _ = pair()
    for wrong in (900.0, -40.0, 900.4, 900.2, 900.9):
        assert one.state.quota.skew == 0
        await deliver(one, CallReport(SystemCondition.ANSWERED, date=clock.at + wrong))
    assert one.state.quota.skew == pytest.approx(900.9)
