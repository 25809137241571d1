"""The HTTP side: one attempt per call, inside a limit of calls in flight and a limit of time.

What is tried again here is only what proves that nothing was done: a call answered with 401 is repeated once, after
the credentials were renewed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import httpx

from connectors.servicenow.answers import interpret
from connectors.servicenow.auth import Proof, Vault, credential
from connectors.servicenow.failures import BROKEN, failure, is_unsent, unanswered
from connectors.servicenow.observations import reported
from connectors.servicenow.pool import ConnectionPool
from connectors.servicenow.secrecy import Redactor, Secret
from connectors.servicenow.settings import ServiceNowSettings
from connectors.servicenow.throttle import moment
from connectors.servicenow.tls import no_trust, present, server_trust
from connectors.servicenow.wire import Purpose, ServiceNowReply, WireCall
from shared.core.call_counter import spend
from shared.core.errors import NotAuthorised, NotSent, SecretUnavailable, TicketSystemError
from shared.core.rate_gate import CallReport, RateGate, SystemCondition, UnlimitedGate
from shared.core.secrets import SecretSource
from shared.core.version import VERSION
from shared.platform.guarded_transport import GuardedTransport

_TOKEN_CALL = WireCall("POST", "/oauth_token.do", Purpose.RECORD)
_REVOKE_CALL = WireCall("GET", "/oauth_revoke_token.do", Purpose.RECORD)

#: When the operation under way must end (monotonic clock of the loop).
_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)


class Calls:
    """Counts HTTP requests that left: API calls ``by_method``, and requests for tokens."""

    def __init__(self) -> None:
        self.by_method: Counter[str] = Counter()
        self.tokens = 0

    @property
    def total(self) -> int:
        """All API calls. The instance's rate limits do not count requests for tokens, and neither does this."""
        return self.by_method.total()


class Observed:
    """What answers tell beside their result: ``skew`` (instance's clock less ours, seconds) and rate limit headers."""

    def __init__(self) -> None:
        self.skew: float | None = None
        self.rate_limit: dict[str, str] = {}

    def note(self, reply: ServiceNowReply) -> None:
        """Take over what a reply tells."""
        sent = moment(reply.headers.get("date", ""))
        if sent is not None:
            self.skew = (sent - datetime.now(UTC)).total_seconds()
        limits = {name: value for name, value in reply.headers.items() if name.startswith("x-ratelimit-")}
        if limits:
            self.rate_limit = limits


