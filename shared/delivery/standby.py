"""Works on the messages of a queue in place of its trigger, and as the trigger would.

A message is received, handled, and deleted; after a failure it is shown again 30 seconds later, and after the fifth it
moves to the poison queue. The figures are those of ``host.json``. One thing differs: the trigger hides a message for
ten minutes, so that it comes back late when its process dies; here it is hidden for a minute, and again while it is
worked on.

Source: Microsoft Learn, "Azure Queue storage trigger for Azure Functions" (poison messages, host.json settings).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.core.errors import StorageUnavailable
from shared.core.messages import JOB_QUEUE, POISON_QUEUE, QUEUE
from shared.core.times import optional_moment
from shared.platform.log import record
from shared.platform.storage import Storage, create_on_first_use, storage_errors

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage
    from azure.storage.queue.aio import QueueClient

#: As in host.json (extensions.queues); a test compares them.
BATCH = 16
MOST_DEQUEUES = 5
AFTER_FAILURE = 30

#: Seconds for which a received message is hidden, and between renewals.
HIDDEN = 60
RENEWED_EVERY = 20.0

#: Seconds for one operation.
_PATIENCE = 4.0

#: Messages that are looked at to find the oldest one.
_PEEKED = 32

#: Takes the id, the body, and how often the message was received, this time included.
Handle = Callable[[str, bytes, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits on the two queues.

    Attributes:
        since: since when the oldest message waits that nobody postponed; None when none does.
        poison: about how many messages the poison queue holds, hidden ones included.
        job_since: since when the oldest job waits that a person asked for.
    """

    since: datetime | None
    poison: int
    job_since: datetime | None = None


class QueueWatch:
    """Looks at the queues without taking anything."""

    def __init__(self, storage: Storage, now: Callable[[], datetime]) -> None:
        self._storage = storage
        self._now = now
        self._seen: dict[tuple[str, int], datetime] = {}

    async def look(self) -> Waiting:
        """What waits. Three calls. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("looking at the queue", within=_PATIENCE):
            messages, jobs = await asyncio.gather(self._peek(QUEUE), self._peek(JOB_QUEUE))
            try:
                poison = await self._storage.queue(POISON_QUEUE, raw=True).get_queue_properties()
                depth = int(poison.approximate_message_count or 0)
            except ResourceNotFoundError:
                depth = 0
        now = self._now()
        again = [(message.id, message.dequeue_count) for message in (*messages, *jobs) if message.dequeue_count]
        self._seen = {one: self._seen.get(one, now) for one in again}
        since, job_since = (min(map(self._waits_since, found), default=None) for found in (messages, jobs))
        return Waiting(since, depth, job_since)

    async def _peek(self, queue: str) -> list[QueueMessage]:
        """Messages that can be received. Raises what the SDK raises."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return await self._storage.queue(queue, raw=True).peek_messages(max_messages=_PEEKED)
        except ResourceNotFoundError:
            return []

    def _waits_since(self, message: QueueMessage) -> datetime:
        """Since when it can be received. For one that was received before, only since when we have seen it."""
        if message.dequeue_count:
            return self._seen[message.id, message.dequeue_count]
        inserted: datetime = message.inserted_on or self._now()
        try:
            fields: Any = json.loads(base64.b64decode(message.content or "", validate=True))
            hidden_until = optional_moment(fields.get("hidden_until"))
        except (ValueError, AttributeError, TypeError):
            return inserted  # not ours: it waits to be parked
        return inserted if hidden_until is None else max(inserted, hidden_until)


