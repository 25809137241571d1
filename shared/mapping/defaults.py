"""Fields that a ticket has when the configuration says nothing, per kind, as templates.

The names are those of ServiceNow's tables (task, incident, change_request, problem, em_event), documented with its
Table API and its Event Management web service.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from shared.core.ticket_system import TicketKind

#: What sources are called.
_SOURCE = (
    "{'azure_monitor': 'Azure', 'defender': 'Microsoft Defender for Cloud', 'secure_score': 'Microsoft Secure Score'}"
    "[signal.source]"
)

_TASK = {
    "short_description": "{{ signal.title }}",
    "description": "{{ summary }}",
    "impact": "{{ levels.impact }}",
    "urgency": "{{ levels.urgency }}",
}

_EVENT = {
    "source": "{{ 'Azure Monitor' if signal.source == 'azure_monitor' else " + _SOURCE + " }}",
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
}

FIELDS: Mapping[TicketKind, Mapping[str, str]] = MappingProxyType(
    {
        TicketKind.INCIDENT: _TASK,
        TicketKind.CHANGE_REQUEST: _TASK,
        TicketKind.PROBLEM: _TASK,
        TicketKind.EVENT: _EVENT,
    }
)

_ENDED = (
    "{% if signal.details.withdrawn %}{{ signal.details.withdrawn }}{% else %}"
    "{{ signal.rule or signal.title }} ended at {{ signal.resolved_at or signal.occurred_at }}"
    "{% if signal.details.resolution %} ({{ signal.details.resolution | replace('_', ' ') }}){% endif %}"
    ", reported by {{ " + _SOURCE + " }}.{% endif %}"
)

#: Written when a Resolved resolves a ticket; state and code come from the connector where they are not given.
RESOLVE_FIELDS: Mapping[TicketKind, Mapping[str, str]] = MappingProxyType(
    {
        TicketKind.INCIDENT: {"close_notes": _ENDED},
        TicketKind.CHANGE_REQUEST: {"close_notes": _ENDED},
        TicketKind.PROBLEM: {"close_notes": _ENDED, "fix_notes": _ENDED, "cause_notes": _ENDED},
        TicketKind.EVENT: {"description": _ENDED},
    }
)

#: Longest text per field; longer text is cut with an ellipsis, so that what comes back equals what was sent.
#: ServiceNow dictionary of the base system; see "Over-long values" in docs/servicenow.md.
LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "short_description": 160,
        "description": 4000,
        "close_notes": 4000,
        "work_notes": 4000,
        "comments": 4000,
        "correlation_id": 100,
        "correlation_display": 100,
        "source": 100,
        "node": 100,
        "resource": 100,
        "type": 100,
    }
)
DEFAULT_LIMIT = 4000
