"""What was changed through the simulated API, and by whom; changes by the control API are not in it."""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

from local.simulator_kit.calls import Call

#: Changes that the journal holds.
CAPACITY = 20_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed change. ``time`` is ISO 8601 UTC of the simulator's clock; ``target`` is the id of what changed."""

    time: str
    request_id: str
    user: str
    service: str
    operation: str
    target: str
    before: Any
    after: Any


class Journal:
    """Committed changes, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=CAPACITY)

    def record(self, call: Call, time: str, target: str, before: Any, after: Any) -> None:
        """A call changed ``target``; None stands for absent. Adds the entry to the changes of the call."""
        user = call.entry.user or ""
        entry = Entry(
            time, call.entry.id, user, call.service, call.operation, target, deepcopy(before), deepcopy(after)
        )
        call.changes.append(entry)
        self._entries.append(entry)

    def listed(self, service: str = "", operation: str = "", target: str = "") -> list[dict[str, Any]]:
        """Entries that fit, for the control API; ``target`` compares without case, what is empty matches all."""
        return [
            asdict(entry)
            for entry in self._entries
            if (not service or entry.service == service)
            and (not operation or entry.operation == operation)
            and (not target or entry.target.lower() == target.lower())
        ]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
