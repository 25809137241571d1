"""A backlog: how fast it drains, in which order, and how often a message comes in vain. Days of simulated time."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    ("calls", "waiting", "call_time"), [(100, 36, 1.0), (100, 85, 0.5), (500, 440, 0.3), (500, 200, 2)]
)
async def test_what_waits_goes_as_soon_as_a_new_hour_has_calls_for_it(
    calls: int, waiting: int, call_time: float
) -> None:
    queue, _ = backlog(calls, calls=calls)
    queue.call_time = call_time
    await queue.run(START + 40 * 60)
    for number in range(calls, waiting + len(queue.delivered)):
        queue.put(Message(number), START + 45 * 60)
    await queue.run(START + 54 * 60)
    done = len(queue.delivered)
    assert calls * 0.9 <= done <= calls
    waiting = len(queue.waiting)
    older = {message.number for _, _, message in queue.waiting if message.number < calls}
    opens = (START // HOUR + 1) * HOUR + queue.rules.lead
    await queue.run(opens + HOUR / 2)
    assert not queue.waiting
    left = queue.delivered[done:]
    assert left[0][0] >= opens
    assert left[-1][0] <= opens + 1.2 * waiting * call_time / queue.rules.in_flight
    # Those that wait longer come first; queues count whole seconds, so those of two seconds mix.
    mixed = 2 * queue.rules.in_flight / call_time
    assert all(turn < len(older) + mixed for turn, (_, message) in enumerate(left) if message.number in older)


async def test_urgent_work_that_waits_goes_before_ordinary_work_that_waits_longer() -> None:
    queue, _ = backlog(200, calls=100)
    queue.call_time = 0.3
    await queue.run(START + 60)
    for number in range(40):
        queue.put(Message(10_000 + number, urgent=True), START + 70)
    await queue.run(START + 50 * 60)
    before = len(queue.delivered)
    await queue.run(START + 2 * HOUR)
    after = queue.delivered[before:]
    waited = sum(message.urgent for _, message in after)
    assert waited >= 20
    assert sum(message.urgent for _, message in after[:waited]) >= 0.7 * waited
    # Queues count whole seconds, and a message may come two seconds early: so long urgent and ordinary ones mix.
    opens = (START // HOUR + 1) * HOUR + queue.rules.lead
    last = max(at for at, message in after if message.urgent)
    assert last <= opens + waited * queue.call_time / queue.rules.in_flight + 4


async def test_only_the_reserve_is_kept_back_and_goes_as_the_hour_passes() -> None:
    queue, _ = backlog(1_000, calls=100)
    queue.call_time = 0.3
    opens = (START // HOUR + 1) * HOUR
    await queue.run(opens - 1)
    before = len(queue.delivered)
    await queue.run(opens + 30)
    first = len(queue.delivered) - before
    assert 85 <= first <= 90
    await queue.run(opens + HOUR - 1)
    assert 95 <= len(queue.delivered) - before <= 98
    late = [at - opens for at, _ in queue.delivered[before + first :]]
    assert min(late) > 30
    assert max(late) - min(late) > HOUR / 2


async def test_a_backlog_is_called_back_no_faster_than_calls_in_flight_can_serve_it() -> None:
    """Or those that come later, urgent ones too, would stand behind hundreds of messages on the queue."""
    queue, _ = backlog(900, calls=500)
    queue.call_time = 0.5
    opens = (START // HOUR + 1) * HOUR + queue.rules.lead
    await queue.run(opens - 3)
    shown = sorted(at for at, _, message in queue.waiting if at < opens + 300)
    assert len(shown) >= 350
    rate = queue.rules.in_flight / queue.call_time
    for second in range(5, 40, 5):
        assert sum(at < opens + second for at in shown) <= 1.2 * rate * (second + 1)


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
    queue.call_time = 0.3
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
    # Whoever is there makes an attempt; those that failed come back when their own next attempt is due.
    failed = {message.number for _, message in queue.delivered if message.attempts}
    assert len(failed) <= 30 + queue.batch  # those under way when it fell asleep
    out_of_turn = [n for turn, n in enumerate(order) if abs(n - (before + turn)) > 3 * 64]
    assert len(set(out_of_turn) - failed) <= 2 * queue.batch  # and those that came with them
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
