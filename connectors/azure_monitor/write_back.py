"""Tells Azure Monitor what became of its alerts' tickets: Acknowledged while people work on them, Closed after.

An alert has two states that know nothing of each other: the condition, which Azure alone changes, and the state that
people give it. The bridge changes the second. It reads the alert first, so that one that is in that state already, by
whoever's hand, gets no second entry in its history.

The ticket of a group stands for many alerts, and its link names none: for it nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from connectors.azure_monitor.settings import AlertStateSettings
from connectors.azure_monitor.write_back_rules import alert_id, wanted
from shared.core.link import Link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from connectors.azure_monitor.api import AlertsManagement
    from connectors.azure_monitor.settings import ReconcileSettings
    from connectors.microsoft import ResourceManager
    from connectors.microsoft.identities import Identities

#: Gives everything that the state of a link's ticket may be called: its name, and the stored value.
StateNames = Callable[[Link], Collection[str]]

FIXES: Mapping[int, str] = MappingProxyType(
    {
        401: "Fix: the subscription belongs to another tenant (list it in 'reconcile' with a 'sign_in'), or the "
        "identity is disabled",
        403: "Fix: assign the role of docs/resync.md to the app's identity on this subscription; it takes some minutes",
    }
)


class AlertStateApi(Protocol):
    """States of the alerts of one subscription. See ``connectors.azure_monitor.AlertsManagement``."""

    async def state(self, name: str) -> str | None: ...

    async def change_state(self, name: str, state: str, comment: str = "") -> bool: ...


class AlertWriteBack:
    """The counterpart of source ``azure_monitor``. See ``shared.delivery.write_back.Counterpart``.

    Args:
        settings: of the configuration.
        called: what the state of a ticket may be called; its first is what people call it.
        subscription: the alerts of a subscription.
    """

    def __init__(
        self, settings: AlertStateSettings, called: StateNames, subscription: Callable[[str], AlertStateApi]
    ) -> None:
        self._settings = settings
        self._called = called
        self._subscription = subscription

    def wants(self, link: Link) -> str:
        """``<state> <name of the alert>``. See ``alert_rules.wanted``."""
        return wanted(link, self._settings, self._called(link))

    async def tell(self, link: Link, what: str) -> None:
        """Give the alert its state: one or two calls. An alert that Azure has no more (after 30 days) is no error.

        Raises SourceUnavailable and SourceRefused.
        """
        state, _, name = what.partition(" ")
        alert = alert_id(link.origin)
        if alert is None or alert.name != name:
            return  # the problem has another alert now, which is told by itself
        alerts = self._subscription(alert.subscription)
        if await alerts.state(name) in (None, state):
            return
        await alerts.change_state(name, state, self._comment(link) if self._settings.comment else "")

    def _comment(self, link: Link) -> str:
        ticket = link.ticket
        if ticket is None:
            return ""
        named = next(iter(self._called(link)), "") or link.stage.value
        where = f": {ticket.url}" if ticket.url else ""
        return f"{ticket.number or ticket.id} is {named} (Azure ITSM Bridge){where}"


class AlertSubscriptions:
    """Opens the alerts of subscriptions, each with the identity that may change them.

    Each is kept, because it keeps to the rate that Azure allows its subscription.

    Args:
        reconcile: names the applications of subscriptions of other tenants. The app's own identity is used for all
            others.
        identities: gives credentials; closed with this object.
    """

    def __init__(self, reconcile: ReconcileSettings | None, identities: Identities) -> None:
        known = reconcile.subscriptions if reconcile is not None else []
        self._sign_ins = {one.id.lower(): one.sign_in for one in known}
        self._identities = identities
        self._managers: dict[tuple[str, str], ResourceManager] = {}
        self._open: dict[str, AlertsManagement] = {}
        self._stack = AsyncExitStack()
        self._stack.push_async_callback(identities.aclose)

    def __call__(self, subscription: str) -> AlertsManagement:
        """The alerts of a subscription."""
        found = self._open.get(subscription)
        if found is None:
            from connectors.azure_monitor.api import AlertsManagement

            found = self._open[subscription] = AlertsManagement(subscription, self._manager(subscription))
        return found

    def _manager(self, subscription: str) -> ResourceManager:
        from connectors.microsoft import ResourceManager

        sign_in = self._sign_ins.get(subscription)
        who = ("", "") if sign_in is None else (sign_in.tenant, sign_in.client_id)
        found = self._managers.get(who)
        if found is None:
            reach = self._identities.reach
            credential = self._identities.credential(sign_in)
            found = ResourceManager(credential, reach.endpoint, fixes=FIXES, trust=reach.trust)
            self._managers[who] = found
            self._stack.push_async_callback(found.aclose)
        return found

    async def aclose(self) -> None:
        """Close connections and credentials."""
        self._open.clear()
        self._managers.clear()
        await self._stack.aclose()
