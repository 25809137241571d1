"""Finds the configuration items of affected resources, and creates one where the settings say so.

Sources: ServiceNow docs, "Table API"; "CMDB classes targeted in Service Graph Connector for Microsoft Azure" (releases
Xanadu to Australia): the connector fills ``object_id`` and ``name`` of nearly every class, of virtual machines both on
the instance [cmdb_ci_vm_instance] and on the server that runs in it, ``fqdn`` of databases, functions and load
balancers; Kubernetes clusters have ``name`` and ``fqdn``, and the id in ``cluster_resource_id``, which cmdb_ci lacks.

So an Azure resource id and a name may each fit a virtual machine and its server. ``prefer`` of the settings decides:
the id of a resource means the first, the name of a host the second.

A nested Azure resource (``.../servers/sql-shop/databases/master``) is looked for by its id and by its whole name
(``sql-shop/master``). Its last segment names nothing: the CMDB has many items called ``default``, ``0`` or ``master``.
Without an item of its own, the item of what it is nested in is taken.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

#: Resources of one query, its length in characters before it is encoded, and its rows.
_MANY, _LONGEST_QUERY, _MANY_ROWS = 20, 3500, 250
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
        self._lacks_column = False

    @property
    def lacks_column(self) -> str:
        """The column with the Azure resource id, where answers have shown that items lack it, or that the user may not
        read it; else empty. The instance ignores a condition on it in silence."""
        return self._settings.resource_id_attribute if self._lacks_column else ""

    async def find(self, text: str) -> str | None:
        """The sys_id of the item that an Azure resource id, a host name or a name stands for.

        One query over everything that is compared, and a second one where too many items share the name; the best
        kind of match that any item has wins. None when there is no item, SEVERAL when several are equally good. Raises
        what calls raise.
        """
        return await self._find(text, create=self._settings.create_missing)

    async def find_many(self, texts: Iterable[str]) -> dict[str, str | None]:
        """As :meth:`find` for each of the texts, with one query for many of them. None is created."""
        found: dict[str, str | None] = {}
        for chunk in self._chunks(dict.fromkeys(texts)):
            rows = await self._query([term for wanted in chunk.values() for term in wanted], _MANY_ROWS)
            for text, wanted in chunk.items():
                if len(rows) >= _MANY_ROWS:  # common names crowd the others out
                    found[text] = await self._find(text, create=False)
                else:
                    found[text] = self._best(rows, wanted)
        return found

    async def _find(self, text: str, *, create: bool) -> str | None:
        wanted = self._wanted(text)
        if not wanted:
            return None
        rows = await self._query(wanted, _LIMIT)
        if len(rows) >= _LIMIT:  # a common name, such as "default", crowds the others out: ask for the best alone
            wanted = wanted[:1]
            rows = await self._query(wanted, _LIMIT)
        found = SEVERAL if len(rows) >= _LIMIT else self._best(rows, wanted)
        if found is None and create and is_resource_id(text):
            return await self._create(text)
        return found

    def _wanted(self, text: str) -> list[_Term]:
        return list(dict.fromkeys(term for term in self._search_terms(text.strip()) if searchable(term.text)))

    def _chunks(self, texts: Iterable[str]) -> Iterator[dict[str, list[_Term]]]:
        """What is looked for, in portions for one query each."""
        chunk: dict[str, list[_Term]] = {}
        length = 0
        for text in texts:
            wanted = self._wanted(text)
            size = sum(len(term.column) + len(term.text) + 4 for term in wanted)
            if chunk and (len(chunk) >= _MANY or length + size > _LONGEST_QUERY):
                yield chunk
                chunk, length = {}, 0
            chunk[text] = wanted
            length += size
        if chunk:
            yield chunk

    async def _query(self, wanted: list[_Term], limit: int) -> list[Mapping[str, Any]]:
        """Rows that match any of the terms."""
        conditions = list(dict.fromkeys(equal(term.column, term.text) for term in wanted))
        if not conditions:
            return []
        attribute = self._settings.resource_id_attribute
        more = ("sys_id", "install_status", "sys_class_name", attribute)
        columns = dict.fromkeys((*more, *(term.column for term in wanted)))
        call = list_call(_TABLE, any_of(conditions), list(columns), limit)
        found: list[Mapping[str, Any]] = await self._client.call(call)
        if found:
            self._note_column(attribute, found)
        return found

    def _note_column(self, attribute: str, found: Sequence[Mapping[str, Any]]) -> None:
        lacks = "resource_id" in self._settings.match and all(attribute not in row for row in found)
        if lacks and not self._lacks_column:
            _LOG.warning(
                "%s: configuration items show no column %s: no resource is found by its id. Set "
                "ci.resource_id_attribute to the column that holds it, or let the integration user read it",
                self._client.connection,
                attribute,
            )
        self._lacks_column = lacks

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

    def _best(self, rows: Sequence[Mapping[str, Any]], wanted: Sequence[_Term]) -> str | None:
        """Id of the item that fits best; SEVERAL when several do. Items that no longer exist count only when no other
        fits."""
        for column, term, owner in wanted:
            fit = [
                row
                for row in rows
                if _folded(value(row, column)) == _folded(term)
                and not self._is_another(row, owner)
                and is_sys_id(value(row, "sys_id") or "")
            ]
            if fit:
                present = [row for row in fit if value(row, "install_status") not in _RETIRED]
                ids = self._preferred(present or fit, owner)
                return ids[0] if len(ids) == 1 else SEVERAL
        return None

    def _preferred(self, rows: Sequence[Mapping[str, Any]], owner: str) -> list[str]:
        """Of items that fit equally well: those of the classes that stand for Azure resources, if a resource is looked
        for by its id; the others, if a host is looked for by its name."""
        for name in self._settings.prefer:
            chosen = [row for row in rows if (value(row, "sys_class_name") == name) is is_resource_id(owner)]
            if chosen and len(chosen) < len(rows):
                rows = chosen
        return list(dict.fromkeys(value(row, "sys_id") or "" for row in rows))

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
        if is_sys_id(made):
            return made
        _LOG.warning("%s: the answer to %s does not say which item was made", self._client.connection, call)
        return None


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
