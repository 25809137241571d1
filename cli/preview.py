"""The commands that send nothing: ``validate`` checks the configuration, ``preview`` shows what payloads become."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.container import Container
from cli.runtime import fail, out, run
from shared.core.problem import Problem
from shared.web.intake import read_json


def validate() -> None:
    """Check bridge.yaml: every mistake at once, each with line, path and fix.

    What is valid but has no effect, such as a route that is never reached, is a warning; the exit code stays 0.
    """

    async def work(services: Container) -> None:
        config = services.config
        for warning in services.config_warnings:
            out.print(f"warning: {warning}", style="yellow", markup=False)
        counts = {"connection": len(config.connections), "route": len(config.routes) + (config.default is not None)}
        if services.config_warnings:
            counts["warning"] = len(services.config_warnings)
        counted = ", ".join(f"{count} {what}{'s' * (count != 1)}" for what, count in counts.items())
        out.print(f"{services.config_path.name}: valid; {counted}")

    run(work)


def preview(
    files: Annotated[list[str], typer.Argument(help="Payload files as Azure would post them; - is standard input.")],
    ask: Annotated[bool, typer.Option(help="Ask the ticket system for the values of templates.")] = True,
    tags: Annotated[bool, typer.Option("--tags", help="Read tags of resources from Azure.")] = False,
) -> None:
    """Show what payloads would become: signal, route, ticket and warnings, as JSON. Nothing is written anywhere.

    Where a route names a template of the ticket system, its values are read there, if the connection's secrets are at
    hand; --no-ask sends nothing.

    Example: .venv/bin/python bridge.py preview tests/fixtures/azure_monitor/common/metric-static-fired.json
    """
    bodies = [(name, read_payload(name)) for name in files]

    async def work(services: Container) -> None:
        for name, data in bodies:
            try:
                parsed = services.previews.parsed(read_json(data, None))
                parsed = await services.previews.tagged(parsed) if tags else parsed
                items = services.previews.shown(parsed, tags_read=tags)
                items = await services.previews.filled(items, budgeted=False) if ask else items
            except Problem as problem:
                fail(f"{name}: {problem.title}: {problem.detail}", 1)
            for item in items:
                print(json.dumps(item, indent=2, ensure_ascii=False))

    run(work)


def read_payload(name: str) -> bytes:
    """The content of a file, or of standard input for ``-``. Ends the command when it cannot be read."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        fail(f"{name}: {error.strerror}")
