"""What earlier comparisons settled, so that each alert costs one look for its firing and one for its end.

One partition per subscription: a run reads it in pages of 1,000 rows, and writes up to 100 rows in one transaction.
Source: Microsoft Learn, "Scalability and performance targets for Table storage", "Performing entity group
transactions".
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from shared.core.signal import SignalState, rfc3339
from shared.delivery.parked import Operation, submit
from shared.platform.storage import Storage, storage_errors

TABLE = "reconciled"

#: Begins with a character that no alert's row begins with.
_PROGRESS = "~progress"

_BATCH = 100
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


class ReconcileState:
    """Reads and writes. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def load(self, subscription: str) -> tuple[dict[str, ReconciledAlert], ReconcileProgress]:
        """Everything of a subscription: alerts by name, and the progress."""
        from azure.core.exceptions import ResourceNotFoundError

        settled: dict[str, ReconciledAlert] = {}
        progress = ReconcileProgress()
        async with storage_errors("reading what was reconciled"):
            rows = self._storage.table(TABLE).query_entities(
                "PartitionKey eq @partition", parameters={"partition": subscription.lower()}
            )
            try:
                async for row in rows:
                    if row["RowKey"] == _PROGRESS:
                        progress = ReconcileProgress(_moment(row["RanAt"]), _moment(row["Position"]))
                    else:
                        settled[row["Name"]] = _settled(row)
            except ResourceNotFoundError:
                return {}, ReconcileProgress()
        return settled, progress

    async def settle(self, subscription: str, alerts: Iterable[ReconciledAlert]) -> None:
        """Remember alerts."""
        rows = [
            {
                "RowKey": _row(alert.name),
                "Name": alert.name,
                "Condition": alert.condition.value,
                "ChangedAt": rfc3339(alert.changed_at) or "",
                "SeenAt": rfc3339(alert.seen_at) or "",
                "Left": alert.left,
            }
            for alert in alerts
        ]
        await self._write(subscription, "upsert", rows)

    async def forget(self, subscription: str, names: Iterable[str]) -> None:
        """Forget alerts."""
        await self._write(subscription, "delete", [{"RowKey": _row(name)} for name in names])

    async def note(self, subscription: str, progress: ReconcileProgress) -> None:
        """Remember the progress."""
        row = {
            "RowKey": _PROGRESS,
            "RanAt": rfc3339(progress.ran_at) or "",
            "Position": rfc3339(progress.position) or "",
        }
        await self._write(subscription, "upsert", [row])

    async def _write(
        self, subscription: str, operation: Literal["upsert", "delete"], rows: list[dict[str, Any]]
    ) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        table = self._storage.table(TABLE)
        once = list({row["RowKey"]: {"PartitionKey": subscription.lower(), **row} for row in rows}.values())
        for begin in range(0, len(once), _BATCH):
            batch: list[Operation] = [(operation, row) for row in once[begin : begin + _BATCH]]
            async with storage_errors("writing what was reconciled"):
                try:
                    await submit(table, batch)
                except ResourceNotFoundError:
                    if operation == "delete":
                        continue  # somebody forgot one of them before; the others are forgotten in the next run
                    with contextlib.suppress(ResourceExistsError):
                        await table.create_table()
                    await submit(table, batch)


def _row(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()


def _settled(row: Mapping[str, Any]) -> ReconciledAlert:
    return ReconciledAlert(
        name=row["Name"],
        condition=SignalState(row["Condition"]),
        changed_at=datetime.fromisoformat(row["ChangedAt"]),
        seen_at=datetime.fromisoformat(row["SeenAt"]),
        left=bool(row["Left"]),
    )


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
