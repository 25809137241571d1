"""The tables of tickets as data (states, closing fields, column lengths, references), how a text is prepared for a
column, and which values came back different. Pure.

Sources: ServiceNow docs, "Incident, Problem and Change Management" (state models) and the dictionary of the base
system; where instances differ, the settings of the connection override what is here.

What counts as resolved: for incidents and problems the state of that name. A change request has none. By default the
bridge cancels a change that is still New when its problem is over, and leaves one that is under way to people. Where
the settings give ``resolved`` or ``steps``, it moves changes; Review (0) is then the state in which the bridge has done
its part: the work is done, and people look at it before they close it. But no
change model leads from Review back to work, so for the bridge it counts as closed: a problem that comes back gets a
change request of its own instead of one that cannot be reopened. Where a model allows it, take 0 out of
``states.change_request.closed``. Where the bridge is to close changes (``states.change_request.resolved: 3``), Review
is a step on the way and counts as open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from connectors.servicenow.settings import Reference
from connectors.servicenow.states import (
    CHANGE_MODEL,
    CHANGE_NAMES,
    INCIDENT_NAMES,
    PROBLEM_MODEL,
    PROBLEM_NAMES,
    GuardedStates,
    StateModel,
    StateOverrides,
    TicketStates,
)
from connectors.servicenow.wire import is_sys_id, value
from shared.core.ticket_system import Note, Phase, TicketKind

_ENDED = "Resolved by Azure ITSM Bridge: the problem that it reported has ended."


@dataclass(frozen=True, slots=True)
class TicketTable:
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
        untouched, cancelled: a ticket whose problem is over is cancelled while nobody has begun to work on it, and left
            to people afterwards; instead of being moved to the resolved state. Empty: it is resolved.
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
    untouched: str = ""
    cancelled: str = ""

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

    def state_name(self, state: str) -> str:
        """The name of a state; the stored value where it has no name."""
        return self.names.get(state, state)

    def value(self, text: str) -> str:
        """The stored value of the state of that name; the text itself where no state has that name."""
        wanted = text.strip().casefold()
        return next((value for value, name in self.names.items() if name.casefold() == wanted), text.strip())

    def state_label(self, state: str) -> str:
        """A state for a message: name and stored value."""
        name = self.state_name(state)
        return name if name == state else f"{name} ({state})"


_BASE: Mapping[TicketKind, TicketTable] = MappingProxyType(
    {
        TicketKind.INCIDENT: TicketTable(
            name="incident",
            resolved="6",
            reopened="2",
            closed=frozenset({"7", "8"}),
            closing=MappingProxyType({"close_code": "Solution provided", "close_notes": _ENDED}),
            names=INCIDENT_NAMES,
            counter="reopen_count",
            born_resolved=True,
        ),
        TicketKind.PROBLEM: TicketTable(
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
        TicketKind.CHANGE_REQUEST: TicketTable(
            name="change_request",
            resolved="0",
            reopened="-1",
            closed=frozenset({"0", "3", "4"}),
            closing=MappingProxyType({"close_code": "successful", "close_notes": _ENDED}),
            names=CHANGE_NAMES,
            model=CHANGE_MODEL,
            steps=("-2", "-1", "0"),
            untouched="-5",
            cancelled="4",
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

#: The field that takes the template of a standard change: a version of it.
TEMPLATE_FIELD = "std_change_producer_version"

#: The table of those templates. Its rows bear the names that people know.
TEMPLATES = "std_change_record_producer"

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

#: Tables whose inactive rows must not be assigned anything.
WITH_ACTIVE = frozenset({"sys_user", "sys_user_group"})

_ELLIPSIS = "…"

#: Control characters that no field shows and that XML, in which records are exported, cannot hold.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_CODE_TAG = re.compile(r"\[(/?)code\]", re.IGNORECASE)
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_BOOLEANS = {"true": "true", "false": "false", "1": "true", "0": "false"}


def ticket_tables(overrides: StateOverrides) -> dict[TicketKind, TicketTable]:
    """The tables by kind of ticket, with the states that a connection overrides."""
    return {kind: _with_states(table, getattr(overrides, kind.value)) for kind, table in _BASE.items()}


def _with_states(table: TicketTable, states: TicketStates) -> TicketTable:
    resolved = table.resolved if states.resolved is None else states.value(states.resolved)
    closed = table.closed - (table.model.before(resolved) if table.model is not None else frozenset())
    steps = states.steps if isinstance(states, GuardedStates) else None
    moves = states.resolved is not None or steps is not None
    return replace(
        table,
        cancelled="" if moves else table.cancelled,
        resolved=resolved,
        reopened=table.reopened if states.reopened is None else states.value(states.reopened),
        closed=closed if states.closed is None else frozenset(states.value(text) for text in states.closed),
        names=MappingProxyType({**table.names, **states.names}),
        steps=table.steps if steps is None else tuple(states.value(text) for text in steps),
    )


def record_url(instance: str, table: str, sys_id: str) -> str:
    """The address at which people open a record."""
    page = quote(f"{table}.do?sys_id={sys_id}", safe="")
    return f"{instance}/nav_to.do?uri={page}"


def clean(value: str) -> str:
    """Without control characters and lone surrogates, which cannot be sent as UTF-8."""
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", value))


def cut(field: str, value: str) -> str:
    """Cut to the field's length, ending in an ellipsis.

    The database cuts silently what does not fit into a column of up to 255 characters, and then what comes back
    differs from what was sent (ServiceNow support article KB0685779).
    """
    limit = LIMITS.get(field)
    if limit is None or len(value) <= limit:
        return value
    return value[: limit - 1].rstrip() + _ELLIPSIS


def journal_text(value: str) -> str:
    """Text without [code] tags, for a journal field: what stands between them there is rendered as HTML.

    Apply it last, to text that :func:`clean` returned.

    Source: ServiceNow docs, "Enable rendering of HTML and hyperlinks in journal fields"
    (glide.ui.security.allow_codetag).
    """
    return _CODE_TAG.sub(r"(\1code)", value)


def note_text(note: Note, field: str = "work_notes") -> str:
    """A note's text for a journal field. Where it has to be cut, its marker stays."""
    text, mark = journal_text(clean(note.text)), clean(note.marker)
    short = cut(field, text)
    if mark in short or mark not in text:
        return short
    room = LIMITS[field] - len(mark) - 3
    return f"{text[:room].rstrip()}{_ELLIPSIS}\n\n{mark}"


def dropped(sent: Mapping[str, str], row: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of fields whose value came back different from what was sent, in the order sent.

    ServiceNow answers 200 or 201 although it left a field out: unknown column, field access rule, data policy that
    makes it read-only, a business rule that computes it, a value too long for its column.
    """
    return tuple(name for name, wanted in sent.items() if name not in JOURNALS and not _same(wanted, value(row, name)))


def _same(sent: str, stored: str | None) -> bool:
    if stored is None:
        return False
    if _plain(sent) == _plain(stored):
        return True
    if is_sys_id(sent):
        return sent.lower() == stored.strip().lower()
    if _number(sent) is not None:
        return _number(sent) == _number(stored) or _BOOLEANS.get(sent) == stored.lower()
    flag = _BOOLEANS.get(sent.lower())
    return flag is not None and flag == _BOOLEANS.get(stored.lower())


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip()


def _number(text: str) -> float | None:
    """The value of a plain decimal number such as ``3`` or ``3.50``; None for anything else."""
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,6})?", text.strip()):
        return None
    return float(text)
