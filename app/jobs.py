"""Runs jobs: the work of timers, each in one place at a time whoever starts it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from app.machine import machine_of
from shared.core.errors import BridgeError, JobInterrupted, JobRunning, KeyContended, StorageUnavailable
from shared.core.jobs import JobRun
from shared.core.times import rfc3339
from shared.platform.log import record

if TYPE_CHECKING:
    from app.container import Container
    from shared.core.plugins import Job
    from shared.operations.job_lease import JobLease
    from shared.operations.job_runs import JobRunRow

#: A job in the app ends before the host would end its process: see functionTimeout in host.json.
MOST_TIME = timedelta(minutes=9, seconds=30)

#: Seconds between two notes of how far a run has come.
NOTED_EVERY = 2.0


class JobRunner:
    """Runs a job under its lease."""

    def __init__(self, services: Container) -> None:
        from shared.operations.job_runs import JobRuns

        self._services = services
        self._runs = JobRuns(services.storage)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job that there is."""
        from app.timers import all_jobs

        return all_jobs(self._services.registry)

    async def run(self, name: str, run: JobRun | None = None, *, by: str, for_at_most: timedelta = MOST_TIME) -> object:
        """Run a job and return what it returns.

        Args:
            name: of the job.
            run: what is asked for, and filled by the job; the run of a timer when None.
            by: who starts it, for people: ``timer``, ``bridge.py``.
            for_at_most: it is stopped when it takes longer.

        Raises:
            JobRunning: somebody else runs it.
            JobInterrupted: it took too long, or its lease was lost.
            BridgeError: what its work raises.
        """
        async with self._leased(name, by, for_at_most):
            return await self._services.jobs[name](run or JobRun())

    async def run_timer(self, name: str, *, by: str = "timer", for_at_most: timedelta = MOST_TIME) -> bool:
        """Run a job because its time has come; False, and that is logged, when somebody else runs it.

        Raises as :meth:`run`.
        """
        try:
            await self.run(name, by=by, for_at_most=for_at_most)
        except JobRunning as running:
            record("job_skipped", job=name, holder=running.holder, since=rfc3339(running.since))
            return False
        return True

    # What a person asks the app for.

    async def holder(self, name: str) -> JobLease | None:
        """Who runs a job now, None when nobody does. Raises StorageUnavailable."""
        return await self._services.job_leases.holder_of(name)

    async def last(self, name: str) -> JobRunRow | None:
        """The last run of a job that was asked for. One that ended with its process has failed.

        Raises StorageUnavailable.
        """
        found = await self._runs.last(name)
        if found is not None and found.state == "running" and await self.holder(name) is None:
            found = await self._runs.last(name)  # it may have ended just now
            if found is not None and found.state == "running":
                reason = "the app's process ended in the midst of it; the next run goes on"
                return replace(found, state="failed", code=JobInterrupted.code, reason=reason)
        return found

    async def ask(self, name: str, *, dry_run: bool) -> JobRunRow:
        """Have the app run a job as soon as it can.

        Raises:
            JobRunning: somebody runs it now.
            StorageUnavailable: nothing was asked for, or nobody knows.
        """
        from shared.operations.job_runs import JobRunRow

        holder = await self.holder(name)
        if holder is not None:
            raise JobRunning(name, holder.holder, holder.since)
        row = JobRunRow(name, uuid4().hex, "waiting", dry_run, self._services.now())
        await self._runs.ask(row)
        return row

    async def run_asked(self, text: str | bytes) -> None:
        """Run a job that was asked for, and note how far it comes.

        A run whose process ended in the midst is not begun again: the timer comes, or whoever asked asks again. Raises
        StorageUnavailable when the run cannot be noted.

        Args:
            text: message of the queue.
        """
        from shared.operations.job_runs import asked_run

        name, run_id = asked_run(text)
        row = await self._runs.last(name) if name in self._services.jobs else None
        if row is None or row.id != run_id or row.state != "waiting":
            return  # another run was asked for since, or this one was begun already
        run = JobRun(dry_run=row.dry_run, always=True)
        row = replace(row, started_at=self._services.now())
        try:
            async with self._leased(name, "request", MOST_TIME):
                async with self._noting(row, run):
                    await self._services.jobs[name](run)
                await self._note_end(row, run)
        except BridgeError as error:
            await self._note_end(row, run, error.code, str(error))
        except Exception as error:  # a mistake of ours: whoever asked hears of it, and so does the host
            await self._note_end(row, run, "failed", f"{type(error).__name__}; the app's log says where")
            raise

    async def _note_end(self, row: JobRunRow, run: JobRun, code: str = "", reason: str = "") -> None:
        ended_at = self._services.now()
        await self._note(
            replace(row, state="failed" if code else "done", ended_at=ended_at, code=code, reason=reason), run
        )
        seconds = round((ended_at - row.asked_at).total_seconds(), 3)
        about = {"job": row.job, "id": row.id, "code": code, "reason": reason, "seconds": seconds}
        record("job_ended", logging.WARNING if code else logging.INFO, **about, dry_run=run.dry_run or None)

    async def _note(self, row: JobRunRow, run: JobRun) -> None:
        from shared.operations.job_runs import storable

        await self._runs.note(replace(row, parts=storable(run.parts()), samples=tuple(run.samples)))

    @asynccontextmanager
    async def _noting(self, row: JobRunRow, run: JobRun) -> AsyncIterator[None]:
        """Note that a run is under way, and again and again how far it has come."""
        running, over = replace(row, state="running"), asyncio.Event()

        async def keep_noting() -> None:
            while not over.is_set():
                with suppress(StorageUnavailable, KeyContended):  # the next note says the same and more
                    await self._note(running, run)
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), NOTED_EVERY)

        noting = asyncio.create_task(keep_noting())
        try:
            yield
        finally:
            over.set()
            await asyncio.wait([noting])

    @asynccontextmanager
    async def _leased(self, name: str, by: str, for_at_most: timedelta) -> AsyncIterator[None]:
        holder = f"{by} on {machine_of(self._services.settings)}"
        async with self._services.job_leases.hold(name, for_at_most, holder=holder):
            yield