class Client:
    """Makes REST calls to one instance.

    Args:
        connection: name for errors.
        settings: of the connection.
        secrets: where secrets come from.
        transport: instead of the network; then the settings about TLS are its own business.
        turnstile: lets requests out; without one only ``max_in_flight`` counts.

    Raises ConfigurationError when ``ca_bundle`` cannot be used.
    """

    def __init__(
        self,
        connection: str,
        settings: ServiceNowSettings,
        secrets: SecretSource,
        transport: httpx.AsyncBaseTransport | None = None,
        turnstile: RateGate | None = None,
    ) -> None:
        self.connection = connection
        self.calls = Calls()
        self.observed = Observed()
        self._settings = settings
        self._transport = transport
        if transport is None and settings.ca_bundle is not None:
            server_trust(connection, settings.ca_bundle)  # a wrong path shall show at once, not at the first alert
        self._redactor = Redactor()
        self._credential = credential(settings.auth, Vault(secrets, self._redactor, connection))
        self._turnstile = turnstile or UnlimitedGate(settings.max_in_flight)
        self._pool: ConnectionPool | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Everything inside shares one ``total_timeout``."""
        if _DEADLINE.get() is not None:
            yield
            return
        token = _DEADLINE.set(self._new_deadline())
        try:
            yield
        finally:
            _DEADLINE.reset(token)

    @asynccontextmanager
    async def in_time(self, what: str) -> AsyncIterator[None]:
        """Bound a wait that is no call by the operation's deadline. Raises NotSent when it passes."""
        try:
            async with asyncio.timeout_at(_DEADLINE.get() or self._new_deadline()):
                yield
        except TimeoutError:
            raise NotSent(
                f"no time was left for {what}",
                connection=self.connection,
                advice="Earlier calls take too long: look at the instance.",
            ) from None

    async def call(self, call: WireCall) -> Any:
        """Make a call and return its result, see ``answers.interpret``.

        Raises NotSent, OutcomeUnknown, Throttled, Unavailable, NotAuthorised, Refused, TicketMissing, DuplicateKey.
        """
        return self._interpret(call, await self._answered(call))

    async def listed(self, call: WireCall) -> tuple[list[Mapping[str, Any]], int | None]:
        """Make a call that lists rows. Returns the rows, and how many rows match the query, seen or not.

        The number is that of the header X-Total-Count (before access rules hide rows); None when there is none.
        Raises what :meth:`call` raises.
        """
        reply = await self._answered(call)
        total = reply.headers.get("x-total-count", "").strip()
        return self._interpret(call, reply), int(total) if total.isdecimal() else None

    async def log_in(self) -> None:
        """Read the secrets, and fetch a token where the way to log in needs one.

        Raises SecretUnavailable, NotAuthorised, NotSent, Unavailable, Throttled.
        """
        async with self.in_time("logging in"), self._turnstile.slot():
            await self._credential.proof(_Exchange(self))

    async def revoke(self) -> None:
        """Revoke the OAuth tokens at hand; the next call logs in anew. Nothing for other ways to log in."""
        async with self.in_time("revoking tokens"), self._turnstile.slot():
            await self._credential.revoke(_Exchange(self))

    async def aclose(self) -> None:
        """Close connections. A call made afterwards opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()
        await asyncio.gather(*self._closing)

    async def _answered(self, call: WireCall) -> ServiceNowReply:
        """Send a call; once more with fresh credentials when they were refused."""
        reply, proof = await self._attempt(call)
        if reply.status == 401:
            await self._renew(call, proof, reply)
            reply, _ = await self._attempt(call)
        return reply

    def _interpret(self, call: WireCall, reply: ServiceNowReply) -> Any:
        return interpret(call, reply, connection=self.connection, redact=self._redactor.clean, now=datetime.now(UTC))

    def _new_deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._settings.total_timeout.total_seconds()

    async def _attempt(self, call: WireCall) -> tuple[ServiceNowReply, Proof]:
        """Send once, if there is time left."""
        deadline = _DEADLINE.get() or self._new_deadline()
        sent = False
        if asyncio.get_running_loop().time() < deadline:
            try:
                async with asyncio.timeout_at(deadline), self._turnstile.slot():
                    proof = await self._proof()
                    pool = self._pool_for(proof)
                    permit = await self._turnstile.acquire()
                    sent = True
                    reply = await self._send(pool, lambda: _request(pool, call, proof), call, permit)
                    return reply, proof
            except TimeoutError:
                pass
        if sent:
            raise unanswered(call, "no answer within total_timeout", self.connection)
        raise NotSent(
            f"{call} was not sent: its turn did not come within total_timeout",
            connection=self.connection,
            advice="Earlier calls take too long: look at the instance.",
        )

    async def _proof(self) -> Proof:
        try:
            return await self._credential.proof(_Exchange(self))
        except SecretUnavailable as error:
            raise NotSent(f"no credentials: {error}", connection=self.connection) from error

    async def _renew(self, call: WireCall, refused: Proof, reply: ServiceNowReply) -> None:
        """Renew the credentials after a 401."""
        try:
            async with self.in_time("renewing the credentials"), self._turnstile.slot():
                await self._credential.renew(refused, _Exchange(self))
        except SecretUnavailable as error:
            try:
                self._interpret(call, reply)
            except NotAuthorised as first:
                first.advice = f"{first.advice} The secret could not be read again: {error}."
                raise

    def _pool_for(self, proof: Proof | None) -> ConnectionPool:
        """The connections that show the proof's certificate. Those of an earlier certificate end with their work."""
        certificate = proof.certificate if proof is not None and self._transport is None else None
        if self._pool is None or self._pool.certificate != certificate:
            fresh = self._new_pool(certificate)
            if self._pool is not None:
                task = asyncio.ensure_future(self._pool.retire())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            self._pool = fresh
        return self._pool

    def _new_pool(self, certificate: tuple[str, str] | None) -> ConnectionPool:
        connect, read = (
            value.total_seconds() for value in (self._settings.connect_timeout, self._settings.read_timeout)
        )
        transport = self._transport
        if transport is None:
            secure = self._settings.url.startswith("https:")
            context = server_trust(self.connection, self._settings.ca_bundle) if secure else no_trust()
            if certificate is not None:
                present(context, certificate, self.connection)
            most = self._settings.max_in_flight
            limits = httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=5.0)
            transport = httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False)
        return ConnectionPool(
            self._settings.url,
            GuardedTransport(self._settings.url, transport, allow_private=self._settings.allow_private_addresses),
            timeout=httpx.Timeout(connect=connect, read=read, write=read, pool=connect),
            headers={"User-Agent": f"azure-itsm-bridge/{VERSION}", "Accept": "application/json"},
            certificate=certificate,
        )

    async def _send(
        self,
        pool: ConnectionPool,
        make: Callable[[], httpx.Request],
        call: WireCall,
        permit: object,
        *,
        logged: bool = True,
    ) -> ServiceNowReply:
        """Send a request, count it, and report to the gate that let it out what became of it.

        It is made by ``make`` at the last moment, and our errors leave the library's own behind: what prints the
        local variables of a traceback finds no request in it, and thus no secret.
        """
        broken: TicketSystemError | None = None
        left = True
        report = CallReport(SystemCondition.UNKNOWN)
        try:
            reply = await pool.send(make(), logged=logged)
            report = reported(reply, datetime.now(UTC))
        except BROKEN as error:
            left = not is_unsent(error)
            report = CallReport(SystemCondition.UNAVAILABLE, left=left)
            broken = failure(call, error, self.connection, certified=pool.certificate is not None)
        finally:
            if left:
                self._count(call)
            self._turnstile.report(permit, report)
        if broken is not None:
            raise broken
        self.observed.note(reply)
        return reply

    def _count(self, call: WireCall) -> None:
        spend()
        if call in (_TOKEN_CALL, _REVOKE_CALL):
            self.calls.tokens += 1
        else:
            self.calls.by_method[call.method] += 1


