"""The operator's command line. Never deployed.

    python bridge.py --help

Works on this machine (what ``python -m local up`` runs) or on a deployed app's storage and ticket system: the same
settings decide, from the environment, from local.settings.json, or from options.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.delivery.kept import Kept, Kind
from shared.errors import BridgeError
from shared.intake import Problem, read_json
from shared.services import Services
from shared.tickets import Finding, Verdict

app = typer.Typer(
    help="Check, try and operate the Azure ITSM Bridge.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Settings come from the environment, then from local.settings.json. To work on a deployed app, sign in "
    "with az login, set AzureWebJobsStorage__accountName to its storage account and KEY_VAULT_URL to its vault.",
)
dead_letters = typer.Typer(
    help="Signals that the ticket system refused: list, show, replay. They are kept until they are settled.",
    no_args_is_help=True,
)
quarantine = typer.Typer(help="Payloads that nobody could read: list and show.", no_args_is_help=True)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(quarantine, name="quarantine")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

T = TypeVar("T")

_options: dict[str, str] = {}


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
    if storage:
        values["AzureWebJobsStorage"] = storage
    if account:
        values |= {"AzureWebJobsStorage": "", "AzureWebJobsStorage__accountName": account}
    if config:
        values["BRIDGE_CONFIG"] = str(Path(config).resolve())
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
) -> None:
    """Check the connections: reachable, awake, signed in, rights, fields and choices. Each failure says its fix."""

    async def work(services: Services) -> bool:
        names = [connection] if connection else sorted(services.config.connections)
        well = True
        for name in names:
            if name not in services.config.connections:
                known = ", ".join(sorted(services.config.connections))
                _fail(f"there is no connection '{name}'; known: {known}")
            with err.status(f"checking {name} ..."):
                findings = await services.system(name).check(services.mapper.needs(name), probe_writes=probe_writes)
            _show_findings(name, list(findings))
            well = well and all(f.verdict is not Verdict.FAILED for f in findings)
        return well

    if not _run(work):
        raise typer.Exit(1)


_MARKS = {Verdict.OK: "[green]ok[/]", Verdict.WARNING: "[yellow]warning[/]", Verdict.FAILED: "[red]failed[/]"}


def _show_findings(name: str, findings: list[Finding]) -> None:
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for column in ("check", "result", "what was found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        text = finding.detail + (f"\nFix: {finding.fix}" if finding.fix else "")
        table.add_row(escape(finding.name), _MARKS[finding.verdict], escape(text))
    out.print(table)


Filter = Annotated[str, typer.Option("--contains", help="Only items whose reason, key or title contains this text.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")]


@dead_letters.command("list")
def dead_letters_list(contains: Filter = "", as_json: AsJson = False) -> None:
    """List dead letters, oldest first."""
    _run(lambda services: _list(services, "dead-letter", contains, as_json))


@dead_letters.command("show")
def dead_letters_show(item: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Show one dead letter: reason, advice and the whole signal, as JSON."""
    _run(lambda services: _show(services, "dead-letter", item))


@dead_letters.command("replay")
def dead_letters_replay(
    items: Annotated[list[str] | None, typer.Argument(help="Ids; or --all, or --contains.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay all of them.")] = False,
    contains: Filter = "",
) -> None:
    """Put dead letters back on the queue. Each stays listed until it was delivered.

    A replay never makes a second ticket, and an event that is older than what the ticket knows changes nothing.
    """
    wanted = set(items or ())
    if not (wanted or everything or contains):
        _fail("say which: ids, --contains TEXT, or --all")

    async def work(services: Services) -> int:
        rows = [r async for r in services.kept.list("dead-letter")]
        chosen = [r for r in rows if (everything or r.id in wanted or (contains and _matches(r, contains)))]
        unknown = wanted - {r.id for r in rows}
        if unknown:
            _fail(f"no dead letter with id {', '.join(sorted(unknown))}")
        for row in chosen:
            await _replay(services, row)
            out.print(f"replayed {row.id}  {row.title or row.key}", markup=False)
        return len(chosen)

    out.print(f"{_run(work)} put back on the queue")


async def _replay(services: Services, row: Kept) -> None:
    from shared.delivery.envelope import decode

    found = await services.kept.show("dead-letter", row.id)
    if found is None:
        return
    if "text" in found[1]:
        _fail(f"{row.id} is no message of the bridge and cannot be replayed; see show", 1)
    envelope = decode(json.dumps(found[1]))
    again = replace(
        envelope, claim="", attempts=0, waits=0, outcome="unknown", replayed=True, received_at=datetime.now(UTC)
    )
    await services.queue.send(again)
    await services.kept.mark_replayed(row)


@quarantine.command("list")
def quarantine_list(contains: Filter = "", as_json: AsJson = False) -> None:
    """List quarantined payloads, oldest first."""
    _run(lambda services: _list(services, "quarantine", contains, as_json))


@quarantine.command("show")
def quarantine_show(item: Annotated[str, typer.Argument(help="Its id.")]) -> None:
    """Show one quarantined payload and why it could not be read, as JSON."""
    _run(lambda services: _show(services, "quarantine", item))


def _matches(row: Kept, contains: str) -> bool:
    text = f"{row.code} {row.reason} {row.key} {row.title} {row.connection}".casefold()
    return contains.casefold() in text


async def _list(services: Services, kind: Kind, contains: str, as_json: bool) -> None:
    rows = [r async for r in services.kept.list(kind) if not contains or _matches(r, contains)]
    if as_json:
        for row in rows:
            print(json.dumps(asdict(row)))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "kept at", "code", "what", "reason"):
        table.add_column(column, overflow="fold")
    for row in rows:
        replayed = " (replayed)" if row.replayed_at else ""
        what = (row.title or row.key) + replayed
        table.add_row(row.id, row.kept_at[:19], row.code, escape(what), escape(row.reason[:300]))
    if rows:
        out.print(table)
    out.print(f"{len(rows)} in all" if rows else "none")


async def _show(services: Services, kind: Kind, item: str) -> None:
    found = await services.kept.show(kind, item)
    if found is None:
        _fail(f"nothing with id {item}", 1)
        return
    row, message = found
    print(json.dumps({**asdict(row), "message": message}, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    app()
