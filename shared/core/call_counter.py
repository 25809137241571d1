"""Counts the calls to ticket systems that one piece of work costs, without passing a counter through every layer."""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType


class CallCounter:
    """``with CallCounter() as counter:`` counts what :func:`spend` reports inside, tasks started inside included."""

    def __init__(self) -> None:
        self.calls = 0
        self._token: Token[CallCounter | None] | None = None

    def __enter__(self) -> CallCounter:
        self._token = _CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _CURRENT.reset(self._token)


_CURRENT: ContextVar[CallCounter | None] = ContextVar("tally", default=None)


def spend(calls: int = 1) -> None:
    """Report calls to a ticket system; connectors say it once per HTTP request that left."""
    tally = _CURRENT.get()
    if tally is not None:
        tally.calls += calls
