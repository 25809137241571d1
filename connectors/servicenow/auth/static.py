"""Credentials that go with every request as they are: user name and password, API key, client certificate.

Source: ServiceNow docs, "REST API authentication", "API key and HMAC authentication", "Certificate-based
authentication".
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import replace

from connectors.servicenow.auth.base import Exchange, Proof, Vault
from connectors.servicenow.secrecy import Secret
from connectors.servicenow.settings import ApiKeyAuth, BasicAuth, MutualTls

#: Reads the secrets (past any cache when True) and makes the proof of them.
SecretReader = Callable[[bool], Awaitable[Proof]]


class Static:
    """Secrets are read for each request (their source caches them), so a rotated one is used without a restart."""

    def __init__(self, read: SecretReader) -> None:
        self._read = read
        self._issue = 0

    async def proof(self, exchange: Exchange) -> Proof:
        """The present values."""
        del exchange
        issue = self._issue
        return replace(await self._read(False), issue=issue)

    async def renew(self, refused: Proof, exchange: Exchange) -> None:
        """Read the secrets past any cache, once per refusal however many requests met it."""
        del exchange
        if refused.issue == self._issue:
            self._issue += 1
            await self._read(True)

    async def revoke(self, exchange: Exchange) -> None:
        """There is nothing to revoke."""
        del exchange


def basic(settings: BasicAuth, vault: Vault) -> Static:
    """User name and password (RFC 7617)."""

    async def read(refresh: bool) -> Proof:
        password = await vault.read(settings.password, refresh=refresh)
        pair = Secret(base64.b64encode(f"{settings.username}:{password}".encode()).decode())
        vault.redactor.learn(pair)
        return Proof({"Authorization": Secret(f"Basic {pair}")})

    return Static(read)


def api_key(settings: ApiKeyAuth, vault: Vault) -> Static:
    """A key in a header."""

    async def read(refresh: bool) -> Proof:
        return Proof({settings.header: await vault.read(settings.key, refresh=refresh, plain=True)})

    return Static(read)


def client_certificate(settings: MutualTls, vault: Vault) -> Static:
    """The TLS handshake proves who we are; no header is sent."""

    async def read(refresh: bool) -> Proof:
        chain = await vault.read_pem(settings.certificate, refresh=refresh)
        key = await vault.read_pem(settings.private_key, refresh=refresh)
        return Proof(certificate=(chain, key))

    return Static(read)
