"""The write test finds out whether creates may share a call, and keeps what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.core.ticket_system import CheckLine, CheckStatus
from tests.servicenow_connector.backlog import Backlog, backlog, seen
from tests.servicenow_connector.findings import ALL, lines, needs
from tests.servicenow_connector.simulated import SimulatedServiceNow

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def probed(worker: Backlog, **options: Any) -> Mapping[str, CheckLine]:
    return lines(await worker.system.check(options.get("of", needs()), probe_writes=options.get("writes", True)))


async def test_a_fit_instance_is_kept_with_date_address_and_user(stage: SimulatedServiceNow) -> None:
    async with backlog(stage, []) as worker:
        found = await probed(worker, of=ALL)
        assert found["batch"].verdict is CheckStatus.OK
        assert "creates share calls" in found["batch"].detail
        kept = worker.findings.kept["batch"]
        assert kept.holds
        assert (kept.address, kept.account) == (stage.simulator.url, "basic:azure.bridge")
        assert set(kept.tables) == {"incident", "problem", "change_request"}
        assert (datetime.now(UTC) - kept.seen_at).total_seconds() < 60
        assert await worker.deliver(16) == {"created": 16}
        assert await worker.batches() == 2, "the test, and a batch of sixteen"
        assert f"({kept.seen_at:%Y-%m-%d})" in (await probed(worker, writes=False))["batch"].detail


async def test_the_records_of_the_test_are_taken_away_again(stage: SimulatedServiceNow) -> None:
    async with backlog(stage, []) as worker:
        await probed(worker, of=ALL)
        for table, new in (("incident", "1"), ("problem", "101"), ("change_request", "-5")):
            assert await stage.rows(table, "correlation_idSTARTSWITHcheck:1:")
            assert await stage.rows(table, f"correlation_idSTARTSWITHcheck:1:^state={new}") == []


async def test_a_rule_that_counts_a_batch_as_one_call_is_no_hindrance(stage: SimulatedServiceNow) -> None:
    await stage.order(type="rate_limit", limit=5000)
    async with backlog(stage, []) as worker:
        assert (await probed(worker))["batch"].verdict is CheckStatus.OK


@pytest.mark.parametrize(
    ("scenario", "settings", "detail"),
    [
        ({"type": "rate_limit", "limit": 5000}, {"rate_limit_counts_batch_items": True}, "one by one"),
        ({"type": "rate_limit", "limit": 50, "match": {"path": "/batch$"}}, {}, "limit of its own (50 calls"),
        ({"type": "scope_gate", "match": {"path": "/batch$"}}, {}, "HTTP 403"),
        ({"type": "batch_ends", "items": 0, "then": "missing"}, {}, "answers of their own"),
        (None, {"honour_client_sys_id": False}, "do not keep the id"),
    ],
)
async def test_an_instance_that_is_not_fit_is_warned_of_and_an_earlier_finding_is_replaced(
    stage: SimulatedServiceNow, scenario: dict[str, Any] | None, settings: dict[str, Any], detail: str
) -> None:
    if scenario is not None:
        await stage.order(**scenario)
    await stage.set(**settings)
    async with backlog(stage) as worker:
        line = (await probed(worker))["batch"]
        assert line.verdict is CheckStatus.WARNING
        assert detail in line.detail
        assert "a call of its own" in line.detail
        assert not worker.findings.kept["batch"].holds
        assert await worker.deliver(12) == {"created": 12}
        assert await worker.batches() == 1


async def test_without_the_write_test_it_says_that_nothing_is_known(stage: SimulatedServiceNow) -> None:
    async with backlog(stage, [seen(stage.simulator, address="https://other.service-now.com")]) as worker:
        line = (await probed(worker, writes=False))["batch"]
        assert line.verdict is CheckStatus.WARNING
        assert "write test" in line.fix


async def test_never_asks_nothing_and_says_nothing(stage: SimulatedServiceNow) -> None:
    async with backlog(stage, [], batch="never") as worker:
        assert "batch" not in await probed(worker)
        assert await worker.batches() == 0
        assert worker.findings.kept == {}
