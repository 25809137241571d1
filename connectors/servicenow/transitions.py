"""Moves changes and problems from state to state, as their state models require.

Each step is one write of the state, and the returned state is compared. The path is that of the shipped model. Where
the instance refuses a step, or the next one is an approval, the Change Management API is asked which states may follow,
and one of these is written if the configuration allows the bridge to write it. A record that does not move is reported
with the state in which it stopped and what is missing. Approvals are never written.

Steps that were taken stay. A transition that was interrupted continues where it stopped when it is repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from connectors.servicenow.change_management import NextStates, next_states_call, parse_next_states
from connectors.servicenow.client import Client
from connectors.servicenow.refusals import aborted_by_state_rule
from connectors.servicenow.states import StateModel
from connectors.servicenow.tables import JOURNALS, TicketTable
from connectors.servicenow.wire import shorten, value
from shared.core.errors import NotAuthorised, Refused, TicketMissing
from shared.core.ticket_system import Phase, Ticket, TicketKind, TicketRef

_LOG = logging.getLogger(__name__)

#: Steps of one transition at most. The longest path of the base system has six.
MOST_STEPS = 10


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A record as it was read: the ticket, and its columns."""

    ticket: Ticket
    row: Mapping[str, Any]

    def column(self, name: str) -> str:
        """The stored value, empty where there is none."""
        return value(self.row, name) or ""


class TicketRows(Protocol):
    """Reads and writes the records of tickets."""

    async def read(self, ref: TicketRef, also: tuple[str, ...]) -> TicketRow:
        """Read a record with further columns. Raises TicketMissing for one that does not bear the key."""
        ...

    async def write(self, ref: TicketRef, fields: Mapping[str, str], also: tuple[str, ...]) -> TicketRow:
        """Write fields, and read further columns with what comes back."""
        ...


class StateKept(Refused):
    """The instance keeps the state of records of this table, whatever is written. Stays inside the connector."""


class StateTransitions:
    """Moves the records of one connection."""

    def __init__(self, client: Client, records: TicketRows) -> None:
        self._client = client
        self._records = records
        self._api_available = True

    async def move(self, table: TicketTable, model: StateModel, ref: TicketRef, fields: Mapping[str, str]) -> Ticket:
        """Bring a ticket to the state in ``fields``, and write the other fields with the last step.

        A ticket that is in that state already, or closed, is not written. At most three calls per step and one before.

        Raises what calls raise; Refused when the ticket cannot be moved on: it says where it stopped and why; StateKept
        (a Refused) where no state can be written, because the instance moves such records by actions of its own.
        """
        start = await self._records.read(ref, model.watched)
        target = fields["state"]
        ticket = start.ticket
        if ticket.state == target:
            return ticket
        if ticket.phase is Phase.CLOSED:
            ahead = model.ahead(start.column("type"), ticket.state, target, table.steps)
            if not ahead or start.column("active") == "false":
                return replace(ticket, dropped=("state",))
        transition = _Transition(table, model, self._records, self._next_states, start, fields, self._client.connection)
        for _ in range(MOST_STEPS):
            ticket = await transition.step()
            if ticket.state == target:
                return ticket
        raise transition.stuck("it does not come to an end")

    async def _next_states(self, ticket: Ticket) -> NextStates | None:
        """The states that may follow, for changes; None where the instance does not answer that."""
        if ticket.ref.kind is not TicketKind.CHANGE_REQUEST or not self._api_available:
            return None
        try:
            return parse_next_states(await self._client.call(next_states_call(ticket.ref.id)), ticket.state)
        except TicketMissing:
            raise
        except Refused as error:
            reason: Exception = error
        except NotAuthorised as error:
            if error.status != 403:  # the credentials are refused, not this API
                raise
            reason = error
        self._api_available = False
        _LOG.info(
            "%s: next states cannot be asked for; the shipped state model is used: %s", self._client.connection, reason
        )
        return None


