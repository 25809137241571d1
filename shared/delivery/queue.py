"""The bridge's own queue. Every message of the app goes through here, except those of Event Hubs."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.core.errors import StorageUnavailable
from shared.core.messages import (
    MAX_MESSAGE_BYTES,
    QUEUE,
    Message,
    content,
    encode,
    from_fields,
    read_fields,
    read_object,
)
from shared.core.times import rfc3339
from shared.platform.concurrency import for_each
from shared.platform.storage import Storage, create_on_first_use, storage_errors, unavailable, was_refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CLAIMS = "bridge-claims"

#: Content is kept longer than any message is: one that is not delivered in seven days becomes a dead letter.
CONTENT_KEPT_FOR = timedelta(days=30)

#: Seconds for putting all signals of one request on the queue. Action groups wait ten for an answer.
INTAKE_PATIENCE = 6.0

#: Seconds for one operation that somebody waits for.
PATIENCE = 4.0

#: Seconds for deleting the blob of a message that did not get on the queue. The daily purge deletes what is left over.
_CLEANUP_PATIENCE = 1.0

#: Messages of one request that are put on the queue at the same time.
_CONCURRENCY = 8

#: Bytes that ``hidden_until`` takes in a message.
_ROOM = 64

#: Queue storage hides a message for seven days at most.
_LONGEST_DELAY = timedelta(days=7) - timedelta(minutes=1)


class SignalQueue:
    """Sends messages with a delay, and keeps in blobs the content of those that are too large for the queue."""

    def __init__(self, storage: Storage, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._storage = storage
        self._now = now

    async def encoded(self, message: Message) -> str:
        """The text of a message; its content goes to a blob first when it is too large for the queue.

        Raises StorageUnavailable.
        """
        return encode(message) if fits_queue(message) else await self._with_content_in_blob(message)

    async def _with_content_in_blob(self, message: Message) -> str:
        name = f"{message.id}.json"
        data = json.dumps(content(message), separators=(",", ":")).encode()
        async with storage_errors("keeping a large signal", within=PATIENCE):
            await create_on_first_use(
                lambda: self._storage.container(CLAIMS).upload_blob(name, data, overwrite=True),
                lambda: self._storage.container(CLAIMS).create_container(),
            )
        return encode(replace(message, claim=name))

    async def put_all(self, messages: Iterable[Message], within: float = INTAKE_PATIENCE) -> None:
        """Put the new messages of one request on the queue, within so many seconds.

        After a failure some of them may be on the queue. The sender sends all of them again, and those that came twice
        are found as duplicates. A blob of a message that storage refused is deleted.

        Raises StorageUnavailable.
        """
        from azure.core.exceptions import HttpResponseError

        async with storage_errors("queueing signals", within=within):
            try:
                await for_each(messages, self._put, limit=_CONCURRENCY)
            except HttpResponseError as error:  # a 404 or 409 too: here it is no answer to decide by
                raise unavailable(error, "queueing signals") from error

    async def _put(self, message: Message) -> None:
        text = encode(message)
        if len(text) <= MAX_MESSAGE_BYTES:
            await self._put_text(text)
            return
        text = await self._with_content_in_blob(message)
        try:
            await self._put_text(text, retry_total=0)  # an answer to a second attempt says nothing of the first
        except Exception as error:
            if was_refused(error):
                with contextlib.suppress(StorageUnavailable):
                    async with storage_errors("deleting a large signal", within=_CLEANUP_PATIENCE):
                        await self._storage.container(CLAIMS).delete_blob(f"{message.id}.json")
            raise

    async def _put_text(self, text: str, **options: Any) -> None:
        """Raises what the SDK raises."""
        await create_on_first_use(
            lambda: self._storage.queue(QUEUE).send_message(text, time_to_live=-1, **options),
            lambda: self._storage.queue(QUEUE).create_queue(),
        )

    async def decoded(self, text: str | bytes) -> Message:
        """The message of a text, with its content fetched when it lies in a blob.

        Raises:
            NewerVersion: a newer release wrote it.
            ValueError: the bridge did not write it, or its blob does not exist any more or cannot be read.
            StorageUnavailable: the blob could not be read.
        """
        fields = read_fields(text)
        claim = fields.get("claim")
        if claim:
            from azure.core.exceptions import ResourceNotFoundError

            async with storage_errors("reading a large signal"):
                try:
                    download = await self._storage.container(CLAIMS).download_blob(claim)
                    content_text = await download.readall()
                except ResourceNotFoundError:
                    reason = f"the content of message {fields['id']} (blob {claim}) does not exist any more"
                    raise ValueError(reason) from None
            fields |= read_object(content_text)
        return from_fields(fields)

    async def delete_content(self, message: Message) -> None:
        """Delete the blob of a message that has ended. Raises StorageUnavailable."""
        if not message.claim:
            return
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("deleting a large signal"):
            with contextlib.suppress(ResourceNotFoundError):
                await self._storage.container(CLAIMS).delete_blob(message.claim)

    async def delete_abandoned(self, before: datetime, limit: int, *, dry_run: bool = False) -> int:
        """Delete content older than any message can be, at most so many blobs. How many it was, or would have been.

        Such a blob is left over when storage took the content and nobody knows whether it took the message.
        Raises StorageUnavailable.
        """
        from azure.core.exceptions import ResourceNotFoundError

        deleted = 0
        async with storage_errors("deleting large signals"):
            container = self._storage.container(CLAIMS)
            try:
                async for blob in container.list_blobs():
                    if deleted < limit and blob.last_modified < before:
                        with contextlib.suppress(ResourceNotFoundError):
                            if not dry_run:
                                await container.delete_blob(blob.name)
                            deleted += 1
            except ResourceNotFoundError:  # no signal was ever too large
                return 0
        return deleted

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        """Put a message on the queue, hidden for ``delay``; it never expires. Raises StorageUnavailable."""
        hidden = _hidden_seconds(delay)
        message = replace(message, hidden_until=self._now() + timedelta(seconds=hidden) if hidden else None)
        await self._send_text(encode(message) if message.claim else await self.encoded(message), hidden)

    async def send_text(self, text: str, delay: timedelta = timedelta()) -> None:
        """Put the text of a message that this release cannot read on the queue, as :meth:`send` does."""
        hidden = _hidden_seconds(delay)
        await self._send_text(_with_hidden_until(text, self._now() + timedelta(seconds=hidden)), hidden)

    async def _send_text(self, text: str, hidden: int) -> None:
        async with storage_errors("queueing a signal"):
            await create_on_first_use(
                lambda: self._storage.queue(QUEUE).send_message(text, visibility_timeout=hidden, time_to_live=-1),
                lambda: self._storage.queue(QUEUE).create_queue(),
            )

    async def depth(self) -> int:
        """About how many messages wait, hidden ones included. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("counting messages", within=PATIENCE):
            try:
                properties = await self._storage.queue(QUEUE).get_queue_properties()
            except ResourceNotFoundError:
                return 0
        return int(properties.approximate_message_count or 0)


def _hidden_seconds(delay: timedelta) -> int:
    """Whole seconds, as queue storage counts."""
    return max(math.ceil(min(delay, _LONGEST_DELAY).total_seconds()), 0)


def _with_hidden_until(text: str, moment: datetime) -> str:
    """The text of a message with another ``hidden_until``; as it is where that does not fit."""
    fields = json.loads(text)
    changed = json.dumps({**fields, "hidden_until": rfc3339(moment)}, separators=(",", ":"))
    return changed if len(changed) <= MAX_MESSAGE_BYTES else text


def fits_queue(message: Message) -> bool:
    """Whether a message goes on the queue with its content; else the content goes to a blob. The same answer whether
    the message is hidden or not: it has to hold for the next time too."""
    return len(encode(replace(message, hidden_until=None))) <= MAX_MESSAGE_BYTES - _ROOM
