"""Finds the configuration item of an affected resource, and creates it where the settings say so.

Sources: ServiceNow docs, "Table API" and the dictionary of cmdb_ci (name, fqdn, object_id, install_status).
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.refusals import DuplicateKey
from connectors.servicenow.settings import ConfigurationItems
from connectors.servicenow.tables import clean
from connectors.servicenow.wire import Purpose, WireCall, any_of, equal, is_sys_id, list_call, searchable, value
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


class ConfigurationItemFinder:
    """Configuration items of one instance."""

    def __init__(self, client: Client, settings: ConfigurationItems) -> None:
        self._client = client
        self._settings = settings

    async def find(self, text: str) -> str | None:
        """The sys_id of the item that an Azure resource id, a host name or a name stands for.

        One query over everything that is compared, and a second one where too many items share the name; the best
        kind of match that any item has wins. None when there is no item, or several are equally good. Raises what
        calls raise.
        """
        wanted = list(dict.fromkeys(pair for pair in self._search_terms(text) if searchable(pair[1])))
        if not wanted:
            return None
        found = await self._query(wanted)
        if len(found) >= _LIMIT:  # a common name, such as "default", crowds the others out: ask for the best alone
            wanted = wanted[:1]
            found = await self._query(wanted)
        matches = _matches([row for row in found if not self._is_another(row, text)], wanted)
        if len(matches) > 1 or len(found) >= _LIMIT:
            _LOG.warning("%s: several configuration items fit %r", self._client.connection, text[:200])
            return None
        if matches:
            return matches[0]
        if self._settings.create_missing and is_resource_id(text):
            return await self._create(text)
        return None

    async def _query(self, wanted: list[tuple[str, str]]) -> list[Mapping[str, Any]]:
        """Rows that match any of the pairs of column and value."""
        query = any_of([equal(column, term) for column, term in wanted])
        attribute = self._settings.resource_id_attribute
        columns = dict.fromkeys(("sys_id", "install_status", attribute, *(column for column, _ in wanted)))
        found: list[Mapping[str, Any]] = await self._client.call(list_call(_TABLE, query, list(columns), _LIMIT))
        return found

    def _search_terms(self, text: str) -> Iterator[tuple[str, str]]:
        """Pairs of column and value, best first."""
        text = text.strip()
        resource = is_resource_id(text)
        for kind in self._settings.match:
            if kind == "resource_id":
                yield self._settings.resource_id_attribute, text.rstrip("/")
            elif kind == "fqdn":
                if _FQDN.fullmatch(text):
                    yield "fqdn", text
            elif resource:
                yield "name", text.rstrip("/").rsplit("/", 1)[-1]
            else:
                yield "name", text
                if _FQDN.fullmatch(text):
                    yield "name", text.split(".", 1)[0]

    def _is_another(self, row: Mapping[str, Any], text: str) -> bool:
        """Whether a row is known to be another Azure resource, one that only has the same name."""
        known = value(row, self._settings.resource_id_attribute) or ""
        return is_resource_id(known) and is_resource_id(text) and _folded(known) != _folded(text)

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
                "name": resource_id.rsplit("/", 1)[-1],
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


def _matches(found: list[Mapping[str, Any]], wanted: list[tuple[str, str]]) -> list[str]:
    """Ids of the items that fit best. Items that no longer exist count only when no other fits."""
    best: list[tuple[bool, str]] = []
    for column, term in wanted:
        for row in found:
            if _folded(value(row, column)) != _folded(term):
                continue
            sys_id = value(row, "sys_id") or ""
            if is_sys_id(sys_id):
                best.append((value(row, "install_status") in _RETIRED, sys_id))
        if best:
            present = [sys_id for retired, sys_id in best if not retired]
            return present or [sys_id for _, sys_id in best]
    return []


def _folded(text: str | None) -> str:
    return (text or "").strip().rstrip("/").casefold()
