"""The tables that tickets live in, as data: states, closing fields, field lengths, references.

Sources: ServiceNow docs, "Incident, Problem and Change Management" (state models) and the dictionary of the base
system; where instances differ, the settings of the connection override what is here.

What counts as resolved: for incidents and problems the state of that name. A change request has none; Review (0)
takes its place when the bridge resolves one: the work is done, and people look at it before they close it. But no
change model leads from Review back to work, so for the bridge it counts as closed: a problem that comes back gets a
change request of its own instead of one that cannot be reopened. Where a model allows it, take 0 out of
``states.change_request.closed``. Where the bridge is to close changes (``states.change_request.resolved: 3``), Review
is a step on the way and counts as open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from connectors.servicenow.settings import Reference
from connectors.servicenow.state_settings import GuardedStates, StateOverrides, TicketStates
from connectors.servicenow.states import (
    CHANGE_MODEL,
    CHANGE_NAMES,
    INCIDENT_NAMES,
    PROBLEM_MODEL,
    PROBLEM_NAMES,
    StateModel,
)
from shared.core.ticket_system import Phase, TicketKind

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
        names: what states are called, by stored value.
        code: column that says how a ticket ended. counter: column that counts how often it was reopened, if any.
        born_resolved: whether a ticket may be inserted as resolved; where a state model guards each step, it may not.
        model: the state model that guards each step, None where states may be written freely.
        steps: states, in their order, that the bridge may enter by itself on the way to the resolved one.
    """

    name: str
    resolved: str
    reopened: str
    closed: frozenset[str]
    closing: Mapping[str, str]
    names: Mapping[str, str]
    code: str = "close_code"
    counter: str = ""
    born_resolved: bool = False
    model: StateModel | None = None
    steps: tuple[str, ...] = ()

    def phase(self, state: str, active: str) -> Phase:
        """The phase that a record's ``state`` and ``active`` mean. A state unknown here is open while active."""
        if state in self.closed:
            return Phase.CLOSED
        if state == self.resolved:
            return Phase.RESOLVED
        return Phase.CLOSED if active.lower() in ("false", "0") else Phase.OPEN

    def closure(self, given: Mapping[str, str]) -> dict[str, str]:
        """The fields that resolve a ticket: what is given, and the defaults for the rest. A state that is given by
        its name becomes its stored value."""
        fields = {"state": self.resolved, **self.closing, **given}
        return {**fields, "state": self.value(fields["state"])}

    def called(self, state: str) -> str:
        """What a state is called; the stored value where it has no name."""
        return self.names.get(state, state)

    def value(self, text: str) -> str:
        """The stored value of the state of that name; the text itself where no state is called so."""
        wanted = text.strip().casefold()
        return next((value for value, name in self.names.items() if name.casefold() == wanted), text.strip())

    def shown(self, state: str) -> str:
        """A state for a message: name and stored value."""
        name = self.called(state)
        return name if name == state else f"{name} ({state})"


_BASE: Mapping[TicketKind, Table] = MappingProxyType(
    {
        TicketKind.INCIDENT: Table(
            name="incident",
            resolved="6",
            reopened="2",
            closed=frozenset({"7", "8"}),
            closing=MappingProxyType({"close_code": "Solution provided", "close_notes": _ENDED}),
            names=INCIDENT_NAMES,
            counter="reopen_count",
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
            names=PROBLEM_NAMES,
            code="resolution_code",
            counter="reopen_count",
            model=PROBLEM_MODEL,
            steps=("102", "103", "104", "106"),
        ),
        TicketKind.CHANGE_REQUEST: Table(
            name="change_request",
            resolved="0",
            reopened="-1",
            closed=frozenset({"0", "3", "4"}),
            closing=MappingProxyType({"close_code": "successful", "close_notes": _ENDED}),
            names=CHANGE_NAMES,
            model=CHANGE_MODEL,
            steps=("-2", "-1", "0"),
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

#: The field that takes the template of a standard change.
TEMPLATE_FIELD = "std_change_producer_version"

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
        TEMPLATE_FIELD: _by("std_change_producer_version", "name"),
    }
)

#: Tables whose rows that are not active must not be assigned anything.
WITH_ACTIVE = frozenset({"sys_user", "sys_user_group"})


def tables(overrides: StateOverrides) -> dict[TicketKind, Table]:
    """The tables by kind of ticket, with the states that a connection overrides."""
    return {kind: _with_states(table, getattr(overrides, kind.value)) for kind, table in _BASE.items()}


def _with_states(table: Table, states: TicketStates) -> Table:
    resolved = table.resolved if states.resolved is None else states.value(states.resolved)
    closed = table.closed - (table.model.before(resolved) if table.model is not None else frozenset())
    steps = states.steps if isinstance(states, GuardedStates) else None
    return replace(
        table,
        resolved=resolved,
        reopened=table.reopened if states.reopened is None else states.value(states.reopened),
        closed=closed if states.closed is None else frozenset(states.value(text) for text in states.closed),
        names=MappingProxyType({**table.names, **states.names}),
        steps=table.steps if steps is None else tuple(states.value(text) for text in steps),
    )
