"""The HTTP front: from an aiohttp request to a call, through faults, sessions and sign-in, and back."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
from email.utils import format_datetime
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

from aiohttp import web

from local.servicenow.api import Api
from local.servicenow.control import Control
from local.servicenow.errors import ApiError, oversize
from local.servicenow.exchange import Answer, Call, html, read_params
from local.servicenow.faults import HIBERNATION_PATH, Dropped, error_answer, hibernation_page, pause
from local.servicenow.instance import Instance
from local.servicenow.media import JSON_TYPE
from local.servicenow.pages import record_page
from local.servicenow.request_log import BODY_KEPT, RequestEntry
from local.servicenow.sessions import SemaphoreQueueFull, Semaphores, SessionQueueFull, Sessions
from local.servicenow.wire import SESSION_COOKIE, finish_body, response_headers
from local.servicenow.writing import new_id

TOKEN_PATH = "/oauth_token.do"
#: Characters of all request headers above which the web server refuses (Tomcat's answer is HTML).
_MAX_HEADERS = 65_536
#: Above this an upload is not even read.
MAX_BODY = 256 * 1024 * 1024


class Front:
    """Answers every request of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._api = Api(instance)
        self._control = Control(instance)
        self._sessions = Sessions()
        self._semaphores = Semaphores()
        self.stopping = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The one handler: the control API, or a request to the instance."""
        if request.path == "/control" or request.path.startswith("/control/"):
            return await self._control.handle(request)
        entry = RequestEntry(
            id=new_id(),
            transaction_id=os.urandom(8).hex(),
            time=self._instance.clock.text(),
            method=request.method,
            path=request.path[:BODY_KEPT],
            query=request.rel_url.raw_query_string[:BODY_KEPT],
        )
        requests = self._instance.requests
        session = _session_of(request)
        requests.open(entry, cookies="Cookie" in request.headers)
        try:
            call = self._call(request, entry)
            try:
                answer = await self._answer(request, call, session)
            except Dropped:
                entry.committed = bool(call.committed)
                requests.decided(entry, None)
                return _drop(request)
            entry.committed = bool(call.committed)
            requests.decided(entry, answer.status)
            return self._response(request, call, answer, session)
        finally:
            requests.close()

    def _call(self, request: web.Request, entry: RequestEntry) -> Call:
        method = request.method
        if method == "HEAD":
            method = "GET"
        override = request.headers.get("X-HTTP-Method-Override", "")
        if method == "POST" and override:
            method = override.upper()
        return Call(
            method=method,
            path=request.path,
            query=request.rel_url.raw_query_string,
            headers=request.headers,
            body=b"",
            base_url=f"{request.scheme}://{request.host}",
            entry=entry,
            certificate=_certificate_subject(request),
            params=read_params(request.rel_url.raw_query_string),
        )

    async def _answer(self, request: web.Request, call: Call, session: str) -> Answer:
        refusal = self._too_long(request)
        if refusal is not None:
            return refusal
        try:
            await self._read_body(request, call)
        except ApiError as error:
            return error_answer(error)
        self._instance.run_due_jobs()
        self._api.locate(call)
        refused = self._sign_in(call)

        async def wait(seconds: float) -> bool:
            return await pause(seconds, lambda: _gone(request), self.stopping)

        try:
            answer = await self._instance.faults.arrival(call, wait)
            if answer is None:
                answer = await self._serve(call, session, refused)
        except ApiError as error:
            answer = error_answer(error)
        return await self._instance.faults.after(call, answer, wait)

    def _too_long(self, request: web.Request) -> Answer | None:
        """The web server's own refusals come before anything else, and are HTML."""
        settings = self._instance.settings
        headers = sum(len(name) + len(value) for name, value in request.headers.items())
        if len(request.raw_path) > settings.max_url or headers > _MAX_HEADERS:
            return html(400, "HTTP Status 400 - Bad Request", "Request header is too large")
        if len(request.raw_path.partition("?")[0]) > settings.max_path:
            return html(400, "HTTP Status 400 - Bad Request", "The requested address is too long")
        return None

    async def _read_body(self, request: web.Request, call: Call) -> None:
        properties = self._instance.properties
        limit = properties.number("glide.rest.max_content_length", 10_485_760)
        if "/attachment" in call.path:
            limit = MAX_BODY
        length = request.content_length or 0
        status = int(self._instance.settings.oversize_status)
        if length > limit:
            raise oversize(length, limit, status)
        try:
            call.body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise oversize(MAX_BODY + 1, limit, status) from error
        if len(call.body) > limit:
            raise oversize(len(call.body), limit, status)
        call.entry.body = call.body[:BODY_KEPT].decode("utf-8", "replace")

    def _sign_in(self, call: Call) -> ApiError | None:
        """Find out who calls; a refusal is kept until faults that come before sign-in had their turn."""
        if call.path == TOKEN_PATH:
            call.entry.user = _claimed_user(call)
            return None
        try:
            call.identity = self._instance.authentication.sign_in(call)
        except ApiError as error:
            call.entry.user = _claimed_user(call)
            return error
        call.entry.user = call.identity.user_name
        return None

    async def _serve(self, call: Call, session: str, refused: ApiError | None) -> Answer:
        if not call.path.startswith("/api/"):
            return self._page(call)
        if refused is not None:
            raise refused
        settings = self._instance.settings
        try:
            async with self._semaphores.permit(settings.semaphores, settings.semaphore_queue):
                if not session or not settings.cookies:
                    return await self._work(call)
                async with self._sessions.turn(session, settings.session_queue):
                    return await self._work(call)
        except SessionQueueFull:
            call.entry.note = "the session's queue is full"
            return Answer(202)
        except SemaphoreQueueFull:
            call.entry.note = "the semaphore's queue is full"
            return Answer(429)

    async def _work(self, call: Call) -> Answer:
        latency = self._instance.settings.latency_ms
        if latency > 0:
            await asyncio.sleep(latency / 1000)
        return self._api.serve(call)

    def _page(self, call: Call) -> Answer:
        """Addresses outside the REST API."""
        if call.path == TOKEN_PATH:
            return self._instance.oauth.token(call)
        if call.path == "/oauth_auth.do":
            return self._instance.oauth.authorise(call)
        if call.path == "/oauth_revoke_token.do":
            return self._instance.oauth.revoke(call)
        if call.path == HIBERNATION_PATH:
            return hibernation_page()
        not_found = html(404, "Page not found", "The page you are looking for could not be found.")
        return record_page(self._instance, call) or not_found

    def _response(self, request: web.Request, call: Call, answer: Answer, session: str) -> web.Response:
        settings = self._instance.settings
        data, body_headers = finish_body(call, answer, settings)
        headers = response_headers(call, answer, settings, session) + body_headers
        response = web.Response(status=answer.status, body=data if request.method != "HEAD" else b"")
        for name, value in headers:
            response.headers.add(name, value)
        response.headers["Date"] = format_datetime(self._instance.clock.now(), usegmt=True)
        if not body_headers and answer.status != 204:
            response.headers["Content-Type"] = JSON_TYPE
        if data and request.method != "HEAD" and request.version >= (1, 1):
            response.enable_chunked_encoding()
        return response


def _session_of(request: web.Request) -> str:
    header = request.headers.get("Cookie")
    if not header:
        return ""
    try:
        morsel = SimpleCookie(header).get(SESSION_COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _certificate_subject(request: web.Request) -> str:
    """Common name of the client certificate that TLS verified, empty without one."""
    if request.transport is None:
        return ""
    certificate = request.transport.get_extra_info("peercert")
    for parts in certificate.get("subject", ()) if certificate else ():
        for name, value in parts:
            if name == "commonName":
                return str(value)
    return ""


def _claimed_user(call: Call) -> str | None:
    """User name of refused basic credentials or of a token request, for log and scenarios."""
    if call.path == TOKEN_PATH:
        return dict(parse_qsl(call.body.decode("utf-8", "replace"))).get("username")
    scheme, _, credentials = call.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials).decode("utf-8", "replace").partition(":")[0] or None
    except (binascii.Error, ValueError):
        return None


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _drop(request: web.Request) -> web.StreamResponse:
    """Cut the connection; the response is never sent, the server needs one to return."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
