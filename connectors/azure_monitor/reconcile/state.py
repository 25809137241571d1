"""What earlier comparisons settled, so that each alert costs one look for its firing and one for its end.

One partition per subscription: a run reads it in pages of 1,000 rows, and writes up to 100 rows in one transaction.
Source: Microsoft Learn, "Scalability and performance targets for Table storage", "Performing entity group
transactions".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.core.signal import SignalState
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage
from shared.platform.tables import MOST_OPERATIONS, RowAddress, VersionedTable

TABLE = "reconciled"

#: Begins with a character that no alert's row begins with.
_PROGRESS = "~progress"

_PLAIN = re.compile(r"[0-9a-z-]{1,200}")


@dataclass(frozen=True, slots=True)
class ReconciledAlert:
    """An alert whose present condition needs nothing more.

    Attributes:
        name: last segment of the alert's id, lower case.
        condition: fired or resolved.
        changed_at: since when.
        seen_at: when it was compared last.
        left: the bridge has nothing to do with it.
    """

    name: str
    condition: SignalState
    changed_at: datetime
    seen_at: datetime
    left: bool = False


@dataclass(frozen=True, slots=True)
class ReconcileProgress:
    """How far the comparison of a subscription has come.

    ``ran_at``: when it was last brought to an end, None for never. ``position``: where it was broken off, None when it
    was not.
    """

    ran_at: datetime | None = None
    position: datetime | None = None


_ALERT = RowCodec(ReconciledAlert)
_PROGRESS_CODEC = RowCodec(ReconcileProgress)


class _Codec:
    """Rows of a subscription: its alerts, and its progress in a row of its own."""

    def to_row(self, value: ReconciledAlert | ReconcileProgress) -> dict[str, Any]:
        return _ALERT.to_row(value) if isinstance(value, ReconciledAlert) else _PROGRESS_CODEC.to_row(value)

    def from_row(self, row: Mapping[str, Any]) -> ReconciledAlert | ReconcileProgress:
        return _PROGRESS_CODEC.from_row(row) if row["RowKey"] == _PROGRESS else _ALERT.from_row(row)


class ReconcileState:
    """Reads and writes. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._table = VersionedTable(storage, TABLE, _Codec())

    async def load(self, subscription: str) -> tuple[dict[str, ReconciledAlert], ReconcileProgress]:
        """Everything of a subscription that can be read: alerts by name, and the progress."""
        settled: dict[str, ReconciledAlert] = {}
        progress = ReconcileProgress()
        partition = {"partition": subscription.lower()}
        async for found in self._table.query("PartitionKey eq @partition", partition):
            if isinstance(found, ReconcileProgress):
                progress = found
            else:
                settled[found.name] = found
        return settled, progress

    async def settle(self, subscription: str, alerts: Iterable[ReconciledAlert]) -> None:
        """Remember alerts."""
        rows = {_row(alert.name): _ALERT.to_row(alert) for alert in alerts}
        for batch in _batches(subscription, rows):
            await self._table.submit([("upsert", row) for row in batch])

    async def forget(self, subscription: str, names: Iterable[str]) -> None:
        """Forget alerts."""
        rows: dict[str, dict[str, Any]] = {_row(name): {} for name in names}
        for batch in _batches(subscription, rows):
            # When somebody forgot one of them before, none is deleted; they are forgotten in the next run.
            await self._table.submit_if_there([("delete", row) for row in batch])

    async def note(self, subscription: str, progress: ReconcileProgress) -> None:
        """Remember the progress."""
        await self._table.merge(RowAddress(subscription.lower(), _PROGRESS), _PROGRESS_CODEC.to_row(progress))


def _batches(subscription: str, rows: Mapping[str, dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows by row key, as whole rows and as many at once as one transaction takes."""
    whole = [{**RowAddress(subscription.lower(), key).columns(), **row} for key, row in rows.items()]
    for begin in range(0, len(whole), MOST_OPERATIONS):
        yield whole[begin : begin + MOST_OPERATIONS]


def _row(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()
