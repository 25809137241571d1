"""Which column of ServiceNow says which field of an exported ticket. Pure.

Sources: Microsoft's documentation of IT Service Management Connector, "Data synced from your ITSM product" (incidents
and change requests: column of Log Analytics to label of ServiceNow); the dictionary of ServiceNow's base system (labels
to columns). Problems were not exported by that connector; they have the columns of incidents that problem has.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connectors.servicenow.tables import TicketTable
from shared.core.export import ExportField as F
from shared.core.ticket_system import TicketKind

_TASK: Mapping[F, str] = {
    F.TITLE: "short_description",
    F.DESCRIPTION: "description",
    F.STATE: "state",
    F.IMPACT: "impact",
    F.URGENCY: "urgency",
    F.PRIORITY: "priority",
    F.ESCALATION: "escalation",
    F.CATEGORY: "category",
    F.CHANNEL: "contact_type",
    F.CREATED_BY: "opened_by",
    F.CLOSED_BY: "closed_by",
    F.ASSIGNED_TO: "assigned_to",
    F.ASSIGNMENT_GROUP: "assignment_group",
    F.CREATED: "opened_at",
    F.CLOSED: "closed_at",
    F.COMPUTER: "cmdb_ci",
    F.CORRELATION: "correlation_id",
}

_RESOLVABLE: Mapping[F, str] = {F.RESOLVED_BY: "resolved_by", F.RESOLVED: "resolved_at"}

_COLUMNS: Mapping[TicketKind, Mapping[F, str]] = MappingProxyType(
    {
        TicketKind.INCIDENT: {**_TASK, **_RESOLVABLE},
        TicketKind.PROBLEM: {**_TASK, **_RESOLVABLE},
        TicketKind.CHANGE_REQUEST: {
            **_TASK,
            F.CREATED_BY: "requested_by",
            F.TYPE: "type",
            F.RISK: "risk",
            F.CONFLICT_STATUS: "conflict_status",
            F.REQUESTED: "requested_by_date",
            F.PLANNED_START: "start_date",
            F.PLANNED_END: "end_date",
            F.WORK_START: "work_start",
            F.WORK_END: "work_end",
        },
    }
)

#: Fields that are times.
TIMES = frozenset(
    {
        F.CREATED,
        F.RESOLVED,
        F.CLOSED,
        F.REQUESTED,
        F.PLANNED_START,
        F.PLANNED_END,
        F.WORK_START,
        F.WORK_END,
    }
)


def columns_of_kind(kind: TicketKind, table: TicketTable, fields: frozenset[F], resource_id: str) -> dict[F, str]:
    """The columns of the wanted fields that tickets of a kind have.

    Args:
        kind, table: of the tickets.
        fields: that are wanted.
        resource_id: column of cmdb_ci that holds the Azure resource id.
    """
    columns = dict(_COLUMNS[kind])
    columns[F.AZURE_RESOURCE] = f"cmdb_ci.{resource_id}"
    if table.counter:
        columns[F.REOPENED] = table.counter
    return {field: column for field, column in columns.items() if field in fields}
