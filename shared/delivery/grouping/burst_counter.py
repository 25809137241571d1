"""Counts firings before there is a ticket, in storage: see :mod:`shared.delivery.grouping.burst_model`.

A burst is decided by one write. Its members are then stored as those of a group, by whoever comes first: the worker
that decided it, or any other that reads ``moving``. Only then does anybody join the group, so that it is never counted
without them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.core.link import LinkStage
from shared.core.signal import Signal, SignalState
from shared.delivery.grouping.burst_model import BurstRules, Bursts, hold, knows, moved, start_of_firing
from shared.delivery.grouping.flusher import MOST_TRIES
from shared.delivery.grouping.store import GroupStore, at_start
from shared.delivery.links import LinkStore
from shared.platform.tables import RowOvertaken, Versioned, until_written


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a signal belongs.

    Attributes:
        group: key of the group of its burst, empty for none: then it is held.
        start: when that burst began.
        decision: ``opened`` where this signal was the one that made it enough; else as ``hold`` says.
    """

    group: str = ""
    start: datetime | None = None
    decision: str = ""


class BurstCounter:
    """Finds the burst of a signal, or counts it.

    Args:
        store: of groups.
        links: to see whether people still work on the ticket of a burst.
        now: the clock.
    """

    def __init__(self, store: GroupStore, links: LinkStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._links = links
        self._now = now

    async def place(self, base: str, rules: BurstRules, signal: Signal) -> Placed:
        """Where a signal belongs.

        Args:
            base: what is counted.
            rules: how much is enough.
            signal: of an alert.

        Raises StorageUnavailable, and KeyContended when too many workers count the same.
        """

        async def attempt() -> Placed:
            stored = await self._moved(base, await self._store.bursts(base))
            known = await self._burst_of(base, stored.value, signal)
            if known is not None:
                return Placed(at_start(base, known), known)
            counted, decision = hold(stored.value, signal, rules, self._now())
            if counted != stored.value:
                etag = await self._store.write_bursts(base, counted, stored.etag)
                await self._moved(base, Versioned(counted, etag))
            if decision != "opened":
                return Placed(decision=decision)
            return Placed(at_start(base, counted.starts[-1]), counted.starts[-1], decision)

        contended = f"{base}: others kept counting; the alert is tried again later"
        return await until_written(attempt, contended=contended, tries=MOST_TRIES)

    async def counted_in(self, base: str, signal: Signal) -> str:
        """Key of the group of a burst that has a signal's alert among its members; empty for none."""
        for start in reversed((await self._store.bursts(base)).value.starts):
            if await self._store.member(at_start(base, start), signal.key) is not None:
                return at_start(base, start)
        return ""

    async def _moved(self, base: str, stored: Versioned[Bursts]) -> Versioned[Bursts]:
        """The same with the members of the newest burst stored. Raises RowOvertaken when others wrote the row."""
        bursts = stored.value
        if not bursts.moving:
            return stored
        group = at_start(base, bursts.starts[-1])
        for one in bursts.held:
            with suppress(RowOvertaken):  # stored by another worker, and perhaps changed since
                await self._store.write_member(group, one.member, None)
        done = moved(bursts)
        return Versioned(done, await self._store.write_bursts(base, done, stored.etag))

    async def _burst_of(self, base: str, bursts: Bursts, signal: Signal) -> datetime | None:
        """The burst that a signal belongs to, None where it has to be counted."""
        is_firing = signal.state is SignalState.FIRED
        if not is_firing and any(one.times and one.member.key == signal.key for one in bursts.held):
            return None  # the end of what is held, whatever burst had the alert before
        starts = start_of_firing(bursts, signal.occurred_at) if is_firing else tuple(reversed(bursts.starts))
        for start in starts:
            stored = await self._store.member(at_start(base, start), signal.key)
            if stored is not None and knows(stored.value, signal):
                return start
        if bursts.starts and await self._takes_more(base, bursts, signal):
            return bursts.starts[-1]
        return None

    async def _takes_more(self, base: str, bursts: Bursts, signal: Signal) -> bool:
        """Whether the newest burst takes an alert that it does not know: soon after it began, and as long as its ticket
        is open, or on its way."""
        if bursts.until is not None and min(signal.occurred_at, self._now()) <= bursts.until:
            return True
        link = await self._links.load(at_start(base, bursts.starts[-1]))
        return link is None or link.value.stage in (LinkStage.NONE, LinkStage.OPEN)
