"""Form templates by name (table ``sys_template``): records of fixed values that a new ticket starts from.

A template's values are an encoded string, ``impact=2^urgency=2^category=software^EQ``. The Table API applies no
template, so the bridge reads the values and writes them with the ticket. A value that begins with ``javascript:`` is a
script for the instance; through the API it would be stored as text, so it is left out and said.

Sources: ServiceNow docs, "Create a template using the Template form" (a template is of one table or global, must be
active, may be of one user or group, and dot-walked fields do not apply), "Scripted templates", "Encoded query strings".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from connectors.servicenow.client import Client
from connectors.servicenow.references import LookupCache
from connectors.servicenow.tables import TicketTable
from connectors.servicenow.wire import SEVERAL, equal, list_call, searchable, shorten, value
from shared.core.errors import NotAuthorised, Refused
from shared.core.ticket_system import LeftOut, Phase, TicketKind, TicketTemplate

TABLE = "sys_template"

#: Seconds for which a template is believed, so that people who change it soon see the effect.
TTL = 300.0

_GLOBAL = "global"
_MOST = 20
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,79}")
_PARTS = re.compile(r"(?:\^\^|[^^])+")

#: What identifies a record is the bridge's or the instance's to set.
_NOT_OURS = re.compile(r"sys_.*|number|correlation_id|correlation_display")


class Templates:
    """Reads templates, and caches them for some minutes.

    Args:
        client: makes the calls.
        tables: by kind of ticket.
    """

    def __init__(self, client: Client, tables: Mapping[TicketKind, TicketTable]) -> None:
        self._client = client
        self._tables = tables
        self._cache = LookupCache(TTL)

    async def find(self, kind: TicketKind, name: str) -> TicketTemplate | LeftOut:
        """The values of the one active template of that name for a kind of ticket, or for all tables; what was looked
        for where there is none, or several.

        Raises NotSent, Throttled, Unavailable, and NotAuthorised when the credentials are not accepted at all.
        """
        table = self._tables[kind]
        refusal = ""
        found: str | None = None
        if searchable(name):
            wait = self._client.within_deadline("reading a template")
            try:
                found = await self._cache.get((table.name, name.casefold()), lambda: self._read(table.name, name), wait)
            except (Refused, NotAuthorised) as error:
                if error.status == 401:
                    raise
                refusal = f"the user may not read {TABLE}: {error.message}"
        if found is None or found == SEVERAL:
            return LeftOut("template", shorten(name), TABLE, several=found == SEVERAL, why=refusal)
        return parse_template(name, found, table)

    async def _read(self, table: str, name: str) -> str | None:
        """The encoded string. A template of the very table goes before a global one."""
        query = f"{equal('name', name)}^active=true^tableIN{table},{_GLOBAL}"
        rows = await self._client.call(list_call(TABLE, query, ["name", "table", "active", "template"], _MOST))
        for wanted in (table, _GLOBAL):
            fit = [
                value(row, "template") or ""
                for row in rows
                if (value(row, "table"), value(row, "active")) == (wanted, "true")
                and (value(row, "name") or "").strip().casefold() == name.strip().casefold()
            ]
            if fit:
                return fit[0] if len(fit) == 1 else SEVERAL
        return None


def parse_template(name: str, encoded: str, table: TicketTable) -> TicketTemplate:
    """The fields of a template's encoded string, and those that cannot be taken from it, with the reason."""
    fields: dict[str, str] = {}
    left_out: list[LeftOut] = []
    for part in _PARTS.findall(encoded):
        column, equals, text = part.replace("^^", "^").partition("=")
        if column == "EQ" and not equals:
            break
        why = _refusal(column, equals, text, table)
        if why:
            left_out.append(LeftOut(shorten(column, 80), "", TABLE, why=f"template '{shorten(name, 80)}' {why}"))
        elif text:
            fields[column] = text
    return TicketTemplate(fields, tuple(left_out))


def _refusal(column: str, equals: str, text: str, table: TicketTable) -> str:
    """Why a part of a template is not taken; empty where it is."""
    if not equals or not _COLUMN.fullmatch(column):
        return "has a part that is no field with a value"
    if text.strip().lower().startswith("javascript:"):
        return "sets it by a script, which only ServiceNow can run; set it in the route"
    if _NOT_OURS.fullmatch(column):
        return "sets it, and every ticket has its own"
    if column == "state" and table.phase(table.value(text), "") is not Phase.OPEN:
        return f"sets a state that ends the ticket ({table.state_label(table.value(text))})"
    return ""
