"""Queue triggers: poll, call, delete; on failure show the message again, in the end move it to the poison queue.

Source: Microsoft Learn, "Storage queue trigger for Azure Functions" (poison messages, polling algorithm, concurrency)
and "host.json settings" there. One thing differs: Azure hides a received message for ten minutes and renews that at
half time; here the lease is short and renewed at a third, so that a killed process gives its messages back soon.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from azure.functions.queue import QueueMessage

from local.host.asleep import LOOK_EVERY, Asleep
from local.host.bindings import Function, QueueTrigger
from local.host.errors import InvocationFailed, OutputFailed
from local.host.host_json import QueueOptions
from local.host.invoke import Invoker
from local.storage_rest import Message, Queue, Storage, StorageError

_logger = logging.getLogger("local.host")
_SHORTEST_POLL = 0.1
_POISON = "-poison"


class Backoff:
    """Time between polls of an idle queue: from 100 ms, about doubling each time, up to a maximum, in seconds."""

    def __init__(self, maximum: float) -> None:
        self._maximum = max(maximum, _SHORTEST_POLL)
        self._exponent = 0

    def reset(self) -> None:
        """A message was found: begin anew."""
        self._exponent = 0

    def next(self) -> float:
        """How long to wait now."""
        growth = random.uniform(0.8, 1.2) * (2.0**self._exponent - 1.0) * _SHORTEST_POLL
        if _SHORTEST_POLL + growth >= self._maximum:
            return self._maximum
        self._exponent += 1
        return _SHORTEST_POLL + growth


class _Lease:
    """The right to a received message, renewed while its function runs."""

    def __init__(self, queue: Queue, message: Message, seconds: float) -> None:
        self._queue = queue
        self._id = message.id
        self._seconds = seconds
        self._pop_receipt = message.pop_receipt
        self._lost = False
        self._over = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(), name=f"lease {message.id}")

    async def end(self) -> None:
        """Renew no more. One that is under way is awaited, for it changes the pop receipt."""
        self._over.set()
        await self._keeper

    async def give_back(self, visible_in: float) -> None:
        """Show the message again after ``visible_in`` seconds."""
        await self._try("given back", self._renew(visible_in))

    async def delete(self) -> None:
        """Delete the message: its work is done."""
        await self._try("deleted", self._queue.delete(self._id, self._pop_receipt))

    async def _keep(self) -> None:
        """Renew at a third of the lease until it is over or lost. An unreachable storage is tried again."""
        while not self._lost:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self._seconds / 3)
            if self._over.is_set():
                return
            await self._try("renewed", self._renew(self._seconds))

    async def _renew(self, seconds: float) -> None:
        self._pop_receipt = await self._queue.update(self._id, self._pop_receipt, seconds)

    async def _try(self, what: str, work: Awaitable[None]) -> None:
        try:
            await work
        except StorageError as error:
            self._lost = self._lost or error.status == 404 or error.code == "PopReceiptMismatch"
            reason = "somebody else has it by now" if self._lost else "it comes back when its lease ends"
            _logger.warning("message %s of %s was not %s, %s: %s", self._id, self._queue.name, what, reason, error)


class QueueListener:
    """Runs one function on the messages of one queue."""

    def __init__(
        self, function: Function, trigger: QueueTrigger, storage: Storage, invoker: Invoker, options: QueueOptions,
        lease: float, wake: Callable[[str, str], None], asleep: Asleep | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            asleep: functions that are not called.
            lease: seconds that a received message is hidden from others; renewed while its function runs.
            wake: called with connection string and queue name after a message went to the poison queue.
        """
        self.function = function
        self._trigger = trigger
        self._queue = storage.queue(trigger.queue)
        # A poison queue that has a function of its own has no poison queue.
        self._poison = None if trigger.queue.endswith(_POISON) else storage.queue(trigger.queue + _POISON)
        self._invoker = invoker
        self._options = options
        self._lease = lease
        self._wake_others = wake
        self._asleep = asleep or Asleep()
        self._woken = asyncio.Event()
        self._finished = asyncio.Event()
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()
        self._poller: asyncio.Task[None] | None = None

    def serves(self, connection: str, queue: str) -> bool:
        """Does it listen to this queue?"""
        return (connection, queue) == (self._trigger.connection, self._trigger.queue)

    def wake(self) -> None:
        """Poll now: this process has just written to the queue. Azure's host does the same."""
        self._woken.set()

    def start(self) -> None:
        """Begin to poll."""
        self._poller = asyncio.create_task(self._poll(), name=f"poll {self._queue.name}")

    async def stop(self, grace: float) -> None:
        """Receive nothing more, let running functions finish for ``grace`` seconds, then cancel them.

        The messages of cancelled functions are shown again at once. A function in a thread cannot be cancelled; its
        message comes back when the lease ends.
        """
        self._stopping = True
        self._woken.set()
        self._finished.set()
        if self._poller is not None:
            await self._poller
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def run_once(self, text: str) -> None:
        """Call the function with a message that is on no queue (admin endpoint)."""
        now = datetime.now(UTC)
        by_hand = Message(str(uuid4()), "", text, 1, now, now + timedelta(days=7), now)
        value = text if self._trigger.as_text else _queue_message(by_hand, text.encode())
        with contextlib.suppress(InvocationFailed, OutputFailed):  # both are logged where they happen
            await self._invoker.call(self.function, value)

    async def _poll(self) -> None:
        backoff = Backoff(self._options.max_polling_interval)
        reachable = True
        while not self._stopping:
            if self.function.name in self._asleep:
                await asyncio.sleep(LOOK_EVERY)
                continue
            self._woken.clear()
            try:
                messages = await self._queue.get(self._options.batch_size, self._lease)
                reachable = True
            except StorageError as error:
                if reachable:
                    _logger.warning("queue %s cannot be polled, trying on: %s", self._queue.name, error)
                reachable, messages = False, []
            for message in messages:
                self._start(message)
            if messages:
                backoff.reset()
                await self._below_threshold()
            elif not self._stopping:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), backoff.next())

    def _start(self, message: Message) -> None:
        task = asyncio.create_task(self._process(message), name=f"message {message.id}")
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._finished.set()
        if not task.cancelled() and (error := task.exception()):
            _logger.critical(
                "a message of %s was not handled; this is a mistake of the host", self._queue.name, exc_info=error
            )

    async def _below_threshold(self) -> None:
        """Wait until no more than ``newBatchThreshold`` messages are being processed."""
        while len(self._running) > self._options.new_batch_threshold and not self._stopping:
            self._finished.clear()
            await self._finished.wait()

    async def _process(self, message: Message) -> None:
        # Azure's host says the same of each ("Trigger Details"): who was killed cannot tell what it had in work.
        _logger.info("message %s of %s, delivery %d", message.id, self._queue.name, message.dequeue_count)
        lease = _Lease(self._queue, message, self._lease)
        try:
            ok = message.dequeue_count <= self._options.max_dequeue_count and await self._call(message)
        except asyncio.CancelledError:
            await lease.end()
            if self.function.is_async:
                await lease.give_back(0)
            raise
        await lease.end()
        if ok:
            await lease.delete()
        elif self._poison is None:
            _logger.warning(
                "message %s of %s failed, and a poison queue has none of its own; it comes back when its lease ends, "
                "and after %d tries Azure's host leaves it alone until it expires",
                message.id, self._queue.name, self._options.max_dequeue_count,
            )  # fmt: skip
        elif message.dequeue_count >= self._options.max_dequeue_count:
            await self._to_poison(message, lease, self._poison)
        else:
            await lease.give_back(self._options.visibility_timeout)

    async def _call(self, message: Message) -> bool:
        """Call the function; did it succeed?"""
        try:
            body = base64.b64decode(message.text, validate=True) if self._options.base64 else message.text.encode()
            value = body.decode() if self._trigger.as_text else _queue_message(message, body)
            await self._invoker.call(self.function, value)
        except (InvocationFailed, OutputFailed):
            return False
        except ValueError as error:  # not base64, or not what the parameter can hold
            _logger.error("message %s of %s cannot be given to its function: %s", message.id, self._queue.name, error)
            return False
        return True

    async def _to_poison(self, message: Message, lease: _Lease, poison: Queue) -> None:
        _logger.error("message %s failed %d times, moving it to %s", message.id, message.dequeue_count, poison.name)
        try:
            await poison.put(message.text)
        except StorageError as error:
            _logger.error("message %s was not moved: %s", message.id, error)
            await lease.give_back(self._options.visibility_timeout)
            return
        self._wake_others(self._trigger.connection, poison.name)
        await lease.delete()


def _queue_message(message: Message, body: bytes) -> QueueMessage:
    """The function's parameter.

    Azure's host lets simple values of a JSON object in the message replace the message's own properties of the same
    name, without regard to case: a body with an ``id`` changes ``message.id`` (issue 1373 of
    Azure/azure-functions-python-worker). So does this. Raises ValueError when such a value does not fit.
    """
    own: dict[str, Any] = {"id": message.id, "dequeuecount": message.dequeue_count, "popreceipt": message.pop_receipt}
    if body[:1] == b"{" and body.rstrip()[-1:] == b"}":
        with contextlib.suppress(ValueError, RecursionError):
            own |= {k.lower(): v for k, v in json.loads(body).items() if isinstance(v, str | int) and k.lower() in own}
    return QueueMessage(  # type: ignore[no-untyped-call]  # azure.functions does not annotate it
        id=str(own["id"]),
        body=body,
        dequeue_count=int(own["dequeuecount"]),
        expiration_time=message.expires,
        insertion_time=message.inserted,
        time_next_visible=message.next_visible,
        pop_receipt=str(own["popreceipt"]),
    )
