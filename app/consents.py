"""A person consents to what a connection does, instead of storing a password; and takes that back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.core.errors import ConfigurationError, SecretUnavailable, TicketSystemError
from shared.core.secrets import SecretKeeper
from shared.core.tokens import TakesConsent
from shared.platform.log import record

if TYPE_CHECKING:
    from app.container import Container
    from shared.core.tokens import ConsentDesk, StoredToken


class Consents:
    """Puts refresh tokens into the secret store, and takes them out."""

    def __init__(self, services: Container) -> None:
        self._services = services

    def desk(self, connection: str) -> ConsentDesk:
        """Where consent to a connection is asked for.

        Raises ConfigurationError when its log-in needs none, and Refused when there is no such connection.
        """
        system = self._services.opened_systems.real_system(connection, budgeted=False)
        desk = system.consent_desk() if isinstance(system, TakesConsent) else None
        if desk is None:
            raise ConfigurationError(
                [
                    f"connections.{connection}.auth: this kind of log-in needs no person. Fix: nothing, if 'bridge.py "
                    "check' is content; to log in with consent set 'type: oauth_authorization_code'"
                ]
            )
        return desk

    def store(self, secret: str) -> SecretKeeper:
        """The secret store. Raises SecretUnavailable where it cannot be written."""
        source = self._services.secrets
        if not isinstance(source, SecretKeeper):
            raise SecretUnavailable(
                f"secret '{secret}' cannot be written: without a key vault, secrets are application settings, and a "
                "token in a file would be a password in a file. Fix: set KEY_VAULT_URL (az login as somebody with the "
                "role 'Key Vault Secrets Officer'). To try the bridge on your machine, choose a log-in that needs no "
                "person, such as oauth_client_credentials: all simulated instances offer it"
            )
        return source

    async def keep(self, connection: str, desk: ConsentDesk, token: StoredToken) -> str:
        """Store a refresh token, and revoke the one before.

        Returns what went wrong with that, empty when nothing did. Raises SecretUnavailable when the new one could not
        be stored; it is revoked then.
        """
        store = self.store(desk.secret)
        try:
            before = await store.get(desk.secret, refresh=True)
        except SecretUnavailable:
            before = ""
        try:
            await store.put(desk.secret, token.token, token.ends)
        except SecretUnavailable:
            await self._revoked(desk, token.token)
            raise
        record("consent_stored", connection=connection, ends=token.ends.isoformat() if token.ends else None)
        return await self._revoked(desk, before, token.token) if before and before != token.token else ""

    async def end(self, connection: str, desk: ConsentDesk) -> tuple[bool, str]:
        """Revoke the refresh token at the ticket system and disable the secret, whatever fails of that.

        Returns whether there was a token, and what went wrong. Raises SecretUnavailable when the secret could not be
        disabled.
        """
        store = self.store(desk.secret)
        try:
            token = await store.get(desk.secret, refresh=True)
        except SecretUnavailable as error:
            token, problem = "", str(error)
        else:
            problem = await self._revoked(desk, token)
        await store.disable(desk.secret)
        await desk.forget()
        record("consent_ended", logging.WARNING, connection=connection, reason=problem or None)
        return bool(token), problem

    async def _revoked(self, desk: ConsentDesk, token: str, spare: str = "") -> str:
        """Revoke a token; what went wrong."""
        try:
            await desk.revoke(token, spare=spare)
        except TicketSystemError as error:
            return str(error)
        return ""
