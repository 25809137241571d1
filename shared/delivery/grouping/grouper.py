"""Decides before a delivery whether a signal belongs to a group or a storm, whose ticket then stands for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.core.link import LinkStage
from shared.core.messages import EndWhenQuiet, FlushGroup, QueueSender, ReadRows, SignalMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.settings import format_duration
from shared.core.signal import Signal, SignalState
from shared.delivery.grouping import model as m
from shared.delivery.grouping.burst_counter import BurstCounter
from shared.delivery.grouping.burst_model import BurstRules
from shared.delivery.grouping.flusher import MOST_TRIES, Flusher, FlushOrder
from shared.delivery.grouping.store import GroupStore, at_start
from shared.delivery.grouping.texts import group_signal, head_of
from shared.delivery.links import LinkStore
from shared.mapping.groups import NOTE_EVERY, CompiledGroup, CompiledOpenAfter, CompiledThrottle
from shared.mapping.mapper import CompiledRoute, Mapper
from shared.platform.tables import RowOvertaken, Versioned, until_written


class Grouper:
    """Counts signals of groups and storms, and updates the tickets of groups."""

    def __init__(
        self, mapper: Mapper, links: LinkStore, store: GroupStore, queue: QueueSender, *, now: Callable[[], datetime]
    ) -> None:
        """
        Args:
            mapper: the compiled configuration.
            links: to see whether a signal has a ticket of its own.
            store: of groups.
            queue: takes the signals of groups, and the messages that flush them.
            now: the clock.
        """
        self._mapper = mapper
        self._links = links
        self._store = store
        self._flusher = Flusher(store, queue, now=now)
        self._now = now
        self._bursts = BurstCounter(store, links, now)
        self._full: dict[str, datetime] = {}

    async def group(self, message: SignalMessage) -> SignalMessage | Outcome:
        """Count a signal where it belongs (GROUPED), or let it go on: as it is, or as the signal of the group that it
        opens.

        Raises:
            StorageUnavailable: nothing is lost, the message comes again; what was counted is not counted twice.
            KeyContended: too many workers wrote the same row.
        """
        signal = message.signal
        of_a_group = signal.via and not signal.part_of
        if of_a_group or message.passed_throttle or isinstance(message, EndWhenQuiet | ReadRows):
            return message
        route = self._mapper.route(signal)
        if route is None:
            return await self._counted_before(message)
        base = route.group.base(signal) if route.group is not None else ""
        if route.group is not None and base:
            key = await self._instance(base, route.group, signal)
            return await self._join(message, key, route.name, _rules(route, route.group))
        if route.open_after is not None and (base := route.open_after.base(signal)):
            return await self._counted_first(message, route, route.open_after, base)
        for throttle in self._mapper.throttles:
            counted = throttle.base(signal) if throttle.matches(signal) else ""
            if counted:
                return await self._throttled(message, route, throttle, counted)
        return message

    async def _counted_first(
        self, message: SignalMessage, route: CompiledRoute, rules: CompiledOpenAfter, base: str
    ) -> SignalMessage | Outcome:
        """Hold a signal until there are enough, or count it in the group of its burst."""
        placed = await self._bursts.place(base, BurstRules(rules.count, rules.within), message.signal)
        if not placed.group:
            reason = f"a ticket is opened from {rules.count} firings within {format_duration(rules.within)} on"
            kind, rule = OutcomeKind.GROUPED, "open_after"
            return Outcome(kind, placed.decision, group=base, route=route.name, rule=rule, reason=reason)
        joined = await self._join(message, placed.group, route.name, _burst_rules(rules), since=placed.start)
        if isinstance(joined, Outcome) and placed.decision == "opened":
            return replace(joined, decision="grouped")
        return joined

    async def _counted_before(self, message: SignalMessage) -> SignalMessage | Outcome:
        """A signal that makes no ticket now: counted where its Fired was, so that the ticket of that group hears of it.

        A route with ``ticket: none`` above the one that made the group takes nothing from a group that has begun.
        """
        signal = message.signal
        if signal.state is SignalState.FIRED or not self._mapper.no_ticket_route(signal):
            return message
        for route in self._mapper.grouping(signal):
            after = route.open_after
            if after is not None and (key := await self._bursts.counted_in(after.base(signal), signal)):
                return await self._join(message, key, route.name, _burst_rules(after))
            if route.group is None or not (base := route.group.base(signal)):
                continue
            keys = [base]
            if route.group.window is not None:
                keys = [at_start(base, begun) for begun in reversed((await self._store.starts(base)).value)]
            for key in keys:
                if await self._store.member(key, signal.key) is not None:
                    return await self._join(message, key, route.name, _rules(route, route.group))
        for throttle in self._mapper.throttles:
            base = throttle.base(signal) if throttle.matches(signal) else ""
            for start in reversed((await self._store.starts(base)).value) if base else ():
                if await self._store.member(key := at_start(base, start), signal.key) is not None:
                    rules = m.GroupRules(throttle.note_every, summary=_summary(throttle, signal))
                    return await self._join(message, key, "", rules, throttle.name)
        return message

    async def flush(self, message: FlushGroup) -> str:
        """Count the group of a message, and queue what its ticket has to be told. What came of it, for the log.

        Raises StorageUnavailable and KeyContended.
        """
        return await self._flusher.flush(message)

    async def _join(
        self,
        message: SignalMessage,
        key: str,
        route: str,
        rules: m.GroupRules,
        rule: str = "",
        *,
        since: datetime | None = None,
    ) -> SignalMessage | Outcome:
        """Count a signal in a group, and order the flush that tells the group's ticket. ``since``: when the group began
        that it may be the first to write; None: with the signal."""
        signal = message.signal
        is_new, member = await self._count(key, signal)
        decision = "grouped" if is_new else "duplicate"
        grouped = Outcome(OutcomeKind.GROUPED, decision, group=key, route=route, rule=rule)
        ordered: FlushOrder | None = None

        async def attempt() -> SignalMessage | Outcome:
            nonlocal ordered
            stored = await self._store.load(key)
            now = self._now()
            if stored is None:
                if signal.state is SignalState.RESOLVED or not signal.opens:
                    return replace(grouped, decision="resolved_before_fired")
                group = m.begin(key, route, head_of(signal), rules, member)
                group = group if since is None else replace(group, since=since)
            else:
                group = replace(stored.value, rules=rules)
                began = (group.head.key, group.since) == (signal.key, signal.occurred_at)
                if group.opened and began and signal.state is not SignalState.RESOLVED:
                    return self._opening(message, group)  # the signal that began the group, delivered once more
                group = m.add_communication(group, signal)
            at = m.next_flush(group, signal, now)
            if stored is None:  # others may have been counted in a group that was not there yet
                at = min(at, now + m.SETTLE)
            elif not m.needs_flush(group, at, now):
                if group.seen_texts != stored.value.seen_texts:
                    await self._store.write(group, stored.etag)
                return grouped
            ordered = await self._flusher.order(group, at, ordered)
            await self._store.write(ordered.named_by(group), stored.etag if stored is not None else None)
            return self._opening(message, group) if stored is None and group.opened else grouped

        contended = f"{key}: others kept changing the group; the alert is tried again later"
        return await until_written(attempt, contended=contended, tries=MOST_TRIES)

    def _opening(self, message: SignalMessage, group: m.Group) -> SignalMessage:
        return replace(message, signal=group_signal(group, m.opening(group)), claim="")

    async def _count(self, key: str, signal: Signal) -> tuple[bool, m.Member]:
        """Count a signal among the members: whether it was new, and the member."""
        current: Versioned[m.Member] | None = None
        if signal.state is not SignalState.FIRED:  # most firings are new: the insert itself finds out
            current = await self._store.member(key, signal.key)

        async def attempt() -> tuple[bool, m.Member]:
            nonlocal current
            counted = m.count(current.value if current else None, signal)
            if counted is None and current is not None:
                return False, current.value
            if counted is None:
                raise AssertionError("the first signal of a member is news")
            try:
                await self._store.write_member(key, counted, current.etag if current else None)
            except RowOvertaken:
                current = await self._store.member(key, signal.key)
                raise
            return True, counted

        contended = f"{signal.key}: others kept counting it; it is tried again later"
        return await until_written(attempt, contended=contended, tries=MOST_TRIES)

    async def _instance(self, base: str, group: CompiledGroup, signal: Signal) -> str:
        """Key of the group that a signal belongs to: the base, or the window of it in which the alert fired."""
        if group.window is None:
            return base
        window, fired = group.window, signal.fired_at or signal.occurred_at

        async def attempt() -> str:
            stored = await self._store.starts(base)
            start = _covering(stored.value, fired, window)
            if start is None and signal.state is SignalState.RESOLVED:
                for begun in reversed(stored.value):  # the payload did not say when it fired
                    if await self._store.member(at_start(base, begun), signal.key) is not None:
                        return at_start(base, begun)
            if start is not None:
                return at_start(base, start)
            await self._store.write_starts(base, (*stored.value, fired), stored.etag)
            return at_start(base, fired)

        contended = f"{base}: others kept beginning windows; the alert is tried again later"
        return await until_written(attempt, contended=contended, tries=MOST_TRIES)

    async def _throttled(
        self, message: SignalMessage, route: CompiledRoute, throttle: CompiledThrottle, base: str
    ) -> SignalMessage | Outcome:
        """Let a signal have a ticket of its own, or count it in the summary of the present period."""
        signal = message.signal
        stored = await self._links.load(signal.key)
        link = stored.value if stored is not None else None
        if link is not None and (link.stage is not LinkStage.NONE or link.pending is not None or link.dead_letter):
            return message
        rules = m.GroupRules(throttle.note_every, summary=_summary(throttle, signal))
        starts = await self._store.starts(base)
        for start in reversed(starts.value):
            if await self._store.member(at_start(base, start), signal.key) is not None:
                return await self._join(message, at_start(base, start), route.name, rules, throttle.name)
        if signal.state is SignalState.RESOLVED or not signal.opens:
            return message
        period = throttle.period(self._now())
        if await self._takes(at_start(base, period), throttle.tickets, period + throttle.per):
            return replace(message, passed_throttle=True)
        await self._begun(base, period)
        joined = await self._join(message, at_start(base, period), route.name, rules, throttle.name)
        if link is not None and link.resolved_by is not None and link.resolved_by > signal.order:
            over = replace(signal, state=SignalState.RESOLVED, occurred_at=link.resolved_by[0])
            await self._join(replace(message, signal=over), at_start(base, period), route.name, rules, throttle.name)
        return joined

    async def _takes(self, counter: str, most: int, until: datetime) -> bool:
        """Count one more ticket unless there are enough; the answer of a full counter is remembered."""
        now = self._now()
        self._full = {name: end for name, end in self._full.items() if end > now} if self._full else {}
        if counter in self._full:
            return False

        async def attempt() -> bool:
            stored = await self._store.count(counter)
            if stored.value >= most:
                self._full[counter] = until
                return False
            await self._store.write_count(counter, stored.value + 1, stored.etag)
            return True

        contended = f"{counter}: others kept counting; the alert is tried again later"
        return await until_written(attempt, contended=contended, tries=MOST_TRIES)

    async def _begun(self, base: str, period: datetime) -> None:
        async def attempt() -> None:
            stored = await self._store.starts(base)
            if period not in stored.value:
                await self._store.write_starts(base, (*stored.value, period), stored.etag)

        contended = f"{base}: others kept beginning periods; the alert is tried again later"
        await until_written(attempt, contended=contended, tries=MOST_TRIES)


def _rules(route: CompiledRoute, group: CompiledGroup) -> m.GroupRules:
    after = route.only_after
    if after is None:
        return m.GroupRules(group.note_every)
    return m.GroupRules(group.note_every, after.lasting, after.firings)


def _burst_rules(rules: CompiledOpenAfter) -> m.GroupRules:
    return m.GroupRules(NOTE_EVERY, firings=rules.count)


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
