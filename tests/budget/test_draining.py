"""A backlog: how fast it drains, in which order, and how often a message comes in vain. Days of simulated time."""

from __future__ import annotations

from shared.budget import QuotaRules
from tests.budget.fakes import START, Clock, MemoryStore, Message, Queue, worker

HOUR = 3600.0


def backlog(
    count: int, *, calls: int = 500, cost: int = 1, workers: int = 3, per: float = HOUR
) -> tuple[Queue, MemoryStore]:
    """Messages that arrived within seconds, and workers that take turns."""
    clock, rules, store = Clock(), QuotaRules(calls=calls, per=per), MemoryStore()
    queue = Queue(clock, rules, [worker(store, clock, rules, f"w{n}", n) for n in range(workers)], cost=cost)
    for number in range(count):
        queue.put(Message(number), START + number * 0.003)
    return queue, store


def whole_hours(queue: Queue) -> list[int]:
    """Calls in each hour that had a long backlog from its beginning to its end."""
    return [calls for _, calls in sorted(queue.calls.items())][1:-2]


def displacement(queue: Queue) -> int:
    """How far from its turn a message was delivered, at most."""
    return max(abs(message.number - turn) for turn, (_, message) in enumerate(queue.delivered))


async def test_ten_thousand_drain_at_the_allowed_rate_in_order_and_come_back_about_once() -> None:
    queue, store = backlog(10_000)
    await queue.run(START + 22 * HOUR)
    assert len(queue.delivered) == 10_000
    assert max(queue.calls.values()) <= 500
    assert min(whole_hours(queue)) >= 0.95 * 500
    waits = [message.waits for _, message in queue.delivered]
    assert max(waits) <= 3
    assert sum(waits) / len(waits) <= 1.1
    assert displacement(queue) <= 3 * 64  # every worker holds a block of positions
    assert store.operations < 10_000


async def test_calls_are_spread_over_the_hour_instead_of_burst_at_its_beginning() -> None:
    queue, _ = backlog(2_000)
    await queue.run(START + 3 * HOUR)
    second_hour = (START // HOUR + 1) * HOUR
    by_quarter = [0, 0, 0, 0]
    for at, _ in queue.delivered:
        if second_hour <= at < second_hour + HOUR:
            by_quarter[int((at - second_hour) // (HOUR / 4))] += 1
    assert all(100 <= calls <= 140 for calls in by_quarter)


async def test_deliveries_that_need_two_calls_keep_order_and_rate() -> None:
    queue, _ = backlog(1_500, cost=2)
    await queue.run(START + 8 * HOUR)
    assert len(queue.delivered) == 1_500
    assert max(queue.calls.values()) <= 500
    assert min(whole_hours(queue)) >= 0.95 * 500
    assert max(message.waits for _, message in queue.delivered) <= 4
    assert displacement(queue) <= 3 * 64


async def test_a_worker_that_is_killed_with_a_block_costs_little_of_its_hour() -> None:
    queue, store = backlog(2_500)
    await queue.run(START + 2 * HOUR)
    queue.budgets[0] = worker(store, queue.clock, queue.rules, "its successor", 9)
    await queue.run(START + 7 * HOUR)
    assert len(queue.delivered) == 2_500
    assert max(queue.calls.values()) <= 500
    assert min(whole_hours(queue)) >= 0.95 * 500


async def test_messages_that_never_come_back_hold_up_nobody() -> None:
    queue, _ = backlog(2_000)
    await queue.run(START + HOUR)
    queue.waiting = [item for item in queue.waiting if item[2].number % 3]  # a third is dropped by an operator
    left = len(queue.waiting)
    done = len(queue.delivered)
    await queue.run(START + 5 * HOUR)
    assert len(queue.delivered) == done + left


async def test_after_an_outage_the_backlog_drains_at_once_at_the_allowed_rate_and_in_order() -> None:
    queue, _ = backlog(2_400)
    await queue.run(START + 1.5 * HOUR)
    before = len(queue.delivered)
    back = START + 4.7 * HOUR
    queue.asleep_until = back
    await queue.run(START + 8 * HOUR)
    first = queue.delivered[before][0]
    assert first - back < 330  # the longest time between two attempts
    during = [calls for hour, calls in queue.calls.items() if (START + 2.5 * HOUR) // HOUR <= hour < back // HOUR]
    assert all(calls <= 15 for calls in during)  # one attempt every few minutes
    recovered = [at for at, _ in queue.delivered if back <= at < back + 3 * HOUR]
    assert len(recovered) >= 0.9 * 500 * 3
    order = [message.number for _, message in queue.delivered[before:]]
    out_of_turn = [n for turn, n in enumerate(order) if abs(n - (before + turn)) > 3 * 64]
    assert len(out_of_turn) <= 1  # whoever is there makes the attempt
    assert max(calls for calls in queue.calls.values()) <= 500


async def test_an_hour_that_begins_with_a_backlog_still_has_calls_for_urgent_signals() -> None:
    queue, _ = backlog(1_500)
    await queue.run(START + HOUR)
    for number in range(30):
        queue.put(Message(100_000 + number, urgent=True), START + HOUR + number * 60)
    await queue.run(START + 1.6 * HOUR)
    urgent = [(at, message) for at, message in queue.delivered if message.urgent]
    assert len(urgent) == 30
    assert all(message.waits == 0 for _, message in urgent)


async def test_urgent_signals_beyond_the_budget_come_first_in_the_next_hour() -> None:
    queue, _ = backlog(2_000, calls=100)
    await queue.run(START + 0.2 * HOUR)
    for number in range(40):
        queue.put(Message(100_000 + number, urgent=True), START + 0.2 * HOUR)
    await queue.run(START + 0.9 * HOUR)
    assert max(queue.calls.values()) <= 100
    waiting = [message for *_, message in queue.waiting if message.urgent]
    assert waiting
    next_hour = (START // HOUR + 1) * HOUR
    await queue.run(next_hour + 600)
    late = [at for at, message in queue.delivered if message.urgent and message in waiting]
    assert len(late) == len(waiting)
    order = [message.number for _, message in queue.delivered if message.urgent and message in waiting]
    assert max(abs(number - want) for number, want in zip(order, sorted(order), strict=True)) <= 3 * 4


async def test_short_windows_are_used_as_well_although_queues_count_whole_seconds() -> None:
    queue, _ = backlog(1_500, calls=200, per=20.0)
    await queue.run(START + 12 * 20)
    assert len(queue.delivered) == 1_500
    assert max(queue.calls.values()) <= 200
    assert sum(whole_hours(queue)) / len(whole_hours(queue)) >= 0.95 * 200
