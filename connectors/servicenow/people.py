"""Who can be given work: users and groups by what people call them, and what an unknown name may have meant.

A person has to be named exactly and by one record only. Somebody who is not found is looked for by parts of what was
written, and then by the beginnings of those parts, since most mistakes are made further on; likeness is judged here.

Source: ServiceNow docs, "User administration" (sys_user: user_name, email, name, active, manager; sys_user_group),
"Operators available for filters and queries" (STARTSWITH, LIKE), "Watch list" (task.watch_list holds sys_ids with
commas between them).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from connectors.servicenow import dictionary
from connectors.servicenow.client import Client
from connectors.servicenow.echo import is_sys_id, value
from connectors.servicenow.query import any_of, equal, rows, searchable
from connectors.servicenow.references import best
from connectors.servicenow.tables import Table
from connectors.servicenow.tickets import Tickets
from connectors.servicenow.wire import shorten
from shared.core.errors import NotAuthorised, Refused
from shared.core.ticket_system import Person, Phase, TicketKind, TicketRef

_NAMES = ("user_name", "email", "name")
_USER = ("sys_id", *_NAMES, "active")

#: Rows of one exact look-up: more than one means that a name is not unique.
_LIMIT = 10

#: Rows of one look for similar names, of which the likeliest are shown.
_SIMILAR = 100
_MOST_PARTS = 4
_BEGINNING = 3

#: Below this, two names have nothing to do with each other (0 to 1).
_ALIKE = 0.5

#: Characters of a name that are compared: names are shorter, and nobody shall pay for what is none.
_COMPARED = 151

#: Seconds for which the columns of a table are believed. They change with an upgrade or a new form.
_COLUMNS_TTL = 600.0

WATCHERS = "watch_list"


class People:
    """Users, groups and columns of one instance.

    Args:
        client: makes the calls.
        tables: by kind of ticket.
        tickets: reads and writes tickets.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        client: Client,
        tables: Mapping[TicketKind, Table],
        tickets: Tickets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._tables = tables
        self._tickets = tickets
        self._clock = clock
        self._columns: dict[tuple[TicketKind, str], tuple[float, bool]] = {}

    async def find(self, text: str) -> Person | None:
        """See ``KnowsPeople.find_person``: one call, none for what can be no name. A sys_id will do as well."""
        row = await self._row(text, _USER)
        return None if row is None else _person(row)

    async def _row(self, text: str, fields: Sequence[str]) -> Mapping[str, Any] | None:
        text = text.strip()
        if not searchable(text):
            return None
        pairs = [("sys_id", text)] if is_sys_id(text) else [(column, text) for column in _NAMES]
        query = f"{any_of([equal(column, one) for column, one in pairs])}^active=true"
        found = await self._client.call(rows("sys_user", query, fields, _LIMIT))
        active = [row for row in found if value(row, "active") != "false"]
        sys_id = best(active, pairs, _LIMIT)
        return next((row for row in active if value(row, "sys_id") == sys_id), None)

    async def group(self, text: str) -> str | None:
        """See ``KnowsPeople.find_group``: one call."""
        text = text.strip()
        if not searchable(text):
            return None
        column = "sys_id" if is_sys_id(text) else "name"
        query = f"{equal(column, text)}^active=true"
        found = await self._client.call(rows("sys_user_group", query, ["sys_id", "name", "active"], _LIMIT))
        active = [row for row in found if value(row, "active") != "false"]
        sys_id = best(active, [(column, text)], _LIMIT)
        return next((value(row, "name") for row in active if value(row, "sys_id") == sys_id), None)

    async def suggest(self, text: str, limit: int) -> list[Person]:
        """See ``KnowsPeople.suggest_people``: two calls at most, the second when the first shows too few."""
        parts = _parts(text)
        if not parts or limit < 1:
            return []
        found = await self._similar(parts)
        ranked = likeliest(text, found, limit)
        if len(ranked) < limit:
            found += await self._similar(list(dict.fromkeys(part[:_BEGINNING] for part in parts)))
            ranked = likeliest(text, found, limit)
        return ranked

    async def _similar(self, parts: Sequence[str]) -> list[Person]:
        conditions = [
            f"{column}{operator}{part}"
            for part in parts
            for column, operator in (("user_name", "LIKE"), ("name", "LIKE"), ("email", "STARTSWITH"))
        ]
        query = f"{any_of(conditions)}^active=true^ORDERBYname"
        found = await self._client.call(rows("sys_user", query, _USER, _SIMILAR))
        return [_person(row) for row in found if value(row, "active") != "false" and value(row, "sys_id")]

    async def manager(self, text: str) -> Person | None:
        """See ``KnowsPeople.manager_of``: one call."""
        fields = [*_USER, "manager", *(f"manager.{name}" for name in (*_NAMES, "active"))]
        row = await self._row(text, fields)
        sys_id = None if row is None else value(row, "manager")
        if row is None or not sys_id or value(row, "manager.active") == "false":
            return None
        return Person(sys_id, *(value(row, f"manager.{name}") or "" for name in ("user_name", "name", "email")))

    async def watch(self, ref: TicketRef, person: Person) -> bool:
        """See ``KnowsPeople.watch``: two calls, one when the person is on the list already.

        The list is read and written whole: somebody who is added by hand in between is lost from it.
        """
        standing = await self._tickets.standing(ref, (WATCHERS,))
        watching = [one for one in standing.column(WATCHERS).split(",") if one]
        if person.id in watching or standing.ticket.phase is Phase.CLOSED:
            return False
        await self._tickets.update(ref, {WATCHERS: ",".join((*watching, person.id))})
        return True

    async def lacks(self, kind: TicketKind, fields: Iterable[str]) -> list[str]:
        """See ``KnowsPeople.lacks``: nothing for columns that were looked at lately, else a call for each table of
        the line (incident, task), and one or two for the columns.

        Where the dictionary is locked, a record is read instead: a column that is not shown does not exist, or the
        integration user may not see it, and then what is written there could not be checked either.
        """
        wanted = list(dict.fromkeys(fields))
        now = self._clock()
        unsure = [name for name in wanted if self._columns.get((kind, name), (0.0, False))[0] <= now]
        if unsure:
            known = await self._known(self._tables[kind].name, unsure)
            self._columns |= {(kind, name): (now + _COLUMNS_TTL, name in known) for name in unsure}
        return [name for name in wanted if not self._columns[kind, name][1]]

    async def _known(self, table: str, names: Sequence[str]) -> frozenset[str]:
        possible = [name for name in names if dictionary.is_column(name)]
        if not possible:
            return frozenset()
        try:
            line = await dictionary.lineage(self._client, table)
            # The key of every record proves that the dictionary shows anything at all.
            found = await dictionary.columns(self._client, line, [*possible, "sys_id", "number"])
        except Refused:
            found = {}
        except NotAuthorised as error:
            if error.status != 403:  # not this table but the credentials
                raise
            found = {}
        if found:
            return frozenset(found)
        return await self._seen(table, possible)

    async def _seen(self, table: str, names: Sequence[str]) -> frozenset[str]:
        found = await self._client.call(rows(table, "ORDERBYDESCsys_created_on", ["sys_id", *names], 1))
        if not found:
            raise NotAuthorised(
                f"whether {table} has {shorten(', '.join(names), 120)} cannot be known: its dictionary is not shown, "
                "and neither is any record",
                connection=self._client.connection,
                advice="Give the integration user the role personalize_dictionary.",
            )
        return frozenset(name for name in names if value(found[0], name) is not None)


