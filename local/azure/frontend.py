"""The HTTP frontend: from an aiohttp request to the service that its path names, through faults, and back.

One origin serves what in the world are several hosts; their paths do not overlap:

* ``/msi/token``: the identity endpoint of an app;
* ``/v1.0/...`` and ``/beta/...``: graph.microsoft.com;
* ``/v1/...``: api.loganalytics.azure.com;
* ``/dataCollectionRules/...``: an address of the Logs Ingestion API;
* ``/subscriptions...`` and ``.../providers/...``: management.azure.com;
* everything else below a tenant: login.microsoftonline.com.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from local.azure.call import Call, Refusal
from local.azure.cloud import Cloud
from local.azure.control import Control
from local.azure.entra.managed_identity import PATH as IDENTITY_PATH
from local.azure.graph.service import is_graph
from local.azure.ingestion.service import is_ingestion
from local.azure.logs.service import is_logs
from local.simulator_kit import frontend
from local.simulator_kit.calls import Answer
from local.simulator_kit.faults import Wait
from local.simulator_kit.frontend import call_fields
from local.simulator_kit.request_log import BODY_KEPT, RequestEntry


class Frontend(frontend.Frontend[Call]):
    """Answers every request."""

    #: Resource Manager takes bodies up to 4 MB (docs: "Azure subscription and service limits").
    max_body = 4 * 1024 * 1024
    #: The Logs Ingestion API limits the size of a body before it is decompressed, too.
    decompresses = False

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud, Control(cloud))
        self._cloud = cloud

    async def receive(self, request: web.Request, entry: RequestEntry) -> Call:
        """A call with its body, and the service that it is for."""
        call = Call(**call_fields(request, entry), service=_service(request.path))
        try:
            call.body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            entry.note = "the body is too large"
            call.oversized = True
        # Rows are looked at in their table.
        entry.body = "" if call.service == "ingestion" else call.body[:BODY_KEPT].decode("utf-8", "replace")
        return call

    async def answer(self, _request: web.Request, call: Call, wait: Wait, /) -> Answer:
        """Answer a call, with its faults."""
        faults = self._cloud.faults
        if call.service == "entra":
            self._cloud.entra.prepare(call)
        elif call.service == "identity":
            call.operation = call.entry.target = "managed-identity"
        try:
            answer = await faults.arrival(call, wait)
            if answer is None:
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
        if call.service == "logs":
            cloud.logs.prepare(call)
            cloud.faults.handling(call)
            return cloud.logs.serve(call)
        if call.service == "ingestion":
            cloud.ingestion.prepare(call)
            cloud.faults.handling(call)
            return cloud.ingestion.serve(call)
        cloud.faults.handling(call)
        return cloud.managed_identity.serve(call) if call.service == "identity" else cloud.entra.serve(call)

    def respond(self, request: web.Request, call: Call, answer: Answer) -> web.Response:
        """Encode an answer with the headers of its service."""
        data, content_type = _encoded(answer)
        if answer.send < 1:
            data = data[: int(len(data) * answer.send)]
        response = web.Response(status=answer.status, body=data if request.method != "HEAD" else b"")
        cloud = self._cloud
        own = {
            "arm": cloud.arm.headers,
            "graph": cloud.graph.headers,
            "entra": cloud.entra.headers,
            "ingestion": cloud.ingestion.headers,
        }
        headers = own[call.service](call) if call.service in own else []
        headers += [("Strict-Transport-Security", "max-age=31536000"), ("X-Content-Type-Options", "nosniff")]
        for name, value in (*headers, *call.extra_headers, *answer.headers):
            if name in response.headers:
                del response.headers[name]
            response.headers.add(name, value)
        if content_type:
            response.headers["Content-Type"] = content_type
        return response


def _service(path: str) -> str:
    lowered = path.lower()
    if lowered == IDENTITY_PATH:
        return "identity"
    if is_graph(path):
        return "graph"
    if is_logs(path):
        return "logs"
    if is_ingestion(path):
        return "ingestion"
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
