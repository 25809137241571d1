"""Opens Azure's lists of alerts, each with the identity that may read it."""

from __future__ import annotations

from connectors.azure_monitor.api import AlertsManagement
from connectors.azure_monitor.settings import ReconcileSettings
from connectors.microsoft import ResourceManager
from connectors.microsoft.identities import CloudEndpoints, Identities
from shared.core.secrets import SecretSource


class Subscriptions:
    """The lists of the configured subscriptions.

    Args:
        settings: of the configuration.
        secrets: gives client secrets.
        reach: instead of the configured cloud.
    """

    def __init__(self, settings: ReconcileSettings, secrets: SecretSource, reach: CloudEndpoints | None = None) -> None:
        self._sign_ins = {one.id: one.sign_in for one in settings.subscriptions}
        self._identities = Identities(settings.cloud, secrets, reach)

    def open(self, subscription: str) -> AlertsManagement:
        """The list of a configured subscription; closing it leaves the credentials open."""
        reach = self._identities.reach
        credential = self._identities.credential(self._sign_ins[subscription])
        return AlertsManagement(subscription, ResourceManager(credential, reach.endpoint, trust=reach.trust))

    async def aclose(self) -> None:
        """Close credentials."""
        await self._identities.aclose()
