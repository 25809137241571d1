"""The operator's command line. Never deployed.

    python bridge.py --help

Works on this machine (what ``python -m local up`` runs) or on a deployed app's storage and ticket system: the same
settings decide, from the environment, from local.settings.json, or from options.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.requests import Services
from connectors.azure_monitor.reconcile.comparison import ReconcileResult
from local.kept_commands import Desk, kept_commands
from shared.core.errors import BridgeError
from shared.core.problem import Problem
from shared.core.ticket_system import CheckLine, CheckStatus
from shared.web.intake import read_json

app = typer.Typer(
    help="Check, try and operate the Azure ITSM Bridge.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Settings come from the environment, then from local.settings.json. To work on a deployed app, sign in "
    "with az login, set AzureWebJobsStorage__accountName to its storage account and KEY_VAULT_URL to its vault.",
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

T = TypeVar("T")

_options: dict[str, str] = {}

_IDENTITY = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")


@app.callback()
def main(
    config: Annotated[
        str, typer.Option(help="Configuration to use.  [default: the setting BRIDGE_CONFIG, else bridge.yaml]")
    ] = "",
    settings_file: Annotated[
        Path, typer.Option("--settings", help="Settings file in the form of local.settings.json.")
    ] = Path("local.settings.json"),
    storage: Annotated[
        str, typer.Option(help="Storage connection string, instead of the setting AzureWebJobsStorage.")
    ] = "",
    account: Annotated[
        str, typer.Option(help="Name of a storage account to use with your own identity (az login).")
    ] = "",
    session: Annotated[
        Path | None, typer.Option(help="up.json of a running 'python -m local up': uses its storage and its desk.")
    ] = None,
) -> None:
    """Settings for all commands."""
    values: dict[str, str] = {}
    if settings_file.is_file():
        try:
            values |= {k: str(v) for k, v in json.loads(settings_file.read_text("utf-8"))["Values"].items()}
        except (ValueError, KeyError, AttributeError):
            _fail(f"{settings_file} is not a settings file: expected JSON with an object 'Values'")
    values |= os.environ
    if session is not None:
        values |= _session(session)
        # Microsoft's libraries look for the app's own identity in the environment, and nowhere else.
        os.environ.update({name: values[name] for name in _IDENTITY if name in values})
    if storage:
        values["AzureWebJobsStorage"] = storage
    if account:
        values |= {"AzureWebJobsStorage": "", "AzureWebJobsStorage__accountName": account}
    if config:
        values["BRIDGE_CONFIG"] = str(Path(config).resolve())
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # what its libraries complain of is told by our own errors
    _options.clear()
    _options.update(values)


def _session(path: Path) -> dict[str, str]:
    """Settings of a running ``python -m local up``, from the file it wrote."""
    try:
        settings = json.loads(path.read_text("utf-8"))["settings"]
        return {name: str(value) for name, value in settings.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        _fail(f"{path} is not the up.json of a running 'python -m local up'")
        raise


def _fail(message: str, code: int = 2) -> Any:
    err.print(message, style="red", markup=False)
    raise typer.Exit(code)


def _run(work: Callable[[Services], Awaitable[T]]) -> T:
    """Run async work with services, and turn errors of the tree into one clear line and exit code 1."""

    async def go() -> T:
        services = Services(_options)
        try:
            return await work(services)
        finally:
            await services.aclose()

    try:
        return asyncio.run(go())
    except BridgeError as error:
        _fail(str(error), 1)
        raise


@app.command()
def validate() -> None:
    """Check bridge.yaml: every mistake at once, each with line, path and fix."""

    async def work(services: Services) -> None:
        config = services.config
        counts = {"connection": len(config.connections), "route": len(config.routes) + (config.default is not None)}
        counted = ", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items())
        out.print(f"{services.config_path.name}: valid; {counted}")

    _run(work)


@app.command()
def preview(
    files: Annotated[list[str], typer.Argument(help="Payload files as Azure would post them; - is standard input.")],
) -> None:
    """Show what payloads would become: signal, route, ticket and warnings, as JSON. Nothing is sent anywhere.

    Example: python bridge.py preview tests/fixtures/azure_monitor/common/metric-static-fired.json
    """
    bodies = [(name, _read(name)) for name in files]

    async def work(services: Services) -> None:
        for name, data in bodies:
            try:
                items = services.preview(read_json(data, None))
            except Problem as problem:
                _fail(f"{name}: {problem.title}: {problem.detail}", 1)
            for item in items:
                print(json.dumps(item, indent=2, ensure_ascii=False))

    _run(work)


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        _fail(f"{name}: {error.strerror}")
        raise


class Checks(StrEnum):
    """What ``check`` looks at."""

    ALL = "all"
    CONNECTIONS = "connections"
    SOURCES = "sources"


@app.command()
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
) -> None:
    """Check the connections: reachable, awake, signed in, rights, fields and choices; then what the configuration asks
    of Microsoft's services: signed in, rights, what can be seen. Each failure says its fix."""
    if connection and only is Checks.SOURCES:
        _fail("give either a connection or --only sources")

    async def work(services: Services) -> bool:
        names = [connection] if connection else sorted(services.config.connections)
        names = [] if only is Checks.SOURCES else names
        well = True
        for name in names:
            if name not in services.config.connections:
                known = ", ".join(sorted(services.config.connections))
                _fail(f"there is no connection '{name}'; known: {known}")
            with err.status(f"checking {name} ..."):
                findings = await services.system(name, budgeted=False).check(
                    services.mapper.needs(name), probe_writes=probe_writes
                )
            _show_findings(name, list(findings))
            well = well and all(f.verdict is not CheckStatus.FAILED for f in findings)
        if connection or only is Checks.CONNECTIONS:
            return well
        with err.status("checking Microsoft's services ..."):
            sources = await services.check_sources()
        for checked in sources:
            _show_findings(checked.name, list(checked.findings))
            well = well and all(f.verdict is not CheckStatus.FAILED for f in checked.findings)
        return well

    if not _run(work):
        raise typer.Exit(1)


_MARKS = {
    CheckStatus.OK: "[green]ok[/]",
    CheckStatus.WARNING: "[yellow]warning[/]",
    CheckStatus.FAILED: "[red]failed[/]",
}


def _show_findings(name: str, findings: list[CheckLine]) -> None:
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for column in ("check", "result", "what was found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        text = finding.detail + (f"\nFix: {finding.fix}" if finding.fix else "")
        table.add_row(escape(finding.name), _MARKS[finding.verdict], escape(text))
    out.print(table)


@app.command()
def reconcile(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be delivered; change nothing anywhere.")
    ] = False,
) -> None:
    """Compare Azure's own list of alerts with what the bridge knows, as the timer does, and show what came of it."""

    async def work(services: Services) -> list[ReconcileResult]:
        if services.config.reconcile is None:
            _fail(f"{services.config_path.name} has no section 'reconcile'; see docs/reconcile.md")
        return await services.reconcile(dry_run=dry_run)

    results = _run(work)
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


_desk = Desk(_run, _fail, out, err)
_DEAD_LETTERS = (
    "Signals that the ticket system refused: list, show, replay, drop. They are kept until they are settled."
)
_QUARANTINE = "Payloads that nobody could read, or that 'accept_only' does not want: list, show, replay, drop."
app.add_typer(kept_commands("dead-letter", _DEAD_LETTERS, _desk), name="dead-letters")
app.add_typer(kept_commands("quarantine", _QUARANTINE, _desk), name="quarantine")


if __name__ == "__main__":
    app()
