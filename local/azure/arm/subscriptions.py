"""``/subscriptions``: those that the caller may see (REST reference, "Subscriptions")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.azure.arm.access import Access
from local.azure.arm.paging import page
from local.azure.arm.routing import Route, Target
from local.azure.call import Call
from local.azure.inventory import Inventory, Subscription
from local.azure.settings import Settings
from local.simulator_kit.calls import Answer

VERSIONS = ("2016-06-01", "2019-06-01", "2020-01-01", "2021-01-01", "2022-12-01")
READ = "Microsoft.Resources/subscriptions/read"


class Subscriptions:
    """Lists subscriptions."""

    def __init__(self, inventory: Inventory, access: Access, settings: Callable[[], Settings]) -> None:
        self._inventory = inventory
        self._access = access
        self._settings = settings

    def routes(self) -> list[Route]:
        """Addresses and actions."""
        return [
            Route("GET", "subscriptions", READ, VERSIONS, self._list),
            Route("GET", "subscriptions/{subscription}", READ, VERSIONS, self._get),
        ]

    def _list(self, call: Call, _target: Target) -> Answer:
        visible = self._access.subscriptions(call.who, READ)
        items, link = page(call, visible, self._settings().arm_page_size)
        value = [_as_json(self._inventory.subscriptions[key]) for key in items]
        count = {"type": "Total", "value": len(visible)}
        return Answer(200, {"value": value, "count": count, **({"nextLink": link} if link else {})})

    def _get(self, call: Call, target: Target) -> Answer:
        self._access.require(call.who, READ, f"/subscriptions/{target.args['subscription']}")
        return Answer(200, _as_json(self._inventory.subscriptions[target.args["subscription"].lower()]))


def _as_json(one: Subscription) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{one.id}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": one.id,
        "tenantId": one.tenant,
        "displayName": one.name,
        "state": one.state,
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "EnterpriseAgreement_2014-09-01",
            "spendingLimit": "Off",
        },
    }
