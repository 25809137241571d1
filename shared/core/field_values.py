"""Values of ticket fields, and names, as every section of bridge.yaml that fills tickets writes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from shared.core.settings import SettingsModel

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]

#: Steps of one chain.
MOST_STEPS = 10


class LookupValue(SettingsModel):
    """A step of a chain that is not looked up."""

    value: str
    """Template: what it gives is the field's value, unless it is empty."""


class Lookup(SettingsModel):
    """A value found in one of the tables under ``lookups``."""

    lookup: Name
    """Name of the table."""
    key: str | Annotated[list[StrictStr | LookupValue], Field(min_length=1, max_length=MOST_STEPS)]
    """Template that gives the key, for example ``{{ resource.resource_group }}``, or a list of them: they are tried in
    turn until one is in the table. A step ``{value: "{{ resource.tags.team }}"}`` is not looked up: it is the value
    itself, unless it is empty. Compared without case."""
    default: str | None = None
    """Template for keys that the table does not have. Left out: the field is not set, and a warning says so."""

    @property
    def steps(self) -> list[str | LookupValue]:
        """The chain; one key is a chain of one step."""
        return [self.key] if isinstance(self.key, str) else [*self.key]

    @property
    def templates(self) -> list[str]:
        """All templates."""
        steps = [step.value if isinstance(step, LookupValue) else step for step in self.steps]
        return [*steps, *([] if self.default is None else [self.default])]


FieldValue = StrictStr | StrictInt | StrictFloat | StrictBool | Lookup | None
