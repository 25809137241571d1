"""Which of the bridge's own problems are known, and what was said of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from connectors.bridge.payloads.problem import OwnProblem
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, RowOvertaken, VersionedTable, until_written

TABLE = "ownproblems"
_PROBLEM = "problem"
_DAY = "day"


@dataclass(frozen=True, slots=True)
class KnownProblem:
    """A row.

    Attributes:
        problem: as it was seen last.
        seen_at: when it was first seen. fired_at: when its Fired was sent; None while it was not.
        sending: state of a signal that is being sent; empty for none. It is sent again until this is cleared, with the
            same time, so that delivery knows the repetition.
        said_at: the time that the last signal bears.
        said_step: of a credential, the step that the last signal told.
        held: why it is not sent; empty when nothing is in its way.
    """

    problem: OwnProblem
    seen_at: datetime
    fired_at: datetime | None = None
    sending: Literal["", "fired", "updated", "resolved"] = ""
    said_at: datetime | None = None
    said_step: int | None = None
    held: str = ""


@dataclass(frozen=True, slots=True)
class SentToday:
    """How many signals that begin or repeat a problem were sent on a day (``2027-03-01``)."""

    day: str
    count: int = 0


class ProblemStore:
    """Reads and writes what is known. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._table = VersionedTable(storage, TABLE, RowCodec(KnownProblem))
        self._days = VersionedTable(storage, TABLE, RowCodec(SentToday))

    async def all(self) -> dict[str, tuple[KnownProblem, str]]:
        """Each problem with its ETag, by key."""
        condition = "PartitionKey eq @partition"
        rows = self._table.scan(condition, {"partition": _PROBLEM})
        return {found.value.problem.key: (found.value, found.etag) async for _, found in rows}

    async def begin(self, row: KnownProblem) -> str:
        """Write a problem that :meth:`all` did not list; its ETag. A row that cannot be read is replaced.

        Raises RowOvertaken when another worker wrote it.
        """
        stored = await self._table.load_or_forget(_address(row.problem.key))
        if stored is not None and stored.value is not None:
            raise RowOvertaken
        return await self.write(row, None if stored is None else stored.etag)

    async def write(self, row: KnownProblem, etag: str | None) -> str:
        """Write a row; its new ETag. Raises RowOvertaken when another worker wrote it."""
        return await self._table.write(_address(row.problem.key), row, etag)

    async def forget(self, key: str, etag: str) -> None:
        """Delete a row, unless another worker wrote it."""
        try:
            await self._table.delete(_address(key), etag)
        except RowOvertaken:
            return

    async def take(self, day: str, most: int) -> bool:
        """Count one more signal of a day; False when there are ``most`` already."""
        address = RowAddress(_DAY, _DAY)

        async def attempt() -> bool:
            stored = await self._days.load_or_forget(address)
            today = None if stored is None else stored.value
            count = today.count if today is not None and today.day == day else 0
            if count >= most:
                return False
            await self._days.write(address, SentToday(day, count + 1), None if stored is None else stored.etag)
            return True

        return await until_written(attempt, contended="others count the bridge's own signals")


def _address(key: str) -> RowAddress:
    return RowAddress(_PROBLEM, hashlib.sha256(key.encode()).hexdigest())
