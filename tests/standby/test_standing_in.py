"""Whoever is awake does what Azure forgot to call, and does nothing while Azure calls everything."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

from app.standby import HEALTH_SECONDS, TIMER_SECONDS
from app.timers import all_jobs
from local import servicenow
from shared.core.messages import JOB_QUEUE, POISON_QUEUE, QUEUE
from shared.core.signal import SignalState
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress
from tests.standby.world import World, heard, world

MINUTE = timedelta(minutes=1)


# ---- the queue


async def test_what_waits_while_azure_sleeps_becomes_a_ticket_and_health_says_so(bridge: World) -> None:
    await bridge.azure_calls_everything()
    key = await bridge.accepted()
    bridge.later = 2 * MINUTE
    with heard() as said:
        await bridge.services.standby.help(HEALTH_SECONDS)
    assert len(await bridge.tickets(key)) == 1
    assert await bridge.services.queue.depth() == 0
    (overdue,) = [one for one in said if one["event"] == "function_overdue"]
    assert (overdue["function"], "Restart the function app" in overdue["advice"]) == ("deliver", True)
    (seen,) = [one for one in said if one["event"] == "vital_signs"]
    assert seen["functions_overdue"] == ["deliver"]
    assert 115 < seen["oldest_wait_seconds"] < 130
    assert await bridge.status() == ("degraded", ["function_not_called"])
    await bridge.azure_calls("deliver")
    bridge.later += 2 * MINUTE
    await bridge.azure_calls("deliver")
    assert await bridge.status() == ("ok", [])


async def test_a_resolved_that_waits_behind_its_fired_ends_the_ticket(bridge: World) -> None:
    await bridge.azure_calls_everything()
    key = await bridge.accepted()
    bridge.later = MINUTE
    await bridge.accepted(key, state=SignalState.RESOLVED, resolved_at=bridge.now())
    bridge.later = 3 * MINUTE
    await bridge.stands_in_until_all_is_done()
    (ticket,) = await bridge.tickets(key)
    assert ticket["state"] == "6"


async def test_nothing_is_done_while_azure_calls_its_functions(bridge: World) -> None:
    with heard() as said:
        for minute in range(1, 31):
            bridge.later = minute * MINUTE
            await bridge.azure_calls_everything()
            await bridge.services.standby.help(TIMER_SECONDS)
    assert [one for one in said if one["event"] in ("function_overdue", "stood_in", "job_skipped")] == []
    signs = await bridge.services.vital_signs.read()
    assert [name for name, sign in signs.items() if sign.stood_in_at is not None] == []


async def test_a_look_costs_four_operations_of_storage_and_the_rest_of_the_minute_none(bridge: World) -> None:
    asked: list[str] = []
    await bridge.azure_calls_everything()
    await bridge.services.standby.help(1)
    for client in (
        bridge.storage.table("vitalsigns"),
        *(bridge.storage.queue(q, raw=True) for q in (QUEUE, POISON_QUEUE, JOB_QUEUE)),
    ):
        count_requests(client, asked)
    bridge.later = 1.1 * MINUTE
    for _ in range(60):
        await bridge.services.standby.help(1)
    assert len(asked) == 4, asked
    for _ in range(59):
        bridge.later += timedelta(seconds=1)
        await bridge.services.standby.help(1)
    assert len(asked) == 4, asked


def count_requests(client, asked: list[str]) -> None:  # type: ignore[no-untyped-def]
    """Count what an SDK's client sends."""
    pipeline = client._client._client._pipeline
    send = pipeline.run

    async def run(request, **options):  # type: ignore[no-untyped-def]
        asked.append(f"{request.method} {request.url}")
        return await send(request, **options)

    pipeline.run = run


async def test_what_failed_too_often_is_parked_when_azure_does_not_call_its_function_either(bridge: World) -> None:
    await bridge.azure_calls_everything()
    await bridge.storage.queue(POISON_QUEUE, raw=True).send_message("this is no base64!")
    await bridge.services.standby.help(5)
    assert (await bridge.services.vital_signs.read())["park_poison"].waits_since is not None
    bridge.later = 16 * MINUTE
    await bridge.azure_calls("deliver", *(job.name for job in all_jobs(bridge.services.registry)))
    assert await bridge.status() == ("degraded", ["poison_queue"])
    await bridge.services.standby.help(HEALTH_SECONDS)
    (parked,) = [row async for row in bridge.services.parked.list("dead-letter")]
    assert parked.code == "foreign_message"
    bridge.later += 2 * MINUTE
    await bridge.services.standby.help(5)
    assert (await bridge.services.vital_signs.read())["park_poison"].waits_since is None


