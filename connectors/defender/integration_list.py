"""The integrations of Defender for Cloud with their status, for ``GET /api/integrations``.

No ticket system is called: whether one works is known from its last calls, see ``shared.operations.connection_health``.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NotRequired, TypedDict

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.settings import IntegrationSettings
from shared.operations.connection_health import ConnectionHealth

_STATUS = {"ok": "ok", "failing": "connection_error", "unknown": "unknown"}


class AssignmentCountsJson(TypedDict):
    """Assignments of one integration, and the number of their tickets."""

    open: int
    overdue: int
    ended: int
    tickets: int


class ListedIntegration(TypedDict):
    """One integration, as JSON.

    ``fields`` is default or customised; then ``customised`` names the kinds. ``last_error`` has ``at``, ``code`` and
    ``status``. ``status`` is ``ok``, ``connection_error`` when the connection's last call failed, ``unknown`` when
    there was no call, or ``removed`` for one that has assignments and is no longer in the file: then only ``name``,
    ``status``, ``last_success``, ``last_error`` and ``assignments`` are there.
    """

    name: str
    status: str
    last_success: str | None
    last_error: dict[str, Any] | None
    assignments: AssignmentCountsJson
    scope: NotRequired[str]
    connection: NotRequired[str]
    ticket: NotRequired[str]
    one_ticket_per: NotRequired[str]
    fields: NotRequired[str]
    customised: NotRequired[list[str]]


@dataclass(slots=True)
class _Counts:
    """Assignments of one integration."""

    open: int = 0
    overdue: int = 0
    ended: int = 0
    tickets: set[str] = field(default_factory=set)

    def add(self, assignment: Assignment, now: datetime) -> None:
        self.tickets.add(assignment.ticket_key)
        if not assignment.open:
            self.ended += 1
            return
        self.open += 1
        self.overdue += assignment.due < now

    def shown(self) -> AssignmentCountsJson:
        return {"open": self.open, "overdue": self.overdue, "ended": self.ended, "tickets": len(self.tickets)}


async def integrations(
    sections: Sequence[IntegrationSettings],
    assignments: AsyncIterable[Assignment],
    health: Mapping[str, ConnectionHealth],
    now: datetime,
) -> list[ListedIntegration]:
    """All integrations in the order of the file, and then the removed ones.

    Args:
        sections: of the configuration.
        assignments: all of them. Raises StorageUnavailable.
        health: of the connections, by name.
        now: present time.
    """
    counts: dict[str, _Counts] = {}
    async for assignment in assignments:
        if assignment.ticket_key:  # without one, it ended before anybody had to fix it
            counts.setdefault(assignment.integration, _Counts()).add(assignment, now)
    listed = [
        _listed(section, health.get(section.connection, ConnectionHealth()), counts.pop(section.name, _Counts()), now)
        for section in sections
    ]
    removed = [_removed(name, counted) for name, counted in sorted(counts.items())]
    return [*listed, *removed]


def _listed(
    section: IntegrationSettings, health: ConnectionHealth, counted: _Counts, now: datetime
) -> ListedIntegration:
    shown = health.shown(now)
    listed: ListedIntegration = {
        "name": section.name,
        "scope": section.scope,
        "connection": section.connection,
        "ticket": section.ticket.value,
        "one_ticket_per": section.one_ticket_per,
        "fields": "default" if section.fields == "default" else "customised",
        "status": _STATUS[shown["status"]],
        "last_success": shown["last_success"],
        "last_error": shown["last_error"],
        "assignments": counted.shown(),
    }
    if section.fields != "default":
        listed["customised"] = sorted(kind.value for kind in section.fields)
    return listed


def _removed(name: str, counted: _Counts) -> ListedIntegration:
    return {
        "name": name,
        "status": "removed",
        "last_success": None,
        "last_error": None,
        "assignments": counted.shown(),
    }
