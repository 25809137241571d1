"""Resource Manager's front door: sign-in, limits, roles, then the provider that the address means."""

from __future__ import annotations

from collections.abc import Callable

from local.azure.arm.access import Access
from local.azure.arm.routing import Route, Router, Target
from local.azure.arm.throttle import Throttle
from local.azure.call import Call
from local.azure.inventory import subscription_id
from local.azure.settings import Settings
from local.simulator_kit.calls import Answer

_ALERTS = "microsoft.alertsmanagement/alerts"
#: Operations that look up rights themselves: they show each caller what it may see.
_OPEN = ("microsoft.resources/subscriptions/read", "microsoft.resourcegraph/resources/read")


class Arm:
    """Answers ``/subscriptions`` and every ``/providers/...`` address."""

    def __init__(
        self, access: Access, throttle: Throttle, routes: list[Route], settings: Callable[[], Settings]
    ) -> None:
        self._access = access
        self._throttle = throttle
        self._router = Router(routes)
        self._settings = settings

    def prepare(self, call: Call) -> tuple[Route, Target]:
        """Sign in and find the operation; scenarios look at both.

        Raises:
            Refusal: 401, 404, 405 or 400.
        """
        call.caller = self._access.sign_in(call)
        call.entry.user = call.caller.name
        route, target = self._router.find(call)
        call.operation = call.entry.target = route.action
        return route, target

    def serve(self, call: Call, prepared: tuple[Route, Target]) -> Answer:
        """Answer one prepared request.

        Raises:
            Refusal: limits, roles, or the provider's own.
        """
        route, target = prepared
        subscription = subscription_id(target.scope or call.path)
        action = route.action.lower()
        if action != _OPEN[1]:
            self._throttle.take(call, subscription, self._settings())
        if action not in _OPEN:
            self._access.require(call.who, route.action, target.scope or "/")
        if action.startswith(_ALERTS):
            self._throttle.take_alerts(subscription, "{" not in route.pattern, self._settings())
        return route.handler(call, target)

    @staticmethod
    def headers(call: Call) -> list[tuple[str, str]]:
        """Headers that every answer bears."""
        correlation = call.headers.get("x-ms-correlation-request-id") or call.entry.id
        headers = [
            ("x-ms-request-id", call.entry.id),
            ("x-ms-correlation-request-id", correlation),
            ("x-ms-routing-request-id", f"WESTEUROPE:{call.entry.time.replace(' ', 'T')}Z:{call.entry.id}"),
            ("Cache-Control", "no-cache"),
            ("Pragma", "no-cache"),
            ("Expires", "-1"),
        ]
        client = call.headers.get("x-ms-client-request-id")
        if client and call.headers.get("x-ms-return-client-request-id", "").lower() == "true":
            headers.append(("x-ms-client-request-id", client))
        return headers
