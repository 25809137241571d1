"""Queue triggers on a real Azurite queue."""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from local.host.queues import Backoff
from local.storage_rest import Queue, Storage, StorageError
from tests.local_host.support import RunHost, emptied, eventually, receive, seen, stays_empty

WORK = """
@app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection=STORAGE)
"""
NOTE_BODY = WORK + "async def work(message: func.QueueMessage): seen.append(message.get_body().decode())\n"


def base64_text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def queue_options(**options: Any) -> dict[str, object]:
    return {"extensions": {"queues": options}}


async def test_a_message_is_handled_once_and_deleted(run_host: RunHost, storage: Storage, queue_name: str) -> None:
    host = await run_host(NOTE_BODY)
    queue = storage.queue(queue_name)
    for text in ("one", "two", "three"):
        await queue.put(base64_text(text))
    await eventually(lambda: sorted(seen()) == ["one", "three", "two"])
    found = seen()
    await host.stop()
    assert sorted(found) == ["one", "three", "two"]
    await emptied(storage, queue_name, within=5)


async def test_a_function_is_told_all_about_its_message(run_host: RunHost, storage: Storage, queue_name: str) -> None:
    await run_host(
        WORK
        + """
async def work(message: func.QueueMessage):
    seen.append(message)
"""
    )
    before = datetime.now(UTC).replace(microsecond=0)
    await storage.queue(queue_name).put(base64_text('{"v": 1}'))
    [message] = await eventually(seen)
    assert message.get_json() == {"v": 1}
    assert message.dequeue_count == 1
    assert len(message.id) == 36
    assert message.pop_receipt
    assert before <= message.insertion_time <= datetime.now(UTC)
    assert message.expiration_time - message.insertion_time == timedelta(days=7)
    assert message.time_next_visible - message.insertion_time >= timedelta(seconds=28)


async def test_a_body_with_an_id_changes_the_messages_id_as_in_azure(
    run_host: RunHost, storage: Storage, queue_name: str
) -> None:
    await run_host(WORK + "async def work(message): seen.append([message.id, message.dequeue_count])")
    await storage.queue(queue_name).put(base64_text('{"Id": "from the body", "dequeueCount": 7, "other": []}'))
    await eventually(lambda: seen() == [["from the body", 7]])


async def test_a_body_nested_too_deeply_is_only_a_body(run_host: RunHost, storage: Storage, queue_name: str) -> None:
    await run_host(NOTE_BODY)
    body = '{"a":' * 8_000 + "1" + "}" * 8_000
    await storage.queue(queue_name).put(base64_text(body))
    await eventually(lambda: seen() == [body])


async def test_a_function_may_take_the_text_alone(run_host: RunHost, storage: Storage, queue_name: str) -> None:
    await run_host(WORK + "def work(message: str): seen.append(message)")
    await storage.queue(queue_name).put(base64_text("körper"))
    await eventually(lambda: seen() == ["körper"])


async def test_messages_without_encoding(run_host: RunHost, storage: Storage, queue_name: str) -> None:
    await run_host(NOTE_BODY, queue_options(messageEncoding="none"))
    await storage.queue(queue_name).put("<plain>")
    await eventually(lambda: seen() == ["<plain>"])


async def test_a_failed_message_is_tried_again_after_the_visibility_timeout_and_ends_in_the_poison_queue(
    run_host: RunHost, storage: Storage, queue_name: str
) -> None:
    await run_host(
        WORK
        + """
async def work(message: func.QueueMessage):
    seen.append([message.dequeue_count, time.monotonic()])
    raise ValueError("never")
""",
        queue_options(maxDequeueCount=3, visibilityTimeout="00:00:01"),
    )
    await storage.queue(queue_name).put(base64_text("bad"))
    [poison] = await receive(storage.queue(f"{queue_name}-poison"))
    assert base64.b64decode(poison.text) == b"bad"
    assert [count for count, _ in seen()] == [1, 2, 3]
    times = [at for _, at in seen()]
    assert all(later - earlier > 0.9 for earlier, later in pairwise(times))
    await emptied(storage, queue_name, within=5)


