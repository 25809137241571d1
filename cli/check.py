"""The command ``check``: are the connections and Microsoft's services usable as the configuration needs them?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from itertools import groupby
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from app.checks import run_checks
from app.container import Container
from cli.app_client import configured_app
from cli.runtime import err, fail, out, run
from shared.core.refusal import RequestRefused
from shared.core.ticket_system import CheckLine, CheckStatus

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
    in_app: Annotated[
        bool,
        typer.Option("--app", help="Let the deployed app check, with its own identity and network."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per line of the check instead of tables.")
    ] = False,
) -> None:
    """Check the connections: reachable, awake, signed in, rights, fields and choices; then Microsoft's services that
    the configuration uses: signed in, rights, what is visible. Each failure comes with a fix."""
    show = _print_json if as_json else _show

    async def here(services: Container) -> bool:
        passed = True
        try:
            with err.status("checking ..."):
                found = run_checks(services, connection=connection, only=only.value, probe_writes=probe_writes)
                async for section in found:
                    passed &= show(section.name, list(section.lines))
        except RequestRefused as refused:
            fail(" ".join(mistake.sentence for mistake in refused.mistakes))
        return passed

    async def in_the_app(_: Container) -> bool:
        body = {"connection": connection, "only": only.value, "probe_writes": probe_writes}
        client = configured_app()
        try:
            with err.status("the app checks ..."):
                answer = await client.call("POST", "/api/check", body)
        finally:
            await client.aclose()
        passed = True
        for name, lines in groupby(answer["lines"], key=lambda line: str(line["of"])):
            passed &= show(name, [_line(line) for line in lines])
        return passed

    if not run(in_the_app if in_app else here):
        raise typer.Exit(1)


def _line(line: Mapping[str, str]) -> CheckLine:
    return CheckLine(line["check"], CheckStatus(line["result"]), line["detail"], line["fix"])


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
