"""Tables of Resource Graph, made from what Resource Manager holds.

Source: Resource Graph docs, "Supported tables and resource types", and its published sample queries. Differences to the
REST API: types and group names in lower case, ``properties.resourceDetails`` in PascalCase (``Id``, ``Source``),
``links.azurePortal``.
"""

from __future__ import annotations

from typing import Any

from local.azure.arm.alert_store import AlertStore
from local.azure.arm.defender_store import Defender
from local.azure.inventory import Inventory, Resource, resource_group, subscription_id
from local.azure.resource_graph.steps import Row

#: Columns of every table.
COLUMNS = (
    "id",
    "name",
    "type",
    "tenantId",
    "kind",
    "location",
    "resourceGroup",
    "subscriptionId",
    "managedBy",
    "sku",
    "plan",
    "properties",
    "tags",
    "identity",
    "zones",
    "extendedLocation",
)
TABLES = dict.fromkeys(("resources", "resourcecontainers", "securityresources", "alertsmanagementresources"), COLUMNS)
_SUBSCRIPTION = "microsoft.resources/subscriptions"
_GROUP = "microsoft.resources/subscriptions/resourcegroups"
#: Types that stand in ``resourcecontainers`` and not in ``resources``.
_CONTAINERS = (_SUBSCRIPTION, _GROUP)
#: Sources of a recommendation's resource whose spelling differs here.
_PASCAL = {"id": "Id", "source": "Source"}


class Tables:
    """Builds rows."""

    def __init__(self, inventory: Inventory, alerts: AlertStore, defender: Defender) -> None:
        self._inventory = inventory
        self._alerts = alerts
        self._defender = defender

    def rows(self, table: str, subscriptions: set[str], kept_days: int) -> list[Row]:
        """Rows of a table in some subscriptions (ids in lower case)."""
        match table:
            case "resources":
                made = self._resources()
            case "resourcecontainers":
                made = self._containers()
            case "securityresources":
                made = self._security()
            case _:
                made = self._monitor(kept_days)
        return [row for row in made if row["subscriptionId"] in subscriptions]

    def _row(self, item_id: str, name: str, kind: str, properties: Any, **more: Any) -> Row:
        row: Row = dict.fromkeys(COLUMNS)
        row |= {
            "id": item_id,
            "name": name,
            "type": kind.lower(),
            "tenantId": self._inventory.tenant_of(item_id),
            "kind": "",
            "location": "",
            "resourceGroup": resource_group(item_id).lower(),
            "subscriptionId": subscription_id(item_id),
            "managedBy": "",
            "properties": properties,
        }
        return row | more

    def _resources(self) -> list[Row]:
        return [self._of(one) for one in self._inventory.resources.values() if one.type.lower() not in _CONTAINERS]

    def _of(self, one: Resource) -> Row:
        return self._row(one.id, one.name, one.type, one.properties, location=one.location, tags=one.tags or None)

    def _containers(self) -> list[Row]:
        made = []
        for one in self._inventory.subscriptions.values():
            chain = [{"name": name, "displayName": name} for name in reversed(one.groups)]
            properties = {"state": one.state, "managementGroupAncestorsChain": chain}
            own = f"/subscriptions/{one.id}"
            known = self._inventory.resources.get(own.lower())  # added with tags
            tags = (known.tags if known is not None else {}) or None
            made.append(self._row(own, one.name, _SUBSCRIPTION, properties, tags=tags))
        groups = [one for one in self._inventory.resources.values() if one.type.lower() == _GROUP]
        return [*made, *map(self._of, groups)]

    def _security(self) -> list[Row]:
        defender = self._defender
        made = [
            self._row(item["id"], item["name"], item["type"], _assessment(item["properties"]))
            for item in defender.assessments.values()
        ]
        for store in (defender.sub_assessments, defender.governance, defender.alerts):
            made += [self._row(item["id"], item["name"], item["type"], item["properties"]) for item in store.values()]
        return made

    def _monitor(self, kept_days: int) -> list[Row]:
        return [
            self._row(
                f"/subscriptions/{subscription_id(alert.target)}/providers/Microsoft.AlertsManagement/alerts/{alert.name}",
                alert.title,
                "microsoft.alertsmanagement/alerts",
                alert.as_json()["properties"],
                resourceGroup=alert.essentials["targetResourceGroup"],
            )
            for alert in self._alerts.living(kept_days)
        ]


def _assessment(properties: dict[str, Any]) -> dict[str, Any]:
    """Properties of an assessment as this table spells them."""
    changed = dict(properties)
    details = properties.get("resourceDetails") or {}
    changed["resourceDetails"] = {_PASCAL.get(name, name): value for name, value in details.items()}
    links = properties.get("links") or {}
    if "azurePortalUri" in links:
        changed["links"] = {"azurePortal": links["azurePortalUri"]}
    return changed
