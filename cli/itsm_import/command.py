"""The command ``import-itsm-actions``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.itsm_import.exports import Exports, read_export
from cli.itsm_import.routes import routes_text
from cli.preview import read_payload
from cli.runtime import err, fail, out


def import_itsm_actions(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Exported action groups and alert rules: ARM templates (JSON), or the output of az monitor "
            "action-group list, az monitor metrics alert list and so on; - is standard input."
        ),
    ],
    output: Annotated[Path | None, typer.Option("--output", help="File to write. Left out: standard output.")] = None,
    connection: Annotated[
        list[str] | None,
        typer.Option(
            "--connection",
            help="NAME of the connection in bridge.yaml, or ID=NAME for the connection with this id. May be repeated.",
        ),
    ] = None,
) -> None:
    """Make routes of bridge.yaml from the ITSM actions of Microsoft's connector. Comments say what could not be
    carried over; see docs/migrating-from-itsmc.md. Calls nothing and changes nothing else.

    Example: az monitor action-group list | .venv/bin/python bridge.py import-itsm-actions -
    """
    found = Exports()
    for name in files:
        read_export("standard input" if name == "-" else name, read_payload(name), found)
    for mistake in found.mistakes:
        err.print(mistake, style="red", markup=False)
    if found.mistakes:
        raise typer.Exit(1)
    if not found.actions:
        fail(f"{', '.join(files)}: none of {found.groups} action groups has an ITSM action", 1)
    text = routes_text(found, _connections(connection or []))
    if output is None:
        print(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{output}: {error.strerror}")
    routes = sum(line.startswith("  - name: ") for line in text.splitlines())
    out.print(f"{output}: {routes} routes from {len(found.actions)} ITSM actions", markup=False)


def _connections(given: list[str]) -> dict[str, str]:
    names = {"": "servicenow"}
    for text in given:
        first, found, second = text.partition("=")
        if found and not (first.strip() and second.strip()):
            fail(f"--connection {text}: write NAME, or ID=NAME")
        names[first.strip().lower() if found else ""] = second.strip() if found else first.strip()
    return names
