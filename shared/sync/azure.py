"""Opens Azure's lists of alerts, each with the identity that may read it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.azure_monitor import CLOUDS, AlertsManagement, Endpoint, ResourceManager
from connectors.azure_monitor.sign_in import Application, own_identity
from shared.config.sync import Reconcile
from shared.secrets import SecretSource
from shared.trust.clouds import CLOUDS as AUTHORITIES

if TYPE_CHECKING:
    import ssl

    from azure.core.credentials_async import AsyncTokenCredential


@dataclass(frozen=True, slots=True)
class Reach:
    """A cloud that is none of Microsoft's public ones: where it is, and how its certificates are trusted.

    ``sign_in`` are further keyword arguments of azure-identity's credentials.
    """

    endpoint: Endpoint
    authority: str
    trust: ssl.SSLContext | None = None
    sign_in: Mapping[str, Any] = field(default_factory=dict)


class Subscriptions:
    """The lists of the configured subscriptions. Credentials are kept, because their tokens are good for an hour.

    Args:
        settings: of the configuration.
        secrets: gives client secrets.
        reach: instead of the configured cloud.
    """

    def __init__(self, settings: Reconcile, secrets: SecretSource, reach: Reach | None = None) -> None:
        self._sign_ins = {one.id: one.sign_in for one in settings.subscriptions}
        self._cloud = settings.cloud
        self._secrets = secrets
        self._reach = reach or Reach(CLOUDS[settings.cloud], AUTHORITIES[settings.cloud].authority)
        self._credentials: dict[tuple[str, str], AsyncTokenCredential] = {}
        self._stack = AsyncExitStack()

    def open(self, subscription: str) -> AlertsManagement:
        """The list of a configured subscription; closing it leaves the credentials open."""
        reach = self._reach
        return AlertsManagement(
            subscription, ResourceManager(self._credential(subscription), reach.endpoint, trust=reach.trust)
        )

    async def aclose(self) -> None:
        """Close credentials."""
        self._credentials.clear()
        await self._stack.aclose()

    def _credential(self, subscription: str) -> AsyncTokenCredential:
        sign_in = self._sign_ins[subscription]
        who = ("", "") if sign_in is None else (sign_in.tenant, sign_in.client_id)
        found = self._credentials.get(who)
        if found is None:
            if sign_in is None:
                found = own_identity(self._cloud)
            else:
                found = Application(
                    sign_in.tenant,
                    sign_in.client_id,
                    sign_in.client_secret.secret,
                    self._secrets,
                    authority=self._reach.authority,
                    **self._reach.sign_in,
                )
            self._credentials[who] = found
            self._stack.push_async_callback(found.close)
        return found
