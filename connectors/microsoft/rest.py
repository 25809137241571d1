"""Calls to one of Microsoft's REST services: one host, a token of Microsoft Entra, JSON, errors that say what to do.

Sources: Microsoft Learn, "Azure REST API reference" (requests, errors) and "Microsoft Graph error responses", which
have the same error object; "Understand how Azure Resource Manager throttles requests" and "Microsoft Graph throttling
guidance" (429 with Retry-After).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

import httpx

from connectors.microsoft.claims import Claims, read_claims
from connectors.microsoft.pace import Sleep
from shared.core.errors import SourceError, SourceRefused, SourceUnavailable
from shared.core.signal import read_json_text
from shared.core.version import VERSION
from shared.platform.guarded_transport import GuardedTransport

if TYPE_CHECKING:
    import ssl

    from azure.core.credentials_async import AsyncTokenCredential

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service is, and the scope that its tokens are asked for."""

    url: str
    scope: str


@dataclass(frozen=True, slots=True)
class RestReply:
    """An answer that was good: its status, its JSON (an empty object where it had none), its headers."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]


#: Answers that a repeated request may mend. 409 and 404 are for good.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_MOST_TRIES = 3

#: Nobody waits longer within one call; whoever called comes back later.
_LONGEST_WAIT = 60.0

_TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=10.0, pool=10.0)


class RestClient:
    """Requests to one service. ``calls`` counts those that left.

    All requests of ours may be repeated: they read, set a state, or put and delete what bears a name of our choice.

    Args:
        name: of the service, for messages.
        credential: gives tokens; closed by whoever made it.
        endpoint: of the service.
        fixes: what to do about an answer, by its status, on top of what is common to all services.
        trust: certificate authorities, the public ones when None.
        transport: takes the place of the network.
        sleep: waits so many seconds.
        largest: bytes of an answer that is read; one that is larger is refused. None: no bound.
    """

    def __init__(
        self,
        name: str,
        credential: AsyncTokenCredential,
        endpoint: Endpoint,
        fixes: Mapping[int, str],
        *,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        largest: int | None = None,
    ) -> None:
        self.calls = 0
        self._largest = largest
        self._name = name
        self._credential = credential
        self._endpoint = endpoint
        self._fixes = {**_FIXES, **fixes}
        self._trust = trust
        self._transport = transport
        self._sleep = sleep
        self._client: httpx.AsyncClient | None = None
        self._date = ""

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at a path below the endpoint, or at an absolute address that an answer gave (nextLink).

        What may pass is tried again, after Retry-After where that is given and short.

        Raises SourceUnavailable and SourceRefused, which has ``status`` 404 for what does not exist.
        """
        return (await self.request("GET", path, params)).body

    async def request(
        self,
        method: Method,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> RestReply:
        """Make a request; tried again and raising as :meth:`get`. Only a GET must be answered with a JSON object."""
        for attempt in range(1, _MOST_TRIES + 1):
            try:
                return await self._once(method, path, params, body, headers or {})
            except SourceUnavailable as error:
                wait = 2.0**attempt if error.retry_after is None else error.retry_after
                if attempt == _MOST_TRIES or wait > _LONGEST_WAIT:
                    raise
                await self._sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def sign_in(self) -> Claims:
        """Get a token, to see that there is one; what it says of whom it was given to.

        Raises SourceRefused without one, and what the credential raises of SourceError.
        """
        return read_claims(await self._token())

    @property
    def served_at(self) -> datetime | None:
        """The service's clock at its last answer (header Date, whole seconds); None where it did not tell."""
        try:
            return parsedate_to_datetime(self._date).astimezone(UTC)
        except ValueError:
            return None

    async def aclose(self) -> None:
        """Close connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _once(
        self,
        method: Method,
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> RestReply:
        sent = {**headers, "Authorization": f"Bearer {await self._token()}"}
        try:
            async with self._http().stream(method, path, params=params or None, json=body, headers=sent) as answer:
                # Read here: httpx keeps what it reads in a cycle, where pages of megabytes wait for the collector.
                content = await self._content(answer) if answer.is_success else b""
                if not answer.is_success:
                    await answer.aread()
        except httpx.HTTPError as error:
            raise SourceUnavailable(
                f"{self._name} ({self._endpoint.url}) did not answer: {type(error).__name__}. Check the app's network"
            ) from None
        finally:
            self.calls += 1
        self._date = answer.headers.get("Date", "")
        if not answer.is_success:
            raise self._failure(answer)
        if answer.status_code == 204 or (method != "GET" and not content):
            return RestReply(answer.status_code, {}, answer.headers)
        try:
            found = read_json_text(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._failure(answer)
        return RestReply(answer.status_code, found, answer.headers)

    async def _content(self, answer: httpx.Response) -> bytes:
        parts: list[bytes] = []
        left = self._largest
        async for part in answer.aiter_bytes():
            parts.append(part)
            if left is not None and (left := left - len(part)) < 0:
                raise SourceRefused(f"{self._name} answered more than {self._largest:,} bytes", status=200)
        return b"".join(parts)

    async def _token(self) -> str:
        from azure.core.exceptions import AzureError

        try:
            return (await self._credential.get_token(self._endpoint.scope)).token
        except (AzureError, ValueError) as error:
            first = str(error).strip().partition("\n")[0][:300]
            raise SourceRefused(
                f"no token for {self._name}: {first}. Fix: give the app a managed identity, or check the "
                "sign-in that is configured for it"
            ) from None

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            transport = self._transport
            if transport is None:
                trust = httpx.create_ssl_context(trust_env=False) if self._trust is None else self._trust
                transport = httpx.AsyncHTTPTransport(verify=trust, trust_env=False)
            self._client = httpx.AsyncClient(
                base_url=self._endpoint.url,
                transport=GuardedTransport(self._endpoint.url, transport),
                timeout=_TIMEOUT,
                headers={"User-Agent": f"azure-itsm-bridge/{VERSION}", "Accept": "application/json"},
                trust_env=False,
            )
        return self._client

    def _failure(self, answer: httpx.Response) -> SourceError:
        status = answer.status_code
        said = "" if answer.is_success else _said(answer)
        fix = _NO_JSON if answer.is_success else self._fixes.get(status, "")
        kind = SourceUnavailable if status in _PASSING else SourceRefused
        return kind(
            f"{self._name} answered {status}{f' ({said})' if said else ''}{f'. {fix}' if fix else ''}",
            status=status,
            retry_after=_seconds(answer.headers.get("Retry-After", "")),
        )


_NO_JSON = "That was no JSON object: something between the app and Microsoft answers in its place"
_FIXES = {
    401: "Fix: the token is not accepted there; check tenant and sign-in, and that the identity is not disabled",
    404: "It does not exist, or the identity may not see it",
    429: "Too many calls; the rest follows in the next run",
}


def _said(answer: httpx.Response) -> str:
    """Code and message of the service's error object, shortened; after what its details say, where it has some.

    The details come first, because a service that fills them says nothing of use in the message itself: Resource
    Graph asks there to open a support case, and tells place and token of a wrong query in the last detail.
    """
    try:
        error = answer.json()["error"]
        own = f"{error['code']}: {error['message']}"
        details = error.get("details")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    said = [_detail(one) for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    return "; ".join([*filter(None, said), own])[:300]


def _detail(detail: Mapping[str, Any]) -> str:
    """Code, message and, of a query, place (line from 1, character from 0) and token of one detail of an error."""
    code, message = str(detail.get("code") or ""), str(detail.get("message") or "")
    text = code if message in ("", code) else f"{code}: {message}"
    if "line" in detail:
        place = f"line {detail['line']}, character {detail.get('characterPositionInLine', '?')}"
        text = f"{text} at {place} ('{detail.get('token', '')}')"
    return text


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None
