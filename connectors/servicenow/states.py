"""States of tickets: the names and state models of the base system as data, and the settings of a connection that
override them. The attribute docstrings of the settings go into the JSON Schema.

Sources: ServiceNow docs, "State model and transitions" (change management, with the progression of normal, standard
and emergency changes), "Problem management state model", "Incident management: state model".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.core.settings import SettingsModel

#: Name by stored value, as the base system shows it.
INCIDENT_NAMES: Mapping[str, str] = MappingProxyType(
    {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"}
)
PROBLEM_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "101": "New",
        "102": "Assess",
        "103": "Root Cause Analysis",
        "104": "Fix in Progress",
        "106": "Resolved",
        "107": "Closed",
    }
)
CHANGE_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "-5": "New",
        "-4": "Assess",
        "-3": "Authorize",
        "-2": "Scheduled",
        "-1": "Implement",
        "0": "Review",
        "3": "Closed",
        "4": "Canceled",
    }
)


@dataclass(frozen=True, slots=True)
class StateModel:
    """A state model that guards each step.

    Attributes:
        paths: the states in their order, by the record's ``type``; "" for records without one, or of another type.
        approved: states that are entered by an approval and never by writing the state, by type.
        anytime: states that may be written in every state of an active record.
        needs: fields that the step into a state asks for, where they are among the closing fields.
        watched: columns that tell why a record does not move.
        moved_by_actions: there are instances that move such records by actions of their own, and keep the state
            whatever is written.
    """

    paths: Mapping[str, tuple[str, ...]]
    approved: Mapping[str, frozenset[str]] = field(default_factory=dict)
    anytime: frozenset[str] = frozenset()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    watched: tuple[str, ...] = ()
    moved_by_actions: bool = False

    def path(self, kind: str) -> tuple[str, ...]:
        """The states of a record of that type, in their order."""
        return self.paths.get(kind, self.paths[""])

    def by_approval(self, kind: str, state: str) -> bool:
        """Whether a record of that type enters ``state`` only when people approve."""
        return state in self.approved.get(kind, self.approved.get("", frozenset()))

    def ahead(self, kind: str, state: str, target: str, steps: tuple[str, ...]) -> tuple[str, ...]:
        """The states that lie between ``state`` and ``target``, the latter included, in their order.

        Empty where the path is not known: the record is in a state of the instance's own, or beyond the target.
        ``steps`` that the model does not know, or a target that it does not know, take the place of its path.
        """
        if target in self.anytime:
            return (target,)
        path = self._full_path(kind, target, steps)
        if state not in path:
            return () if path is self.path(kind) else path
        return path[path.index(state) + 1 : path.index(target) + 1]

    def wanted(self, kind: str, target: str, steps: tuple[str, ...]) -> tuple[str, ...]:
        """Every state that the bridge may write on the way to ``target``, in their order."""
        if target in self.anytime:
            return (target,)
        path = self._full_path(kind, target, steps)
        return tuple(state for state in path[: path.index(target) + 1] if state == target or state in steps)

    def _full_path(self, kind: str, target: str, steps: tuple[str, ...]) -> tuple[str, ...]:
        path = self.path(kind)
        known = {state for one in self.paths.values() for state in one}
        if target in path and known.issuperset(steps):
            return path
        return (*(state for state in steps if state != target), target)

    def before(self, state: str) -> frozenset[str]:
        """Every state that comes before ``state`` on the longest path."""
        path = self.paths[""]
        return frozenset(path[: path.index(state)]) if state in path else frozenset()


_NORMAL = ("-5", "-4", "-3", "-2", "-1", "0", "3")

CHANGE_MODEL = StateModel(
    paths=MappingProxyType(
        {
            "": _NORMAL,
            "normal": _NORMAL,
            "standard": ("-5", "-2", "-1", "0", "3"),
            "emergency": ("-5", "-3", "-2", "-1", "0", "3"),
        }
    ),
    approved=MappingProxyType({"": frozenset({"-3", "-2"}), "standard": frozenset(), "emergency": frozenset({"-2"})}),
    anytime=frozenset({"4"}),
    watched=("type", "approval", "on_hold", "on_hold_reason"),
)

PROBLEM_MODEL = StateModel(
    paths=MappingProxyType({"": ("101", "102", "103", "104", "106", "107")}),
    needs=MappingProxyType({"104": ("cause_notes", "fix_notes")}),
    moved_by_actions=True,
)


_digits = BeforeValidator(lambda value: str(value) if type(value) is int else value)

#: A state as ServiceNow stores it; YAML's numbers are taken as their digits.
StateValue = Annotated[str, _digits, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]

#: What people call a state.
StateLabel = Annotated[str, Field(pattern=r"^[^\^\r\n]{1,80}$")]

#: A state by its stored value or by its name.
StateText = Annotated[str, _digits, Field(pattern=r"^[^\^\r\n]{1,80}$")]


def _stored(names: Any) -> Any:
    """The names with their values as text, since YAML reads them as numbers."""
    if not isinstance(names, dict):
        return names
    return {str(value) if type(value) is int else value: name for value, name in names.items()}


class TicketStates(SettingsModel):
    """States of one kind of ticket, where they differ from the base system's."""

    shipped: ClassVar[dict[str, str]] = {}

    resolved: StateText | None = None
    """Written to resolve, and means resolved when read. Base system: incident 6, problem 106, change request 0
    (Review). Changes are moved there only where this or ``steps`` is given: left out, a change that is still New when
    its problem is over is cancelled, and one that is under way gets a note and is left to people."""
    reopened: StateText | None = None
    """Written to reopen. Base system: incident 2, problem 103 (Root Cause Analysis), change request -1 (Implement)."""
    closed: list[StateText] | None = None
    """States in which a ticket is never written again, and a problem that comes back gets a new one. Base system:
    incident 7 and 8, problem 107, change request 0 (Review, from which no base model leads back), 3 and 4; with a
    ``resolved`` of 3, Review is only a step on the way. A record that is not active counts as closed in any state but
    the resolved one."""
    names: Annotated[dict[StateValue, StateLabel], BeforeValidator(_stored)] = Field(default_factory=dict)
    """What your instance calls its states: stored value to name, for example ``{"-1": In Arbeit}``. Lists, counts and
    messages show these names, and every state in this file may be written by its name. States that are not named here
    keep the name of the base system."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        folded = [name.casefold() for name in self.names.values()]
        twice = sorted({name for name in self.names.values() if folded.count(name.casefold()) > 1})
        if twice:
            raise ValueError(f"two states are called '{twice[0]}'. Fix: give each a name of its own")
        wrong = [text for text in self._written() if self._unknown(text)]
        if wrong:
            offered = ", ".join(f"{name} ({value})" for value, name in (self.shipped | self.names).items())
            raise ValueError(f"no state is called '{wrong[0]}'. Fix: write one of {offered}, or a stored value")
        return self

    def value(self, text: str) -> str:
        """The stored value that a text means: the state of that name, else the text itself."""
        wanted = text.strip().casefold()
        for names in (self.names, self.shipped):
            for value, name in names.items():
                if name.casefold() == wanted:
                    return value
        return text.strip()

    def _written(self) -> list[str]:
        return [text for text in (self.resolved, self.reopened, *(self.closed or ())) if text is not None]

    def _unknown(self, text: str) -> bool:
        """Whether a text can be no stored value and is no name."""
        return self.value(text) == text.strip() and (" " in text.strip() or not text.isascii())


class IncidentStates(TicketStates):
    """States of incidents, where they differ from the base system's."""

    shipped: ClassVar[dict[str, str]] = dict(INCIDENT_NAMES)


