"""The columns of a table: its own, and those of the tables that it extends.

Source: ServiceNow docs, "sys_dictionary" and "sys_db_object" (tables inherit columns). Administrators may lock both.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.wire import equal, list_call, shorten, value
from shared.core.errors import NotAuthorised, Refused, TicketSystemError

_MAX_PARENTS = 8
_MAX_COLUMNS = 1000

#: Seconds for which it is cached that a table has a column. Columns change with an upgrade or a new form.
_COLUMNS_TTL = 600.0

_COLUMN = re.compile(r"[A-Za-z0-9_]+")
_READ = ("name", "element", "internal_type", "max_length", "read_only", "reference")


def is_column(name: str) -> bool:
    """Whether a text can be a column's name; anything else would end the condition that asks for it."""
    return _COLUMN.fullmatch(name) is not None


async def lineage(client: Client, table: str) -> list[str]:
    """A table and those it extends, nearest first. Where that cannot be read: task is the parent of all."""
    found = [table]
    try:
        for _ in range(_MAX_PARENTS):
            listed = await client.call(
                list_call("sys_db_object", equal("name", found[-1]), ["name", "super_class.name"], 2)
            )
            parent = next((value(row, "super_class.name") for row in listed if value(row, "name") == found[-1]), None)
            if not parent or parent in found:
                break
            found.append(parent)
    except TicketSystemError:
        pass  # reading the columns, which comes next, reports what cannot be read
    return found if len(found) > 1 else [table, "task"]


async def columns(client: Client, tables: Sequence[str], names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The dictionary's entries for columns, by name; of the nearest table that has one.

    Args:
        client: makes the call.
        tables: a table and those it extends, nearest first.
        names: of columns.

    Raises what calls raise.
    """
    possible = sorted({name for name in names if is_column(name)})
    if not possible:
        return {}
    query = f"nameIN{','.join(tables)}^elementIN{','.join(possible)}"
    listed = await client.call(list_call("sys_dictionary", query, _READ, _MAX_COLUMNS))
    found: dict[str, Mapping[str, Any]] = {}
    for table in reversed(tables):
        found |= {value(row, "element") or "": row for row in listed if value(row, "name") == table}
    return found


class TableColumns:
    """Tells which columns a table has, and caches that.

    Args:
        client: makes the calls.
        clock: seconds, monotonic.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._cached: dict[tuple[str, str], tuple[float, bool]] = {}

    async def missing(self, table: str, names: Iterable[str]) -> list[str]:
        """Those of the names that are no columns of the table, as given.

        No call for columns that are cached; else one for each table that the table extends, and one or two for the
        columns. Where the dictionary is locked, a record is read instead: a column that is not shown does not exist,
        or the integration user may not see it, and then what is written there could not be checked either.

        Raises what calls raise, and NotAuthorised where it cannot be known.
        """
        wanted = list(dict.fromkeys(names))
        now = self._clock()
        unknown = [name for name in wanted if self._cached.get((table, name), (0.0, False))[0] <= now]
        if unknown:
            found = await self._existing(table, unknown)
            self._cached |= {(table, name): (now + _COLUMNS_TTL, name in found) for name in unknown}
        return [name for name in wanted if not self._cached[table, name][1]]

    async def _existing(self, table: str, names: Sequence[str]) -> frozenset[str]:
        possible = [name for name in names if is_column(name)]
        if not possible:
            return frozenset()
        try:
            tables = await lineage(self._client, table)
            # The key of every record proves that the dictionary shows anything at all.
            found = await columns(self._client, tables, [*possible, "sys_id", "number"])
        except Refused:
            found = {}
        except NotAuthorised as error:
            if error.status != 403:  # the credentials are refused, not this table
                raise
            found = {}
        if found:
            return frozenset(found)
        return await self._in_a_record(table, possible)

    async def _in_a_record(self, table: str, names: Sequence[str]) -> frozenset[str]:
        found = await self._client.call(list_call(table, "ORDERBYDESCsys_created_on", ["sys_id", *names], 1))
        if not found:
            raise NotAuthorised(
                f"whether {table} has {shorten(', '.join(names), 120)} cannot be known: its dictionary is not shown, "
                "and neither is any record",
                connection=self._client.connection,
                advice="Give the integration user the role personalize_dictionary.",
            )
        return frozenset(name for name in names if value(found[0], name) is not None)
