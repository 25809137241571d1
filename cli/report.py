"""The command ``report``: what became of the signals of the last hours, or would have become of them in a dry run."""

from __future__ import annotations

import json
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from app.container import Container
from cli.runtime import out, run
from shared.core.ticket_json import ticket_name
from shared.operations.outcome_report import OutcomeReport, outcome_report


class Modes(StrEnum):
    """Which signals count."""

    ALL = "all"
    LIVE = "live"
    DRY_RUN = "dry_run"


def report(
    hours: Annotated[int, typer.Option("--hours", min=1, max=24 * 90, help="How many hours to look back.")] = 24,
    mode: Annotated[Modes, typer.Option("--mode", help="Only signals of a dry run, or only those delivered.")] = (
        Modes.ALL
    ),
    samples: Annotated[int, typer.Option("--samples", min=0, max=20, help="Signals shown for each line.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text for people.")] = False,
) -> None:
    """Count what became of signals, by route and by what was done, with samples. In a dry run: what would have been
    done (create, update, reopen, resolve, grouped, suppressed, none, refused), with the fields as rendered.

    Example: .venv/bin/python bridge.py report --mode dry_run --hours 48
    """

    async def work(services: Container) -> OutcomeReport:
        now = services.now()
        entries = services.audit_log.read(now - timedelta(hours=hours), now + timedelta(minutes=1))
        return await outcome_report(entries, mode=mode.value, samples=samples)

    found = run(work)
    if as_json:
        print(json.dumps({"hours": hours, **found.shown()}, ensure_ascii=False))
        return
    _print(found, hours)


def _print(found: OutcomeReport, hours: int) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("mode", "route", "action", "signals"):
        table.add_column(column, overflow="fold")
    for line in found.lines:
        table.add_row(line.mode.replace("_", " "), escape(line.route or "-"), line.action, str(line.count))
    if found.lines:
        out.print(table)
    for line in found.lines:
        for sample in line.samples:
            would = "would " if line.mode == "dry_run" else ""
            named = f"{str(sample['time'])[:19]}  {sample['title'] or sample['key']}"
            action = f"{would}{line.action} {ticket_name(sample['ticket'])}".rstrip()
            out.print(f"{named}\n  {action} ({sample['decision']})", markup=False)
            if sample["reason"]:
                out.print(f"  {sample['reason']}", markup=False)
            for call in sample.get("calls", ()) if isinstance(sample.get("calls"), list) else ():
                for name, value in call.get("fields", {}).items():
                    out.print(f"    {name}: {' '.join(str(value).split())[:100]}", markup=False)
    more = "; there are more, which are not counted" if found.truncated else ""
    out.print(f"{found.signals} signals in {hours} hours{more}")
