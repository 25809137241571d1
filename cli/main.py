"""The Typer application: options that hold for all commands, and the list of commands."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from cli.check import check
from cli.parked import parked_commands
from cli.preview import preview, validate
from cli.reconcile import reconcile
from cli.runtime import fail, use_settings

#: Variables through which Microsoft's libraries find a managed identity.
_IDENTITY = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")

app = typer.Typer(
    help="Check, try and operate the Azure ITSM Bridge.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Settings come from the environment, then from local.settings.json. To work on a deployed app, sign in "
    "with az login, set AzureWebJobsStorage__accountName to its storage account and KEY_VAULT_URL to its vault.",
)


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
        Path | None,
        typer.Option(help="up.json of a running 'python -m local up': uses its storage and its ServiceNow."),
    ] = None,
) -> None:
    """Settings for all commands."""
    values: dict[str, str] = {}
    if settings_file.is_file():
        try:
            values |= {k: str(v) for k, v in json.loads(settings_file.read_text("utf-8"))["Values"].items()}
        except (ValueError, KeyError, AttributeError):
            fail(f"{settings_file} is not a settings file: expected JSON with an object 'Values'")
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


def _session(path: Path) -> dict[str, str]:
    """Settings of a running ``python -m local up``, from the file it wrote."""
    try:
        settings = json.loads(path.read_text("utf-8"))["settings"]
        return {name: str(value) for name, value in settings.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        fail(f"{path} is not the up.json of a running 'python -m local up'")


app.command()(validate)
app.command()(preview)
app.command()(check)
app.command()(reconcile)
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
