"""What columns a table has: its own, and those of the tables that it extends.

Source: ServiceNow docs, "sys_dictionary" and "sys_db_object" (tables inherit columns). Administrators may lock both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connectors.servicenow.client import Client
from connectors.servicenow.echo import value
from connectors.servicenow.query import equal, rows
from shared.core.errors import TicketSystemError

_MOST_PARENTS = 8
_MOST_COLUMNS = 1000
_COLUMN = re.compile(r"[A-Za-z0-9_]+")
_READ = ("name", "element", "internal_type", "max_length", "read_only", "reference")


def is_column(name: str) -> bool:
    """Whether a text can be a column's name; anything else would end the condition that asks for it."""
    return _COLUMN.fullmatch(name) is not None


async def lineage(client: Client, table: str) -> list[str]:
    """A table and those it extends, nearest first. Where that cannot be read: task is the parent of all."""
    found = [table]
    try:
        for _ in range(_MOST_PARENTS):
            listed = await client.call(rows("sys_db_object", equal("name", found[-1]), ["name", "super_class.name"], 2))
            parent = next((value(row, "super_class.name") for row in listed if value(row, "name") == found[-1]), None)
            if not parent or parent in found:
                break
            found.append(parent)
    except TicketSystemError:
        pass  # whoever asks for columns next learns what cannot be read
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
    listed = await client.call(rows("sys_dictionary", query, _READ, _MOST_COLUMNS))
    found: dict[str, Mapping[str, Any]] = {}
    for table in reversed(tables):
        found |= {value(row, "element") or "": row for row in listed if value(row, "name") == table}
    return found
