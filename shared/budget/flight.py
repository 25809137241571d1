"""Places for calls in flight, whose number may change while calls are under way."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class PrioritySemaphore:
    """Gives out places; urgent calls first, then in order of arrival.

    Args:
        most: how many there may be now.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._under_way = 0
        self._asked = 0
        self._queue: list[tuple[bool, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a place and keep it for the time inside."""
        await self._take(urgent)
        try:
            yield
        finally:
            self._under_way -= 1
            self._let_in()

    async def _take(self, urgent: bool) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked += 1
        heapq.heappush(self._queue, (not urgent, self._asked, turn))
        self._let_in()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it got its place while it was given up
                self._under_way -= 1
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._queue and self._under_way < self._most():
            *_, turn = heapq.heappop(self._queue)
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)
