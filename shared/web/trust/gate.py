"""The door of ``POST /api/secure/alerts``: lets a token in, or says why not."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import httpx

from shared.config.access import SecureWebhook
from shared.core.clouds import CLOUDS
from shared.platform.log import record
from shared.web.trust.keys import KeyStore
from shared.web.trust.tokens import TokenDenied, bearer, proven, unproven


@dataclass(frozen=True, slots=True)
class WebhookCaller:
    """Who was let in: ids of tenant and calling application."""

    tenant: str
    application: str


class WebhookGate:
    """Checks the tokens of one configuration.

    Args:
        settings: section ``secure_webhook``.
        keys: instead of those that Entra publishes.
        transport: instead of the network.
    """

    def __init__(
        self,
        settings: SecureWebhook,
        keys: KeyStore | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys or KeyStore(settings.authority or CLOUDS[settings.cloud].authority, transport)

    async def admit(self, header: str | None) -> WebhookCaller:
        """Check the value of an Authorization header. Raises TokenDenied, after telling the log which check failed."""
        try:
            found = unproven(bearer(header), self._settings)
            key = await self._keys.key(found.tenant, found.kid)
            claims = proven(found, key, self._settings)
        except TokenDenied as denied:
            record("token_refused", logging.WARNING, status=denied.status, check=denied.check, reason=str(denied))
            raise
        return WebhookCaller(found.tenant, str(claims.get("appid") or claims.get("azp")))
