"""ServiceNow as a ticket system: settings, columns by role, limits.

Names and limits are those of ServiceNow's tables (task, incident, change_request, problem, em_event) in the base
system, documented with its Table API and its Event Management web service. See "Over-long values" in
docs/servicenow.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from connectors.servicenow.settings import ServiceNowSettings
from connectors.servicenow.tables import LIMITS, ticket_tables
from shared.core.fields import Columns, FieldMap, FieldRole
from shared.core.link import DISPLAY
from shared.core.plugins import TicketSystemPlugin
from shared.core.ticket_system import TicketKind

if TYPE_CHECKING:
    from shared.core.connection_services import ConnectionServices
    from shared.core.ticket_system import TicketSystem

_TASK: dict[FieldRole, tuple[str, ...]] = {
    FieldRole.TITLE: ("short_description",),
    FieldRole.BODY: ("description",),
    FieldRole.IMPACT: ("impact",),
    FieldRole.URGENCY: ("urgency",),
    FieldRole.OWNER: ("assigned_to",),
    FieldRole.GROUP: ("assignment_group",),
    FieldRole.DUE: ("due_date",),
    FieldRole.PRIVATE_NOTE: ("work_notes",),
    FieldRole.PUBLIC_NOTE: ("comments",),
    FieldRole.CLOSING_NOTE: ("close_notes",),
    FieldRole.CONFIGURATION_ITEM: ("cmdb_ci",),
}

_COLUMNS: Mapping[TicketKind, Columns] = {
    TicketKind.INCIDENT: {**_TASK, FieldRole.REQUESTER: ("caller_id",)},
    TicketKind.CHANGE_REQUEST: {
        **_TASK,
        FieldRole.REQUESTER: ("requested_by",),
        FieldRole.WANTED_BY: ("requested_by_date",),
        FieldRole.PRIORITY: ("priority",),
    },
    TicketKind.PROBLEM: {**_TASK, FieldRole.CLOSING_NOTE: ("close_notes", "fix_notes", "cause_notes")},
    TicketKind.EVENT: {FieldRole.BODY: ("description",), FieldRole.CLOSING_NOTE: ("description",)},
}

#: Facts of an alert under the names that the common alert schema gives them: what event rules and field mappings of an
#: instance read in the events of ServiceNow's own Azure Monitor connector. ``resourceType`` is mapped to ci_type.
#: Source: ServiceNow docs (release Australia), "Integrate Azure Monitor as an authenticated data source": severities,
#: the mapping "Azure Monitor - ci_type", contents of the alert in additional_info; Microsoft Learn, "Common alert
#: schema".
_ESSENTIALS = {
    "alertId": "{{ signal.details.alert_id or '' }}",
    "originAlertId": "{{ signal.details.origin_alert_id or '' }}",
    "alertRule": "{{ signal.rule or '' }}",
    "monitoringService": "{{ signal.details.monitoring_service or '' }}",
    "signalType": "{{ signal.details.signal_type or '' }}",
    "alertTargetIDs": "{{ resource.id or '' }}",
    "resourceType": "{{ resource.type or '' }}",
    "resourceGroup": "{{ resource.resource_group or '' }}",
    "subscriptionId": "{{ resource.subscription_id or '' }}",
    "firedDateTime": "{{ signal.fired_at or '' }}",
}

_EVENT = {
    "source": "{{ source.product }}",
    "event_class": "{{ signal.kind }}",
    "node": "{{ resource.name }}",
    "resource": "{{ resource.name }}",
    "type": "{{ signal.rule or signal.kind }}",
    "metric_name": "{{ signal.details.metric_name or '' }}",
    "severity": "{{ levels.event }}",
    "description": "{{ summary }}",
    "time_of_event": "{{ signal.occurred_at | utc }}",
    # no columns of em_event: the connector puts them into additional_info
    "resource_id": "{{ resource.id }}",
    "portal": "{{ signal.links.portal or '' }}",
    **_ESSENTIALS,
    "monitorCondition": "{{ 'Resolved' if signal.state == 'resolved' else 'Fired' }}",
    "azureSeverity": "{{ '' if signal.severity is none else 'Sev' ~ signal.severity }}",
    "metricNamespace": "{{ signal.details.metric_namespace or '' }}",
    "metricValue": "{{ signal.details.metric_value or '' }}",
    "operator": "{{ signal.details.operator or '' }}",
    "threshold": "{{ signal.details.threshold or '' }}",
    "timeAggregation": "{{ signal.details.time_aggregation or '' }}",
}

#: What an event is about. Every event of a key says it: one without it, or with another source, is bound to nothing.
_ABOUT = ("source", "event_class", "node", "resource", "type", "metric_name", "resource_id", *_ESSENTIALS)

_EVENT_ENDS = {
    "time_of_event": "{{ (signal.resolved_at or signal.occurred_at) | utc }}",
    "monitorCondition": "Resolved",
    "resolvedDateTime": "{{ signal.resolved_at or signal.occurred_at }}",
}

#: ServiceNow computes the priority of incidents and problems from impact and urgency. Changes have their own, which is
#: 4 (Low) when it is not given: the same table, with 4 as its end.
_CHANGE = {
    "priority": "{{ 4 if levels.impact + levels.urgency > 4 else levels.impact + levels.urgency - 1 }}",
}

_PRIORITY = {"priority": "ServiceNow computes priority and overwrites it silently. Fix: set impact and urgency instead"}

#: Columns of em_event, beside those of tasks.
_EVENT_LIMITS = {"source": 100, "node": 100, "resource": 100, "type": 100}


def _key_fields(kind: TicketKind, correlation: str) -> Mapping[str, str]:
    if kind is TicketKind.EVENT:
        return {}
    return {"correlation_id": correlation, "correlation_display": DISPLAY}


def _open(name: str, settings: ServiceNowSettings, services: ConnectionServices) -> TicketSystem:
    from connectors.servicenow.connector import ServiceNow

    return ServiceNow(
        name,
        settings,
        services.secrets,
        gate=services.gate,
        findings=services.findings,
        tokens=services.tokens,
    )


def _closing_mistakes(settings: ServiceNowSettings, kind: TicketKind, fields: Mapping[str, Any]) -> Mapping[str, str]:
    """A state that would leave the ticket open: delivery reads it back as not resolved."""
    table = ticket_tables(settings.states).get(kind)
    given = fields.get("state")
    if table is None or isinstance(given, bool) or not isinstance(given, (str, int)) or "{" in str(given):
        return {}
    stored = table.value(str(given))
    if stored == table.resolved or stored in table.closed:
        return {}
    return {
        "state": f"'{given}' does not end {kind.value} tickets: state {table.state_label(table.resolved)} does on this "
        f"connection. Fix: take 'state' out, or set states.{kind.value}.resolved of the connection to {given}"
    }


PLUGIN = TicketSystemPlugin(
    name="servicenow",
    title="ServiceNow",
    settings=ServiceNowSettings,
    fields=FieldMap(
        columns=_COLUMNS,
        defaults={TicketKind.EVENT: _EVENT, TicketKind.CHANGE_REQUEST: _CHANGE},
        repeated={TicketKind.EVENT: _ABOUT},
        closing={TicketKind.EVENT: _EVENT_ENDS},
        limits={**LIMITS, **_EVENT_LIMITS},
        computed={TicketKind.INCIDENT: _PRIORITY, TicketKind.PROBLEM: _PRIORITY},
        reserved=("number", "state", "correlation_id", "correlation_display", "sys_*"),
        date_format="%Y-%m-%d %H:%M:%S",
        templates=frozenset({TicketKind.INCIDENT, TicketKind.PROBLEM}),
        key_fields=_key_fields,
    ),
    open=_open,
    closing_mistakes=_closing_mistakes,
    working_states={
        TicketKind.INCIDENT: frozenset({"2", "3"}),  # In Progress, On Hold
        TicketKind.PROBLEM: frozenset({"103", "104"}),  # Root Cause Analysis, Fix in Progress
        TicketKind.CHANGE_REQUEST: frozenset({"-1"}),  # Implement
    },
)
