"""Two workers with one budget in front of the ServiceNow simulator, which counts for itself."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.servicenow import ServiceNow
from local import servicenow
from shared.budget import BudgetGate, QuotaRules
from shared.core.errors import TicketSystemError
from shared.core.rate_gate import CallCounter
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import Draft, TicketKind
from tests.budget.fakes import START, Clock, MemoryStore
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected, secrets_of, settings_for

OAUTH = {
    "type": "oauth_client_credentials",
    "client_id": "{client_id}",
    "client_secret": {"secret": "demo-client-secret"},
}


class Desk:
    """The simulator, and two workers that share the budget of one connection."""

    def __init__(self, stage: SimulatedServiceNow, stack: AsyncExitStack) -> None:
        self.stage = stage
        self.clock, self.store = Clock(), MemoryStore()
        self._stack = stack
        self._names = 0

    async def workers(self, rules: QuotaRules, auth: Any = None) -> list[tuple[BudgetGate, ServiceNow]]:
        simulator = self.stage.simulator
        made = []
        for _ in range(2):
            budget = BudgetGate("contoso", rules, self.store, now=self.clock, chance=lambda: 0.5)
            secrets = SettingSecrets(secrets_of(simulator))
            system = ServiceNow("contoso", settings_for(simulator, auth), secrets, gate=budget)
            self._stack.push_async_callback(system.aclose)
            made.append((budget, system))
        return made

    async def deliver(self, worker: tuple[BudgetGate, ServiceNow], *, urgent: bool = False) -> str:
        """One delivery as a task of its own: created, or the error's code."""
        self._names += 1
        return await asyncio.create_task(self._create(*worker, str(self._names), urgent))

    async def _create(self, budget: BudgetGate, system: ServiceNow, name: str, urgent: bool) -> str:
        sys_id = hashlib.sha256(name.encode()).hexdigest()[:32]
        try:
            await budget.admit(urgent=urgent)
            await system.create(Draft(TicketKind.INCIDENT, sys_id, f"alert:1:{name}", {"short_description": "Full"}))
        except TicketSystemError as error:
            return error.code
        finally:
            await budget.aclose()
        return "created"

    async def arrived(self) -> tuple[int, int]:
        """Requests that the instance saw, and how many of them it refused for its rate limit."""
        counters = await self.stage.told("/counters")
        return int(counters["total"]), int(counters["by_status"].get("429", 0))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(servicenow.running())
        stage = await stack.enter_async_context(connected(simulator))
        await stage.clock(set=datetime.fromtimestamp(START, UTC).isoformat(), freeze=True)
        yield Desk(stage, stack)


async def test_the_limit_that_the_instance_names_is_never_passed(desk: Desk) -> None:
    await desk.stage.order(type="rate_limit", limit=30)
    workers = await desk.workers(QuotaRules())
    assert await desk.deliver(workers[0]) == "created"
    desk.clock.at += 3
    outcomes = await asyncio.gather(*(desk.deliver(workers[n % 2], urgent=n % 5 == 0) for n in range(60)))
    total, refused = await desk.arrived()
    assert refused == 0
    assert 0.9 * 30 <= total <= 30
    assert outcomes.count("created") == total - 1
    assert set(outcomes) == {"created", "throttled"}


async def test_a_configured_limit_is_never_passed_and_tokens_count(desk: Desk) -> None:
    workers = await desk.workers(QuotaRules(calls=20), OAUTH)
    outcomes = await asyncio.gather(*(desk.deliver(workers[n % 2], urgent=True) for n in range(40)))
    total, _ = await desk.arrived()
    assert 0.9 * 20 <= total <= 20
    assert 0 < outcomes.count("created") < total
    desk.clock.at += 3600
    assert await desk.deliver(workers[0], urgent=True) == "created"


async def test_workers_share_the_calls_in_flight(desk: Desk) -> None:
    await desk.stage.set(latency_ms=20)
    workers = await desk.workers(QuotaRules(in_flight=4))
    for worker in workers:  # until each has heard of the other
        await desk.deliver(worker)
    desk.clock.at += 3
    await asyncio.gather(*(desk.deliver(workers[n % 2]) for n in range(30)))
    assert (await desk.stage.told("/counters"))["max_in_flight"] == 4


@pytest.mark.parametrize("fault", [{"type": "throttle_bare", "body": "html"}, {"type": "throttle", "retry_after": 60}])
async def test_a_refusal_of_one_worker_silences_the_other(desk: Desk, fault: dict[str, Any]) -> None:
    workers = await desk.workers(QuotaRules())
    assert [await desk.deliver(worker) for worker in workers] == ["created", "created"]
    await desk.stage.order(**fault, times=1)
    assert await desk.deliver(workers[0]) == "throttled"
    before = await desk.arrived()
    desk.clock.at += 2.1
    assert [await desk.deliver(worker, urgent=True) for worker in workers] == ["throttled", "throttled"]
    assert await desk.arrived() == before
    desk.clock.at += 60
    assert [await desk.deliver(worker) for worker in workers] == ["created", "created"]


async def test_a_sleeping_instance_gets_one_call_at_a_time_until_it_is_awake(desk: Desk) -> None:
    workers = await desk.workers(QuotaRules())
    assert [await desk.deliver(worker) for worker in workers] == ["created", "created"]
    await desk.stage.order(type="hibernate")
    assert await desk.deliver(workers[1]) == "unavailable"
    for due in (16, 31, 61):
        before, _ = await desk.arrived()
        desk.clock.at += due - 5
        assert {await desk.deliver(worker) for worker in workers} == {"unavailable"}
        assert await desk.arrived() == (before, 0)
        desk.clock.at += 5
        outcomes = await asyncio.gather(*(desk.deliver(workers[n % 2], urgent=True) for n in range(8)))
        assert set(outcomes) == {"unavailable"}
        assert await desk.arrived() == (before + 1, 0)
    await desk.stage.heal()
    desk.clock.at += 121
    assert await desk.deliver(workers[0]) == "created"
    desk.clock.at += 2.1
    assert await desk.deliver(workers[1]) == "created"


async def test_a_call_without_a_delivery_keeps_to_the_budget_too(desk: Desk) -> None:
    ((_, system), _) = await desk.workers(QuotaRules(calls=2, reserve=0))
    made = 0
    with CallCounter() as tally:
        for _ in range(3):
            try:
                await system.find(TicketKind.INCIDENT, "0" * 32, "alert:1:none")
                made += 1
            except TicketSystemError as error:
                assert error.code == "throttled"  # noqa: PT017 - which of the calls is refused is not the question
    assert tally.calls == 2
    assert made >= 1
