"""Creates that share a call: only in a backlog, and exactly one ticket for each whatever happens to the call."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from typing import Any

import pytest

from connectors.servicenow.batch import PATH
from tests.servicenow_connector.backlog import backlog, draft, drafts, seen
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")

_BATCH = {"path": "/batch$"}


async def test_a_backlog_of_sixteen_takes_one_call_of_the_budget(stage: SimulatedServiceNow) -> None:
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"created": 16}
        assert await worker.calls() == [PATH]
        assert len(await worker.tickets()) == 16
        await worker.gate.aclose()
        assert await worker.deliver(16, "b") == {"created": 16}
        assert await worker.calls() == [PATH, PATH]
        quota = worker.gate.state.quota
        # Two calls left, and the block that they were leased with: no other call is promised to anybody.
        assert quota.ordinary <= 2 * (500 // 50)


async def test_as_many_creates_as_may_be_in_flight_go_alone(stage: SimulatedServiceNow) -> None:
    async with backlog(stage) as worker:
        assert await worker.deliver(1) == {"created": 1}
        assert await worker.deliver(4, "b") == {"created": 4}
        assert await worker.calls() == ["/api/now/table/incident"] * 5


async def test_an_urgent_create_does_not_wait_for_a_batch(stage: SimulatedServiceNow) -> None:
    await stage.set(latency_ms=150)
    async with backlog(stage) as worker:
        await worker.deliver(1, "first")  # until the worker holds its slots
        tasks = worker.start(*drafts(16), name="ordinary")
        await asyncio.sleep(0)
        tasks += worker.start(draft("urgent"), urgent=True, name="urgent")
        assert Counter(await asyncio.gather(*tasks)) == {"created": 17}
        assert worker.order[1] == "urgent"
        assert await worker.batches() == 1


async def test_batches_leave_a_call_in_flight_to_others(stage: SimulatedServiceNow) -> None:
    await stage.set(latency_ms=300)
    async with backlog(stage, calls=None) as worker:
        tasks = worker.start(*drafts(24), name="ordinary")
        await worker.until_a_batch_left()
        tasks += worker.start(draft("urgent"), urgent=True, name="urgent")
        assert Counter(await asyncio.gather(*tasks)) == {"created": 25}
        assert (await stage.told("/counters"))["max_in_flight"] <= 4
        assert await worker.batches() >= 3, "where calls are not rationed, they are spread over the calls in flight"


@pytest.mark.parametrize(
    ("changes", "batch"),
    [
        (None, "auto"),
        ({"address": "https://other.service-now.com"}, "auto"),
        ({"account": "basic:somebody.else"}, "auto"),
        ({"holds": False}, "auto"),
        ({"tables": ("problem",)}, "auto"),
        ({}, "never"),
    ],
)
async def test_without_having_been_seen_to_fit_each_create_goes_alone(
    stage: SimulatedServiceNow, changes: dict[str, Any] | None, batch: str
) -> None:
    found = [] if changes is None else [seen(stage.simulator, **changes)]
    async with backlog(stage, found, batch=batch) as worker:
        assert await worker.deliver(12) == {"created": 12}
        assert await worker.batches() == 0
        assert len(await worker.calls()) == 12


@pytest.mark.parametrize("then", ["cut", "error"])
async def test_half_of_a_batch_is_committed_and_the_answer_is_lost(stage: SimulatedServiceNow, then: str) -> None:
    await stage.order(type="batch_ends", items=8, then=then, times=1)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"outcome_unknown": 16}
        assert len(await worker.tickets()) == 8
        await worker.again(16)
        assert await worker.tickets() == sorted(f"alert:1:a{n}" for n in range(16))


@pytest.mark.parametrize("fault", ["cut_after_commit", "truncated_json", "commit_then_500"])
async def test_all_of_a_batch_is_committed_and_the_answer_is_lost(stage: SimulatedServiceNow, fault: str) -> None:
    await stage.order(type=fault, match=_BATCH, times=1)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"outcome_unknown": 16}
        await worker.again(16)
        assert len(await worker.tickets()) == 16
        assert (await stage.told("/violations"))["duplicates"] == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"type": "throttle", "retry_after": 17}, "throttled"),
        ({"type": "throttle_bare"}, "throttled"),
        ({"type": "hibernate"}, "unavailable"),
        ({"type": "cut_before_commit"}, "outcome_unknown"),
        ({"type": "reject_credentials"}, "not_authorised"),
        ({"type": "session_queue"}, "outcome_unknown"),
    ],
)
async def test_a_batch_that_is_refused_as_a_whole_fails_each_create_as_it_would_alone(
    stage: SimulatedServiceNow, fault: dict[str, Any], code: str
) -> None:
    await stage.order(**fault, match=_BATCH)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {code: 16}
        assert await worker.tickets() == []
        assert await worker.batches() == (2 if code == "not_authorised" else 1)
        assert worker.findings.kept["batch"].holds


async def test_one_create_is_refused_and_the_others_are_made(stage: SimulatedServiceNow) -> None:
    rule = {"type": "business_rule_abort", "rule": "Caller must be active"}
    await stage.order(**rule, match={"table": "incident", "operation": "insert"}, after=3, times=1)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"created": 15, "refused": 1}
        assert len(await worker.tickets()) == 15


async def test_an_item_that_fails_for_now_proves_nothing_and_is_looked_up(stage: SimulatedServiceNow) -> None:
    await stage.order(type="item_fails", status=503, match={"operation": "insert"}, times=2)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"created": 14, "outcome_unknown": 2}
        await worker.again(16)
        assert len(await worker.tickets()) == 16


async def test_unserviced_creates_come_back_and_the_next_batch_is_smaller(stage: SimulatedServiceNow) -> None:
    await stage.order(type="batch_ends", items=5, then="unserviced", times=1)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"created": 5, "not_sent": 11}
        assert await worker.deliver(16, "b") == {"created": 16}
        assert await worker.batches() in (3, 4)
        await worker.again(16)
        assert len(await worker.tickets()) == 32


async def test_an_unserviced_create_that_ran_all_the_same_makes_no_second_ticket(stage: SimulatedServiceNow) -> None:
    await stage.set(**{"glide.rest.batch.max.outputSize": "1200"})
    async with backlog(stage) as worker:
        outcomes = await worker.deliver(16)
        assert outcomes["not_sent"] > 0
        assert len(await worker.tickets()) == outcomes["created"] + 1, "one ran, and its answer did not fit"
        while outcomes["not_sent"]:
            outcomes = await worker.deliver(16)
        assert await worker.tickets() == sorted(f"alert:1:a{n}" for n in range(16))


async def test_a_create_of_which_the_answer_says_nothing_is_looked_up(stage: SimulatedServiceNow) -> None:
    await stage.order(type="batch_ends", items=6, then="missing", times=1)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"created": 6, "outcome_unknown": 10}
        await worker.again(16)
        assert len(await worker.tickets()) == 16


async def test_an_instance_that_counts_the_items_gets_no_second_batch(stage: SimulatedServiceNow) -> None:
    await stage.order(type="rate_limit", limit=1000)
    await stage.set(rate_limit_counts_batch_items=True)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"created": 16}
        assert await worker.deliver(16, "b") == {"created": 16}
        assert await worker.batches() == 1
        found = worker.findings.kept["batch"]
        assert (found.holds, "one by one" in found.detail) == (False, True)
        assert worker.gate.state.quota.sharing == 1


async def test_items_refused_by_a_rate_limit_make_every_worker_pause(stage: SimulatedServiceNow) -> None:
    await stage.order(type="rate_limit", limit=10)
    await stage.set(rate_limit_counts_batch_items=True)
    async with backlog(stage) as worker:
        outcomes = await worker.deliver(16)
        assert outcomes == {"created": 9, "throttled": 7}
        assert await worker.deliver(1, "b") == {"throttled": 1}
        assert await worker.batches() == 1


async def test_an_instance_that_refuses_batches_gets_each_create_alone(stage: SimulatedServiceNow) -> None:
    await stage.order(type="scope_gate", match=_BATCH)
    async with backlog(stage) as worker:
        assert await worker.deliver(16) == {"created": 16}
        assert await worker.deliver(8, "b") == {"created": 8}
        assert await worker.batches() == 1
        assert not worker.findings.kept["batch"].holds


async def test_where_batches_get_no_answer_again_and_again_creates_go_alone(stage: SimulatedServiceNow) -> None:
    await stage.order(type="slow_quota", match=_BATCH)
    async with backlog(stage) as worker:
        for _ in range(3):
            assert await worker.deliver(8) == {"outcome_unknown": 8}
        assert await worker.deliver(8) == {"created": 8}
        assert await worker.batches() == 3


async def test_one_ticket_is_never_twice_in_a_batch(stage: SimulatedServiceNow) -> None:
    async with backlog(stage) as worker:
        tasks = worker.start(*drafts(8), *drafts(8))
        assert Counter(await asyncio.gather(*tasks)) == {"created": 16}
        assert await worker.tickets() == sorted(f"alert:1:a{n}" for n in range(8))
        requests = (await stage.told("/requests?limit=1000"))["requests"]
        batches = [json.loads(one["body"])["rest_requests"] for one in requests if one["path"] == PATH]
        assert batches
        for items in batches:
            ids = [json.loads(base64.b64decode(item["body"]))["sys_id"] for item in items]
            assert len(set(ids)) == len(ids)


async def test_nobody_waits_for_creates_that_left_already(stage: SimulatedServiceNow) -> None:
    await stage.set(latency_ms=600)
    async with backlog(stage) as worker:
        tasks = worker.start(*drafts(16))
        await worker.until_a_batch_left()
        await worker.gate.admit(urgent=False)
        mine = worker.gate.coming_delivery()
        assert mine is not None
        assert mine.coming == 1
        assert Counter(await asyncio.gather(*tasks)) == {"created": 16}


async def test_deliveries_that_are_killed_meanwhile_take_nobody_along(stage: SimulatedServiceNow) -> None:
    await stage.set(latency_ms=100)
    async with backlog(stage) as worker:
        tasks = worker.start(*drafts(16))
        await worker.until_a_batch_left()
        killed = [tasks[0], tasks[7]]  # the first one is that on whose account the batch was sent
        for task in killed:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in ended if one == "created"] == ["created"] * 14
        assert len(await worker.tickets()) == 16
        await worker.again(16)
        assert len(await worker.tickets()) == 16


async def test_a_worker_killed_with_a_batch_in_flight_leaves_one_ticket_for_each(stage: SimulatedServiceNow) -> None:
    await stage.order(type="timeout_after_commit", seconds=2.0, match=_BATCH, times=1)
    async with backlog(stage) as worker:
        tasks = worker.start(*drafts(16))
        await worker.until_a_batch_left()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with backlog(stage) as other:
            await other.again(16)
        assert len(await worker.tickets()) == 16
        assert (await stage.told("/violations"))["duplicates"] == []


async def test_creates_are_few_where_each_takes_long(stage: SimulatedServiceNow) -> None:
    await stage.set(batch_item_ms=120, batch_timeout_s=1.0)
    async with backlog(stage) as worker:
        outcomes = await worker.deliver(16)
        assert (outcomes["created"], outcomes["not_sent"]) == (8, 8)
        assert await worker.deliver(8, "b") == {"created": 8}


async def test_an_instance_that_ignores_ids_gets_each_create_alone(stage: SimulatedServiceNow) -> None:
    await stage.set(honour_client_sys_id=False)
    async with backlog(stage) as worker:
        assert await worker.deliver(1) == {"created": 1}
        assert await worker.deliver(12, "b") == {"created": 12}
        assert await worker.batches() == 0
