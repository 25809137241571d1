"""One process's hold on the shared row: a copy at most about two seconds old, and changes under its ETag."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from shared.budget.plan import WORKER_LIVES, alive, count, observe, roll
from shared.budget.state import QuotaRules, QuotaState
from shared.budget.store import BudgetOvertaken, BudgetStore
from shared.core.errors import StorageUnavailable

T = TypeVar("T")

#: What happened, as a change of whatever the state is by then.
Event = Callable[[QuotaState], QuotaState]

#: Seconds after which the copy is read again before it is relied upon.
FRESH_FOR = 2.0

#: Who asks seldom may rely on an older copy for so many questions, or the news would cost an operation per ticket. It
#: misses a cool-down by one call at most: that call's own answer tells of it.
_ASKED, _SELDOM = 5, 60.0

#: Attempts at one change. Each round at least one worker succeeds, so as many workers as this may meet at once.
_MOST_ATTEMPTS = 30


class SharedState:
    """The shared state of a connection as one worker sees it.

    Args:
        connection, rules, store, worker: whose, by what rules, kept where, seen by whom.
        now: Unix seconds. chance: 0 to 1.
        new_id: names the lines of a row that did not exist.
    """

    def __init__(
        self,
        connection: str,
        rules: QuotaRules,
        store: BudgetStore,
        worker: str,
        *,
        now: Callable[[], float],
        chance: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._connection, self._rules, self._store, self._worker = connection, rules, store, worker
        self._now, self._chance, self._new_id = now, chance, new_id
        self._stored: QuotaState | None = None
        self._etag: str | None = None
        self._read_at = float("-inf")
        self._asked = 0
        self._events: list[Event] = []
        self._lock = asyncio.Lock()
        self._messages = 0
        self._calls = 0
        self._unleased: dict[int, int] = {}
        self.view = QuotaState(new_id())

    def happened(self, event: Event) -> None:
        """Apply an event here at once; it is written with the next change, at the latest when the copy is renewed."""
        self._events.append(event)
        self.view = event(self.view)

    @property
    def unwritten(self) -> bool:
        """Whether others are still to learn of something."""
        return bool(self._events)

    def count_message(self) -> None:
        """A delivery was let in."""
        self._messages += 1

    def count_call(self, *, for_message: bool, leased: bool) -> None:
        """A call left."""
        self._calls += for_message
        if not leased:
            window = roll(self.view, self._rules, self._now()).window
            self._unleased[window] = self._unleased.get(window, 0) + 1

    async def renew(self, *, strict: bool = False) -> None:
        """Make sure that the copy is fresh: a bounded cost per time, none per ticket. Raises StorageUnavailable.

        ``strict``: something is to be refused because of it, so it is not older than ``FRESH_FOR`` seconds.
        """
        self._asked += _ASKED if strict else 1
        if self._is_fresh():
            return
        async with self._lock:
            if self._is_fresh():
                return
            now = self._now()
            seen_until = dict(self.view.workers).get(self._worker, 0.0)
            if self._events or seen_until - now < WORKER_LIVES / 2:
                await self._change(lambda state: (state, None))
            else:
                await self._read()

    def _is_fresh(self) -> bool:
        age = self._now() - self._read_at
        allowed = _SELDOM if self._asked < _ASKED and not self._events else FRESH_FOR
        return 0 <= age < min(allowed, self._rules.per / 20) and self._stored is not None

    async def change(self, transition: Callable[[QuotaState], tuple[QuotaState, T]]) -> T:
        """Read, change and write until nobody else came between; what the transition said of the state that was
        written. The state that it gets is rolled to the present time.

        Raises StorageUnavailable.
        """
        async with self._lock:
            return await self._change(transition)

    async def _change(self, transition: Callable[[QuotaState], tuple[QuotaState, T]]) -> T:
        for attempt in range(_MOST_ATTEMPTS):
            # A copy that others will have changed is not worth trying to write.
            if attempt or self._stored is None or len(self._stored.workers) > 1:
                await self._read()
            now = self._now()
            events, told = list(self._events), (self._messages, self._calls, dict(self._unleased))
            base = self._stored or QuotaState(self._new_id())
            state = base
            for event in events:
                state = event(state)
            for window, calls in told[2].items():
                state = count(state, window, calls)
            state = alive(observe(roll(state, self._rules, now), told[0], told[1]), self._worker, now)
            state, said = transition(state)
            try:
                etag = await self._store.write(self._connection, state, self._etag)
            except BudgetOvertaken:
                # thousandths of a second, so that those who met do not meet again
                await asyncio.sleep(self._chance() * 0.004 * min(attempt + 1, 8))
                continue
            self._written(state, etag, len(events), told)
            return said
        raise StorageUnavailable(
            f"the budget of {self._connection} could not be changed: other workers kept changing it. "
            "It is tried again; if it lasts, fewer instances of the app are enough for this connection"
        )

    def _written(self, state: QuotaState, etag: str, events: int, told: tuple[int, int, dict[int, int]]) -> None:
        self._stored, self._etag, self._read_at, self._asked = state, etag, self._now(), 0
        del self._events[:events]
        self._messages -= told[0]
        self._calls -= told[1]
        for window, calls in told[2].items():
            self._unleased[window] -= calls
            if not self._unleased[window]:
                del self._unleased[window]
        self._show()

    async def _read(self) -> None:
        found = await self._store.read(self._connection)
        self._stored, self._etag = found if found is not None else (None, None)
        self._read_at, self._asked = self._now(), 0
        if self._stored is not None:
            self._show()

    def _show(self) -> None:
        view = self._stored or self.view
        for event in self._events:
            view = event(view)
        self.view = view
