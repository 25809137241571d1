"""Is the resource of a ticket healthy again? Asked of Resource Health for routes that want it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from connectors.azure_monitor.subscriptions import SubscriptionSignIns
from shared.core.clouds import CloudName
from shared.core.errors import SourceError
from shared.core.signal import Signal
from shared.platform.log import record

if TYPE_CHECKING:
    from connectors.azure_monitor.settings import ReconcileSettings
    from connectors.microsoft.clients import MicrosoftClients


class ResourceHealth:
    """Asks with the sign-in that ``reconcile`` names for a subscription, and else with the app's own identity.

    Args:
        clients: opens Resource Manager.
        cloud: where the resources are.
        reconcile: names the applications of subscriptions of other tenants.
    """

    def __init__(self, clients: MicrosoftClients, cloud: CloudName, reconcile: ReconcileSettings | None = None) -> None:
        self._clients = clients
        self._cloud = cloud
        self._sign_ins = SubscriptionSignIns(reconcile)

    async def is_healthy(self, signal: Signal) -> bool:
        """Whether all resources of a signal that Azure knows are available. False when that cannot be found out.

        Never raises: it is asked again, and the log says what stands in the way.
        """
        resources = [(one.id, one.subscription_id) for one in signal.resources if one.id and one.subscription_id]
        try:
            return bool(resources) and all([await self._is_available(*one) for one in resources])
        except SourceError as error:
            record("resource_health_unavailable", logging.WARNING, key=signal.key, code=error.code, reason=str(error))
            return False

    async def _is_available(self, resource: str, subscription: str) -> bool:
        from connectors.azure_monitor.health_api import is_available

        manager = self._clients.resource_manager(self._cloud, self._sign_ins.of(subscription))
        return await is_available(manager, resource)
