"""The call log of the chaos sees every request of the simulator, also while more of them arrive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import httpx

from local import servicenow
from local.chaos.calls import CallLog
from local.servicenow.server import Simulator


class Busy(CallLog):
    """More requests arrive right after each look."""

    after_look: Callable[[], None] = staticmethod(lambda: None)

    def _look(self, limit: int) -> bool:
        goes_on = super()._look(limit)
        self.after_look()
        return goes_on


class Blind(CallLog):
    """Sees nothing."""

    def _look(self, limit: int) -> bool:
        return bool(limit)


def request(simulator: Simulator, times: int = 1) -> None:
    with httpx.Client(trust_env=False, auth=(simulator.integration_username, simulator.integration_password)) as http:
        for _ in range(times):
            http.get(f"{simulator.url}/api/now/table/incident", params={"sysparm_limit": "1"}).raise_for_status()


async def test_a_request_that_arrives_after_the_last_look_is_not_missed() -> None:
    async with servicenow.running() as simulator:

        def run() -> None:
            log = Busy(simulator.control_url, simulator.integration_username)
            log.after_look = lambda: request(simulator)
            with log:
                request(simulator, 3)
            assert log.complete
            assert len(log.calls) >= 3

        await asyncio.to_thread(run)  # the simulator runs in this loop


async def test_hundreds_between_two_looks_are_all_there_and_a_gap_is_found() -> None:
    async with servicenow.running() as simulator:

        def run() -> None:
            log = CallLog(simulator.control_url, simulator.integration_username)
            with log:
                threads = [threading.Thread(target=request, args=(simulator, 100)) for _ in range(3)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert log.complete
            assert len(log.calls) == 300
            with Blind(simulator.control_url, simulator.integration_username) as blind:
                request(simulator)
            assert not blind.complete

        await asyncio.to_thread(run)  # the simulator runs in this loop
