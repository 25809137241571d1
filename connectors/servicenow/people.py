"""Users and groups by their names, and suggestions for a name that is unknown.

A name must match exactly one record. For suggestions, users are searched by parts of the text, and then by the first
letters of those parts, since most typing mistakes come later in a word; the similarity is computed here.

Source: ServiceNow docs, "User administration" (sys_user: user_name, email, name, active, manager; sys_user_group),
"Operators available for filters and queries" (STARTSWITH, LIKE), "Watch list" (task.watch_list holds sys_ids with
commas between them).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.references import best_match
from connectors.servicenow.tickets import Tickets
from connectors.servicenow.wire import any_of, equal, is_sys_id, list_call, searchable, value
from shared.core.ticket_system import Person, Phase, TicketRef

_NAMES = ("user_name", "email", "name")
_USER = ("sys_id", *_NAMES, "active")

#: Rows of one exact look-up: more than one means that a name is not unique.
_LIMIT = 10

#: Rows of one search for similar names, of which the most similar are shown.
_SIMILAR = 100
_MAX_PARTS = 4
_PREFIX = 3

#: Similarity (0 to 1) below which a name is not suggested.
_SIMILARITY = 0.5

#: Characters of a text that are compared: names are shorter, and comparing long texts takes time.
_COMPARED = 151

_WATCH_LIST = "watch_list"


class People:
    """Users and groups of one instance.

    Args:
        client: makes the calls.
        tickets: reads and writes tickets.
    """

    def __init__(self, client: Client, tickets: Tickets) -> None:
        self._client = client
        self._tickets = tickets

    async def find(self, text: str) -> Person | None:
        """See ``KnowsPeople.find_person``: one call, none for a text that cannot be a name. Takes a sys_id as well."""
        row = await self._row(text, _USER)
        return None if row is None else _person(row)

    async def _row(self, text: str, fields: Sequence[str]) -> Mapping[str, Any] | None:
        text = text.strip()
        if not searchable(text):
            return None
        pairs = [("sys_id", text)] if is_sys_id(text) else [(column, text) for column in _NAMES]
        query = f"{any_of([equal(column, one) for column, one in pairs])}^active=true"
        found = await self._client.call(list_call("sys_user", query, fields, _LIMIT))
        active = [row for row in found if value(row, "active") != "false"]
        sys_id = best_match(active, pairs, _LIMIT)
        return next((row for row in active if value(row, "sys_id") == sys_id), None)

    async def group(self, text: str) -> str | None:
        """See ``KnowsPeople.find_group``: one call."""
        text = text.strip()
        if not searchable(text):
            return None
        column = "sys_id" if is_sys_id(text) else "name"
        query = f"{equal(column, text)}^active=true"
        found = await self._client.call(list_call("sys_user_group", query, ["sys_id", "name", "active"], _LIMIT))
        active = [row for row in found if value(row, "active") != "false"]
        sys_id = best_match(active, [(column, text)], _LIMIT)
        return next((value(row, "name") for row in active if value(row, "sys_id") == sys_id), None)

    async def suggest(self, text: str, limit: int) -> list[Person]:
        """See ``KnowsPeople.suggest_people``: two calls at most, the second when the first shows too few."""
        parts = _parts(text)
        if not parts or limit < 1:
            return []
        found = await self._similar(parts)
        ranked = most_similar(text, found, limit)
        if len(ranked) < limit:
            found += await self._similar(list(dict.fromkeys(part[:_PREFIX] for part in parts)))
            ranked = most_similar(text, found, limit)
        return ranked

    async def _similar(self, parts: Sequence[str]) -> list[Person]:
        conditions = [
            f"{column}{operator}{part}"
            for part in parts
            for column, operator in (("user_name", "LIKE"), ("name", "LIKE"), ("email", "STARTSWITH"))
        ]
        query = f"{any_of(conditions)}^active=true^ORDERBYname"
        found = await self._client.call(list_call("sys_user", query, _USER, _SIMILAR))
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

        The list is read and written as a whole: a person who is added by hand in between is lost.
        """
        record = await self._tickets.read(ref, (_WATCH_LIST,))
        watching = [one for one in record.column(_WATCH_LIST).split(",") if one]
        if person.id in watching or record.ticket.phase is Phase.CLOSED:
            return False
        await self._tickets.update(ref, {_WATCH_LIST: ",".join((*watching, person.id))})
        return True


def most_similar(text: str, people: Iterable[Person], limit: int) -> list[Person]:
    """Those of the people whose user name, name or e-mail address is most similar to a text. Pure."""
    wanted = text.strip().casefold()[:_COMPARED]
    local = wanted.partition("@")[0]

    def similarity(person: Person) -> float:
        names = (person.user_name, person.name, person.email, person.email.partition("@")[0])
        pairs = [(one, name.casefold()[:_COMPARED]) for one in {wanted, local} for name in names if name]
        return max((SequenceMatcher(None, one, name).ratio() for one, name in pairs), default=0.0)

    rated = {person.id: (similarity(person), person) for person in people}
    close = [
        (-rate, person.name.casefold(), person.id, person) for rate, person in rated.values() if rate >= _SIMILARITY
    ]
    return [person for *_, person in sorted(close, key=lambda entry: entry[:3])[:limit]]


def _parts(text: str) -> list[str]:
    """The words of a name, without the domain of an address. They hold no character that has a meaning in a query."""
    local = text.strip().partition("@")[0]
    words = [word for word in re.findall(r"\w+", local[:_COMPARED].replace("_", " ")) if len(word) > 1]
    return sorted(dict.fromkeys(words), key=len, reverse=True)[:_MAX_PARTS]


def _person(row: Mapping[str, Any]) -> Person:
    return Person(*(value(row, name) or "" for name in ("sys_id", "user_name", "name", "email")))
