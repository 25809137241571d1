"""Access tokens: which claims they carry, and whether one that a client shows is good.

Source: Microsoft identity platform docs, "Access token claims reference" and "Access tokens". A v1 token has issuer
``https://sts.windows.net/<tenant>/``, ``appid`` and the asked-for resource as audience; a v2 token has
``https://login.microsoftonline.com/<tenant>/v2.0``, ``azp`` and the client id of the API. Which one comes is up to the
API (``requestedAccessTokenVersion``), not to the endpoint. The issuers are those of the real service, so that what
checks tokens can be pointed here by the address of its keys alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.azure.call import Caller
from local.azure.directory import Api, Directory, Principal
from local.azure.entra.jws import BadToken, encode, parts, sign, verify
from local.azure.entra.keys import SigningKeys
from local.azure.settings import Settings
from local.simulator_kit.clock import Clock

#: Entra dates tokens five minutes back, for clocks that go slow.
_SKEW = 300


def issuer(tenant: str, version: int) -> str:
    """Issuer of a tenant's tokens."""
    if version == 1:
        return f"https://sts.windows.net/{tenant}/"
    return f"https://login.microsoftonline.com/{tenant}/v2.0"


class TokenProblem(Exception):
    """A token that a client shows is not good. ``code`` is Resource Manager's error code."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that was handed out. Times are Unix seconds."""

    token: str
    expires_in: int
    expires_on: int


class Tokens:
    """Issues and checks the tokens of all tenants."""

    def __init__(self, directory: Directory, keys: SigningKeys, clock: Clock, settings: Settings) -> None:
        self.directory = directory
        self._keys = keys
        self._clock = clock
        self._settings = settings
        self._issued: set[str] = set()
        self._ended: set[str] = set()

    def reset(self, directory: Directory, settings: Settings) -> None:
        """A new day: tokens of the old one stay good, as their keys do."""
        self.directory = directory
        self._settings = settings
        self._ended.clear()

    def end_all(self) -> int:
        """Every token so far counts as expired; returns how many."""
        ended = len(self._issued - self._ended)
        self._ended |= self._issued
        return ended

    def version(self, api: Api) -> int:
        """Version of the tokens that an API accepts."""
        return api.version or self._settings.webhook_token_version

    def claims(
        self, principal: Principal, api: Api, resource: str, method: str = "1", version: int | None = None
    ) -> dict[str, Any]:
        """Claims for a principal and an API, as asked for by ``resource``.

        Args:
            method: how the client proved itself: "1" a secret, "2" a certificate.
            version: of the token, None for what the API accepts.
        """
        version = version or self.version(api)
        now = int(self._clock.timestamp())
        unique = encode(os.urandom(16))
        self._issued.add(unique)
        roles = principal.app_roles.get(api.app_id, ())
        common = {
            "aud": resource if version == 1 else api.app_id,
            "iss": issuer(principal.tenant, version),
            "iat": now - _SKEW,
            "nbf": now - _SKEW,
            "exp": now + self._settings.token_lifetime_s,
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": principal.tenant,
            "uti": unique,
            "rh": "1.AAAA.",
            **({"roles": list(roles)} if roles else {}),
        }
        if version == 1:
            idp = issuer(principal.tenant, 1)
            return {
                **common,
                "appid": principal.client_id,
                "appidacr": method,
                "idp": idp,
                "idtyp": "app",
                "ver": "1.0",
            }
        return {**common, "azp": principal.client_id, "azpacr": method, "ver": "2.0"}

    def issue(self, principal: Principal, api: Api, resource: str, method: str = "1") -> Issued:
        """A token for a principal."""
        claims = self.claims(principal, api, resource, method)
        key = self._keys.current
        header = {"typ": "JWT", "alg": "RS256", **({"x5t": key.kid} if claims["ver"] == "1.0" else {}), "kid": key.kid}
        lifetime = self._settings.token_lifetime_s
        return Issued(sign(header, claims, key.private, "RS256"), lifetime, int(claims["exp"]))

    def check(self, authorization: str, audiences: Iterable[str]) -> Caller:
        """Who shows a token, if it is good for one of the audiences.

        Raises:
            TokenProblem: it is missing, malformed, foreign, expired, or for someone else.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenProblem("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
        claims = self._verified(token.strip())
        audience, allowed = str(claims.get("aud")), tuple(audiences)
        if audience.rstrip("/") not in allowed:
            raise TokenProblem(
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{audience}'. It should exactly "
                f"match with one of the allowed audiences '{', '.join(allowed)}'.",
            )
        tenant, object_id = str(claims.get("tid")), str(claims.get("oid"))
        client_id = str(claims.get("appid") or claims.get("azp"))
        principal = self.directory.by_object(tenant, object_id)
        roles = claims.get("roles")
        return Caller(
            principal.name if principal else client_id,
            tenant,
            object_id,
            client_id,
            tuple(roles) if isinstance(roles, list) else (),
        )

    def _verified(self, token: str) -> dict[str, Any]:
        now = self._clock.timestamp()
        try:
            header, _ = parts(token)
            claims = verify(token, self._keys.find(str(header.get("kid"))).private.public_key(), ("RS256",))
            starts, ends = float(claims["nbf"]), float(claims["exp"])
            tenant = self.directory.tenant(str(claims["tid"]))
        except (BadToken, KeyError, TypeError, ValueError) as error:
            raise TokenProblem("InvalidAuthenticationToken", "The access token is invalid.") from error
        if tenant is None or claims.get("iss") not in (issuer(tenant.id, 1), issuer(tenant.id, 2)):
            raise TokenProblem("InvalidAuthenticationToken", "The access token is from the wrong issuer.")
        if ends <= now or claims.get("uti") in self._ended:
            raise TokenProblem(
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{_spoken(min(ends, now))}' is earlier than current UTC time "
                f"'{_spoken(now)}'.",
            )
        if starts > now:
            raise TokenProblem("InvalidAuthenticationToken", "The access token is not valid yet.")
        return claims


def _spoken(timestamp: float) -> str:
    """Time as Resource Manager's 401 texts write it."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%-m/%-d/%Y %-I:%M:%S %p")
