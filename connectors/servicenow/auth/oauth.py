"""OAuth 2.0: how tokens are asked for. When and by whom, and who keeps them: ``shared.platform.token_keeper``.

A second password grant while a token of the same client and user lives gives that same token with what is left of its
life, so only ``expires_in`` tells when it ends. A refresh gives a new access token and the same refresh token, whose
own end does not move, and ends the access token before it.

Sources: ServiceNow docs, "OAuth inbound" and "Revoke an OAuth token"; ServiceNow KB0791140, "Managing OAuth Tokens".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from connectors.servicenow.auth.credentials import CredentialSecrets, RequestAuth, Secret, TokenEndpoint
from connectors.servicenow.auth.token_answers import read_token
from shared.core.errors import TicketSystemError
from shared.core.tokens import IssuedTokens, TokenGrant, TokenStore
from shared.platform.token_keeper import TokenKeeper

_LOG = logging.getLogger(__name__)

_BEARER = "Bearer "

#: The secrets that a grant uses.
GrantSecrets = tuple[str, ...]


class Grant(TokenGrant, Protocol):
    """How the first token is requested."""

    @property
    def name(self) -> str:
        """The value of ``grant_type``."""
        ...

    def form(self, secrets: GrantSecrets) -> Mapping[str, str]:
        """Fields for the token endpoint beside ``grant_type``. Raises NotAuthorised for an unusable key, and where a
        person has to consent."""
        ...

    def refresh_form(self, secrets: GrantSecrets, refresh_token: str) -> Mapping[str, str]:
        """The fields to use a refresh token."""
        ...


class OAuthCredential:
    """A credential that exchanges secrets for tokens.

    Args:
        grant: how.
        secrets: of the connection.
        store: where workers share tokens, for the grants that do.
        now: the clock, where there is no store with one.
    """

    def __init__(
        self,
        grant: Grant,
        secrets: CredentialSecrets,
        store: TokenStore | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._grant = grant
        self._secrets = secrets
        self.keeper = TokenKeeper(secrets.connection, grant, store, now=now)

    async def authenticate(self, endpoint: TokenEndpoint) -> RequestAuth:
        """The bearer token, fetched when there is none or it is about to end."""
        access, version = await self.keeper.access(self.wire(endpoint))
        return RequestAuth({"Authorization": Secret(_BEARER + access)}, version=version)

    async def renew(self, refused: RequestAuth, endpoint: TokenEndpoint) -> None:
        """Replace a refused token by one for the present secrets, once however many calls were refused."""
        access = refused.headers["Authorization"].removeprefix(_BEARER)
        await self.keeper.renew(self.wire(endpoint), refused.version, access)

    async def aclose(self) -> None:
        """Wait for a renewal that is under way."""
        await self.keeper.aclose()

    def wire(self, endpoint: TokenEndpoint) -> Wire:
        """The token endpoint, as this grant uses it."""
        return Wire(self._grant, self._secrets, endpoint)


class Wire:
    """A ``TokenWire`` over the instance's token endpoint."""

    def __init__(self, grant: Grant, secrets: CredentialSecrets, endpoint: TokenEndpoint) -> None:
        self._grant = grant
        self._secrets = secrets
        self._endpoint = endpoint

    async def log_in(self, secrets: GrantSecrets) -> IssuedTokens:
        """See ``TokenWire.log_in``."""
        return await self.fetch({"grant_type": self._grant.name, **self._grant.form(secrets)})

    async def use(self, secrets: GrantSecrets, refresh: str) -> IssuedTokens:
        """See ``TokenWire.use``."""
        return await self.fetch({"grant_type": "refresh_token", **self._grant.refresh_form(secrets, refresh)})

    async def fetch(self, form: Mapping[str, str]) -> IssuedTokens:
        """What the endpoint gives for a form. Raises NotAuthorised, NotSent, Unavailable, Throttled."""
        reply = await self._endpoint.token(form)
        return read_token(
            reply,
            form["grant_type"],
            self._secrets.redactor,
            connection=self._secrets.connection,
            now=datetime.now(UTC),
        )

    async def revoke(self, token: str) -> None:
        """See ``TokenWire.revoke``."""
        try:
            reply = await self._endpoint.revoke(token)
        except TicketSystemError as error:
            _LOG.warning("%s: a token could not be revoked: %s", self._secrets.connection, error)
            return
        if reply.status >= 300:
            _LOG.warning("%s: a token could not be revoked: HTTP %s", self._secrets.connection, reply.status)
