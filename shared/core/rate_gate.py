"""What every request to a ticket system passes on its way out: the contract between connectors and the call budget."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class SystemCondition(StrEnum):
    """What a request showed of the system it went to."""

    ANSWERED = "answered"  #: it answered by itself, whatever it said
    THROTTLED = "throttled"  #: it refused because of a rate limit
    UNAVAILABLE = "unavailable"  #: no connection, no answer, or one that says that it is down
    ASLEEP = "asleep"  #: it hibernates, and will until somebody wakes it
    UNKNOWN = "unknown"  #: the request was given up before anything could be learned


@dataclass(frozen=True, slots=True)
class CallReport:
    """What became of a request.

    Attributes:
        condition: of the system.
        left: whether the request can have reached it; one that cannot is not counted.
        retry_after: seconds that it asked to wait.
        limit, reset: the rate limit that it named: calls per window, and when the window ends (Unix seconds).
        date: its time when it answered (Unix seconds, whole ones); None when it did not say.
    """

    condition: SystemCondition
    left: bool = True
    retry_after: float | None = None
    limit: int | None = None
    reset: float | None = None
    date: float | None = None


class RateGate(Protocol):
    """Lets requests out."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place among the calls in flight; waits for one."""
        ...

    async def leave(self) -> object:
        """Spend one call: the request leaves next. What comes back is for :meth:`told`.

        Raises, before anything was sent: Throttled, Unavailable, StorageUnavailable.
        """
        ...

    def told(self, departure: object, report: CallReport) -> None:
        """What became of a request that was let out. Called once for each."""
        ...


class UnlimitedGate:
    """Counts nothing and only keeps the number of calls in flight."""

    def __init__(self, in_flight: int) -> None:
        self._slots = asyncio.Semaphore(in_flight)

    def slot(self) -> AbstractAsyncContextManager[None]:
        """See ``RateGate.slot``."""
        return self._slots

    async def leave(self) -> object:
        """See ``RateGate.leave``. Never raises."""
        return None

    def told(self, departure: object, report: CallReport) -> None:
        """See ``RateGate.told``."""
