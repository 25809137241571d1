"""Sections ``reconcile`` and ``resync.alerts``: can alerts be read, and may their states be changed?"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime, timedelta

from connectors.azure_monitor.api import AlertsManagement
from connectors.azure_monitor.write_back import FIXES as TELL_FIXES
from connectors.microsoft import ResourceManager
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.check_rights import allowed
from connectors.microsoft.check_sign_in import signed_in
from connectors.microsoft.clients import MicrosoftClients
from connectors.microsoft.settings import SignIn
from shared.core.clouds import CloudName
from shared.core.errors import SourceError

CHANGE_STATE = "Microsoft.AlertsManagement/alerts/changestate/action"

#: The list is only asked whether it may be read.
_SPAN = timedelta(minutes=1)

#: The grace of ``reconcile`` makes up for a clock that is a little off.
MOST_SKEW = timedelta(minutes=2)

#: Subscriptions that are looked at where the configuration does not list them.
MOST_UNLISTED = 20

_SUBSCRIPTIONS_VERSION = "2022-12-01"
_MISSING = "Correct the subscription's id in the configuration, or give the identity a role there."


class AlertChecks:
    """Both sections, subscription by subscription.

    Args:
        clients: opens Resource Manager.
        cloud: of the subscriptions.
        now: the clock.
    """

    def __init__(self, clients: MicrosoftClients, cloud: CloudName, now: Callable[[], datetime]) -> None:
        self._clients = clients
        self._cloud = cloud
        self._now = now

    async def listed(self, subscription: str, sign_in: SignIn | None, lines: CheckLines) -> None:
        """What ``reconcile`` needs of a subscription. Raises SourceError only for what is not foreseen."""
        manager = self._clients.resource_manager(self._cloud, sign_in)
        if await signed_in(manager, sign_in, lines) is None:
            return
        await self._readable(manager, subscription, lines)
        served, now = manager.served_at, self._now()
        if served is not None and abs(now - served) > MOST_SKEW:
            seconds = round(abs(now - served).total_seconds())
            way = "ahead of" if now > served else "behind"
            lines.warning(
                "clock",
                f"this machine's clock is {seconds} s {way} Azure's",
                "Let the machine keep its clock by NTP.",
            )

    async def told(self, subscription: str, sign_in: SignIn | None, lines: CheckLines) -> None:
        """What ``resync.alerts`` needs of a subscription."""
        manager = self._clients.resource_manager(self._cloud, sign_in, TELL_FIXES)
        if await signed_in(manager, sign_in, lines) is not None:
            await self._tellable(manager, subscription, lines, "")

    async def told_unlisted(self, lines: CheckLines) -> None:
        """The same for the subscriptions that the app's own identity sees, as the configuration lists none."""
        manager = self._clients.resource_manager(self._cloud, None, TELL_FIXES)
        if await signed_in(manager, None, lines) is None:
            return
        try:
            body = await manager.get("/subscriptions", {"api-version": _SUBSCRIPTIONS_VERSION})
        except SourceError as error:
            lines.error("subscriptions", error)
            return
        value = body.get("value")
        rows = value if isinstance(value, list) else []
        found = [str(row["subscriptionId"]) for row in rows if isinstance(row, dict) and row.get("subscriptionId")]
        if not found:
            lines.failed(
                "subscriptions",
                "the identity sees no subscription",
                "Assign the role of docs/resync.md to the app's identity on the subscriptions of the alerts.",
            )
            return
        if len(found) > MOST_UNLISTED or body.get("nextLink"):
            lines.warning("subscriptions", f"the identity sees many; {MOST_UNLISTED} of them are checked")
        for subscription in found[:MOST_UNLISTED]:
            await self._tellable(manager, subscription, lines, f"{subscription}: ")

    async def _tellable(self, manager: ResourceManager, subscription: str, lines: CheckLines, prefix: str) -> None:
        if await self._readable(manager, subscription, lines, prefix):
            fix = (
                f"Assign the role of docs/resync.md, or another with {CHANGE_STATE}, to the identity on this "
                "subscription. Or take resync.alerts out."
            )
            await allowed(manager, subscription, [CHANGE_STATE], lines, f"{prefix}change state", fix)

    async def _readable(self, manager: ResourceManager, subscription: str, lines: CheckLines, prefix: str = "") -> bool:
        line = f"{prefix}alerts"
        now = self._now()
        alerts = AlertsManagement(subscription, manager)
        try:
            async with aclosing(alerts.pages(now - _SPAN, now)) as pages:
                await anext(pages)
        except SourceError as error:
            lines.error(line, error, _MISSING if error.status == 404 else "")
            return False
        lines.ok(line, "can be read")
        return True
