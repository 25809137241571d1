"""OAuth 2.0: one token shared by all calls, fetched by one of them while the others wait, renewed before it ends.

A second password grant while a token of the same client and user lives gives that same token with what is left of its
life, so only ``expires_in`` tells when it ends. A refresh gives a new access token and the same refresh token, whose
own end does not move; when it dies, the primary grant takes over.

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

from connectors.servicenow.auth.base import Exchange, Proof, Vault
from connectors.servicenow.auth.token_answers import Token, read_token
from connectors.servicenow.secrecy import Secret
from shared.core.errors import NotAuthorised, TicketSystemError

_LOG = logging.getLogger(__name__)

#: A token is replaced this many seconds before it ends, or a tenth of its life when that is less.
_EARLY = 60.0

#: The secrets that a grant uses.
Material = tuple[str, ...]


class Grant(Protocol):
    """How a token is asked for the first time."""

    @property
    def name(self) -> str:
        """The value of ``grant_type``."""
        ...

    async def material(self, *, refresh: bool) -> Material:
        """The secrets, read past any cache when ``refresh``. Raises SecretUnavailable, NotAuthorised."""
        ...

    def form(self, material: Material) -> Mapping[str, str]:
        """Fields for the token endpoint beside ``grant_type``. Raises NotAuthorised for an unusable key."""
        ...

    def refresh_form(self, material: Material, refresh_token: str) -> Mapping[str, str]:
        """The same to use a refresh token."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """The token in use: until when (monotonic clock), and the secrets it was bought with."""

    token: Token
    until: float
    material: Material

    def __repr__(self) -> str:
        return f"<token until {self.until:.0f}>"


class OAuth:
    """A credential that exchanges secrets for tokens."""

    def __init__(self, grant: Grant, vault: Vault, clock: Callable[[], float] = time.monotonic) -> None:
        self._grant = grant
        self._vault = vault
        self._clock = clock
        self._held: _Held | None = None
        self._issue = 0
        self._lock = asyncio.Lock()

    async def proof(self, exchange: Exchange) -> Proof:
        """The bearer token, fetched when there is none or it is about to end."""
        async with self._lock:
            held = self._held
            if held is None or self._clock() >= held.until:
                held = await self._log_in(exchange)
            return Proof({"Authorization": Secret(f"Bearer {held.token.access}")}, issue=self._issue)

    async def renew(self, refused: Proof, exchange: Exchange) -> None:
        """Replace a refused token by one for the secrets as they are now, once however many calls met the refusal."""
        async with self._lock:
            if refused.issue == self._issue:
                await self._obtain(exchange, await self._grant.material(refresh=True))

    async def revoke(self, exchange: Exchange) -> None:
        """Make the tokens at hand useless. The next call fetches another."""
        async with self._lock:
            held, self._held = self._held, None
            if held is not None:
                self._issue += 1
                await self._revoke(exchange, held.token, None)

    async def _log_in(self, exchange: Exchange) -> _Held:
        """A token for the secrets as they are cached; when those are refused, for the ones that replaced them."""
        cached = await self._grant.material(refresh=False)
        try:
            return await self._obtain(exchange, cached)
        except NotAuthorised:
            fresh = await self._grant.material(refresh=True)
            if fresh == cached:
                raise
        return await self._obtain(exchange, fresh)

    async def _obtain(self, exchange: Exchange, material: Material) -> _Held:
        """Buy a token.

        When the secrets changed, what the old ones bought is revoked, because whoever holds them must not keep a
        refresh token that lives for months: afterwards, so that secrets which are not valid yet cost nothing, and
        without what the new ones bought again.
        """
        before = self._held
        started = self._clock()
        token = await self._by_refresh(exchange, material) or await self._fetch(
            exchange, {"grant_type": self._grant.name, **self._grant.form(material)}
        )
        until = started + token.expires_in - min(_EARLY, token.expires_in / 10)
        self._issue += 1
        self._held = _Held(token, until, material)
        if before is not None and before.material != material:
            await self._revoke(exchange, before.token, token)
        return self._held

    async def _by_refresh(self, exchange: Exchange, material: Material) -> Token | None:
        """A token for the refresh token; None when there is none or it is dead."""
        held = self._held
        if held is None or held.token.refresh is None or held.material != material:
            return None
        form = {"grant_type": "refresh_token", **self._grant.refresh_form(material, held.token.refresh)}
        try:
            token = await self._fetch(exchange, form)
        except NotAuthorised:
            self._held = None
            _LOG.info("%s: the refresh token is not accepted any more; logging in anew", self._vault.connection)
            return None
        if token.refresh is None:
            return Token(token.access, held.token.refresh, token.expires_in)
        return token

    async def _fetch(self, exchange: Exchange, form: Mapping[str, str]) -> Token:
        reply = await exchange.token(form)
        return read_token(
            reply,
            form["grant_type"],
            self._vault.redactor,
            connection=self._vault.connection,
            now=datetime.now(UTC),
        )

    async def _revoke(self, exchange: Exchange, old: Token, new: Token | None) -> None:
        """Revoke the old token's parts that the new one does not have. What fails is logged: nothing depends on it."""
        kept = (new.refresh, new.access) if new is not None else ()
        for token in (old.refresh, old.access):
            if token is None or token in kept:
                continue
            try:
                reply = await exchange.revoke(token)
            except TicketSystemError as error:
                _LOG.warning("%s: a token could not be revoked: %s", self._vault.connection, error)
                continue
            if reply.status >= 300:
                _LOG.warning("%s: a token could not be revoked: HTTP %s", self._vault.connection, reply.status)
