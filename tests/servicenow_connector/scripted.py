"""A scripted ServiceNow instance on a loopback socket: it says what a test tells it to and remembers what was asked."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

HIBERNATING = "<html><head><title>Instance Hibernating page</title></head><body>Sign in to wake it up</body></html>"


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    peer: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Say:
    """An answer."""

    status: int = 200
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=UTF-8"


def result(value: Any, status: int = 200, **headers: str) -> Say:
    """A JSON answer with a result."""
    return Say(status, json.dumps({"result": value}), {name.replace("_", "-"): v for name, v in headers.items()})


def refusal(status: int, message: str, detail: str | None = None, **headers: str) -> Say:
    """The error envelope of the REST APIs."""
    body = json.dumps({"error": {"message": message, "detail": detail}, "status": "failure"})
    return Say(status, body, {name.replace("_", "-"): v for name, v in headers.items()})


def page(text: str, status: int = 200) -> Say:
    """An HTML page."""
    return Say(status, text, content_type="text/html")


def token(access: str, expires_in: int = 1799, refresh: str | None = None) -> Say:
    """What the token endpoint gives."""
    data: dict[str, Any] = {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": expires_in,
        "scope": "useraccount",
    }
    if refresh:
        data["refresh_token"] = refresh
    return Say(200, json.dumps(data))


def not_authenticated() -> Say:
    """The answer to missing or wrong credentials."""
    return refusal(
        401,
        "User Not Authenticated",
        "Required to provide Auth information",
        WWW_Authenticate='BASIC realm="Service-now"',
    )


#: Closes the connection instead of answering.
HANG_UP = Say(status=-1)

#: Sends half of a body and closes the connection.
CUT_SHORT = Say(status=-2)

Handler = Callable[[Asked], "Say | Awaitable[Say]"]


class Instance:
    """The server. Answers come from the queue first, then from ``handler``; a request that neither expects gets 599."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.queue: deque[Say] = deque()
        self.handler: Handler | None = None
        self.in_flight = 0
        self.most_in_flight = 0
        self.arrived = asyncio.Condition()

    def says(self, *answers: Say) -> None:
        """Queue answers, given in order."""
        self.queue.extend(answers)

    @property
    def calls(self) -> list[str]:
        """Method and path of every request."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    async def until(self, count: int) -> None:
        """Wait until ``count`` requests arrived."""
        async with self.arrived, asyncio.timeout(30):
            await self.arrived.wait_for(lambda: len(self.asked) >= count)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        asked = Asked(
            request.method, request.path, dict(request.query), dict(request.headers), await request.read(), str(peer)
        )
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            async with self.arrived:
                self.asked.append(asked)
                self.arrived.notify_all()
            return await self._answer(request, await self._say(asked))
        finally:
            self.in_flight -= 1

    async def _say(self, asked: Asked) -> Say:
        if self.queue:
            return self.queue.popleft()
        if self.handler is None:
            return Say(599, f"unscripted: {asked.method} {asked.path}", content_type="text/plain")
        said = self.handler(asked)
        return said if isinstance(said, Say) else await said

    async def _answer(self, request: web.Request, say: Say) -> web.StreamResponse:
        transport = request.transport
        if say is HANG_UP:
            if transport is not None:
                transport.abort()
            return web.Response()
        if say is CUT_SHORT:
            cut = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
            await cut.prepare(request)
            await cut.write(b'{"result": {"sys_id": "0')
            if transport is not None:
                transport.abort()
            return cut
        body = say.body.encode() if isinstance(say.body, str) else say.body
        headers = {"Content-Type": say.content_type, **say.headers} if say.content_type else dict(say.headers)
        return web.Response(status=say.status, body=body, headers=headers)


@asynccontextmanager
async def running(tls: SSLContext | None = None) -> AsyncIterator[Instance]:
    """Serve an instance on a free loopback port."""
    instance = Instance()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", instance.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    instance.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        yield instance
    finally:
        await runner.cleanup()


class Echo:
    """A handler that behaves: keeps records, echoes what was written, finds by id and by correlation_id."""

    def __init__(self, **defaults: str) -> None:
        self.defaults = {"state": "1", "active": "true", **defaults}
        self.records: dict[str, dict[str, str]] = {}

    def __call__(self, asked: Asked) -> Say:
        sys_id = asked.path.rpartition("/")[2]
        if asked.method == "POST":
            row = {**self.defaults, "number": f"INC{10001 + len(self.records):07}", **asked.json}
            self.records[row["sys_id"]] = row
            return result(_chosen(row, asked), 201)
        if asked.method == "GET" and "sysparm_query" in asked.query:
            wanted = asked.query["sysparm_query"].split("^")[0].partition("=")[2]
            rows = [_chosen(r, asked) for r in reversed(self.records.values()) if r.get("correlation_id") == wanted]
            return result(rows)
        if sys_id not in self.records:
            return refusal(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
        if asked.method == "PATCH":
            self.records[sys_id].update(asked.json)
        return result(_chosen(self.records[sys_id], asked))


def _chosen(row: Mapping[str, str], asked: Asked) -> dict[str, Any]:
    names = asked.query.get("sysparm_fields")
    chosen = {name: row[name] for name in names.split(",") if name in row} if names else dict(row)
    stored = {name: "" if name == "work_notes" else text for name, text in chosen.items()}
    if asked.query.get("sysparm_display_value") == "all":
        return {name: {"display_value": text, "value": stored[name]} for name, text in chosen.items()}
    return stored
