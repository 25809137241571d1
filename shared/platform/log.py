"""Log lines that a program can read: one JSON object per line, with an event's name first.

In Application Insights: ``traces | extend d = parse_json(message) | where d.event == "signal_delivered"``.

Whoever wants to count what happens listens here, so that no call site says anything twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

#: Hears an event's name and its fields. Called on the thread that records, so it must be quick, and must not raise.
Listener = Callable[[str, Mapping[str, Any]], None]

_LOGGER = logging.getLogger("bridge")
_listeners: tuple[Listener, ...] = ()


def listen(listener: Listener) -> Callable[[], None]:
    """Let a listener hear every event from now on, whatever the log level; returns what ends it."""
    global _listeners  # a new tuple each time, so that whoever records meanwhile goes on with the old one
    _listeners = (*_listeners, listener)

    def end() -> None:
        global _listeners
        _listeners = tuple(one for one in _listeners if one is not listener)

    return end


def record(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event. ``fields`` are JSON values; None and empty ones are left out. Never pass a secret."""
    for listener in _listeners:
        listener(event, fields)
    if _LOGGER.isEnabledFor(level):
        kept = {name: value for name, value in fields.items() if value not in (None, "", (), [], {})}
        _LOGGER.log(level, "%s", json.dumps({"event": event, **kept}, default=str))
