"""A backlog of low-urgency alerts where creates share calls: calls per ticket, and tickets per second.

ServiceNow takes 100 ms per call and gets four at once. In each round: a bare httpx loop that only POSTs; then 1,000
alerts of severity 2 that wait on the queue while the worker is not called, and are delivered at once. Measured from the
first call to the last ticket. The simulator runs the items of a batch without further delay. A real instance takes its
time for each, one after the other, so the same is measured once with 100 ms for each item as well.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from benchmarks.delivery import bare_loop
from benchmarks.report import Figure, Report, at_least, at_most, median
from local.chaos.config import config
from local.chaos.stage import Stage
from local.chaos.truth import depth
from local.demo.alerts import Azure

#: Calls that the budget allows in an hour. The bare loop knows no budget.
_CALLS = 2_000

#: Seconds to fill the queue, and to deliver what is on it.
_PATIENCE = 180.0


def run(report: Report, rounds: int = 3, alerts: int = 1_000, workers: int = 4) -> None:
    """Measure and add the figures."""
    bare, shared, costs = [], [], []
    with Stage(config(calls=_CALLS, window=3600), workers, latency=0.1, on_disk=False) as stage:
        stage.probe_writes()
        for _ in range(rounds):
            bare.append(asyncio.run(bare_loop(stage.servicenow, 240)))
            rate, calls = _drain(stage, alerts)
            shared.append(rate)
            costs.append(calls)
        stage.control("PATCH", "/settings", json={"batch_item_ms": 100})
        slow, slow_calls = _drain(stage, alerts)
    report.raw["batch"] = {"bare": bare, "shared": shared, "calls": costs, "item_100_ms": [slow, slow_calls]}
    note = f"{alerts:,} alerts that wait on the queue, {workers} workers, median of {rounds} rounds"
    report.figures.append(at_most("ServiceNow calls per ticket in a backlog, shared", median(costs), 0.1, note))
    ratio = median([ours / loop for ours, loop in zip(shared, bare, strict=True)])
    note = f"{median(shared):.1f} against {median(bare):.1f} tickets/s"
    report.figures.append(at_least("the same / bare httpx POST loop: tickets per second", ratio, 3.0, note))
    note = f"{slow:.1f} tickets/s, {slow_calls:.2f} calls per ticket; one round"
    report.figures.append(Figure("the same where each item of a batch takes 100 ms", slow / median(bare), note=note))


def _drain(stage: Stage, alerts: int) -> tuple[float, float]:
    """Tickets per second and calls per ticket of a backlog."""
    stage.sleep("deliver")
    time.sleep(1.0)  # until every worker has looked at what sleeps
    azure = Azure()
    bodies = [azure.log_search(str(uuid4())) for _ in range(alerts)]
    headers = {"x-functions-key": stage.key}

    def post(body: object) -> None:
        stage.http.post(stage.alerts_url, json=body, headers=headers).raise_for_status()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post, bodies))
    stage.wait(lambda: (asyncio.run(depth(stage)) or 0) >= alerts, "the alerts on the queue", _PATIENCE)
    before = _tickets(stage)
    stage.control("DELETE", "/requests")
    stage.sleep()
    stage.wait(lambda: stage.control("GET", "/counters")["total"] > 0, "the first call", _PATIENCE, pause=0.01)
    begun = time.perf_counter()
    stage.wait(lambda: asyncio.run(depth(stage)) == 0, "an empty queue", _PATIENCE, pause=0.1)
    seconds = time.perf_counter() - begun
    calls = stage.control("GET", "/counters")["total"]
    made = _tickets(stage) - before
    if made != alerts:
        raise RuntimeError(f"{made} tickets were made of {alerts} alerts")
    return alerts / seconds, calls / alerts


def _tickets(stage: Stage) -> int:
    """Incidents that the instance holds."""
    desk = stage.servicenow
    answer = stage.http.get(
        f"{desk['url']}/api/now/table/incident",
        params={"sysparm_limit": "1", "sysparm_fields": "sys_id"},
        auth=(desk["username"], desk["password"]),
    )
    return int(answer.headers["X-Total-Count"])
