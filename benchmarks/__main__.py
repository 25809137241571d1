"""``python -m benchmarks [NAME ...]``: all of them, or those named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import batch, delivery, export, findings, imports, mapping, standby, storage, webhook
from benchmarks.report import Report

_ALL: dict[str, Callable[[Report], None]] = {
    "imports": imports.run,
    "mapping": mapping.run,
    "storage": storage.run,
    "webhook": webhook.run,
    "delivery": delivery.run,
    "batch": batch.run,
    "findings": findings.run,
    "export": export.run,
    "standby": standby.run,
}
_RESULTS = Path(__file__).parent / "results" / "bench.json"


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Which: {', '.join(_ALL)}. None: all.")] = None,
) -> None:
    """Measure, print a table, write benchmarks/results/bench.json. A missed target is shown, not hidden."""
    chosen = names or list(_ALL)
    unknown = [name for name in chosen if name not in _ALL]
    if unknown:
        raise typer.BadParameter(f"no benchmark {', '.join(unknown)}; there are {', '.join(_ALL)}")
    report, progress = Report(), Console(stderr=True)
    for name in chosen:
        progress.print(f"measuring {name} ...")
        _ALL[name](report)
    report.show(Console())
    report.write(_RESULTS)
    progress.print("written to benchmarks/results/bench.json")
    missed = [one.name for one in report.figures if one.met is False]
    progress.print(f"targets missed: {'; '.join(missed)}" if missed else "every target met", markup=False)


typer.run(main)
