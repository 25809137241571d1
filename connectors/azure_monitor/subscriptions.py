"""Opens Azure's lists of alerts, each with the identity that may read and change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from connectors.azure_monitor.settings import ReconcileSettings
from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName

if TYPE_CHECKING:
    from connectors.azure_monitor.api import AlertsManagement
    from connectors.microsoft.clients import MicrosoftClients


class SubscriptionSignIns:
    """Which application the configuration names for a subscription. The app's own identity is used for all others.

    Args:
        reconcile: section ``reconcile``, None where there is none.
    """

    def __init__(self, reconcile: ReconcileSettings | None) -> None:
        self._sign_ins = {one.id.lower(): one.sign_in for one in reconcile.subscriptions} if reconcile else {}

    def of(self, subscription: str) -> SignIn | None:
        """The sign-in of a subscription, given its id in any case; None for the app's own identity."""
        return self._sign_ins.get(subscription.lower())


class AlertSubscriptions:
    """The alerts of subscriptions. Each is kept, because it keeps to the rate that Azure allows its subscription.

    Args:
        clients: opens Resource Manager.
        cloud: of the subscriptions.
        reconcile: names the applications of subscriptions of other tenants.
        fixes: what to do about an answer, by its status. None: what ``ResourceManager`` says.
    """

    def __init__(
        self,
        clients: MicrosoftClients,
        cloud: CloudName,
        reconcile: ReconcileSettings | None,
        fixes: Mapping[int, str] | None = None,
    ) -> None:
        self._clients = clients
        self._cloud = cloud
        self._sign_ins = SubscriptionSignIns(reconcile)
        self._fixes = fixes
        self._open: dict[str, AlertsManagement] = {}

    def open(self, subscription: str) -> AlertsManagement:
        """The alerts of a subscription."""
        found = self._open.get(subscription)
        if found is None:
            from connectors.azure_monitor.api import AlertsManagement

            manager = self._clients.resource_manager(self._cloud, self._sign_ins.of(subscription), self._fixes)
            found = self._open[subscription] = AlertsManagement(subscription, manager)
        return found
