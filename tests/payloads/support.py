"""Payloads to read: fixtures by name, and small bodies for one point each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.registry import REGISTRY
from connectors.azure_monitor.payloads import details as azure_monitor
from connectors.bridge.payloads import problem as bridge
from connectors.defender.payloads import details as defender
from connectors.manual.payloads import details as manual
from connectors.secure_score.payloads import details as secure_score
from shared.core.signal import Signal, Unreadable
from shared.payloads import builder
from shared.payloads import parse as reading

_FIXTURES = Path(__file__).parent.parent / "fixtures"

#: Sources of signals; each has a folder of fixtures.
SOURCES = ("azure_monitor", "defender", "secure_score", "manual", "bridge")
RECEIVED = datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)

SUB = "3f6c1a52-7d0e-4b8c-9a41-5e2d7c9b0f13"
GUID = "6b1d4c70-92ae-4f3b-8d15-c7e0a2f49b36"
ALERT_ID = f"/subscriptions/{SUB}/providers/Microsoft.AlertsManagement/alerts/{GUID}"
RULE_ID = f"/subscriptions/{SUB}/resourceGroups/rg-ops/providers/Microsoft.Insights/metricAlerts/cpu-high"
VM = f"/subscriptions/{SUB}/resourceGroups/rg-shop-prod/providers/Microsoft.Compute/virtualMachines/vm-shop-web-01"
WORKSPACE = (
    f"/subscriptions/{SUB}/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/log-contoso"
)


#: The names that ``Signal.details`` may hold, by source.
DETAILS: Mapping[str, Mapping[str, str]] = {
    "azure_monitor": {**builder.DETAILS, **azure_monitor.DETAILS},
    "defender": {**builder.DETAILS, **defender.DETAILS},
    "secure_score": {**builder.DETAILS, **secure_score.DETAILS},
    "manual": {**builder.DETAILS, **manual.DETAILS},
    "bridge": {**builder.DETAILS, **bridge.DETAILS},
}


def names(source: str = "azure_monitor") -> list[str]:
    """Names of all fixtures of a source, e.g. ``common/metric-static-fired``."""
    folder = _FIXTURES / source
    found = [path.relative_to(folder).as_posix().removesuffix(".json") for path in folder.rglob("*.json")]
    return sorted(name for name in found if not name.endswith(".expected"))


def every_name() -> list[tuple[str, str]]:
    """Source and name of every fixture."""
    return [(source, name) for source in SOURCES for name in names(source)]


def fixture(name: str, source: str = "azure_monitor") -> Any:
    """The payload of a fixture, decoded."""
    return json.loads((_FIXTURES / source / f"{name}.json").read_text("utf-8"))


def expected(name: str, source: str = "azure_monitor") -> Any:
    """What reading a fixture yields: one object per item, ``unreadable`` holds the reason where there is one."""
    return json.loads((_FIXTURES / source / f"{name}.expected.json").read_text("utf-8"))


def parse(body: object, received_at: datetime) -> list[Signal | Unreadable]:
    """As the app reads a body: with the schemas of every source."""
    return reading.parse(body, received_at, REGISTRY.schemas, REGISTRY.foreign)


def read(body: Any) -> Signal:
    """The one signal of a body."""
    (item,) = parse(body, RECEIVED)
    assert isinstance(item, Signal), item.reason
    return item


def refuse(body: Any) -> str:
    """The reason why the one item of a body cannot be read."""
    (item,) = parse(body, RECEIVED)
    assert isinstance(item, Unreadable), item
    return item.reason


def common(context: Any = None, custom: Any = None, **essentials: Any) -> dict[str, Any]:
    """A body of the common alert schema; essentials given as None are left out."""
    fields: dict[str, Any] = {
        "alertId": ALERT_ID,
        "alertRule": "cpu-high",
        "severity": "Sev2",
        "signalType": "Metric",
        "monitorCondition": "Fired",
        "monitoringService": "Platform",
        "alertTargetIDs": [VM],
        "firedDateTime": "2024-03-05T08:15:18.689Z",
        "description": "",
    }
    fields.update(essentials)
    data = {"essentials": {name: value for name, value in fields.items() if value is not None}}
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {**data, "alertContext": context, "customProperties": custom},
    }


def metric(*criteria: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A metric alert's context."""
    return {
        "conditionType": "SingleResourceMultipleMetricCriteria",
        "condition": {"windowSize": "PT5M", "allOf": list(criteria)},
        **more,
    }


def log(**criterion: Any) -> dict[str, Any]:
    """The context of a log search alert with one criterion."""
    return {"conditionType": "LogQueryCriteria", "condition": {"windowSize": "PT1H", "allOf": [criterion]}}


def event(service: str, event_fields: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    """An Activity Log alert of the common schema."""
    context = {"eventDataId": "e-1", "eventTimestamp": "2024-03-05T08:14:00Z", "properties": properties}
    return common(
        {**context, **(event_fields or {})}, monitoringService=service, signalType="Activity Log", severity="Sev4"
    )


def activity_log(event_fields: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """An Activity Log alert of the non-common schema."""
    log_fields = {"eventTimestamp": "2024-03-05T08:14:00Z", "subscriptionId": SUB, "properties": properties}
    return {
        "schemaId": "Microsoft.Insights/activityLogs",
        "data": {"status": "Activated", "context": {"activityLog": {**log_fields, **event_fields}}},
    }


def metric_alert(status: str = "Activated", **context: Any) -> dict[str, Any]:
    """A metric alert of the non-common schema."""
    fields: dict[str, Any] = {
        "timestamp": "2024-03-05T08:15:18.689Z",
        "id": RULE_ID,
        "name": "cpu-high",
        "severity": "3",
        "condition": {"windowSize": "PT5M", "allOf": [{"metricName": "Percentage CPU", "dimensions": []}]},
        "resourceId": VM,
    }
    fields.update(context)
    return {
        "schemaId": "AzureMonitorMetricAlert",
        "data": {
            "version": "2.0",
            "status": status,
            "properties": None,
            "context": {name: value for name, value in fields.items() if value is not None},
        },
    }
