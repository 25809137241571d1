"""Results of look-ups, kept for a while: bounded, and one look-up at a time per name."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager

#: Names kept. A company has fewer groups that tickets go to, but resources come and go.
MOST = 4096

#: Seconds for which "not found" is believed at most, so that a name that is put right soon works.
NEGATIVE_TTL = 600.0


class Memory:
    """Remembers what names stand for.

    Args:
        ttl: seconds for which a found name is believed. 0: nothing is kept.
        clock: seconds, monotonic.
    """

    def __init__(self, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        self._known: OrderedDict[Hashable, tuple[float, str | None]] = OrderedDict()
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    async def get(
        self,
        key: Hashable,
        look_up: Callable[[], Awaitable[str | None]],
        in_time: AbstractAsyncContextManager[None],
    ) -> str | None:
        """The result for ``key``, looked up when it is not known.

        Args:
            key: the name and where it is looked for.
            look_up: finds it; None when there is nothing.
            in_time: bounds the wait for another task that is looking it up already.

        Raises what ``look_up`` and ``in_time`` raise; a failed look-up is not remembered.
        """
        found = self._recall(key)
        if found is not None:
            return found[0]
        lock, waiting = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, waiting + 1)
        try:
            async with in_time:
                await lock.acquire()
            try:
                found = self._recall(key)
                if found is None:
                    found = (await look_up(),)
                    self._remember(key, found[0])
                return found[0]
            finally:
                lock.release()
        finally:
            lock, waiting = self._locks.pop(key)
            if waiting > 1:
                self._locks[key] = (lock, waiting - 1)

    def _recall(self, key: Hashable) -> tuple[str | None] | None:
        entry = self._known.get(key)
        if entry is None:
            return None
        until, value = entry
        if self._clock() >= until:
            del self._known[key]
            return None
        self._known.move_to_end(key)
        return (value,)

    def _remember(self, key: Hashable, value: str | None) -> None:
        ttl = self._ttl if value is not None else min(self._ttl, NEGATIVE_TTL)
        if ttl <= 0:
            return
        self._known[key] = (self._clock() + ttl, value)
        while len(self._known) > MOST:
            self._known.popitem(last=False)
