"""Tokens to order, good and bad, for what checks tokens."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from local.azure.demo.identities import WEBHOOK_URI
from local.azure.entra.jws import sign
from local.azure.entra.keys import SigningKeys
from local.azure.entra.tokens import Tokens

_FIELDS = ("identity", "tenant", "resource", "version", "claims", "header", "alg", "key", "secret")


def mint(order: dict[str, Any], tokens: Tokens, keys: SigningKeys) -> dict[str, Any]:
    """Make a token.

    Args:
        order: ``identity`` (action-groups) and ``tenant`` (contoso) say whose; ``resource`` (the webhook's App ID URI)
            for which API; ``version`` 1 or 2 (what the API accepts); ``claims`` and ``header`` replace or, with null,
            remove; ``alg`` (RS256) signs, also HS256 or none; ``key`` is ``current``, ``stranger`` (never Entra's) or a
            kid; ``secret`` is for HS* (the public key's PEM, as in an algorithm confusion).

    Returns:
        ``{"token", "header", "claims"}``.

    Raises:
        ValueError: something in the order does not fit.
        KeyError: no such identity, tenant or key.
    """
    unknown = order.keys() - set(_FIELDS)
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; fields are {', '.join(_FIELDS)}")
    resource = str(order.get("resource") or WEBHOOK_URI)
    api = tokens.directory.api(resource)
    if api is None:
        raise KeyError(resource)
    principal = tokens.directory.named(str(order.get("identity", "action-groups")), str(order.get("tenant", "contoso")))
    version = order.get("version")
    if version not in (None, 1, 2):
        raise ValueError("version: 1 or 2")
    claims = _changed(tokens.claims(principal[0], api, resource, version=version), order.get("claims"))
    name = str(order.get("key", "current"))
    match name:
        case "current":
            key = keys.current
        case "stranger":
            key = keys.stranger
        case _:
            key = keys.find(name)
    algorithm = str(order.get("alg", "RS256"))
    header = _changed({"typ": "JWT", "alg": algorithm, "x5t": key.kid, "kid": key.kid}, order.get("header"))
    signing: RSAPrivateKey | bytes = key.private
    if algorithm.startswith("HS"):
        signing = str(order["secret"]).encode() if "secret" in order else key.public_pem()
    return {"token": sign(header, claims, signing, algorithm), "header": header, "claims": claims}


def _changed(values: dict[str, Any], changes: Any) -> dict[str, Any]:
    if changes is None:
        return values
    if not isinstance(changes, dict):
        raise ValueError("claims and header: objects")
    merged = {**values, **changes}
    return {name: value for name, value in merged.items() if value is not None}
