"""Figures, their targets, and how they are shown and kept."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the report.

    Attributes:
        name: what was measured. value: the figure; a ratio unless ``unit`` says otherwise.
        target: what it should be, as text; met: whether it is, None where nothing is promised.
        note: how it came about.
    """

    name: str
    value: float
    unit: str = ""
    target: str = ""
    met: bool | None = None
    note: str = ""


def at_least(name: str, value: float, bound: float, note: str = "", unit: str = "") -> Figure:
    """A figure that should not be lower."""
    return Figure(name, value, unit, f">= {bound:g}", value >= bound, note)


def at_most(name: str, value: float, bound: float, note: str = "", unit: str = "") -> Figure:
    """A figure that should not be higher."""
    return Figure(name, value, unit, f"<= {bound:g}", value <= bound, note)


@dataclass
class Report:
    """All figures of a run, with the raw numbers behind them."""

    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(title="Benchmarks: ratios within one run", title_justify="left")
        for column in ("figure", "value", "target", "", "how"):
            table.add_column(column, justify="right" if column == "value" else "left", overflow="fold")
        for one in self.figures:
            met = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[one.met]
            table.add_row(one.name, f"{one.value:.3g} {one.unit}".strip(), one.target, met, one.note)
        console.print(table)

    def write(self, file: Path) -> None:
        """Keep everything as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        machine = {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "load": os.getloadavg(),
            "system": platform.platform(),
        }
        content = {
            "at": datetime.now(UTC).isoformat(),
            "machine": machine,
            "figures": [asdict(one) for one in self.figures],
            "raw": self.raw,
        }
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def median(values: Sequence[float]) -> float:
    """The middle one."""
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of all lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
