"""Scenarios of the lease of a job: one runs it, the others learn who, and nobody waits for the dead for ever."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.jobs import MOST_TIME
from local.azurite import Azurite
from shared.core.errors import JobInterrupted, JobRunning
from shared.operations.job_lease import JobLeases
from shared.platform.storage import Storage

ROOT = Path(__file__).parents[2]
LONG = timedelta(minutes=1)
NONE = timedelta(0)


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


@pytest.fixture
def table() -> str:
    return f"t{uuid4().hex}"


async def test_given_a_running_job_when_another_wants_to_run_it_then_he_learns_who_and_since_when(
    storage: Storage, table: str
) -> None:
    leases = JobLeases(storage, table=table)
    before = datetime.now(UTC)
    async with leases.hold("resync", LONG, holder="timer on one") as lease:
        with pytest.raises(JobRunning, match="run by timer on one since ") as busy:
            async with leases.hold("resync", LONG, holder="bridge.py on two"):
                raise AssertionError("two run the same job")
        assert busy.value.since == lease.since
        assert abs(lease.since - before) < timedelta(seconds=10)
        holder = await leases.holder_of("resync")
        assert holder is not None
        assert holder.holder == "timer on one"
        async with leases.hold("remind", LONG, holder="bridge.py on two"):
            pass  # another job is free
    assert await leases.holder_of("resync") is None
    async with leases.hold("resync", LONG, holder="bridge.py on two"):
        pass


async def test_given_many_who_come_at_once_when_the_lease_is_free_then_one_gets_it(
    storage: Storage, table: str
) -> None:
    inside, most, ran = 0, 0, 0

    async def run(number: int) -> None:
        nonlocal inside, most, ran
        try:
            async with JobLeases(storage, table=table).hold("resync", LONG, holder=f"number {number}"):
                inside += 1
                ran += 1
                most = max(most, inside)
                await asyncio.sleep(0.05)
                inside -= 1
        except JobRunning:
            pass

    await asyncio.gather(*(run(number) for number in range(12)))
    assert (most, ran >= 1) == (1, True)


async def test_given_a_job_that_outlasts_the_term_when_it_renews_then_nobody_takes_it_over(
    storage: Storage, table: str
) -> None:
    leases = JobLeases(storage, table=table, term=timedelta(seconds=1.2), margin=NONE)
    async with leases.hold("resync", LONG, holder="one"):
        for _ in range(6):
            await asyncio.sleep(0.5)
            with pytest.raises(JobRunning):
                async with leases.hold("resync", LONG, holder="two"):
                    raise AssertionError("taken over while it was renewed")


async def test_given_storage_that_is_away_when_a_lease_cannot_be_renewed_then_the_job_stops_before_it_runs_out() -> (
    None
):
    with Azurite() as own:
        storage = Storage({"AzureWebJobsStorage": own.connection_string})
        leases = JobLeases(storage, term=timedelta(seconds=2))
        started = asyncio.get_running_loop().time()

        async def lose_storage() -> None:
            async with leases.hold("resync", LONG, holder="one"):
                os.kill(own.pid, signal.SIGSTOP)
                await asyncio.sleep(10)

        try:
            with pytest.raises(JobInterrupted, match="could not renew its lease"):
                await lose_storage()
            assert asyncio.get_running_loop().time() - started < 4
        finally:
            os.kill(own.pid, signal.SIGCONT)
        await storage.aclose()


async def test_given_a_row_of_a_killed_process_when_it_has_run_out_then_it_is_taken_over_and_logged(
    storage: Storage, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    killed = JobLeases(storage, table=table, term=timedelta(seconds=1))
    await killed._take("resync", "the killed")
    living = JobLeases(storage, table=table, margin=NONE)
    caplog.set_level(logging.INFO, "bridge")

    async def tried() -> str:
        try:
            async with living.hold("resync", LONG, holder="the living") as lease:
                return lease.holder
        except JobRunning as running:
            return running.holder

    assert await tried() == "the killed"
    for _ in range(50):
        if await tried() == "the living":
            break
        await asyncio.sleep(0.2)
    (line,) = [json.loads(one) for one in caplog.messages if "taken_over" in one]
    assert (line["job"], line["holder"]) == ("resync", "the killed")


async def test_given_a_lease_that_somebody_took_over_when_the_holder_renews_then_its_job_stops_and_the_new_one_stays(
    storage: Storage, table: str
) -> None:
    leases = JobLeases(storage, table=table, term=timedelta(seconds=2))

    async def lose_lease() -> None:
        async with leases.hold("resync", LONG, holder="old"):
            row = await storage.table(table).get_entity("lease", "resync")
            await storage.table(table).update_entity({**row, "Token": "x", "Holder": "new"})
            await asyncio.sleep(10)

    with pytest.raises(JobInterrupted, match="somebody else took it over"):
        await lose_lease()
    holder = await leases.holder_of("resync")
    assert holder is not None
    assert holder.holder == "new", "the old holder leaves the lease of the new one alone"


async def test_given_renewals_whose_answers_were_lost_when_the_holder_renews_again_then_it_keeps_its_lease(
    storage: Storage, table: str
) -> None:
    leases = JobLeases(storage, table=table, term=timedelta(seconds=1.2))
    async with leases.hold("resync", LONG, holder="one"):
        row = await storage.table(table).get_entity("lease", "resync")
        await storage.table(table).update_entity(row)  # as a renewal that storage did and nobody heard of
        await asyncio.sleep(2)
    assert await leases.holder_of("resync") is None


async def test_given_a_job_that_takes_too_long_when_its_time_is_over_then_it_is_stopped_and_the_lease_is_free(
    storage: Storage, table: str
) -> None:
    leases = JobLeases(storage, table=table)
    with pytest.raises(JobInterrupted, match="took longer than 0 seconds"):
        async with leases.hold("resync", timedelta(seconds=0.2), holder="one"):
            await asyncio.sleep(10)
    assert await leases.holder_of("resync") is None


async def test_given_a_job_that_fails_when_it_ends_then_its_error_is_seen_and_the_lease_is_free(
    storage: Storage, table: str
) -> None:
    leases = JobLeases(storage, table=table)
    for error in (ValueError("mistake"), TimeoutError("its own")):
        with pytest.raises(type(error), match=str(error)):
            async with leases.hold("resync", LONG, holder="one"):
                raise error
        assert await leases.holder_of("resync") is None


async def test_given_times_of_wrong_clocks_in_the_row_when_another_comes_then_only_the_time_of_storage_counts(
    storage: Storage, table: str
) -> None:
    leases = JobLeases(storage, table=table)
    async with leases.hold("resync", LONG, holder="one"):
        row = await storage.table(table).get_entity("lease", "resync")
        await storage.table(table).update_entity({**row, "Since": "2000-01-01T00:00:00Z"})
        with pytest.raises(JobRunning, match="since 2000-01-01T00:00:00"):
            async with leases.hold("resync", LONG, holder="two"):
                raise AssertionError("taken over by the time in the row")


def test_jobs_in_the_app_end_before_the_host_ends_their_process() -> None:
    hours, minutes, seconds = json.loads((ROOT / "host.json").read_text())["functionTimeout"].split(":")
    limit = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
    assert timedelta(0) < limit - MOST_TIME <= timedelta(minutes=1)
