"""The HTTP frontend: from an aiohttp request to a call and back, with the request log around it."""

from __future__ import annotations

import asyncio
import os
import uuid
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic

from aiohttp import web

from local.simulator_kit.calls import Answer, read_params
from local.simulator_kit.control import Control, Simulated
from local.simulator_kit.faults import CallT, Dropped, Wait, pause
from local.simulator_kit.request_log import BODY_KEPT, RequestEntry


class Frontend(ABC, Generic[CallT]):
    """Answers every request of one simulator. Requests to ``/control`` go to the control API and are not logged."""

    #: Bytes of a body above which reading it fails with ``web.HTTPRequestEntityTooLarge``.
    max_body: ClassVar[int] = 4 * 1024 * 1024
    #: Bodies reach :meth:`receive` decompressed.
    decompresses: ClassVar[bool] = True
    #: Longest request line and header that the web server reads.
    max_line: ClassVar[int] = 64 * 1024

    def __init__(self, state: Simulated, control: Control) -> None:
        self._state = state
        self._control = control
        #: Set when the server stops: nobody waits any longer.
        self.stopping = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The one handler: the control API, or a request to the simulated API."""
        if request.path == "/control" or request.path.startswith("/control/"):
            return await self._control.handle(request)
        requests = self._state.requests
        entry = RequestEntry(
            id=self.request_id(),
            transaction_id=os.urandom(8).hex(),
            time=self._state.clock.text(),
            method=request.method,
            path=request.path[:BODY_KEPT],
            query=request.rel_url.raw_query_string[:BODY_KEPT],
        )
        requests.open(entry, cookies="Cookie" in request.headers)
        try:
            call = await self.receive(request, entry)
            try:
                answer = await self.answer(request, call, self._wait(request))
            except Dropped:
                entry.committed = bool(call.changes)
                requests.decided(entry, None)
                return _drop(request)
            entry.committed = bool(call.changes)
            requests.decided(entry, answer.status)
            return self.respond(request, call, answer)
        finally:
            requests.close()

    def request_id(self) -> str:
        """A new id for a request, as the simulated system writes it."""
        return str(uuid.uuid4())

    @abstractmethod
    async def receive(self, request: web.Request, entry: RequestEntry) -> CallT:
        """Make a call of a request; :func:`call_fields` has what is the same everywhere."""

    @abstractmethod
    async def answer(self, request: web.Request, call: CallT, wait: Wait, /) -> Answer:
        """Answer a call, with its faults.

        Raises:
            Dropped: the connection is to be cut.
        """

    @abstractmethod
    def respond(self, request: web.Request, call: CallT, answer: Answer) -> web.Response:
        """Encode an answer and add the headers that the simulated system sends."""

    def _wait(self, request: web.Request) -> Wait:
        def disconnected() -> bool:
            return request.transport is None or request.transport.is_closing()

        return lambda seconds: pause(seconds, disconnected, self.stopping)


def call_fields(request: web.Request, entry: RequestEntry) -> dict[str, Any]:
    """Arguments of a ``Call``, without its body. HEAD is served as GET, and sent without the body."""
    query = request.rel_url.raw_query_string
    return {
        "method": "GET" if request.method == "HEAD" else request.method,
        "path": request.path,
        "query": query,
        "headers": request.headers,
        "body": b"",
        "base_url": f"{request.scheme}://{request.host}",
        "entry": entry,
        "params": read_params(query),
    }


def _drop(request: web.Request) -> web.StreamResponse:
    """Cut the connection; the response is never sent, the server needs one to return."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
