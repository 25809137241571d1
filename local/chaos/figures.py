"""What a part of the chaos found: figures with their targets, and what must hold."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name, value: what was measured, and the figure as text.
        target: what it should be, as text; empty where nothing is promised.
        met: whether it is.
        must: it has to be, or the whole run has failed.
        note: how it came about.
    """

    name: str
    value: str
    target: str = ""
    met: bool | None = None
    must: bool = False
    note: str = ""


def at_most(name: str, value: float, bound: float, note: str = "") -> Row:
    """A figure that should not be higher."""
    return Row(name, f"{value:.3g}", f"<= {bound:g}", value <= bound, note=note)


def at_least(name: str, value: float, bound: float, note: str = "") -> Row:
    """A figure that should not be lower."""
    return Row(name, f"{value:.3g}", f">= {bound:g}", value >= bound, note=note)


def must_be(name: str, value: int, wanted: int, note: str = "") -> Row:
    """A number that is an invariant."""
    return Row(name, f"{value:,}", f"= {wanted:,}", value == wanted, must=True, note=note)


def fact(name: str, value: str, note: str = "") -> Row:
    """Something to know."""
    return Row(name, value, note=note)


@dataclass
class Part:
    """One part of the chaos.

    Attributes:
        name: of it. rows: of the table. findings: what is wrong, in sentences. raw: numbers behind the rows.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """Names of invariants that do not hold."""
        return [row.name for row in self.rows if row.must and row.met is False]


def listed(counts: Mapping[str, int]) -> str:
    """Numbers by name as text, the largest first."""
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items(), key=lambda item: -item[1]))


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of all lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def show(parts: Sequence[Part], console: Console) -> None:
    """Print the table, and what is wrong below it."""
    table = Table(title="Chaos", title_justify="left")
    for column in ("part", "figure", "value", "target", "", "how"):
        table.add_column(column, justify="right" if column == "value" else "left", overflow="fold")
    for part in parts:
        for number, row in enumerate(part.rows):
            met = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[row.met]
            met = "[red bold]BROKEN[/]" if row.must and row.met is False else met
            table.add_row("" if number else part.name, row.name, row.value, row.target, met, escape(row.note))
        table.add_section()
    console.print(table)
    for part in parts:
        for finding in part.findings:
            console.print(f"{part.name}: {finding}", markup=False)


def write(parts: Sequence[Part], file: Path, options: dict[str, Any]) -> None:
    """Keep everything as JSON."""
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()},
        "options": options,
        "parts": [asdict(part) for part in parts],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
