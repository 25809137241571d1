"""A person consents to what a connection does, instead of storing a password; and takes that back."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from shared.core.errors import BridgeError, ConfigurationError, ConsentMissing, SecretUnavailable, TicketSystemError
from shared.core.tokens import TakesConsent
from shared.platform.log import record

if TYPE_CHECKING:
    from app.container import Container
    from shared.core.tokens import ConsentFlow, StoredToken


class Consents:
    """Keeps what a consent gave, and ends it."""

    def __init__(self, services: Container) -> None:
        self._services = services

    def flow(self, connection: str) -> ConsentFlow:
        """Where consent to a connection is asked for.

        Raises ConfigurationError when its log-in needs none, and Refused when there is no such connection.
        """
        system = self._services.opened_systems.real_system(connection, budgeted=False)
        flow = system.consent_flow() if isinstance(system, TakesConsent) else None
        if flow is None:
            raise ConfigurationError(
                [
                    f"connections.{connection}.auth: this kind of log-in needs no person. Fix: nothing, if 'bridge.py "
                    "check' is content; to log in with consent set 'type: oauth_authorization_code'"
                ]
            )
        return flow

    async def keep(self, connection: str, flow: ConsentFlow, token: StoredToken) -> str:
        """Keep a refresh token, and revoke what the connection used before.

        Returns what went wrong with that, empty when nothing did. Raises SecretUnavailable, StorageUnavailable and
        TicketSystemError when the new one could not be kept; it is revoked then.
        """
        try:
            before = await flow.issued()
        except SecretUnavailable:
            before = ()  # there is none yet, or it was disabled; a vault that is away refuses the new one, too
        try:
            await flow.keep(token)
        except BridgeError:
            await _revoked(flow, (token.token,))
            raise
        record("consent_stored", connection=connection, ends=token.ends.isoformat() if token.ends else None)
        return await _revoked(flow, (one for one in before if one != token.token))

    async def end(self, connection: str, flow: ConsentFlow) -> tuple[bool, str]:
        """Revoke the tokens of a connection and forget them, whatever fails of that.

        Returns whether there were any, and what went wrong. Raises SecretUnavailable and StorageUnavailable when they
        could not be forgotten.
        """
        tokens, problem = [], ""
        try:
            tokens = list(await flow.issued())
        except ConsentMissing:
            pass
        except SecretUnavailable as error:
            problem = str(error)
        problem = await _revoked(flow, tokens) or problem
        await flow.forget()
        record("consent_ended", logging.WARNING, connection=connection, reason=problem or None)
        return bool(tokens), problem


async def _revoked(flow: ConsentFlow, tokens: Iterable[str]) -> str:
    """Revoke tokens; what went wrong first."""
    problem = ""
    for token in tokens:
        try:
            await flow.revoke(token)
        except TicketSystemError as error:
            problem = problem or str(error)
    return problem
