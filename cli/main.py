"""The Typer application: options that hold for all commands, and the list of commands."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from cli.app_client import KEY, URL
from cli.check import check
from cli.connect import connect, disconnect
from cli.create_ticket import create
from cli.export import export_commands
from cli.itsm_import.command import import_itsm_actions
from cli.jobs import add_job_commands
from cli.parked import parked_commands
from cli.preview import preview, validate
from cli.report import report
from cli.routes import routes_commands
from cli.runtime import fail, use_settings
from cli.send_test import send_test
from cli.tickets import tickets_commands
from shared.core.version import VERSION

#: Variables through which Microsoft's libraries find a managed identity.
_IDENTITY = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")

app = typer.Typer(
    help="Check, try and operate the Azure ITSM Bridge.\n\nFirst steps: validate finds mistakes in bridge.yaml, "
    "preview and routes test show what an alert would become, check tries the connections. In operation: tickets trace "
    "shows what happened to a ticket, dead-letters list what was refused and why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Settings come from the environment, then from local.settings.json. To work on a deployed app, sign in "
    "with az login, set AzureWebJobsStorage__accountName to its storage account and KEY_VAULT_URL to its vault.",
)


#: Used when no other file is named.
_SETTINGS = Path("local.settings.json")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"Azure ITSM Bridge {VERSION}")
        raise typer.Exit


@app.callback()
def main(
    config: Annotated[
        str, typer.Option(help="Configuration to use. Left out: the setting BRIDGE_CONFIG, else bridge.yaml.")
    ] = "",
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings", help="Settings file in the form of local.settings.json, which is used when it is there."
        ),
    ] = None,
    storage: Annotated[
        str, typer.Option(help="Storage connection string, instead of the setting AzureWebJobsStorage.")
    ] = "",
    account: Annotated[
        str, typer.Option(help="Name of a storage account to use with your own identity (az login).")
    ] = "",
    session: Annotated[
        Path | None,
        typer.Option(help="up.json of a running 'local up': uses its storage and its ServiceNow."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Settings for all commands."""
    del version
    values: dict[str, str] = {}
    file = settings_file or _SETTINGS
    if settings_file is not None or file.is_file():
        values |= _from_file(file)
    values |= os.environ
    if session is not None:
        values |= _session(session)
        # Microsoft's libraries look for the managed identity in the environment, and nowhere else.
        os.environ.update({name: values[name] for name in _IDENTITY if name in values})
    if storage:
        values["AzureWebJobsStorage"] = storage
    if account:
        # Without the other settings of the account, such as the addresses and the identity of the app.
        values = {name: value for name, value in values.items() if not name.startswith("AzureWebJobsStorage")}
        values["AzureWebJobsStorage__accountName"] = account
    if config:
        values["BRIDGE_CONFIG"] = str(Path(config).resolve())
    logging.getLogger("azure").setLevel(logging.CRITICAL)  # our own errors report what its libraries would log
    use_settings(values)


def _from_file(file: Path) -> dict[str, str]:
    """The values of a settings file. Ends the command when it cannot be read."""
    try:
        return {name: str(value) for name, value in json.loads(file.read_text("utf-8-sig"))["Values"].items()}
    except OSError as error:
        fail(f"{file}: {error.strerror}. Fix: name an existing file with --settings")
    except (ValueError, KeyError, TypeError, AttributeError):
        fail(f"{file} is not a settings file: expected JSON with an object 'Values'")


def _session(path: Path) -> dict[str, str]:
    """Settings of a running ``local up``, from the file it wrote."""
    try:
        session = json.loads(path.read_text("utf-8"))
        app_settings = {URL: session["app"]["url"], KEY: session["app"]["key"]}
        return {name: str(value) for name, value in (session["settings"] | app_settings).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        fail(f"{path} is not the up.json of a running 'local up'")


app.command()(validate)
app.command()(preview)
app.command()(check)
app.command()(connect)
app.command()(disconnect)
app.command()(import_itsm_actions)
app.command()(send_test)
app.command()(report)
add_job_commands(app)
app.add_typer(export_commands, name="export")
app.add_typer(routes_commands, name="routes")
tickets_commands.command()(create)
app.add_typer(tickets_commands, name="tickets")
app.add_typer(
    parked_commands(
        "dead-letter",
        "Signals that the ticket system refused: list, show, replay, drop. They stay parked until they are delivered "
        "or dropped.",
    ),
    name="dead-letters",
)
app.add_typer(
    parked_commands(
        "quarantine",
        "Payloads that cannot be read, or that 'accept_only' rejects: list, show, replay, drop.",
    ),
    name="quarantine",
)
