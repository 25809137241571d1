"""Alerts as Azure Monitor sends them, with ids and times of today.

Shapes: Microsoft's "Common alert schema" and "Sample alert payloads" pages. Names and ids are made up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from local.simulator_kit.people import DOMAIN, mail_of

SUBSCRIPTION = "5f0c3a52-7c1e-4f0a-9b1d-2f6f3c0a7e11"
_GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop-prod"


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


@dataclass(frozen=True)
class Azure:
    """One day in a subscription: everything refers to ``now``."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def storm(self, size: int) -> list[dict[str, Any]]:
        """As many machines of one service, all at once, in one request."""
        names = [f"vm-checkout-{number:02}" for number in range(1, size + 1)]
        return [self.metric(str(uuid4()), machine=name, properties={"service": "checkout"}) for name in names]

    def metric(
        self,
        alert: str,
        *,
        resolved: bool = False,
        machine: str = "vm-shop-01",
        properties: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """A metric alert of a virtual machine; Fired and Resolved bear the same alertId."""
        vm = f"{_GROUP}/providers/Microsoft.Compute/virtualMachines/{machine}"
        essentials = self._essentials(alert, "cpu-high", "Sev1", "Metric", "Platform", [vm.lower()], [machine])
        if resolved:
            essentials |= {"monitorCondition": "Resolved", "resolvedDateTime": _utc(self.now + timedelta(minutes=6))}
        criterion = {
            "metricName": "Percentage CPU",
            "metricNamespace": "Microsoft.Compute/virtualMachines",
            "operator": "GreaterThan",
            "threshold": "90",
            "timeAggregation": "Average",
            "dimensions": [],
            "metricValue": 31.5 if resolved else 97.25,
            "webTestName": None,
        }
        context = {
            "properties": None,
            "conditionType": "SingleResourceMultipleMetricCriteria",
            "condition": {
                "windowSize": "PT5M",
                "allOf": [criterion],
                "windowStartTime": _utc(self.now - timedelta(minutes=8)),
                "windowEndTime": _utc(self.now - timedelta(minutes=3)),
            },
        }
        return _common(essentials, context, {"team": "payments"} if properties is None else properties)

    def log_search(self, alert: str) -> dict[str, Any]:
        """A log search alert (V2) that names its machine in a dimension."""
        workspace = f"{_GROUP}/providers/Microsoft.OperationalInsights/workspaces/law-shop"
        essentials = self._essentials(
            alert, "heartbeat-missing", "Sev2", "Log", "Log Alerts V2", [workspace.lower()], ["db-shop-02"]
        )
        criterion = {
            "searchQuery": "Heartbeat | summarize beats = count() by Computer | where beats < 5",
            "metricMeasureColumn": "beats",
            "targetResourceTypes": "['Microsoft.OperationalInsights/workspaces']",
            "operator": "LessThan",
            "threshold": "5",
            "timeAggregation": "Total",
            "dimensions": [{"name": "Computer", "value": "db-shop-02"}],
            "metricValue": 1.0,
            "failingPeriods": {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1},
            "linkToFilteredSearchResultsUI": f"https://portal.azure.com#@{DOMAIN}/blade/"
            "Microsoft_Azure_Monitoring_Logs/LogsBlade/source/Alerts.EmailLinks/q/heartbeat",
        }
        condition = {
            "windowSize": "PT15M",
            "allOf": [criterion],
            "windowStartTime": _utc(self.now - timedelta(minutes=16)),
            "windowEndTime": _utc(self.now - timedelta(minutes=1)),
        }
        context = {"properties": {}, "conditionType": "LogQueryCriteria", "condition": condition}
        return _common(essentials, context, None)

    def activity(self) -> dict[str, Any]:
        """An activity log alert: somebody deleted a network security group. Its alertId is the rule's."""
        group = f"{_GROUP}/providers/Microsoft.Network/networkSecurityGroups/nsg-shop"
        event = str(uuid4())
        essentials = self._essentials(
            "", "nsg-deleted", "Sev4", "Activity Log", "Activity Log - Administrative", [group.lower()], ["nsg-shop"]
        )
        essentials["alertId"] = f"{_GROUP}/providers/microsoft.insights/activityLogAlerts/nsg-deleted"
        operation = "Microsoft.Network/networkSecurityGroups/delete"
        context = {
            "authorization": {"action": operation, "scope": group},
            "channels": "Operation",
            "claims": "{}",
            "caller": mail_of("bruno.hallberg"),
            "correlationId": str(uuid4()),
            "eventSource": "Administrative",
            "eventTimestamp": _utc(self.now - timedelta(minutes=2)),
            "eventDataId": event,
            "level": "Warning",
            "operationName": operation,
            "operationId": str(uuid4()),
            "properties": {"eventCategory": "Administrative", "entity": group, "message": operation},
            "status": "Succeeded",
            "subStatus": "",
            "submissionTimestamp": _utc(self.now - timedelta(minutes=1)),
        }
        return _common(essentials, context, None)

    def service_health(self, tracking_id: str, stage: str, minutes: int = 0) -> dict[str, Any]:
        """One communication about an Azure incident. It says Fired always; what counts is the stage."""
        moment = self.now + timedelta(minutes=minutes)
        essentials = self._essentials(
            uuid4().hex * 2,
            "azure-incidents",
            "Sev4",
            "Activity Log",
            "ServiceHealth",
            [f"/subscriptions/{SUBSCRIPTION}"],
            None,
        )
        essentials["firedDateTime"] = _utc(moment).removesuffix("Z")
        context = {
            "channels": 1,
            "eventSource": 2,
            "eventTimestamp": _utc(moment),
            "eventDataId": str(uuid4()),
            "level": 2,
            "operationName": "Microsoft.ServiceHealth/incident/action",
            "properties": {
                "title": "Storage in West Europe: requests fail",
                "service": "Storage",
                "region": "West Europe",
                "communication": "<p><strong>Impact:</strong> some requests fail &amp; are slow.</p>",
                "incidentType": "Incident",
                "trackingId": tracking_id,
                "impactStartTime": _utc(self.now - timedelta(hours=1)),
                "impactedServices": '[{"ImpactedRegions":[{"RegionName":"West Europe"}],"ServiceName":"Storage"}]',
                "stage": stage,
                "communicationId": str(11000000000000 + minutes),
                "isHIR": "false",
            },
            "status": "Resolved" if stage == "Resolved" else "Active",
        }
        return _common(essentials, context, None)

    def budget(self) -> dict[str, Any]:
        """A cost budget: nearly everything that alerts have is null."""
        essentials = self._essentials("", "", "", "", "CostAlerts", [], ["budgets"])
        for name in ("alertRule", "severity", "signalType", "alertTargetIDs", "originAlertId"):
            essentials[name] = None
        essentials["alertId"] = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.CostManagement/alerts/shop-monthly"
        data = {
            "Scope": f"/subscriptions/{SUBSCRIPTION}/",
            "ThresholdType": "Actual",
            "BudgetType": "Cost",
            "BudgetThreshold": "$5,000.00",
            "NotificationThresholdAmount": "$4,500.00",
            "BudgetName": "shop-monthly",
            "BudgetId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Consumption/budgets/shop-monthly",
            "BudgetStartDate": "2026-01-01",
            "BudgetCreator": mail_of("natasha.ingram"),
            "Unit": "USD",
            "SpentAmount": "$4,611.20",
        }
        return _common(essentials, {"AlertCategory": "budgets", "AlertData": data}, None)

    def unreadable(self) -> dict[str, Any]:
        """A custom payload of a retired kind of rule: a sentence, and nothing to tell it by."""
        return {"text": "My rule fired with 18 records over threshold of 10."}

    def _essentials(
        self, alert: str, rule: str, severity: str, kind: str, service: str, targets: list[str], items: list[str] | None
    ) -> dict[str, Any]:
        found: dict[str, Any] = {
            "alertId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts/{alert}",
            "alertRule": rule,
            "severity": severity,
            "signalType": kind,
            "monitorCondition": "Fired",
            "monitoringService": service,
            "alertTargetIDs": targets,
            "originAlertId": str(uuid4()),
            "firedDateTime": _utc(self.now),
            "description": f"Rule {rule} of the shop" if rule else "",
            "essentialsVersion": "1.0",
            "alertContextVersion": "1.0",
        }
        if items is not None:
            found["configurationItems"] = items
        return found


def _common(essentials: dict[str, Any], context: dict[str, Any], custom: dict[str, str] | None) -> dict[str, Any]:
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {"essentials": essentials, "alertContext": context, "customProperties": custom},
    }
