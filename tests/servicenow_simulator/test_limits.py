"""Sessions and semaphores: what happens to calls that come at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import httpx

from local.servicenow import Simulator
from local.servicenow.sessions import SessionQueueFull, Sessions
from tests.servicenow_simulator.support import INCIDENTS, Control, numbers
from tests.simulators import NO_AUTHORITIES


async def together(simulator: Simulator, count: int, cookie: str = "") -> tuple[Counter[int], float]:
    """Statuses of calls made at once, and the seconds it took."""
    headers = {"Cookie": f"JSESSIONID={cookie}"} if cookie else {}
    auth = (simulator.integration_username, simulator.integration_password)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        verify=NO_AUTHORITIES, base_url=simulator.url, auth=auth, limits=limits, timeout=30
    ) as client:
        calls = [client.get(INCIDENTS, params={"sysparm_limit": "1"}, headers=headers) for _ in range(count)]
        started = time.monotonic()
        answers = await asyncio.gather(*calls)
        return Counter(answer.status_code for answer in answers), time.monotonic() - started


async def test_f39_calls_of_one_session_run_one_after_the_other(simulator: Simulator, control: Control) -> None:
    control.set(latency_ms=100)
    statuses, seconds = await together(simulator, 5, cookie="ABCDEF")
    assert statuses == {200: 5}
    assert seconds >= 0.5


async def test_f39_calls_without_cookies_run_side_by_side(simulator: Simulator, control: Control) -> None:
    control.set(latency_ms=1000)
    statuses, _ = await together(simulator, 5)
    assert statuses == {200: 5}
    counters = control.get("/counters")
    assert counters["max_in_flight"] == 5
    assert counters["cookies_seen"] == 0


async def test_f39_waiters_beyond_the_queue_are_dropped_with_202(simulator: Simulator, control: Control) -> None:
    control.set(latency_ms=1000, session_queue=2)
    statuses, _ = await together(simulator, 6, cookie="ABCDEF")
    assert statuses == {200: 3, 202: 3}
    assert control.get("/counters")["cookies_seen"] == 6


async def test_f39_ten_may_wait_by_default(control: Control) -> None:
    sessions, open_gate, served = Sessions(), asyncio.Event(), []
    queue = int(control.get("/settings")["settings"]["session_queue"])

    async def call(number: int) -> None:
        async with sessions.turn("one", queue):
            await open_gate.wait()
            served.append(number)

    calls = [asyncio.create_task(call(number)) for number in range(13)]
    done, _ = await asyncio.wait(calls, timeout=10, return_when=asyncio.FIRST_EXCEPTION)
    await asyncio.sleep(0)
    open_gate.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert served == list(range(11))
    assert [type(outcome) for outcome in outcomes[11:]] == [SessionQueueFull, SessionQueueFull]
    assert done


async def test_f39_sessions_can_be_switched_off(simulator: Simulator, control: Control) -> None:
    control.set(cookies=False, session_queue=0, latency_ms=50)
    statuses, _ = await together(simulator, 8, cookie="ABCDEF")
    assert statuses == {200: 8}
    async with httpx.AsyncClient(verify=NO_AUTHORITIES) as client:
        assert "Set-Cookie" not in (await client.get(simulator.url + INCIDENTS)).headers


async def test_f16_a_full_semaphore_queue_is_a_bare_429(simulator: Simulator, control: Control) -> None:
    control.set(latency_ms=1000, semaphores=1, semaphore_queue=1)
    statuses, _ = await together(simulator, 4)
    assert statuses == {200: 2, 429: 2}
    statuses, _ = await together(simulator, 2)
    assert statuses == {200: 2}


async def test_creates_that_race_each_commit_whole(simulator: Simulator, admin: httpx.Client, control: Control) -> None:
    auth = (simulator.integration_username, simulator.integration_password)
    async with httpx.AsyncClient(verify=NO_AUTHORITIES, base_url=simulator.url, auth=auth, timeout=30) as client:
        bodies = [{"short_description": f"race {at}", "sys_id": "ab" * 16, "correlation_id": "race"} for at in range(6)]
        answers = await asyncio.gather(*(client.post(INCIDENTS, json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 403, 403, 403, 403, 403]
    assert len(numbers(admin, "incident", "correlation_id=race")) == 1
    assert control.get("/violations")["duplicates"] == []
