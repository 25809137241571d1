"""The bridge's own queue, where the output binding does not reach: delayed messages, large ones, and its depth."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.core.messages import MAX_MESSAGE_BYTES, QUEUE, Envelope, content, decode, encode
from shared.platform.storage import Storage, storage_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CLAIMS = "bridge-claims"

#: Seconds for what a sender waits for. Azure gives a webhook ten, and what takes longer is sent again.
WEBHOOK_PATIENCE = 4.0

#: Queue storage hides a message for seven days at most.
_LONGEST_DELAY = timedelta(days=7) - timedelta(minutes=1)


class SignalQueue:
    """Sends envelopes with a delay, and keeps in blobs what is too large for a message."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def checked_in(self, envelope: Envelope) -> str:
        """The message text of an envelope; its content goes to a blob first when it is too large for a message.

        Raises StorageUnavailable.
        """
        text = encode(envelope)
        if len(text) <= MAX_MESSAGE_BYTES:
            return text
        import json

        name = f"{envelope.id}.json"
        data = json.dumps(content(envelope), separators=(",", ":")).encode()
        async with storage_errors("keeping a large signal", within=WEBHOOK_PATIENCE):
            await _created(
                lambda: self._storage.container(CLAIMS).upload_blob(name, data, overwrite=True),
                lambda: self._storage.container(CLAIMS).create_container(),
            )
        return encode(replace(envelope, claim=name))

    async def opened(self, text: str | bytes) -> Envelope:
        """The envelope of a message, with its content fetched when it lies in a blob.

        Raises:
            ValueError: the message is none of ours, or its blob is gone.
            StorageUnavailable: the blob could not be read.
        """
        envelope = decode(text)
        if not envelope.claim:
            return envelope
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("reading a large signal"):
            try:
                download = await self._storage.container(CLAIMS).download_blob(envelope.claim)
                return decode(text, await download.readall())
            except ResourceNotFoundError:
                raise ValueError(f"the content of message {envelope.id} (blob {envelope.claim}) is gone") from None

    async def done(self, envelope: Envelope) -> None:
        """Forget the blob of an envelope that is finished with. Raises StorageUnavailable."""
        if not envelope.claim:
            return
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("forgetting a large signal"):
            with contextlib.suppress(ResourceNotFoundError):
                await self._storage.container(CLAIMS).delete_blob(envelope.claim)

    async def send(self, envelope: Envelope, delay: timedelta = timedelta()) -> None:
        """Put an envelope on the queue, hidden for ``delay``; it never expires. Raises StorageUnavailable."""
        text = encode(envelope) if envelope.claim else await self.checked_in(envelope)
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


async def _created(work: Callable[[], Awaitable[Any]], create: Callable[[], Awaitable[Any]]) -> Any:
    """Do ``work``; when what it works on does not exist yet, create that and do it again."""
    from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

    try:
        return await work()
    except ResourceNotFoundError:
        with contextlib.suppress(ResourceExistsError):
            await create()
        return await work()
