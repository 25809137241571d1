"""Azure Monitor alerts as objects: fired, resolved, acknowledged, closed, with their history.

Source: REST specification of Microsoft.AlertsManagement (alerts) and Azure Monitor docs, "Common alert schema".
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local.azure.inventory import Inventory, resource_group, subscription_id, type_of
from local.azure.times import iso0, iso7
from local.simulator_kit.clock import Clock

#: Names that the webhook uses where they differ from ``monitorService`` of the REST API.
_WEBHOOK_SERVICES = {"Log Analytics": "Log Alerts V2"}
#: What an order to fire may say.
ORDER = (
    "resource",
    "rule",
    "severity",
    "monitorService",
    "signalType",
    "description",
    "originAlertId",
    "suppressed",
    "customProperties",
    "context",
    "id",
    "at",
)


@dataclass(slots=True)
class Alert:
    """One alert instance. ``essentials`` is the REST object's; ``history`` has the newest first."""

    name: str
    title: str
    target: str
    started: datetime
    modified: datetime
    essentials: dict[str, Any]
    context: dict[str, Any] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, str]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Id below the target resource, whose part is in lower case."""
        return f"{self.target.lower()}/providers/Microsoft.AlertsManagement/alerts/{self.name}"

    def as_json(self, context: bool = True, egress: bool = True) -> dict[str, Any]:
        """The REST object, with or without the parts that a list leaves out."""
        properties: dict[str, Any] = {"essentials": dict(self.essentials)}
        if context:
            properties["context"] = {"context": self.context}
        if egress:
            properties["egressConfig"] = {}
        if self.custom:
            properties["customProperties"] = dict(self.custom)
        return {
            "id": self.id,
            "type": "Microsoft.AlertsManagement/alerts",
            "name": self.title,
            "properties": properties,
        }


class AlertStore:
    """All alerts, by GUID."""

    def __init__(self, inventory: Inventory, clock: Clock) -> None:
        self._inventory = inventory
        self._clock = clock
        self.alerts: dict[str, Alert] = {}

    def get(self, name: str, kept_days: int) -> Alert | None:
        """An alert that exists and is not too old."""
        alert = self.alerts.get(name.lower())
        return alert if alert is not None and self._lives(alert, kept_days) else None

    def living(self, kept_days: int) -> list[Alert]:
        """Every alert that is not too old."""
        return [alert for alert in self.alerts.values() if self._lives(alert, kept_days)]

    def _lives(self, alert: Alert, kept_days: int) -> bool:
        return alert.started > self._clock.now() - timedelta(days=kept_days)

    def fire(self, order: dict[str, Any]) -> Alert:
        """Make an alert: ``resource`` is needed, all else has defaults (see :data:`ORDER`).

        Raises:
            ValueError: something in the order does not fit.
            KeyError: the resource's subscription is not known.
        """
        unknown = order.keys() - set(ORDER)
        if unknown or not order.get("resource"):
            raise ValueError(f"resource is needed; fields are {', '.join(ORDER)}")
        target = "/" + str(order["resource"]).strip("/")
        if not self._inventory.tenant_of(target):
            raise KeyError(target)
        severity = str(order.get("severity", "Sev3"))
        if severity not in {f"Sev{level}" for level in range(5)}:
            raise ValueError("severity: Sev0 to Sev4")
        name = str(uuid.UUID(str(order["id"]))) if order.get("id") else str(uuid.uuid4())
        now = datetime.fromisoformat(str(order["at"])) if order.get("at") else self._clock.now()
        rule = self._rule(str(order.get("rule", "High CPU")), target)
        title = rule.rpartition("/")[2]
        service, signal = str(order.get("monitorService", "Platform")), str(order.get("signalType", "Metric"))
        origin = str(
            order.get("originAlertId") or f"{uuid.uuid4()}_{rule.replace('/', '_')}_{target.rpartition('/')[2]}"
        )
        custom = {str(key): str(value) for key, value in (order.get("customProperties") or {}).items()}
        alert = Alert(name, title, target, now, now, {}, dict(order.get("context") or {}), custom)
        alert.essentials = {
            "severity": severity,
            "signalType": signal,
            "alertState": "New",
            "monitorCondition": "Fired",
            "monitorService": service,
            "targetResource": target.lower(),
            "targetResourceName": target.rpartition("/")[2],
            "targetResourceGroup": resource_group(target).lower(),
            "targetResourceType": type_of(target).lower(),
            "sourceCreatedId": origin,
            "smartGroupId": str(uuid.uuid5(uuid.NAMESPACE_URL, rule)),
            "smartGroupingReason": "Occurred frequently with other alerts",
            "alertRule": rule,
            "startDateTime": iso7(now),
            "lastModifiedDateTime": iso7(now),
            "lastModifiedUserName": "System",
            "actionStatus": {"isSuppressed": bool(order.get("suppressed", False))},
            "description": str(order.get("description", "")),
        }
        self._note(alert, "AlertCreated", "", "", "System", "", "New Alert Object is created")
        self.alerts[name] = alert
        self._inventory.touch()
        return alert

    def _rule(self, rule: str, target: str) -> str:
        if rule.startswith("/"):
            return rule
        group = resource_group(target) or "rg-monitoring"
        subscription = subscription_id(target)
        return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights/metricAlerts/{rule}"

    def set_condition(self, alert: Alert, condition: str) -> None:
        """Azure resolves an alert; its state stays as it is.

        Raises:
            ValueError: no such condition, or it fires again, which would be a new alert.
        """
        old = alert.essentials["monitorCondition"]
        if condition != "Resolved" or old == "Resolved":
            raise ValueError("monitorCondition: only from Fired to Resolved; what fires again is a new alert")
        now = self._clock.now()
        alert.essentials["monitorCondition"] = condition
        alert.essentials["monitorConditionResolvedDateTime"] = iso7(now)
        self._modified(alert, "System", now)
        text = f"Monitor condition changed from '{old}' to '{condition}'"
        self._note(alert, "MonitorConditionChange", old, condition, "System", "", text)

    def set_state(self, alert: Alert, state: str, user: str, comments: str) -> None:
        """Someone acknowledges, closes or reopens an alert."""
        old = alert.essentials["alertState"]
        if old == state:
            return
        alert.essentials["alertState"] = state
        self._modified(alert, user, self._clock.now())
        text = f"State changed from '{old}' to '{state}'"
        self._note(alert, "StateChange", old, state, user, comments, text)

    def _modified(self, alert: Alert, user: str, now: datetime) -> None:
        alert.modified = now
        alert.essentials["lastModifiedDateTime"] = iso7(now)
        alert.essentials["lastModifiedUserName"] = user
        self._inventory.touch()

    def _note(self, alert: Alert, event: str, old: str, new: str, user: str, comments: str, text: str) -> None:
        alert.history.insert(
            0,
            {
                "modificationEvent": event,
                "oldValue": old,
                "newValue": new,
                "modifiedAt": iso7(alert.modified),
                "modifiedBy": user,
                "comments": comments,
                "description": text,
            },
        )

    def payload(self, alert: Alert) -> dict[str, Any]:
        """What the action group posts for the alert as it stands, in the common alert schema."""
        essentials = alert.essentials
        service = essentials["monitorService"]
        resolved = essentials.get("monitorConditionResolvedDateTime")
        return {
            "schemaId": "azureMonitorCommonAlertSchema",
            "data": {
                "essentials": {
                    "alertId": (
                        f"/subscriptions/{subscription_id(alert.target)}/providers/Microsoft.AlertsManagement/alerts/"
                        f"{alert.name}"
                    ),
                    "alertRule": alert.title,
                    "severity": essentials["severity"],
                    "signalType": essentials["signalType"],
                    "monitorCondition": essentials["monitorCondition"],
                    "monitoringService": _WEBHOOK_SERVICES.get(service, service),
                    "alertTargetIDs": [alert.target.lower()],
                    "configurationItems": [essentials["targetResourceName"]],
                    "originAlertId": essentials["sourceCreatedId"],
                    "firedDateTime": essentials["startDateTime"],
                    **({"resolvedDateTime": resolved} if resolved else {}),
                    "description": essentials["description"],
                    "essentialsVersion": "1.0",
                    "alertContextVersion": "1.0",
                },
                "alertContext": alert.context,
                **({"customProperties": alert.custom} if alert.custom else {}),
            },
        }

    def summary(self, alert: Alert) -> dict[str, Any]:
        """For the control API: the REST object, the webhook body, the history."""
        return {
            "name": alert.name,
            "started": iso0(alert.started),
            "alert": alert.as_json(),
            "payload": self.payload(alert),
            "history": alert.history,
        }
