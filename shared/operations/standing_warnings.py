"""What an operator should know about a valid configuration: parts that are switched off, and what waits for that. Pure.

``GET /api/health`` shows these, so they name connections and routes, and nothing else of the file.
"""

from __future__ import annotations

from shared.config.model import BridgeConfig


def standing_warnings(config: BridgeConfig) -> list[str]:
    """One sentence for each, in the order of the file."""
    return [
        f"connection '{name}' is disabled: its signals wait on the queue until it is enabled"
        for name, settings in config.connections.items()
        if settings.disabled
    ]
