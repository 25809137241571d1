"""The webhook beside an empty function, on the same host, in the same run.

Two empty functions: one that does nothing at all, and one that puts its body on a queue and does nothing else. The
first is the target as it was set. It cannot be met here: 202 is said only when the signal is on the queue, and
Azurite, one Node process, needs about half a millisecond of its core to store a message, which alone is several times
what an empty function takes. The second shows what our own code costs.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from benchmarks.report import Figure, Report, at_least, median, percentile
from local import lifeline
from local.azurite import Azurite
from local.demo.alerts import Azure

ROOT = Path(__file__).resolve().parents[1]
_KEY = "benchmark-key"

#: Two comparisons in one app: a function that does nothing at all, and one that does nothing but enqueue its body.
_EMPTY = """
from typing import List
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="empty", methods=["POST"])
async def empty(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=202)


@app.route(route="enqueue", methods=["POST"])
@app.queue_output(arg_name="queued", queue_name="bench-enqueue", connection="AzureWebJobsStorage")
async def enqueue(req: func.HttpRequest, queued: func.Out[List[str]]) -> func.HttpResponse:
    queued.set([req.get_body().decode()])
    return func.HttpResponse(status_code=202)
"""


def run(report: Report, rounds: int = 5, calls: int = 600, at_once: int = 8) -> None:
    """Measure and add the figures."""
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder, Azurite() as azurite:
        app = Path(folder)
        (app / "function_app.py").write_text(_EMPTY)
        (app / "host.json").write_text((ROOT / "host.json").read_text())
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "SERVICENOW_URL": "https://contoso.example.com",
            "AzureWebJobs.deliver.Disabled": "true",
        }
        with _host(ROOT, settings) as bridge, _host(app, settings) as empty:
            targets = {
                "webhook": f"{bridge}/api/alerts",
                "empty": f"{empty}/api/empty",
                "enqueue": f"{empty}/api/enqueue",
            }
            found = asyncio.run(_measure(targets, rounds, calls, at_once))
    report.raw["webhook"] = found
    rate = {name: median([one["rate"] for one in rounds_]) for name, rounds_ in found.items()}
    tail = {
        name: (median([r["p50"] for r in rounds_]), median([r["p99"] for r in rounds_]))
        for name, rounds_ in found.items()
    }
    for name, other in (("an empty function", "empty"), ("an empty function with the same queue output", "enqueue")):
        note = f"{rate['webhook']:.0f} against {rate[other]:.0f} requests/s at {at_once} at once, medians of {rounds}"
        ratio = rate["webhook"] / rate[other]
        report.figures.append(at_least(f"webhook / {name}: requests per second", ratio, 0.6, note))
    for share, index in (("p50", 0), ("p99", 1)):
        ratio = tail["webhook"][index] / tail["enqueue"][index]
        note = ", ".join(f"{name} {values[index] * 1000:.1f} ms" for name, values in tail.items())
        report.figures.append(Figure(f"webhook / empty with queue output: {share}", ratio, note=note))


@contextmanager
def _host(app: Path, settings: dict[str, str]) -> Iterator[str]:
    """The local host serving one app; its URL."""
    command = [sys.executable, "-m", "local.lifeline", "local.host", "--app", str(app), "--port", "0", "--key", _KEY]
    options = lifeline.options({**os.environ, **settings})
    process: subprocess.Popen[str] = subprocess.Popen(
        [*command, "--log-level", "error"], **{**options, "stderr": subprocess.DEVNULL}
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        lifeline.stop(process)
        if process.stdout is not None:
            process.stdout.close()


async def _measure(targets: dict[str, str], rounds: int, calls: int, at_once: int) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in targets}
    azure = Azure()
    bodies = [json.dumps(azure.metric(f"{number:08d}-3333-4000-8000-000000000000")) for number in range(calls)]
    connector = aiohttp.TCPConnector(limit=at_once)
    headers = {"x-functions-key": _KEY, "content-type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        for url in targets.values():
            await _round(session, url, bodies[:100], at_once)
        for _ in range(rounds):
            for name, url in targets.items():
                found[name].append(await _round(session, url, bodies, at_once))
    return found


async def _round(session: aiohttp.ClientSession, url: str, bodies: list[str], at_once: int) -> dict[str, float]:
    waiting = iter(bodies)
    times: list[float] = []

    async def client() -> None:
        for body in waiting:
            started = time.perf_counter()
            async with session.post(url, data=body) as answer:
                await answer.read()
                if answer.status != 202:
                    raise RuntimeError(f"{url} answered {answer.status}")
            times.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    taken = time.perf_counter() - started
    return {"rate": len(bodies) / taken, "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}
