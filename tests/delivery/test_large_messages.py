"""Content that is too large for the queue: its blob stays as long as a message on the queue names it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.config.model import DeliverySettings
from shared.core.errors import Throttled
from shared.core.messages import MAX_MESSAGE_BYTES, Message, SignalMessage, encode
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.signal import SignalState
from shared.delivery.interruptions import DeliveryFailed
from shared.delivery.stages import Attempt
from shared.delivery.worker import Configured, Worker
from tests.delivery.world import START, signal

ID = "a" * 32
LARGE = replace(signal(SignalState.FIRED, timedelta()), description="x" * MAX_MESSAGE_BYTES)
SMALL = replace(LARGE, description="short")


class Queue:
    """Stores content under the name of the message, as the real queue does."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.blobs = {f"{ID}.json"}

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        if not message.claim and len(encode(message)) > MAX_MESSAGE_BYTES:
            message = replace(message, claim=f"{message.id}.json")
            self.blobs.add(message.claim)
        self.sent.append(message)

    async def delete_content(self, message: Message) -> None:
        self.blobs.discard(message.claim)


class Becomes:
    """A stage that replaces the signal."""

    def __init__(self, changed: Any) -> None:
        self.changed = changed

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        return (
            replace(message, signal=self.changed, claim="") if self.changed else replace(message, passed_throttle=True)
        )


class Fails:
    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        raise DeliveryFailed(Throttled("rate limit", connection="desk"), "not_applied")


class Ends:
    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        return Outcome(OutcomeKind.DELIVERED, "created")


async def work(*stages: Any) -> Queue:
    queue: Any = Queue()
    nothing: Any = None
    configured = Configured(stages, nothing, nothing, DeliverySettings())
    worker = Worker(lambda: configured, queue, nothing, [], now=lambda: START)
    await worker.handle_now(SignalMessage(id=ID, received_at=START, signal=LARGE, claim=f"{ID}.json"))
    assert isinstance(queue, Queue)
    return queue


async def test_a_message_that_goes_back_keeps_the_blob_that_it_names() -> None:
    queue = await work(Becomes(None), Fails())
    assert [message.claim for message in queue.sent] == [f"{ID}.json"]
    assert queue.blobs == {f"{ID}.json"}


async def test_new_content_that_is_large_again_stays_in_the_same_blob() -> None:
    queue = await work(Becomes(replace(LARGE, title="changed")), Fails())
    assert [message.claim for message in queue.sent] == [f"{ID}.json"]
    assert queue.blobs == {f"{ID}.json"}


async def test_new_content_that_fits_the_queue_leaves_no_blob_behind() -> None:
    queue = await work(Becomes(SMALL), Fails())
    assert [message.claim for message in queue.sent] == [""]
    assert queue.blobs == set()


@pytest.mark.parametrize("changed", [None, LARGE, SMALL], ids=["unchanged", "large", "small"])
async def test_a_message_that_has_ended_leaves_no_blob_behind(changed: Any) -> None:
    queue = await work(Becomes(changed), Ends())
    assert (queue.sent, queue.blobs) == ([], set())
