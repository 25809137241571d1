"""Standing in for the trigger of a queue, over Azurite: received, handled, deleted, shown again or given up."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from shared.core.messages import POISON_QUEUE, QUEUE, PushToSource
from shared.delivery import standby
from shared.delivery.queue import SignalQueue
from shared.delivery.standby import QueueStandby, QueueWatch
from shared.platform.storage import Storage

pytestmark = pytest.mark.asyncio


class Handler:
    """Takes note of what it is given; fails as often as it is told."""

    def __init__(self, failures: int = 0, seconds: float = 0.0) -> None:
        self.failures, self.seconds = failures, seconds
        self.given: list[tuple[bytes, int]] = []
        self.at_once = self.most_at_once = 0

    async def __call__(self, message: str, body: bytes, dequeued: int) -> None:
        self.given.append((body, dequeued))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
            if self.failures:
                self.failures -= 1
                raise RuntimeError("not this time")
        finally:
            self.at_once -= 1


async def put(storage: Storage, text: str, *, queue: str = QUEUE, raw: bool = False) -> None:
    await storage.queue(queue, raw=raw).send_message(text)


async def texts(storage: Storage, queue: str) -> list[str]:
    return [message.content for message in await storage.queue(queue, raw=True).peek_messages(max_messages=32)]


def stand_in(storage: Storage, handler: Handler) -> QueueStandby:
    return QueueStandby(storage, QUEUE, POISON_QUEUE, handler)


async def test_what_is_handled_is_deleted(storage: Storage) -> None:
    handler = Handler()
    for number in range(40):
        await put(storage, str(number))
    assert await stand_in(storage, handler).work(10) == 40
    assert sorted(int(body) for body, _ in handler.given) == list(range(40))
    assert {dequeued for _, dequeued in handler.given} == {1}
    assert await SignalQueue(storage).depth() == 0


async def test_no_more_are_handled_at_once_than_the_trigger_would(storage: Storage) -> None:
    handler = Handler(seconds=0.1)
    for number in range(30):
        await put(storage, str(number))
    assert await stand_in(storage, handler).work(10) == 30
    assert 8 < handler.most_at_once <= standby.BATCH


async def test_the_time_bounds_what_is_received_and_what_is_begun_comes_to_its_end(storage: Storage) -> None:
    handler = Handler(seconds=1.0)
    for number in range(30):
        await put(storage, str(number))
    worker = stand_in(storage, handler)
    began = asyncio.get_running_loop().time()
    assert await worker.work(0.5) == standby.BATCH
    assert asyncio.get_running_loop().time() - began < 1.0
    for _ in range(40):
        await asyncio.sleep(0.1)
        if await SignalQueue(storage).depth() == 30 - standby.BATCH:
            break
    assert len(handler.given) == standby.BATCH
    assert await SignalQueue(storage).depth() == 30 - standby.BATCH


async def test_a_failure_is_shown_again_after_the_time_of_the_trigger(storage: Storage) -> None:
    handler = Handler(failures=1)
    await put(storage, "one")
    worker = stand_in(storage, handler)
    assert await worker.work(5) == 1
    assert await worker.work(1) == 0
    assert (await texts(storage, QUEUE), await SignalQueue(storage).depth()) == ([], 1)  # hidden, not gone


async def test_after_the_fifth_failure_it_is_in_the_poison_queue(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "AFTER_FAILURE", 0)
    handler = Handler(failures=99)
    await put(storage, "bad")
    await put(storage, "worse")
    await stand_in(storage, handler).work(20)
    assert sorted(dequeued for _, dequeued in handler.given) == sorted([1, 2, 3, 4, 5] * 2)
    assert await SignalQueue(storage).depth() == 0
    assert sorted(base64.b64decode(text) for text in await texts(storage, POISON_QUEUE)) == [b"bad", b"worse"]


async def test_what_is_no_base64_is_given_up_uncalled_and_parked_from_the_poison_queue(storage: Storage) -> None:
    handler, parker = Handler(), Handler()
    await put(storage, "not base64!", raw=True)
    await stand_in(storage, handler).work(5)
    assert handler.given == []
    assert await texts(storage, POISON_QUEUE) == ["not base64!"]
    await QueueStandby(storage, POISON_QUEUE, None, parker).work(5)
    assert parker.given == [(b"not base64!", 1)]
    assert await texts(storage, POISON_QUEUE) == []


async def test_a_message_that_is_worked_on_for_long_stays_hidden(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "HIDDEN", 1)
    monkeypatch.setattr(standby, "RENEWED_EVERY", 0.3)
    slow, other = Handler(seconds=3.0), Handler()
    await put(storage, "long")
    working = asyncio.create_task(stand_in(storage, slow).work(10))
    for _ in range(8):
        await asyncio.sleep(0.3)
        await stand_in(storage, other).work(0.1)
    await working
    assert (len(slow.given), other.given) == (1, [])
    assert await SignalQueue(storage).depth() == 0


async def test_two_who_stand_in_never_handle_the_same_message(storage: Storage) -> None:
    first, second = Handler(seconds=0.02), Handler(seconds=0.02)
    for number in range(60):
        await put(storage, str(number))
    await asyncio.gather(stand_in(storage, first).work(20), stand_in(storage, second).work(20))
    bodies = [body for body, _ in [*first.given, *second.given]]
    assert len(bodies) == len(set(bodies)) == 60
    assert first.given
    assert second.given


# ---- since when something waits


def message() -> PushToSource:
    return PushToSource(id=uuid4().hex, received_at=datetime.now(UTC), key="alert:1:x")


async def test_an_empty_queue_has_nothing_that_waits(storage: Storage) -> None:
    looked = await QueueWatch(storage, lambda: datetime.now(UTC)).look()
    assert (looked.since, looked.poison) == (None, 0)


async def test_a_message_waits_since_it_came_and_a_postponed_one_since_it_was_shown(storage: Storage) -> None:
    queue, watch = SignalQueue(storage), QueueWatch(storage, lambda: datetime.now(UTC))
    await queue.send(message(), timedelta(seconds=2))
    assert (await watch.look()).since is None
    came = datetime.now(UTC)
    await asyncio.sleep(3.2)
    since = (await watch.look()).since
    assert since is not None
    assert came + timedelta(seconds=1) < since < came + timedelta(seconds=3.1)
    await put(storage, "whatever somebody else put here")
    again = (await watch.look()).since
    assert again == since


async def test_a_message_of_a_newer_release_waits_since_it_was_shown(storage: Storage) -> None:
    queue, watch = SignalQueue(storage), QueueWatch(storage, lambda: datetime.now(UTC))
    text = json.dumps({"v": 99, "id": uuid4().hex, "new": {"a": 1}})
    await queue.send_text(text, timedelta(seconds=2))
    came = datetime.now(UTC)
    await asyncio.sleep(2.5)
    since = (await watch.look()).since
    assert since is not None
    assert since > came + timedelta(seconds=1)
    (found,) = await texts(storage, QUEUE)
    kept = json.loads(base64.b64decode(found))
    assert (kept.pop("hidden_until") is not None, kept) == (True, json.loads(text))


async def test_a_message_that_was_received_before_counts_from_when_it_is_seen(storage: Storage) -> None:
    now = datetime.now(UTC)
    watch = QueueWatch(storage, lambda: now)
    await put(storage, "one")
    async for _ in storage.queue(QUEUE).receive_messages(visibility_timeout=1):
        pass
    await asyncio.sleep(1.5)
    seen = now = now + timedelta(hours=1)
    assert (await watch.look()).since == seen
    now += timedelta(minutes=1)
    assert (await watch.look()).since == seen


async def test_messages_of_the_poison_queue_are_counted_hidden_or_not(storage: Storage) -> None:
    for number in range(3):
        await put(storage, str(number), queue=POISON_QUEUE)
    async for _ in storage.queue(POISON_QUEUE).receive_messages(max_messages=1, visibility_timeout=60):
        pass
    assert (await QueueWatch(storage, lambda: datetime.now(UTC)).look()).poison == 3


async def test_the_figures_are_those_of_host_json() -> None:
    queues = json.loads((Path(__file__).parents[2] / "host.json").read_text())["extensions"]["queues"]
    hours, minutes, seconds = map(int, queues["visibilityTimeout"].split(":"))
    assert queues["batchSize"] == standby.BATCH
    assert queues["maxDequeueCount"] == standby.MOST_DEQUEUES
    assert (hours, minutes, seconds) == (0, 0, standby.AFTER_FAILURE)
    assert queues["messageEncoding"] == "base64"
