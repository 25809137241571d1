"""The columns of the two tables: the one place from which rows, Bicep, queries and documentation are checked. Pure.

Names with a suffix are those that Microsoft's IT Service Management Connector wrote, so that saved queries run
unchanged. Sources: Microsoft's documentation of the connector, "Data synced from your ITSM product" (columns of
incidents and change requests, and where they come from) and "Troubleshoot problems in ITSM Connector"
(``ServiceDeskLog_CL``); "Logs Ingestion API in Azure Monitor" and "Azure Monitor table columns" (types, reserved
names, at most 45 characters).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.core.export import ExportField as F


class ColumnType(StrEnum):
    """Types of columns, as a data collection rule names them."""

    STRING = "string"
    DATETIME = "datetime"
    BOOLEAN = "boolean"
    INT = "int"
    REAL = "real"
    DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: in the table. type: of its values. about: one sentence for people.
        source: what fills it: a field of a ticket, or an attribute of ``TicketRecord`` or ``LogRow``.
        old: the connector that this replaces wrote it too.
    """

    name: str
    type: ColumnType
    about: str
    source: str
    old: bool = False


_S, _T, _B, _I, _R, _D = (
    ColumnType.STRING,
    ColumnType.DATETIME,
    ColumnType.BOOLEAN,
    ColumnType.INT,
    ColumnType.REAL,
    ColumnType.DYNAMIC,
)

TICKETS_TABLE = "ServiceDesk_CL"
TICKETS_STREAM = "Custom-ServiceDesk_CL"
LOG_TABLE = "ServiceDeskLog_CL"
LOG_STREAM = "Custom-ServiceDeskLog_CL"

#: One row for each change of a ticket that was read.
TICKET_COLUMNS: tuple[Column, ...] = (
    Column(
        "TimeGenerated", _T, "When the ticket changed, or when the row was sent where that is long ago.", "changed_at"
    ),
    Column("RecordId", _S, "Names the row. The same row sent twice has the same.", "record_id"),
    Column("ServiceDeskConnectionName_s", _S, "Name of the connection.", "connection", old=True),
    Column("ServiceDeskWorkItemType_s", _S, "Incident, ChangeRequest or Problem.", "work_item_type", old=True),
    Column("ServiceDeskId_s", _S, "Number of the ticket.", "number", old=True),
    Column("Title_s", _S, "Short description.", F.TITLE, old=True),
    Column("Description_s", _S, "Long text.", F.DESCRIPTION, old=True),
    Column("IncidentState_s", _S, "State of an incident, as people see it.", "incident_state", old=True),
    Column("CRState_s", _S, "State of a change request, as people see it.", "change_state", old=True),
    Column("Impact_s", _S, "Impact.", F.IMPACT, old=True),
    Column("Urgency_s", _S, "Urgency.", F.URGENCY, old=True),
    Column("Priority_s", _S, "Priority.", F.PRIORITY, old=True),
    Column("Escalation_s", _S, "Escalation.", F.ESCALATION, old=True),
    Column("Category_s", _S, "Category.", F.CATEGORY, old=True),
    Column("Source_s", _S, "Contact type: how the ticket came in.", F.CHANNEL, old=True),
    Column("Type_s", _S, "Type of a change request.", F.TYPE, old=True),
    Column("Risk_s", _S, "Risk of a change request.", F.RISK, old=True),
    Column("ConflictStatus_s", _S, "Conflict status of a change request.", F.CONFLICT_STATUS, old=True),
    Column("CreatedBy_s", _S, "Who opened the ticket, or requested the change.", F.CREATED_BY, old=True),
    Column("ResolvedBy_s", _S, "Who resolved the ticket.", F.RESOLVED_BY, old=True),
    Column("ClosedBy_s", _S, "Who closed the ticket.", F.CLOSED_BY, old=True),
    Column("AssignedTo_s", _S, "Who works on the ticket.", F.ASSIGNED_TO, old=True),
    Column("CreatedDate_t", _T, "When the ticket was opened.", F.CREATED, old=True),
    Column("ResolvedDate_t", _T, "When the ticket was resolved.", F.RESOLVED, old=True),
    Column("ClosedDate_t", _T, "When the ticket was closed.", F.CLOSED, old=True),
    Column("LastModifiedDate_t", _T, "When the ticket changed.", "changed_at", old=True),
    Column("RequestedDate_t", _T, "When the change is wanted.", F.REQUESTED, old=True),
    Column("PlannedStartDate_t", _T, "Planned start of the change.", F.PLANNED_START, old=True),
    Column("PlannedEndDate_t", _T, "Planned end of the change.", F.PLANNED_END, old=True),
    Column("WorkStartDate_t", _T, "Actual start of the change.", F.WORK_START, old=True),
    Column("WorkEndDate_t", _T, "Actual end of the change.", F.WORK_END, old=True),
    Column("Computer", _S, "Name of the configuration item.", F.COMPUTER, old=True),
    Column("Connection", _S, "Name of the connection.", "connection"),
    Column("TicketKind", _S, "incident, change_request or problem.", "kind"),
    Column("State", _S, "State of any ticket, as people see it.", F.STATE),
    Column("Phase", _S, "open, resolved or closed.", "phase"),
    Column("SysId", _S, "Id of the ticket in its system.", "id"),
    Column("Revision", _S, "Differs after every change of the ticket.", "revision"),
    Column("Url", _S, "Address of the ticket.", "url"),
    Column("AssignmentGroup", _S, "Group that works on the ticket.", F.ASSIGNMENT_GROUP),
    Column("Reopened", _I, "How often the ticket was reopened.", F.REOPENED),
    Column("CorrelationId", _S, "Key that the bridge, or another integration, wrote into the ticket.", F.CORRELATION),
    Column("AzureResourceId", _S, "Azure resource id of the configuration item, in lower case.", F.AZURE_RESOURCE),
    Column("Deleted", _B, "True: the ticket was deleted.", "deleted"),
    Column("Fields", _D, "Further columns that the configuration names.", "more"),
)

