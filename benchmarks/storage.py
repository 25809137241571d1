"""Storage operations per new ticket, per resolve and per duplicate, counted at the wire."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

from app.container import Container
from app.registry import REGISTRY
from benchmarks.report import Figure, Report, at_most
from local.azurite import Azurite
from local.demo.alerts import Azure
from local.servicenow import running
from shared.platform.storage import Storage
from shared.web.intake import accept

_COUNT = 160

#: Messages that the host hands to a worker at once (host.json, batchSize).
_AT_ONCE = 16


class _Counter:
    """Counts requests that leave for storage."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, request: object) -> None:
        del request
        self.count += 1


def run(report: Report) -> None:
    """Measure and add the figures."""
    found = asyncio.run(_measure())
    report.raw["storage_operations"] = found
    if not found["create"]:
        raise RuntimeError("no request was counted: the counter does not work")
    note = "requests to Table storage by delivery, counted at the wire; the queue itself is the host's"
    report.figures.append(at_most("storage operations per new ticket", found["create"], 3, note))
    report.figures.append(Figure("storage operations per resolve", found["resolve"], note=note))
    report.figures.append(Figure("storage operations per duplicate", found["duplicate"], note=note))


async def _measure() -> dict[str, float]:
    counter = _Counter()
    found: dict[str, float] = {}
    async with running() as desk:
        with Azurite() as azurite:
            settings = {
                "AzureWebJobsStorage": azurite.connection_string,
                "SERVICENOW_URL": desk.url,
                "SERVICENOW_USERNAME": desk.integration_username,
                "SERVICENOW_PASSWORD": desk.integration_password,
            }
            storage = Storage(settings, transport={"raw_request_hook": counter})
            services = Container(settings, storage=storage)
            azure, alerts = Azure(), [str(uuid4()) for _ in range(_COUNT)]
            await _deliver(services, azure, str(uuid4()), resolved=False)  # makes the tables
            for name in ("create", "duplicate", "resolve"):
                counter.count = 0
                for first in range(0, _COUNT, _AT_ONCE):
                    some = alerts[first : first + _AT_ONCE]
                    await asyncio.gather(*(_deliver(services, azure, a, resolved=name == "resolve") for a in some))
                found[name] = counter.count / _COUNT
            await services.aclose()
    return found


async def _deliver(services: Container, azure: Azure, alert: str, *, resolved: bool) -> None:
    body = azure.metric(alert, resolved=resolved)
    body["data"]["customProperties"] = None
    for envelope in accept(body, azure.now + timedelta(seconds=1), REGISTRY.schemas).messages:
        await services.worker.handle(envelope.id, await services.webhook.message(envelope), 1)
