"""Damages stored rows, and hears what the log says of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.platform.log import listen
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress

#: In place of a cell: the column is not there.
MISSING = object()


async def damage(storage: Storage, table: str, address: RowAddress, **cells: Any) -> None:
    """Overwrite columns of a row; MISSING takes one away."""
    from azure.data.tables import UpdateMode

    client = storage.table(table)
    row = {**await client.get_entity(*address), **cells}
    await client.update_entity({k: v for k, v in row.items() if v is not MISSING}, mode=UpdateMode.REPLACE)


async def damage_blob(storage: Storage, container: str, name: str, data: bytes) -> None:
    """Overwrite a blob."""
    await storage.container(container).upload_blob(name, data, overwrite=True)


@contextmanager
def heard(event: str = "unreadable_row") -> Iterator[list[dict[str, Any]]]:
    """The fields of every event of a name."""
    found: list[dict[str, Any]] = []
    end = listen(lambda name, fields: found.append(dict(fields)) if name == event else None)
    try:
        yield found
    finally:
        end()
