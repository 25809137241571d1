"""Checks the assertion of a JWT bearer grant against the client's verifier map.

Source: ServiceNow docs, "OAuth JWT API endpoint for external clients": RS and ES signatures, ``iss`` and ``aud`` are
the client id, ``sub`` a user by the configured field, every JWT id works once, classic clock skew 300 s.
"""

from __future__ import annotations

from typing import Any

from local.servicenow.errors import OAuthError
from local.servicenow.store import Row, Store
from local.servicenow.tokens import Tokens

ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]


def verify_assertion(assertion: str, client: Row, store: Store, tokens: Tokens, now: float) -> Row:
    """The user the assertion speaks for. ``now``: seconds since 1970 as the instance sees them.

    Raises:
        OAuthError: anything about the assertion is wrong.
    """
    import jwt  # only this grant needs it, and it is slow to import

    if not assertion:
        raise OAuthError("assertion missing", "invalid_request")
    try:
        key_id = jwt.get_unverified_header(assertion).get("kid", "")
        verifier = _verifier(store, client, key_id)
        options: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
        claims = jwt.decode(
            assertion,
            verifier.get("public_key"),
            algorithms=ALGORITHMS,
            audience=client.get("client_id"),
            issuer=client.get("client_id"),
            options=options,
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise OAuthError(f"the assertion is not valid: {type(error).__name__}", "invalid_grant") from error
    ends = _check_times(claims, int(verifier.get("clock_skew") or "0"), now)
    jti = claims.get("jti")
    if verifier.get("enable_jti_verification") == "true":
        if not isinstance(jti, str) or not jti:
            raise OAuthError("the assertion has no jti", "invalid_grant")
        if not tokens.first_use(f"{client.sys_id}:{jti}", ends):
            raise OAuthError("an assertion with this jti was used before", "invalid_grant")
    return _subject(store, verifier.get("user_field"), claims.get("sub"))


def _verifier(store: Store, client: Row, key_id: str) -> Row:
    for row in store.scan("jwt_verifier_map"):
        if row.get("oauth_jwt") == client.sys_id and row.get("kid") == key_id:
            return row
    raise OAuthError("no JWT verifier map of the client has this kid", "invalid_grant")


def _check_times(claims: dict[str, Any], skew: int, now: float) -> float:
    try:
        ends, issued = float(claims["exp"]), float(claims["iat"])
    except (KeyError, TypeError, ValueError) as error:
        raise OAuthError("exp and iat are needed", "invalid_grant") from error
    if now > ends + skew:
        raise OAuthError("the assertion has expired", "invalid_grant")
    if issued > now + skew:
        raise OAuthError("the assertion was issued in the future", "invalid_grant")
    return ends + skew


def _subject(store: Store, user_field: str, subject: Any) -> Row:
    wanted = str(subject).casefold()
    found = [row for row in store.scan("sys_user") if row.get(user_field).casefold() == wanted] if subject else []
    if not found:
        raise OAuthError("no user for the subject", "invalid_grant", "User not found")
    return found[0]
