"""The export to Log Analytics: calls to ServiceNow, rows per second, and memory by the number of tickets.

The app's own services export. ServiceNow and the Logs Ingestion API are in processes of their own, reached over
sockets. Calls are counted by the simulator of ServiceNow. It would take minutes to page through 100,000 stored tickets,
so the tickets of the figures of memory and time are made up page by page (``benchmarks.many_tickets``); the connector,
the client of the Logs Ingestion API and the rows are the same. Each of these exports has a process of its own; memory
is its largest resident set.
"""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.container import Container
from benchmarks.report import Figure, Report, at_most
from connectors.log_analytics.columns import TICKETS_TABLE
from local import log_store
from local.azurite import Azurite
from local.scratch import scratch
from local.up import cloud_settings
from shared.export import PAGE, ExportResult

#: Tickets of each kind in the simulator: full pages and one that is not.
_STORED: Mapping[str, int] = {"incident": 19_800, "change_request": 7_300, "problem": 7_300}

_FEW, _MANY = 20_000, 100_000
_MIB = 1024  # in KiB

_CONFIG = """
version: 1
connections:
  {name}:
    type: servicenow
    url: {url}
    auth: {{type: basic, username: {user}, password: {{secret: servicenow-password}}}}
    export: {{kinds: [{kinds}], days: 30}}
default: {{connection: {name}}}
log_analytics:
  endpoint: ${{LOGS_INGESTION_ENDPOINT}}
  rule: ${{LOGS_INGESTION_RULE}}
  sign_in: {{tenant: {tenant}, client_id: {client}, client_secret: {{secret: bridge}}}}
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """Clouds and storage: what a bridge needs beside a ticket system. Another process can use it too."""

    clouds: Mapping[str, Any]
    storage: str
    folder: Path

    def bridge(self, desk: Mapping[str, Any], kinds: str) -> Container:
        """A bridge that exports from a ticket system, under a name that its address gives."""
        config = self.folder / f"{urlsplit(desk['url']).port}.yaml"
        text = _CONFIG.format(
            name=f"desk-{urlsplit(desk['url']).port}",
            url=desk["url"],
            user=desk.get("integration_username", "azure.bridge"),
            kinds=kinds,
            tenant=self.clouds["tenant_id"],
            client=self.clouds["client_id"],
        )
        config.write_text(text, encoding="utf-8")
        return Container(
            {
                **cloud_settings(self.clouds),
                **log_store.declare(self.clouds),
                "AzureWebJobsStorage": self.storage,
                "BRIDGE_CONFIG": str(config),
                "BRIDGE": self.clouds["client_secret"],
                "SERVICENOW_PASSWORD": desk.get("integration_password", "any"),
            }
        )

    def stored(self) -> int:
        """Rows of tickets that Log Analytics holds."""
        return log_store.counts(self.clouds).get(TICKETS_TABLE, 0)


def run(report: Report) -> None:
    """Measure and add the figures."""
    with ExitStack() as stack:
        storage = stack.enter_context(Azurite()).connection_string
        place = _Place(stack.enter_context(_process("local.azure")), storage, stack.enter_context(scratch("bench")))
        with _process("local.servicenow") as desk:
            calls = asyncio.run(_calls(place, desk))
        many = {count: _in_own_process(place, count) for count in (_FEW, _MANY)}
    report.raw["export"] = {**calls, "many": {count: asdict(one) for count, one in many.items()}}
    few, most, tables = many[_FEW], many[_MANY], len(_STORED)
    report.figures += [
        at_most(
            "export: ServiceNow calls per 1,000 rows / least possible",
            calls["calls"] / calls["least"],
            1.1,
            f"{calls['rows']:,} rows, {calls['calls']} calls, {calls['least']} pages of {PAGE} at least; the others "
            "count the tickets and ask for deletions, once for each table",
        ),
        at_most(
            "export, nothing changed: ServiceNow calls per table", calls["idle_calls"] / tables, 1, f"{tables} tables"
        ),
        Figure(
            "export: rows sent",
            _MANY / most.seconds,
            "rows/s",
            note=f"{_MANY:,} rows, tickets made up page by page; {calls['rows'] / calls['seconds']:.0f} rows/s from "
            "the simulator, which looks through all of a table for each page",
        ),
        at_most(
            "export: peak memory with 100,000 tickets / with 20,000",
            most.peak / few.peak,
            1.1,
            f"{most.peak / _MIB:.0f} against {few.peak / _MIB:.0f} MiB of the whole process; made up page by page",
        ),
    ]


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None:
                raise RuntimeError(f"{module} says nothing")
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


async def _calls(place: _Place, desk: Mapping[str, Any]) -> dict[str, Any]:
    """A back-fill of what the simulator holds, then an export with nothing changed."""
    with httpx.Client(base_url=desk["control_url"], timeout=120, trust_env=False) as control:
        for table, count in _STORED.items():
            _put(control, table, count)
        _counted(control)
        async with aclosing(place.bridge(desk, ", ".join(_STORED))) as bridge:
            began = time.perf_counter()
            result = await _exported(bridge)
            seconds = time.perf_counter() - began
            calls = _counted(control)
            idle = await _exported(bridge)
            idle_calls = _counted(control)
    if place.stored() != result.rows:
        raise RuntimeError(f"{result.rows} rows were sent and {place.stored()} are stored")
    if idle.rows:
        raise RuntimeError(f"{idle.rows} rows were sent though nothing had changed")
    return {
        "rows": result.rows,
        "calls": calls,
        "least": sum(math.ceil(count / PAGE) for count in _STORED.values()),
        "idle_calls": idle_calls,
        "seconds": seconds,
    }


def _put(control: httpx.Client, table: str, count: int) -> None:
    """Tickets that changed one second after the other, the last an hour ago."""
    begin = datetime.now(UTC) - timedelta(hours=1, seconds=count)
    rows = [
        {
            "short_description": f"Disk of machine {number} fills up",
            "sys_updated_on": f"{begin + timedelta(seconds=number):%Y-%m-%d %H:%M:%S}",
        }
        for number in range(count)
    ]
    control.post("/rows", json={"table": table, "rows": rows}).raise_for_status()


def _counted(control: httpx.Client) -> int:
    """Calls since the last look."""
    total = int(control.get("/counters").raise_for_status().json()["total"])
    control.delete("/requests").raise_for_status()
    return total


async def _exported(bridge: Container) -> ExportResult:
    (result,) = await bridge.exports.export_tickets()
    if not result.finished:
        raise RuntimeError(f"the export was not finished: {result.reason}")
    return result


@dataclass(frozen=True, slots=True)
class _Cost:
    """What an export cost: seconds, and the largest resident set of its process in KiB."""

    seconds: float
    peak: int


def _in_own_process(place: _Place, count: int) -> _Cost:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_cost, place, count).result()


def _cost(place: _Place, count: int) -> _Cost:
    """The cost of exporting so many tickets."""
    seconds = asyncio.run(_export_many(place, count))
    return _Cost(seconds, _peak())


def _peak() -> int:
    """The largest resident set of this process in KiB (Linux). ``ru_maxrss`` would begin with that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


async def _export_many(place: _Place, count: int) -> float:
    with _process("benchmarks.many_tickets", str(count)) as desk:
        async with aclosing(place.bridge(desk, "incident")) as bridge:
            before = place.stored()
            began = time.perf_counter()
            result = await _exported(bridge)
            seconds = time.perf_counter() - began
    added = place.stored() - before
    if not added == result.rows == count:
        raise RuntimeError(f"{result.rows} of {count} tickets were sent, {added} are stored")
    return seconds
