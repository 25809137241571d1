"""The bodies of ``POST /api/assignments`` and ``POST /api/assignments/withdraw``, checked as far as they alone tell."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictStr, field_validator, model_validator

from connectors.microsoft.azure_resources import canonical, is_id
from shared.core.fields import FieldMap, FieldRole
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.ticket_system import TicketKind
from shared.web.requests import DueDate, FieldError, OneLine, RequestModel, past_mistake

#: Resources of one request: each is a ticket of its own, and the response waits for all of them.
MOST_RESOURCES = 50

_MOST_FIELDS = 40
_LONGEST_NAME = 200
_LONGEST_TEXT = 4000
_LONGEST_KEY = 1024

#: What of a ticket the request has fields of its own for.
_OWN_FIELDS = {FieldRole.OWNER: "assigned_to", FieldRole.REQUESTER: "caller", FieldRole.DUE: "due_date"}


def _resource_ids(found: list[str]) -> list[str]:
    """ARM ids of resources, each once. Raises ValueError for any other text."""
    for one in found:
        if not is_id(one) or not canonical(one).startswith("/subscriptions/") or len(one) > 1024 or _is_unsafe(one):
            raise ValueError(f"'{one[:200]}' is not an ARM resource id. Fix: write /subscriptions/ID/...")
    unique: dict[str, str] = {}
    for one in found:
        unique.setdefault(canonical(one), one)
    return list(unique.values())


def _is_unsafe(value: str) -> bool:
    """Whether an id has characters that would make the request to Azure ask for something else."""
    segments = value.strip("/").split("/")
    return not value.isprintable() or any(one in ("", ".", "..") for one in segments) or bool(set(value) & set("?#%\\"))


def _ticket_keys(found: list[str]) -> list[str]:
    """Keys in lower case, each once. Raises ValueError for any other text."""
    for one in found:
        if not one.strip() or len(one) > _LONGEST_KEY or not one.isprintable():
            raise ValueError(f"'{one[:200]}' is not a key. Fix: copy it from the answer that named it")
    return list(dict.fromkeys(one.strip().lower() for one in found))


_Name = Annotated[StrictStr, Field(max_length=_LONGEST_NAME), OneLine]
_RequiredName = Annotated[StrictStr, Field(min_length=1, max_length=_LONGEST_NAME), OneLine]
_Resources = Annotated[list[StrictStr], Field(min_length=1, max_length=MOST_RESOURCES), AfterValidator(_resource_ids)]
_Keys = Annotated[list[StrictStr], Field(min_length=1, max_length=MOST_RESOURCES), AfterValidator(_ticket_keys)]


class AssignmentRequest(RequestModel):
    """The body of ``POST /api/assignments``."""

    model_config = ConfigDict(str_strip_whitespace=True)

    recommendation: _RequiredName
    resources: _Resources
    assigned_to: _RequiredName
    kind: Literal["incident", "change_request", "problem"] | None = None
    caller: _Name = ""
    due_date: DueDate | None = None
    remediation_days: Literal[7, 14, 30, 90] | None = None
    grace: StrictBool = False
    notify_owner: StrictBool = True
    notify_manager: StrictBool = False
    fields: Annotated[dict[str, Any], Field(max_length=_MOST_FIELDS)] = Field(default_factory=dict)
    integration: _Name = ""
    by: _Name = ""

    @field_validator("fields")
    @classmethod
    def _fields(cls, found: dict[str, Any]) -> dict[str, Any]:
        for name, value in found.items():
            shown = name[:80]
            if not isinstance(value, str | bool | int | float) or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise ValueError(f"'{shown}' must be text, a number, true or false")
            if len(str(value)) > _LONGEST_TEXT:
                raise ValueError(f"'{shown}' has {len(str(value)):,} characters; the limit is {_LONGEST_TEXT:,}")
        return found

    @model_validator(mode="after")
    def _one_due_date(self) -> Self:
        if (self.due_date is None) == (self.remediation_days is None):
            raise FieldError("due_date", "Give either 'due_date' or 'remediation_days' (7, 14, 30 or 90).")
        return self

    @property
    def ticket_kind(self) -> TicketKind | None:
        """The kind of ticket that is wanted; None for that of the integration."""
        return None if self.kind is None else TicketKind(self.kind)

    def reserved_fields(self, columns: FieldMap, kinds: Iterable[TicketKind]) -> list[RequestMistake]:
        """Mistakes of ``fields``: what the request has a field of its own for, and what the bridge or the ticket system
        sets.

        Args:
            columns: of the ticket system.
            kinds: that the ticket may have.
        """
        own = {
            column: name for kind in kinds for role, name in _OWN_FIELDS.items() for column in columns.named(kind, role)
        }
        mistakes = []
        for name in self.fields:
            if name in own:
                mistakes.append(RequestMistake("fields", f"'{name}' is a field of the request itself: '{own[name]}'"))
            elif columns.is_reserved(name):
                text = f"'{name[:80]}' is set by the bridge or by the ticket system alone. Fix: leave it out"
                mistakes.append(RequestMistake("fields", text))
        return mistakes

    @property
    def ticket_fields(self) -> dict[str, str]:
        """Ticket fields as text."""
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.fields.items()
        }

    def due(self, now: datetime) -> datetime:
        """The due date: UTC, in whole seconds. Raises RequestRefused when it is not in the future."""
        if self.due_date is None:
            return now.astimezone(UTC).replace(microsecond=0) + timedelta(days=self.remediation_days or 0)
        mistake = past_mistake(self.due_date, now)
        if mistake is not None:
            raise RequestRefused(RefusalReason.INVALID, "Due date in the past", [mistake])
        return self.due_date


class WithdrawRequest(RequestModel):
    """The body of ``POST /api/assignments/withdraw``."""

    model_config = ConfigDict(str_strip_whitespace=True)

    keys: _Keys | None = None
    recommendation: _RequiredName | None = None
    resources: _Resources | None = None
    integration: _RequiredName | None = None
    tickets: Literal["keep", "resolve"] = "keep"
    reason: Annotated[StrictStr, Field(min_length=1, max_length=500), OneLine]
    by: _RequiredName

    @model_validator(mode="after")
    def _one_selection(self) -> Self:
        if (self.recommendation is None) != (self.resources is None):
            raise FieldError("keys", "'recommendation' and 'resources' go together.")
        given = [one for one in (self.keys, self.resources, self.integration) if one is not None]
        if len(given) != 1:
            raise FieldError("keys", "Give one of: 'keys'; 'recommendation' with 'resources'; 'integration'.")
        return self
