"""Fakes for budgets: a clock that tests move, rows with ETags in memory, and a queue whose deliveries cost calls."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.budget import BudgetGate, QuotaRules
from shared.budget.store import BudgetOvertaken, BudgetState
from shared.core.errors import StorageUnavailable, Throttled, Unavailable
from shared.core.rate_gate import CallReport, SystemCondition

#: Five minutes into an hour.
START = datetime(2026, 3, 1, 12, 5, tzinfo=UTC).timestamp()


class Clock:
    """The time. A worker's own clock may be wrong (``wrong_by``)."""

    def __init__(self, at: float = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def wrong_by(self, seconds: float) -> WrongClock:
        return WrongClock(self, seconds)


class WrongClock:
    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self._clock.at + self._seconds, UTC)


class MemoryStore:
    """Keeps rows as Table storage does. Every operation lets others go first."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[BudgetState, str]] = {}
        self.reads = self.writes = 0
        self.down = False
        self.loses_every = 0  # so many writes, one answer is lost and the write is repeated

    @property
    def operations(self) -> int:
        return self.reads + self.writes

    async def read(self, connection: str) -> tuple[BudgetState, str] | None:
        self.reads += 1
        await self._travel()
        return self.rows.get(connection)

    async def write(self, connection: str, state: BudgetState, etag: str | None) -> str:
        self.writes += 1
        await self._travel()
        found = self.rows.get(connection)
        if (found[1] if found else None) != etag:
            raise BudgetOvertaken
        self.rows[connection] = (state, f"etag {self.writes}")
        if self.loses_every and self.writes % self.loses_every == 0:
            raise BudgetOvertaken  # by itself, as the repeated write finds
        return f"etag {self.writes}"

    async def _travel(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise StorageUnavailable("storage is down")


def worker(
    store: MemoryStore, clock: Clock | WrongClock, rules: QuotaRules, name: str = "w", seed: int = 1
) -> BudgetGate:
    return BudgetGate("desk", rules, store, worker=name, now=clock, chance=random.Random(seed).random)


async def spend(budget: BudgetGate, report: CallReport | None = None) -> None:
    """One request."""
    permit = await budget.acquire()
    budget.report(permit, report or CallReport(SystemCondition.ANSWERED))


@dataclass
class Message:
    number: int
    urgent: bool = False
    position: str = ""
    waits: int = 0
    attempts: int = 0


@dataclass
class Queue:
    """Messages and when they show; workers take turns, and each delivery costs calls.

    Attributes:
        cut: tells of each call whether the connection is cut before anything is done.
        batch: messages that a worker takes off the queue together.
        call_time: seconds that a call takes; as many as may be in flight are under way at the same time.
        lazy: seconds that messages show late. asleep_until: until then every call finds the instance asleep.
    """

    clock: Clock
    rules: QuotaRules
    budgets: list[BudgetGate]
    cost: int = 1
    batch: int = 16
    call_time: float = 0.0
    lazy: float = 0.0
    asleep_until: float = 0.0
    cut: Callable[[], bool] = lambda: False
    waiting: list[tuple[float, int, Message]] = field(default_factory=list)
    delivered: list[tuple[float, Message]] = field(default_factory=list)
    calls: Counter[int] = field(default_factory=Counter)
    order: int = 0
    turn: int = 0

    def put(self, message: Message, at: float) -> None:
        self.order += 1
        heapq.heappush(self.waiting, (at, self.order, message))

    async def run(self, until: float) -> None:
        """Deliver what shows until then."""
        while self.waiting and self.waiting[0][0] <= until:
            self.turn += 1
            budget = self.budgets[self.turn % len(self.budgets)]
            batch: list[asyncio.Task[None]] = []
            while len(batch) < self.batch and self.waiting and self.waiting[0][0] <= max(self.clock.at, until):
                if batch and self.waiting[0][0] > self.clock.at + 0.1:
                    break
                at, _, message = heapq.heappop(self.waiting)
                self.clock.at = max(self.clock.at, at) + 0.001
                batch.append(asyncio.create_task(self._deliver(budget, message)))
            await asyncio.gather(*batch)
        self.clock.at = max(self.clock.at, until)

    async def _deliver(self, budget: BudgetGate, message: Message) -> None:
        try:
            await budget.admit(urgent=message.urgent, position=message.position)
            for _ in range(self.cost):
                permit = await budget.acquire()
                asleep = self.clock.at < self.asleep_until
                if self.cut():
                    budget.report(permit, CallReport(SystemCondition.UNAVAILABLE, left=False))
                    message.attempts += 1
                    raise Unavailable("cut", connection="desk", retry_after=2.5 * 2.0**message.attempts)
                began = self.clock.at
                self.clock.at += self.call_time
                budget.report(permit, CallReport(SystemCondition.ASLEEP if asleep else SystemCondition.ANSWERED))
                self.clock.at = began + self.call_time / self.rules.in_flight
                self.calls[int(self.clock.at // self.rules.per)] += 1
                if asleep:
                    message.attempts += 1
                    raise Unavailable("asleep", connection="desk")
        except (Throttled, Unavailable) as error:
            message.waits += 1
            message.position = str(getattr(error, "position", "")) or message.position
            wait = error.retry_after if error.retry_after is not None else 30.0
            self.put(message, self.clock.at + int(wait) + self.lazy)
        else:
            self.delivered.append((self.clock.at, message))
