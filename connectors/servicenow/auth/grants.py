"""The OAuth grants that need nobody at a keyboard: client credentials, password, JWT bearer.

Sources: ServiceNow docs, "Configure an OAuth client credential / resource owner password credential / JWT bearer
grant"; RFC 6749, 4.3 and 4.4; RFC 7523.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

from connectors.servicenow.auth.base import Vault
from connectors.servicenow.auth.oauth import Material
from connectors.servicenow.secrecy import Secret
from connectors.servicenow.settings import OAuthClientCredentials, OAuthJwtBearer, OAuthPassword
from shared.core.errors import NotAuthorised


def _client(client_id: str, secret: str) -> dict[str, str]:
    return {"client_id": client_id, "client_secret": secret} if secret else {"client_id": client_id}


class _WithClientSecret:
    """Part of every grant: who the client is, and how it uses a refresh token."""

    def __init__(self, client_id: str, scope: str | None = None) -> None:
        self._client_id = client_id
        self._scope = {"scope": scope} if scope else {}

    def refresh_form(self, material: Material, refresh_token: str) -> Mapping[str, str]:
        """Client id and secret, and the refresh token."""
        return {**_client(self._client_id, material[0]), "refresh_token": refresh_token}


class ClientCredentials(_WithClientSecret):
    """The client acts as the OAuth Application User of its registry record."""

    name = "client_credentials"

    def __init__(self, settings: OAuthClientCredentials, vault: Vault) -> None:
        super().__init__(settings.client_id, settings.scope)
        self._settings = settings
        self._vault = vault

    async def material(self, *, refresh: bool) -> Material:
        """The client secret."""
        return (await self._vault.read(self._settings.client_secret, refresh=refresh),)

    def form(self, material: Material) -> Mapping[str, str]:
        """Client id and secret, and the scope if one is configured."""
        return {**_client(self._client_id, material[0]), **self._scope}


class Password(_WithClientSecret):
    """User name and password, sent once to buy tokens."""

    name = "password"

    def __init__(self, settings: OAuthPassword, vault: Vault) -> None:
        super().__init__(settings.client_id, settings.scope)
        self._settings = settings
        self._vault = vault

    async def material(self, *, refresh: bool) -> Material:
        """Client secret and password."""
        return (
            await self._vault.read(self._settings.client_secret, refresh=refresh),
            await self._vault.read(self._settings.password, refresh=refresh),
        )

    def form(self, material: Material) -> Mapping[str, str]:
        """Client id and secret, user name and password, and the scope if one is configured."""
        user = {"username": self._settings.username, "password": material[1]}
        return {**_client(self._client_id, material[0]), **user, **self._scope}


class JwtBearer(_WithClientSecret):
    """A token signed with our private key; the instance knows the certificate. Every exchange needs a fresh one,
    because the instance remembers the ``jti`` of those it has seen."""

    name = "urn:ietf:params:oauth:grant-type:jwt-bearer"

    def __init__(self, settings: OAuthJwtBearer, vault: Vault, wall_clock: Callable[[], float] = time.time) -> None:
        super().__init__(settings.client_id)
        self._settings = settings
        self._vault = vault
        self._wall_clock = wall_clock

    async def material(self, *, refresh: bool) -> Material:
        """Client secret (empty for public clients) and private key."""
        ref = self._settings.client_secret
        secret = Secret("") if ref is None else await self._vault.read(ref, refresh=refresh)
        return secret, await self._vault.read_pem(self._settings.private_key, refresh=refresh)

    def form(self, material: Material) -> Mapping[str, str]:
        """The signed assertion, client id and secret."""
        assertion = self._sign(material[1])
        self._vault.redactor.learn(assertion)
        return {**_client(self._client_id, material[0]), "assertion": assertion}

    def _sign(self, private_key: str) -> Secret:
        import jwt  # brings cryptography along: only those who use this grant pay for it

        issued = int(self._wall_clock())
        claims = {
            "iss": self._client_id,
            "aud": self._client_id,
            "sub": self._settings.subject,
            "iat": issued,
            "exp": issued + int(self._settings.lifetime.total_seconds()),
            "jti": uuid.uuid4().hex,
        }
        signed = ""
        # What the library says may quote the key, so it is not passed on, not even as a cause.
        with suppress(jwt.PyJWTError, ValueError, TypeError):
            signed = jwt.encode(
                claims, private_key, algorithm=self._settings.algorithm, headers={"kid": self._settings.key_id}
            )
        if not signed:
            raise NotAuthorised(
                f"the secret '{self._settings.private_key.secret}' is no private key for {self._settings.algorithm}",
                connection=self._vault.connection,
                advice="Store the key in PEM form, not encrypted, with its BEGIN and END lines; RS algorithms need an "
                "RSA key, ES algorithms one on the curve that belongs to them.",
            )
        return Secret(signed)
