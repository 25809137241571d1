"""What a person asks for with ``POST /api/assignments``: read, and checked as far as the body alone tells. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError, field_validator
from pydantic import model_validator as checked

from connectors.microsoft.azure_resources import canonical, is_id
from shared.core.problem import Problem
from shared.core.ticket_system import TicketKind

#: Resources of one request: each is a ticket of its own, and all have to be done within one answer.
MOST_RESOURCES = 50

_MOST_FIELDS = 40
_LONGEST_NAME = 200
_LONGEST_TEXT = 4000

#: Fields that members of the request stand for, and those that belong to the bridge.
_MEMBERS = {"assigned_to": "assigned_to", "caller_id": "caller", "requested_by": "caller", "due_date": "due_date"}
_OWN = frozenset({"number", "state", "correlation_id", "correlation_display"})

RequestLine = Annotated[StrictStr, Field(min_length=1, max_length=_LONGEST_NAME)]
Days = Literal[7, 14, 30, 90]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class RequestMistake:
    """One thing that is wrong with a request: member, what is wrong and what to do, and what may have been meant."""

    field: str
    detail: str
    suggestions: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The detail, with what may have been meant."""
        said = self.detail if self.detail.endswith((".", "!", "?")) else f"{self.detail}."
        said = f"{said[:1].upper()}{said[1:]}" if not said.startswith("/") else said
        return f"{said} Did you mean {', '.join(self.suggestions)}?" if self.suggestions else said

    def shown(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "field": self.field,
            "detail": self.sentence,
            **({"suggestions": list(self.suggestions)} if self.suggestions else {}),
        }


def problem(
    status: int, title: str, mistakes: Iterable[RequestMistake], headers: Mapping[str, str] | None = None
) -> Problem:
    """A refusal that names every mistake; its extension member ``errors`` has them one by one."""
    listed = list(mistakes)
    detail = " ".join(f"{one.field}: {one.sentence}" if one.field else one.sentence for one in listed)
    return Problem(status, title, detail, headers, extra={"errors": [one.shown() for one in listed]})


def resource_ids(found: list[str]) -> list[str]:
    """ARM ids of resources, each once. Raises ValueError for what is none."""
    for one in found:
        if not is_id(one) or not canonical(one).startswith("/subscriptions/") or len(one) > 1024 or _unfit(one):
            raise ValueError(f"'{one[:200]}' is no ARM id of a resource. Fix: write /subscriptions/ID/...")
    unique: dict[str, str] = {}
    for one in found:
        unique.setdefault(canonical(one), one)
    return list(unique.values())


def one_line(found: str) -> str:
    """A text that is one line. Raises ValueError for any other."""
    if not found.isprintable():
        raise ValueError("write it on one line, without control characters")
    return found


