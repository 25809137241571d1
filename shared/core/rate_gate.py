"""What every request to a ticket system passes on its way out: the contract between connectors and the call budget."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
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


class ComingDelivery(Protocol):
    """A delivery of ordinary urgency, whose first call may be shared with other deliveries."""

    @property
    def coming(self) -> int:
        """Ordinary deliveries of this process, this one among them, that were admitted and have not called yet."""
        ...

    @property
    def rationed(self) -> bool:
        """Whether a limit of calls is known, so that sharing a call saves one that others could use."""
        ...

    def leave(self) -> None:
        """What this delivery asks for leaves now, in the request of another one."""
        ...


class RateGate(Protocol):
    """Lets requests out: at most so many at the same time, and so many in a window of time."""

    def slot(self, *, shared: bool = False) -> AbstractAsyncContextManager[None]:
        """One of the calls in flight, for the time inside; waits until one is free.

        ``shared``: the request is for several deliveries and takes longer than others, so it leaves one slot to them.
        """
        ...

    def coming_delivery(self) -> ComingDelivery | None:
        """The delivery under way, None where its calls cannot be shared: it is urgent, it is the attempt at an open
        circuit, or there is no delivery."""
        ...

    def share(self, most: int) -> None:
        """From now on one call may carry what so many deliveries ask for; 1: each takes a call of its own."""
        ...

    async def acquire(self) -> object:
        """Spend one call: the request leaves next. Returns the permit, for :meth:`report`.

        Raises, before anything was sent: Throttled, Unavailable, StorageUnavailable.
        """
        ...

    def report(self, permit: object, report: CallReport) -> None:
        """What became of the request that a permit let out. Called once for each permit."""
        ...


class UnlimitedGate:
    """Counts nothing, and only limits the number of calls in flight."""

    def __init__(self, in_flight: int) -> None:
        self._slots = asyncio.Semaphore(in_flight)

    def slot(self, *, shared: bool = False) -> AbstractAsyncContextManager[None]:
        """See ``RateGate.slot``."""
        del shared  # no delivery passes this gate, so no call is shared
        return self._slots

    def coming_delivery(self) -> ComingDelivery | None:
        """See ``RateGate.coming_delivery``."""
        return None

    def share(self, most: int) -> None:
        """See ``RateGate.share``."""

    async def acquire(self) -> object:
        """See ``RateGate.acquire``. Never raises."""
        return None

    def report(self, permit: object, report: CallReport) -> None:
        """See ``RateGate.report``."""


class PrioritySemaphore:
    """Slots for calls in flight, whose number may change while calls are under way.

    Urgent calls come first, then the order of arrival counts. A shared call leaves a slot to others, where there is
    more than one.

    Args:
        size: how many slots there are now.
    """

    def __init__(self, size: Callable[[], int]) -> None:
        self._size = size
        self._in_use = 0
        self._arrivals = 0
        self._waiting: list[tuple[bool, int, bool, asyncio.Future[None]]] = []

    @property
    def in_use(self) -> int:
        """Slots that are held now."""
        return self._in_use

    @property
    def waiting(self) -> int:
        """Calls that wait for a slot."""
        return sum(not granted.done() for *_, granted in self._waiting)

    def wake(self) -> None:
        """There may be more slots than before: calls that wait get them."""
        self._grant()

    @asynccontextmanager
    async def slot(self, *, urgent: bool, shared: bool = False) -> AsyncIterator[None]:
        """Wait for a slot and hold it for the time inside."""
        await self._acquire(urgent, shared)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, urgent: bool, shared: bool) -> None:
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        heapq.heappush(self._waiting, (not urgent, self._arrivals, shared, granted))
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():  # it was cancelled after it had been given a slot
                self._release()
            raise

    def _release(self) -> None:
        self._in_use -= 1
        self._grant()

    def _grant(self) -> None:
        passed_over = []
        while self._waiting and self._in_use < self._size():
            waiting = heapq.heappop(self._waiting)
            *_, shared, granted = waiting
            if granted.done():
                continue
            if shared and self._in_use >= max(self._size() - 1, 1):
                passed_over.append(waiting)
                continue
            self._in_use += 1
            granted.set_result(None)
        for waiting in passed_over:
            heapq.heappush(self._waiting, waiting)


_BACKGROUND: ContextVar[bool] = ContextVar("background", default=False)


@contextmanager
def in_background() -> Iterator[None]:
    """Calls inside are the least urgent there are: a gate lets them out only while no delivery waits for a call, and
    leaves calls to deliveries that may still come."""
    token = _BACKGROUND.set(True)
    try:
        yield
    finally:
        _BACKGROUND.reset(token)


def is_background() -> bool:
    """Whether this call is one of :func:`in_background`."""
    return _BACKGROUND.get()


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
