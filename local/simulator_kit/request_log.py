"""The request log and the counters of the control API.

Passwords, secrets and tokens in bodies and query strings are redacted; the Authorization header is never stored.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

#: Requests that the log holds; older ones are dropped, counters keep counting.
CAPACITY = 5_000
#: Characters of a body that are stored.
BODY_KEPT = 20_000
_SECRET = "[redacted]"
#: Kinds of target that are counted apart.
_TARGETS = 500
_ID = re.compile(r"[0-9a-fA-F]{32}")
_FORM_SECRETS = re.compile(
    r"\b((?:user_)?password|client_secret|client_assertion|refresh_token|access_token|assertion|code|token|x-sn-apikey)=[^&]*",
    re.IGNORECASE,
)
_JSON_SECRETS = re.compile(
    r'("(?:user_password|password|client_secret|access_token|refresh_token|token|shared_key)"\s*:\s*)"(?:[^"\\]|\\.)*"',
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Redact secrets in a query string, a form or a JSON text."""
    return _JSON_SECRETS.sub(rf'\1"{_SECRET}"', _FORM_SECRETS.sub(rf"\1={_SECRET}", text))


@dataclass(slots=True)
class RequestEntry:
    """One request as the log shows it.

    ``target`` is what the request is about and is counted by: a table, an operation. ``status`` is None while the
    request is under way, or when no answer was sent.
    """

    id: str
    transaction_id: str
    time: str
    method: str
    path: str
    query: str
    body: str = ""
    user: str | None = None
    target: str = ""
    status: int | None = None
    duration_ms: float | None = None
    committed: bool = False
    scenarios: list[str] = field(default_factory=list)
    note: str = ""
    started: float = field(default_factory=perf_counter)

    def as_json(self, target_name: str) -> dict[str, Any]:
        """For the control API."""
        return {
            "id": self.id,
            "transaction_id": self.transaction_id,
            "time": self.time,
            "method": self.method,
            "path": self.path,
            "query": redact(self.query),
            "body": redact(self.body),
            "user": self.user,
            target_name: self.target,
            "status": self.status,
            "duration_ms": round(self.duration_ms, 3) if self.duration_ms is not None else None,
            "committed": self.committed,
            "scenarios": self.scenarios,
            "note": self.note,
        }


class RequestLog:
    """Every request to the simulated API (not those to the control API).

    Args:
        target_name: what the control API calls the target of a request.
    """

    def __init__(self, target_name: str) -> None:
        self._target_name = target_name
        self.entries: deque[RequestEntry] = deque(maxlen=CAPACITY)
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Empty log and counters; requests under way still count as in flight."""
        self.entries.clear()
        self.total = 0
        self.max_in_flight = self.in_flight
        self.cookies_seen = 0
        self._by_target: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()

    def open(self, entry: RequestEntry, *, cookies: bool) -> None:
        """A request arrived."""
        self.entries.append(entry)
        self.total += 1
        self.cookies_seen += cookies
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def decided(self, entry: RequestEntry, status: int | None) -> None:
        """What the answer will be is known; None: the connection is dropped without one."""
        entry.status = status
        entry.duration_ms = (perf_counter() - entry.started) * 1000
        target = f"{entry.method} {entry.target or _ID.sub('{id}', entry.path)}"
        self._by_target[target if target in self._by_target or len(self._by_target) < _TARGETS else "other"] += 1
        self._by_status[str(status) if status is not None else "dropped"] += 1

    def close(self) -> None:
        """The answer is out, or the connection gone."""
        self.in_flight -= 1

    def latest(self, limit: int) -> list[dict[str, Any]]:
        """The newest requests, oldest of them first."""
        return [entry.as_json(self._target_name) for entry in list(self.entries)[-limit:]] if limit > 0 else []

    def counters(self) -> dict[str, Any]:
        """Numbers since the last reset."""
        return {
            "total": self.total,
            f"by_method_and_{self._target_name}": dict(self._by_target),
            "by_status": dict(self._by_status),
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "cookies_seen": self.cookies_seen,
        }