#: One row for each signal that came to its end, and one for each connection and run of the export.
LOG_COLUMNS: tuple[Column, ...] = (
    Column("TimeGenerated", _T, "When it happened.", "time"),
    Column("RecordId", _S, "Names the row. The same row sent twice has the same.", "id"),
    Column("LogType_s", _S, "INFO, WARNING, ERROR, or STATUS for the state of a connection.", "level", old=True),
    Column("ActionStatus_d", _R, "1 when it went well, else 0.", "action_status", old=True),
    Column("Status_b", _B, "Whether it went well.", "succeeded", old=True),
    Column("Message", _S, "What happened, in one sentence.", "message", old=True),
    Column("ExceptionMessage_s", _S, "What went wrong.", "error", old=True),
    Column("ServiceDeskConnectionName_s", _S, "Name of the connection.", "connection", old=True),
    Column("StatusLogTime_t", _T, "When it happened.", "time", old=True),
    Column("Connection", _S, "Name of the connection.", "connection"),
    Column("SignalId", _S, "Id of the message on the queue.", "signal"),
    Column("Key", _S, "Identity of the problem. CorrelationId of its ticket says the same.", "key"),
    Column("SignalSource", _S, "Where the signal came from.", "source"),
    Column("SignalKind", _S, "Kind of signal.", "signal_kind"),
    Column("SignalState", _S, "State of the problem that the signal tells.", "signal_state"),
    Column("Severity", _I, "0 to 4.", "severity"),
    Column("AlertRule", _S, "Name of the alert rule, or of what found it.", "alert_rule"),
    Column("AzureResourceId", _S, "First resource of the signal, in lower case.", "resource"),
    Column("AzureResourceType", _S, "Its type.", "resource_type"),
    Column("AzureSubscriptionId", _S, "Its subscription.", "subscription"),
    Column("FiredAt", _T, "When the source noticed the problem.", "fired_at"),
    Column("Decision", _S, "What the bridge did: see the tables of docs/delivery.md.", "decision"),
    Column("Route", _S, "Route of the configuration.", "route"),
    Column("Rule", _S, "Rule that held, grouped or suppressed the signal.", "rule"),
    Column("TicketKind", _S, "Kind of its ticket.", "ticket_kind"),
    Column("ServiceDeskId_s", _S, "Number of its ticket.", "ticket_number"),
    Column("SysId", _S, "Id of its ticket in its system.", "ticket_id"),
    Column("Url", _S, "Address of its ticket.", "ticket_url"),
    Column("Calls", _I, "Calls to the ticket system by the last attempt.", "calls"),
    Column("Attempts", _I, "Deliveries, the last one included.", "attempts"),
    Column("Seconds", _R, "From the webhook to the end.", "seconds"),
    Column("Mode", _S, "dry_run when nothing was written outside.", "mode"),
    Column("LagSeconds", _R, "STATUS: age of the oldest change that is not exported yet.", "lag"),
    Column("CallsUsed", _I, "STATUS: calls to the ticket system in the present window.", "calls_used"),
    Column("CallsAllowed", _I, "STATUS: calls that the window allows; empty for no limit.", "calls_allowed"),
    Column("Waiting", _I, "STATUS: messages on the queue.", "waiting"),
    Column("DeadLetters", _I, "STATUS: dead letters of the last hour.", "dead_letters"),
    Column("Quarantined", _I, "STATUS: quarantined payloads of the last hour.", "quarantined"),
)

#: Columns by table.
TABLES: dict[str, tuple[Column, ...]] = {TICKETS_TABLE: TICKET_COLUMNS, LOG_TABLE: LOG_COLUMNS}

#: Values of ``ServiceDeskWorkItemType_s`` by kind of ticket.
WORK_ITEM_TYPES = {"incident": "Incident", "change_request": "ChangeRequest", "problem": "Problem"}
