"""Tags that were read, in Table storage: one row for each resource, group or subscription. All workers share it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.platform.codec import RowCodec
from shared.platform.concurrency import for_each
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, VersionedTable

TABLE = "tags"

#: Rows that are read or written at the same time.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class KnownTags:
    """What Azure said of one id.

    Attributes:
        id: lower case.
        read_at: when, UTC.
        tags: by name, as Azure spells them.
        exists: whether Resource Graph shows it. False: it does not exist, or the identity may not read it.
        left_out: how many tags there was no room for.
    """

    id: str
    read_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    exists: bool = True
    left_out: int = 0


_CODEC = RowCodec(KnownTags)


class TagStore:
    """Loads and writes. A row is overwritten by whoever read Azure last. Both methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._table = VersionedTable(storage, TABLE, _CODEC)

    async def load(self, ids: Sequence[str]) -> list[KnownTags]:
        """What is known of ids. A row that cannot be read counts as none: Azure is asked, and it is written again."""
        found = await for_each(ids, lambda one: self._table.load_or_forget(_address(one)), limit=_AT_ONCE)
        known = [one.value for one in found if one is not None and one.value is not None]
        return [one for one in known if one.id in ids]

    async def write(self, known: Sequence[KnownTags]) -> None:
        """Remember what Azure said."""
        await for_each(known, lambda one: self._table.merge(_address(one.id), _CODEC.to_row(one)), limit=_AT_ONCE)


def _address(resource_id: str) -> RowAddress:
    row = hashlib.sha256(resource_id.encode()).hexdigest()
    return RowAddress(row[:2], row)
