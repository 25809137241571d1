"""Calls to Azure Resource Manager: one host, a token of Microsoft Entra, JSON, and errors that say what to do.

Sources: Microsoft Learn, "Azure REST API reference" (requests, errors), "Understand how Azure Resource Manager
throttles requests" (429 with Retry-After), "Compare Azure Government and global Azure" and "Azure China developer
guide" (endpoints of the other clouds).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import httpx

from connectors.azure_monitor.pace import Sleep
from shared.errors import SourceError, SourceRefused, SourceUnavailable
from shared.trust.clouds import CloudName
from shared.trust.outgoing import Guarded
from shared.version import VERSION

if TYPE_CHECKING:
    import ssl

    from azure.core.credentials_async import AsyncTokenCredential


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a cloud's Resource Manager is, and the scope that its tokens are asked for."""

    url: str
    scope: str


CLOUDS: Mapping[CloudName, Endpoint] = MappingProxyType(
    {
        "public": Endpoint("https://management.azure.com", "https://management.azure.com/.default"),
        "us_government": Endpoint(
            "https://management.usgovcloudapi.net", "https://management.usgovcloudapi.net/.default"
        ),
        "china": Endpoint("https://management.chinacloudapi.cn", "https://management.chinacloudapi.cn/.default"),
    }
)

#: Answers that a repeated GET may mend. Resource Manager gives 409 and 404 for good.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_MOST_TRIES = 3

#: Nobody waits longer within one call; whoever called comes back later.
_LONGEST_WAIT = 60.0

_TIMEOUT = httpx.Timeout(connect=10.0, read=60.0, write=10.0, pool=10.0)


class ResourceManager:
    """GET requests to one cloud's Resource Manager. ``calls`` counts the requests that left.

    Args:
        credential: gives tokens; closed by whoever made it.
        endpoint: of the cloud.
        trust: certificate authorities, the public ones when None.
        transport: takes the place of the network.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        credential: AsyncTokenCredential,
        endpoint: Endpoint = CLOUDS["public"],
        *,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.calls = 0
        self._credential = credential
        self._endpoint = endpoint
        self._trust = trust
        self._transport = transport
        self._sleep = sleep
        self._client: httpx.AsyncClient | None = None

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at a path below the endpoint, or at an absolute address that an answer gave (nextLink).

        What may pass is tried again, after Retry-After where that is given and short.

        Raises SourceUnavailable and SourceRefused, which has ``status`` 404 for what does not exist.
        """
        for attempt in range(1, _MOST_TRIES + 1):
            try:
                return await self._once(path, params)
            except SourceUnavailable as error:
                wait = 2.0**attempt if error.retry_after is None else error.retry_after
                if attempt == _MOST_TRIES or wait > _LONGEST_WAIT:
                    raise
                await self._sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def aclose(self) -> None:
        """Close connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _once(self, path: str, params: Mapping[str, str] | None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {await self._token()}"}
        try:
            answer = await self._http().get(path, params=params or None, headers=headers)
        except httpx.HTTPError as error:
            raise SourceUnavailable(
                f"Azure Resource Manager ({self._endpoint.url}) did not answer: {type(error).__name__}. Check the "
                "app's network"
            ) from None
        finally:
            self.calls += 1
        if answer.status_code == 200:
            try:
                found = answer.json()
            except ValueError:
                found = None
            if isinstance(found, dict):
                return found
        raise _failure(answer)

    async def _token(self) -> str:
        from azure.core.exceptions import AzureError

        try:
            return (await self._credential.get_token(self._endpoint.scope)).token
        except (AzureError, ValueError) as error:
            first = str(error).strip().partition("\n")[0][:300]
            raise SourceRefused(
                f"no token for Azure Resource Manager: {first}. Fix: give the app a managed identity, or check the "
                "sign-in of this subscription"
            ) from None

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            transport = self._transport
            if transport is None:
                trust = httpx.create_ssl_context(trust_env=False) if self._trust is None else self._trust
                transport = httpx.AsyncHTTPTransport(verify=trust, trust_env=False)
            self._client = httpx.AsyncClient(
                base_url=self._endpoint.url,
                transport=Guarded(self._endpoint.url, transport),
                timeout=_TIMEOUT,
                headers={"User-Agent": f"azure-itsm-bridge/{VERSION}", "Accept": "application/json"},
                trust_env=False,
            )
        return self._client


def _failure(answer: httpx.Response) -> SourceError:
    status = answer.status_code
    said = _said(answer)
    fix = _FIXES.get(status, "")
    kind = SourceUnavailable if status in _PASSING else SourceRefused
    return kind(
        f"Azure Resource Manager answered {status}{f' ({said})' if said else ''}{f'. {fix}' if fix else ''}",
        status=status,
        retry_after=_seconds(answer.headers.get("Retry-After", "")),
    )


_FIXES = {
    200: "That was no JSON object: something between the app and Azure answers in its place",
    401: "Fix: the subscription belongs to another tenant (give it a 'sign_in'), or the identity is disabled",
    403: "Fix: assign the role of docs/reconcile.md to the app's identity on this subscription; it takes some minutes",
    404: "It does not exist, or the identity may not see it",
    429: "Too many calls; the rest follows in the next run",
}


def _said(answer: httpx.Response) -> str:
    """Code and message of Resource Manager's error object, shortened."""
    try:
        error = answer.json()["error"]
        return f"{error['code']}: {error['message']}"[:300]
    except (ValueError, KeyError, TypeError):
        return ""


def _seconds(text: str) -> float | None:
    return float(text) if text.isdecimal() else None
