"""Checks an access token of Microsoft Entra ID: what it must be, before and after its signature is verified.

Every refusal knows which check failed and how to mend it, for the administrator's log; the caller is told little.

Source: Microsoft Learn, "Access tokens in the Microsoft identity platform" (validate tokens), "Access token claims
reference", "Secure your application by validating claims"; RFC 8725 (JSON Web Token best current practices).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from shared.config.access import SecureWebhook
from shared.core.clouds import CLOUDS

#: Characters of a header that is looked at. Tokens of applications have about 2,000.
LONGEST = 16_384

_ALGORITHM = "RS256"

#: Characters of a claim that a log line quotes.
_QUOTED = 120


class TokenDenied(Exception):
    """A call that is not let in.

    Attributes:
        status: 401 when the token is none or not good, 403 when it is good and its bearer may not, 503 when that
            cannot be found out at the moment.
        check: name of the check that failed. ``str(error)``: what was found, and how to mend it, for the log only.
    """

    def __init__(self, status: int, check: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.check = check


@dataclass(frozen=True, slots=True)
class UnprovenToken:
    """What a token says of itself, before anything is proven: enough to know whose key has to prove it."""

    token: str
    tenant: str
    kid: str


def bearer(header: str | None) -> str:
    """The token of an Authorization header. Raises TokenDenied."""
    if not header:
        raise TokenDenied(
            401,
            "header",
            "there is no Authorization header. Fix: use a secure webhook in the action group (Entra authentication), "
            "or /api/alerts with a function key",
        )
    if len(header) > LONGEST:
        raise TokenDenied(401, "size", f"the header has {len(header):,} characters; at most {LONGEST:,} are read")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenDenied(401, "header", "the Authorization header is no bearer token")
    return token.strip()


def unproven(token: str, settings: SecureWebhook) -> UnprovenToken:
    """Look at a token without believing it.

    Raises TokenDenied for what can only be refused, so that nothing is fetched.
    """
    header, claims = _opened(token)
    algorithm = header.get("alg")
    if algorithm != _ALGORITHM:
        raise TokenDenied(
            401, "algorithm", f"the token is signed with {_quoted(algorithm)}; Entra signs with {_ALGORITHM}"
        )
    if "crit" in header:
        raise TokenDenied(401, "format", "the token demands an extension (crit) that nobody here knows")
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or tenant.lower() not in settings.tenants:
        fix = "Fix: add it to secure_webhook.tenants if it is yours"
        raise TokenDenied(401, "tenant", f"the token is of tenant {_quoted(tenant)}. {fix}")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise TokenDenied(401, "key", "the token does not say which key signed it (kid)")
    return UnprovenToken(token, tenant.lower(), kid)


def proven(found: UnprovenToken, key: Mapping[str, Any], settings: SecureWebhook) -> Mapping[str, Any]:
    """Verify a token with the key of its tenant (JWK), and that its bearer may call. The claims.

    Raises TokenDenied.
    """
    cloud = CLOUDS[settings.cloud]
    first = [issuer.format(tenant=found.tenant) for issuer in cloud.issuers_v1]
    second = [issuer.format(tenant=found.tenant) for issuer in cloud.issuers_v2]
    claims = _verified(found, key, settings, [*first, *second])
    name = "appid" if claims["iss"] in first else "azp"
    _check_caller(claims.get(name), name, settings)
    roles = claims.get("roles")
    if not isinstance(roles, list) or settings.role not in roles:
        fix = "Fix: assign that app role of your app registration to the service principal 'AzNS AAD Webhook'"
        raise TokenDenied(403, "role", f"the caller has the roles {_quoted(roles)} and needs {settings.role!r}. {fix}")
    return claims


def _verified(
    found: UnprovenToken, key: Mapping[str, Any], settings: SecureWebhook, issuers: Sequence[str]
) -> Mapping[str, Any]:
    try:
        claims: Mapping[str, Any] = jwt.decode(
            found.token,
            jwt.PyJWK(dict(key), algorithm=_ALGORITHM),
            algorithms=[_ALGORITHM],
            audience=settings.audiences,
            issuer=issuers,
            leeway=settings.leeway,
            options={"require": ["exp", "nbf", "iss", "aud"]},
        )
    except jwt.ExpiredSignatureError:
        raise TokenDenied(401, "expiry", "the token has expired. Fix: compare the clocks, or raise leeway") from None
    except jwt.ImmatureSignatureError:
        raise TokenDenied(
            401, "not yet", "the token is not valid yet. Fix: compare the clocks, or raise leeway"
        ) from None
    except jwt.InvalidAudienceError:
        said = _quoted(_opened(found.token)[1].get("aud"))
        fix = "Fix: add that to secure_webhook.audiences if it is the bridge's app registration"
        raise TokenDenied(401, "audience", f"the token is made out to {said}. {fix}") from None
    except jwt.InvalidIssuerError:
        said = _quoted(_opened(found.token)[1].get("iss"))
        fix = f"Expected is one of {', '.join(issuers)}. Fix: secure_webhook.cloud has to name the tenant's cloud"
        raise TokenDenied(401, "issuer", f"the token was issued by {said}. {fix}") from None
    except jwt.MissingRequiredClaimError as error:
        raise TokenDenied(401, "claims", f"the token has no {error.claim}") from None
    except jwt.InvalidSignatureError:
        raise TokenDenied(401, "signature", "the signature is not that of the key which the token names") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise TokenDenied(401, "format", f"the token cannot be verified ({type(error).__name__})") from None
    return claims


def _check_caller(caller: object, name: str, settings: SecureWebhook) -> None:
    allowed = CLOUDS[settings.cloud].callers if settings.callers is None else frozenset(settings.callers)
    if isinstance(caller, str) and caller.lower() in allowed:
        return
    fix = "Fix: set secure_webhook.cloud or .callers if that is Action Groups in your cloud"
    accepted = ", ".join(sorted(allowed))
    raise TokenDenied(403, "caller", f"the caller ({name}) is {_quoted(caller)}; accepted: {accepted}. {fix}")


def _opened(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims of a token, unverified. Raises TokenDenied for anything that is no signed JSON Web Token."""
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise TokenDenied(401, "format", f"this is no JSON Web Token ({type(error).__name__})") from None
    return parts["header"], parts["payload"]


def _quoted(value: object) -> str:
    """A claim for the log: one short line, whatever it holds."""
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
