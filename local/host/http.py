"""HTTP triggers, the admin endpoint and the page at /.

Azure's host answers 404 both for an unknown route and for a method that the route does not have, 401 without a body
for a missing or wrong key, and 500 without a body when a function fails. Sources: Microsoft Learn, "HTTP trigger",
"App settings reference" (FUNCTIONS_REQUEST_BODY_SIZE_LIMIT) and "Manually run a non HTTP-triggered function".
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import azure.functions as func
from aiohttp import web
from azure.functions.http import HttpRequest
from multidict import CIMultiDict

from local.host.bindings import Function, HttpTrigger
from local.host.context import TraceContext
from local.host.errors import HostError, InvocationFailed, OutputFailed
from local.host.host_json import HttpOptions
from local.host.invoke import Invoker
from local.host.keys import Keys
from local.host.routes import Router

_logger = logging.getLogger("local.host")
_ADMIN = "/admin/functions/"
_PAGE = "Your function app is running on the local host of Azure ITSM Bridge.\n"
_DEFAULT_BODY_LIMIT = 104_857_600
_ENCODED_SLASH = re.compile("%2F", re.IGNORECASE)


class HttpFrontend:
    """Answers requests. ``handle`` is an aiohttp low-level server's handler."""

    def __init__(
        self,
        router: Router,
        invoker: Invoker,
        keys: Keys,
        options: HttpOptions,
        run_now: Callable[[str, str], None],
    ) -> None:
        """
        Args:
            run_now: starts the timer or queue function of that name with an input and returns; raises KeyError for
                an unknown name and ValueError for an HTTP function.
        """
        self._router = router
        self._invoker = invoker
        self._keys = keys
        self._run_now = run_now
        self._headers = options.custom_headers
        self._slots = asyncio.Semaphore(options.max_concurrent) if options.max_concurrent > 0 else None
        self._max_outstanding = options.max_outstanding
        self._outstanding = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; never raises for what a caller or a function did."""
        path = _path(request)
        if path.startswith("/admin/"):
            response = await self._admin(request, path)
        elif (found := self._router.find(request.method, path)) is not None:
            response = await self._function(request, *found)
        elif path == "/" and request.method in ("GET", "HEAD"):
            response = web.Response(text=_PAGE)
        else:
            response = web.Response(status=404)
        for name, value in self._headers:
            response.headers[name] = value
        return response

    async def _function(self, request: web.BaseRequest, function: Function, values: dict[str, str]) -> web.Response:
        assert isinstance(function.trigger, HttpTrigger)
        query = _query(request)
        if not self._keys.open(function.trigger.level, _given_key(request, query)):
            return web.Response(status=401)
        if 0 <= self._max_outstanding <= self._outstanding:
            return web.Response(status=429)
        self._outstanding += 1
        try:
            if self._slots is None:
                return await self._invoke(request, function, values, query)
            async with self._slots:
                return await self._invoke(request, function, values, query)
        finally:
            self._outstanding -= 1

    async def _invoke(
        self, request: web.BaseRequest, function: Function, values: dict[str, str], query: dict[str, str]
    ) -> web.Response:
        try:
            body = await read_body(request)
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        headers = _headers(request)
        incoming = HttpRequest(
            request.method,
            f"{request.scheme}://{request.headers.get('Host', 'localhost')}{request.raw_path}",
            headers=headers,
            params=query,
            route_params=values,
            body_type="bytes",
            body=body,
        )
        trace = TraceContext(headers.get("traceparent", ""), headers.get("tracestate", ""))
        try:
            result = await self._invoker.call(function, incoming, trace)
        except (InvocationFailed, OutputFailed):
            return web.Response(status=500)
        return _response(result, function.name)

    async def _admin(self, request: web.BaseRequest, path: str) -> web.Response:
        if not self._keys.open("admin", _given_key(request, _query(request))):
            return web.Response(status=401)
        if request.method != "POST" or not path.startswith(_ADMIN):
            return web.Response(status=404)
        try:
            content = json.loads(await read_body(request) or b"{}")
            given = content.get("input", "") if isinstance(content, dict) else None
            if not isinstance(given, str):
                raise ValueError('the body has to be {"input": "text"}')
            self._run_now(path.removeprefix(_ADMIN), given)
        except KeyError:
            return web.Response(status=404)
        except (ValueError, RecursionError) as error:
            return web.Response(status=400, text=str(error))
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        return web.Response(status=202)


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body. Raises HTTPRequestEntityTooLarge above the limit, as early as that can be known."""
    length = request.content_length
    if length is not None and length > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await request.read()


def body_limit(settings: Mapping[str, str]) -> int:
    """Bytes that a request body may have: setting FUNCTIONS_REQUEST_BODY_SIZE_LIMIT, else 100 MiB. Raises HostError."""
    text = settings.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "")
    if text and not (text.isdigit() and int(text) > 0):
        raise HostError(f"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT has to be a number of bytes, not {text!r}")
    return int(text) if text else _DEFAULT_BODY_LIMIT


def _path(request: web.BaseRequest) -> str:
    """The decoded path, but an encoded slash stays encoded and so within its segment, as in ASP.NET."""
    raw = request.rel_url.raw_path
    return unquote(_ENCODED_SLASH.sub("%252F", raw)) if "%" in raw else raw


def _given_key(request: web.BaseRequest, query: Mapping[str, str]) -> str:
    return request.headers.get("x-functions-key") or query.get("code", "")


def _query(request: web.BaseRequest) -> dict[str, str]:
    """Query values by name: those of a repeated name are joined by commas and empty ones are left out, as in Azure."""
    return (
        {name: value for name, value in _joined(request.query.items()).items() if value} if request.query_string else {}
    )


def _headers(request: web.BaseRequest) -> dict[str, str]:
    """Headers by name in lower case; those of a repeated name are joined by commas, as in Azure."""
    return _joined((name.lower(), value) for name, value in request.headers.items())


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    result: dict[str, str] = {}
    for name, value in pairs:
        result[name] = f"{result[name]},{value}" if name in result else value
    return result


def _response(result: Any, name: str) -> web.Response:
    """The HTTP response for what the function returned: HttpResponse or text; anything else is its failure."""
    if isinstance(result, str):
        return web.Response(text=result)
    if not isinstance(result, func.HttpResponse):
        kind = type(result).__name__
        _logger.error("function %s: an HTTP function has to return HttpResponse or text, not %s", name, kind)
        return web.Response(status=500)
    headers = CIMultiDict(result.headers.items())
    if "Content-Type" not in headers:
        text = result.mimetype.startswith("text/")
        headers["Content-Type"] = f"{result.mimetype}; charset={result.charset}" if text else result.mimetype
    return web.Response(status=result.status_code, headers=headers, body=result.get_body())
