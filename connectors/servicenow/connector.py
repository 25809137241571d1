"""The ServiceNow ticket system: fulfils the contract of ``shared.core.ticket_system``, and passes each operation on to
the handler of the kind of ticket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import httpx

from connectors.servicenow.affected import AFFECTED_KINDS, TicketItems
from connectors.servicenow.auth.log_ins import LogIns
from connectors.servicenow.batch_finding import BatchFinding
from connectors.servicenow.check.connection import ConnectionCheck
from connectors.servicenow.client import Client
from connectors.servicenow.creates import SharedCreates
from connectors.servicenow.events import Events
from connectors.servicenow.export import TicketExport
from connectors.servicenow.people import People
from connectors.servicenow.planned import PlannedChanges
from connectors.servicenow.references import References
from connectors.servicenow.settings import OAuthAuthorizationCode, ServiceNowSettings
from connectors.servicenow.tables import ticket_tables
from connectors.servicenow.templates import Templates
from connectors.servicenow.tickets import Tickets
from shared.core.export import RecordPage, Selection
from shared.core.findings import Findings
from shared.core.log_in import LogIn
from shared.core.rate_gate import RateGate, UnlimitedGate
from shared.core.secrets import SecretSource
from shared.core.ticket_system import (
    AffectedItems,
    ChangePage,
    CheckLine,
    Closure,
    Draft,
    LeftOut,
    Needs,
    Note,
    Person,
    PlannedWork,
    Ticket,
    TicketKind,
    TicketRef,
    TicketTemplate,
)
from shared.core.tokens import ConsentFlow, TokenStore


class KindHandler(Protocol):
    """The operations on tickets of a kind. See the methods of ``TicketSystem`` with the same names."""

    @property
    def findable(self) -> bool:
        """Whether tickets can be looked up."""
        ...

    async def create(self, draft: Draft) -> Ticket:
        """Create a ticket."""
        ...

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """Look up a ticket."""
        ...

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        """Append a note."""
        ...

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """Set fields and append a note."""
        ...

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """Resolve a ticket."""
        ...

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        """Reopen a ticket."""
        ...

    def state_name(self, kind: TicketKind, state: str) -> str:
        """The name of a state."""
        ...

    async def missing_fields(self, kind: TicketKind, fields: Iterable[str]) -> Sequence[str]:
        """Those of the fields that tickets do not have."""
        ...

    async def changes_since(self, kind: TicketKind, watermark: str | None, limit: int) -> ChangePage:
        """One page of changed tickets."""
        ...

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        """Those of the ids whose tickets are visible."""
        ...


class ServiceNow:
    """One ServiceNow instance.

    Requests: create, comment and update take one each, find one or two, reopen two. Several creates may share one, see
    ``creates``. To resolve an incident takes one, a problem or change request one and one more for each step of its
    state model, and two more where the instance is asked which states may follow. The first create by the Change
    Management API searches for the key before, which takes two more. A name in a reference field that is not cached
    takes one more, the first use of OAuth a request for a token. ``total_timeout`` of the settings limits the time of
    each operation as a whole.

    Args:
        name: of the connection in the configuration.
        settings: of the connection.
        secrets: gives the secrets that the settings name, when they are needed.
        transport: used instead of the network.
        gate: lets requests out; the call budget. Without one only ``max_in_flight`` counts.
        findings: where the check keeps what it has seen; without, creates share no call.
        tokens: where workers share tokens; without one they are this object's own.

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
        gate: RateGate | None = None,
        findings: Findings | None = None,
        tokens: TokenStore | None = None,
    ) -> None:
        self._name = name
        self._settings = settings
        gate = gate or UnlimitedGate(settings.max_in_flight)
        self._client = Client(name, settings, secrets, transport, gate, tokens)
        self._clock = tokens.now if tokens is not None else lambda: datetime.now(UTC)
        self._log_ins = LogIns(settings, self._client.oauth, findings, self._clock)
        self._batches = BatchFinding(settings, findings)
        self._creates = SharedCreates(self._client, gate, self._batches, settings.max_in_flight)
        self._tables = ticket_tables(settings.states)
        self._references = References(self._client, settings)
        self._templates = Templates(self._client, self._tables)
        self._tickets = Tickets(self._client, self._tables, self._references, self._templates, settings, self._creates)
        self._events = Events(self._client)
        self._people = People(self._client, self._tickets)
        self._items = TicketItems(self._client, self._references, settings.ci.affected)
        self._export = TicketExport(self._client, self._tables, settings.url, settings.ci.resource_id_attribute)
        self._handlers: dict[TicketKind, KindHandler] = {
            **dict.fromkeys(self._tables, self._tickets),
            TicketKind.EVENT: self._events,
        }

    @property
    def name(self) -> str:
        """The connection's name in the configuration."""
        return self._name

    @property
    def honours_ids(self) -> bool | None:
        """Whether the instance keeps the sys_id that a create gives; None before the first create."""
        return self._tickets.honours_ids

    def findable(self, kind: TicketKind) -> bool:
        """See ``TicketSystem.findable``: False for events."""
        return self._handlers[kind].findable

    async def create(self, draft: Draft) -> Ticket:
        """See ``TicketSystem.create``."""
        with self._client.operation():
            return await self._handlers[draft.kind].create(draft)

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """See ``TicketSystem.find``."""
        with self._client.operation():
            return await self._handlers[kind].find(kind, ticket_id, correlation, marker)

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        """See ``TicketSystem.comment``."""
        with self._client.operation():
            return await self._handlers[ref.kind].comment(ref, note)

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """See ``TicketSystem.update``."""
        with self._client.operation():
            return await self._handlers[ref.kind].update(ref, fields, note)

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """See ``TicketSystem.resolve``."""
        with self._client.operation():
            return await self._handlers[ref.kind].resolve(ref, closure)

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        """See ``TicketSystem.reopen``."""
        with self._client.operation():
            return await self._handlers[ref.kind].reopen(ref, note)

    async def planned_work(self) -> Sequence[PlannedWork]:
        """See ``PlansWork.planned_work``: one call, two where there is any, and more beyond 500 rows.

        A change request is under way in the state to which a reopened one returns: Implement.
        """
        with self._client.operation():
            state = self._tables[TicketKind.CHANGE_REQUEST].reopened
            return await PlannedChanges(self._client, self._settings.ci, state).current()

    async def template(self, kind: TicketKind, name: str) -> TicketTemplate | LeftOut:
        """See ``KnowsTemplates.template``: one call, none for five minutes afterwards."""
        with self._client.operation():
            return await self._templates.find(kind, name)

    def most_affected_items(self, kind: TicketKind) -> int:
        """See ``ListsAffectedItems.most_affected_items``: ``ci.affected`` of the settings."""
        return self._settings.ci.affected if kind in AFFECTED_KINDS else 0

    async def add_affected_items(self, ref: TicketRef, own: str, resources: Sequence[str]) -> AffectedItems:
        """See ``ListsAffectedItems.add_affected_items``. One call for what is listed already, one for about twenty
        resources whose items are not known yet, one for ten items that are added."""
        with self._client.operation():
            return await self._items.add(ref, own, resources)

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
        """See ``KnowsPeople.lacks``."""
        with self._client.operation():
            return await self._handlers[kind].missing_fields(kind, fields)

    def state_name(self, kind: TicketKind, state: str) -> str:
        """See ``TicketSystem.state_name``."""
        return self._handlers[kind].state_name(kind, state)

    async def log_in(self) -> LogIn:
        """See ``TicketSystem.log_in``."""
        return await self._log_ins.read()

    async def changes_since(self, kind: TicketKind, watermark: str | None, *, limit: int) -> ChangePage:
        """See ``TicketSystem.changes_since``. Ours are the records that bear a correlation_id and our name in
        correlation_display."""
        with self._client.operation():
            return await self._handlers[kind].changes_since(kind, watermark, limit)

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        """See ``TicketSystem.existing``."""
        return await self._handlers[kind].existing(kind, ids)

    @property
    def export_kinds(self) -> frozenset[TicketKind]:
        """See ``ExportsTickets.export_kinds``: all but events."""
        return self._export.kinds

    async def export_page(
        self, kind: TicketKind, selection: Selection, watermark: str | None, *, limit: int
    ) -> RecordPage:
        """See ``ExportsTickets.export_page``."""
        with self._client.operation():
            return await self._export.page(kind, selection, watermark, limit)

    async def export_count(self, kind: TicketKind, selection: Selection) -> int:
        """See ``ExportsTickets.export_count``."""
        with self._client.operation():
            return await self._export.count(kind, selection)

    async def export_deleted(self, kind: TicketKind, since: datetime, *, limit: int) -> RecordPage | None:
        """See ``ExportsTickets.export_deleted``: None where the integration user may not read sys_audit_delete."""
        with self._client.operation():
            return await self._export.deleted(kind, since, limit)

    async def check(self, needs: Needs, *, probe_writes: bool = False) -> Sequence[CheckLine]:
        """Test the connection for what the configuration needs of it.

        Args:
            needs: kinds, fields and constants that the routes use.
            probe_writes: also write: one record per kind is created twice (to see that it stays one) and deleted, or
                resolved where it cannot be deleted; events get one clearing event. Without it nothing is written, and
                the check says what it could not test.

        Never raises a TicketSystemError.
        """
        check = ConnectionCheck(
            self._client,
            self._settings,
            self._tables,
            self._references,
            self._templates,
            self._tickets,
            self._events,
            self._people,
            self._batches,
            self._log_ins,
        )
        return await check.run(needs, probe_writes=probe_writes)

    @property
    def shares_tokens(self) -> bool:
        """See ``KeepsTokens.shares_tokens``."""
        return self._client.oauth is not None and self._client.oauth.keeper.is_shared

    async def refresh_tokens(self, *, dry_run: bool = False, always: bool = False) -> bool:
        """See ``KeepsTokens.refresh_tokens``."""
        oauth = self._client.oauth
        if oauth is None:
            return False
        async with self._client.token_endpoint() as endpoint:
            return await oauth.keeper.use_refresh_token(oauth.wire(endpoint), dry_run=dry_run, always=always)

    def consent_flow(self) -> ConsentFlow | None:
        """See ``TakesConsent.consent_flow``."""
        from connectors.servicenow.consent import ServiceNowConsent

        auth, oauth = self._settings.auth, self._client.oauth
        if not isinstance(auth, OAuthAuthorizationCode) or oauth is None:
            return None
        return ServiceNowConsent(self._client, self._settings.url, auth, oauth, self._log_ins, self._clock)

    async def aclose(self) -> None:
        """Close connections."""
        await self._creates.aclose()
        await self._client.aclose()
