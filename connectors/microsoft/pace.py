"""Keeps a rate: at most so many turns in any minute."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

Sleep = Callable[[float], Awaitable[None]]

_MINUTE = 60.0


class Pace:
    """At most ``per_minute`` turns in any 60 seconds; whoever comes too early waits.

    Args:
        per_minute: turns.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
    """

    def __init__(
        self, per_minute: int, *, clock: Callable[[], float] = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._sleep = sleep
        self._turns: deque[float] = deque()

    async def turn(self) -> None:
        """Wait for the next turn, and take it."""
        while len(self._turns) >= self._per_minute and (early := self._turns[0] + _MINUTE - self._clock()) > 0:
            await self._sleep(early)
        if len(self._turns) >= self._per_minute:
            self._turns.popleft()
        self._turns.append(self._clock())