class _Transition:
    """The transition of one record."""

    def __init__(
        self,
        table: TicketTable,
        model: StateModel,
        records: TicketRows,
        next_states: Callable[[Ticket], Awaitable[NextStates | None]],
        start: TicketRow,
        fields: Mapping[str, str],
        connection: str,
    ) -> None:
        self._table = table
        self._model = model
        self._records = records
        self._next_states = next_states
        self._record = start
        self._fields = fields
        self._connection = connection
        self._target = fields["state"]
        self._kind = start.column("type")
        self._visited = {start.ticket.state}

    async def step(self) -> Ticket:
        """Write the next state. Raises Refused when none can be written."""
        planned, why = self._plan()
        error: Refused | None = None
        if planned is not None:
            error = await self._try(planned)
            if error is None:
                return self._record.ticket
        next_states = await self._next_states(self._record.ticket)
        other = self._pick(next_states, planned)
        if other is not None:
            error = await self._try(other)
            if error is None:
                return self._record.ticket
        raise self.stuck(error.message if error is not None else why, error, next_states) from error

    def stuck(self, why: str, error: Refused | None = None, next_states: NextStates | None = None) -> Refused:
        """The refusal: where it stopped, why, and what to do."""
        ticket, table = self._record.ticket, self._table
        reasons = shorten("; ".join([why, *self._reasons(next_states)]), 500)
        advice = (
            f"Move it on by hand, or let the bridge take the step: states.{table.name}.steps of the connection. "
            "Approvals are for people."
        )
        kept = self._model.moved_by_actions and (
            isinstance(error, StateKept) or (error is not None and aborted_by_state_rule(error.upstream))
        )
        return (StateKept if kept else Refused)(
            f"{ticket.ref.number or ticket.ref.id} stopped at {table.state_label(ticket.state)} on its way to "
            f"{table.state_label(self._target)}: {reasons}",
            connection=self._connection,
            status=error.status if error is not None else None,
            upstream=error.upstream if error is not None else "",
            advice=error.advice if error is not None and error.advice else advice,
            request_id=error.request_id if error is not None else None,
        )

    def _ahead(self) -> tuple[str, ...]:
        return self._model.ahead(self._kind, self._record.ticket.state, self._target, self._table.steps)

    def _plan(self) -> tuple[str | None, str]:
        """The next step by the shipped model, or None and the reason why it is not taken."""
        ahead = self._ahead()
        if not ahead:
            return None, f"no way is known that leads from there to {self._table.state_label(self._target)}"
        step = ahead[0]
        if self._model.by_approval(self._kind, step):
            return None, f"{self._table.state_label(step)} follows by approval"
        if step != self._target and step not in self._table.steps:
            return None, f"{self._table.state_label(step)} is a step that the bridge leaves to people"
        if step in self._visited:
            return None, f"it has been at {self._table.state_label(step)} before"
        return step, ""

    def _pick(self, next_states: NextStates | None, tried: str | None) -> str | None:
        """The last state on the path that may follow now and that the bridge may write."""
        if next_states is None:
            return None
        ahead = self._ahead()
        possible = [
            state
            for state in self._model.wanted(self._kind, self._target, self._table.steps)
            if state in next_states.open
            and state != tried
            and state not in self._visited
            and (not ahead or state in ahead)
        ]
        return possible[-1] if possible else None

    async def _try(self, state: str) -> Refused | None:
        """Write a state. Returns why it did not move, None when it moved."""
        before = self._record.ticket.state
        try:
            after = await self._records.write(self._record.ticket.ref, self._fields_for(state), self._model.watched)
        except TicketMissing:
            raise
        except Refused as error:
            return error
        self._record = after
        if after.ticket.state == before:
            return StateKept(
                f"the instance accepted {self._table.state_label(state)} and left the state as it was",
                advice="Its state model moves such records by actions of its own: move this one on by hand.",
            )
        self._visited.add(after.ticket.state)
        return None

    def _fields_for(self, state: str) -> Mapping[str, str]:
        """The fields of a step: all with the last one; before, those that do not belong to the end of the ticket."""
        if state == self._target:
            return self._fields
        late = {"state", *self._table.closing, *JOURNALS} - set(self._model.needs.get(state, ()))
        return {**{name: text for name, text in self._fields.items() if name not in late}, "state": state}

    def _reasons(self, next_states: NextStates | None) -> list[str]:
        """The reasons that the record and the instance give."""
        reasons = []
        if self._record.column("on_hold") == "true":
            reason = shorten(self._record.column("on_hold_reason"), 100)
            reasons.append(f"it is on hold ({reason})" if reason else "it is on hold")
        approval = self._record.column("approval")
        if approval in ("requested", "rejected"):
            reasons.append(f"its approval is {approval}")
        if next_states is not None:
            names = [name for state in self._ahead() for name in next_states.missing.get(state, ())]
            reasons += [f"not met: {', '.join(dict.fromkeys(names))}"] if names else []
        return reasons
