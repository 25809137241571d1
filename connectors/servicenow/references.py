"""Replaces names in reference fields by sys_ids, and caches what was found.

A field whose name cannot be resolved is left out; the ticket is written without it.

Templates of standard changes are records of ``std_change_record_producer``, each with a current version in
``std_change_producer_version``. A change refers to the version, whose name is not the template's. The Change Management
API makes a change from the template: its path takes the sys_id of the record producer.

Source: ServiceNow docs, "Change Management API" (POST /change/standard/{standard_change_template_id}), "Standard change
catalog".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.cmdb import ConfigurationItemFinder
from connectors.servicenow.settings import Reference, ServiceNowSettings
from connectors.servicenow.tables import CI_FIELD, REFERENCES, TEMPLATE_FIELD, TEMPLATES, WITH_ACTIVE
from connectors.servicenow.wire import SEVERAL, any_of, equal, is_sys_id, list_call, searchable, shorten, value
from shared.core.errors import NotAuthorised, Refused
from shared.core.ticket_system import LeftOut

_LOG = logging.getLogger(__name__)

#: With one column, two rows show that a name is not unique. With several, rows that fit a worse column come too.
_LIMIT_ONE, _LIMIT_SEVERAL = 2, 10

#: Results that are kept at most. A company has fewer groups that tickets go to, but resources come and go.
MAX_ENTRIES = 4096

#: Seconds for which "not found" is believed at most, so that a name that is put right soon works.
NEGATIVE_TTL = 600.0


class References:
    """Resolves the values of reference fields."""

    def __init__(self, client: Client, settings: ServiceNowSettings) -> None:
        self._client = client
        self._fields: Mapping[str, Reference] = {**REFERENCES, **settings.references}
        self._cache = LookupCache(settings.reference_ttl.total_seconds())
        self._cmdb = None if CI_FIELD in settings.references else ConfigurationItemFinder(client, settings.ci)
        self._templates = TEMPLATE_FIELD not in settings.references
        self._by_producer = settings.change.api == "change_management"

    def is_reference(self, field: str) -> bool:
        """Whether the values of this field are resolved."""
        if field == TEMPLATE_FIELD and self._templates:
            return True
        return field in self._fields or (field == CI_FIELD and self._cmdb is not None)

    def table_of(self, field: str) -> str:
        """The table that a reference field refers to."""
        if field == TEMPLATE_FIELD and self._templates:
            return TEMPLATES
        return self._fields[field].table if field in self._fields else "cmdb_ci"

    async def resolve(self, field: str, text: str) -> str | None:
        """As :meth:`find`; None when there is no single match."""
        found = await self.find(field, text)
        return None if isinstance(found, LeftOut) else found

    async def find(self, field: str, text: str) -> str | LeftOut:
        """The sys_id that ``text`` stands for in ``field``; what was looked for when none or several fit equally well.

        An id and an empty text, which clears the field, are taken as they are. A template of standard changes stands
        for its record producer where changes are made by the Change Management API, else for its current version.

        Raises NotSent, Throttled, Unavailable, and NotAuthorised when the credentials are not accepted at all.
        """
        text = text.strip()
        template = field == TEMPLATE_FIELD and self._templates
        if not text or (is_sys_id(text) and not template):
            return text
        found = None
        if searchable(text):
            wait = self._client.within_deadline(f"looking up {field}")
            found = await self._cache.get(self._key(field, text), lambda: self._look_up(field, text), wait)
        if found is not None and found != SEVERAL:
            return found
        if is_sys_id(text):  # the template may be hidden from the user, and work all the same
            return text
        return LeftOut(field, shorten(text), self.table_of(field), found == SEVERAL, self._why(field))

    async def find_items(self, texts: Iterable[str]) -> dict[str, str | None]:
        """The sys_ids of the configuration items that resources stand for; None where there is none, SEVERAL where
        several fit equally well. What is not cached costs one call for about twenty of them. Raises as :meth:`find`,
        and what the instance refuses.
        """
        wanted = [text.strip() for text in dict.fromkeys(texts) if text.strip()]
        found: dict[str, str | None] = {text: text for text in wanted if is_sys_id(text)}
        unknown = []
        for text in (text for text in wanted if text not in found and searchable(text)):
            cached = self._cache.known(self._key(CI_FIELD, text))
            if cached is None:
                unknown.append(text)
            else:
                found[text] = cached[0]
        if self._cmdb is None:
            found |= {text: await self._look_up(CI_FIELD, text) for text in unknown}
            return found
        for text, item in (await self._cmdb.find_many(unknown)).items():
            found[text] = item
            if item is not None:  # the ticket's own item may be created where there is none
                self._cache.store(self._key(CI_FIELD, text), item)
        return found

    def _key(self, field: str, text: str) -> Hashable:
        return (self.table_of(field), self._columns(field), text.casefold())

    def _why(self, field: str) -> str:
        """What is known of the reason why a look-up finds nothing."""
        lacks = self._cmdb.lacks_column if field == CI_FIELD and self._cmdb is not None else ""
        return f"its items show no column {lacks}, see ci.resource_id_attribute" if lacks else ""

    def _columns(self, field: str) -> tuple[str, ...]:
        return tuple(self._fields[field].by) if field in self._fields else ()

    async def _look_up(self, field: str, text: str) -> str | None:
        try:
            if field == TEMPLATE_FIELD and self._templates:
                return await self._find_template(text)
            if field not in self._fields and self._cmdb is not None:
                return await self._cmdb.find(text)
            return await self._find(self._fields[field], text)
        except Refused as error:
            reason: Exception = error
        except NotAuthorised as error:
            if error.status != 403:  # the credentials are refused, not this table: the ticket would be refused too
                raise
            reason = error
        _LOG.warning("%s: %s cannot be looked up: %s", self._client.connection, field, reason)
        return None

    async def _find_template(self, text: str) -> str | None:
        """The record producer, or its current version; the version itself where ``text`` is the id of one."""
        columns = ("sys_id", "current_version") if is_sys_id(text) else ("name",)
        pairs = [(column, text) for column in columns]
        query = f"{any_of([equal(column, text) for column in columns])}^active=true"
        call = list_call(TEMPLATES, query, ["sys_id", "name", "current_version"], _LIMIT_SEVERAL)
        found = await self._client.call(call)
        producer = best_or_several(found, pairs, _LIMIT_SEVERAL)
        if self._by_producer or producer == SEVERAL:
            return producer
        version = next((value(row, "current_version") for row in found if value(row, "sys_id") == producer), None)
        return version if is_sys_id(version or "") else None

    async def _find(self, reference: Reference, text: str) -> str | None:
        query = any_of([equal(column, text) for column in reference.by])
        if reference.table in WITH_ACTIVE:
            query += "^active=true"
        limit = _LIMIT_ONE if len(reference.by) == 1 else _LIMIT_SEVERAL
        found = await self._client.call(list_call(reference.table, query, ["sys_id", *reference.by], limit))
        return best_or_several(found, [(column, text) for column in reference.by], limit)


def best_match(found: Sequence[Mapping[str, Any]], wanted: Sequence[tuple[str, str]], limit: int) -> str | None:
    """The id of the one row that fits best: by the first pair of column and text that any row fits.

    None when no row fits, when several fit equally well, and when the page is full, so that others may fit as well.
    Rows are compared here once more, because an instance drops a condition that it does not understand.
    """
    best = best_or_several(found, wanted, limit)
    return None if best == SEVERAL else best


def best_or_several(found: Sequence[Mapping[str, Any]], wanted: Sequence[tuple[str, str]], limit: int) -> str | None:
    """As :func:`best_match`; SEVERAL when several rows fit equally well, or others may fit as well."""
    if len(found) >= limit:
        return SEVERAL
    for column, text in wanted:
        ids = [
            value(row, "sys_id")
            for row in found
            if (value(row, column) or "").strip().casefold() == text.strip().casefold()
        ]
        if ids:
            if len(ids) > 1:
                return SEVERAL
            return ids[0] if is_sys_id(ids[0] or "") else None
    return None


class LookupCache:
    """Results of look-ups, for a limited time and in limited number, with one look-up at a time per name.

    Args:
        ttl: seconds for which a found name is believed. 0: nothing is cached.
        clock: seconds, monotonic.
    """

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[Hashable, tuple[float, str | None]] = OrderedDict()
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    async def get(
        self,
        key: Hashable,
        look_up: Callable[[], Awaitable[str | None]],
        wait: AbstractAsyncContextManager[None],
    ) -> str | None:
        """The result for ``key``, looked up when it is not known.

        Args:
            key: the name and where it is looked for.
            look_up: finds it; None when there is nothing.
            wait: limits the time to wait for another task that is looking it up already.

        Raises what ``look_up`` and ``wait`` raise; a failed look-up is not cached.
        """
        found = self.known(key)
        if found is not None:
            return found[0]
        lock, waiting = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, waiting + 1)
        try:
            async with wait:
                await lock.acquire()
            try:
                found = self.known(key)
                if found is None:
                    found = (await look_up(),)
                    self.store(key, found[0])
                return found[0]
            finally:
                lock.release()
        finally:
            lock, waiting = self._locks.pop(key)
            if waiting > 1:
                self._locks[key] = (lock, waiting - 1)

    def known(self, key: Hashable) -> tuple[str | None] | None:
        """The cached result for a key; None when nothing is known."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        until, value = entry
        if self._clock() >= until:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return (value,)

    def store(self, key: Hashable, value: str | None) -> None:
        """Cache the result for a key."""
        ttl = self._ttl if value not in (None, SEVERAL) else min(self._ttl, NEGATIVE_TTL)
        if ttl <= 0:
            return
        self._entries[key] = (self._clock() + ttl, value)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)
