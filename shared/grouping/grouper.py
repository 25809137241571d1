"""Before a signal is delivered: does it belong to a group, or to a storm? Then its group speaks for it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

from shared.config.types import format_duration
from shared.delivery.envelope import Envelope
from shared.delivery.link import Stage, order_text
from shared.delivery.links import LinkStore
from shared.errors import KeyContended
from shared.grouping import model as m
from shared.grouping.store import GroupStore, Kept, Overtaken
from shared.grouping.words import head_of, speak
from shared.mapping.groups import CompiledGroup, CompiledThrottle
from shared.mapping.mapper import CompiledRoute, Mapper
from shared.signals.model import Signal, State, rfc3339

#: Tries to write a row that others keep writing.
_MOST_TRIES = 25

#: What is known of a group is believed for so long: in a storm, most signals then cost one write and nothing else.
_BELIEVED = timedelta(seconds=2)
_MOST_KNOWN = 2_000


class Sender(Protocol):
    """Puts envelopes on the queue."""

    async def send(self, envelope: Envelope, delay: timedelta = ...) -> None: ...


@dataclass(frozen=True, slots=True)
class Absorbed:
    """The signal was counted and its road ends here.

    ``decision`` is grouped, duplicate or resolved_before_fired; ``group`` is the group's key, ``rule`` the throttle's
    name.
    """

    decision: str
    group: str
    route: str
    rule: str = ""


class Grouper:
    """Counts signals of groups and storms, and looks at groups when it is time to tell their tickets something."""

    def __init__(
        self, mapper: Mapper, links: LinkStore, store: GroupStore, queue: Sender, *, now: Callable[[], datetime]
    ) -> None:
        """
        Args:
            mapper: the compiled configuration.
            links: to see whether a signal has a ticket of its own.
            store: of groups.
            queue: takes what groups say, and orders to look at them.
            now: the clock.
        """
        self._mapper = mapper
        self._links = links
        self._store = store
        self._queue = queue
        self._now = now
        self._known: dict[str, tuple[m.Group, datetime]] = {}
        self._full: dict[str, datetime] = {}

    async def admit(self, envelope: Envelope) -> Envelope | Absorbed:
        """Count a signal where it belongs, or let it go on: as it is, or with its group's signal in its place.

        Raises:
            StorageUnavailable: nothing is lost, the message comes again; what was counted is not counted twice.
            KeyContended: too many workers wrote the same row.
        """
        signal = envelope.signal
        if signal is None:
            raise ValueError("an envelope without a signal belongs to no group")
        if signal.via or envelope.passed or envelope.since is not None:
            return envelope
        route = self._mapper.route(signal)
        if route is None:
            return envelope
        base = route.group.base(signal) if route.group is not None else ""
        if route.group is not None and base:
            key = await self._instance(base, route.group, signal)
            return await self._join(envelope, signal, key, route.name, _rules(route, route.group))
        for throttle in self._mapper.throttles:
            counted = throttle.base(signal) if throttle.matches(signal) else ""
            if counted:
                return await self._throttled(envelope, signal, route, throttle, counted)
        return envelope

    async def look(self, key: str) -> str:
        """Look at a group, and queue what its ticket has to be told. Says what came of it, for the log.

        Raises StorageUnavailable and KeyContended.
        """
        for _ in range(_MOST_TRIES):
            kept = await self._store.load(key)
            if kept is None:
                return "gone"
            group = kept.value
            if group.saying is not None:  # whoever was to send it may have died before; twice does no harm
                await self._say(group, group.saying)
            members = await self._store.members(key)
            found = m.look(replace(group, saying=None), m.census([member.value for member in members]), self._now())
            if found.suppressed:
                await self._count_anew(key, members)
            if found.group.look_at is not None:
                await self._order(key, found.group.look_at)
            try:
                etag = await self._store.write(found.group, kept.etag)
            except Overtaken:
                continue
            if found.group.saying is not None:
                await self._say(found.group, found.group.saying)
                with contextlib.suppress(Overtaken):  # said once more at the next look, which changes nothing
                    await self._store.write(replace(found.group, saying=None), etag)
                return found.group.saying.state.value
            return "suppressed" if found.suppressed else "waiting" if found.group.look_at else "unchanged"
        raise KeyContended(f"{key}: others kept changing the group; it is looked at again later")

    async def _count_anew(self, key: str, members: list[Kept[m.Member]]) -> None:
        """Forget the firings of members that are over; what was counted of them is still not counted twice."""
        for kept in members:
            if not kept.value.is_on and kept.value.firings:
                with contextlib.suppress(Overtaken):  # it fired once more
                    await self._store.write_member(key, replace(kept.value, firings=0, first=None), kept.etag)

    async def _say(self, group: m.Group, said: m.Said) -> None:
        digest = hashlib.sha256(f"{group.key}\n{order_text(said.order)}".encode()).hexdigest()
        await self._queue.send(Envelope(id=digest[:32], received_at=self._now(), signal=speak(group, said)))

    async def _order(self, key: str, at: datetime) -> None:
        """Order a look. Always before the row says so: a look too many changes nothing, a lost one loses a ticket."""
        order = Envelope(id=uuid4().hex, received_at=self._now(), flush=key, due=at)
        await self._queue.send(order, at - self._now())

    async def _join(
        self, envelope: Envelope, signal: Signal, key: str, route: str, rules: m.GroupRules, rule: str = ""
    ) -> Envelope | Absorbed:
        """Count a signal in a group, and see to it that its ticket will be told."""
        news, member = await self._count(key, signal)
        absorbed = Absorbed("grouped" if news else "duplicate", key, route, rule)
        if news and self._will_be_looked_at(key, signal):
            return absorbed
        for _ in range(_MOST_TRIES):
            kept = await self._store.load(key)
            now = self._now()
            if kept is None:
                if signal.state is State.RESOLVED or not signal.opens:
                    return Absorbed("resolved_before_fired", key, route, rule)
                group = m.begin(key, route, head_of(signal), rules, member)
            else:
                group = replace(kept.value, rules=rules)
                if group.opened and group.head.key == signal.key and group.since == signal.occurred_at:
                    return self._opening(envelope, group)  # the signal that began the group, delivered once more
            at = m.next_look(group, signal, now)
            if kept is None:  # others may have been counted in a group that was not there yet
                at = min(at, now + m.SETTLE)
            elif not m.orders_look(group, at, now):
                self._remember(group)
                return absorbed
            await self._order(key, at)
            group = replace(group, look_at=at)
            try:
                await self._store.write(group, kept.etag if kept is not None else None)
            except Overtaken:
                continue
            self._remember(group)
            return self._opening(envelope, group) if kept is None and group.opened else absorbed
        raise KeyContended(f"{key}: others kept changing the group; the alert is tried again later")

    def _opening(self, envelope: Envelope, group: m.Group) -> Envelope:
        return replace(envelope, signal=speak(group, m.opening(group)), claim="")

    def _will_be_looked_at(self, key: str, signal: Signal) -> bool:
        """Whether a look is known to be ordered that will count the signal in time."""
        known = self._known.get(key)
        if known is None:
            return False
        (group, since), now = known, self._now()
        return now - since < _BELIEVED and not m.orders_look(group, m.next_look(group, signal, now), now)

    async def _count(self, key: str, signal: Signal) -> tuple[bool, m.Member]:
        """Count a signal among the members: whether it was new, and the member."""
        current: Kept[m.Member] | None = None
        if signal.state is not State.FIRED:  # most firings are new: the insert itself finds out
            current = await self._store.member(key, signal.key)
        for _ in range(_MOST_TRIES):
            counted = m.count(current.value if current else None, signal)
            if counted is None and current is not None:
                return False, current.value
            if counted is None:
                raise AssertionError("the first signal of a member is news")
            try:
                await self._store.write_member(key, counted, current.etag if current else None)
            except Overtaken:
                current = await self._store.member(key, signal.key)
                continue
            return True, counted
        raise KeyContended(f"{signal.key}: others kept counting it; it is tried again later")

    def _remember(self, group: m.Group) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[group.key] = (group, self._now())

    async def _instance(self, base: str, group: CompiledGroup, signal: Signal) -> str:
        """Key of the group that a signal belongs to: the base, or the window of it in which the alert fired."""
        if group.window is None:
            return base
        fired = signal.fired_at or signal.occurred_at
        for _ in range(_MOST_TRIES):
            kept = await self._store.starts(base)
            start = _covering(kept.value, fired, group.window)
            if start is None and signal.state is State.RESOLVED:
                for begun in reversed(kept.value):  # the payload did not say when it fired
                    if await self._store.member(_at(base, begun), signal.key) is not None:
                        return _at(base, begun)
            if start is not None:
                return _at(base, start)
            try:
                await self._store.write_starts(base, (*kept.value, fired), kept.etag)
            except Overtaken:
                continue
            return _at(base, fired)
        raise KeyContended(f"{base}: others kept beginning windows; the alert is tried again later")

    async def _throttled(
        self, envelope: Envelope, signal: Signal, route: CompiledRoute, throttle: CompiledThrottle, base: str
    ) -> Envelope | Absorbed:
        """Let a signal have a ticket of its own, or count it in the summary of the present period."""
        stored = await self._links.load(signal.key)
        link = stored.link if stored is not None else None
        if link is not None and (link.stage is not Stage.NONE or link.pending is not None or link.dead_letter):
            return envelope
        rules = m.GroupRules(throttle.note_every, summary=_summary(throttle, signal))
        starts = await self._store.starts(base)
        for start in reversed(starts.value):
            if await self._store.member(_at(base, start), signal.key) is not None:
                return await self._join(envelope, signal, _at(base, start), route.name, rules, throttle.name)
        if signal.state is State.RESOLVED or not signal.opens:
            return envelope
        period = throttle.period(self._now())
        if await self._takes(_at(base, period), throttle.tickets, period + throttle.per):
            return replace(envelope, passed=True)
        await self._begun(base, period)
        joined = await self._join(envelope, signal, _at(base, period), route.name, rules, throttle.name)
        if link is not None and link.over is not None and link.over > signal.order:
            over = replace(signal, state=State.RESOLVED, occurred_at=link.over[0])
            await self._join(envelope, over, _at(base, period), route.name, rules, throttle.name)
        return joined

    async def _takes(self, counter: str, most: int, until: datetime) -> bool:
        """Count one more ticket unless there are enough; the answer of a full counter is remembered."""
        now = self._now()
        self._full = {name: end for name, end in self._full.items() if end > now} if self._full else {}
        if counter in self._full:
            return False
        for _ in range(_MOST_TRIES):
            kept = await self._store.count(counter)
            if kept.value >= most:
                self._full[counter] = until
                return False
            try:
                await self._store.write_count(counter, kept.value + 1, kept.etag)
            except Overtaken:
                continue
            return True
        raise KeyContended(f"{counter}: others kept counting; the alert is tried again later")

    async def _begun(self, base: str, period: datetime) -> None:
        for _ in range(_MOST_TRIES):
            kept = await self._store.starts(base)
            if period in kept.value:
                return
            try:
                await self._store.write_starts(base, (*kept.value, period), kept.etag)
            except Overtaken:
                continue
            return
        raise KeyContended(f"{base}: others kept beginning periods; the alert is tried again later")


def _rules(route: CompiledRoute, group: CompiledGroup) -> m.GroupRules:
    after = route.only_after
    if after is None:
        return m.GroupRules(group.note_every)
    return m.GroupRules(group.note_every, after.lasting, after.firings)


def _at(base: str, start: datetime) -> str:
    return f"{base}@{rfc3339(start)}".casefold()


def _covering(starts: tuple[datetime, ...], fired: datetime, window: timedelta) -> datetime | None:
    """The window that an alert belongs to. One that is told late may be older than the first by less than a window."""
    begun = [start for start in starts if start <= fired < start + window]
    if begun:
        return max(begun)
    later = [start for start in starts if fired < start <= fired + window]
    return min(later, default=None)


def _summary(throttle: CompiledThrottle, signal: Signal) -> str:
    what = signal.rule or signal.title or signal.source
    return f"Alert storm: {what}: more than {throttle.tickets} tickets in {format_duration(throttle.per)}"
