"""What an operator should know about a valid configuration: parts that are switched off, and what waits for that. Pure.

``GET /api/health`` shows these, so they name connections and routes, and nothing else of the file.
"""

from __future__ import annotations

from shared.config.model import BridgeConfig, RouteBody


def standing_warnings(config: BridgeConfig) -> list[str]:
    """One sentence for each, in the order of the file."""
    found: list[str] = []
    if config.mode == "dry_run":
        found.append("mode is dry_run: nothing is written outside; bridge.py report shows what would be done")
    found += [
        f"connection '{name}' is disabled: its signals wait on the queue until it is enabled"
        for name, settings in config.connections.items()
        if settings.disabled
    ]
    named = [(route.name, route) for route in config.routes]
    bodies: list[tuple[str, RouteBody]] = [
        *named,
        *([("default", config.default)] if config.default is not None else []),
    ]
    if config.mode == "live":
        dry = [name for name, body in bodies if body.mode == "dry_run" and not body.disabled]
        found += [f"route '{name}' is a dry run: its signals make no tickets" for name in dry]
    return found + [f"route '{name}' is disabled" for name, body in bodies if body.disabled]
