"""A stand-in for Microsoft Entra: RSA keys of its own, tokens signed with them, and the documents that publish them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from shared.config.access import SecureWebhook
from shared.core.clouds import CLOUDS, CloudName

TENANT = "11111111-1111-4111-8111-111111111111"
OTHER_TENANT = "22222222-2222-4222-8222-222222222222"
CLIENT_ID = "33333333-3333-4333-8333-333333333333"
AUDIENCE = f"api://{CLIENT_ID}"
ACTION_GROUPS = "461e8683-5575-4561-ac7f-899cc907d62a"
ROLE = "ActionGroupsSecureWebhook"


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """The private key of that name, the same all through a test run."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(name: str, **more: Any) -> dict[str, Any]:
    """Its public part as Entra publishes it."""
    public: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key(name).public_key()))
    public.pop("key_ops", None)
    return {**public, "kid": name, "use": "sig", **more}


def public_pem(name: str) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key(name).public_key().public_bytes(serialization.Encoding.PEM, form)


def claims(version: int = 2, cloud: CloudName = "public", tenant: str = TENANT, **more: Any) -> dict[str, Any]:
    """Claims as Action Groups bring them. A claim given as None is left out."""
    now = int(time.time())
    facts = CLOUDS[cloud]
    issuers = facts.issuers_v1 if version == 1 else facts.issuers_v2
    caller = min(facts.callers, default=ACTION_GROUPS)
    found: dict[str, Any] = {
        "aud": AUDIENCE if version == 1 else CLIENT_ID,
        "iss": issuers[0].format(tenant=tenant),
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
        "tid": tenant,
        "ver": f"{version}.0",
        "roles": [ROLE],
        "appid" if version == 1 else "azp": caller,
        **more,
    }
    return {name: value for name, value in found.items() if value is not None}


def token(
    content: Mapping[str, Any] | None = None, *, signed_by: str = "current", headers: Mapping[str, Any] | None = None
) -> str:
    """A token; ``kid`` is the key's name unless ``headers`` say otherwise."""
    more = {"kid": signed_by, **(headers or {})}
    return jwt.encode(dict(claims() if content is None else content), key(signed_by), algorithm="RS256", headers=more)


def settings(**more: Any) -> SecureWebhook:
    """The section of a tenant that accepts both versions."""
    return SecureWebhook.model_validate({"tenants": [TENANT], "audiences": [AUDIENCE, CLIENT_ID], **more})


@dataclass
class Entra:
    """Publishes keys through a transport, and remembers what it was asked. ``broken`` is what it answers instead."""

    published: list[dict[str, Any]] = field(default_factory=lambda: [jwk("current")])
    authority: str = "https://login.microsoftonline.com"
    jwks_uri: str = ""
    broken: httpx.Response | Exception | None = None
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if isinstance(self.broken, Exception):
            raise self.broken
        if self.broken is not None:
            return self.broken
        if request.url.path.endswith("/v2.0/.well-known/openid-configuration"):
            tenant = request.url.path.split("/")[1]
            return httpx.Response(
                200, json={"jwks_uri": self.jwks_uri or f"{self.authority}/{tenant}/discovery/v2.0/keys"}
            )
        return httpx.Response(200, json={"keys": self.published})

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)
