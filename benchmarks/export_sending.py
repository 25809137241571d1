"""Rows of the export, sent over TLS to the stand-in of the Logs Ingestion API: how many a second, and in what memory.

The clouds' stand-in runs in a process of its own, so that memory is that of the sender. Rows are about 1 KB as JSON and
come in pages of a thousand, as a ticket system is read.
"""

from __future__ import annotations

import asyncio
import gc
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.report import Figure, Report, at_most
from connectors.log_analytics.columns import TICKET_COLUMNS, TICKETS_STREAM, TICKETS_TABLE
from connectors.log_analytics.rows import ticket_row
from connectors.log_analytics.sender import LogSender
from connectors.log_analytics.settings import LogAnalyticsSettings
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints, MicrosoftClients
from shared.core.export import ExportField, TicketRecord
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import Phase, TicketKind

_RULE = "dcr-00000000000000000000000000000001"
_PAGE = 1_000
_FEW = 10_000
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """What a run cost.

    Attributes:
        rows: that arrived. bytes: of them as JSON. requests: that it took. seconds: of sending.
        memory_few, memory: bytes of resident memory after the first 10,000 rows, and the most after any page later.
    """

    rows: int
    bytes: int
    requests: int
    seconds: float
    memory_few: int
    memory: int


def rows_per_second(rows: int = 20_000) -> float:
    """How many rows are sent in a second. Raises RuntimeError when not all of them arrive."""
    sent = measured(rows)
    return sent.rows / sent.seconds


def memory_growth(rows: int = 100_000) -> float:
    """Resident memory at its highest, divided by that after 10,000 rows. Raises as :func:`rows_per_second`."""
    sent = measured(rows)
    return sent.memory / sent.memory_few


def measured(rows: int) -> Sent:
    """Send so many rows, at least 10,000. Raises RuntimeError when not all of them arrive."""
    with _clouds() as clouds:
        return asyncio.run(_send(clouds, rows))


def run(report: Report) -> None:
    """Measure and add the figures."""
    rate, sent = rows_per_second(), measured(100_000)
    size = sent.bytes / sent.rows
    report.raw["export_sending"] = {
        "rows_per_second": rate,
        "rows": sent.rows,
        "bytes": sent.bytes,
        "requests": sent.requests,
        "memory_few": sent.memory_few,
        "memory": sent.memory,
    }
    report.figures += [
        Figure("export: rows sent", rate, "1/s", note=f"20,000 rows of {size:.0f} bytes, one request at a time"),
        Figure(
            "export: requests for 1,000 rows",
            sent.requests * 1_000 / sent.rows,
            note=f"one page of {size * 1_000 / _MIB:.2f} MiB; a request may have 1 MiB",
        ),
        at_most(
            "export: resident memory at 100,000 rows / at 10,000",
            sent.memory / sent.memory_few,
            1.1,
            f"{sent.memory / _MIB:.0f} against {sent.memory_few / _MIB:.0f} MiB",
        ),
    ]


async def _send(clouds: dict[str, Any], rows: int) -> Sent:
    streams = {TICKETS_STREAM: {column.name: column.type.value for column in TICKET_COLUMNS}}
    async with httpx.AsyncClient(base_url=clouds["control_url"], timeout=60, trust_env=False) as control:
        declared = await control.post("/data-collection-rules", json={"immutable_id": _RULE, "streams": streams})
        declared.raise_for_status()
        async with aclosing(_clients(clouds)) as clients, aclosing(_sender(clouds, clients)) as sender:
            await sender.send_tickets(_page(0, 1))  # signed in, connected
            found = await _measure(sender, rows)
        shown = await control.get(f"/ingested/{TICKETS_TABLE}", params={"limit": 0, "distinct": "RecordId"})
    if shown.json()["distinct"] != rows:
        raise RuntimeError(f"{rows} rows were sent, {shown.json()['distinct']} arrived")
    return found


async def _measure(sender: LogSender, rows: int) -> Sent:
    requests, seconds, size = 0, 0.0, 0
    memory_few = memory = 0
    for first in range(0, rows, _PAGE):
        page = _page(first, min(_PAGE, rows - first))
        size += sum(len(json.dumps(ticket_row(one))) for one in page)
        began = time.perf_counter()
        requests += await sender.send_tickets(page)
        seconds += time.perf_counter() - began
        if first + len(page) <= _FEW:
            gc.collect()
            memory_few = _resident()
        memory = max(memory, _resident())
    return Sent(rows, size, requests, seconds, memory_few, memory)


def _page(first: int, count: int) -> list[TicketRecord]:
    now = datetime.now(UTC)
    long = "The web server of the shop answers slowly; see the chart of the last hour. " * 4
    people = dict.fromkeys((ExportField.CREATED_BY, ExportField.ASSIGNED_TO), "Lee Gu")
    return [
        TicketRecord(
            connection="contoso",
            kind=TicketKind.INCIDENT,
            id=f"{number:032x}",
            number=f"INC{number:07d}",
            url=f"https://contoso.example/nav_to.do?uri=incident.do?sys_id={number:032x}",
            revision="3",
            changed_at=now,
            phase=Phase.OPEN,
            values={
                ExportField.TITLE: f"Slow web server {number}",
                ExportField.DESCRIPTION: long,
                ExportField.STATE: "In Progress",
                ExportField.PRIORITY: "3 - Moderate",
                ExportField.CREATED: now,
                **people,
            },
        )
        for number in range(first, first + count)
    ]


def _sender(clouds: dict[str, Any], clients: MicrosoftClients) -> LogSender:
    sign_in = {
        "tenant": clouds["tenant_id"],
        "client_id": clouds["client_id"],
        "client_secret": {"secret": "bridge"},
    }
    settings = LogAnalyticsSettings.model_validate({"endpoint": clouds["https_url"], "rule": _RULE, "sign_in": sign_in})
    return LogSender(settings, clients, lambda: datetime.now(UTC))


def _clients(clouds: dict[str, Any]) -> MicrosoftClients:
    address, trust = clouds["https_url"], {"disable_instance_discovery": True, "connection_verify": clouds["ca_file"]}
    authorities = ssl.create_default_context(cafile=clouds["ca_file"])
    reach = CloudEndpoints(Endpoint(address, "https://management.azure.com/.default"), address, authorities, trust)
    return MicrosoftClients(SettingSecrets({"BRIDGE": clouds["client_secret"]}), reach)


def _resident() -> int:
    """Bytes of this process in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


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