class _Exchange:
    """How credentials reach the instance: inside the slot of the call that needs them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def token(self, form: Mapping[str, str]) -> ServiceNowReply:
        """POST to the token endpoint. JSON is not understood there."""
        client = self._client
        pool = client._pool_for(None)
        permit = await client._turnstile.acquire()
        return await client._send(pool, lambda: _form_request(pool, form), _TOKEN_CALL, permit)

    async def revoke(self, token: str) -> ServiceNowReply:
        """The token stands in the URL, as ServiceNow wants it; so the URL goes into no log."""
        client = self._client
        pool = client._pool_for(None)
        hidden = Secret(token)
        permit = await client._turnstile.acquire()
        return await client._send(pool, lambda: _revoke_request(pool, hidden), _REVOKE_CALL, permit, logged=False)


def _request(pool: ConnectionPool, call: WireCall, proof: Proof) -> httpx.Request:
    headers = dict(proof.headers)
    content = None
    if call.body is not None:
        headers["Content-Type"] = "application/json"
        content = json.dumps(call.body, ensure_ascii=False, allow_nan=False).encode()
    return pool.request(call.method, call.path, params=dict(call.params), content=content, headers=headers)


def _form_request(pool: ConnectionPool, form: Mapping[str, str]) -> httpx.Request:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return pool.request("POST", _TOKEN_CALL.path, content=urlencode(form).encode(), headers=headers)


def _revoke_request(pool: ConnectionPool, token: Secret) -> httpx.Request:
    return pool.request("GET", _REVOKE_CALL.path, params={"token": token})
