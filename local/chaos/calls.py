"""Which calls reached the simulator, window by window: read from its own request log, which forgets after a while."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import httpx

#: Seconds between looks. The log holds 5,000 requests: far more than are made in that time.
_EVERY = 1.0
_FEW, _ALL = 200, 5_000
#: Seconds to try the last look again where the simulator does not answer.
_LAST = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the simulator saw it: in which second (Unix), whether it wrote something, and whether it may have
    carried several tickets."""

    at: int
    method: str
    table: str
    status: int | None
    wrote: bool
    batch: bool = False


def per_window(calls: Iterable[Call], seconds: int) -> dict[int, int]:
    """Calls in each fixed window by the clock, by the window's number."""
    return dict(sorted(Counter(call.at // seconds for call in calls).items()))


def efficiency(calls: Sequence[Call], seconds: int, limit: int, begin: float) -> tuple[float, int]:
    """Share of the allowed calls that wrote something, over the whole windows after ``begin`` (Unix seconds) at whose
    beginning there was still work for all of the window; and how many windows these were."""
    writes = per_window((call for call in calls if call.wrote), seconds)
    first = int(-(-begin // seconds))
    busy = [
        window
        for window in range(first, max(writes, default=first))
        if sum(number for at, number in writes.items() if at >= window) >= limit
    ]
    return (sum(writes.get(window, 0) for window in busy) / (limit * len(busy)) if busy else 0.0), len(busy)


class CallLog:
    """Collects calls of the bridge's user in a thread of its own. A context manager; read ``calls`` afterwards.

    Attributes:
        calls: in the order in which they arrived.
        complete: no request was missed.
    """

    def __init__(self, control_url: str, user: str) -> None:
        self._url = control_url
        self._user = user
        self._entries: dict[str, dict[str, Any]] = {}
        self._http = httpx.Client(timeout=30, trust_env=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="calls", daemon=True)
        self.complete = True

    @property
    def calls(self) -> list[Call]:
        """Calls so far."""
        return [_call(entry) for entry in list(self._entries.values()) if entry["user"] == self._user]

    def __enter__(self) -> CallLog:
        self._http.delete(f"{self._url}/requests").raise_for_status()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(30)
        self._finish()
        self._http.close()

    def _finish(self) -> None:
        """Look once more, for the final status of what was under way, and find out whether anything was missed.

        The simulator is asked how many requests there were before the last look: its instance is still running, and a
        request that arrives after the look is nobody's mistake.
        """
        deadline = time.monotonic() + _LAST
        while True:
            try:
                total = self._get("counters")["total"]
                self._look(_ALL)
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    self.complete = False
                    return
                continue
            self.complete = total <= len(self._entries)
            return

    def _collect(self) -> None:
        while not self._stop.wait(_EVERY):
            try:
                if not self._look(_FEW):
                    self._look(_ALL)
            except httpx.HTTPError:
                continue  # a busy machine; the next look sees it all

    def _get(self, path: str, **params: str) -> dict[str, Any]:
        answer = self._http.get(f"{self._url}/{path}", params=params)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _look(self, limit: int) -> bool:
        """Take over the newest entries; whether they go on from those that are known."""
        found = {entry["id"]: entry for entry in self._get("requests", limit=str(limit))["requests"]}
        goes_on = not self._entries or len(found) < limit or any(one in self._entries for one in found)
        for one, entry in found.items():
            self._entries[one] = {name: entry[name] for name in ("time", "method", "table", "status", "user")} | {
                "wrote": entry["committed"],
                "batch": entry["path"].endswith("/batch"),
            }
        return goes_on


def _call(entry: dict[str, Any]) -> Call:
    at = datetime.strptime(entry["time"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return Call(
        int(at.timestamp()), entry["method"], entry["table"], entry["status"], bool(entry["wrote"]), entry["batch"]
    )
