"""The command ``routes test``: which route takes a payload, and why the others do not."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from app.container import Container
from cli.preview import read_payload
from cli.runtime import fail, out, run
from shared.core.problem import Problem
from shared.core.signal import Signal, Unreadable
from shared.mapping.route_reasons import why_not
from shared.web.intake import read_json

routes_commands = typer.Typer(help="Routes of the configuration: test.", no_args_is_help=True)


@routes_commands.callback()
def _routes() -> None:
    """Routes of the configuration: test."""


@routes_commands.command("test")
def explain_routes(
    files: Annotated[list[str], typer.Argument(help="Payload files as Azure would post them; - is standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text for people.")] = False,
    tags: Annotated[bool, typer.Option("--tags", help="Read tags of resources from Azure.")] = False,
) -> None:
    """Show which route takes each signal of a payload, and why the others do not. Nothing is sent anywhere.

    Example: .venv/bin/python bridge.py routes test tests/fixtures/azure_monitor/common/metric-static-fired.json
    """
    bodies = [(name, read_payload(name)) for name in files]

    async def work(services: Container) -> None:
        for name, data in bodies:
            try:
                items = services.previews.parsed(read_json(data, None))
                items = await services.previews.tagged(items) if tags else items
                previewed = services.previews.shown(items, tags_read=tags)
            except Problem as problem:
                fail(f"{name}: {problem.title}: {problem.detail}", 1)
            for item, shown in zip(items, previewed, strict=True):
                found = _explained(services, item, shown)
                if as_json:
                    print(json.dumps({"file": name, **found}, ensure_ascii=False))
                else:
                    _print(name, found)

    run(work)


def _explained(services: Container, item: Signal | Unreadable, shown: dict[str, Any]) -> dict[str, Any]:
    """The outcome of one signal: the route that takes it, and a verdict on every route of the file."""
    taken = shown["route"]
    verdicts: list[dict[str, Any]] = []
    above = bool(taken) and services.mapper.named(taken) is not None
    names = [route.name for route in services.config.routes]
    own = taken in (*names, "default")
    if isinstance(item, Signal):
        for route in services.config.routes:
            reasons = why_not(route.when, item)
            takes = route.name == taken
            late = not reasons and not takes
            if late:
                by = f"'{taken}' is tried before" if taken else "the signal is not routed"
                reasons = [f"its conditions hold, but {by}"]
            verdicts.append({"route": route.name, "takes": takes, "reasons": reasons})
        if services.config.default is not None:
            takes = taken == "default"
            before = [] if takes else [f"'{taken}' takes it" if taken else "the signal is not routed"]
            verdicts.append({"route": "default", "takes": takes, "reasons": before})
    title = item.title if isinstance(item, Signal) else ""
    return {
        "title": title,
        "outcome": shown["outcome"],
        "reason": shown["reason"],
        "route": taken,
        "made_by_source": bool(above and not own),
        "connection": shown["connection"],
        "lookups": shown.get("lookups", {}),
        "routes": verdicts,
    }


def _print(name: str, found: dict[str, Any]) -> None:
    out.print(f"{name}: {found['title'] or found['outcome']}", style="bold", markup=False)
    if found["route"] is None:
        out.print(f"  {found['outcome']}: {found['reason']}", markup=False)
    elif found["made_by_source"]:
        out.print(f"  its source routes it: {found['route']}; the routes of the file are not asked", markup=False)
    for one in found["routes"]:
        ticket = f"connection {found['connection']}" if found["connection"] else "and makes no ticket"
        verdict = f"takes it, {ticket}" if one["takes"] else "; ".join(one["reasons"])
        out.print(f"  {'->' if one['takes'] else '  '} {one['route']}: {verdict}", markup=False)
    for field, step in found["lookups"].items():
        out.print(f"     {field}: {step}", markup=False)
