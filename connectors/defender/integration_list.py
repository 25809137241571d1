"""The integrations of Defender for Cloud with how they are doing, for ``GET /api/integrations``.

Nothing is asked of a ticket system: whether one answers is known from its last calls, see ``shared.operations.health``.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.settings import IntegrationSettings
from shared.core.times import parse_moment

_NO_PULSE: Mapping[str, Any] = {"last_success": None, "last_error": None}


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

    def shown(self) -> dict[str, int]:
        return {"open": self.open, "overdue": self.overdue, "ended": self.ended, "tickets": len(self.tickets)}


async def integrations(
    sections: Sequence[IntegrationSettings],
    assignments: AsyncIterable[Assignment],
    pulses: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> dict[str, Any]:
    """What the endpoint answers: ``{"integrations": [...]}``, in the order of the file.

    Each has ``name``, ``scope``, ``connection``, ``ticket``, ``one_ticket_per``, ``fields`` (default or customised,
    then ``customised`` names the kinds), ``status``, ``last_success``, ``last_error`` {``at``, ``code``, ``status``},
    and ``assignments`` {``open``, ``overdue``, ``ended``, ``tickets``}. ``status`` is ``ok``, ``connection_error`` when
    the connection's last call failed, ``unknown`` when there was none, or ``removed`` for one that has assignments and
    is no more in the file.

    Args:
        sections: of the configuration.
        assignments: all of them. Raises StorageUnavailable.
        pulses: last success and last error by connection, as ``shared.operations.health`` reads them.
        now: present time.
    """
    counts: dict[str, _Counts] = {}
    async for assignment in assignments:
        if assignment.ticket_key:  # without one, it ended before it began and nobody ever had to fix it
            counts.setdefault(assignment.integration, _Counts()).add(assignment, now)
    listed = [_listed(section, pulses, counts.pop(section.name, _Counts())) for section in sections]
    removed = [_removed(name, counted) for name, counted in sorted(counts.items())]
    return {"integrations": [*listed, *removed]}


def _listed(section: IntegrationSettings, pulses: Mapping[str, Mapping[str, Any]], counted: _Counts) -> dict[str, Any]:
    pulse = {**_NO_PULSE, **pulses.get(section.connection, {})}
    fields: dict[str, Any] = {"fields": "default"}
    if section.fields != "default":
        fields = {"fields": "customised", "customised": sorted(kind.value for kind in section.fields)}
    return {
        "name": section.name,
        "scope": section.scope,
        "connection": section.connection,
        "ticket": section.ticket.value,
        "one_ticket_per": section.one_ticket_per,
        **fields,
        "status": _status(pulse),
        **pulse,
        "assignments": counted.shown(),
    }


def _removed(name: str, counted: _Counts) -> dict[str, Any]:
    return {"name": name, "status": "removed", **_NO_PULSE, "assignments": counted.shown()}


def _status(pulse: Mapping[str, Any]) -> str:
    succeeded, failed = pulse["last_success"], pulse["last_error"]
    if failed is not None and (succeeded is None or parse_moment(succeeded) < parse_moment(failed["at"])):
        return "connection_error"
    return "unknown" if succeeded is None else "ok"
