"""The body of ``POST /api/secure-score/{control}/ticket`` and ``/preview``, checked as far as it alone tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictStr

from connectors.secure_score.payloads.request import WantedTicket
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.ticket_system import TicketKind
from shared.web.requests import DueDate, OneLine, RequestModel, past_mistake


def _empty_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _priority(value: object) -> int:
    if type(value) is not int or not 1 <= value <= 4:
        raise ValueError("It must be a number from 1 (critical) to 4 (low).")
    return value


def _lines(text: str) -> str:
    if not text.replace("\r", "").replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("Write it without control characters.")
    return text


_OPTIONAL = BeforeValidator(_empty_is_none)


class ScoreTicketRequest(RequestModel):
    """The body of a request for the ticket of a control.

    ``priority`` is 1 (critical) to 4 (low). ``name`` and ``description`` replace those of Microsoft. ``tenant`` is
    required where several are configured.
    """

    model_config = ConfigDict(str_strip_whitespace=True)

    requested_by: Annotated[StrictStr, Field(min_length=1, max_length=100), OneLine]
    priority: Annotated[int, BeforeValidator(_priority)] | None = None
    name: Annotated[Annotated[StrictStr, Field(max_length=120), OneLine] | None, _OPTIONAL] = None
    description: Annotated[StrictStr, Field(max_length=3000), AfterValidator(_lines)] | None = None
    due_date: Annotated[DueDate | None, _OPTIONAL] = None
    ticket: Annotated[Literal["change_request", "incident"] | None, _OPTIONAL] = None
    tenant: Annotated[Annotated[StrictStr, Field(max_length=36), OneLine] | None, _OPTIONAL] = None

    def wanted(self) -> WantedTicket:
        """What is wanted of the ticket."""
        return WantedTicket(
            requested_by=self.requested_by,
            priority=self.priority,
            due=self.due_date,
            name=self.name or "",
            description=self.description or "",
            kind=None if self.ticket is None else TicketKind(self.ticket),
        )

    def given_values(self, kind: TicketKind) -> tuple[str, ...]:
        """Names of the values that an existing ticket of a kind does not take over from this request."""
        names = ("requested_by", "priority", "name", "description", "due_date")
        other_kind = self.ticket is not None and self.ticket != kind.value
        return (*(name for name in names if getattr(self, name) is not None), *(("ticket",) if other_kind else ()))

    def checked_tenant(self, tenants: Sequence[str], now: datetime) -> str:
        """Tenant of the control; empty for the only one.

        Args:
            tenants: ids of those that are configured; an empty one stands for a tenant without an id.
            now: present time.

        Raises:
            RequestRefused: the due date is in the past, or no configured tenant is meant; both are reported together.
        """
        wanted = (self.tenant or "").lower()
        mistakes = [] if self.due_date is None else [past_mistake(self.due_date, now)]
        configured = list(tenants)
        if not wanted and len(configured) == 1:
            wanted = configured[0]
        elif not wanted:
            detail = "It is required, because several tenants are configured."
            mistakes.append(RequestMistake("tenant", detail, tuple(configured)))
        elif wanted not in configured and configured != [""]:
            mistakes.append(
                RequestMistake("tenant", f"Tenant {wanted} is not configured.", tuple(filter(None, configured)))
            )
        found = [one for one in mistakes if one is not None]
        if found:
            raise RequestRefused(RefusalReason.INVALID, "Invalid request", found)
        return wanted
