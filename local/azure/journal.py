"""What was changed through the clouds' own APIs, and by whom; changes by the control API are not in it."""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

from local.azure.call import Call

#: Changes the journal remembers.
CAPACITY = 20_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One committed change. ``time`` is ISO 8601 UTC of the clouds' clock; ``target`` is the id of what changed."""

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
        """A call changed ``target``; None stands for absent. Marks the call as one that committed."""
        call.committed = True
        self._entries.append(
            Entry(
                time,
                call.entry.id,
                call.who.name,
                call.service,
                call.operation,
                target,
                deepcopy(before),
                deepcopy(after),
            )
        )

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
