"""A poll of Defender's findings: calls when nothing and when little changed, and memory by the size of the estate.

The clouds' stand-in runs in a process of its own, so that memory is that of the poll. Queue and snapshot are Azurite's.
Every message on the queue becomes at most one call to the ticket system, so messages stand for calls.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from benchmarks.report import Figure, Report, at_most
from connectors.defender.poll.poll import FindingsPoll
from connectors.defender.poll.polled import PollResult
from connectors.defender.poll.tenants import DefenderTenants
from connectors.defender.settings import DefenderSettings
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints, MicrosoftClients
from connectors.microsoft.resource_graph import PAGE
from local.azurite import Azurite
from shared.core.messages import Message
from shared.core.secrets import SettingSecrets
from shared.delivery.queue import SignalQueue
from shared.platform.storage import Storage

_SUBSCRIPTIONS = 50
_FEW, _MANY = 40, 200  # a subscription: 2,000 and 10,000 in all
_MIB = 1024 * 1024


class _Counted:
    """The queue, with a count of the messages put on it."""

    def __init__(self, queue: SignalQueue) -> None:
        self.count = 0
        self._queue = queue

    async def send(self, envelope: Message, delay: timedelta = timedelta()) -> None:
        self.count += 1
        await self._queue.send(envelope, delay)


class _Stage:
    """The clouds, the bridge's storage, and a clock that is an hour further at every poll."""

    def __init__(self, clouds: dict[str, Any], storage: Storage) -> None:
        self.clouds = clouds
        self.control = httpx.Client(base_url=clouds["control_url"], timeout=120, trust_env=False)
        self.queue = _Counted(SignalQueue(storage))
        self._storage = storage
        self._later = timedelta()

    def told(self, method: str, path: str, **body: Any) -> Any:
        return self.control.request(method, path, json=body).raise_for_status().json()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._later

    async def poll(self) -> tuple[PollResult, int, float]:
        """A poll; its result, the peak of its memory in bytes, and its seconds without the watch over memory."""
        self._later += timedelta(hours=1)
        settings = self._settings()
        if settings.poll is None:
            raise RuntimeError("the benchmark polls")
        async with aclosing(self._clients()) as clients:
            poll = FindingsPoll(
                settings.poll, DefenderTenants(settings, clients), self._storage, self.queue, now=self.now
            )
            gc.collect()
            tracemalloc.reset_peak()
            before, began = tracemalloc.get_traced_memory()[0], time.perf_counter()
            (result,) = await poll.run()
            taken = time.perf_counter() - began
            peak = tracemalloc.get_traced_memory()[1] - before
        if not result.finished:
            raise RuntimeError(f"the poll was not finished: {result.reason}")
        return result, peak, taken

    async def some(self, code: str, count: int) -> list[str]:
        """Ids of some findings with a status."""
        query = (
            "securityresources | where type == 'microsoft.security/assessments' "
            f"| where properties.status.code == '{code}' | project id | order by id asc"
        )
        async with aclosing(self._clients()) as clients:
            for _, graph in DefenderTenants(self._settings(), clients).graphs():
                async for page in graph.pages(query):
                    return [row["id"] for row in page.rows[:: len(page.rows) // count]][:count]
        return []

    def _settings(self) -> DefenderSettings:
        clouds = self.clouds
        sign_in = {
            "tenant": clouds["tenant_id"],
            "client_id": clouds["client_id"],
            "client_secret": {"secret": "bridge"},
        }
        return DefenderSettings.model_validate({"tenants": [{"sign_in": sign_in}], "poll": {}})

    def _clients(self) -> MicrosoftClients:
        return MicrosoftClients(SettingSecrets({"BRIDGE": self.clouds["client_secret"]}), self._reach())

    def _reach(self) -> CloudEndpoints:
        address, authority = self.clouds["https_url"], self.clouds["ca_file"]
        return CloudEndpoints(
            Endpoint(address, "https://management.azure.com/.default"),
            address,
            ssl.create_default_context(cafile=authority),
            {"disable_instance_discovery": True, "connection_verify": authority},
        )


def run(report: Report) -> None:
    """Measure and add the figures."""
    with _clouds() as clouds, Azurite() as azurite:
        found = asyncio.run(_measure(clouds, azurite.connection_string))
    report.raw["findings"] = found
    note = (
        f"{found['findings']} assessments in {_SUBSCRIPTIONS} subscriptions, {found['least']} pages of {PAGE} at least"
    )
    report.figures += [
        at_most(
            "poll, nothing changed: Resource Graph calls / least possible", found["calls"] / found["least"], 1.1, note
        ),
        at_most("poll, nothing changed: messages (ticket calls)", found["messages"], 0, note),
        at_most(
            "poll, 1 % changed: messages (ticket calls) / changes",
            found["changed_messages"] / found["changes"],
            1.05,
            f"{found['changes']} changes, half of them new, half over; {found['changed_calls']} Resource Graph calls",
        ),
        at_most(
            "poll: peak memory with 10,000 findings / with 2,000",
            found["peak_many"] / found["peak_few"],
            1.1,
            f"{found['peak_many'] / _MIB:.1f} against {found['peak_few'] / _MIB:.1f} MiB, nothing changed",
        ),
        Figure("poll, nothing changed", found["seconds"], "s", note="with the watch over memory, which slows it down"),
    ]


@contextmanager
def _clouds() -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "local.azure"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the clouds say nothing")
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


async def _measure(clouds: dict[str, Any], connection_string: str) -> dict[str, Any]:
    storage = Storage({"AzureWebJobsStorage": connection_string})
    async with aclosing(storage):
        stage = _Stage(clouds, storage)
        tracemalloc.start()
        try:
            stage.told("POST", "/populate", subscriptions=_SUBSCRIPTIONS, assessments=_FEW)
            await stage.poll()
            _, peak_few, _ = await stage.poll()
            stage.told("POST", "/populate", subscriptions=_SUBSCRIPTIONS, assessments=_MANY)
            await stage.poll()
            sent = stage.queue.count
            same, peak_many, seconds = await stage.poll()
            messages = stage.queue.count - sent
            changes = await _change(stage, same.read // 100)
            sent = stage.queue.count
            changed, _, _ = await stage.poll()
        finally:
            tracemalloc.stop()
            stage.control.close()
        return {
            "findings": same.read,
            "least": math.ceil(same.read / PAGE),
            "calls": same.calls,
            "messages": messages,
            "changes": changes,
            "changed_messages": stage.queue.count - sent,
            "changed_calls": changed.calls,
            "peak_few": peak_few,
            "peak_many": peak_many,
            "seconds": seconds,
        }


async def _change(stage: _Stage, count: int) -> int:
    """Half of so many findings become healthy, half unhealthy."""
    over, back = await stage.some("Unhealthy", count // 2), await stage.some("Healthy", count // 2)
    for one in over:
        stage.told("POST", "/assessments", id=one, code="Healthy")
    for one in back:
        stage.told("POST", "/assessments", id=one, code="Unhealthy")
    return len(over) + len(back)
