"""Tells Azure Monitor what became of its alerts' tickets: Acknowledged while people work on them, Closed after.

An alert has two states that know nothing of each other: the condition, which Azure alone changes, and the state that
people give it. The bridge changes the second. It reads the alert first, so that one that is in that state already, by
whoever's hand, gets no second entry in its history.

The ticket of a group stands for many alerts, and its link names none: for it nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from connectors.azure_monitor.settings import AlertStateSettings
from connectors.azure_monitor.write_back_rules import alert_id, wanted
from shared.core.link import Link

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    """The write-back of source ``azure_monitor``. See ``shared.delivery.write_back.WriteBackTarget``.

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

    async def push(self, link: Link, what: str) -> None:
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
