"""Asks handlers as the Functions app does, without the host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.core.http import Handler, Request, Response
from shared.web.answers import respond


async def ask(
    handler: Handler,
    body: object = None,
    *,
    method: str = "POST",
    query: Mapping[str, str] | None = None,
    content_type: str = "application/json",
    **path: str,
) -> Response:
    """Call a handler with a body (bytes, or a value that is sent as JSON) or a query; errors come back as problems."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await respond(handler, Request(method, path, query or {}, {"content-type": content_type}, sent))
    assert json.loads(json.dumps(response.body)) == response.body, "what is answered is JSON"
    return response


async def get(handler: Handler, **query: str) -> dict[str, Any]:
    """The body of a GET that is answered 200."""
    response = await respond(handler, Request("GET", {}, query))
    assert response.status == 200, response.body
    return dict(response.body)
