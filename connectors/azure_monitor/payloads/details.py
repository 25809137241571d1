"""Details of alerts of Azure Monitor: the names that ``Signal.details`` may hold, for templates.

Values are text as the payload gives it, shortened where it is long; times are RFC 3339 in UTC. A name is absent when
the payload does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

DETAILS: Mapping[str, str] = MappingProxyType(
    {
        # every alert
        "alert_id": "id of the alert, as sent",
        "origin_alert_id": "id that the producing service gave",
        "alert_state": "New, Acknowledged or Closed, what people did with the alert (REST form only)",
        "monitoring_service": "service that raised the alert, as sent",
        "signal_type": "Metric, Log or Activity Log, as sent",
        "condition_type": "kind of criteria, as sent",
        "target_resource_type": "type of the target, as sent",
        "target_resource_group": "resource group of the target, as sent",
        "region": "Azure region, or several separated by commas",
        # metric and log alerts
        "metric_name": "metric of the first criterion",
        "metric_namespace": "namespace of that metric",
        "metric_value": "measured value",
        "unit": "unit of value and threshold, or currency of a budget",
        "operator": "comparison, as sent",
        "threshold": "value compared with; for dynamic thresholds the computed bound; for budgets the amount passed",
        "time_aggregation": "how values of the window are combined, as sent",
        "window": "length of the window in words, e.g. '5 minutes'",
        "window_start": "start of the window",
        "window_end": "end of the window",
        "failing_periods": "'2 of 3': how many periods must fail",
        "sensitivity": "sensitivity of dynamic thresholds",
        "web_test": "name of the availability test",
        "search_query": "KQL of a log alert",
        "measure_column": "column that a log alert measures",
        "target_resource_types": "resource types that a log alert is about",
        "result_count": "number of rows that a query returned",
        "result_rows": "first rows that a query returned, as a small table",
        "alert_type": "'Number of results' or 'Metric measurement' (log alerts V1)",
        "workspace_id": "Log Analytics workspace, GUID",
        "application_id": "Application Insights application, GUID",
        # Prometheus
        "expression": "PromQL of the rule",
        "value": "value of the expression, as sent; may carry a suffix such as 12.7m",
        "interval": "how often the rule is evaluated, in words",
        "for": "how long the expression must hold, in words",
        "rule_group": "ARM id of the rule group",
        "summary": "summary the rule's author wrote",
        "runbook_url": "runbook the rule's author named",
        # smart detection
        "detector": "name of the detector",
        "detector_id": "id of the detector",
        "detected": "detected value, in words",
        "normal": "normal value, in words",
        "analysed_at": "time of the analysis",
        "detected_at": "time of the anomaly",
        # activity log, service health, resource health, autoscale
        "category": "category of the event (Administrative, Policy, Security ...) or of the backup alert",
        "operation": "operation name; of an autoscale notification Scale Out or Scale In",
        "status": "status of the event",
        "sub_status": "sub-status of the event",
        "level": "level of the event in words",
        "caller": "who did it",
        "caller_application": "application (client id) with which it was done",
        "caller_address": "IP address from which it was done",
        "correlation_id": "correlation id of the operation",
        "event_id": "eventDataId of the event",
        "event_time": "time of the event",
        "event_description": "description of the event",
        "policies": "policies that apply: assignment, definition and effect of each",
        "old_instances": "instances before scaling",
        "new_instances": "instances after scaling",
        "compromised_entity": "name of the attacked thing",
        "attacked_resource_type": "type of the attacked thing",
        "action_taken": "what Defender did",
        "intent": "intent of the attack",
        "remediation_steps": "what Defender for Cloud advises",
        "recommendation": "name of the Advisor recommendation",
        "recommendation_category": "Cost, HighAvailability, OperationalExcellence, Performance or Security",
        "recommendation_impact": "High, Medium or Low",
        "recommendation_type": "GUID of the kind of recommendation",
        "recommendation_link": "page of the recommendation",
        "tracking_id": "Service Health: names one issue through all its updates",
        "stage": "Service Health: Active, Planned, InProgress, Rescheduled, Resolved, Complete, Canceled or RCA",
        "incident_type": "Service Health: Incident, Maintenance, Informational, ActionRequired or Security",
        "service": "Service Health: affected services, separated by commas",
        "impact_start": "Service Health: start of the impact",
        "impact_end": "Service Health: end of the impact, in the future for planned maintenance",
        "impact_type": "Service Health: how the impact is scoped",
        "communication": "Service Health: what Azure writes in this message, plain text",
        "communication_id": "Service Health: names one update",
        "maintenance_id": "Service Health: names one maintenance",
        "health_from": "Resource Health: status before",
        "health_to": "Resource Health: status now",
        "health_type": "Resource Health: e.g. Downtime",
        "cause": "Resource Health: PlatformInitiated, UserInitiated or Unknown",
        # budgets
        "budget": "name of the budget",
        "budget_id": "ARM id of the budget",
        "budget_type": "e.g. Cost",
        "budget_amount": "amount of the whole budget",
        "budget_start": "first day of the budget",
        "budget_creator": "who made the budget",
        "scope": "what the budget covers",
        "threshold_type": "Actual or Forecasted",
        "spent": "amount spent so far",
        "forecast": "amount forecast for the period",
        "subscription_name": "name of the subscription",
        # backup
        "job_id": "backup job",
        "possible_causes": "causes that Azure Backup names",
        "recommended_actions": "what Azure Backup advises",
        "occurrences": "how often it happened",
        "protected_item": "id of the protected item",
        "workload": "kind of workload, e.g. AzureVmSQL",
        # anything else
        "context": "the alert's own context as JSON, where its kind is not known",
    }
)

_OF_EVENTS = frozenset({"activity", "service_health", "resource_health"})

#: Details that only signals of these kinds have.
ONLY_OF: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **dict.fromkeys(("old_instances", "new_instances"), frozenset({"activity", "autoscale"})),
        **dict.fromkeys(
            (
                "sub_status",
                "level",
                "caller",
                "caller_application",
                "caller_address",
                "correlation_id",
                "event_id",
                "event_time",
                "event_description",
            ),
            _OF_EVENTS,
        ),
        "operation": _OF_EVENTS | {"autoscale"},
        **dict.fromkeys(
            (
                "policies",
                "compromised_entity",
                "attacked_resource_type",
                "action_taken",
                "intent",
                "recommendation",
                "recommendation_category",
                "recommendation_impact",
                "recommendation_type",
                "recommendation_link",
            ),
            frozenset({"activity"}),
        ),
        **dict.fromkeys(
            (
                "tracking_id",
                "stage",
                "incident_type",
                "service",
                "impact_start",
                "impact_end",
                "impact_type",
                "communication",
                "communication_id",
                "maintenance_id",
            ),
            frozenset({"service_health"}),
        ),
        **dict.fromkeys(("health_from", "health_to", "health_type", "cause"), frozenset({"resource_health"})),
        **dict.fromkeys(
            (
                "budget",
                "budget_id",
                "budget_type",
                "budget_amount",
                "budget_start",
                "budget_creator",
                "scope",
                "threshold_type",
                "spent",
                "forecast",
                "subscription_name",
            ),
            frozenset({"budget"}),
        ),
        **dict.fromkeys(
            ("job_id", "possible_causes", "recommended_actions", "occurrences", "protected_item", "workload"),
            frozenset({"backup"}),
        ),
        **dict.fromkeys(("expression", "rule_group", "runbook_url"), frozenset({"prometheus"})),
        **dict.fromkeys(
            ("detector", "detector_id", "detected", "normal", "analysed_at", "detected_at"),
            frozenset({"smart_detection"}),
        ),
    }
)