async def test_two_processes_stand_in_side_by_side_and_every_signal_has_one_ticket(bridge: World) -> None:
    await bridge.azure_calls_everything()
    keys = [await bridge.accepted() for _ in range(12)]
    other = bridge.process()
    bridge.later = 2 * MINUTE
    await asyncio.gather(bridge.services.standby.help(20), other.standby.help(20))
    await other.aclose()
    await bridge.stands_in_until_all_is_done()
    assert [len(await bridge.tickets(key)) for key in keys] == [1] * 12
    assert await bridge.services.queue.depth() == 0


async def test_the_trigger_wakes_up_in_the_midst_and_nothing_is_doubled_or_lost(bridge: World) -> None:
    await bridge.azure_calls_everything()
    keys = [await bridge.accepted() for _ in range(12)]
    trigger = bridge.process()
    bridge.later = 2 * MINUTE

    async def wakes_up() -> None:
        queue = bridge.storage.queue(QUEUE)
        async for message in queue.receive_messages(max_messages=6, visibility_timeout=60):
            async with trigger.vital_signs.call("deliver"):
                await trigger.worker.handle(message.id, message.content, message.dequeue_count or 1)
            await queue.delete_message(message.id, message.pop_receipt)

    await asyncio.gather(bridge.services.standby.help(20), wakes_up())
    await trigger.aclose()
    await bridge.stands_in_until_all_is_done()
    assert [len(await bridge.tickets(key)) for key in keys] == [1] * 12
    assert await bridge.services.queue.depth() == 0


# ---- webhooks


async def test_a_webhook_s_answer_waits_for_nothing_and_the_work_is_done_after_it(bridge: World) -> None:
    await bridge.azure_calls_everything()
    key = await bridge.accepted()
    bridge.later = 2 * MINUTE
    loop = asyncio.get_running_loop()
    began = loop.time()
    bridge.services.standby.after_request()
    assert loop.time() - began < 0.01
    for _ in range(100):
        if await bridge.tickets(key):
            break
        await asyncio.sleep(0.1)
    assert len(await bridge.tickets(key)) == 1


async def test_webhooks_go_on_standing_in_between_two_looks(bridge: World) -> None:
    await bridge.azure_calls_everything()
    await bridge.accepted()
    bridge.later = 2 * MINUTE
    await bridge.services.standby.help(5)
    key = await bridge.accepted()
    bridge.services.standby.after_request()
    for _ in range(100):
        if await bridge.tickets(key):
            break
        await asyncio.sleep(0.1)
    assert len(await bridge.tickets(key)) == 1


# ---- timers


async def test_timers_that_azure_does_not_call_for_an_hour_have_done_their_work(bridge: World) -> None:
    await bridge.azure_calls_everything()
    key = await bridge.accepted()
    bridge.later = 2 * MINUTE
    await bridge.desk.clock(advance=120)
    await bridge.services.standby.help(HEALTH_SECONDS)
    stored = await bridge.services.links.load(key)
    assert stored is not None
    assert stored.value.ticket is not None
    with heard() as said:
        for minute in range(3, 80):
            bridge.later = minute * MINUTE
            await bridge.desk.clock(advance=60)
            await bridge.services.standby.help(HEALTH_SECONDS)
            if minute == 20:
                await bridge.desk.write(stored.value.ticket, state="2")
    stood_in = [one["function"] for one in said if one["event"] == "stood_in"]
    hourly = [job.name for job in all_jobs(bridge.services.registry) if job.schedule.split()[2] == "*"]
    assert {name: stood_in.count(name) >= 10 for name in ("resync", "planned_work")} == {
        "resync": True,
        "planned_work": True,
    }
    assert {name for name in hourly if name != "purge_audit_log"} <= set(stood_in)
    assert [one for one in said if one["event"] == "standby_failed"] == []
    stored = await bridge.services.links.load(key)
    assert stored is not None
    assert stored.value.state == "2"
    status, reasons = await bridge.status()
    assert (status, set(reasons)) == ("degraded", {"function_not_called"})


