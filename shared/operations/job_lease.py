"""One job runs in one place at a time: a lease for each job, as a row of Table storage.

    async with leases.hold("resync", timedelta(minutes=10), holder="timer on 1f0c") as lease:
        ...

Whoever writes the row has the lease, and renews it while the job runs: the ETag decides between two who come at once.
A holder that dies stops renewing; its lease runs out after :data:`TERM`, and the next who comes takes it over. A holder
that cannot renew stops its job before the lease runs out.

Only the storage service's clock tells whether a lease has run out: the time of its last write and the time now come
from the service (``VersionedTable.load_with_age``). The holder counts by its own monotonic clock, from before a renewal
is sent. So clocks of machines may differ as they like.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from shared.core.errors import JobInterrupted, JobRunning, StorageUnavailable
from shared.platform.codec import RowCodec
from shared.platform.log import record
from shared.platform.storage import Storage, patience
from shared.platform.tables import RowAddress, RowOvertaken, Versioned, VersionedTable

TABLE = "jobleases"

#: How long a lease holds without being renewed.
TERM = timedelta(seconds=60)

#: A lease counts as run out so long after its term: times of the service have whole seconds, and its machines differ.
MARGIN = timedelta(seconds=3)

_TRIES = 5

_UNREADABLE = "somebody whose row cannot be read"


@dataclass(frozen=True, slots=True)
class JobLease:
    """Who runs a job.

    Attributes:
        job: its name.
        holder: who runs it, for people.
        since: when that began, UTC by the service's clock.
        token: tells one holding from every other.
        term: how long it holds without being renewed.
    """

    job: str
    holder: str
    since: datetime
    token: str
    term: timedelta


@dataclass(slots=True)
class _HeldLease:
    """A lease in the hands of its holder. ``etag``: of its row. ``asked_at``: loop time before its newest write."""

    lease: JobLease
    etag: str
    asked_at: float

    @property
    def ends_at(self) -> float:
        return self.asked_at + self.lease.term.total_seconds()


class JobLeases:
    """The leases of all jobs.

    Args:
        storage: the bridge's own.
        table: its name; another one for tests.
        term: of the leases that are taken here.
        margin: how long after its term a lease of others counts as run out.
    """

    def __init__(
        self, storage: Storage, *, table: str = TABLE, term: timedelta = TERM, margin: timedelta = MARGIN
    ) -> None:
        self._table = VersionedTable(storage, table, RowCodec(JobLease))
        self._term = term
        self._margin = margin

    @asynccontextmanager
    async def hold(self, job: str, for_at_most: timedelta, *, holder: str) -> AsyncIterator[JobLease]:
        """Run the body as the only one who runs the job.

        Args:
            job: its name.
            for_at_most: the body is cancelled when it takes longer.
            holder: who runs it, for people.

        Raises:
            JobRunning: somebody else runs it.
            JobInterrupted: the body was cancelled, because of its time or because the lease was lost.
            StorageUnavailable: the lease could not be taken.
        """
        held = await self._take(job, holder)
        end = asyncio.get_running_loop().time() + for_at_most.total_seconds()
        try:
            async with asyncio.timeout_at(min(end, held.ends_at)) as deadline:
                renewing = asyncio.create_task(self._keep_renewing(held, deadline, end))
                try:
                    yield held.lease
                finally:
                    renewing.cancel()
                    await asyncio.wait([renewing])
        except TimeoutError:
            if not deadline.expired():
                raise
            if asyncio.get_running_loop().time() >= end:
                reason = f"took longer than {for_at_most.total_seconds():.0f} seconds"
            else:
                reason = "could not renew its lease in time, or somebody else took it over"
            raise JobInterrupted(f"the job {job} was stopped: it {reason}. It goes on at its next run") from None
        finally:
            await self._release(held)

    async def holder_of(self, job: str) -> JobLease | None:
        """Who runs a job now, None when nobody does. Raises StorageUnavailable."""
        stored, age, _ = await self._load(job)
        return None if stored is None or self._has_run_out(stored.value, age) else stored.value

    async def _load(self, job: str) -> tuple[Versioned[JobLease] | None, timedelta, datetime]:
        """A lease, its age and the time now. One that cannot be read is held by somebody, for the usual term."""
        stored, age, now = await self._table.load_with_age(_address(job))
        if stored is None:
            return None, age, now
        lease = stored.value or JobLease(job, _UNREADABLE, now - age, "", self._term)
        return Versioned(lease, stored.etag), age, now

    def _has_run_out(self, lease: JobLease, age: timedelta) -> bool:
        return age > lease.term + self._margin

    async def _take(self, job: str, holder: str) -> _HeldLease:
        """Raises JobRunning and StorageUnavailable."""
        token = uuid4().hex
        for _ in range(_TRIES):
            asked_at = asyncio.get_running_loop().time()
            stored, age, now = await self._load(job)
            if stored is not None and stored.value.token == token:  # the answer to our own write was lost
                return _HeldLease(stored.value, stored.etag, asked_at - age.total_seconds() - 1)
            if stored is not None and not self._has_run_out(stored.value, age):
                raise JobRunning(job, stored.value.holder, stored.value.since)
            lease = JobLease(job, holder, now, token, self._term)
            asked_at = asyncio.get_running_loop().time()
            with suppress(RowOvertaken):
                etag = await self._table.write(_address(job), lease, stored.etag if stored is not None else None)
                if stored is not None:
                    before = stored.value
                    record(
                        "job_lease_taken_over",
                        logging.WARNING,
                        job=job,
                        holder=before.holder,
                        term_s=before.term.seconds,
                    )
                return _HeldLease(lease, etag, asked_at)
        raise JobRunning(job, "others, who keep taking it", now)

    async def _keep_renewing(self, held: _HeldLease, deadline: asyncio.Timeout, end: float) -> None:
        """Renew until cancelled. A lease that is lost moves the deadline of the body to now."""
        pause = held.lease.term.total_seconds() / 4
        clock = asyncio.get_running_loop().time
        while not deadline.expired():
            await asyncio.sleep(pause)
            try:
                with patience(pause):
                    await self._renew(held)
            except RowOvertaken:
                deadline.reschedule(clock())
                return
            except StorageUnavailable as error:  # tried again, until the deadline comes
                record("job_lease_not_renewed", logging.WARNING, job=held.lease.job, reason=str(error))
                continue
            if not deadline.expired():
                deadline.reschedule(min(end, held.ends_at))

    async def _renew(self, held: _HeldLease) -> None:
        """Raises RowOvertaken when the lease is somebody else's, and StorageUnavailable."""
        address = _address(held.lease.job)
        asked_at = asyncio.get_running_loop().time()
        try:
            held.etag = await self._table.write(address, held.lease, held.etag)
        except RowOvertaken:
            stored = await self._table.load(address)
            if stored is None or stored.value.token != held.lease.token:
                raise
            # An earlier renewal of ours, whose answer was lost, changed the ETag.
            held.etag = await self._table.write(address, held.lease, stored.etag)
        held.asked_at = asked_at

    async def _release(self, held: _HeldLease) -> None:
        """Give the lease back; where that fails it runs out."""
        with suppress(StorageUnavailable, RowOvertaken), patience(held.lease.term.total_seconds() / 4):
            await self._table.delete(_address(held.lease.job), held.etag)


def _address(job: str) -> RowAddress:
    return RowAddress("lease", job)
