"""Values of ticket fields, and names, as every section of bridge.yaml that fills tickets writes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from shared.core.settings import SettingsModel

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]


class Lookup(SettingsModel):
    """A value found in one of the tables under ``lookups``."""

    lookup: Name
    """Name of the table."""
    key: str
    """Template that gives the key, for example ``{{ resource.resource_group }}``. Compared without case."""
    default: str | None = None
    """Template for keys that the table does not have. Left out: the field is not set, and a warning says so."""


FieldValue = StrictStr | StrictInt | StrictFloat | StrictBool | Lookup | None
