"""The contracts of the export: what a ticket system shows of its tickets, and what a log store takes. Pure.

The exporter (``shared/export``) reads pages of :class:`TicketRecord` from ticket systems that implement
:class:`ExportsTickets`, and gives them to a :class:`LogDestination`. Neither side knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from shared.core.ticket_system import Phase, TicketKind

if TYPE_CHECKING:
    from shared.core.plugins import SectionCheck

#: A value of a record: text as people see it, or a time in UTC.
ExportValue = str | datetime


class ExportField(StrEnum):
    """What a record may say of a ticket. Every ticket system maps these to its own columns; a kind of ticket has those
    that its system knows for it."""

    TITLE = "title"
    DESCRIPTION = "description"
    STATE = "state"  #: as people see it
    IMPACT = "impact"
    URGENCY = "urgency"
    PRIORITY = "priority"
    ESCALATION = "escalation"
    CATEGORY = "category"
    CHANNEL = "channel"  #: how it came in, for example "phone"
    TYPE = "type"  #: of a change, for example "normal"
    RISK = "risk"
    CONFLICT_STATUS = "conflict_status"
    CREATED_BY = "created_by"  #: who opened an incident or problem, or requested a change
    RESOLVED_BY = "resolved_by"
    CLOSED_BY = "closed_by"
    ASSIGNED_TO = "assigned_to"
    ASSIGNMENT_GROUP = "assignment_group"
    CREATED = "created"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REQUESTED = "requested"  #: when a change is wanted
    PLANNED_START = "planned_start"
    PLANNED_END = "planned_end"
    WORK_START = "work_start"
    WORK_END = "work_end"
    REOPENED = "reopened"  #: how often, as digits
    COMPUTER = "computer"  #: name of the configuration item
    AZURE_RESOURCE = "azure_resource"  #: Azure resource id of the configuration item
    CORRELATION = "correlation"  #: the key that the bridge wrote, or another integration's


#: Fields that name a person.
PEOPLE = frozenset({ExportField.CREATED_BY, ExportField.RESOLVED_BY, ExportField.CLOSED_BY, ExportField.ASSIGNED_TO})


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """A ticket as its system showed it once: one row of the export.

    Attributes:
        connection: name of the connection.
        kind, id, number, url: of the ticket.
        revision: text that differs after every change of the ticket; with connection and id it names this row.
        changed_at: when the ticket changed last, UTC.
        phase: open, resolved or closed; None where it cannot be told.
        values: by field; a field without a value is missing.
        more: columns that the configuration adds, by their name in the ticket system.
        deleted: the ticket is gone; nothing else of it may be known.
    """

    connection: str
    kind: TicketKind
    id: str
    number: str
    url: str
    revision: str
    changed_at: datetime
    phase: Phase | None = None
    values: Mapping[ExportField, ExportValue] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tickets of a connection are exported, and what of them.

    Attributes:
        ours: only those that the bridge made.
        query: further condition in the language of the ticket system; empty for none.
        fields: those that are wanted.
        more: further columns by their name in the ticket system.
        since: tickets that changed before it are not exported; UTC.
    """

    since: datetime
    ours: bool = False
    query: str = ""
    fields: frozenset[ExportField] = frozenset(ExportField)
    more: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of tickets that changed, the oldest change first.

    Attributes:
        records: of the page, those read before left out.
        watermark: goes into the next call; store it once the records are sent. See ``ChangePage.watermark``.
        more: call again at once.
        lacking: fields and further columns that the instance does not have.
    """

    records: tuple[TicketRecord, ...]
    watermark: str
    more: bool
    lacking: frozenset[str] = frozenset()


@runtime_checkable
class ExportsTickets(Protocol):
    """Optional part of a ticket system: it lists all tickets, whoever made them. Raises as the methods of
    ``TicketSystem`` that read."""

    @property
    def export_kinds(self) -> frozenset[TicketKind]:
        """Kinds of tickets that can be listed."""
        ...

    async def export_page(
        self, kind: TicketKind, selection: Selection, watermark: str | None, *, limit: int
    ) -> RecordPage:
        """The next page: one call. As ``TicketSystem.changes_since``, for the selected tickets.

        Args:
            kind: of the tickets.
            selection: which, and what of them.
            watermark: of the page before; None to begin at ``selection.since``.
            limit: rows per page, 1 to 1000.
        """
        ...

    async def export_count(self, kind: TicketKind, selection: Selection) -> int:
        """How many tickets a back-fill would read: one call."""
        ...

    async def export_deleted(self, kind: TicketKind, since: datetime, *, limit: int) -> RecordPage | None:
        """Tickets that were deleted since then, the oldest first; None where the instance does not let us know. The
        watermark of the page is a time as text."""
        ...


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of the bridge's own log. What a signal has not is empty.

    Attributes:
        id: names the row; the same row sent twice has the same.
        time: UTC.
        level: ``INFO``, ``WARNING``, ``ERROR``, or ``STATUS`` for the state of a connection.
        message: one sentence.
        succeeded: whether it went well.
        error: what went wrong.
        connection, and all the others: see ``shared.operations.audit_log.AuditEntry``.
        resource, resource_type, subscription: of the signal's first resource.
        fired_at: when the source noticed it, UTC.
        lag: of a ``STATUS`` row: seconds since the oldest change that is not exported yet.
        calls_used, calls_allowed: of a ``STATUS`` row: the budget of the current window; allowed None for no limit.
        waiting, dead_letters, quarantined: of a ``STATUS`` row: messages and parked items of the whole bridge.
    """

    id: str
    time: datetime
    level: str
    message: str
    succeeded: bool
    error: str = ""
    connection: str = ""
    signal: str = ""
    key: str = ""
    source: str = ""
    signal_kind: str = ""
    signal_state: str = ""
    severity: int | None = None
    alert_rule: str = ""
    resource: str = ""
    resource_type: str = ""
    subscription: str = ""
    fired_at: datetime | None = None
    decision: str = ""
    route: str = ""
    rule: str = ""
    ticket_kind: str = ""
    ticket_number: str = ""
    ticket_id: str = ""
    ticket_url: str = ""
    calls: int = 0
    attempts: int = 0
    seconds: float = 0.0
    mode: str = ""
    lag: float | None = None
    calls_used: int | None = None
    calls_allowed: int | None = None
    waiting: int | None = None
    dead_letters: int | None = None
    quarantined: int | None = None


class LogDestination(Protocol):
    """Where the export goes. Both methods return only when every row was accepted, and may be repeated with the same
    rows: readers leave doubles out.

    Raises SourceUnavailable (with the time to wait, where the destination named one) when it may be tried again, and
    SourceRefused when that would not help: the advice says what to do.
    """

    async def send_tickets(self, records: Sequence[TicketRecord]) -> int:
        """Send rows of tickets; how many requests it took."""
        ...

    async def send_log(self, rows: Sequence[LogRow]) -> int:
        """Send rows of the bridge's own log; how many requests it took."""
        ...

    async def check(self) -> list[SectionCheck]:
        """Test sign-in and rights. Sends nothing, unless that is the only way to know: then a row without a ticket that
        readers leave out."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
