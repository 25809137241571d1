"""What it costs a webhook that somebody looks whether Azure calls its functions.

Two things are measured: what every request pays before its answer, and what one look costs the process, once a minute.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from app.container import Container
from app.standby import LOOK_EVERY, Standby
from app.timers import all_jobs
from benchmarks.report import Figure, Report, at_most, median
from local.azurite import Azurite
from local.demo.alerts import Azure
from shared.core.http import Request
from shared.operations.vital_signs import VitalSigns
from shared.platform.storage import Storage

_REQUESTS = 200
_LOOKS = 20


class _Counter:
    """Counts requests that leave for storage."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, request: object) -> None:
        del request
        self.count += 1


def run(report: Report) -> None:
    """Measure and add the figures."""
    with Azurite() as azurite:
        asyncio.run(_measure(report, azurite.connection_string))


async def _measure(report: Report, connection_string: str) -> None:
    counter, ahead = _Counter(), timedelta()
    settings = {"AzureWebJobsStorage": connection_string}
    storage = Storage(settings, transport={"raw_request_hook": counter})
    services = Container(settings, storage=storage, now=lambda: datetime.now(UTC) + ahead)
    standby = Standby(services, ticks=lambda: time.monotonic() + ahead.total_seconds())
    signs = VitalSigns(storage, services.now, ticks=lambda: time.monotonic() + ahead.total_seconds())
    functions = ("deliver", "park_poison", "run_job", *(job.name for job in all_jobs(services.registry)))
    webhook = median([await _webhook(services) for _ in range(_REQUESTS)])
    looks: list[float] = []
    for _ in range(_LOOKS):
        ahead += timedelta(seconds=LOOK_EVERY + 1)
        for name in functions:
            async with signs.call(name):
                pass
        began = time.process_time()
        await standby.help(1)
        looks.append(time.process_time() - began)
    look = median(looks)
    counter.count = 0
    began = time.perf_counter()
    for _ in range(10_000):
        standby.after_request()
    each = (time.perf_counter() - began) / 10_000
    for _ in range(59):
        ahead += timedelta(seconds=1)
        await standby.help(1)
    note = f"{each * 1e6:.1f} us against {webhook * 1e3:.1f} ms for the answer; the look itself comes after it"
    report.figures.append(at_most("look for signs of life: share of a webhook's answer", each / webhook, 0.01, note))
    note = f"{look * 1e3:.1f} ms of processor a minute"
    for rate in (1, 10):
        share = look / (LOOK_EVERY * rate * webhook)
        report.figures.append(Figure(f"look / webhooks, {rate} a second: processor", share, note=note))
    counted = "requests to storage in 59 seconds after a look, one webhook a second"
    report.figures.append(at_most("storage operations between two looks", counter.count, 0, counted))
    report.raw["standby"] = {"each": each, "look": look, "webhook": webhook}
    await standby.aclose()
    await services.aclose()
    await storage.aclose()


async def _webhook(services: Container) -> float:
    """Seconds for one alert, from the request to the answer."""
    intake = next(one for source in services.registry.sources for one in source.intakes if not one.token)
    body = json.dumps(Azure().metric(str(uuid4()))).encode()
    request = Request("POST", {}, {}, {"Content-Type": "application/json"}, body)
    began = time.perf_counter()
    answer = await services.webhook.take_in(intake, request)
    if answer.status != 202:
        raise RuntimeError(f"the webhook answered {answer.status}")
    return time.perf_counter() - began
