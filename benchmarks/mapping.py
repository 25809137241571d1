"""Parse, route and map: microseconds per alert by kind of payload, and memory over many."""

from __future__ import annotations

import gc
import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.configuration import load_config, mapper_of
from app.registry import REGISTRY
from benchmarks.report import Figure, Report, at_most
from shared.core.signal import Signal
from shared.mapping.mapper import Mapper
from shared.payloads.parse import parse

ROOT = Path(__file__).resolve().parents[1]
_FIXTURES = ROOT / "tests" / "fixtures" / "azure_monitor"
_NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _mapper() -> Mapper:
    return mapper_of(load_config(ROOT / "bridge.yaml", {"SERVICENOW_URL": "https://contoso.service-now.com"}).config)


def run(report: Report, many: int = 100_000) -> None:
    """Measure and add the figures."""
    mapper = _mapper()
    per_kind: dict[str, tuple[str, float]] = {}
    for name, body in _payloads():
        found = parse(body, _NOW, REGISTRY.schemas, REGISTRY.foreign)
        if len(found) != 1 or not isinstance(found[0], Signal):
            continue
        kind = found[0].kind
        taken = _best(lambda body=body: _whole(mapper, body))  # type: ignore[misc]  # bound per turn of the loop
        if name.endswith("metric-static-fired.json") or kind not in per_kind:
            per_kind[kind] = (name, taken)
    report.raw["microseconds"] = per_kind
    for kind, (name, taken) in sorted(per_kind.items()):
        note = f"{Path(name).stem}, best of 7 x 400, after json.loads"
        if kind == "metric":
            report.figures.append(at_most("parse + route + map, metric", taken, 150, note, "us"))
        else:
            report.figures.append(Figure(f"parse + route + map, {kind}", taken, "us", note=note))
    _memory(report, mapper, many)


def _payloads() -> list[tuple[str, Any]]:
    files = [f for f in sorted(_FIXTURES.rglob("*.json")) if not f.name.endswith(".expected.json")]
    return [(str(f.relative_to(_FIXTURES)), json.loads(f.read_text(encoding="utf-8"))) for f in files]


def _whole(mapper: Mapper, body: Any) -> None:
    for item in parse(body, _NOW, REGISTRY.schemas, REGISTRY.foreign):
        if isinstance(item, Signal):
            route = mapper.route(item)
            if route is not None:
                mapper.ticket(route, item)


def _best(work: Callable[[], None], rounds: int = 7, turns: int = 400) -> float:
    """Microseconds of one call: the best round, because the machine's other work only ever adds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(turns):
            work()
        best = min(best, time.perf_counter() - started)
    return best / turns * 1e6


def _memory(report: Report, mapper: Mapper, many: int) -> None:
    body = next(body for name, body in _payloads() if name == "common/metric-static-fired.json")
    essentials = body["data"]["essentials"]

    def go(first: int, count: int) -> None:
        for number in range(first, first + count):
            essentials["alertId"] = f"/subscriptions/s/providers/Microsoft.AlertsManagement/alerts/{number:032x}"
            essentials["alertTargetIDs"] = [f"/subscriptions/s/resourceGroups/g/providers/a.b/c/vm-{number}"]
            _whole(mapper, body)

    tracemalloc.start()  # first, so that what replaces the content of a full cache is no growth
    go(0, 2000)  # caches are full from here on
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    go(2000, many)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    note = f"traced memory after {many:,} alerts with ids of their own, caches warm"
    report.figures.append(at_most("memory growth", grown / 1024, 256, note, "KiB"))
