"""The public keys with which a tenant's tokens are signed: fetched from Entra, kept, fetched again when they rotate.

A key id that is not known makes us look again, at most once every :data:`PAUSE`, whatever strangers send. A call
within that time is asked to come again (503): its key may be a new one, and Azure never repeats what was answered with
401. Keys stay good until an answer without them arrives: while Entra cannot be reached, those at hand go on. Only
allow-listed tenants are ever asked about, and nothing that a token says becomes part of an address.

Source: Microsoft Learn, "Signing key rollover in the Microsoft identity platform"; OpenID Connect Discovery 1.0;
RFC 7517; Microsoft Learn, "Action groups" (webhook retries).
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from shared.platform.guarded_transport import GuardedTransport
from shared.platform.log import record
from shared.web.trust.tokens import TokenDenied

#: Seconds. Azure calls again 5, 25, 30, 70 and 75 seconds after an answer of 503, and then no action group calls for 15
#: minutes: keys that were looked up by then let a call with a new key in.
PAUSE = 60.0

#: Seconds. Entra publishes a key long before it signs with it, and asks that keys be looked up once a day.
FRESH = 86_400.0

#: Seconds between attempts while there is no key at all; Azure calls again after 5 and 20 seconds.
PAUSE_WITHOUT_KEYS = 4.0

#: Azure waits 10 seconds for our answer.
PATIENCE = 5.0

_LARGEST = 512 * 1024
_MOST_KEYS = 100
_FEWEST_BITS = 2048

Keys = Mapping[str, Mapping[str, Any]]


class KeysNotFetched(Exception):
    """The keys could not be fetched, or what came is none."""


@dataclass(slots=True)
class _Tenant:
    """What is known of one tenant. Times are of the monotonic clock; ``answers`` counts lists of keys that came."""

    keys: Keys = field(default_factory=dict)
    answers: int = 0
    fetched: float | None = None
    attempted: float | None = None
    failure: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeyStore:
    """Signing keys of the tenants of one cloud.

    Args:
        authority: origin of the cloud's Entra, ``https://login.microsoftonline.com``.
        transport: instead of the network.
        clock: monotonic seconds.
        patience: seconds that fetching may take.
    """

    def __init__(
        self,
        authority: str,
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
    ) -> None:
        self._authority = authority
        self._transport = transport
        self._clock = clock
        self._patience = patience
        self._tenants: dict[str, _Tenant] = {}

    async def key(self, tenant: str, kid: str) -> Mapping[str, Any]:
        """The key (JWK) called ``kid`` of a tenant that is allow-listed.

        Raises TokenDenied: 401 when Entra, asked during this call, does not know that key; 503 when it cannot be asked,
        or was asked too short a time ago to be asked again.
        """
        known = self._tenants.setdefault(tenant, _Tenant())
        answers = known.answers
        if self._due(known, kid) or (kid not in known.keys and known.lock.locked()):
            async with known.lock:  # whoever comes while keys are being fetched waits for them
                if self._due(known, kid):
                    await self._renew(tenant, known)
        found = known.keys.get(kid)
        if found is not None:
            return found
        if known.failure:
            # It may be a new key: only Entra could tell, and Azure never repeats what was answered with 401.
            raise TokenDenied(503, "keys", f"the signing keys of tenant {tenant} cannot be fetched: {known.failure}")
        if known.answers == answers:
            raise TokenDenied(
                503,
                "key",
                f"the token names a key that is not among those of tenant {tenant}. They were fetched less than "
                f"{PAUSE:g} seconds ago, so it may be a new one: the caller is asked to come again",
            )
        raise TokenDenied(
            401, "key", "Entra does not know the key that the token names: it was not signed by this tenant"
        )

    def _due(self, known: _Tenant, kid: str) -> bool:
        now = self._clock()
        wanted = kid not in known.keys or known.fetched is None or now - known.fetched >= FRESH
        pause = PAUSE if known.keys else PAUSE_WITHOUT_KEYS
        return wanted and (known.attempted is None or now - known.attempted >= pause)

    async def _renew(self, tenant: str, known: _Tenant) -> None:
        known.attempted = self._clock()
        try:
            async with asyncio.timeout(self._patience):
                known.keys = await self._fetch(tenant)
        except TimeoutError:
            known.failure = f"no answer within {self._patience:g} seconds"
        except KeysNotFetched as error:
            known.failure = str(error)
        else:
            known.failure, known.fetched = "", self._clock()
            known.answers += 1
            return
        record("signing_keys_unavailable", logging.WARNING, tenant=tenant, reason=known.failure, kept=len(known.keys))

    async def _fetch(self, tenant: str) -> Keys:
        network = self._transport or httpx.AsyncHTTPTransport(verify=httpx.create_ssl_context(), trust_env=False)
        guarded = GuardedTransport(self._authority, network)
        async with httpx.AsyncClient(transport=guarded, timeout=self._patience, trust_env=False) as http:
            described = await _read(http, f"{self._authority}/{tenant}/v2.0/.well-known/openid-configuration")
            address = described.get("jwks_uri")
            if not isinstance(address, str):
                raise KeysNotFetched("the OpenID configuration names no keys")
            published = await _read(http, address)  # the guarded transport goes nowhere else
        found = published.get("keys")
        keys = {
            str(key["kid"]): key
            for key in (found if isinstance(found, list) else [])[:_MOST_KEYS]
            if isinstance(key, dict) and _usable(key, tenant)
        }
        if not keys:
            raise KeysNotFetched("the answer holds no usable key")
        return keys


async def _read(http: httpx.AsyncClient, address: str) -> Mapping[str, Any]:
    """GET a JSON object. Raises KeysNotFetched."""
    try:
        async with http.stream("GET", address, headers={"Accept": "application/json"}) as answer:
            body = b""
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST:
                    raise KeysNotFetched("the answer is too large")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise KeysNotFetched(f"no answer ({type(error).__name__}: {error})") from None
    if answer.status_code != 200:
        raise KeysNotFetched(f"HTTP {answer.status_code} from {urlsplit(address).path}")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise KeysNotFetched("the answer is no JSON") from None
    if not isinstance(data, dict):
        raise KeysNotFetched("the answer is no JSON object")
    return data


def _usable(key: Mapping[str, Any], tenant: str) -> bool:
    """Whether a key verifies RS256 signatures of this tenant: keys may be published for one issuer only."""
    kid, modulus, issuer = key.get("kid"), key.get("n"), key.get("issuer", "")
    if not isinstance(kid, str) or not kid or not isinstance(modulus, str) or not isinstance(issuer, str):
        return False
    if key.get("kty") != "RSA" or key.get("use", "sig") != "sig" or key.get("alg", "RS256") != "RS256":
        return False
    if issuer and tenant not in issuer.lower() and "{tenantid}" not in issuer.lower():
        return False
    try:
        bits = int.from_bytes(base64.urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))).bit_length()
    except ValueError:
        return False
    return bits >= _FEWEST_BITS
