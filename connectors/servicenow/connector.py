"""The ServiceNow ticket system: puts the parts together and honours the contract of ``shared.core.ticket_system``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import httpx

from connectors.servicenow.check import Check
from connectors.servicenow.client import Calls, Client
from connectors.servicenow.events import Events
from connectors.servicenow.people import People
from connectors.servicenow.planned import Planned
from connectors.servicenow.polling import Polling
from connectors.servicenow.references import References
from connectors.servicenow.settings import ServiceNowSettings
from connectors.servicenow.tables import tables
from connectors.servicenow.tickets import Tickets
from shared.core.rate_gate import RateGate
from shared.core.secrets import SecretSource
from shared.core.ticket_system import (
    ChangePage,
    CheckLine,
    Closure,
    Draft,
    Needs,
    Note,
    Person,
    PlannedWork,
    Ticket,
    TicketKind,
    TicketRef,
)


class ServiceNow:
    """One ServiceNow instance.

    Calls: create, comment and update are one request each, find one or two, reopen two. To resolve an incident is one
    request, a problem or change request one and one more for each step of its state model, and two more where the
    instance is asked what may follow. The first create by the Change Management API looks for the key before, which
    is two more. A name in a reference field that was not seen lately costs one more, the first use of OAuth a request
    for a token. ``total_timeout`` of the settings bounds each operation as a whole.

    Args:
        name: of the connection in the configuration.
        settings: of the connection.
        secrets: gives the secrets that the settings name, when they are needed.
        transport: takes the place of the network.
        turnstile: lets requests out; the call budget. Without one only ``max_in_flight`` counts.

    Raises ConfigurationError when the file that ``ca_bundle`` names cannot be used.
    """

    kinds = frozenset(TicketKind)

    def __init__(
        self,
        name: str,
        settings: ServiceNowSettings,
        secrets: SecretSource,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        turnstile: RateGate | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        self._client = Client(name, settings, secrets, transport, turnstile)
        self._tables = tables(settings.states)
        self._references = References(self._client, settings)
        self._tickets = Tickets(self._client, self._tables, self._references, settings.url, settings.change)
        self._events = Events(self._client)
        self._polling = Polling(self._client, self._tables, self._tickets.link_to)
        self._people = People(self._client, self._tables, self._tickets)

    @property
    def name(self) -> str:
        """The connection's name in the configuration."""
        return self._name

    @property
    def calls(self) -> Calls:
        """Counts of requests since the start."""
        return self._client.calls

    @property
    def honours_ids(self) -> bool | None:
        """Whether the instance keeps the sys_id that a create gives; None until a create has shown it."""
        return self._tickets.honours_ids

    def findable(self, kind: TicketKind) -> bool:
        """Events cannot be looked up; they are idempotent by their key."""
        return kind is not TicketKind.EVENT

    async def create(self, draft: Draft) -> Ticket:
        """See ``TicketSystem.create``."""
        with self._client.operation():
            if draft.kind is TicketKind.EVENT:
                return await self._events.create(draft)
            return await self._tickets.create(draft)

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """See ``TicketSystem.find``."""
        if kind is TicketKind.EVENT:
            return None
        with self._client.operation():
            return await self._tickets.find(kind, ticket_id, correlation, marker)

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        """See ``TicketSystem.comment``."""
        with self._client.operation():
            if ref.kind is TicketKind.EVENT:
                return await self._events.comment(ref, note)
            return await self._tickets.update(ref, {}, note)

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """See ``TicketSystem.update``."""
        with self._client.operation():
            if ref.kind is TicketKind.EVENT:
                return await self._events.update(ref, fields, note)
            return await self._tickets.update(ref, fields, note)

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """See ``TicketSystem.resolve``."""
        with self._client.operation():
            if ref.kind is TicketKind.EVENT:
                return await self._events.resolve(ref, closure)
            return await self._tickets.resolve(ref, closure)

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        """See ``TicketSystem.reopen``."""
        with self._client.operation():
            if ref.kind is TicketKind.EVENT:
                return await self._events.reopen(ref, note)
            return await self._tickets.reopen(ref, note)

    async def planned_work(self) -> Sequence[PlannedWork]:
        """See ``PlansWork.planned_work``: one call, two where there is any, and more beyond 500 rows.

        What counts is the state that a reopened change request goes back to: Implement.
        """
        with self._client.operation():
            state = self._tables[TicketKind.CHANGE_REQUEST].reopened
            return await Planned(self._client, self._settings.ci, state).now()

    async def find_person(self, text: str) -> Person | None:
        """See ``KnowsPeople.find_person``."""
        with self._client.operation():
            return await self._people.find(text)

    async def find_group(self, text: str) -> str | None:
        """See ``KnowsPeople.find_group``."""
        with self._client.operation():
            return await self._people.group(text)

    async def suggest_people(self, text: str, limit: int = 5) -> Sequence[Person]:
        """See ``KnowsPeople.suggest_people``."""
        with self._client.operation():
            return await self._people.suggest(text, limit)

    async def manager_of(self, text: str) -> Person | None:
        """See ``KnowsPeople.manager_of``."""
        with self._client.operation():
            return await self._people.manager(text)

    async def watch(self, ref: TicketRef, person: Person) -> bool:
        """See ``KnowsPeople.watch``."""
        with self._client.operation():
            return await self._people.watch(ref, person)

    async def lacks(self, kind: TicketKind, fields: Iterable[str]) -> Sequence[str]:
        """See ``KnowsPeople.lacks``. An event takes every field: what is no column goes into additional_info."""
        if kind is TicketKind.EVENT:
            return ()
        with self._client.operation():
            return await self._people.lacks(kind, fields)

    def state_name(self, kind: TicketKind, state: str) -> str:
        """See ``TicketSystem.state_name``: the name that the settings give, else that of the base system."""
        return state if kind is TicketKind.EVENT else self._tables[kind].called(state)

    async def changes_since(self, kind: TicketKind, watermark: str | None, *, limit: int) -> ChangePage:
        """See ``TicketSystem.changes_since``. Ours are the records that bear a correlation_id and our name in
        correlation_display."""
        if kind is TicketKind.EVENT:
            return ChangePage((), watermark or "", more=False)
        with self._client.operation():
            return await self._polling.changes_since(kind, watermark, limit)

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        """See ``TicketSystem.existing``."""
        if kind is TicketKind.EVENT:
            return frozenset(ids)
        return await self._polling.existing(kind, ids)

    async def check(self, needs: Needs, *, probe_writes: bool = False) -> Sequence[CheckLine]:
        """Test the connection for what the configuration needs of it.

        Args:
            needs: kinds, fields and constants that the routes use.
            probe_writes: also write: one record per kind is created twice (to see that it stays one) and taken away
                again, or resolved where it cannot be deleted; events get one clearing event. Without it nothing is
                written, and the check says what it could not test.

        Never raises the errors of this package.
        """
        check = Check(self._client, self._settings, self._tables, self._references, self._tickets, self._events)
        return await check.run(needs, probe_writes=probe_writes)

    async def revoke(self) -> None:
        """Revoke the OAuth tokens at hand, for instance before the app is taken down. The next call logs in anew."""
        with self._client.operation():
            await self._client.revoke()

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()