async def test_the_poison_queue_may_have_a_function(run_host: RunHost, storage: Storage, queue_name: str) -> None:
    await run_host(
        WORK
        + """
async def work(message): raise ValueError

@app.queue_trigger(arg_name="message", queue_name="%QUEUE%-poison", connection=STORAGE)
async def keep(message): seen.append(message.get_body())
""",
        queue_options(maxDequeueCount=1, visibilityTimeout="01:00:00"),
    )
    await storage.queue(queue_name).put(base64_text("bad"))
    await eventually(lambda: seen() == [b"bad"])


async def test_a_failing_poison_function_waits_for_the_lease_and_is_not_asked_for_ever_as_in_azure(
    run_host: RunHost, storage: Storage, queue_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_host(
        """
        @app.queue_trigger(arg_name="message", queue_name="%QUEUE%-poison", connection=STORAGE)
        async def keep(message):
            seen.append(message.dequeue_count)
            raise ValueError
        """,
        queue_options(maxDequeueCount=2),
        queue_lease=1,
    )
    await storage.queue(f"{queue_name}-poison").put(base64_text("bad"))
    await eventually(lambda: caplog.text.count("a poison queue has none of its own") >= 3)
    assert seen() == [1, 2]


async def test_a_message_that_is_not_base64_is_tried_and_then_poison(
    run_host: RunHost, storage: Storage, queue_name: str
) -> None:
    await run_host(NOTE_BODY, queue_options(maxDequeueCount=2))
    await storage.queue(queue_name).put("not base64!")
    [poison] = await receive(storage.queue(f"{queue_name}-poison"))
    assert poison.text == "not base64!"
    assert seen() == []


async def test_an_output_that_cannot_be_written_is_a_failure_of_the_message(
    run_host: RunHost, storage: Storage, queue_name: str
) -> None:
    await run_host(
        WORK
        + """
@app.queue_output(arg_name="out", queue_name="%QUEUE%-out", connection=STORAGE)
async def work(message, out: func.Out[str]):
    seen.append(message.dequeue_count)
    out.set("x" * 50_000 if message.dequeue_count == 1 else "fits")
"""
    )
    await storage.queue(queue_name).put(base64_text("go"))
    [message] = await receive(storage.queue(f"{queue_name}-out"))
    assert base64.b64decode(message.text) == b"fits"
    assert seen() == [1, 2]


async def test_a_returned_value_without_a_binding_is_a_failure_as_in_azure(
    run_host: RunHost, storage: Storage, queue_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await run_host(WORK + "def work(message): return 1", queue_options(maxDequeueCount=1))
    await storage.queue(queue_name).put(base64_text("x"))
    await receive(storage.queue(f"{queue_name}-poison"))
    assert "it returned a value, but has no $return binding to take it" in caplog.text


BLOCKED = (
    "go = asyncio.Event()\n"
    + WORK
    + """
async def work(message: func.QueueMessage):
    seen.append(message.get_body().decode())
    await go.wait()
"""
)


def let_go() -> None:
    sys.modules["function_app"].__dict__["go"].set()


async def test_no_more_run_at_a_time_than_a_batch_and_the_threshold(
    run_host: RunHost, storage: Storage, queue_name: str
) -> None:
    queue = storage.queue(queue_name)
    for number in range(12):
        await queue.put(base64_text(str(number)))
    await run_host(BLOCKED, queue_options(batchSize=4, newBatchThreshold=2))
    await eventually(lambda: len(seen()) == 4)
    await asyncio.sleep(0.5)  # time enough for another poll
    assert len(seen()) == 4  # four are above the threshold of two
    let_go()
    await eventually(lambda: len(seen()) == 12)


async def test_a_batch_more_is_received_while_the_threshold_is_not_passed(
    run_host: RunHost, storage: Storage, queue_name: str
) -> None:
    queue = storage.queue(queue_name)
    for number in range(12):
        await queue.put(base64_text(str(number)))
    await run_host(BLOCKED, queue_options(batchSize=4, newBatchThreshold=4))
    await eventually(lambda: len(seen()) == 8)  # batchSize + newBatchThreshold
    await asyncio.sleep(0.5)
    assert len(seen()) == 8
    let_go()
    await eventually(lambda: len(seen()) == 12)


async def test_the_lease_of_a_long_call_is_renewed(
    run_host: RunHost, storage: Storage, queue_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = await run_host(BLOCKED, queue_lease=3)
    await storage.queue(queue_name).put(base64_text("long"))
    await eventually(lambda: seen() == ["long"])
    await stays_empty(storage.queue(queue_name), 5)  # longer than a lease
    assert seen() == ["long"]
    let_go()
    await host.stop()
    await emptied(storage, queue_name, within=5)
    assert "was not" not in caplog.text


async def test_a_renewal_under_way_when_a_call_ends_does_not_lose_the_message(
    run_host: RunHost, storage: Storage, queue_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, renewing = Queue.update, asyncio.Event()

    async def slow_update(self: Queue, message_id: str, pop_receipt: str, visible_in: float) -> str:
        receipt = await real(self, message_id, pop_receipt, visible_in)
        renewing.set()
        await asyncio.sleep(0.3)  # the service has a new receipt, and this host does not know it yet
        return receipt

    monkeypatch.setattr(Queue, "update", slow_update)
    await run_host(BLOCKED, queue_lease=3)
    await storage.queue(queue_name).put(base64_text("once"))
    await asyncio.wait_for(renewing.wait(), 20)
    let_go()
    await emptied(storage, queue_name, within=2)
    assert seen() == ["once"]


async def test_a_stopping_host_lets_a_message_be_finished(run_host: RunHost, storage: Storage, queue_name: str) -> None:
    host = await run_host(BLOCKED, grace=20.0)
    await storage.queue(queue_name).put(base64_text("last"))
    await eventually(lambda: seen() == ["last"])
    stopping = asyncio.create_task(host.stop())
    await asyncio.sleep(0.1)
    assert not stopping.done()
    let_go()
    await stopping
    await emptied(storage, queue_name, within=5)


async def test_a_stopping_host_gives_back_what_it_cannot_finish(
    run_host: RunHost, storage: Storage, queue_name: str
) -> None:
    host = await run_host(BLOCKED, grace=0.1)
    await storage.queue(queue_name).put(base64_text("for another"))
    await eventually(lambda: seen() == ["for another"])
    await host.stop()
    [message] = await receive(storage.queue(queue_name), within=10)  # the lease would be 30 seconds
    assert message.dequeue_count == 2


async def test_polling_goes_on_after_storage_was_away(
    run_host: RunHost, storage: Storage, queue_name: str, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.WARNING)
    real, failures = Queue.get, [StorageError("get messages: no answer")] * 3

    async def get(self: Queue, count: int, lease: float) -> Any:
        if failures:
            raise failures.pop()
        return await real(self, count, lease)

    monkeypatch.setattr(Queue, "get", get)
    await storage.queue(queue_name).put(base64_text("patient"))
    await run_host(NOTE_BODY)
    await eventually(lambda: seen() == ["patient"])
    assert caplog.text.count("cannot be polled, trying on") == 1


def test_an_idle_queue_is_polled_ever_more_seldom() -> None:
    backoff = Backoff(2.0)
    waits = [backoff.next() for _ in range(8)]
    assert waits[0] == 0.1
    for exponent, wait in enumerate(waits[:4]):
        assert 0.1 + 0.08 * (2**exponent - 1) <= wait <= 0.1 + 0.12 * (2**exponent - 1)
    assert waits[-1] == 2.0
    backoff.reset()
    assert backoff.next() == 0.1
    assert Backoff(0.1).next() == 0.1
