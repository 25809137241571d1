"""OAuth 2.0: one token shared by all calls, fetched by one of them while the others wait, renewed before it ends.

A second password grant while a token of the same client and user lives gives that same token with what is left of its
life, so only ``expires_in`` tells when it ends. A refresh gives a new access token and the same refresh token, whose
own end does not move; when that has passed, the first grant is used again.

Source: ServiceNow docs, "OAuth inbound" and "Revoke an OAuth token".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from connectors.servicenow.auth.credentials import CredentialSecrets, RequestAuth, Secret, TokenEndpoint
from connectors.servicenow.auth.token_answers import Token, read_token
from shared.core.errors import NotAuthorised, TicketSystemError

_LOG = logging.getLogger(__name__)

#: A token is replaced this many seconds before it ends, or a tenth of its life when that is less.
_EARLY = 60.0

#: The secrets that a grant uses.
GrantSecrets = tuple[str, ...]


class Grant(Protocol):
    """How the first token is requested."""

    @property
    def name(self) -> str:
        """The value of ``grant_type``."""
        ...

    async def secrets(self, *, refresh: bool) -> GrantSecrets:
        """The secrets, read past any cache when ``refresh``. Raises SecretUnavailable, NotAuthorised."""
        ...

    def form(self, secrets: GrantSecrets) -> Mapping[str, str]:
        """Fields for the token endpoint beside ``grant_type``. Raises NotAuthorised for an unusable key."""
        ...

    def refresh_form(self, secrets: GrantSecrets, refresh_token: str) -> Mapping[str, str]:
        """The fields to use a refresh token."""
        ...


@dataclass(frozen=True, slots=True)
class _CurrentToken:
    """The token in use: until when (monotonic clock), and the secrets that it was issued for."""

    token: Token
    until: float
    secrets: GrantSecrets

    def __repr__(self) -> str:
        return f"<token until {self.until:.0f}>"


class OAuthCredential:
    """A credential that exchanges secrets for tokens."""

    def __init__(self, grant: Grant, secrets: CredentialSecrets, clock: Callable[[], float] = time.monotonic) -> None:
        self._grant = grant
        self._secrets = secrets
        self._clock = clock
        self._current: _CurrentToken | None = None
        self._version = 0
        self._lock = asyncio.Lock()

    async def authenticate(self, endpoint: TokenEndpoint) -> RequestAuth:
        """The bearer token, fetched when there is none or it is about to end."""
        async with self._lock:
            current = self._current
            if current is None or self._clock() >= current.until:
                current = await self._log_in(endpoint)
            return RequestAuth({"Authorization": Secret(f"Bearer {current.token.access}")}, version=self._version)

    async def renew(self, refused: RequestAuth, endpoint: TokenEndpoint) -> None:
        """Replace a refused token by one for the present secrets, once however many calls were refused."""
        async with self._lock:
            if refused.version == self._version:
                await self._obtain(endpoint, await self._grant.secrets(refresh=True))

    async def _log_in(self, endpoint: TokenEndpoint) -> _CurrentToken:
        """A token for the secrets as they are cached; when those are refused, for the ones that replaced them."""
        cached = await self._grant.secrets(refresh=False)
        try:
            return await self._obtain(endpoint, cached)
        except NotAuthorised:
            fresh = await self._grant.secrets(refresh=True)
            if fresh == cached:
                raise
        return await self._obtain(endpoint, fresh)

    async def _obtain(self, endpoint: TokenEndpoint, secrets: GrantSecrets) -> _CurrentToken:
        """Fetch a token.

        When the secrets changed, the tokens of the old ones are revoked, because a refresh token lives for months and
        would outlive a leaked secret. That happens after the new token was issued, so that the old tokens stay where
        the new secrets are not valid yet. Tokens that were issued again for the new secrets stay valid.
        """
        before = self._current
        started = self._clock()
        token = await self._by_refresh(endpoint, secrets) or await self._fetch(
            endpoint, {"grant_type": self._grant.name, **self._grant.form(secrets)}
        )
        until = started + token.expires_in - min(_EARLY, token.expires_in / 10)
        self._version += 1
        self._current = _CurrentToken(token, until, secrets)
        if before is not None and before.secrets != secrets:
            await self._revoke(endpoint, before.token, token)
        return self._current

    async def _by_refresh(self, endpoint: TokenEndpoint, secrets: GrantSecrets) -> Token | None:
        """A token for the refresh token; None when there is none or it is refused."""
        current = self._current
        if current is None or current.token.refresh is None or current.secrets != secrets:
            return None
        form = {"grant_type": "refresh_token", **self._grant.refresh_form(secrets, current.token.refresh)}
        try:
            token = await self._fetch(endpoint, form)
        except NotAuthorised:
            self._current = None
            _LOG.info("%s: the refresh token is not accepted any more; logging in again", self._secrets.connection)
            return None
        if token.refresh is None:
            return Token(token.access, current.token.refresh, token.expires_in)
        return token

    async def _fetch(self, endpoint: TokenEndpoint, form: Mapping[str, str]) -> Token:
        reply = await endpoint.token(form)
        return read_token(
            reply,
            form["grant_type"],
            self._secrets.redactor,
            connection=self._secrets.connection,
            now=datetime.now(UTC),
        )

    async def _revoke(self, endpoint: TokenEndpoint, old: Token, new: Token | None) -> None:
        """Revoke the old access and refresh token unless the new one has them too. Failures are only logged."""
        still_used = (new.refresh, new.access) if new is not None else ()
        for token in (old.refresh, old.access):
            if token is None or token in still_used:
                continue
            try:
                reply = await endpoint.revoke(token)
            except TicketSystemError as error:
                _LOG.warning("%s: a token could not be revoked: %s", self._secrets.connection, error)
                continue
            if reply.status >= 300:
                _LOG.warning("%s: a token could not be revoked: HTTP %s", self._secrets.connection, reply.status)
