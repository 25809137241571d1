"""A storage account whose queue service is told how to answer; its blobs are in Azurite."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from xml.etree import ElementTree

from aiohttp import web

from local.azurite import Azurite
from local.storage_rest import EMULATOR_ACCOUNT, EMULATOR_KEY
from shared.core.messages import Message, decode

_STORED = (
    "<QueueMessagesList><QueueMessage><MessageId>demo</MessageId><PopReceipt>demo</PopReceipt>"
    "<InsertionTime>Sun, 01 Mar 2026 12:00:00 GMT</InsertionTime>"
    "<ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime>"
    "<TimeNextVisible>Sun, 01 Mar 2026 12:00:00 GMT</TimeNextVisible></QueueMessage></QueueMessagesList>"
)

#: Statuses of the queue service, and what it calls them.
CODES = {403: "AuthorizationFailure", 404: "ResourceNotFound", 409: "QueueBeingDeleted", 500: "OperationTimedOut"}


@dataclass
class QueueService:
    """The queue service.

    Attributes:
        status: answer to a message, by its number from 0; 0 for none at all.
        delay: seconds before an answer.
        stored: texts of the messages that it took. lifetimes: seconds that they asked for.
    """

    connection_string: str = ""
    status: Callable[[int], int] = lambda _number: 201
    delay: float = 0.0
    stored: list[str] = field(default_factory=list)
    lifetimes: list[str] = field(default_factory=list)
    asked: int = 0

    def messages(self) -> list[Message]:
        """What it took; the content of large ones is in a blob."""
        return [decode(base64.b64decode(text)) for text in self.stored]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request."""
        if request.method == "PUT":  # the queue itself
            return web.Response(status=201)
        status, self.asked = self.status(self.asked), self.asked + 1
        await asyncio.sleep(self.delay)
        if status == 0:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if status == 201:
            self.stored.append(ElementTree.fromstring(await request.text()).findtext("MessageText") or "")
            self.lifetimes.append(request.query["messagettl"])
            return web.Response(status=201, text=_STORED, content_type="application/xml")
        return web.Response(status=status, headers={"x-ms-error-code": CODES.get(status, "ServerBusy")})


@asynccontextmanager
async def queue_service(azurite: Azurite) -> AsyncIterator[QueueService]:
    """The service, listening on this machine."""
    service = QueueService()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    service.connection_string = (
        f"DefaultEndpointsProtocol=http;AccountName={EMULATOR_ACCOUNT};AccountKey={EMULATOR_KEY};"
        f"BlobEndpoint={azurite.blob_url};TableEndpoint={azurite.table_url};"
        f"QueueEndpoint=http://127.0.0.1:{port}/{EMULATOR_ACCOUNT};"
    )
    try:
        yield service
    finally:
        await runner.cleanup()
