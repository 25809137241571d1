"""What a person asks for with ``POST /api/assignments/withdraw``, as far as the body alone tells. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictStr, field_validator
from pydantic import model_validator as checked

from connectors.defender.assignments.request import MOST_RESOURCES, RequestLine, one_line, read_body, resource_ids

_LONGEST_KEY = 1024


class WithdrawRequest(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    keys: Annotated[list[StrictStr], Field(min_length=1, max_length=MOST_RESOURCES)] | None = None
    recommendation: RequestLine | None = None
    resources: Annotated[list[StrictStr], Field(min_length=1, max_length=MOST_RESOURCES)] | None = None
    integration: RequestLine | None = None
    tickets: Literal["keep", "resolve"] = "keep"
    reason: Annotated[StrictStr, Field(min_length=1, max_length=500)]
    by: RequestLine

    @field_validator("keys")
    @classmethod
    def _keys(cls, found: list[str] | None) -> list[str] | None:
        """Keys are lower case; a key that is written twice is asked for once."""
        for one in found or ():
            if not one.strip() or len(one) > _LONGEST_KEY or not one.isprintable():
                raise ValueError(f"'{one[:200]}' is no key. Fix: copy it from the answer that named it")
        return None if found is None else list(dict.fromkeys(one.strip().lower() for one in found))

    @field_validator("resources")
    @classmethod
    def _ids(cls, found: list[str] | None) -> list[str] | None:
        return None if found is None else resource_ids(found)

    @field_validator("recommendation", "integration", "by", "reason")
    @classmethod
    def _one_line(cls, found: str | None) -> str | None:
        return None if found is None else one_line(found)

    @checked(mode="after")
    def _which(self) -> Self:
        if (self.recommendation is None) != (self.resources is None):
            raise ValueError("'recommendation' and 'resources' go together")
        given = [one for one in (self.keys, self.resources, self.integration) if one is not None]
        if len(given) != 1:
            raise ValueError("give one of: 'keys'; 'recommendation' with 'resources'; 'integration'")
        return self


def read_withdrawal(body: object) -> WithdrawRequest:
    """Read a body. Raises Problem: 400 that names every mistake, with suggestions for names that are not known."""
    return read_body(body, WithdrawRequest, "Not a withdrawal", "keys")
