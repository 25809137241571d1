"""How a ticket ends when its problem is over: resolved, cancelled, or left open to people with a note.

* An incident is resolved with one write.
* A problem is moved along its state model, see ``transitions``; by the scripted REST resource where the settings name
  one. Where the instance moves problems by actions of its own and keeps whatever is written, which is usual since
  release Rome, the problem gets a note and is left to people.
* A change request is cancelled while it is New, with a note. One that is under way gets the note and is left to people.
  Where the settings or the route name a state or steps, it is moved along its state model instead.

Source: ServiceNow docs, "Problem management state model", "Change management: state model and transitions"; the
certified Ansible collection for ITSM, which needs a scripted REST resource to move problems since Rome.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import quote

from connectors.servicenow.client import Client
from connectors.servicenow.refusals import aborted_by_state_rule
from connectors.servicenow.tables import JOURNALS, TicketTable, note_text
from connectors.servicenow.transitions import StateKept, StateTransitions, TicketRow
from connectors.servicenow.wire import Purpose, WireCall, value
from shared.core.errors import Refused, TicketMissing
from shared.core.ticket_system import Closure, LeftOut, Note, Phase, Ticket, TicketKind, TicketRef

_LOG = logging.getLogger(__name__)


class EndingRecords(Protocol):
    """Reads and writes the records of tickets."""

    async def read(self, ref: TicketRef, also: tuple[str, ...] = ()) -> TicketRow:
        """Read a record with further columns. Raises TicketMissing for one that does not bear the key."""
        ...

    async def write(
        self, ref: TicketRef, fields: Mapping[str, str], also: tuple[str, ...] = (), note: Note | None = None
    ) -> TicketRow:
        """Write fields and a note, and read further columns with what comes back."""
        ...

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """Look up a ticket, and whether it has the note with that marker."""
        ...

    async def prepared(self, fields: Mapping[str, str]) -> tuple[dict[str, str], tuple[LeftOut, ...]]:
        """Fields as they are written, and the names of those left out."""
        ...

    def ticket(self, ref: TicketRef, row: Mapping[str, Any], lost: tuple[LeftOut, ...]) -> Ticket:
        """The ticket of a record that came back from a write."""
        ...


class TicketEndings:
    """Ends the tickets of one connection.

    Args:
        client: makes the calls.
        records: reads and writes records.
        tables: by kind of ticket.
        state_resource: path of the scripted REST resource that moves problems, None without one.
    """

    def __init__(
        self,
        client: Client,
        records: EndingRecords,
        tables: Mapping[TicketKind, TicketTable],
        state_resource: str | None,
    ) -> None:
        self._client = client
        self._records = records
        self._tables = tables
        self._resource = state_resource
        self._transitions = StateTransitions(client, records)

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """See ``TicketSystem.resolve``."""
        table = self._tables[ref.kind]
        fields = table.closure(closure.fields)
        if table.model is None:
            return (await self._records.write(ref, fields)).ticket
        if table.cancelled and "state" not in closure.fields:
            return await self._cancel(table, ref, closure)
        if self.by_resource(ref.kind):
            return await self._resolve_by_resource(ref, fields)
        try:
            return await self._transitions.move(table, table.model, ref, fields)
        except StateKept as error:
            _LOG.warning(
                "%s: %s; it gets a note and is left to people. 'problem.state_resource' of the connection names a "
                "resource that moves problems, see docs/servicenow.md",
                self._client.connection,
                error.message,
            )
            return await self._hand_over(
                ref, closure, f"{error.message}. It stays open: this instance moves problems by actions of its own"
            )

    def by_resource(self, kind: TicketKind) -> bool:
        """Whether tickets of a kind are moved by the scripted REST resource."""
        return kind is TicketKind.PROBLEM and self._resource is not None

    async def move_by_resource(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """Write fields, the state among them, through the scripted REST resource. Raises Refused where it is kept."""
        prepared, lost = await self._records.prepared(fields)
        if note is not None:
            prepared["work_notes"] = note_text(note)
        path = f"{self._resource}/{quote(ref.id, safe='')}"
        row: Mapping[str, Any] = await self._client.call(WireCall("PATCH", path, Purpose.UPDATE, body=prepared))
        if value(row, "correlation_id") != ref.correlation or value(row, "state") is None:
            raise Refused(
                f"{path} answers without the state and the key of the problem",
                connection=self._client.connection,
                advice="Compare the script of the resource with the one in docs/servicenow.md.",
            )
        ticket = self._records.ticket(ref, row, lost)
        if ticket.state != prepared["state"]:
            raise Refused(
                f"{ref.number or ref.id} is in state {ticket.state} after {path} was asked for {prepared['state']}",
                connection=self._client.connection,
                advice="Look at the log of the scripted REST resource on the instance.",
            )
        return ticket

    async def _resolve_by_resource(self, ref: TicketRef, fields: Mapping[str, str]) -> Ticket:
        ticket = (await self._records.read(ref)).ticket
        if ticket.state == fields["state"]:
            return ticket
        if ticket.phase is Phase.CLOSED:
            return replace(ticket, dropped=("state",))
        return await self.move_by_resource(ref, fields)

    async def _cancel(self, table: TicketTable, ref: TicketRef, closure: Closure) -> Ticket:
        """Cancel a ticket that nobody has begun to work on; leave any other to people, with the note."""
        ticket = (await self._records.read(ref)).ticket
        if ticket.phase is not Phase.OPEN:
            return ticket
        label = table.state_label(ticket.state)
        if ticket.state != table.untouched:
            return await self._hand_over(ref, closure, f"{ref.number or ref.id} is at {label} and is left to people")
        kept = {name: text for name, text in closure.fields.items() if name not in {table.code, *JOURNALS}}
        fields = {"close_notes": table.closing["close_notes"], **kept, "state": table.cancelled}
        try:
            ended = (await self._records.write(ref, fields, (), closure.note)).ticket
        except TicketMissing:
            raise
        except Refused as error:
            if not aborted_by_state_rule(error.upstream):
                raise
            return await self._hand_over(ref, closure, f"{ref.number or ref.id} is left to people: {error.message}")
        if ended.phase is not Phase.OPEN:
            return ended
        return replace(ended, handed_over=f"{ref.number or ref.id} stays at {label}, although it was cancelled")

    async def _hand_over(self, ref: TicketRef, closure: Closure, why: str) -> Ticket:
        """Write the note of the closure, once, and leave the ticket open."""
        if closure.note is None:
            return replace((await self._records.read(ref)).ticket, handed_over=why)
        found = await self._records.find(ref.kind, ref.id, ref.correlation, closure.note.marker)
        if found is None:
            raise TicketMissing(
                f"{ref.number or ref.id} does not exist (any more), or the user may not see it",
                connection=self._client.connection,
            )
        if found.phase is not Phase.OPEN:
            return found
        if not found.noted:
            found = (await self._records.write(ref, {}, (), closure.note)).ticket
        return replace(found, handed_over=why)
