"""Tickets per second through the whole road, beside a bare loop that only POSTs, and what they cost.

ServiceNow takes 100 ms per call and gets four at once, in every contender. In each round, in turn: a bare httpx loop
that only POSTs; the bridge (webhook, queue, links in Azurite, worker, connector) from the first alert to the last
ticket; and what a user would write instead, with pysnow: look up by correlation_id, then create, four threads.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx

from benchmarks.report import Figure, Report, at_least, at_most, median
from local.demo.alerts import Azure
from local.running import Running
from shared.delivery.queue import SignalQueue
from shared.platform.storage import Storage

_IN_FLIGHT = 4


def run(report: Report, rounds: int = 3, tickets: int = 240) -> None:
    """Measure and add the figures."""
    rates: dict[str, list[float]] = {"bare": [], "bridge": [], "handmade": []}
    with Running(["--latency", "0.1", "--quiet"]) as running:
        desk = running.session["servicenow"]
        for _ in range(rounds):
            rates["bare"].append(asyncio.run(bare_loop(desk, tickets)))
            rates["bridge"].append(_bridge(running, tickets))
            rates["handmade"].append(_handmade(desk, tickets // 4))
        costs = _costs(running, 60)
    report.raw["tickets_per_second"] = rates
    report.raw["costs"] = costs
    rate = {name: median(values) for name, values in rates.items()}
    ratio = median([ours / bare for ours, bare in zip(rates["bridge"], rates["bare"], strict=True)])
    note = f"{rate['bridge']:.1f} against {rate['bare']:.1f} tickets/s, {tickets} tickets, median of {rounds} rounds"
    report.figures.append(at_least("bridge / bare httpx POST loop: tickets per second", ratio, 0.9, note))
    note = f"{rate['handmade']:.1f} tickets/s with pysnow: look up, then create"
    report.figures.append(Figure("look up, then create / bare loop", rate["handmade"] / rate["bare"], note=note))
    report.figures.append(at_most("ServiceNow calls per new ticket", costs["create"], 1.0))
    report.figures.append(at_most("ServiceNow calls per resolve", costs["resolve"], 2.0))
    report.figures.append(at_most("ServiceNow calls per duplicate", costs["duplicate"], 0.0))


async def bare_loop(desk: dict[str, Any], tickets: int) -> float:
    """Only POST, nothing else: the most that four calls in flight allow."""
    auth = (desk["integration_username"], desk["integration_password"])
    limits = httpx.Limits(max_connections=_IN_FLIGHT, max_keepalive_connections=_IN_FLIGHT)
    waiting = iter(range(tickets))
    async with httpx.AsyncClient(base_url=desk["url"], auth=auth, limits=limits, timeout=30, trust_env=False) as client:

        async def loop() -> None:
            for number in waiting:
                client.cookies.clear()  # kept cookies would make ServiceNow answer one call after the other
                body = {"short_description": f"bare {number}", "correlation_id": uuid4().hex, "impact": "2"}
                answer = await client.post("/api/now/table/incident", json=body)
                answer.raise_for_status()

        started = time.perf_counter()
        await asyncio.gather(*(loop() for _ in range(_IN_FLIGHT)))
        return tickets / (time.perf_counter() - started)


def _bridge(running: Running, tickets: int, patience: float = 120.0) -> float:
    """Post all alerts as Azure would; from the first of them to the last ticket, all of the road included."""
    control = running.session["servicenow"]["control_url"]
    running.http.delete(f"{control}/requests")
    azure = Azure()
    bodies = [azure.log_search(str(uuid4())) for _ in range(tickets)]
    started = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(running.post, bodies))
    while time.perf_counter() - started < patience:
        counters = running.http.get(f"{control}/counters").json()
        if counters["total"] >= tickets and counters["in_flight"] == 0:
            return tickets / (time.perf_counter() - started)
        time.sleep(0.05)
    raise RuntimeError(f"not all of {tickets} tickets were made within {patience:g} s")


def _handmade(desk: dict[str, Any], tickets: int) -> float:
    """What a user would write: is there one already? If not, create it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysnow

        def one(number: int) -> None:
            client = pysnow.Client(
                host=desk["url"].removeprefix("http://"),
                user=desk["integration_username"],
                password=desk["integration_password"],
                use_ssl=False,
            )
            incidents = client.resource(api_path="/table/incident")
            key = f"handmade-{number}-{uuid4().hex}"
            if not incidents.get(query={"correlation_id": key}, limit=1).one_or_none():
                incidents.create(payload={"short_description": "handmade", "correlation_id": key})

        started = time.perf_counter()
        with ThreadPoolExecutor(_IN_FLIGHT) as pool:
            list(pool.map(one, range(tickets)))
        return tickets / (time.perf_counter() - started)


def _costs(running: Running, count: int) -> dict[str, float]:
    """API calls per new ticket, per resolve and per duplicate, counted by the simulator."""
    control = running.session["servicenow"]["control_url"]
    running.http.patch(f"{control}/settings", json={"latency_ms": 0})
    azure, alerts, costs = Azure(), [str(uuid4()) for _ in range(count)], {}
    for name in ("create", "duplicate", "resolve"):
        running.http.delete(f"{control}/requests")
        for alert in alerts:
            body = azure.metric(alert, resolved=name == "resolve")
            body["data"]["customProperties"] = None  # no team, so no group to be looked up
            running.post(body)
        _until_idle(running)
        costs[name] = running.http.get(f"{control}/counters").json()["total"] / count
    return costs


async def _depth(connection_string: str) -> int:
    storage = Storage({"AzureWebJobsStorage": connection_string})
    try:
        return await SignalQueue(storage).depth()
    finally:
        await storage.aclose()


def _until_idle(running: Running, patience: float = 60.0) -> None:
    """Until the queue is empty, twice in a row: once it may just be between two messages."""
    deadline, quiet = time.monotonic() + patience, 0
    while quiet < 3:
        if time.monotonic() > deadline:
            raise RuntimeError("the queue did not run empty")
        depth = asyncio.run(_depth(running.session["storage"]["connection_string"]))
        quiet = quiet + 1 if depth == 0 else 0
        time.sleep(0.3)