async def test_a_job_that_runs_elsewhere_is_not_run_twice(bridge: World) -> None:
    await bridge.azure_calls_everything()
    bridge.later = 8 * MINUTE
    runs = 0

    async def resync(*_: object) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.5)

    others = [bridge.services, bridge.process()]
    for services in others:
        services.timers.resync = resync  # type: ignore[method-assign, assignment]
    with heard() as said:
        await asyncio.gather(*(services.standby.help(10) for services in others))
    await others[1].aclose()
    assert runs == 1
    assert [one["job"] for one in said if one["event"] == "job_skipped"].count("resync") == 1
    assert [one["function"] for one in said if one["event"] == "stood_in"].count("resync") == 1


async def test_a_job_that_a_person_asked_for_is_done_too(bridge: World) -> None:
    await bridge.azure_calls_everything()
    row = await bridge.services.job_runner.ask("resync", dry_run=False)
    bridge.later = 2 * MINUTE
    await bridge.services.standby.help(HEALTH_SECONDS)
    last = await bridge.services.job_runner.last("resync")
    assert last is not None
    assert (last.id, last.state) == (row.id, "done")


# ---- what is wrong with the signs themselves


async def test_a_damaged_sign_and_one_of_the_future_are_said_and_stop_nothing(bridge: World) -> None:
    await bridge.azure_calls_everything()
    row = {**RowAddress("function", "deliver").columns(), "AliveAt": "yesterday"}
    await bridge.storage.table("vitalsigns").upsert_entity(row)
    row = {**RowAddress("function", "resync").columns(), "AliveAt": "2031-01-01T00:00:00.000Z"}
    await bridge.storage.table("vitalsigns").upsert_entity(row)
    key = await bridge.accepted()
    bridge.later = 2 * MINUTE
    with heard() as said:
        await bridge.services.standby.help(HEALTH_SECONDS)
    assert len(await bridge.tickets(key)) == 1
    assert [one["row"] for one in said if one["event"] == "unreadable_row"] == ["deliver"]
    assert [one["function"] for one in said if one["event"] == "vital_sign_of_the_future"] == ["resync"]
    with heard() as said:
        bridge.later = 4 * MINUTE
        await bridge.services.standby.help(5)
    assert "unreadable_row" not in {one["event"] for one in said}


async def test_clocks_of_workers_that_differ_by_a_minute_wake_nobody(bridge: World) -> None:
    bridge.later = MINUTE
    await bridge.azure_calls_everything()
    bridge.later = timedelta()
    with heard() as said:
        await bridge.services.standby.help(5)
    assert not {"function_overdue", "vital_sign_of_the_future"} & {one["event"] for one in said}


async def test_a_storage_that_refuses_is_said_and_nothing_is_raised(tmp_path: Path, storage: Storage) -> None:
    nowhere = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;" + "".join(
        f"{name}Endpoint=http://127.0.0.1:9/a;" for name in ("Blob", "Queue", "Table")
    )
    async with (
        servicenow.running() as simulator,
        world(simulator, storage, tmp_path) as bridge,
        aclosing(Storage({"AzureWebJobsStorage": nowhere})) as bridge.storage,
    ):
        services = bridge.process()
        with heard() as said:
            await services.standby.help(5)
            async with services.vital_signs.call("deliver"):
                pass
        assert [one["event"] for one in said] == ["vital_signs_not_read", "vital_sign_not_written"]
        assert (await services.health_report()).status == "unavailable"
        await services.aclose()


async def test_nobody_waits_longer_than_the_time_given(bridge: World) -> None:
    await bridge.azure_calls_everything()
    await bridge.desk.set(latency_ms=4000)
    for _ in range(30):
        await bridge.accepted()
    bridge.later = 2 * MINUTE
    loop = asyncio.get_running_loop()
    began = loop.time()
    await bridge.services.standby.help(5.0)
    assert loop.time() - began < 6.5
