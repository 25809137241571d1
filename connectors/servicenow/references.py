"""Names in reference fields become sys_ids. A name that cannot be resolved costs the field, never the ticket."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.cmdb import Cmdb
from connectors.servicenow.echo import is_sys_id, value
from connectors.servicenow.memory import Memory
from connectors.servicenow.query import any_of, equal, rows, searchable
from connectors.servicenow.settings import Reference, ServiceNowSettings
from connectors.servicenow.tables import CI_FIELD, REFERENCES, WITH_ACTIVE
from connectors.servicenow.wire import shorten
from shared.core.errors import NotAuthorised, Refused

_LOG = logging.getLogger(__name__)

#: With one column, two rows show that a name is not unique. With several, rows that fit a worse column come too.
_LIMIT_ONE, _LIMIT_SEVERAL = 2, 10


class References:
    """Resolves the values of reference fields."""

    def __init__(self, client: Client, settings: ServiceNowSettings) -> None:
        self._client = client
        self._fields: Mapping[str, Reference] = {**REFERENCES, **settings.references}
        self._memory = Memory(settings.reference_ttl.total_seconds())
        self._cmdb = None if CI_FIELD in settings.references else Cmdb(client, settings.ci)

    def knows(self, field: str) -> bool:
        """Whether values of this field are resolved."""
        return field in self._fields or (field == CI_FIELD and self._cmdb is not None)

    def place(self, field: str) -> str:
        """The table that a known field refers to."""
        return self._fields[field].table if field in self._fields else "cmdb_ci"

    async def resolve(self, field: str, text: str, *, tried: bool = False) -> str | None:
        """The sys_id that ``text`` stands for in ``field``; None when there is none, or several fit equally well.

        An id and an empty text, which clears the field, are taken as they are. ``tried``: it is only looked whether
        there is one, and nothing is left out of a ticket when there is none.

        Raises NotSent, Throttled, Unavailable, and NotAuthorised when the credentials are not accepted at all.
        """
        text = text.strip()
        if not text or is_sys_id(text):
            return text
        found = None
        if searchable(text):
            key = (self.place(field), self._columns(field), text.casefold())
            wait = self._client.in_time(f"looking up {field}")
            found = await self._memory.get(key, lambda: self._look_up(field, text), wait)
        if found is None and not tried:
            _LOG.warning(
                "%s: %s is left out: no single match for %r in %s",
                self._client.connection,
                field,
                shorten(text, 120),
                self.place(field),
            )
        return found

    def _columns(self, field: str) -> tuple[str, ...]:
        return tuple(self._fields[field].by) if field in self._fields else ()

    async def _look_up(self, field: str, text: str) -> str | None:
        try:
            if field not in self._fields and self._cmdb is not None:
                return await self._cmdb.find(text)
            return await self._find(self._fields[field], text)
        except Refused as error:
            reason: Exception = error
        except NotAuthorised as error:
            if error.status != 403:  # not this table but the credentials: the ticket would fare no better
                raise
            reason = error
        _LOG.warning("%s: %s cannot be looked up: %s", self._client.connection, field, reason)
        return None

    async def _find(self, reference: Reference, text: str) -> str | None:
        query = any_of([equal(column, text) for column in reference.by])
        if reference.table in WITH_ACTIVE:
            query += "^active=true"
        limit = _LIMIT_ONE if len(reference.by) == 1 else _LIMIT_SEVERAL
        found = await self._client.call(rows(reference.table, query, ["sys_id", *reference.by], limit))
        return best(found, [(column, text) for column in reference.by], limit)


def best(found: Sequence[Mapping[str, Any]], wanted: Sequence[tuple[str, str]], limit: int) -> str | None:
    """The id of the one row that fits best: by the first pair of column and text that any row fits.

    None when no row fits, when several fit equally well, and when the page is full, so that others may fit as well.
    Rows are compared here once more, because an instance drops a condition that it does not understand.
    """
    if len(found) >= limit:
        return None
    for column, text in wanted:
        ids = [
            value(row, "sys_id")
            for row in found
            if (value(row, column) or "").strip().casefold() == text.strip().casefold()
        ]
        if ids:
            return ids[0] if len(ids) == 1 and is_sys_id(ids[0] or "") else None
    return None
