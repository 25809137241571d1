"""What webhooks do between an HTTP request and the queue: who may call, and the messages to put on the queue."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from shared.core.errors import ConfigurationError
from shared.platform.log import record

if TYPE_CHECKING:
    from app.container import Container
    from shared.core.messages import Message
    from shared.web.intake import Accepted
    from shared.web.trust.gate import WebhookGate


class Webhook:
    """Used by every trigger that takes signals in."""

    def __init__(self, services: Container) -> None:
        self._services = services

    async def message(self, message: Message) -> str:
        """The text of a message for the queue. Only one too large for the queue touches storage.

        Raises StorageUnavailable.
        """
        from shared.core.messages import MAX_MESSAGE_BYTES, encode

        text = encode(message)
        return text if len(text) <= MAX_MESSAGE_BYTES else await self._services.queue.encoded(message)

    def record_accepted(self, accepted: Accepted) -> None:
        """Log that each signal is on the queue. Items that nobody could read are logged when they are quarantined."""
        from shared.delivery.event_log import record_accepted

        for message in accepted.messages:
            record_accepted(message)

    @cached_property
    def _gate(self) -> WebhookGate | ConfigurationError | None:
        from shared.config.access import SecureWebhook
        from shared.config.load import load_section
        from shared.web.trust.gate import WebhookGate

        try:
            # By itself: a mistake in a route must not cost an alert.
            settings = load_section(
                self._services.config_path, "secure_webhook", SecureWebhook, self._services.settings
            )
        except ConfigurationError as error:
            return error
        return None if settings is None else WebhookGate(settings)

    async def authenticate(self, authorization: str | None) -> None:
        """Let a caller of the secure webhook in by its Authorization header, or not.

        Raises Problem: 401 or 403 for a token that is not accepted, 404 when no secure webhook is configured, 503 when
        keys or configuration are unavailable, so that Azure calls again.
        """
        from shared.core.problem import Problem
        from shared.web.intake import refused_token

        gate = self._gate
        if gate is None:
            raise Problem(
                404, "Not configured", "This bridge has no secure webhook: bridge.yaml has no 'secure_webhook'."
            )
        if isinstance(gate, ConfigurationError):
            record("configuration_invalid", logging.ERROR, problems=gate.problems)
            raise Problem(503, "Configuration invalid", "The app's log says what is wrong.", {"Retry-After": "20"})
        from shared.web.trust.tokens import TokenDenied

        try:
            await gate.admit(authorization)
        except TokenDenied as denied:
            raise refused_token(denied.status) from None
