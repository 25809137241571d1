"""Moves changes and problems from state to state, as their state models want it.

Each step is one write of the state, and what came back is compared. The way is the shipped model's; where the instance
refuses a step, or the next one is an approval, the Change Management API is asked what may follow, and a step that it
offers is taken if the configuration allows the bridge to take it. What does not move is reported with the state in
which it stopped and what is missing. Approvals are never written.

Steps that were taken stay. A walk that was interrupted goes on where it stopped when it is repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from connectors.servicenow.change_management import Offer, next_states, offer
from connectors.servicenow.client import Client
from connectors.servicenow.echo import value
from connectors.servicenow.states import StateModel
from connectors.servicenow.tables import JOURNALS, Table
from connectors.servicenow.wire import shorten
from shared.core.errors import NotAuthorised, Refused, TicketMissing
from shared.core.ticket_system import Phase, Ticket, TicketKind, TicketRef

_LOG = logging.getLogger(__name__)

#: Steps of one walk. The longest path of the base system has six.
MOST_STEPS = 10


@dataclass(frozen=True, slots=True)
class StatePosition:
    """Where a record stands: the ticket, and the columns that were read."""

    ticket: Ticket
    row: Mapping[str, Any]

    def column(self, name: str) -> str:
        """The stored value, empty where there is none."""
        return value(self.row, name) or ""


class Records(Protocol):
    """Reads and writes the records that are walked."""

    async def standing(self, ref: TicketRef, also: tuple[str, ...]) -> StatePosition:
        """Read a record with further columns. Raises TicketMissing for one that does not bear the key."""
        ...

    async def write(self, ref: TicketRef, fields: Mapping[str, str], also: tuple[str, ...]) -> StatePosition:
        """Write fields, and read further columns with what comes back."""
        ...


class Walker:
    """Walks the records of one connection."""

    def __init__(self, client: Client, records: Records) -> None:
        self._client = client
        self._records = records
        self._asks = True

    async def walk(self, table: Table, model: StateModel, ref: TicketRef, fields: Mapping[str, str]) -> Ticket:
        """Bring a ticket to the state in ``fields``, and write the other fields with the last step.

        A ticket that is there already, or closed, is not written. At most three calls per step and one before.

        Raises what calls raise; Refused when the ticket cannot be moved on: it says where it stopped and why.
        """
        start = await self._records.standing(ref, model.watched)
        target = fields["state"]
        ticket = start.ticket
        if ticket.state == target:
            return ticket
        if ticket.phase is Phase.CLOSED:
            ahead = model.ahead(start.column("type"), ticket.state, target, table.steps)
            if not ahead or start.column("active") == "false":
                return replace(ticket, dropped=("state",))
        walk = _Walk(table, model, self._records, self._offered, start, fields, self._client.connection)
        for _ in range(MOST_STEPS):
            ticket = await walk.step()
            if ticket.state == target:
                return ticket
        raise walk.stuck("it does not come to an end")

    async def _offered(self, ticket: Ticket) -> Offer | None:
        """What the instance offers as next states of a change; None where it does not say."""
        if ticket.ref.kind is not TicketKind.CHANGE_REQUEST or not self._asks:
            return None
        try:
            return offer(await self._client.call(next_states(ticket.ref.id)), ticket.state)
        except TicketMissing:
            raise
        except Refused as error:
            reason: Exception = error
        except NotAuthorised as error:
            if error.status != 403:  # not this API but the credentials
                raise
            reason = error
        self._asks = False
        _LOG.info(
            "%s: next states cannot be asked for; the shipped state model is used: %s", self._client.connection, reason
        )
        return None


class _Walk:
    """One walk under way."""

    def __init__(
        self,
        table: Table,
        model: StateModel,
        records: Records,
        offered: Callable[[Ticket], Awaitable[Offer | None]],
        start: StatePosition,
        fields: Mapping[str, str],
        connection: str,
    ) -> None:
        self._table = table
        self._model = model
        self._records = records
        self._offered = offered
        self._at = start
        self._fields = fields
        self._connection = connection
        self._target = fields["state"]
        self._kind = start.column("type")
        self._been = {start.ticket.state}

    async def step(self) -> Ticket:
        """Go one step. Raises Refused when there is none."""
        planned, why = self._plan()
        error: Refused | None = None
        if planned is not None:
            error = await self._try(planned)
            if error is None:
                return self._at.ticket
        offered = await self._offered(self._at.ticket)
        other = self._pick(offered, planned)
        if other is not None:
            error = await self._try(other)
            if error is None:
                return self._at.ticket
        raise self.stuck(error.message if error is not None else why, error, offered) from error

    def stuck(self, why: str, error: Refused | None = None, offered: Offer | None = None) -> Refused:
        """The refusal: where it stopped, why, and what to do."""
        ticket, table = self._at.ticket, self._table
        said = shorten("; ".join([why, *self._circumstances(offered)]), 500)
        advice = (
            f"Move it on by hand, or let the bridge take the step: states.{table.name}.steps of the connection. "
            "Approvals are for people."
        )
        return Refused(
            f"{ticket.ref.number or ticket.ref.id} stopped at {table.shown(ticket.state)} on its way to "
            f"{table.shown(self._target)}: {said}",
            connection=self._connection,
            status=error.status if error is not None else None,
            upstream=error.upstream if error is not None else "",
            advice=error.advice if error is not None and error.advice else advice,
            request_id=error.request_id if error is not None else None,
        )

    def _ahead(self) -> tuple[str, ...]:
        return self._model.ahead(self._kind, self._at.ticket.state, self._target, self._table.steps)

    def _plan(self) -> tuple[str | None, str]:
        """The next step by the shipped model, or None and why it is not taken."""
        ahead = self._ahead()
        if not ahead:
            return None, f"no way is known that leads from there to {self._table.shown(self._target)}"
        step = ahead[0]
        if self._model.by_approval(self._kind, step):
            return None, f"{self._table.shown(step)} follows by approval"
        if step != self._target and step not in self._table.steps:
            return None, f"{self._table.shown(step)} is a step that the bridge leaves to people"
        if step in self._been:
            return None, f"it has been at {self._table.shown(step)} before"
        return step, ""

    def _pick(self, offered: Offer | None, tried: str | None) -> str | None:
        """The offered state that leads furthest and that the bridge may write."""
        if offered is None:
            return None
        ahead = self._ahead()
        possible = [
            state
            for state in self._model.wanted(self._kind, self._target, self._table.steps)
            if state in offered.open and state != tried and state not in self._been and (not ahead or state in ahead)
        ]
        return possible[-1] if possible else None

    async def _try(self, state: str) -> Refused | None:
        """Write a state. Returns why it did not move, None when it moved."""
        before = self._at.ticket.state
        try:
            after = await self._records.write(self._at.ticket.ref, self._with(state), self._model.watched)
        except TicketMissing:
            raise
        except Refused as error:
            return error
        self._at = after
        if after.ticket.state == before:
            return Refused(
                f"the instance accepted {self._table.shown(state)} and left the state as it was",
                advice="Its state model moves such records by actions of its own: move this one on by hand.",
            )
        self._been.add(after.ticket.state)
        return None

    def _with(self, state: str) -> Mapping[str, str]:
        """What is written with a step: everything with the last; before, what is not about the end of the ticket."""
        if state == self._target:
            return self._fields
        late = {"state", *self._table.closing, *JOURNALS} - set(self._model.needs.get(state, ()))
        return {**{name: text for name, text in self._fields.items() if name not in late}, "state": state}

    def _circumstances(self, offered: Offer | None) -> list[str]:
        """What the record and the instance say about why it does not move."""
        said = []
        if self._at.column("on_hold") == "true":
            reason = shorten(self._at.column("on_hold_reason"), 100)
            said.append(f"it is on hold ({reason})" if reason else "it is on hold")
        approval = self._at.column("approval")
        if approval in ("requested", "rejected"):
            said.append(f"its approval is {approval}")
        if offered is not None:
            names = [name for state in self._ahead() for name in offered.missing.get(state, ())]
            said += [f"not met: {', '.join(dict.fromkeys(names))}"] if names else []
        return said
