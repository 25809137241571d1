"""The HTTP client of one instance: one attempt per call, within a limit of calls in flight and a limit of time.

Only a call answered with 401 is repeated, once and after the credentials were renewed: a 401 proves that nothing was
done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from typing import Any, overload
from urllib.parse import urlencode

import httpx

from connectors.servicenow.answers import call_report, interpret
from connectors.servicenow.auth import CredentialSecrets, Redactor, RequestAuth, Secret, credential
from connectors.servicenow.auth.advice import refused_credentials
from connectors.servicenow.auth.credentials import TokenEndpoint
from connectors.servicenow.auth.oauth import OAuthCredential
from connectors.servicenow.batch import BatchReply, batch_call, batch_report, read_batch
from connectors.servicenow.failures import BROKEN, failure, is_unsent, unanswered
from connectors.servicenow.pool import ConnectionPool
from connectors.servicenow.settings import ServiceNowSettings
from connectors.servicenow.tls import no_trust, present, server_trust
from connectors.servicenow.wire import Purpose, ServiceNowReply, WireCall, http_date
from shared.core.errors import NotAuthorised, NotSent, SecretUnavailable, TicketSystemError
from shared.core.rate_gate import CallReport, RateGate, SystemCondition, UnlimitedGate, spend
from shared.core.secrets import SecretSource
from shared.core.tokens import TokenStore
from shared.core.version import VERSION
from shared.platform.guarded_transport import GuardedTransport

_TOKEN_CALL = WireCall("POST", "/oauth_token.do", Purpose.RECORD)
_REVOKE_CALL = WireCall("GET", "/oauth_revoke_token.do", Purpose.RECORD)

#: When the operation under way must end (monotonic clock of the loop).
_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)


class ResponseFacts:
    """Facts of the latest answers: ``skew`` (instance's clock less ours, seconds) and the rate limit headers."""

    def __init__(self) -> None:
        self.skew: float | None = None
        self.rate_limit: dict[str, str] = {}

    def update(self, reply: ServiceNowReply) -> None:
        """Take the facts of a reply."""
        sent = http_date(reply.headers.get("date", ""))
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
        transport: used instead of the network; the settings about TLS have no effect then.
        gate: lets requests out; without one only ``max_in_flight`` counts.
        tokens: where workers share tokens.

    Raises ConfigurationError when ``ca_bundle`` cannot be used.
    """

    def __init__(
        self,
        connection: str,
        settings: ServiceNowSettings,
        secrets: SecretSource,
        transport: httpx.AsyncBaseTransport | None = None,
        gate: RateGate | None = None,
        tokens: TokenStore | None = None,
    ) -> None:
        self.connection = connection
        self.response_facts = ResponseFacts()
        self._settings = settings
        self._transport = transport
        if transport is None and settings.ca_bundle is not None:
            server_trust(
                connection, settings.ca_bundle
            )  # so that a wrong path shows at the start, not at the first alert
        self._redactor = Redactor()
        self.secrets = CredentialSecrets(secrets, self._redactor, connection)
        self._credential = credential(settings.auth, self.secrets, tokens)
        self._gate = gate or UnlimitedGate(settings.max_in_flight)
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
    async def within_deadline(self, what: str) -> AsyncIterator[None]:
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
        return self.interpret(call, await self._send_authenticated(call))

    async def call_together(self, make: Callable[[], Sequence[WireCall]]) -> BatchReply | None:
        """Make calls in one request of the Batch API; the answers, which :meth:`interpret` judges one by one. One call
        is made as it is.

        ``make`` gives the calls when the request may leave: those that are wanted by then. None where it gives none:
        then nothing was sent.

        Raises what :meth:`call` raises before an answer is judged.
        """

        alone = False

        def batch() -> WireCall | None:
            nonlocal alone
            calls = make()
            alone = len(calls) == 1
            return calls[0] if alone else batch_call(calls) if calls else None

        reply = await self._send_authenticated(batch, shared=True)
        if reply is None or not alone:
            return None if reply is None else read_batch(reply)
        return BatchReply(reply, {0: reply}, frozenset())

    async def call_with_total(self, call: WireCall) -> tuple[list[Mapping[str, Any]], int | None]:
        """Make a call that lists rows. Returns the rows, and how many rows match the query, visible or not.

        The number is that of the header X-Total-Count (before access rules hide rows); None when there is none.
        Raises what :meth:`call` raises.
        """
        reply = await self._send_authenticated(call)
        total = reply.headers.get("x-total-count", "").strip()
        return self.interpret(call, reply), int(total) if total.isdecimal() else None

    def redact(self, text: str) -> str:
        """A text of the instance without secrets."""
        return self._redactor.clean(text)

    async def log_in(self) -> None:
        """Read the secrets, and fetch a token where the credential needs one.

        Raises SecretUnavailable, NotAuthorised, NotSent, Unavailable, Throttled.
        """
        async with self.within_deadline("logging in"), self._gate.slot():
            await self._credential.authenticate(_Endpoint(self))

    @property
    def oauth(self) -> OAuthCredential | None:
        """The credential, where it exchanges secrets for tokens."""
        return self._credential.oauth

    @asynccontextmanager
    async def token_endpoint(self) -> AsyncIterator[TokenEndpoint]:
        """The token endpoint, for requests that belong to no call."""
        async with self.within_deadline("the token endpoint"), self._gate.slot():
            yield _Endpoint(self)

    async def aclose(self) -> None:
        """Close connections. A call made afterwards opens new ones."""
        await self._credential.aclose()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()
        await asyncio.gather(*self._closing)

    @overload
    async def _send_authenticated(self, call: WireCall) -> ServiceNowReply: ...

    @overload
    async def _send_authenticated(
        self, call: Callable[[], WireCall | None], *, shared: bool
    ) -> ServiceNowReply | None: ...

    async def _send_authenticated(
        self, call: WireCall | Callable[[], WireCall | None], *, shared: bool = False
    ) -> ServiceNowReply | None:
        """Send a call; once more with fresh credentials when they were refused.

        ``shared``: it is for several deliveries, and is made when it may leave; None for none.
        """
        answered = await self._attempt(call, shared)
        if answered is None:
            return None
        sent, reply, auth = answered
        if reply.status == 401:
            await self._renew(sent, auth, reply)
            again = await self._attempt(sent, shared)
            return None if again is None else again[1]
        return reply

    def interpret(self, call: WireCall, reply: ServiceNowReply) -> Any:
        """The result of a reply, also of one that came inside another. Raises what :meth:`call` raises."""
        try:
            return interpret(
                call, reply, connection=self.connection, redact=self._redactor.clean, now=datetime.now(UTC)
            )
        except NotAuthorised as error:
            if reply.status == 401 and "x-mfa_token" not in reply.headers:
                challenge = reply.headers.get("www-authenticate", "")
                error.advice = refused_credentials(self._settings.auth, challenge)
            raise

    def _new_deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._settings.total_timeout.total_seconds()

    async def _attempt(
        self, call: WireCall | Callable[[], WireCall | None], shared: bool
    ) -> tuple[WireCall, ServiceNowReply, RequestAuth] | None:
        """Send once, if there is time left. None where a call that is made at the last moment is wanted no more."""
        deadline = _DEADLINE.get() or self._new_deadline()
        sent: WireCall | None = None
        if asyncio.get_running_loop().time() < deadline:
            try:
                async with asyncio.timeout_at(deadline), self._gate.slot(shared=shared):
                    auth = await self._authenticate()
                    pool = self._pool_for(auth)
                    permits = await self._permits(call.weight if isinstance(call, WireCall) else 1)
                    sent = call if isinstance(call, WireCall) else call()
                    if sent is None:
                        self._return(permits)
                        return None
                    request = partial(_request, pool, sent, auth)
                    reply = await self._send(pool, request, sent, permits, shared=shared)
                    return sent, reply, auth
            except TimeoutError:
                pass
        if sent is not None:
            raise unanswered(sent, "no answer within total_timeout", self.connection)
        raise NotSent(
            f"{call if isinstance(call, WireCall) else 'a batch'} was not sent: its turn did not come within "
            "total_timeout",
            connection=self.connection,
            advice="Earlier calls take too long: look at the instance.",
        )

    async def _permits(self, count: int) -> list[object]:
        """So many permits of the gate, or none. Raises what the gate raises."""
        permits: list[object] = []
        try:
            while len(permits) < count:
                permits.append(await self._gate.acquire())
        except BaseException:
            self._return(permits)
            raise
        return permits

    def _return(self, permits: Sequence[object]) -> None:
        """Permits with which nothing was sent."""
        for permit in permits:
            self._gate.report(permit, CallReport(SystemCondition.UNKNOWN, left=False))

    async def _authenticate(self) -> RequestAuth:
        try:
            return await self._credential.authenticate(_Endpoint(self))
        except SecretUnavailable as error:
            raise NotSent(f"no credentials: {error}", connection=self.connection) from error

    async def _renew(self, call: WireCall, refused: RequestAuth, reply: ServiceNowReply) -> None:
        """Renew the credentials after a 401."""
        try:
            async with self.within_deadline("renewing the credentials"), self._gate.slot():
                await self._credential.renew(refused, _Endpoint(self))
        except SecretUnavailable as error:
            try:
                self.interpret(call, reply)
            except NotAuthorised as first:
                first.advice = f"{first.advice} The secret could not be read again: {error}."
                raise

    def _pool_for(self, auth: RequestAuth | None) -> ConnectionPool:
        """The connections that present the client certificate of ``auth``. Those with an earlier certificate are closed
        when their last request has ended."""
        certificate = auth.certificate if auth is not None and self._transport is None else None
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
        permits: Sequence[object],
        *,
        logged: bool = True,
        shared: bool = False,
    ) -> ServiceNowReply:
        """Send a request, count it, and report to the gate that let it out what became of it.

        It is made by ``make`` at the last moment, and our errors do not refer to those of the library: a tool that
        prints the local variables of a traceback finds no request in it, and thus no secret.
        """
        error_of_call: TicketSystemError | None = None
        left = True
        report = CallReport(SystemCondition.UNKNOWN)
        try:
            reply = await pool.send(make(), logged=logged)
            report = (batch_report if shared else call_report)(reply, datetime.now(UTC))
        except BROKEN as error:
            left = not is_unsent(error)
            report = CallReport(SystemCondition.UNAVAILABLE, left=left)
            error_of_call = failure(call, error, self.connection, certified=pool.certificate is not None)
        finally:
            if left:
                spend()
            for permit in permits:
                self._gate.report(permit, report)
        if error_of_call is not None:
            raise error_of_call
        self.response_facts.update(reply)
        return reply


class _Endpoint:
    """Sends the requests of OAuth, inside the slot of the call that needs a token."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def token(self, form: Mapping[str, str]) -> ServiceNowReply:
        """POST a form to the token endpoint, which does not accept JSON."""
        client = self._client
        pool = client._pool_for(None)
        permit = await client._gate.acquire()
        return await client._send(pool, lambda: _form_request(pool, form), _TOKEN_CALL, [permit])

    async def revoke(self, token: str) -> ServiceNowReply:
        """Revoke a token. ServiceNow takes it in the URL, so the URL is not logged."""
        client = self._client
        pool = client._pool_for(None)
        hidden = Secret(token)
        permit = await client._gate.acquire()
        return await client._send(pool, lambda: _revoke_request(pool, hidden), _REVOKE_CALL, [permit], logged=False)


def _request(pool: ConnectionPool, call: WireCall, auth: RequestAuth) -> httpx.Request:
    headers = dict(auth.headers)
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
