"""The write test of the connection check: creates a record, compares what was stored, and deletes it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from connectors.servicenow.check.report import CheckReport
from connectors.servicenow.client import Client
from connectors.servicenow.events import Events
from connectors.servicenow.tables import TicketTable
from connectors.servicenow.tickets import Tickets
from connectors.servicenow.wire import Purpose, WireCall
from shared.core.errors import Refused, TicketSystemError
from shared.core.ticket_system import Closure, Draft, Phase, Ticket, TicketKind, TicketRef

#: From New a problem or change request can only be cancelled; an incident can be resolved.
_CANCELLED = {
    TicketKind.PROBLEM: {"state": "107", "resolution_code": "canceled"},
    TicketKind.CHANGE_REQUEST: {"state": "4"},
}

TEST_TITLE = "Connection test of Azure ITSM Bridge, please ignore"


class WriteProbe:
    """Writes test records. Runs only where the check is called with ``probe_writes``."""

    def __init__(
        self, client: Client, tables: Mapping[TicketKind, TicketTable], tickets: Tickets, events: Events
    ) -> None:
        self._client = client
        self._tables = tables
        self._tickets = tickets
        self._events = events

    async def run(self, kind: TicketKind, report: CheckReport, user: str = "") -> None:
        """Create a record of this kind twice with one id and key; see whether the state of a problem can be written.

        Args:
            kind: of the record.
            report: gets the lines.
            user: sys_id of the integration user, to whom the test problem is assigned; empty where it is not known.
        """
        line = f"{kind.value}: write"
        table = self._tables[kind]
        draft = Draft(kind, uuid.uuid4().hex, f"check:1:{uuid.uuid4().hex}", {"short_description": TEST_TITLE})
        try:
            first = await self._tickets.create(draft)
            second = await self._tickets.create(draft)
        except TicketSystemError as error:
            report.error(line, error)
            return
        made = {first.ref.id.lower(): first, second.ref.id.lower(): second}
        if len(made) > 1:
            report.failed(
                line,
                f"creating the same ticket twice made two: {first.ref.number} and {second.ref.number}",
                "Let the instance keep the sys_id of a new record, or allow the integration user to read "
                "correlation_id of the records it creates.",
            )
        elif first.dropped:
            report.failed(
                line,
                f"{first.ref.number} was created, but these fields did not arrive: {', '.join(first.dropped)}",
                "Allow the integration user to write them.",
            )
        elif self._tickets.honours_ids is False:
            report.warning(
                line,
                "records can be created, but the instance ignores the sys_id they are given: each create costs a "
                "look-up more",
                "Nothing has to be done; a rule on the instance that sets sys_id would be the place to look.",
            )
        else:
            report.ok(line, "records can be created, and a repetition makes no second one")
        if kind is TicketKind.PROBLEM:
            await self._states(first, user, report)
        for ticket in made.values():
            await self.remove(kind, table, ticket, report)

    async def _states(self, ticket: Ticket, user: str, report: CheckReport) -> None:
        """Resolve the test problem, as an alert that ended would."""
        line, name = "problem: states", ticket.ref.number or ticket.ref.id
        assigned = {"assigned_to": user} if user else {}
        try:
            ended = await self._tickets.resolve(ticket.ref, Closure({**assigned, "close_notes": TEST_TITLE}))
        except Refused as error:
            report.error(line, error)
        except TicketSystemError as error:
            report.warning(line, f"not tested: {error}")
        else:
            if ended.handed_over:
                report.warning(
                    line,
                    f"{name} cannot be resolved: {ended.handed_over}. Problems whose alert ended get a note and stay "
                    "open",
                    "Paste the script of docs/servicenow.md, 'Problems since Rome', into the instance and name it "
                    "under 'problem.state_resource' of the connection.",
                )
            elif ended.phase is Phase.OPEN:
                report.failed(line, f"{name} stayed open although it was resolved", "Set 'states.problem.resolved'.")
            else:
                report.ok(line, f"problems can be resolved: {name} was")

    async def event(self, report: CheckReport) -> None:
        """Send one event that clears a problem that does not exist."""
        line = "event: write"
        ref = TicketRef(TicketKind.EVENT, uuid.uuid4().hex, "check:1:connection-test")
        try:
            await self._events.resolve(ref, Closure({"description": TEST_TITLE}))
        except TicketSystemError as error:
            report.error(line, error)
        else:
            report.ok(line, "events can be sent; one clearing event was sent")

    async def remove(self, kind: TicketKind, table: TicketTable, ticket: Ticket, report: CheckReport) -> None:
        """Delete the record; where that is not allowed, which is usual, end it as its state model allows."""
        line, name = f"{kind.value}: clean-up", ticket.ref.number or ticket.ref.id
        try:
            await self._client.call(WireCall("DELETE", f"/api/now/table/{table.name}/{ticket.ref.id}", Purpose.DELETE))
        except TicketSystemError:
            pass  # only administrators may delete
        else:
            report.ok(line, f"{name} was deleted again")
            return
        closing = {**_CANCELLED.get(kind, table.closure({})), "close_notes": TEST_TITLE}
        try:
            ended = await self._tickets.update(ticket.ref, closing)
        except TicketSystemError as error:
            report.warning(line, f"{name} could not be ended: {error}", f"Close {name} by hand.")
            return
        if ended.phase is Phase.OPEN:
            report.warning(line, f"{name} stays open: its state cannot be set directly", f"Close {name} by hand.")
        else:
            report.ok(line, f"{name} was ended (the user may not delete it)")
