"""The HTTP frontend: from an aiohttp request to a call, through faults, sessions and sign-in, and back."""

from __future__ import annotations

import asyncio
import base64
import binascii
from email.utils import format_datetime
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

from aiohttp import web

from local.servicenow.api import Api
from local.servicenow.control import Control
from local.servicenow.errors import ApiError, oversize
from local.servicenow.exchange import Call
from local.servicenow.faults import HIBERNATION_PATH, error_answer, hibernation_page
from local.servicenow.instance import Instance
from local.servicenow.media import JSON_TYPE
from local.servicenow.pages.site import Site
from local.servicenow.sessions import SemaphoreQueueFull, Semaphores, SessionQueueFull, Sessions
from local.servicenow.wire import SESSION_COOKIE, finish_body, response_headers
from local.servicenow.writing import new_id
from local.simulator_kit import frontend
from local.simulator_kit.calls import Answer, html
from local.simulator_kit.faults import Wait
from local.simulator_kit.frontend import call_fields
from local.simulator_kit.request_log import BODY_KEPT, RequestEntry

TOKEN_PATH = "/oauth_token.do"
#: Characters of all request headers above which the web server refuses (Tomcat's answer is HTML).
_MAX_HEADERS = 65_536


class Frontend(frontend.Frontend[Call]):
    """Answers every request of one instance."""

    #: Above this an upload is not even read.
    max_body = 256 * 1024 * 1024
    #: The simulated server refuses earlier, with its own page.
    max_line = 1024 * 1024

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, Control(instance))
        self._instance = instance
        self._api = Api(instance)
        self._site = Site(instance)
        self._sessions = Sessions()
        self._semaphores = Semaphores()

    def request_id(self) -> str:
        """32 hexadecimal digits, as every id of an instance."""
        return new_id()

    async def receive(self, request: web.Request, entry: RequestEntry) -> Call:
        """A call without its body: some refusals come before the body is read."""
        call = Call(
            **call_fields(request, entry), certificate=_certificate_subject(request), session=_session_of(request)
        )
        override = request.headers.get("X-HTTP-Method-Override", "")
        if request.method == "POST" and override:
            call.method = override.upper()
        return call

    async def answer(self, request: web.Request, call: Call, wait: Wait, /) -> Answer:
        """Answer a call, with its faults."""
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
        try:
            answer = await self._instance.faults.arrival(call, wait)
            if answer is None:
                answer = await self._serve(call, refused)
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
            limit = self.max_body
        length = request.content_length or 0
        status = int(self._instance.settings.oversize_status)
        if length > limit:
            raise oversize(length, limit, status)
        try:
            call.body = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            raise oversize(self.max_body + 1, limit, status) from error
        if len(call.body) > limit:
            raise oversize(len(call.body), limit, status)
        call.entry.body = call.body[:BODY_KEPT].decode("utf-8", "replace")

    def _sign_in(self, call: Call) -> ApiError | None:
        """Find out who calls; a refusal waits until the faults that come before sign-in were applied."""
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

    async def _serve(self, call: Call, refused: ApiError | None) -> Answer:
        if not call.path.startswith("/api/"):
            return self._page(call)
        if refused is not None:
            raise refused
        settings = self._instance.settings
        try:
            async with self._semaphores.permit(settings.semaphores, settings.semaphore_queue):
                if not call.session or not settings.cookies:
                    return await self._work(call)
                async with self._sessions.turn(call.session, settings.session_queue):
                    return await self._work(call)
        except SessionQueueFull:
            call.entry.note = "the session's queue is full"
            return Answer(202)
        except SemaphoreQueueFull:
            call.entry.note = "the semaphore's queue is full"
            return Answer(429)

    async def _work(self, call: Call) -> Answer:
        seconds = self._instance.settings.latency_ms / 1000 + self._api.seconds(call)
        if seconds > 0:
            await asyncio.sleep(seconds)
        return self._api.serve(call)

    def _page(self, call: Call) -> Answer:
        """Addresses outside the REST API."""
        if call.path == TOKEN_PATH:
            return self._instance.oauth.token(call)
        if call.path == "/oauth_revoke_token.do":
            return self._instance.oauth.revoke(call)
        if call.path == HIBERNATION_PATH:
            return hibernation_page()
        return self._site.answer(call)

    def respond(self, request: web.Request, call: Call, answer: Answer) -> web.Response:
        """Encode an answer with the headers of an instance."""
        settings = self._instance.settings
        data, body_headers = finish_body(call, answer, settings)
        headers = response_headers(call, answer, settings) + body_headers
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