class QueueStandby:
    """Works on one queue.

    Args:
        storage: of the queue.
        queue: its name. poison: where messages go that failed too often; None for the poison queue itself.
        handle: works on one message; a failure is an exception.
    """

    def __init__(self, storage: Storage, queue: str, poison: str | None, handle: Handle) -> None:
        self._storage = storage
        self._name = queue
        self._poison = poison
        self._handle = handle
        self._running: set[asyncio.Task[None]] = set()

    async def work(self, seconds: float) -> int:
        """Receive and handle messages until none is left or the time is over; how many were received.

        What is being handled when the time is over goes on in the background. Raises StorageUnavailable.
        """
        ends = time.monotonic() + seconds
        taken = 0
        while (left := ends - time.monotonic()) > 0:
            room = BATCH - len(self._running)
            if room > 0:
                messages = await self._receive(room)
                taken += len(messages)
                for message in messages:
                    task = asyncio.create_task(self._process(message), name=f"message {message.id}")
                    self._running.add(task)
                    task.add_done_callback(self._running.discard)
            if not self._running:
                break
            await asyncio.wait(self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return taken

    @property
    def _queue(self) -> QueueClient:
        return self._storage.queue(self._name, raw=True)

    async def _receive(self, most: int) -> list[QueueMessage]:
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors(f"receiving messages of {self._name}", within=_PATIENCE):
            try:
                found = self._queue.receive_messages(
                    messages_per_page=most, max_messages=most, visibility_timeout=HIDDEN
                )
                return [message async for message in found]
            except ResourceNotFoundError:
                return []

    async def _process(self, message: QueueMessage) -> None:
        lease = _Lease(self._queue, message)
        renewing = asyncio.create_task(lease.renew())
        try:
            well = (message.dequeue_count or 1) <= MOST_DEQUEUES and await self._handled(message)
        finally:
            lease.over.set()
            await renewing
        try:
            await self._conclude(message, lease, well)
        except StorageUnavailable as error:  # it comes back when it is shown again, and is worked on once more
            record("standby_failed", logging.WARNING, queue=self._name, message=message.id, reason=str(error))

    async def _handled(self, message: QueueMessage) -> bool:
        try:
            body = base64.b64decode(message.content or "", validate=True)
        except (binascii.Error, ValueError):
            # The trigger cannot read it either, and moves it to the poison queue at once.
            if self._poison is not None:
                message.dequeue_count = MOST_DEQUEUES
                return False
            body = (message.content or "").encode()
        try:
            await self._handle(message.id, body, message.dequeue_count or 1)
        except Exception:  # whatever it is, the message is tried again, as the trigger does
            logging.getLogger("bridge").exception("message %s of %s failed", message.id, self._name)
            return False
        return True

    async def _conclude(self, message: QueueMessage, lease: _Lease, well: bool) -> None:
        if well:
            await lease.delete()
        elif self._poison is not None and (message.dequeue_count or 1) >= MOST_DEQUEUES:
            poison, text = self._storage.queue(self._poison, raw=True), message.content
            async with storage_errors("moving a message to the poison queue", within=_PATIENCE):
                await create_on_first_use(
                    lambda: poison.send_message(text, time_to_live=-1), lambda: poison.create_queue()
                )
            await lease.delete()
        else:
            await lease.show_again(AFTER_FAILURE)


class _Lease:
    """The right to a received message. Each renewal changes the receipt that proves it."""

    def __init__(self, queue: QueueClient, message: QueueMessage) -> None:
        self._queue = queue
        self._id = message.id
        self._receipt = message.pop_receipt
        self.over = asyncio.Event()

    async def renew(self) -> None:
        """Keep the message hidden until ``over``. A renewal that is under way then comes to its end: it changes the
        receipt."""
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), RENEWED_EVERY)
            if not self.over.is_set():
                with contextlib.suppress(StorageUnavailable):  # the next one comes before it is shown again
                    await self.show_again(HIDDEN)

    async def show_again(self, seconds: int) -> None:
        """Hide it for so many seconds from now on. Nothing happens when somebody else has it by now."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("hiding a message", within=_PATIENCE):
            with contextlib.suppress(ResourceNotFoundError):
                updated = await self._queue.update_message(self._id, self._receipt, visibility_timeout=seconds)
                self._receipt = updated.pop_receipt

    async def delete(self) -> None:
        """Its work is done. Nothing happens when somebody else has it by now."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("deleting a message", within=_PATIENCE):
            with contextlib.suppress(ResourceNotFoundError):
                await self._queue.delete_message(self._id, self._receipt)
