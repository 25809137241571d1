"""Incidents, problems and change requests through the Table API; changes are created by the Change Management API where
the settings say so.

Create is idempotent by the record's own key: the POST carries our sys_id, so that a repetition fails as a duplicate of
the first row, which counts as success. Where an instance ignores the sys_id, a create looks for the correlation_id
first, as soon as that is known of the instance. The documentation of the Change Management API does not say what it
does with a sys_id, so there a create looks first until the instance has shown that it keeps it.

Source: ServiceNow docs, "Table API", "Change Management API"; the state models are in ``states``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from connectors.servicenow.change_management import create_call
from connectors.servicenow.client import Client
from connectors.servicenow.creates import SharedCreates
from connectors.servicenow.dictionary import TableColumns
from connectors.servicenow.drafts import draft_fields
from connectors.servicenow.endings import TicketEndings
from connectors.servicenow.import_set import import_record
from connectors.servicenow.polling import Polling
from connectors.servicenow.references import References
from connectors.servicenow.refusals import DuplicateKey, aborted_by_state_rule, unseen_duplicate
from connectors.servicenow.settings import ImportSet, ServiceNowSettings
from connectors.servicenow.tables import (
    JOURNALS,
    LIMITS,
    TEMPLATE_FIELD,
    TEMPLATES,
    TicketTable,
    clean,
    cut,
    dropped,
    journal_text,
    note_text,
)
from connectors.servicenow.templates import Templates
from connectors.servicenow.transitions import TicketRow
from connectors.servicenow.wire import (
    Purpose,
    WireCall,
    display,
    equal,
    is_sys_id,
    list_call,
    searchable,
    selected,
    value,
)
from shared.core.errors import OutcomeUnknown, Refused, TicketMissing
from shared.core.link import DISPLAY
from shared.core.ticket_system import ChangePage, Closure, Draft, LeftOut, Note, Phase, Ticket, TicketKind, TicketRef

_LOG = logging.getLogger(__name__)

_READ = ("sys_id", "number", "state", "active", "correlation_id")

#: Rows of a search for a key. It names one ticket; more rows show that somebody copied it.
_LIMIT = 5


class Tickets:
    """Handles the kinds of tickets that are records of a task table.

    Args:
        client: makes the calls.
        tables: by kind of ticket.
        references: resolves names in reference fields.
        templates: of new tickets.
        settings: of the connection.
        creates: makes creates, alone or several with one call.
    """

    findable = True

    def __init__(
        self,
        client: Client,
        tables: Mapping[TicketKind, TicketTable],
        references: References,
        templates: Templates,
        settings: ServiceNowSettings,
        creates: SharedCreates,
    ) -> None:
        self._client = client
        self._creates = creates
        self._tables = tables
        self._references = references
        self._templates = templates
        self._url = settings.url
        self._change = settings.change
        self._import_set = settings.import_set
        self._honours: dict[TicketKind, bool] = {}
        self._endings = TicketEndings(client, self, tables, settings.problem.state_resource)
        self._polling = Polling(client, tables, self._ref_of)
        self._columns = TableColumns(client)

    @property
    def honours_ids(self) -> bool | None:
        """Whether the instance keeps the sys_id of a POST, on all tables that got one; None before the first."""
        return all(self._honours.values()) if self._honours else None

    async def create(self, draft: Draft) -> Ticket:
        """Create a record, or return the one that an earlier attempt made. See ``TicketSystem.create``."""
        self._check_key(draft.correlation)
        table = self._tables[draft.kind]
        if self._honours.get(draft.kind, not self._by_change_api(draft.kind)) is False:
            existing = await self._of_earlier_attempt(draft)
            if existing is not None:
                return existing
        given, missed = await self._with_template(draft, {**self._change_fields(draft), **draft_fields(draft)})
        fields, lost = await self.prepared(given)
        lost = missed + lost
        if draft.closure is None or not table.born_resolved:
            return await self._insert(draft, table, fields, lost)
        closing, more = await self.prepared(table.closure(draft.closure.fields))
        try:
            return await self._insert(draft, table, {**fields, **closing}, lost + more)
        except TicketMissing:
            raise
        except Refused as error:
            # Some instances insert no resolved record: then it is created open, and delivery resolves it afterwards.
            _LOG.info("%s: %s cannot be created as resolved: %s", self._client.connection, table.name, error)
            return await self._insert(draft, table, fields, lost)

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """Look up by id, then by key. See ``TicketSystem.find``."""
        self._check_key(correlation)
        row = await self._by_id(kind, ticket_id, marker is not None) if is_sys_id(ticket_id) else None
        if row is None or value(row, "correlation_id") != correlation:
            row = await self._by_key(kind, correlation, marker is not None)
        if row is None:
            return None
        ticket = self._ticket(kind, correlation, row)
        if marker is None:
            return ticket
        notes = display(row, "work_notes")
        return replace(ticket, noted=None if notes is None else clean(marker) in notes)

    async def comment(self, ref: TicketRef, note: Note) -> Ticket:
        """Append a note. See ``TicketSystem.comment``."""
        return await self.update(ref, {}, note)

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """Set fields and append a note, in one PATCH. See ``TicketSystem.update``."""
        return (await self.write(ref, fields, (), note)).ticket

    async def write(
        self, ref: TicketRef, fields: Mapping[str, str], also: tuple[str, ...] = (), note: Note | None = None
    ) -> TicketRow:
        """As :meth:`update`; the record has the further columns ``also``."""
        prepared, lost = await self.prepared(fields)
        if note is not None:
            prepared["work_notes"] = note_text(note)
            if note.comment:
                prepared["comments"] = cut("comments", journal_text(clean(note.comment)))
        names = [*_READ, *also, *(name for name in prepared if name not in JOURNALS)]
        call = WireCall("PATCH", self._record(ref.kind, ref.id), Purpose.UPDATE, selected(names), prepared)
        row = await self._client.call(call)
        return TicketRow(self._ticket(ref.kind, ref.correlation, row, ref, (*lost, *dropped(prepared, row))), row)

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """See ``TicketEndings.resolve``."""
        return await self._endings.resolve(ref, closure)

    async def read(self, ref: TicketRef, also: tuple[str, ...] = ()) -> TicketRow:
        """Read a ticket that is known by its id. Raises TicketMissing where it does not bear its key."""
        call = WireCall("GET", self._record(ref.kind, ref.id), Purpose.RECORD, selected([*_READ, *also]))
        row = await self._client.call(call)
        if value(row, "correlation_id") != ref.correlation:
            raise TicketMissing(
                f"{ref.number or ref.id} does not bear the key that the bridge wrote into it",
                connection=self._client.connection,
                advice="Somebody changed its correlation_id. The problem gets a new ticket.",
            )
        return TicketRow(self._ticket(ref.kind, ref.correlation, row, ref), row)

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        """Read the ticket; put it back to work unless it is closed. One that people reopened gets the note only.

        Where the instance keeps the state of problems, the ticket comes back as it is, resolved.
        """
        ticket = (await self.read(ref)).ticket
        if ticket.phase is Phase.CLOSED:
            raise Refused(
                f"{ticket.ref.number or ref.id} is closed (state {ticket.state}) and cannot be reopened",
                connection=self._client.connection,
                advice="Open a new ticket that follows it.",
            )
        state = {"state": self._tables[ref.kind].reopened} if ticket.phase is Phase.RESOLVED else {}
        if state and self._endings.by_resource(ref.kind):
            return await self._endings.move_by_resource(ref, state, note)
        try:
            return await self.update(ref, state, note)
        except Refused as error:
            if ref.kind is TicketKind.PROBLEM and state and aborted_by_state_rule(error.upstream):
                return ticket
            raise

    def state_name(self, kind: TicketKind, state: str) -> str:
        """The name that the settings give, else that of the base system."""
        return self._tables[kind].state_name(state)

    async def missing_fields(self, kind: TicketKind, fields: Iterable[str]) -> Sequence[str]:
        """Those of the names that are no columns of the kind's table. See ``TableColumns.missing``."""
        return await self._columns.missing(self._tables[kind].name, fields)

    async def changes_since(self, kind: TicketKind, watermark: str | None, limit: int) -> ChangePage:
        """See ``Polling.changes_since``."""
        return await self._polling.changes_since(kind, watermark, limit)

    async def existing(self, kind: TicketKind, ids: Iterable[str]) -> frozenset[str]:
        """See ``Polling.existing``."""
        return await self._polling.existing(kind, ids)

    async def _insert(
        self, draft: Draft, table: TicketTable, fields: Mapping[str, str], lost: tuple[LeftOut, ...]
    ) -> Ticket:
        ours = {"sys_id": draft.id, "correlation_id": draft.correlation, "correlation_display": DISPLAY}
        body = {**fields, **ours}
        names = [*_READ, "correlation_display", *(name for name in fields if name not in JOURNALS)]
        call = WireCall("POST", f"/api/now/table/{table.name}", Purpose.CREATE, selected(names), body)
        if self._by_change_api(draft.kind):
            call = self._change_api_call(body)
            body = dict(call.body or {})
        try:
            staging = getattr(self._import_set, draft.kind.value)
            if staging is not None:
                del body["sys_id"]  # the record that a map makes has an id of its own
                return await self._import(draft, staging, body, names, lost)
            row = await self._creates.create(call, keeps_ids=self._honours.get(draft.kind, True))
        except DuplicateKey as error:
            existing = await self.find(draft.kind, draft.id, draft.correlation)
            if existing is None:
                raise unseen_duplicate(error, table.name) from error
            return existing
        made = value(row, "sys_id") or ""
        if not is_sys_id(made):
            raise OutcomeUnknown(
                f"the answer to {call} does not say which record was made",
                connection=self._client.connection,
                advice=f"Give the integration user the right to read the {table.name} records that it creates.",
            )
        self._record_honoured(draft.kind, made.lower() == draft.id.lower())
        return self._new(draft, row, body, lost)

    def _new(self, draft: Draft, row: Mapping[str, Any], body: Mapping[str, str], lost: tuple[LeftOut, ...]) -> Ticket:
        """The ticket of a record that was just made, with what differs from what was sent."""
        changed = dropped({name: text for name, text in body.items() if name != "sys_id"}, row)
        if "correlation_id" in changed:
            _LOG.warning(
                "%s: %s came back without its correlation_id; without it a lost answer cannot be looked up",
                self._client.connection,
                value(row, "number") or value(row, "sys_id"),
            )
        return self._ticket(draft.kind, draft.correlation, row, None, (*lost, *changed))

    async def _import(
        self, draft: Draft, staging: ImportSet, body: Mapping[str, str], names: Iterable[str], lost: tuple[LeftOut, ...]
    ) -> Ticket:
        """Create a record through an import set: look for the key, stage the row, read what became of it.

        The look before finds what an earlier attempt made. Between two attempts at the same time only the map itself
        can decide, by coalescing on correlation_id; then both get the same record.
        """
        by_key = replace(draft, id="")  # the record has an id of its own
        existing = await self._of_earlier_attempt(by_key)
        if existing is not None:
            return existing
        target = self._tables[draft.kind].name
        try:
            row = await import_record(self._client, staging, body, target, selected(names))
        except Refused:
            existing = await self._of_earlier_attempt(by_key)  # a row is ignored, too, whose record has these values
            if existing is None:
                raise
            return existing
        return self._new(draft, row, body, lost)

    async def _with_template(self, draft: Draft, fields: dict[str, str]) -> tuple[dict[str, str], tuple[LeftOut, ...]]:
        """The fields with the values of the draft's template below them, and what of it is left out."""
        if not draft.template:
            return fields, ()
        found = await self._templates.find(draft.kind, draft.template)
        if isinstance(found, LeftOut):
            return fields, (found,)
        own = {name: text for name, text in fields.items() if name not in draft.yielding}
        return {**fields, **found.fields, **own}, found.left_out

    def _by_change_api(self, kind: TicketKind) -> bool:
        return kind is TicketKind.CHANGE_REQUEST and self._change.api == "change_management"

    def _change_fields(self, draft: Draft) -> dict[str, str]:
        """The fields of a new change that the settings give. The fields of the route take precedence."""
        if draft.kind is not TicketKind.CHANGE_REQUEST:
            return {}
        kind = draft.fields.get("type", self._change.type or "")
        given = {"type": kind, TEMPLATE_FIELD: self._change.template if kind == "standard" else None}
        return {name: text for name, text in given.items() if text}

    def _change_api_call(self, fields: Mapping[str, str]) -> WireCall:
        call = create_call(fields)
        if call is None:
            raise Refused(
                "a standard change is made from a template, and the one that is wanted was not found",
                connection=self._client.connection,
                advice=f"Name an active template under 'change' of the connection or as field {TEMPLATE_FIELD} of the "
                f"route, and let the integration user read {TEMPLATES}.",
            )
        return call

    def _record_honoured(self, kind: TicketKind, honoured: bool) -> None:
        if not honoured and self._honours.get(kind) is not False:
            _LOG.warning(
                "%s: the instance ignores the sys_id of a new %s; from now on creates look for the key first",
                self._client.connection,
                self._tables[kind].name,
            )
        self._honours[kind] = honoured

    async def _of_earlier_attempt(self, draft: Draft) -> Ticket | None:
        """The ticket that an earlier attempt made, on an instance that ignores ids: not a closed one, and not the one
        that the draft follows."""
        found = await self.find(draft.kind, draft.id, draft.correlation)
        follows = draft.follows.id if draft.follows is not None else None
        return None if found is None or found.phase is Phase.CLOSED or found.ref.id == follows else found

    async def _by_id(self, kind: TicketKind, ticket_id: str, notes: bool) -> Mapping[str, Any] | None:
        call = WireCall("GET", self._record(kind, ticket_id), Purpose.RECORD, _read_params(notes))
        try:
            row: Mapping[str, Any] = await self._client.call(call)
        except TicketMissing:
            return None
        return row

    async def _by_key(self, kind: TicketKind, correlation: str, notes: bool) -> Mapping[str, Any] | None:
        query = "^".join(
            (
                equal("correlation_id", correlation),
                equal("correlation_display", DISPLAY),
                "ORDERBYDESCsys_created_on",
            )
        )
        names = [*_READ, "work_notes"] if notes else _READ
        call = list_call(self._tables[kind].name, query, names, _LIMIT)
        if notes:
            call = replace(call, params={**call.params, "sysparm_display_value": "all"})
        found: list[Mapping[str, Any]] = await self._client.call(call)
        found = [row for row in found if value(row, "correlation_id") == correlation]
        if len(found) > 1:
            _LOG.warning(
                "%s: %d %s records bear the key %s; the newest is taken",
                self._client.connection,
                len(found),
                self._tables[kind].name,
                correlation,
            )
        return found[0] if found else None

    async def prepared(self, fields: Mapping[str, str]) -> tuple[dict[str, str], tuple[LeftOut, ...]]:
        """Fields as they are written, and those left out because their reference is unknown."""
        ready: dict[str, str] = {}
        lost: dict[str, LeftOut] = {}
        for name, text in fields.items():
            if not self._references.is_reference(name):
                shown = clean(text)
                ready[name] = cut(name, journal_text(shown) if name in JOURNALS else shown)
                continue
            found = await self._references.find(name, clean(text))
            if isinstance(found, LeftOut):
                lost[name] = found
            else:
                ready[name] = found
        if "assigned_to" in lost:
            group = await self._group(fields["assigned_to"])
            if group:
                # The group is responsible now, so the previous person is removed.
                del lost["assigned_to"]
                ready = {"assignment_group": group, **ready, "assigned_to": ""}
        return ready, tuple(lost.values())

    async def _group(self, text: str) -> str | None:
        """The group of that name: owners of work may be groups as well as persons."""
        return None if "@" in text else await self._references.resolve("assignment_group", clean(text))

    def _check_key(self, correlation: str) -> None:
        """Raise Refused for a key that cannot be searched for: it would match every record, or none."""
        if (
            searchable(correlation)
            and len(correlation) <= LIMITS["correlation_id"]
            and clean(correlation) == correlation
        ):
            return
        raise Refused(
            f"a key of {len(correlation)} characters cannot be written into correlation_id",
            connection=self._client.connection,
            advice=f"A key has 1 to {LIMITS['correlation_id']} printable characters on one line.",
        )

    def _record(self, kind: TicketKind, ticket_id: str) -> str:
        return f"/api/now/table/{self._tables[kind].name}/{quote(ticket_id, safe='')}"

    def _ticket(
        self,
        kind: TicketKind,
        correlation: str,
        row: Mapping[str, Any],
        ref: TicketRef | None = None,
        lost: tuple[str | LeftOut, ...] = (),
    ) -> Ticket:
        state = value(row, "state") or ""
        return Ticket(
            ref=self._ref_of(kind, correlation, row, ref),
            phase=self._tables[kind].phase(state, value(row, "active") or ""),
            state=state,
            dropped=tuple(dict.fromkeys(one.field if isinstance(one, LeftOut) else one for one in lost)),
            left_out=tuple(one for one in lost if isinstance(one, LeftOut)),
        )

    def ticket(self, ref: TicketRef, row: Mapping[str, Any], lost: tuple[LeftOut, ...] = ()) -> Ticket:
        """The ticket of a record that came back from a write; what the row does not hold is taken from ``ref``."""
        return self._ticket(ref.kind, ref.correlation, row, ref, lost)

    def _ref_of(
        self, kind: TicketKind, correlation: str, row: Mapping[str, Any], ref: TicketRef | None = None
    ) -> TicketRef:
        """The reference to a record; what the row does not hold is taken from ``ref``."""
        sys_id = value(row, "sys_id") or (ref.id if ref is not None else "")
        number = value(row, "number") or (ref.number if ref is not None else "")
        page = quote(f"{self._tables[kind].name}.do?sys_id={sys_id}", safe="")
        return TicketRef(kind, sys_id, correlation, number, f"{self._url}/nav_to.do?uri={page}")


def _read_params(notes: bool) -> dict[str, str]:
    """Parameters to read a record. Work notes can be read only as display values: their table needs admin."""
    if notes:
        return {**selected([*_READ, "work_notes"]), "sysparm_display_value": "all"}
    return selected(_READ)
