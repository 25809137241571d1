"""The HTTP front: from an aiohttp request to the service that its path names, through faults, and back.

One origin serves what in the world are several hosts; their paths do not overlap:

* ``/msi/token``: the identity endpoint of an app;
* ``/v1.0/...`` and ``/beta/...``: graph.microsoft.com;
* ``/subscriptions...`` and ``.../providers/...``: management.azure.com;
* everything else below a tenant: login.microsoftonline.com.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from typing import Any

from aiohttp import web

from local.azure.call import Call, Refusal
from local.azure.cloud import Cloud
from local.azure.control import Control
from local.azure.entra.managed_identity import PATH as IDENTITY_PATH
from local.azure.graph.service import is_graph
from local.servicenow.faults import Dropped, pause
from local.simulator_kit.calls import Answer, read_params
from local.simulator_kit.request_log import BODY_KEPT, RequestEntry

#: Resource Manager takes bodies up to 4 MB (docs: "Azure subscription and service limits").
MAX_BODY = 4 * 1024 * 1024


class Front:
    """Answers every request."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._control = Control(cloud)
        self.stopping = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The one handler: the control API, or a request to one of the clouds."""
        if request.path == "/control" or request.path.startswith("/control/"):
            return await self._control.handle(request)
        entry = RequestEntry(
            id=str(uuid.uuid4()),
            transaction_id=os.urandom(8).hex(),
            time=self._cloud.clock.text(),
            method=request.method,
            path=request.path[:BODY_KEPT],
            query=request.rel_url.raw_query_string[:BODY_KEPT],
        )
        requests = self._cloud.requests
        requests.open(entry, cookies="Cookie" in request.headers)
        try:
            call = await _call(request, entry)
            try:
                answer = await self._answer(request, call)
            except Dropped:
                entry.committed = call.committed
                requests.decided(entry, None)
                return _drop(request)
            entry.committed = call.committed
            requests.decided(entry, answer.status)
            return self._response(request, call, answer)
        finally:
            requests.close()

    async def _answer(self, request: web.Request, call: Call) -> Answer:
        async def wait(seconds: float) -> bool:
            return await pause(
                seconds, lambda: request.transport is None or request.transport.is_closing(), self.stopping
            )

        faults = self._cloud.faults
        if call.service == "entra":
            self._cloud.entra.prepare(call)
        elif call.service == "identity":
            call.operation = call.entry.target = "managed-identity"
        try:
            await faults.arrival(call, wait)
            if self._cloud.settings.latency_ms > 0:
                await asyncio.sleep(self._cloud.settings.latency_ms / 1000)
            answer = self._serve(call)
        except Refusal as refusal:
            call.entry.note = refusal.note
            answer = refusal.answer
        return await faults.after(call, answer, wait)

    def _serve(self, call: Call) -> Answer:
        cloud = self._cloud
        if call.service == "arm":
            prepared = cloud.arm.prepare(call)
            cloud.faults.handling(call)
            return cloud.arm.serve(call, prepared)
        if call.service == "graph":
            cloud.graph.prepare(call)
            cloud.faults.handling(call)
            return cloud.graph.serve(call)
        cloud.faults.handling(call)
        return cloud.managed_identity.serve(call) if call.service == "identity" else cloud.entra.serve(call)

    def _response(self, request: web.Request, call: Call, answer: Answer) -> web.Response:
        data, content_type = _encoded(answer)
        if answer.send < 1:
            data = data[: int(len(data) * answer.send)]
        response = web.Response(status=answer.status, body=data if request.method != "HEAD" else b"")
        own = {"arm": self._cloud.arm.headers, "graph": self._cloud.graph.headers, "entra": self._cloud.entra.headers}
        headers = own[call.service](call) if call.service in own else []
        headers += [("Strict-Transport-Security", "max-age=31536000"), ("X-Content-Type-Options", "nosniff")]
        for name, value in (*headers, *call.extra_headers, *answer.headers):
            if name in response.headers:
                del response.headers[name]
            response.headers.add(name, value)
        if content_type:
            response.headers["Content-Type"] = content_type
        return response


async def _call(request: web.Request, entry: RequestEntry) -> Call:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        body = b""
        entry.note = "the body is too large"
    entry.body = body[:BODY_KEPT].decode("utf-8", "replace")
    query = request.rel_url.raw_query_string
    return Call(
        method="GET" if request.method == "HEAD" else request.method,
        path=request.path,
        query=query,
        headers=request.headers,
        body=body,
        base_url=f"{request.scheme}://{request.host}",
        entry=entry,
        params=read_params(query),
        service=_service(request.path),
    )


def _service(path: str) -> str:
    lowered = path.lower()
    if lowered == IDENTITY_PATH:
        return "identity"
    if is_graph(path):
        return "graph"
    if lowered.startswith("/subscriptions") or "/providers/" in lowered:
        return "arm"
    return "entra"


def _encoded(answer: Answer) -> tuple[bytes, str]:
    if answer.raw is not None:
        return answer.raw, answer.content_type
    if answer.empty:
        return b"", ""
    payload: Any = answer.payload
    return json.dumps(payload, separators=(",", ":")).encode(), answer.content_type or "application/json; charset=utf-8"


def _drop(request: web.Request) -> web.StreamResponse:
    """Cut the connection; the response is never sent, the server needs one to return."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