class GuardedStates(TicketStates):
    """States of a kind whose state model guards each step."""

    steps: list[StateText] | None = None
    """States, in their order, that the bridge may enter by itself on the way to ``resolved``. Base system: change
    request -2, -1 and 0 (Scheduled, Implement, Review), problem 102, 103, 104 and 106. Left out are Assess and
    Authorize of a change: entering them asks people for their approval. Approvals are never given by the bridge: it
    waits in front of them. A step that is missing here is left to people, and the ticket is reported as stopped there.
    ``[]``: none but ``resolved`` itself."""

    def _written(self) -> list[str]:
        return [*super()._written(), *(self.steps or ())]


class ProblemStates(GuardedStates):
    """States of problems, where they differ from the base system's."""

    shipped: ClassVar[dict[str, str]] = dict(PROBLEM_NAMES)


class ChangeStates(GuardedStates):
    """States of change requests, where they differ from the base system's."""

    shipped: ClassVar[dict[str, str]] = dict(CHANGE_NAMES)


class StateOverrides(SettingsModel):
    """States by kind of ticket."""

    incident: IncidentStates = IncidentStates()
    """States of incidents."""
    problem: ProblemStates = ProblemStates()
    """States of problems."""
    change_request: ChangeStates = ChangeStates()
    """States of change requests."""
