"""The last run of each job that a person asked the app for: a row that tells how far it has come.

A request writes the row and puts its name on a queue; a function of its own takes it from there, so that the answer
does not have to wait: HTTP functions of Azure must answer within 230 seconds. Source: Microsoft Learn, "Azure Functions
scale and hosting" (function app timeout duration).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from shared.core.jobs import JobPart
from shared.core.messages import JOB_QUEUE
from shared.core.signal import read_json_text
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage, create_on_first_use, storage_errors
from shared.platform.tables import RowAddress, VersionedTable

TABLE = "jobruns"

#: Parts stored by name: a column holds 32,768 characters. Source: "Understanding the Table service data model".
MOST_PARTS = 60

_LONGEST_REASON = 200

JobState = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class JobRunRow:
    """A run that was asked for.

    Attributes:
        job: its name.
        id: of the run, 32 hex digits.
        state: ``failed`` also where another run was under way, or the process ended in the midst.
        dry_run: nothing is written.
        asked_at, started_at, ended_at: UTC.
        parts, samples: see ``JobRun``.
        code, reason: why it failed; empty when it did not.
    """

    job: str
    id: str
    state: JobState
    dry_run: bool
    asked_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    parts: tuple[JobPart, ...] = ()
    samples: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""


def storable(parts: Sequence[JobPart]) -> tuple[JobPart, ...]:
    """The parts as they fit a row: long reasons are cut, and what is too many is counted together."""
    shown = [replace(one, reason=one.reason[:_LONGEST_REASON]) for one in parts[:MOST_PARTS]]
    others = parts[MOST_PARTS:]
    if others:
        counts: dict[str, int] = {}
        for one in others:
            for name, count in one.counts.items():
                counts[name] = counts.get(name, 0) + count
        finished = all(one.finished for one in others)
        shown.append(JobPart(f"{len(others)} others", counts, finished))
    return tuple(shown)


class JobRuns:
    """Reads and writes runs. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._table = VersionedTable(storage, TABLE, RowCodec(JobRunRow))

    async def ask(self, row: JobRunRow) -> None:
        """Remember a run and put it on the queue. It takes the place of the one before, which is not begun any more."""
        await self._table.merge(_address(row.job), RowCodec(JobRunRow).to_row(row))
        text = json.dumps({"job": row.job, "run": row.id})
        async with storage_errors("queueing a job"):
            queue = self._storage.queue(JOB_QUEUE)
            await create_on_first_use(lambda: queue.send_message(text, time_to_live=-1), queue.create_queue)

    async def last(self, job: str) -> JobRunRow | None:
        """The last run of a job, None when there was none, or its row cannot be read: the next one replaces it."""
        stored = await self._table.load_or_forget(_address(job))
        return None if stored is None else stored.value

    async def note(self, row: JobRunRow) -> None:
        """Write how far a run has come, unless another one was asked for meanwhile."""

        def change(now: JobRunRow | None) -> JobRunRow | None:
            return row if now is not None and now.id == row.id else None

        await self._table.update(_address(row.job), change, contended=f"the run of {row.job} is written by others")


def asked_run(text: str | bytes) -> tuple[str, str]:
    """Job and run of a message of the queue; empty texts for what is no such message."""
    try:
        found = read_json_text(text)
        return str(found["job"]), str(found["run"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", ""


def _address(job: str) -> RowAddress:
    return RowAddress("run", job)
