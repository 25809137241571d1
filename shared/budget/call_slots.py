"""How many calls each worker may have in flight: never more than ``max_in_flight`` over all of them.

A worker makes no call before the row that all share says how many slots it holds, and no longer than it says. A worker
that starts takes what is free; the others give up what is above their share with their next change, and until then the
new one waits. A worker that was killed loses its slots after some seconds.

The first part is pure; times are Unix seconds by our own clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from shared.budget.backlog import Backlog
from shared.budget.quota import QuotaRules
from shared.budget.store import BudgetState, SharedState
from shared.core.errors import StorageUnavailable
from shared.core.rate_gate import PrioritySemaphore

#: A worker without a slot waits for so many seconds, and asks so often, for what another is about to give up. To put
#: its messages back on the queue takes longer, and leaves calls in flight unused.
_HAND_OVER, _HAND_OVERS = 2.0, 8


def slot_duration(rules: QuotaRules) -> float:
    """Seconds that slots are good for: longer than a worker's copy of the state may be old, shorter than anybody wants
    to wait for a worker that was killed."""
    return min(10.0, max(rules.per / 10, 5.0))


def fair_share(backlog: Backlog, worker: str, rules: QuotaRules, now: float) -> int:
    """Slots that a worker should have, of those that have or want any; one where there are more workers than slots.

    Workers without work leave their share to the others, and get it back within a call's time when they ask.
    """
    names = sorted({name for name, _, expiry in backlog.call_slots if expiry > now} | {worker})
    part, over = divmod(rules.in_flight, len(names))
    return max(1, part + (names.index(worker) < over))


def held_slots(backlog: Backlog, worker: str, now: float) -> tuple[int, float]:
    """Slots that a worker holds, and for how many seconds still; 0 and 0 for none."""
    for name, count, expiry in backlog.call_slots:
        if name == worker and expiry > now:
            return count, expiry - now
    return 0, 0.0


def wanted_slots(backlog: Backlog, rules: QuotaRules, worker: str, now: float, wanted: int, in_use: int) -> int:
    """Slots that a worker can hold from now on.

    Its share, or one where it wants no more: so those who seldom call leave the rest to others. Calls under way keep
    their slots. Never more than others leave.
    """
    others = sum(count for name, count, expiry in backlog.call_slots if name != worker and expiry > now)
    share = fair_share(backlog, worker, rules, now) if wanted > 1 else 1
    return max(min(max(share, in_use), rules.in_flight - others), 0)


def take_slots(
    backlog: Backlog, rules: QuotaRules, worker: str, now: float, *, wanted: int = 1, in_use: int = 0
) -> tuple[Backlog, int]:
    """Take, extend or give up slots; how many the worker holds now. With 0 it is noted that it wants some."""
    others = [slot for slot in backlog.call_slots if slot[0] != worker and slot[2] > now]
    count = wanted_slots(backlog, rules, worker, now, wanted, in_use)
    mine = (worker, count, now + slot_duration(rules))
    return replace(backlog, call_slots=tuple(sorted([*others, mine]))), count


class CallSlots:
    """The slots of one worker for calls of one connection.

    Args:
        shared, rules, worker: the state that all share, by which rules, and who this is.
        now: Unix seconds.
    """

    def __init__(self, shared: SharedState, rules: QuotaRules, worker: str, now: Callable[[], float]) -> None:
        self._shared, self._rules, self._worker, self._now = shared, rules, worker, now
        self._calls = PrioritySemaphore(self._usable)
        self._changing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    def _usable(self) -> int:
        """Calls that may be in flight now. Other workers' clocks may be ahead by ``lead``."""
        backlog, now = self._shared.view.backlog, self._now()
        count, left = held_slots(backlog, self._worker, now)
        return min(count, fair_share(backlog, self._worker, self._rules, now)) if left > self._rules.lead else 0

    def _wanted(self) -> int:
        """Slots that there is work for, with the call that asks."""
        return self._calls.in_use + self._calls.waiting + 1

    def _possible(self) -> int:
        backlog, in_use = self._shared.view.backlog, self._calls.in_use
        return wanted_slots(backlog, self._rules, self._worker, self._now(), self._wanted(), in_use)

    def _must_change(self) -> bool:
        backlog, now = self._shared.view.backlog, self._now()
        count, left = held_slots(backlog, self._worker, now)
        if left <= slot_duration(self._rules) / 2 or count < min(self._wanted(), self._possible()):
            return True
        return count > max(fair_share(backlog, self._worker, self._rules, now), self._calls.in_use)

    def _take(self, state: BudgetState) -> tuple[BudgetState, int]:
        wanted, in_use = self._wanted(), self._calls.in_use
        backlog, count = take_slots(state.backlog, self._rules, self._worker, self._now(), wanted=wanted, in_use=in_use)
        return replace(state, backlog=backlog), count

    async def ensure(self) -> bool:
        """Hold slots, as many as there is work for; whether there is one at all. Raises StorageUnavailable."""
        if self._must_change():
            async with self._changing:
                await self._ensure()
        return self._usable() > 0

    async def _ensure(self) -> None:
        if not self._must_change():
            return  # another delivery did it meanwhile
        asked = held_slots(self._shared.view.backlog, self._worker, self._now())[1] > 0
        if asked and not self._possible():  # others' slots are seldom free: to try in vain costs no write
            await self._shared.renew(strict=True)
            if not self._possible():
                return
        await self._shared.change(self._take)
        for _ in range(_HAND_OVERS):
            if self._usable() or not self._is_handed_over():
                break
            await asyncio.sleep(_HAND_OVER / _HAND_OVERS)
            await self._shared.change(self._take)
        self._calls.wake()

    def _is_handed_over(self) -> bool:
        """Whether another worker holds more than its share: it gives that up as soon as one of its calls ends."""
        backlog, now = self._shared.view.backlog, self._now()
        return any(
            count > fair_share(backlog, name, self._rules, now)
            for name, count, expiry in backlog.call_slots
            if expiry > now and name != self._worker
        )

    @asynccontextmanager
    async def slot(self, *, urgent: bool, shared: bool = False) -> AsyncIterator[None]:
        """One call in flight; waits until there is room for it. Raises StorageUnavailable."""
        try:
            await self.ensure()
        except StorageUnavailable:
            if not self._usable():
                raise
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        async with self._calls.slot(urgent=urgent, shared=shared):
            yield

    async def _keep(self) -> None:
        """Extend the slots of calls that take long, get some for calls that wait, and give up what others ask for."""
        at_work = True
        while at_work:
            await asyncio.sleep(slot_duration(self._rules) / 10)
            at_work = self._calls.in_use > 0 or self._calls.waiting > 0
            if at_work or held_slots(self._shared.view.backlog, self._worker, self._now())[0] > 1:
                with suppress(StorageUnavailable):  # tried again in a moment; the slots end by themselves meanwhile
                    await self._shared.renew(strict=True)
                    await self.ensure()
            self._calls.wake()