def likeliest(text: str, people: Iterable[Person], limit: int) -> list[Person]:
    """Those of the people whose user name, name or e-mail address is most like a text. Pure."""
    wanted = text.strip().casefold()[:_COMPARED]
    local = wanted.partition("@")[0]

    def alike(person: Person) -> float:
        names = (person.user_name, person.name, person.email, person.email.partition("@")[0])
        pairs = [(one, name.casefold()[:_COMPARED]) for one in {wanted, local} for name in names if name]
        return max((SequenceMatcher(None, one, name).ratio() for one, name in pairs), default=0.0)

    rated = {person.id: (alike(person), person) for person in people}
    close = [(-rate, person.name.casefold(), person.id, person) for rate, person in rated.values() if rate >= _ALIKE]
    return [person for *_, person in sorted(close, key=lambda entry: entry[:3])[:limit]]


def _parts(text: str) -> list[str]:
    """What a name consists of: words, without the domain of an address. A part holds nothing that a query minds."""
    local = text.strip().partition("@")[0]
    words = [word for word in re.findall(r"\w+", local[:_COMPARED].replace("_", " ")) if len(word) > 1]
    return sorted(dict.fromkeys(words), key=len, reverse=True)[:_MOST_PARTS]


def _person(row: Mapping[str, Any]) -> Person:
    return Person(*(value(row, name) or "" for name in ("sys_id", "user_name", "name", "email")))
