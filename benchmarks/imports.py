"""Cold start: how long ``import function_app`` takes beside ``import azure.functions`` alone.

Fresh interpreters in turn, compiled bytecode, and only what the app imports at start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Report, at_most, median

ROOT = Path(__file__).resolve().parents[1]
_TIMED = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def run(report: Report, rounds: int = 15) -> None:
    """Measure and add the figure."""
    with tempfile.TemporaryDirectory(prefix="bridge-pyc-") as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        _warm(environment)
        times: dict[str, list[float]] = {"azure.functions": [], "function_app": []}
        for _ in range(rounds):
            for name, found in times.items():
                found.append(_import_time(name, environment))
    base, ours = median(times["azure.functions"]), median(times["function_app"])
    report.raw["import_seconds"] = times
    report.figures.append(
        at_most(
            "import function_app / import azure.functions",
            ours / base,
            1.5,
            f"{ours * 1000:.0f} ms against {base * 1000:.0f} ms, medians of {rounds} fresh interpreters",
        )
    )


def _warm(environment: dict[str, str]) -> None:
    """Let each module be compiled once, as pip and a first start do."""
    for name in ("azure.functions", "function_app"):
        for _ in range(2):
            _import_time(name, environment)


def _import_time(name: str, environment: dict[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(name)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
