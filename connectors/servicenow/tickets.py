"""Incidents, problems and change requests through the Table API; changes are made by the Change Management API where
the settings want it.

Create is idempotent by the record's own key: the sys_id is ours and goes with the POST, so that a repetition meets the
first row and fails as a duplicate, which is a success to us. Where an instance ignores the sys_id, a create looks for
the correlation_id first, from the moment that habit is known. Of the Change Management API nobody says what it does
with a sys_id, so there a create looks first until the instance has shown that it keeps it.

Source: ServiceNow docs, "Table API", "Change Management API"; the state models are in ``states``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from connectors.servicenow.change_management import creation
from connectors.servicenow.client import Client
from connectors.servicenow.echo import display, dropped, is_sys_id, value
from connectors.servicenow.query import equal, rows, searchable
from connectors.servicenow.references import References
from connectors.servicenow.refusals import DuplicateKey
from connectors.servicenow.state_settings import Change
from connectors.servicenow.tables import DISPLAY, JOURNALS, LIMITS, TEMPLATE_FIELD, Table
from connectors.servicenow.text import clean, cut, journal, note_text
from connectors.servicenow.walk import StatePosition, Walker
from connectors.servicenow.wire import Purpose, WireCall
from shared.core.errors import OutcomeUnknown, Refused, TicketMissing
from shared.core.ticket_system import Closure, Draft, Note, Phase, Ticket, TicketKind, TicketRef

_LOG = logging.getLogger(__name__)

_READ = ("sys_id", "number", "state", "active", "correlation_id")

#: A key names one ticket; a few more rows show that somebody copied it.
_LIMIT = 5


class Tickets:
    """Records of the task tables."""

    def __init__(
        self,
        client: Client,
        tables: Mapping[TicketKind, Table],
        references: References,
        url: str,
        change: Change | None = None,
    ) -> None:
        self._honours: dict[TicketKind, bool] = {}
        self._change = change or Change()
        self._walker = Walker(client, self)
        self._client = client
        self._tables = tables
        self._references = references
        self._url = url

    @property
    def honours_ids(self) -> bool | None:
        """Whether the instance keeps the sys_id of a POST, on every table where that was seen; None before."""
        return all(self._honours.values()) if self._honours else None

    async def create(self, draft: Draft) -> Ticket:
        """Create a record, or return the one that an earlier attempt made. See ``TicketSystem.create``."""
        self._require(draft.correlation)
        table = self._tables[draft.kind]
        if self._honours.get(draft.kind, not self._by_change_api(draft.kind)) is False:
            standing = await self._standing(draft)
            if standing is not None:
                return standing
        fields, lost = await self._resolved({**self._of_change(draft), **_opening(draft)})
        if draft.closure is None or not table.born_resolved:
            return await self._insert(draft, table, fields, lost)
        ending, more = await self._resolved(table.closure(draft.closure.fields))
        try:
            return await self._insert(draft, table, {**fields, **ending}, lost + more)
        except TicketMissing:
            raise
        except Refused as error:
            # Some instances insert nothing that is resolved already: then it is born open and resolved afterwards.
            _LOG.info("%s: %s cannot be born resolved: %s", self._client.connection, table.name, error)
            return await self._insert(draft, table, fields, lost)

    async def find(
        self, kind: TicketKind, ticket_id: str, correlation: str, marker: str | None = None
    ) -> Ticket | None:
        """Look up by id, then by key. See ``TicketSystem.find``."""
        self._require(correlation)
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

    async def update(self, ref: TicketRef, fields: Mapping[str, str], note: Note | None = None) -> Ticket:
        """Set fields and append a note, in one PATCH. See ``TicketSystem.update``."""
        return (await self.write(ref, fields, (), note)).ticket

    async def write(
        self, ref: TicketRef, fields: Mapping[str, str], also: tuple[str, ...] = (), note: Note | None = None
    ) -> StatePosition:
        """The same, with further columns in what comes back."""
        prepared, lost = await self._resolved(fields)
        if note is not None:
            prepared["work_notes"] = note_text(note)
            if note.comment:
                prepared["comments"] = cut("comments", journal(clean(note.comment)))
        names = [*_READ, *also, *(name for name in prepared if name not in JOURNALS)]
        call = WireCall("PATCH", self._record(ref.kind, ref.id), Purpose.UPDATE, _shape(names), prepared)
        row = await self._client.call(call)
        return StatePosition(self._ticket(ref.kind, ref.correlation, row, ref, (*lost, *dropped(prepared, row))), row)

    async def resolve(self, ref: TicketRef, closure: Closure) -> Ticket:
        """Write state, code and notes: in one PATCH, or step by step where a state model guards the states."""
        table = self._tables[ref.kind]
        fields = table.closure(closure.fields)
        if table.model is None:
            return await self.update(ref, fields)
        return await self._walker.walk(table, table.model, ref, fields)

    async def standing(self, ref: TicketRef, also: tuple[str, ...] = ()) -> StatePosition:
        """Read a ticket that is known by its id. Raises TicketMissing where it does not bear its key."""
        call = WireCall("GET", self._record(ref.kind, ref.id), Purpose.RECORD, _shape([*_READ, *also]))
        row = await self._client.call(call)
        if value(row, "correlation_id") != ref.correlation:
            raise TicketMissing(
                f"{ref.number or ref.id} does not bear the key that the bridge wrote into it",
                connection=self._client.connection,
                advice="Somebody changed its correlation_id. The problem gets a new ticket.",
            )
        return StatePosition(self._ticket(ref.kind, ref.correlation, row, ref), row)

    async def reopen(self, ref: TicketRef, note: Note) -> Ticket:
        """Read the ticket; put it back to work unless it is closed. One that people reopened gets the note only."""
        ticket = (await self.standing(ref)).ticket
        if ticket.phase is Phase.CLOSED:
            raise Refused(
                f"{ticket.ref.number or ref.id} is closed (state {ticket.state}) and cannot be reopened",
                connection=self._client.connection,
                advice="Open a new ticket that follows it.",
            )
        state = {"state": self._tables[ref.kind].reopened} if ticket.phase is Phase.RESOLVED else {}
        return await self.update(ref, state, note)

    async def _insert(self, draft: Draft, table: Table, fields: Mapping[str, str], lost: tuple[str, ...]) -> Ticket:
        ours = {"sys_id": draft.id, "correlation_id": draft.correlation, "correlation_display": DISPLAY}
        body = {**fields, **ours}
        names = [*_READ, "correlation_display", *(name for name in fields if name not in JOURNALS)]
        call = WireCall("POST", f"/api/now/table/{table.name}", Purpose.CREATE, _shape(names), body)
        if self._by_change_api(draft.kind):
            call = self._made_by_change_api(body)
            body = dict(call.body or {})
        try:
            row = await self._client.call(call)
        except DuplicateKey as error:
            existing = await self.find(draft.kind, draft.id, draft.correlation)
            if existing is None:
                raise OutcomeUnknown(
                    f"the instance refused to insert into {table.name}, as for a duplicate, but shows no such ticket",
                    connection=self._client.connection,
                    status=error.status,
                    upstream=error.upstream,
                    request_id=error.request_id,
                    advice=f"Give the integration user the right to read the {table.name} records that it creates, "
                    "correlation_id included.",
                ) from error
            return existing
        made = value(row, "sys_id") or ""
        if not is_sys_id(made):
            raise OutcomeUnknown(
                f"the answer to {call} does not say which record was made",
                connection=self._client.connection,
                advice=f"Give the integration user the right to read the {table.name} records that it creates.",
            )
        self._note_habit(draft.kind, made.lower() == draft.id.lower())
        changed = dropped({name: text for name, text in body.items() if name != "sys_id"}, row)
        if "correlation_id" in changed:
            _LOG.warning(
                "%s: %s came back without its correlation_id; without it a lost answer cannot be looked up",
                self._client.connection,
                value(row, "number") or made,
            )
        return self._ticket(draft.kind, draft.correlation, row, None, (*lost, *changed))

    def _by_change_api(self, kind: TicketKind) -> bool:
        return kind is TicketKind.CHANGE_REQUEST and self._change.api == "change_management"

    def _of_change(self, draft: Draft) -> dict[str, str]:
        """What the settings say about the type of a new change; the fields of the route win."""
        if draft.kind is not TicketKind.CHANGE_REQUEST:
            return {}
        kind = draft.fields.get("type", self._change.type or "")
        given = {"type": kind, TEMPLATE_FIELD: self._change.template if kind == "standard" else None}
        return {name: text for name, text in given.items() if text}

    def _made_by_change_api(self, fields: Mapping[str, str]) -> WireCall:
        call = creation(fields)
        if call is None:
            raise Refused(
                "a standard change is made from a template, and the one that is wanted was not found",
                connection=self._client.connection,
                advice=f"Name an active template under 'change' of the connection or as field {TEMPLATE_FIELD} of the "
                "route, and let the integration user read std_change_producer_version.",
            )
        return call

    def _note_habit(self, kind: TicketKind, honoured: bool) -> None:
        if not honoured and self._honours.get(kind) is not False:
            _LOG.warning(
                "%s: the instance ignores the sys_id of a new %s; from now on creates look for the key first",
                self._client.connection,
                self._tables[kind].name,
            )
        self._honours[kind] = honoured

    async def _standing(self, draft: Draft) -> Ticket | None:
        """The ticket that an earlier attempt made, on an instance that ignores ids: not a closed one, and not the one
        that the draft follows."""
        found = await self.find(draft.kind, draft.id, draft.correlation)
        follows = draft.follows.id if draft.follows is not None else None
        return None if found is None or found.phase is Phase.CLOSED or found.ref.id == follows else found

    async def _by_id(self, kind: TicketKind, ticket_id: str, notes: bool) -> Mapping[str, Any] | None:
        call = WireCall("GET", self._record(kind, ticket_id), Purpose.RECORD, _reading(notes))
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
        call = rows(self._tables[kind].name, query, names, _LIMIT)
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

    async def _resolved(self, fields: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Fields as they are written, and the names of those left out because their reference is unknown."""
        ready: dict[str, str] = {}
        lost: list[str] = []
        for name, text in fields.items():
            if not self._references.knows(name):
                shown = clean(text)
                ready[name] = cut(name, journal(shown) if name in JOURNALS else shown)
                continue
            found = await self._references.resolve(name, clean(text))
            if found is None:
                lost.append(name)
            else:
                ready[name] = found
        if "assigned_to" in lost:
            group = await self._group(fields["assigned_to"])
            if group:
                # It is the group's work, and no longer that of whoever had it.
                lost.remove("assigned_to")
                ready = {"assignment_group": group, **ready, "assigned_to": ""}
        return ready, tuple(lost)

    async def _group(self, text: str) -> str | None:
        """The group that a text which is no person's name stands for: owners of work may be groups as well."""
        return None if "@" in text else await self._references.resolve("assignment_group", clean(text), tried=True)

    def _require(self, correlation: str) -> None:
        """A key that cannot be searched for would match everything, or never be found again."""
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
        lost: tuple[str, ...] = (),
    ) -> Ticket:
        state = value(row, "state") or ""
        return Ticket(
            ref=self.link_to(kind, correlation, row, ref),
            phase=self._tables[kind].phase(state, value(row, "active") or ""),
            state=state,
            dropped=tuple(dict.fromkeys(lost)),
        )

    def link_to(
        self, kind: TicketKind, correlation: str, row: Mapping[str, Any], ref: TicketRef | None = None
    ) -> TicketRef:
        """The reference to a record; what the row does not hold is taken from ``ref``."""
        sys_id = value(row, "sys_id") or (ref.id if ref is not None else "")
        number = value(row, "number") or (ref.number if ref is not None else "")
        page = quote(f"{self._tables[kind].name}.do?sys_id={sys_id}", safe="")
        return TicketRef(kind, sys_id, correlation, number, f"{self._url}/nav_to.do?uri={page}")


def _opening(draft: Draft) -> dict[str, str]:
    """The fields of a new ticket, with what links it to the closed one that it follows."""
    fields = {name: text for name, text in draft.fields.items() if name != "sys_id"}
    if draft.follows is None:
        return fields
    before = draft.follows
    said = f"Follows {before.number or before.id}, which is closed."
    notes = fields.get("work_notes")
    fields["work_notes"] = f"{said}\n{notes}" if notes else said
    fields["parent"] = before.id
    return fields


def _shape(names: Iterable[str]) -> dict[str, str]:
    return {"sysparm_fields": ",".join(dict.fromkeys(names)), "sysparm_exclude_reference_link": "true"}


def _reading(notes: bool) -> dict[str, str]:
    """Work notes are readable by display value only; their own table is for administrators."""
    if notes:
        return {**_shape([*_READ, "work_notes"]), "sysparm_display_value": "all"}
    return _shape(_READ)
