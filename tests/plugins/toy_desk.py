"""A ticket system of one file: tickets in memory, with columns that no other system has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from shared.config.connection import ConnectionSettings
from shared.core.connection_services import ConnectionServices
from shared.core.errors import TicketMissing
from shared.core.fields import FieldMap, FieldRole
from shared.core.log_in import LogIn
from shared.core.plugins import TicketSystemPlugin
from shared.core.ticket_system import (
    ChangePage,
    CheckLine,
    CheckStatus,
    Closure,
    Draft,
    Needs,
    Note,
    Phase,
    Ticket,
    TicketKind,
    TicketRef,
    TicketSnapshot,
)


class ToySettings(ConnectionSettings):
    """A desk of toys."""

    type: Literal["toy_desk"]
    """toy_desk"""
    room: str
    """Where it stands."""

    def state_names(self) -> Iterable[tuple[str, str]]:
        """See ``ConnectionSettings``."""
        return (("o", "Open"), ("d", "Done"))


@dataclass(slots=True)
class ToyTicket:
    """What the desk keeps of a ticket."""

    number: str
    correlation: str
    fields: dict[str, str]
    notes: list[str] = field(default_factory=list)
    state: str = "o"
    revision: int = 0
    updated_on: datetime | None = None


class ToyDesk:
    """The contract of ``TicketSystem``, over a dictionary. ``now`` is set by the test."""

    kinds = frozenset({TicketKind.INCIDENT})

    def __init__(self, name: str, settings: ToySettings, now: datetime) -> None:
        self.name = name
        self.settings = settings
        self.now = now
        self.tickets: dict[str, ToyTicket] = {}
        self.closed = False

    def findable(self, kind: TicketKind) -> bool:
        return kind is TicketKind.INCIDENT

    def _touch(self, ticket: ToyTicket) -> None:
        ticket.revision += 1
        ticket.updated_on = self.now

    def _shown(self, ticket_id: str) -> Ticket:
        ticket = self.tickets[ticket_id]
        ref = TicketRef(TicketKind.INCIDENT, ticket_id, ticket.correlation, ticket.number, f"toy://{ticket.number}")
        return Ticket(ref, Phase.OPEN if ticket.state == "o" else Phase.RESOLVED, ticket.state)

    def _known(self, ref: TicketRef) -> ToyTicket:
        if ref.id not in self.tickets:
            raise TicketMissing(f"{ref.number} is gone", connection=self.name)
        return self.tickets[ref.id]

    async def create(self, draft: Draft) -> Ticket:
        if draft.id not in self.tickets:
            self.tickets[draft.id] = ToyTicket(f"TOY{len(self.tickets) + 1}", draft.correlation, dict(draft.fields))
            self._touch(self.tickets[draft.id])
        return self._shown(draft.id)

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        del kind, marker
        found = self.tickets.get(ticket_id)
        return self._shown(ticket_id) if found is not None and found.correlation == correlation else None

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        self._known(ref).notes.append(note.text)
        self._touch(self.tickets[ref.id])
        return self._shown(ref.id)

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        del note
        self._known(ref).fields.update(fields)
        return self._shown(ref.id)

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        ticket = self._known(ref)
        ticket.fields.update(closure.fields)
        ticket.state = "d"
        self._touch(ticket)
        return self._shown(ref.id)

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        self._known(ref).state = "o"
        return await self.comment(ref, note)

    def state_name(self, kind: TicketKind, state: str) -> str:
        del kind
        return dict(self.settings.state_names()).get(state, state)

    async def log_in(self) -> LogIn:
        return LogIn("toy")

    async def changes_since(self, kind: TicketKind, watermark: str | None, *, limit: int) -> ChangePage:
        del limit
        rows = []
        for ticket_id, ticket in self.tickets.items():
            shown = self._shown(ticket_id)
            if ticket.updated_on is not None and (watermark is None or ticket.updated_on.isoformat() > watermark):
                rows.append(
                    TicketSnapshot(
                        shown.ref,
                        shown.phase,
                        shown.state,
                        self.state_name(kind, shown.state),
                        ticket.updated_on,
                        "beth.anglin",
                        ticket.revision,
                    )
                )
        newest = max((row.updated_on.isoformat() for row in rows), default=watermark or "")
        return ChangePage(tuple(rows), newest, more=False)

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        del kind
        return frozenset(ids) & self.tickets.keys()

    async def check(self, needs: Needs, *, probe_writes: bool = False) -> Sequence[CheckLine]:
        del probe_writes
        columns = ", ".join(sorted(needs.fields.get(TicketKind.INCIDENT, {})))
        return [CheckLine("room", CheckStatus.OK, f"{self.settings.room} is open; wanted are {columns}")]

    async def aclose(self) -> None:
        self.closed = True


_COLUMNS = {
    FieldRole.TITLE: ("headline",),
    FieldRole.BODY: ("story",),
    FieldRole.IMPACT: ("damage",),
    FieldRole.URGENCY: ("haste",),
    FieldRole.CLOSING_NOTE: ("end",),
}


def plugin(now: datetime, opened: list[ToyDesk]) -> TicketSystemPlugin:
    """The plug-in; desks that it opens are added to ``opened``."""

    def open_desk(name: str, settings: ToySettings, services: ConnectionServices) -> ToyDesk:
        del services
        opened.append(ToyDesk(name, settings, now))
        return opened[-1]

    return TicketSystemPlugin(
        name="toy_desk",
        title="Toy Desk",
        settings=ToySettings,
        fields=FieldMap(
            columns={TicketKind.INCIDENT: _COLUMNS},
            limits={"headline": 30},
            computed={TicketKind.INCIDENT: {"rank": "The desk ranks tickets itself. Fix: set damage and haste"}},
            key_fields=lambda kind, correlation: {"label": f"{kind.value}/{correlation}"},
        ),
        open=open_desk,
        working_states={TicketKind.INCIDENT: frozenset({"o"})},
    )
