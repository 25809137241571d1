"""Finds the configuration item of an affected resource, and creates it where the settings say so.

Sources: ServiceNow docs, "Table API" and the dictionary of cmdb_ci (name, fqdn, object_id, install_status).

A nested Azure resource (``.../servers/sql-shop/databases/master``) is looked for by its id and by its whole name
(``sql-shop/master``). Its last segment names nothing: the CMDB has many items called ``default``, ``0`` or ``master``.
Without an item of its own, the item of what it is nested in is taken.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from connectors.servicenow.client import Client
from connectors.servicenow.refusals import DuplicateKey
from connectors.servicenow.settings import ConfigurationItems
from connectors.servicenow.tables import clean
from connectors.servicenow.wire import (
    SEVERAL,
    Purpose,
    WireCall,
    any_of,
    equal,
    is_sys_id,
    list_call,
    searchable,
    value,
)
from shared.core.errors import OutcomeUnknown
from shared.core.link import DISPLAY

_LOG = logging.getLogger(__name__)

_LIMIT = 50
_TABLE = "cmdb_ci"
_FQDN = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})+")

#: install_status of items that no longer exist: retired, absent.
_RETIRED = frozenset({"7", "100"})

#: Namespace of the ids that new items get.
_NAMESPACE = uuid.UUID("7d2a6f0e-3c5b-4d0a-9b0e-52f1c8a4e6d3")


class _Term(NamedTuple):
    """One comparison: ``column`` with ``text``. ``owner`` is the Azure resource that it stands for, or the name."""

    column: str
    text: str
    owner: str


class ConfigurationItemFinder:
    """Configuration items of one instance."""

    def __init__(self, client: Client, settings: ConfigurationItems) -> None:
        self._client = client
        self._settings = settings

    async def find(self, text: str) -> str | None:
        """The sys_id of the item that an Azure resource id, a host name or a name stands for.

        One query over everything that is compared, and a second one where too many items share the name; the best
        kind of match that any item has wins. None when there is no item, SEVERAL when several are equally good. Raises
        what calls raise.
        """
        wanted = list(dict.fromkeys(term for term in self._search_terms(text.strip()) if searchable(term.text)))
        if not wanted:
            return None
        found = await self._query(wanted)
        if len(found) >= _LIMIT:  # a common name, such as "default", crowds the others out: ask for the best alone
            wanted = wanted[:1]
            found = await self._query(wanted)
        matches = self._matches(found, wanted)
        if len(matches) > 1 or len(found) >= _LIMIT:
            _LOG.warning("%s: several configuration items fit %r", self._client.connection, text[:200])
            return SEVERAL
        if matches:
            return matches[0]
        if self._settings.create_missing and is_resource_id(text):
            return await self._create(text)
        return None

    async def _query(self, wanted: list[_Term]) -> list[Mapping[str, Any]]:
        """Rows that match any of the terms."""
        query = any_of(list(dict.fromkeys(equal(term.column, term.text) for term in wanted)))
        attribute = self._settings.resource_id_attribute
        columns = dict.fromkeys(("sys_id", "install_status", attribute, *(term.column for term in wanted)))
        found: list[Mapping[str, Any]] = await self._client.call(list_call(_TABLE, query, list(columns), _LIMIT))
        return found

    def _search_terms(self, text: str) -> Iterator[_Term]:
        """What is compared, best first: the resource itself before what it is nested in."""
        if not is_resource_id(text):
            for kind in self._settings.match:
                if kind == "resource_id":
                    yield _Term(self._settings.resource_id_attribute, text.rstrip("/"), text)
                elif kind == "name":
                    yield _Term("name", text, text)
                if kind != "resource_id" and _FQDN.fullmatch(text):
                    yield _Term(*(("fqdn", text) if kind == "fqdn" else ("name", text.split(".", 1)[0])), text)
            return
        own, *parents = _levels(text)
        # an item that is missing is created rather than replaced by that of its parent
        for level in (own,) if self._settings.create_missing else (own, *parents):
            for kind in self._settings.match:
                if kind == "resource_id":
                    yield _Term(self._settings.resource_id_attribute, level, level)
                elif kind == "name":
                    yield _Term("name", _name_of(level), level)

    def _matches(self, found: list[Mapping[str, Any]], wanted: list[_Term]) -> list[str]:
        """Ids of the items that fit best. Items that no longer exist count only when no other fits."""
        for column, term, owner in wanted:
            best: list[tuple[bool, str]] = []
            for row in found:
                if _folded(value(row, column)) != _folded(term) or self._is_another(row, owner):
                    continue
                sys_id = value(row, "sys_id") or ""
                if is_sys_id(sys_id):
                    best.append((value(row, "install_status") in _RETIRED, sys_id))
            if best:
                present = [sys_id for retired, sys_id in best if not retired]
                return present or [sys_id for _, sys_id in best]
        return []

    def _is_another(self, row: Mapping[str, Any], owner: str) -> bool:
        """Whether a row is known to be another Azure resource, one that only has the same name."""
        known = value(row, self._settings.resource_id_attribute) or ""
        return is_resource_id(known) and is_resource_id(owner) and _folded(known) != _folded(owner)

    async def _create(self, resource_id: str) -> str | None:
        """Create an item. Its id follows from the resource id, so that doing it twice makes one."""
        resource_id = clean(resource_id.strip().rstrip("/"))
        sys_id = uuid.uuid5(_NAMESPACE, resource_id.lower()).hex
        call = WireCall(
            "POST",
            f"/api/now/table/{self._settings.new_class}",
            Purpose.CREATE,
            {"sysparm_fields": "sys_id,name", "sysparm_exclude_reference_link": "true"},
            {
                "sys_id": sys_id,
                "name": _name_of(resource_id),
                self._settings.resource_id_attribute: resource_id,
                "short_description": "Created by Azure ITSM Bridge for an alert",
                "install_status": "1",
                "discovery_source": DISPLAY,
            },
        )
        try:
            made = value(await self._client.call(call), "sys_id") or ""
        except DuplicateKey:
            return sys_id
        except OutcomeUnknown as error:
            # The ticket is created without it: the next ticket finds the item, if it was created.
            _LOG.warning("%s: a configuration item may not have been created: %s", self._client.connection, error)
            return None
        return made if is_sys_id(made) else None


def is_resource_id(text: str) -> bool:
    """Whether a text is an Azure resource id (``/subscriptions/...`` or another path with a provider)."""
    lower = text.strip().lower()
    return lower.startswith(("/subscriptions/", "/providers/")) or "/providers/" in lower


def _levels(resource_id: str) -> list[str]:
    """A resource id and the ids of what it is nested in, or extends, outwards up to the resource of its group."""
    segments = resource_id.rstrip("/").split("/")
    lower = resource_id.rstrip("/").lower().split("/")
    found = [resource_id.rstrip("/")]
    while "providers" in lower:
        namespace = len(lower) - lower[::-1].index("providers")
        after = len(lower) - namespace  # the provider's namespace, then pairs of type and name
        shorter = len(lower) - 2 if after > 3 and after % 2 else namespace - 1
        segments, lower = segments[:shorter], lower[:shorter]
        if "providers" in lower:
            found.append("/".join(segments))
    return found


def _name_of(resource_id: str) -> str:
    """Name of a resource with the names of what it is nested in: ``sql-shop/master``."""
    return "/".join(level.rsplit("/", 1)[-1] for level in reversed(_levels(resource_id)))


def _folded(text: str | None) -> str:
    return (text or "").strip().rstrip("/").casefold()
