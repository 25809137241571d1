"""Log lines that a program can read: one JSON object per line, with an event's name first.

In Application Insights: ``traces | extend d = parse_json(message) | where d.event == "delivered"``.
"""

from __future__ import annotations

import json
import logging
from typing import Any

_LOGGER = logging.getLogger("bridge")


def record(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event. ``fields`` are JSON values; None and empty ones are left out. Never pass a secret."""
    if _LOGGER.isEnabledFor(level):
        kept = {name: value for name, value in fields.items() if value not in (None, "", (), [], {})}
        _LOGGER.log(level, "%s", json.dumps({"event": event, **kept}, default=str))
