"""All parts one after the other, the table, the file, and whether anything broke that must not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from local.azurite import AzuriteError
from local.chaos import backlog, export, grouped, sleeping, storm, urgent
from local.chaos.figures import Part, Row, show, write
from local.chaos.stage import StageError

#: Alerts of the part "grouped" for each ten thousand of the storm.
_OF_ONE_RULE = 0.6

#: Characters of the table's lines where no terminal says.
_WIDTH = 150

Say = Callable[[str], None]


def parts(alerts: int, workers: int, seed: int, leases: Sequence[float]) -> dict[str, Callable[[Say], Part]]:
    """Every part by its name, in the order in which they run. ``leases``: see ``storm.Size``."""
    size = replace(storm.Size(), alerts=alerts, workers=workers, leases=tuple(leases))
    one_rule = max(int(alerts * _OF_ONE_RULE), 10)
    waiting = backlog.Size(workers=workers)
    return {
        "storm": lambda say: storm.run(seed, size, say),
        "batches": lambda say: storm.run(seed, replace(size, alerts=max(alerts // 4, 10), batches=True), say),
        "export": lambda say: export.run(seed, replace(export.Size(), workers=workers), say),
        "sleeping": lambda say: sleeping.run(seed, replace(sleeping.Size(), workers=workers), say),
        "urgent": lambda say: urgent.run(seed, replace(urgent.Size(), workers=workers), say),
        "grouped": lambda say: grouped.run(seed, one_rule, workers, say),
        "opening": lambda say: backlog.opening(seed, replace(backlog.Opening(), workers=workers), say),
        "efficiency": lambda say: backlog.efficient(seed, waiting, say),
        "recovery": lambda say: backlog.recovery(seed, waiting, say),
    }


def run(alerts: int, workers: int, seed: int, leases: Sequence[float], only: list[str], out: Path) -> int:
    """Run all parts or only some; the exit code: 1 when an invariant broke, whatever the figures are.

    Raises KeyError for a part that does not exist.
    """
    known = parts(alerts, workers, seed, leases)
    progress, found = Console(stderr=True), []
    for name in only or list(known):
        begun = time.monotonic()

        def say(line: str, name: str = name, begun: float = begun) -> None:
            progress.print(
                f"{name:<11}{time.monotonic() - begun:6.0f} s  {line}", markup=False, highlight=False, soft_wrap=True
            )

        say("starting storage, simulator and app")
        try:
            part = known[name](say)
        except (StageError, AzuriteError) as error:
            part = Part(name, [Row("came to its end", "no", "yes", False, must=True)], [str(error)])
        part.raw["took"] = round(time.monotonic() - begun, 1)
        found.append(part)
    console = Console()
    show(found, console if console.is_terminal else Console(width=_WIDTH))
    write(found, out, {"alerts": alerts, "workers": workers, "seed": seed, "leases": list(leases), "only": only})
    progress.print(f"written to {out}", markup=False)
    broken = [f"{part.name}: {name}" for part in found for name in part.broken]
    progress.print(f"BROKEN: {'; '.join(broken)}" if broken else "everything that must hold holds", markup=False)
    return 1 if broken else 0