class AssignmentRequest(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    recommendation: RequestLine
    resources: Annotated[list[StrictStr], Field(min_length=1, max_length=MOST_RESOURCES)]
    assigned_to: RequestLine
    kind: Literal["incident", "change_request", "problem"] | None = None
    caller: Annotated[StrictStr, Field(max_length=_LONGEST_NAME)] = ""
    due_date: StrictStr | None = None
    remediation_days: Days | None = None
    grace: StrictBool = False
    notify_owner: StrictBool = True
    notify_manager: StrictBool = False
    fields: Annotated[dict[str, Any], Field(max_length=_MOST_FIELDS)] = Field(default_factory=dict)
    integration: Annotated[StrictStr, Field(max_length=_LONGEST_NAME)] = ""
    by: Annotated[StrictStr, Field(max_length=_LONGEST_NAME)] = ""

    @field_validator("resources")
    @classmethod
    def _ids(cls, found: list[str]) -> list[str]:
        return resource_ids(found)

    @field_validator("recommendation", "assigned_to", "caller", "integration", "by")
    @classmethod
    def _one_line(cls, found: str) -> str:
        return one_line(found)

    @field_validator("fields")
    @classmethod
    def _fields(cls, found: dict[str, Any]) -> dict[str, Any]:
        for name, value in found.items():
            if not isinstance(value, str | bool | int | float) or str(value) in ("inf", "-inf", "nan"):
                raise ValueError(f"'{name[:80]}' has to be text, a number, true or false")
            if len(str(value)) > _LONGEST_TEXT:
                raise ValueError(f"'{name[:80]}' has {len(str(value)):,} characters; the limit is {_LONGEST_TEXT:,}")
            if name in _MEMBERS:
                raise ValueError(f"'{name}' is a member of the request itself: '{_MEMBERS[name]}'")
            if name in _OWN or name.startswith("sys_"):
                raise ValueError(f"'{name}' is set by the bridge or by the ticket system alone. Fix: leave it out")
        return found

    @checked(mode="after")
    def _until(self) -> Self:
        if (self.due_date is None) == (self.remediation_days is None):
            raise ValueError("give either 'due_date' or 'remediation_days' (7, 14, 30 or 90)")
        return self

    @property
    def ticket_kind(self) -> TicketKind | None:
        """The kind of ticket that is asked for; None for the integration's."""
        return None if self.kind is None else TicketKind(self.kind)

    @property
    def ticket_fields(self) -> dict[str, str]:
        """Ticket fields as text."""
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.fields.items()
        }

    def due(self, now: datetime) -> datetime:
        """Until when, UTC, in whole seconds. A date without a time is that day to its end.

        Raises Problem: 400 for what is no date, or not in the future.
        """
        if self.due_date is None:
            return now.astimezone(UTC).replace(microsecond=0) + timedelta(days=self.remediation_days or 0)
        moment = _moment(self.due_date)
        if moment is None:
            detail = f"'{self.due_date[:60]}' is no date. Fix: write 2026-01-31, or 2026-01-31T17:00:00Z with its zone."
            raise problem(400, "No date", [RequestMistake("due_date", detail)])
        if moment <= now:
            detail = f"{self.due_date} is in the past. Fix: name a moment after {now.astimezone(UTC):%Y-%m-%dT%H:%MZ}."
            raise problem(400, "Due date in the past", [RequestMistake("due_date", detail)])
        return moment


def read_request(body: object) -> AssignmentRequest:
    """Read a body. Raises Problem: 400 that names every mistake, with suggestions for names that are not known."""
    return read_body(body, AssignmentRequest, "Not an assignment", "due_date")


def read_body(body: object, model: type[M], title: str, dependent: str) -> M:
    """Read a body as ``model``; ``dependent`` is its member that depends on others. Raises as :func:`read_request`."""
    if not isinstance(body, dict):
        raise problem(400, title, [RequestMistake("", "Expected one JSON object; see docs/assignments.md.")])
    try:
        return model.model_validate(body)
    except ValidationError as error:
        mistakes = [_mistake(one, model, dependent) for one in error.errors(include_url=False)]
        raise problem(400, title, mistakes) from None


def _mistake(error: Mapping[str, Any], model: type[BaseModel], dependent: str) -> RequestMistake:
    place = ".".join(str(part) for part in error["loc"]) or dependent
    kind, said = error["type"], str(error["msg"])
    if kind == "extra_forbidden":
        known = get_close_matches(place, model.model_fields, n=3, cutoff=0.5)
        return RequestMistake(place[:80], "There is no such member.", tuple(known))
    if kind == "missing":
        return RequestMistake(place, "It is required.")
    if kind == "too_long" and place in ("resources", "keys"):
        detail = f"There are {error['ctx']['actual_length']} {place}; the limit is {MOST_RESOURCES}. Fix: send several."
        return RequestMistake(place, detail)
    said = said.removeprefix("Value error, ")
    return RequestMistake(place[:80], said[:300])


def _moment(text: str) -> datetime | None:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return datetime.combine(datetime.fromisoformat(text).date(), time(23, 59, 59), UTC)
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if found.tzinfo is None or "T" not in text.upper():
        return None
    try:
        return found.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        return None


def _unfit(value: str) -> bool:
    """Whether an id holds what no id holds: such a request would ask for something else."""
    segments = value.strip("/").split("/")
    return not value.isprintable() or any(one in ("", ".", "..") for one in segments) or bool(set(value) & set("?#%\\"))
