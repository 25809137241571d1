"""The command ``reconcile``: compare Azure's list of alerts with what the bridge knows, now."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from app.container import Container
from cli.runtime import err, fail, out, run
from connectors.azure_monitor.reconcile.comparison import ReconcileResult
from connectors.azure_monitor.settings import ReconcileSettings
from connectors.azure_monitor.source import AzureMonitorSource


def reconcile(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be delivered; change nothing anywhere.")
    ] = False,
) -> None:
    """Compare Azure's own list of alerts with what the bridge knows, as the timer does, and show the result."""

    async def work(services: Container) -> list[ReconcileResult]:
        if services.config.section("reconcile", ReconcileSettings) is None:
            fail(f"{services.config_path.name} has no section 'reconcile'; see docs/reconcile.md")
        return await services.source(AzureMonitorSource).reconcile(dry_run=dry_run)

    results = run(work)
    table = Table(box=None, pad_edge=False)
    columns = ("subscription", "alerts", "known", "missed", "resolved", "left", "waiting", "unreadable", "calls")
    for column in columns:
        table.add_column(column, overflow="fold")
    for result in results:
        table.add_row(*(str(getattr(result, column)) for column in columns))
    out.print(table)
    for result in results:
        for signal in result.found:
            out.print(f"{signal.state.value}: {signal.title} ({signal.key})", markup=False)
        if result.reason:
            err.print(f"{result.subscription}: {result.reason}", style="red", markup=False)
    if any(result.reason for result in results):
        raise typer.Exit(1)
