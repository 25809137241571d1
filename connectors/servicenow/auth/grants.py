"""The OAuth grants that work without a person: client credentials, password, JWT bearer.

Sources: ServiceNow docs, "Configure an OAuth client credential / resource owner password credential / JWT bearer
grant"; RFC 6749, 4.3 and 4.4; RFC 7523.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress

from connectors.servicenow.auth.credentials import CredentialSecrets, Secret
from connectors.servicenow.auth.oauth import GrantSecrets
from connectors.servicenow.settings import OAuthClientCredentials, OAuthJwtBearer, OAuthPassword
from shared.core.errors import NotAuthorised


def _client(client_id: str, secret: str) -> dict[str, str]:
    return {"client_id": client_id, "client_secret": secret} if secret else {"client_id": client_id}


class _WithClientSecret:
    """Part of every grant: who the client is, and how it uses a refresh token."""

    def __init__(self, client_id: str, scope: str | None = None) -> None:
        self._client_id = client_id
        self._scope = {"scope": scope} if scope else {}

    def refresh_form(self, secrets: GrantSecrets, refresh_token: str) -> Mapping[str, str]:
        """Client id and secret, and the refresh token."""
        return {**_client(self._client_id, secrets[0]), "refresh_token": refresh_token}


class ClientCredentials(_WithClientSecret):
    """The client acts as the OAuth Application User of its registry record."""

    name = "client_credentials"

    def __init__(self, settings: OAuthClientCredentials, secrets: CredentialSecrets) -> None:
        super().__init__(settings.client_id, settings.scope)
        self._settings = settings
        self._secrets = secrets

    async def secrets(self, *, refresh: bool) -> GrantSecrets:
        """The client secret."""
        return (await self._secrets.read(self._settings.client_secret, refresh=refresh),)

    def form(self, secrets: GrantSecrets) -> Mapping[str, str]:
        """Client id and secret, and the scope if one is configured."""
        return {**_client(self._client_id, secrets[0]), **self._scope}


class Password(_WithClientSecret):
    """User name and password, exchanged for tokens."""

    name = "password"

    def __init__(self, settings: OAuthPassword, secrets: CredentialSecrets) -> None:
        super().__init__(settings.client_id, settings.scope)
        self._settings = settings
        self._secrets = secrets

    async def secrets(self, *, refresh: bool) -> GrantSecrets:
        """Client secret and password."""
        return (
            await self._secrets.read(self._settings.client_secret, refresh=refresh),
            await self._secrets.read(self._settings.password, refresh=refresh),
        )

    def form(self, secrets: GrantSecrets) -> Mapping[str, str]:
        """Client id and secret, user name and password, and the scope if one is configured."""
        user = {"username": self._settings.username, "password": secrets[1]}
        return {**_client(self._client_id, secrets[0]), **user, **self._scope}


class JwtBearer(_WithClientSecret):
    """A token signed with our private key; the instance knows the certificate. Every token request needs a new
    one, because the instance accepts each ``jti`` once."""

    name = "urn:ietf:params:oauth:grant-type:jwt-bearer"

    def __init__(
        self, settings: OAuthJwtBearer, secrets: CredentialSecrets, wall_clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(settings.client_id)
        self._settings = settings
        self._secrets = secrets
        self._wall_clock = wall_clock

    async def secrets(self, *, refresh: bool) -> GrantSecrets:
        """Client secret (empty for public clients) and private key."""
        ref = self._settings.client_secret
        secret = Secret("") if ref is None else await self._secrets.read(ref, refresh=refresh)
        return secret, await self._secrets.read_pem(self._settings.private_key, refresh=refresh)

    def form(self, secrets: GrantSecrets) -> Mapping[str, str]:
        """The signed assertion, client id and secret."""
        assertion = self._sign(secrets[1])
        self._secrets.redactor.learn(assertion)
        return {**_client(self._client_id, secrets[0]), "assertion": assertion}

    def _sign(self, private_key: str) -> Secret:
        import jwt  # imports cryptography, which takes time: only connections with this grant need it

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
        # A wrong key raises many things (a public key an AttributeError). The library's message may quote the key, so
        # it is not passed on, not even as a cause.
        with suppress(Exception):
            signed = jwt.encode(
                claims, private_key, algorithm=self._settings.algorithm, headers={"kid": self._settings.key_id}
            )
        if not signed:
            raise NotAuthorised(
                f"the secret '{self._settings.private_key.secret}' is no private key for {self._settings.algorithm}",
                connection=self._secrets.connection,
                advice="Store the key in PEM form, not encrypted, with its BEGIN and END lines; RS algorithms need an "
                "RSA key, ES algorithms one on the curve that belongs to them.",
            )
        return Secret(signed)
