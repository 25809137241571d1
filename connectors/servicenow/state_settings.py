"""Settings about states and about how changes are made. The attribute docstrings go into the JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from connectors.servicenow.states import CHANGE_NAMES, INCIDENT_NAMES, PROBLEM_NAMES
from shared.core.settings import SettingsModel

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
    (Review)."""
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


class Change(SettingsModel):
    """How change requests are made. A route may differ from it with the fields ``type`` and
    ``std_change_producer_version``."""

    api: Literal["table", "change_management"] = "table"
    """``table``: a new change is inserted into the table. ``change_management``: it is made by the Change Management
    API, which applies the standard change template. Everything that follows (reading, notes, states) goes through the
    Table API either way."""
    type: Literal["normal", "standard", "emergency"] | None = None
    """Type of change. Left out: the instance's default, normal."""
    template: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Name or sys_id of the template of standard changes (table ``std_change_producer_version``)."""

    @model_validator(mode="after")
    def _standard_has_a_template(self) -> Self:
        if self.type == "standard" and self.api == "change_management" and self.template is None:
            raise ValueError("a standard change is made from a template. Fix: name it under 'template'")
        return self
