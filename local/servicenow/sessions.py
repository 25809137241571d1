"""Server-side sessions and semaphores: calls that share a session cookie run one after the other.

Source: ServiceNow docs, "Session synchronisation" (a call that finds ten others waiting is answered 202 and dropped)
and "Semaphores" (four REST calls run at a time per node, fifty wait).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class SessionQueueFull(Exception):
    """Too many calls wait for the session: 202."""


class SemaphoreQueueFull(Exception):
    """Too many calls wait for the node: bare 429."""


@dataclass(slots=True)
class _Session:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    inside: int = 0


class Sessions:
    """The sessions in use; one that nobody uses is forgotten."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}

    @asynccontextmanager
    async def turn(self, session_id: str, queue: int) -> AsyncIterator[None]:
        """Wait for the session's turn; ``queue`` calls may wait beside the one that runs.

        Raises:
            SessionQueueFull: more would wait.
        """
        session = self._sessions.setdefault(session_id, _Session())
        if session.inside > queue:
            raise SessionQueueFull
        session.inside += 1
        try:
            async with session.lock:
                yield
        finally:
            session.inside -= 1
            if session.inside == 0:
                self._sessions.pop(session_id, None)


class Semaphores:
    """The node's pool for REST calls."""

    def __init__(self) -> None:
        self._running = 0
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def permit(self, limit: int, queue: int) -> AsyncIterator[None]:
        """Wait for a free place; a ``limit`` of 0 means there is always one.

        Raises:
            SemaphoreQueueFull: ``queue`` calls wait already.
        """
        if limit <= 0:
            yield
            return
        if self._running >= limit:
            if len(self._waiting) >= queue:
                raise SemaphoreQueueFull
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place in self._waiting:
                    self._waiting.remove(place)
                elif not place.cancelled():
                    self._release()
                raise
        else:
            self._running += 1
        try:
            yield
        finally:
            self._release()

    def _release(self) -> None:
        while self._waiting:
            place = self._waiting.pop(0)
            if not place.done():
                place.set_result(None)
                return
        self._running -= 1
