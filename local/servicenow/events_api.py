"""Event Management: ``POST /api/global/em/jsonv2``, the Azure Monitor push connector, and the alerts that events make.

Source: ServiceNow docs, "Send events via web service", "Event field format" and "Azure Monitor events integration".
Events go straight into em_event (no business rules run); alerts are one per message key, counted up by repeated events
and closed by a closing or clear event.
"""

from __future__ import annotations

import json
from typing import Any

from local.servicenow.errors import ApiError, acl_refusal, unreadable
from local.servicenow.exchange import Call, result
from local.servicenow.identity import SYSTEM
from local.servicenow.instance import Instance
from local.servicenow.media import read_body
from local.servicenow.store import Row
from local.servicenow.table_api import write_context
from local.servicenow.writing import WriteContext
from local.simulator_kit.calls import Answer

_KEY_FIELDS = ("source", "node", "type", "resource", "metric_name")
_ALERT_FIELDS = (
    "source",
    "event_class",
    "node",
    "resource",
    "metric_name",
    "type",
    "message_key",
    "severity",
    "description",
    "additional_info",
)
CLEAR = "0"
#: Severity of an Azure alert -> severity of the event; 3 (Minor) is never used.
_AZURE_SEVERITIES = {"Sev0": "1", "Sev1": "2", "Sev2": "4", "Sev3": "4", "Sev4": "5"}


class EventsApi:
    """Serves the call."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def receive(self, call: Call) -> Answer:
        """Insert the events of ``{"records": [...]}``."""
        body = read_body(call)
        records = body.get("records") if isinstance(body, dict) else None
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise unreadable("The payload has no list of records.")
        if not self._instance.access.may(call.user, "create", "em_event"):
            raise acl_refusal("Insert")
        for record in records:
            self._event(call, record)
        return result({"Default Bulk Endpoint": f"{len(records)} events were inserted"})

    def azure_alert(self, call: Call) -> Answer:
        """``POST /api/sn_em_connector/em/inbound_event?source=azuremonitor``: one alert in the common alert schema."""
        if call.param("source").lower() != "azuremonitor":
            raise ApiError(400, "Unknown event source", "source must be azuremonitor")
        body = read_body(call)
        data = body.get("data") if isinstance(body, dict) else None
        essentials = data.get("essentials") if isinstance(data, dict) else None
        if not isinstance(essentials, dict) or body.get("schemaId") != "azureMonitorCommonAlertSchema":
            raise unreadable("The payload is no alert in the common alert schema.")
        if not self._instance.access.may(call.user, "create", "em_event"):
            raise acl_refusal("Insert")
        self._event(call, azure_event(essentials, call.param("event_class")))
        return result({"Default Bulk Endpoint": "1 events were inserted"})

    def _event(self, call: Call, record: dict[str, Any]) -> None:
        context = write_context(self._instance, call)
        context.run_rules = False
        values = {name: value for name, value in record.items() if name != "sys_id"}
        if not values.get("message_key"):
            values["message_key"] = "".join(str(values.get(name) or "") for name in _KEY_FIELDS)
        severity = str(values.get("severity", ""))
        if severity not in ("0", "1", "2", "3", "4", "5"):
            values["state"] = "Error"
            values["processing_notes"] = "Severity is missing or not a number from 0 to 5"
            self._instance.writer.insert("em_event", values, context)
            return
        event = self._instance.writer.insert("em_event", values, context)
        alert = self._alert(event)
        processed = {"state": "Processed" if alert else "Ignored", "alert": alert}
        self._instance.writer.update(event, processed, WriteContext(SYSTEM, call.origin))

    def _alert(self, event: Row) -> str:
        """Make or update the alert of the event's message key; returns its sys_id, empty when none is needed."""
        writer, context = self._instance.writer, WriteContext(SYSTEM)
        known = self._instance.store.lookup("em_alert", "message_key", event.get("message_key")) or []
        closing = event.get("severity") == CLEAR or event.get("resolution_state") == "Closing"
        time = event.get("time_of_event") or event.get("sys_created_on")
        if not known and closing:
            return ""
        if not known:
            values = {name: event.get(name) for name in _ALERT_FIELDS}
            times = {"initial_event_time": time, "last_event_time": time}
            return writer.insert("em_alert", {**values, **times, "state": "Open", "event_count": "1"}, context).sys_id
        alert = known[-1]
        changes = {
            "event_count": str(int(alert.get("event_count") or "0") + 1),
            "last_event_time": time,
            "severity": event.get("severity"),
            "description": event.get("description"),
        }
        if closing:
            changes["state"] = "Closed"
        elif alert.get("state") == "Closed":
            changes["state"] = "Reopen"
        writer.update(alert, changes, context)
        return alert.sys_id


def azure_event(essentials: dict[str, Any], event_class: str) -> dict[str, Any]:
    """The event the connector's transform makes of an alert's essentials."""
    items = essentials.get("configurationItems")
    targets = essentials.get("alertTargetIDs")
    target = str(targets[0]) if isinstance(targets, list) and targets else ""
    node = str(items[0]) if isinstance(items, list) and items else target.rpartition("/")[2]
    resolved = essentials.get("monitorCondition") == "Resolved"
    when = str(essentials.get("resolvedDateTime" if resolved else "firedDateTime") or "")
    return {
        "source": "AzureMonitor",
        "event_class": event_class,
        "node": node,
        "resource": target.rpartition("/")[2],
        "type": str(essentials.get("targetResourceType") or essentials.get("monitoringService") or ""),
        "metric_name": str(essentials.get("alertRule") or ""),
        "message_key": str(essentials.get("originAlertId") or essentials.get("alertId") or ""),
        "severity": CLEAR if resolved else _AZURE_SEVERITIES.get(str(essentials.get("severity")), ""),
        "description": str(essentials.get("description") or essentials.get("alertRule") or ""),
        "time_of_event": when[:19].replace("T", " "),
        "resolution_state": "Closing" if resolved else "New",
        "additional_info": json.dumps(
            {**{name: str(value) for name, value in essentials.items()}, "resourceType": _resource_type(target)}
        ),
    }


def _resource_type(target: str) -> str:
    """The type in an Azure resource id. The field mapping "Azure Monitor - ci_type" of the base system reads it in
    resourceType (ServiceNow docs, "Integrate Azure Monitor as an authenticated data source")."""
    after = target.rpartition("/providers/")[2].split("/")
    return "/".join((after[0], *after[1::2])) if len(after) > 1 else ""
