"""When calls without an answer are an outage: by their rate, never because of a few in a row."""

from __future__ import annotations

import asyncio
import random

import pytest

from shared.budget import BudgetGate, QuotaRules
from shared.budget.circuit import CallOutcomes
from shared.core.errors import CircuitOpen
from shared.core.rate_gate import CallReport, SystemCondition
from tests.budget.fakes import START, Clock, MemoryStore, Message, Queue, spend, worker

ANSWERED = CallReport(SystemCondition.ANSWERED)
DOWN = CallReport(SystemCondition.UNAVAILABLE)
RULES = QuotaRules()


async def deliver(budget: BudgetGate, report: CallReport) -> None:
    """One delivery with one call, in a task of its own."""

    async def run() -> None:
        await budget.admit(urgent=False)
        await spend(budget, report)

    await asyncio.create_task(run())


@pytest.mark.parametrize("seed", range(12))
async def test_forty_alerts_of_whose_calls_thirty_percent_are_cut_drain_within_a_minute(seed: int) -> None:
    clock, store, chance = Clock(), MemoryStore(), random.Random(seed)
    rules = QuotaRules(calls=500)
    queue = Queue(
        clock, rules, [worker(store, clock, rules, f"w{n}", n) for n in range(2)], cut=lambda: chance.random() < 0.3
    )
    for number in range(40):
        queue.put(Message(number), START + number * 0.1)
    await queue.run(START + 200)
    assert len(queue.delivered) == 40
    # What was cut four times waits 5, 10, 20 and 40 seconds, as its own attempts say; nobody waits for an open circuit.
    assert all(message.waits == message.attempts for _, message in queue.delivered)
    assert sum(at > START + 60 for at, _ in queue.delivered) <= 1


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_calls_that_fail_often_are_no_outage_while_others_are_answered(share: float) -> None:
    tripped = 0
    for seed in range(100):
        chance, outcomes = random.Random(seed), CallOutcomes(RULES)
        for number in range(400):
            outcomes.add(START + number * 0.25, failed=chance.random() < share)
            tripped += outcomes.is_outage(START + number * 0.25)
    assert tripped <= (0 if share == 0.3 else 100 * 400 * 0.002)


@pytest.mark.parametrize("before", [0, 7, 200])
@pytest.mark.parametrize("answered", [0.0, 0.05])
async def test_an_outage_opens_the_circuit_whatever_was_before(before: int, answered: float) -> None:
    clock, chance = Clock(), random.Random(3)
    one = worker(MemoryStore(), clock, RULES)

    for _ in range(before):
        await deliver(one, ANSWERED)
    made = 0
    while one.state.circuit.is_closed:
        await deliver(one, ANSWERED if chance.random() < answered else DOWN)
        made += 1
        assert made <= 30
    assert made >= 9
    with pytest.raises(CircuitOpen):
        await one.acquire()


async def test_a_connection_that_is_seldom_called_opens_after_a_minute_without_an_answer() -> None:
    clock = Clock()
    one = worker(MemoryStore(), clock, RULES)
    tried = []
    for wait in (0, 5, 10, 20, 40, 80, 160):  # one message and its own attempts
        clock.at += wait
        if not one.state.circuit.is_closed:
            break
        await deliver(one, DOWN)
        tried.append(clock.at - START)
    assert tried == [0, 5, 15, 35, 75]


async def test_failures_of_yesterday_and_of_before_an_opening_do_not_count() -> None:
    clock = Clock()
    outcomes = CallOutcomes(RULES)
    for _ in range(9):
        outcomes.add(clock.at, failed=True)
    assert not outcomes.is_outage(clock.at)
    outcomes.add(clock.at + 3600, failed=True)
    assert not outcomes.is_outage(clock.at + 3600)
    one = worker(MemoryStore(), clock, RULES)
    for _ in range(10):
        await deliver(one, DOWN)
    assert not one.state.circuit.is_closed
    clock.at = one.state.circuit.probe_at + 0.1
    for report in (ANSWERED, DOWN, DOWN, DOWN):
        await deliver(one, report)
    assert one.state.circuit.is_closed
