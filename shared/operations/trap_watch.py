"""Traps: ways to set up rules, action groups and throttles that lead to double, poor or missing tickets.

Each is noticed while signals are delivered and said once for each rule, not for each alert: in the log when it is first
found, and in the health report and ``bridge.py check`` as long as it was seen within :data:`SHOWN_FOR`.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.core.errors import ConfigurationError, StorageUnavailable
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.plugins import Trap
from shared.core.signal import Signal, SignalState
from shared.platform.codec import RowCodec
from shared.platform.log import record
from shared.platform.storage import Storage, storage_errors
from shared.platform.tables import RowAddress, RowOvertaken, VersionedTable

TABLE = "traps"
_PARTITION = "trap"

#: How long a trap is shown after it was seen last.
SHOWN_FOR: Final = timedelta(days=7)

#: A trap that is seen again is written this often at most.
_WRITE_EVERY: Final = timedelta(hours=12)

#: Seconds that noting a trap may take: a ticket must not wait for it.
_PATIENCE: Final = 4.0

#: Rules that a process remembers, and traps that it writes: a storm of rule names must cost nothing.
_MOST_REMEMBERED: Final = 1_000
_MOST_SHOWN: Final = 100

#: Alerts of a rule that came twice, so that it is no coincidence; and the share of those that it must be.
_TWICE: Final = 5
_SHARE: Final = 0.8

#: Outcomes of signals as they were sent.
_ENDED: Final = (OutcomeKind.DELIVERED, OutcomeKind.GROUPED, OutcomeKind.SPLIT)

#: Different hours of a day in which a throttle counted signals in its summary: more is no storm, but the usual rate.
_HOURS: Final = 5


@dataclass(frozen=True, slots=True)
class SeenTrap:
    """One row. ``last_seen``: within half a day."""

    code: str
    about: str
    text: str
    fix: str
    first_seen: datetime
    last_seen: datetime

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.text}. Fix: {self.fix}"


_CODEC = RowCodec(SeenTrap)


@dataclass(slots=True)
class _Counted:
    """What a process knows of one rule or throttle."""

    once: int = 0
    twice: set[str] = field(default_factory=set)
    hours: list[datetime] = field(default_factory=list)


class TrapWatch:
    """Notices traps. An ``OutcomeListener``.

    Args:
        storage: of the rows.
        of_source: the traps that a signal shows by its form.
        now: the clock.
    """

    def __init__(
        self,
        storage: Storage,
        of_source: Callable[[Signal], tuple[Trap, ...]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._table = VersionedTable(storage, TABLE, _CODEC)
        self._of_source = of_source
        self._now = now
        self._rules: OrderedDict[str, _Counted] = OrderedDict()
        self._noted: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    async def ended(self, outcome: Outcome) -> None:
        """See ``OutcomeListener``."""
        signal = outcome.signal
        if signal is None or signal.via or outcome.kind not in _ENDED:
            return
        traps = [*self._of_source(signal), *self._delivered_twice(outcome, signal), *self._throttled(outcome)]
        for trap in traps:
            await self._note(trap)

    def _counted(self, name: str) -> _Counted:
        found = self._rules.pop(name, None) or _Counted()
        self._rules[name] = found
        if len(self._rules) > _MOST_REMEMBERED:
            self._rules.popitem(last=False)
        return found

    def _delivered_twice(self, outcome: Outcome, signal: Signal) -> list[Trap]:
        """Nearly every alert of a rule comes twice. Once in a while Azure repeats a call; not always."""
        if signal.state is not SignalState.FIRED or not signal.rule or outcome.attempts > 1:
            return []
        counted = self._counted(f"rule {signal.source} {signal.rule}")
        if outcome.decision != "duplicate":
            counted.once += 1
            return []
        if len(counted.twice) < _MOST_REMEMBERED:
            counted.twice.add(signal.key)
        if len(counted.twice) < max(_TWICE, _SHARE * counted.once):
            return []
        text = f"nearly every alert of '{signal.rule}' arrives twice, as if two actions called the bridge for it"
        fix = (
            "leave one webhook action for the rule, in one of its action groups; until then one ticket is made, not two"
        )
        return [Trap("delivered_twice", signal.rule, text, fix)]

    def _throttled(self, outcome: Outcome) -> list[Trap]:
        """A throttle that counts signals in many hours of a day is below the usual rate."""
        if outcome.kind is not OutcomeKind.GROUPED or not outcome.rule:
            return []
        hour = self._now().replace(minute=0, second=0, microsecond=0)
        counted = self._counted(f"throttle {outcome.rule}")
        counted.hours = [one for one in counted.hours if hour - one < timedelta(days=1) and one != hour] + [hour]
        if len(counted.hours) < _HOURS:
            return []
        text = f"the throttle '{outcome.rule}' was exceeded in {len(counted.hours)} different hours of a day"
        fix = "raise its 'tickets', or group these alerts: what comes on top is only listed in a summary ticket"
        return [Trap("throttle_too_low", outcome.rule, text, fix)]

    async def _note(self, trap: Trap) -> None:
        """Write a trap down and log it when it is new. Storage that does not answer is no failure of a signal."""
        now, name = self._now(), (trap.code, trap.about)
        noted = self._noted.get(name)
        if (noted is not None and now - noted < _WRITE_EVERY) or (noted is None and len(self._noted) >= _MOST_SHOWN):
            return
        self._noted[name] = now
        row = hashlib.sha256(f"{trap.code}\n{trap.about}".encode()).hexdigest()
        address = RowAddress(_PARTITION, row)
        seen = SeenTrap(trap.code, trap.about, trap.text, trap.fix, now, now)
        with contextlib.suppress(StorageUnavailable, ConfigurationError):
            async with storage_errors("noting a trap", within=_PATIENCE):
                try:
                    await self._table.write(address, seen, None)
                except RowOvertaken:  # it is known
                    await self._note_again(address, seen)
                    return
            record("trap_found", logging.WARNING, trap=trap.code, about=trap.about, reason=trap.text, advice=trap.fix)

    async def _note_again(self, address: RowAddress, seen: SeenTrap) -> None:
        """Write a known trap; it keeps the time when it was first seen, where that can be read."""
        stored = await self._table.load_or_forget(address)
        if stored is not None:
            first_seen = seen.first_seen if stored.value is None else stored.value.first_seen
            with contextlib.suppress(RowOvertaken):  # another worker has just seen it too
                await self._table.write(address, replace(seen, first_seen=first_seen), stored.etag)

    async def read(self) -> list[SeenTrap]:
        """Traps that were seen lately, the newest first. Raises StorageUnavailable."""
        since = self._now() - SHOWN_FOR
        async with storage_errors("reading traps", within=_PATIENCE):
            found = [one async for one in self._table.query() if one.last_seen >= since]
        return sorted(found, key=lambda one: (one.last_seen, one.code, one.about), reverse=True)[:_MOST_SHOWN]
