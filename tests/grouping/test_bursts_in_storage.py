"""Several workers count the same firings in real tables at once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from uuid import uuid4

from local.azurite import Azurite
from shared.core.signal import SignalState
from shared.delivery.grouping.burst_counter import BurstCounter, Placed
from shared.delivery.grouping.burst_model import BurstRules
from shared.delivery.grouping.store import GroupStore
from shared.delivery.links import LinkStore
from shared.platform.storage import Storage
from tests.delivery.world import START, signal

RULES = BurstRules(5, timedelta(minutes=10))


async def test_two_workers_decide_one_burst_and_store_each_alert_once(azurite: Azurite) -> None:
    base = f"burst:1:default/{uuid4().hex}"
    alerts = [signal(SignalState.FIRED, timedelta(seconds=n), key=f"alert:1:{uuid4()}") for n in range(12)]
    async with (
        aclosing(Storage({"AzureWebJobsStorage": azurite.connection_string})) as one,
        aclosing(Storage({"AzureWebJobsStorage": azurite.connection_string})) as other,
    ):
        stores = [GroupStore(one), GroupStore(other)]
        workers = [
            BurstCounter(store, LinkStore(storage), lambda: START + timedelta(minutes=1))
            for store, storage in zip(stores, (one, other), strict=True)
        ]
        turns = asyncio.Semaphore(4)

        async def placed(worker: BurstCounter, number: int) -> Placed:
            async with turns:
                return await worker.place(base, RULES, alerts[number])

        found = await asyncio.gather(*(placed(worker, number) for number in range(12) for worker in workers))
        assert len({one.group for one in found if one.group}) == 1, "one burst, whoever decided it"
        assert sum(one.decision == "opened" for one in found) <= 1
        (group,) = {one.group for one in found if one.group}
        members = await stores[0].members(group)
        assert (len(members), {one.value.firings for one in members}) == (5, {1})
        again = [await workers[0].place(base, RULES, alert) for alert in alerts]
        assert {one.group for one in again} == {group}, "delivered once more, each belongs where it was counted"
        bursts = (await stores[1].bursts(base)).value
        assert (bursts.held, bursts.moving, len(bursts.starts)) == ((), False, 1)
