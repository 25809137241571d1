"""The OAuth grants: client credentials, password, JWT bearer, and the refresh token of a person's consent.

Sources: ServiceNow docs, "Configure an OAuth client credential / resource owner password credential / JWT bearer
grant", "Authorization code grant workflow"; RFC 6749, 4.1, 4.3, 4.4 and 6; RFC 7523.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from connectors.servicenow.auth.credentials import CredentialSecrets, Secret
from connectors.servicenow.auth.oauth import GrantSecrets
from connectors.servicenow.settings import (
    OAuthAuthorizationCode,
    OAuthClientCredentials,
    OAuthJwtBearer,
    OAuthPassword,
)
from shared.core.errors import BridgeError, ConsentMissing, NotAuthorised, SecretMissing, SecretUnavailable
from shared.core.secrets import SecretKeeper
from shared.core.tokens import StoredToken


def _client(client_id: str, secret: str) -> dict[str, str]:
    return {"client_id": client_id, "client_secret": secret} if secret else {"client_id": client_id}


def connect_advice(connection: str) -> str:
    """What to do where only a person can log in."""
    return f"Log in as the integration user (bridge.py connect {connection}): what is for it waits until then"


class _WithClientSecret:
    """Part of every grant: who the client is, and how it uses a refresh token."""

    #: Tokens of the grants without refresh tokens do not end each other: each process has its own.
    shared = False
    refresh_life = timedelta(seconds=8_640_000)  # the default of registry records
    extended_by_use = False

    def __init__(self, client_id: str, secrets: CredentialSecrets, scope: str | None = None) -> None:
        self._client_id = client_id
        self._secrets = secrets
        self._scope = {"scope": scope} if scope else {}

    def refresh_form(self, secrets: GrantSecrets, refresh_token: str) -> Mapping[str, str]:
        """Client id and secret, and the refresh token."""
        return {**_client(self._client_id, secrets[0]), "refresh_token": refresh_token}

    async def stored(self, *, refresh: bool) -> StoredToken | None:
        """No refresh token is in the secret store."""
        del refresh
        return None

    async def keep(self, token: StoredToken) -> None:
        """Never called, because none is stored."""
        del token
        raise SecretUnavailable(f"{self._secrets.connection}: the grant keeps no refresh token")

    def needs_person(self, *, refused: bool, ended: datetime | None) -> BridgeError | None:
        """Nobody: the secrets of the configuration give tokens."""
        del refused, ended
        return None

    def learn(self, *values: str) -> None:
        """See ``TokenGrant.learn``."""
        self._secrets.redactor.learn(*values)


class ClientCredentials(_WithClientSecret):
    """The client acts as the OAuth Application User of its registry record."""

    name = "client_credentials"

    def __init__(self, settings: OAuthClientCredentials, secrets: CredentialSecrets) -> None:
        super().__init__(settings.client_id, secrets, settings.scope)
        self._settings = settings

    async def secrets(self, *, refresh: bool) -> GrantSecrets:
        """The client secret."""
        return (await self._secrets.read(self._settings.client_secret, refresh=refresh),)

    def form(self, secrets: GrantSecrets) -> Mapping[str, str]:
        """Client id and secret, and the scope if one is configured."""
        return {**_client(self._client_id, secrets[0]), **self._scope}


class Password(_WithClientSecret):
    """User name and password, exchanged for tokens. Workers share them: a refresh ends the access token before."""

    name = "password"
    shared = True

    def __init__(self, settings: OAuthPassword, secrets: CredentialSecrets) -> None:
        super().__init__(settings.client_id, secrets, settings.scope)
        self._settings = settings

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


class AuthorizationCode(_WithClientSecret):
    """The refresh token that a person's consent gave (``bridge.py connect``). It is in the key vault, and where the
    instance replaces it, the new one is put there. Without a vault the token store keeps it, sealed."""

    name = "authorization_code"
    shared = True

    def __init__(self, settings: OAuthAuthorizationCode, secrets: CredentialSecrets) -> None:
        super().__init__(settings.client_id, secrets, settings.scope)
        self._settings = settings
        self.refresh_life = settings.refresh_token_lifetime
        self.extended_by_use = settings.refresh_token_extended

    async def secrets(self, *, refresh: bool) -> GrantSecrets:
        """The client secret."""
        return (await self._secrets.read(self._settings.client_secret, refresh=refresh),)

    async def stored(self, *, refresh: bool) -> StoredToken | None:
        """The refresh token, and the end that is noted with it; None where there is no vault, and no setting has it."""
        ref, vault = self._settings.refresh_token, self.vault
        try:
            token = await self._secrets.read(ref, refresh=refresh)
        except SecretMissing as error:
            if vault is None:
                return None
            raise self.needs_person(refused=False, ended=None) from error
        return StoredToken(token, await vault.expires_on(ref.secret) if vault is not None else None)

    async def keep(self, token: StoredToken) -> None:
        """Put the refresh token into the vault."""
        ref, vault = self._settings.refresh_token, self.vault
        if vault is None:
            raise SecretUnavailable(f"secret '{ref.secret}' is an application setting, and those cannot be written")
        await vault.put(ref.secret, token.token, token.ends)

    async def forget(self) -> None:
        """Let the refresh token be read no more; nothing without a vault. Raises SecretUnavailable."""
        if self.vault is not None:
            await self.vault.disable(self._settings.refresh_token.secret)

    @property
    def vault(self) -> SecretKeeper | None:
        """Where secrets can be written, None where there is no such place."""
        source = self._secrets.source
        return source if isinstance(source, SecretKeeper) else None

    def needs_person(self, *, refused: bool, ended: datetime | None) -> BridgeError:
        """Always: user name and password are stored nowhere."""
        if not refused:
            return ConsentMissing(f"nobody has consented yet, or the consent was taken back. {self._connect()}")
        if ended is not None:
            said = f"the consent ended on {ended:%Y-%m-%d}, with its refresh token"
            return NotAuthorised(said, connection=self._secrets.connection, advice=self._connect())
        return NotAuthorised(
            "the instance refuses the refresh token: the consent was revoked there, or has ended",
            connection=self._secrets.connection,
            advice=f"{self._connect()}. If nobody revoked it: the client id and the secret "
            f"'{self._settings.client_secret.secret}' must be those of the registry record, and the user active",
        )

    def form(self, secrets: GrantSecrets) -> Mapping[str, str]:
        """Raises NotAuthorised: only a person can log in."""
        del secrets
        raise self.needs_person(refused=True, ended=None)

    def _connect(self) -> str:
        return connect_advice(self._secrets.connection)

    def code_form(self, secrets: GrantSecrets, code: str, redirect: str, verifier: str) -> dict[str, str]:
        """The fields that exchange a code for tokens (RFC 6749, 4.1.3; RFC 7636, 4.5)."""
        given = {"code": code, "redirect_uri": redirect, "code_verifier": verifier}
        return {"grant_type": self.name, **_client(self._client_id, secrets[0]), **given}

    def password_form(self, secrets: GrantSecrets, user_name: str, password: str) -> dict[str, str]:
        """The fields that exchange a user name and password for tokens, once."""
        user = {"username": user_name, "password": password}
        return {"grant_type": Password.name, **_client(self._client_id, secrets[0]), **user, **self._scope}


class JwtBearer(_WithClientSecret):
    """A token signed with our private key; the instance knows the certificate. Every token request needs a new
    one, because the instance accepts each ``jti`` once."""

    name = "urn:ietf:params:oauth:grant-type:jwt-bearer"

    def __init__(
        self, settings: OAuthJwtBearer, secrets: CredentialSecrets, wall_clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(settings.client_id, secrets)
        self._settings = settings
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
