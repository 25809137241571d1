"""The command ``check``: are the connections and Microsoft's services usable as the configuration needs them?"""

from __future__ import annotations

import contextlib
import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from app.container import Container
from cli.runtime import err, fail, out, run
from shared.core.errors import ConfigurationError, StorageUnavailable
from shared.core.ticket_system import CheckLine, CheckStatus
from shared.operations.standing_warnings import standing_warnings

_MARKS = {
    CheckStatus.OK: "[green]ok[/]",
    CheckStatus.WARNING: "[yellow]warning[/]",
    CheckStatus.FAILED: "[red]failed[/]",
}


class Checks(StrEnum):
    """What ``check`` looks at."""

    ALL = "all"
    CONNECTIONS = "connections"
    SOURCES = "sources"


def check(
    connection: Annotated[str, typer.Argument(help="Only this connection.")] = "",
    probe_writes: Annotated[
        bool,
        typer.Option(
            "--probe-writes",
            help="Also create and delete a test ticket: the only way to see that tickets can be written and that "
            "the instance keeps ids chosen by the client.",
        ),
    ] = False,
    only: Annotated[
        Checks, typer.Option(help="Only the connections, or only Microsoft's services; with CONNECTION only that.")
    ] = Checks.ALL,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line of the check instead of tables.")
    ] = False,
) -> None:
    """Check the connections: reachable, awake, signed in, rights, fields and choices; then Microsoft's services that
    the configuration uses: signed in, rights, what is visible. Each failure comes with a fix."""
    show = _print_json if as_json else _show
    if connection and only is Checks.SOURCES:
        fail("give either a connection or --only sources")

    async def work(services: Container) -> bool:
        if not connection and only is Checks.ALL and (found := await _traps(services)):
            show("configuration and traps", found)
        names = [connection] if connection else sorted(services.config.connections)
        names = [] if only is Checks.SOURCES else names
        passed = True
        for name in names:
            if name not in services.config.connections:
                known = ", ".join(sorted(services.config.connections))
                fail(f"there is no connection '{name}'; known: {known}")
            with err.status(f"checking {name} ..."):
                lines = await services.system(name, budgeted=False).check(
                    services.needs(name), probe_writes=probe_writes
                )
            passed &= show(name, list(lines))
        if connection or only is Checks.CONNECTIONS:
            return passed
        with err.status("checking Microsoft's services ..."):
            sources = await services.check_sources()
        for checked in sources:
            passed &= show(checked.name, list(checked.lines))
        return passed

    if not run(work):
        raise typer.Exit(1)


async def _traps(services: Container) -> list[CheckLine]:
    """What in the configuration has no effect or is switched off, and traps that signals showed lately."""
    said = [*standing_warnings(services.config), *services.config_warnings]
    lines = [CheckLine("bridge.yaml", CheckStatus.WARNING, *_with_fix(text)) for text in said]
    with contextlib.suppress(StorageUnavailable, ConfigurationError):  # a check needs no storage
        found = await services.traps.read()
        lines += [CheckLine(trap.code, CheckStatus.WARNING, trap.text, trap.fix) for trap in found]
    return lines


def _with_fix(text: str) -> tuple[str, str]:
    said, _, fix = text.partition(". Fix: ")
    return said, fix


def _print_json(name: str, lines: list[CheckLine]) -> bool:
    """Print the lines of one check as JSON; False when one of them failed."""
    for line in lines:
        shown = {"of": name, "check": line.name, "result": line.verdict, "detail": line.detail, "fix": line.fix}
        print(json.dumps(shown, ensure_ascii=False))
    return _passed(lines)


def _passed(lines: list[CheckLine]) -> bool:
    return all(line.verdict is not CheckStatus.FAILED for line in lines)


def _show(name: str, lines: list[CheckLine]) -> bool:
    """Print the lines of one check as a table; False when one of them failed."""
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for column in ("check", "result", "what was found"):
        table.add_column(column, overflow="fold")
    for line in lines:
        text = line.detail + (f"\nFix: {line.fix}" if line.fix else "")
        table.add_row(escape(line.name), _MARKS[line.verdict], escape(text))
    out.print(table)
    return _passed(lines)
