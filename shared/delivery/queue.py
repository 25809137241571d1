"""The bridge's own queue, where the output binding does not reach: delayed messages, large ones, and its depth."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.core.messages import MAX_MESSAGE_BYTES, QUEUE, Message, content, encode, from_fields, read_fields
from shared.platform.storage import Storage, storage_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CLAIMS = "bridge-claims"

#: Seconds for what a sender waits for. Azure gives a webhook ten, and what takes longer is sent again.
WEBHOOK_PATIENCE = 4.0

#: Queue storage hides a message for seven days at most.
_LONGEST_DELAY = timedelta(days=7) - timedelta(minutes=1)


class SignalQueue:
    """Sends messages with a delay, and keeps in blobs the content of those that are too large for the queue."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def encoded(self, message: Message) -> str:
        """The text of a message; its content goes to a blob first when it is too large for the queue.

        Raises StorageUnavailable.
        """
        text = encode(message)
        if len(text) <= MAX_MESSAGE_BYTES:
            return text
        name = f"{message.id}.json"
        data = json.dumps(content(message), separators=(",", ":")).encode()
        async with storage_errors("keeping a large signal", within=WEBHOOK_PATIENCE):
            await _created(
                lambda: self._storage.container(CLAIMS).upload_blob(name, data, overwrite=True),
                lambda: self._storage.container(CLAIMS).create_container(),
            )
        return encode(replace(message, claim=name))

    async def decoded(self, text: str | bytes) -> Message:
        """The message of a text, with its content fetched when it lies in a blob.

        Raises:
            NewerVersion: a newer release wrote it.
            ValueError: the bridge did not write it, or its blob does not exist any more.
            StorageUnavailable: the blob could not be read.
        """
        fields = read_fields(text)
        claim = fields.get("claim")
        if claim:
            from azure.core.exceptions import ResourceNotFoundError

            async with storage_errors("reading a large signal"):
                try:
                    download = await self._storage.container(CLAIMS).download_blob(claim)
                    fields |= json.loads(await download.readall())
                except ResourceNotFoundError:
                    reason = f"the content of message {fields['id']} (blob {claim}) does not exist any more"
                    raise ValueError(reason) from None
        return from_fields(fields)

    async def delete_content(self, message: Message) -> None:
        """Delete the blob of a message that has ended. Raises StorageUnavailable."""
        if not message.claim:
            return
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("deleting a large signal"):
            with contextlib.suppress(ResourceNotFoundError):
                await self._storage.container(CLAIMS).delete_blob(message.claim)

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        """Put a message on the queue, hidden for ``delay``; it never expires. Raises StorageUnavailable."""
        await self.send_text(encode(message) if message.claim else await self.encoded(message), delay)

    async def send_text(self, text: str, delay: timedelta = timedelta()) -> None:
        """Put the text of a message on the queue, as :meth:`send` does."""
        hidden = max(math.ceil(min(delay, _LONGEST_DELAY).total_seconds()), 0)
        async with storage_errors("queueing a signal"):
            await _created(
                lambda: self._storage.queue(QUEUE).send_message(text, visibility_timeout=hidden, time_to_live=-1),
                lambda: self._storage.queue(QUEUE).create_queue(),
            )

    async def depth(self) -> int:
        """About how many messages wait, hidden ones included. Raises StorageUnavailable."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("counting messages", within=WEBHOOK_PATIENCE):
            try:
                properties = await self._storage.queue(QUEUE).get_queue_properties()
            except ResourceNotFoundError:
                return 0
        return int(properties.approximate_message_count or 0)


def fits_queue(message: Message) -> bool:
    """Whether a message goes on the queue with its content; else the content goes to a blob."""
    return len(encode(message)) <= MAX_MESSAGE_BYTES


async def _created(work: Callable[[], Awaitable[Any]], create: Callable[[], Awaitable[Any]]) -> Any:
    """Do ``work``; when what it works on does not exist yet, create that and do it again."""
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

    try:
        return await work()
    except ResourceNotFoundError:
        with contextlib.suppress(ResourceExistsError):
            await create()
        return await work()
