"""Brings the ticket of an assignment after it, when somebody has changed owner, due date or fields by hand.

The order to do so is on the queue before anything is changed, and bears a token. The note in the ticket bears the same
one, so that whoever comes second sees that all was done. What is written is the assignment as it is then.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.assignments.write_back import push_key
from shared.core.errors import KeyContended
from shared.core.fields import FieldMap, FieldRole
from shared.core.link import Link, LinkStage
from shared.core.ticket_system import Note, Phase, Ticket, TicketKind, TicketSystem
from shared.delivery.links import LinkStore
from shared.platform.tables import RowOvertaken, Versioned

#: Kind of the keys that order this: ``reassigned:1:<token>|<key of the recommendation>``.
KIND = "reassigned"

_PREFIX = f"{KIND}:1:"


def order_key(recommendation: str) -> str:
    """The key of a new order."""
    return f"{_PREFIX}{uuid4().hex}|{recommendation}"


class Reassigner:
    """Changes tickets.

    Args:
        store, links: the bridge's own.
        systems: gives the ticket system of a connection; raises Refused for one that is not configured.
        field_map: gives the fields of a connection's tickets.
        tell: tells Defender for Cloud of an assignment, by the key that ``push_key`` makes.
        recheck_after: a ticket not heard of for this long is read before it is written; None for a minute.
        now: the clock.
    """

    def __init__(
        self,
        store: AssignmentStore,
        links: LinkStore,
        systems: Callable[[str], TicketSystem],
        field_map: Callable[[str], FieldMap],
        tell: Callable[[str], Awaitable[str]],
        *,
        recheck_after: timedelta | None,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._links = links
        self._systems = systems
        self._field_map = field_map
        self._tell = tell
        self._recheck_after = timedelta(minutes=1) if recheck_after is None else recheck_after
        self._now = now

    async def again(self, key: str) -> str:
        """Follow an order that came from the queue, where nobody knows how far it was followed before.

        Returns what came of it: updated, up_to_date, closed, no_assignment, no_ticket, or shared for a ticket that
        others own too. Raises what ticket systems and write-backs raise; KeyContended while a delivery is under way.
        """
        token, _, recommendation = key.removeprefix(_PREFIX).partition("|")
        stored = await self._store.load(recommendation)
        if stored is None or not stored.value.open:
            return "no_assignment"
        done = await self.update(stored.value, token, look=True)
        await self._tell(push_key(recommendation))
        return done

    async def now(self, key: str, assignment: Assignment) -> str:
        """Follow an order for the first time; returns and raises as :meth:`again`, without telling anybody."""
        token, _, _ = key.removeprefix(_PREFIX).partition("|")
        return await self.update(assignment, token, look=False)

    async def update(self, assignment: Assignment, token: str, *, look: bool) -> str:
        """Write the assignment into its ticket. ``look``: it may be there already."""
        key = assignment.ticket_key or assignment.key
        stored = await self._links.load(key)
        link = stored.value if stored is not None else None
        if stored is None or link is None or link.ticket is None:
            return "no_ticket"
        if link.pending is not None:
            raise KeyContended(f"{key}: its ticket is being written; the assignment follows in a moment")
        if link.stage is not LinkStage.OPEN:
            return "closed"
        if key != assignment.key:
            return "shared"
        system = self._systems(link.connection)
        note = _note(assignment, token)
        if look or link.ticket_read_at is None or self._now() - link.ticket_read_at >= self._recheck_after:
            ticket = await system.find(link.kind, link.ticket.id, link.ticket.correlation, note.marker)
            if ticket is None or ticket.phase is not Phase.OPEN:
                await self._over(stored, ticket)
                return "closed"
            if ticket.noted:
                return "up_to_date"
        fields = _fields(assignment, link.kind, self._field_map(link.connection))
        written = await system.update(link.ticket, fields, note)
        await self._remember(stored, assignment, written.dropped)
        return "updated"

    async def _over(self, stored: Versioned[Link], ticket: Ticket | None) -> None:
        """Note that people have ended the ticket, or deleted it. Whoever changed the link meanwhile looks by itself."""
        stage = LinkStage.CLOSED if ticket is None else LinkStage(ticket.phase.value)
        state = "" if ticket is None else ticket.state
        now = self._now()
        ended = replace(stored.value, stage=stage, state=state, ticket_read_at=now, ended=stored.value.ended or now)
        with contextlib.suppress(RowOvertaken):
            await self._links.write(ended, stored.etag)

    async def _remember(self, stored: Versioned[Link], assignment: Assignment, dropped: tuple[str, ...]) -> None:
        """Show owner and date in lists at once. Whoever changed the link meanwhile learns it from the ticket."""
        with contextlib.suppress(RowOvertaken):
            link = stored.value
            columns = self._field_map(link.connection)
            lost = {role for role in (FieldRole.OWNER, FieldRole.DUE) if {*columns.named(link.kind, role)} & {*dropped}}
            owner = link.owner if FieldRole.OWNER in lost else assignment.owner
            due = link.due if FieldRole.DUE in lost else assignment.due
            await self._links.write(replace(link, owner=owner, due=due, ticket_read_at=self._now()), stored.etag)


def _fields(assignment: Assignment, kind: TicketKind, columns: FieldMap) -> dict[str, str]:
    by_role: dict[FieldRole, str | datetime] = {FieldRole.OWNER: assignment.owner, FieldRole.DUE: assignment.due}
    if assignment.caller:
        by_role[FieldRole.REQUESTER] = assignment.caller
    return {**columns.values(kind, by_role), **assignment.fields}


def _note(assignment: Assignment, token: str) -> Note:
    digest = hashlib.sha256(f"{assignment.key}\n{token}".encode()).hexdigest()
    mark = f"[bridge:{digest[:12]}]"
    by = f" by {assignment.by[:100]}" if assignment.by else ""
    said = f"Assigned anew{by}: owner {assignment.owner[:100]}, to be fixed by {assignment.due:%Y-%m-%d %H:%M} UTC."
    return Note(f"{said}\n\n{mark}", mark)
