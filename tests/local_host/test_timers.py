"""Timer triggers, with their lease and status in a real Azurite."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from local.host.singleton import CONTAINER
from local.storage_rest import Storage
from tests.local_host.support import RunHost, eventually, seen

EVERY_SECOND = """
@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
async def tick(timer: func.TimerRequest) -> None:
    seen.append(time.time())
"""
YEARLY = """
@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *"{more})
def tick(timer: func.TimerRequest) -> None:
    seen.append([timer.past_due, timer.schedule_status, timer.schedule])
"""
NEXT_YEAR = datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC)
#: Another host may hold the lease for a moment; this one then asks for it every 200 ms.
QUICK = {"singleton": {"listenerLockRecoveryPollingInterval": "00:00:00.2"}}


@pytest.fixture
def host_id() -> str:
    return f"test-{uuid4().hex[:8]}"


def ids(host_id: str) -> dict[str, str]:
    return {"AzureFunctionsWebHost__hostid": host_id}


async def test_a_timer_runs_by_its_schedule(run_host: RunHost, host_id: str) -> None:
    await run_host(EVERY_SECOND, settings=ids(host_id))
    await eventually(lambda: len(seen()) >= 3)
    seconds = [int(at) for at in seen()]
    assert sorted(set(seconds)) == seconds  # not twice in the same second


async def test_a_timer_that_takes_longer_than_its_interval_does_not_overlap(run_host: RunHost, host_id: str) -> None:
    await run_host(
        """
        @app.timer_trigger(arg_name="timer", schedule="* * * * * *")
        def tick(timer: func.TimerRequest) -> None:
            seen.append("in")
            time.sleep(1.5)
            seen.append("out")
        """,
        settings=ids(host_id),
    )
    await eventually(lambda: len(seen()) >= 5)
    assert seen()[:4] == ["in", "out", "in", "out"]


async def test_a_failing_timer_goes_on(run_host: RunHost, host_id: str) -> None:
    await run_host(EVERY_SECOND + "    raise ValueError\n", settings=ids(host_id))
    await eventually(lambda: len(seen()) >= 2)


async def test_a_timer_may_run_when_the_host_starts(run_host: RunHost, host_id: str) -> None:
    await run_host(YEARLY.format(more=", run_on_startup=True"), settings=ids(host_id))
    [[past_due, status, schedule]] = await eventually(seen)
    assert past_due is False
    assert datetime.fromisoformat(status["Next"]) == NEXT_YEAR
    assert schedule == {"AdjustForDST": True}


async def test_otherwise_it_waits_and_writes_down_when_it_is_due(
    run_host: RunHost, host_id: str, storage: Storage
) -> None:
    await run_host(YEARLY.format(more=""), settings=ids(host_id))
    blob = f"timers/{host_id}/tick/status"
    for _ in range(500):
        if data := await storage.container(CONTAINER).read(blob):
            break
        await asyncio.sleep(0.02)
    assert data is not None
    assert datetime.fromisoformat(json.loads(data)["Next"]) == NEXT_YEAR
    assert seen() == []


async def test_a_run_that_was_missed_is_made_up_once(run_host: RunHost, host_id: str, storage: Storage) -> None:
    last = NEXT_YEAR.replace(year=NEXT_YEAR.year - 2, month=6)
    missed = NEXT_YEAR.replace(year=NEXT_YEAR.year - 1)
    container, blob = storage.container(CONTAINER), f"timers/{host_id}/tick/status"
    await container.create()
    status = {"Last": last.isoformat(), "Next": missed.isoformat(), "LastUpdated": last.isoformat()}
    await container.write(blob, json.dumps(status).encode())
    host = await run_host(YEARLY.format(more=""), settings=ids(host_id))
    [[past_due, told, _]] = await eventually(seen)
    await host.stop()
    assert past_due is True
    assert told == status
    written = json.loads(await container.read(blob) or b"")
    assert datetime.fromisoformat(written["Next"]) == NEXT_YEAR
    assert datetime.now(UTC) - datetime.fromisoformat(written["Last"]) < timedelta(minutes=1)
    # Started again, it has missed nothing.
    await run_host(YEARLY.format(more=""), settings=ids(host_id))
    await asyncio.sleep(0.5)
    assert seen() == []


async def test_without_a_monitor_nothing_is_remembered(run_host: RunHost, host_id: str, storage: Storage) -> None:
    await run_host(YEARLY.format(more=", use_monitor=False, run_on_startup=True"), settings=ids(host_id))
    [[_, status, _]] = await eventually(seen)
    assert status == {}
    assert await storage.container(CONTAINER).read(f"timers/{host_id}/tick/status") is None


async def test_a_changed_schedule_is_not_a_missed_run(run_host: RunHost, host_id: str, storage: Storage) -> None:
    last = datetime.now(UTC)
    container, blob = storage.container(CONTAINER), f"timers/{host_id}/tick/status"
    await container.create()
    status = {"Last": last.isoformat(), "Next": (last - timedelta(hours=1)).isoformat(), "LastUpdated": ""}
    await container.write(blob, json.dumps(status).encode())
    await run_host(YEARLY.format(more=""), settings=ids(host_id))
    for _ in range(500):
        written = json.loads(await container.read(blob) or b"")
        if datetime.fromisoformat(written["Next"]) == NEXT_YEAR:
            break
        await asyncio.sleep(0.02)
    assert datetime.fromisoformat(written["Next"]) == NEXT_YEAR
    assert seen() == []


async def test_an_unreadable_status_is_begun_anew(
    run_host: RunHost, host_id: str, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    container = storage.container(CONTAINER)
    await container.create()
    await container.write(f"timers/{host_id}/tick/status", b"{")
    await run_host(YEARLY.format(more=", run_on_startup=True"), settings=ids(host_id))
    await eventually(seen)
    assert "its status cannot be read, beginning anew" in caplog.text


async def test_only_one_of_two_hosts_runs_the_timer_and_the_other_takes_over(
    run_host: RunHost, host_id: str, tmp_path: Path, storage: Storage
) -> None:
    source = EVERY_SECOND.replace("time.time()", "__name__") + "which = []\n"
    first = await run_host(source, QUICK, settings=ids(host_id))
    noted_by_first = seen()
    await eventually(lambda: len(noted_by_first) >= 1)
    await run_host(source, QUICK, settings=ids(host_id))
    noted_by_second = seen()
    assert noted_by_second is not noted_by_first
    so_far = len(noted_by_first)
    await eventually(lambda: len(noted_by_first) >= so_far + 2)
    assert noted_by_second == []
    await first.stop()  # gives the lease back
    await eventually(lambda: len(noted_by_second) >= 1, within=10)


async def test_a_stopping_host_begins_no_other_run(run_host: RunHost, host_id: str) -> None:
    host = await run_host(
        """
        @app.timer_trigger(arg_name="timer", schedule="* * * * * *")
        async def tick(timer: func.TimerRequest) -> None:
            seen.append("in")
            await asyncio.sleep(1.5)  # the next run is due when this one ends
            seen.append("out")
        """,
        settings=ids(host_id),
    )
    await eventually(seen)
    noted = seen()
    await host.stop()
    assert noted == ["in", "out"]


async def test_a_stopping_host_lets_a_timer_finish(run_host: RunHost, host_id: str) -> None:
    host = await run_host(
        """
        @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
        async def tick(timer: func.TimerRequest) -> None:
            seen.append("in")
            await asyncio.sleep(0.5)
            seen.append("out")
        """,
        settings=ids(host_id),
    )
    await eventually(seen)
    noted = seen()
    await host.stop()
    assert noted == ["in", "out"]
