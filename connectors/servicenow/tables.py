"""The tables that tickets live in, as data: states, closing fields, field lengths, references.

Sources: ServiceNow docs, "Incident, Problem and Change Management" (state models) and the dictionary of the base
system; where instances differ, the settings of the connection override what is here.

What counts as resolved: for incidents and problems the state of that name. A change request has none; Review (0)
takes its place when the bridge resolves one: the work is done, and people look at it before they close it. But no
change model leads from Review back to work, so for the bridge it counts as closed: a problem that comes back gets a
change request of its own instead of one that cannot be reopened. Where a model allows it, take 0 out of
``states.change_request.closed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from connectors.servicenow.settings import Reference, StateOverrides, States
from shared.tickets import Phase, TicketKind

#: Written into correlation_display and looked for beside the key.
DISPLAY = "Azure ITSM Bridge"

_ENDED = "Resolved by Azure ITSM Bridge: the problem that it reported has ended."


@dataclass(frozen=True, slots=True)
class Table:
    """One kind of ticket.

    Attributes:
        name: the table.
        resolved: state that is written to resolve. reopened: state that is written to reopen.
        closed: states in which a ticket is never written again.
        closing: fields that are written with ``resolved`` where the caller gives none.
        born_resolved: whether a ticket may be inserted as resolved; where a state model guards each step, it may not.
    """

    name: str
    resolved: str
    reopened: str
    closed: frozenset[str]
    closing: Mapping[str, str]
    born_resolved: bool = False

    def phase(self, state: str, active: str) -> Phase:
        """The phase that a record's ``state`` and ``active`` mean. A state unknown here is open while active."""
        if state in self.closed:
            return Phase.CLOSED
        if state == self.resolved:
            return Phase.RESOLVED
        return Phase.CLOSED if active.lower() in ("false", "0") else Phase.OPEN

    def closure(self, given: Mapping[str, str]) -> dict[str, str]:
        """The fields that resolve a ticket: what is given, and the defaults for the rest."""
        return {"state": self.resolved, **self.closing, **given}


_BASE: Mapping[TicketKind, Table] = MappingProxyType(
    {
        TicketKind.INCIDENT: Table(
            name="incident",
            resolved="6",
            reopened="2",
            closed=frozenset({"7", "8"}),
            closing=MappingProxyType({"close_code": "Solution provided", "close_notes": _ENDED}),
            born_resolved=True,
        ),
        TicketKind.PROBLEM: Table(
            name="problem",
            resolved="106",
            reopened="103",
            closed=frozenset({"107"}),
            closing=MappingProxyType(
                {"resolution_code": "fix_applied", "cause_notes": _ENDED, "fix_notes": _ENDED, "close_notes": _ENDED}
            ),
        ),
        TicketKind.CHANGE_REQUEST: Table(
            name="change_request",
            resolved="0",
            reopened="-1",
            closed=frozenset({"0", "3", "4"}),
            closing=MappingProxyType({"close_code": "successful", "close_notes": _ENDED}),
        ),
    }
)

#: Column lengths of the base system for free text, in characters. Values of choices are never cut.
LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "short_description": 160,
        "correlation_id": 100,
        "correlation_display": 100,
        "description": 4000,
        "close_notes": 4000,
        "fix_notes": 4000,
        "cause_notes": 4000,
        "work_notes": 4000,
        "comments": 4000,
    }
)

#: Fields to which every write adds an entry; what comes back from them is not what was sent.
JOURNALS = frozenset({"work_notes", "comments", "comments_and_work_notes", "approval_history"})

#: The field that takes a configuration item.
CI_FIELD = "cmdb_ci"

_USER = Reference(table="sys_user", by=["user_name", "email", "name"])
_SERVICE = Reference(table="cmdb_ci_service", by=["name"])


def _by(table: str, column: str) -> Reference:
    return Reference(table=table, by=[column])


#: Reference fields of task and its children.
REFERENCES: Mapping[str, Reference] = MappingProxyType(
    {
        "assignment_group": _by("sys_user_group", "name"),
        "assigned_to": _USER,
        "caller_id": _USER,
        "opened_by": _USER,
        "closed_by": _USER,
        "resolved_by": _USER,
        "reopened_by": _USER,
        "requested_by": _USER,
        "confirmed_by": _USER,
        "cab_delegate": _USER,
        "business_service": _SERVICE,
        "service_offering": _by("service_offering", "name"),
        "company": _by("core_company", "name"),
        "location": _by("cmn_location", "name"),
        "parent": _by("task", "number"),
        "parent_incident": _by("incident", "number"),
        "problem_id": _by("problem", "number"),
        "duplicate_of": _by("problem", "number"),
        "rfc": _by("change_request", "number"),
        "caused_by": _by("change_request", "number"),
        "first_reported_by_task": _by("task", "number"),
        "chg_model": _by("chg_model", "name"),
    }
)

#: Tables whose rows that are not active must not be assigned anything.
WITH_ACTIVE = frozenset({"sys_user", "sys_user_group"})


def tables(overrides: StateOverrides) -> dict[TicketKind, Table]:
    """The tables by kind of ticket, with the states that a connection overrides."""
    return {kind: _with_states(table, getattr(overrides, kind.value)) for kind, table in _BASE.items()}


def _with_states(table: Table, states: States) -> Table:
    return replace(
        table,
        resolved=table.resolved if states.resolved is None else states.resolved,
        reopened=table.reopened if states.reopened is None else states.reopened,
        closed=table.closed if states.closed is None else frozenset(states.closed),
    )
