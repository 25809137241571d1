"""Fields of tickets by what they are for. Every ticket system maps these roles to its own columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from shared.core.ticket_system import TicketKind


class FieldRole(StrEnum):
    """What a field of a ticket is for."""

    TITLE = "title"
    BODY = "body"
    IMPACT = "impact"
    URGENCY = "urgency"
    PRIORITY = "priority"
    OWNER = "owner"
    GROUP = "group"
    REQUESTER = "requester"
    DUE = "due"
    WANTED_BY = "wanted_by"  #: when whoever asked for it wants it to be done
    PRIVATE_NOTE = "private_note"
    PUBLIC_NOTE = "public_note"
    CLOSING_NOTE = "closing_note"
    CONFIGURATION_ITEM = "configuration_item"


#: Columns by role. A role may have several columns, and none where the system has no such field.
Columns = Mapping[FieldRole, tuple[str, ...]]


def _no_key_fields(_kind: TicketKind, _correlation: str) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class FieldMap:
    """The fields of a ticket system.

    Attributes:
        columns: per kind of ticket, the columns of each role.
        defaults: per kind, columns that only this system has, with the template that fills them.
        repeated: per kind that is idempotent by key, the columns that every further message of a key repeats as the
            first one had them, so that the ticket system knows what the message is about.
        closing: per kind, columns that only this system has, with the template that fills them at the end.
        limits: longest text per column, in characters; ``default_limit`` for the others. Longer text is cut, so that
            what comes back equals what was sent.
        computed: per kind, columns that the system computes itself, each with the sentence that a person is told who
            tries to set it, fix included.
        reserved: columns that only the bridge or the system itself writes; a ``*`` at the end stands for any rest.
        date_format: how the system takes a date with time, for ``strftime``; always UTC.
        templates: kinds whose tickets may start from a template of the ticket system.
        key_fields: the fields that bear the key of a ticket, for previews: of a kind and the correlation text.
    """

    columns: Mapping[TicketKind, Columns]
    defaults: Mapping[TicketKind, Mapping[str, str]] = field(default_factory=dict)
    repeated: Mapping[TicketKind, tuple[str, ...]] = field(default_factory=dict)
    closing: Mapping[TicketKind, Mapping[str, str]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    default_limit: int = 4000
    computed: Mapping[TicketKind, Mapping[str, str]] = field(default_factory=dict)
    reserved: tuple[str, ...] = ()
    date_format: str = "%Y-%m-%dT%H:%M:%SZ"
    templates: frozenset[TicketKind] = frozenset()
    key_fields: Callable[[TicketKind, str], Mapping[str, str]] = _no_key_fields

    def named(self, kind: TicketKind, role: FieldRole) -> tuple[str, ...]:
        """The columns of a role; empty where the kind has no such field."""
        return self.columns.get(kind, {}).get(role, ())

    def is_reserved(self, column: str) -> bool:
        """Whether only the bridge or the system itself writes a column."""
        return any(column.startswith(one[:-1]) if one.endswith("*") else column == one for one in self.reserved)

    def values(self, kind: TicketKind, values: Mapping[FieldRole, str | datetime]) -> dict[str, str]:
        """Values by column, dates as the system takes them; without those that the kind has no field for."""
        return {
            column: value if isinstance(value, str) else value.astimezone(UTC).strftime(self.date_format)
            for role, value in values.items()
            for column in self.named(kind, role)
        }

    def limit(self, column: str) -> int:
        """Longest text of a column, in characters."""
        return self.limits.get(column, self.default_limit)
