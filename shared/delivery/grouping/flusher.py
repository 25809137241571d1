"""Flushes groups: counts the members of a group and queues what its ticket has to be told.

A flush is a message on the queue (:class:`FlushGroup`), and its id is the identity of the order. The group's row names
the one order that is in force. A flush first takes the order off the row, and only then lists the members: so a signal
that was counted while the row still named an order is counted by that flush or by one in its place, however slow a
worker is and whatever the clocks say. All other orders are superseded; they cost one read.

An order is sent before the row names it: one too many changes nothing, a lost one loses a ticket. An order that comes
before its author could write the row is in force all the same, because its id tells which order it replaces; its author
is overtaken then. An order whose predecessor is no longer in the row can never be named any more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from shared.core.errors import KeyContended
from shared.core.messages import FlushGroup, QueueSender, SignalMessage
from shared.delivery.grouping import model as m
from shared.delivery.grouping.store import GroupStore
from shared.delivery.grouping.texts import group_signal
from shared.platform.tables import RowOvertaken, Versioned, until_written

#: Tries to write a row that others keep writing.
MOST_TRIES = 25

#: No worker outlives host.json's functionTimeout: the author of an older order will not write the group any more.
_LONGEST_WORK = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class FlushOrder:
    """An order that was sent, for the group's row to name; ``replaces`` is the id that the row named before."""

    id: str
    at: datetime
    replaces: str

    def named_by(self, group: m.Group) -> m.Group:
        """The group with this order in force."""
        return replace(group, flush_at=self.at, flush_id=self.id)


class Flusher:
    """Orders flushes and does them."""

    def __init__(self, store: GroupStore, queue: QueueSender, *, now: Callable[[], datetime]) -> None:
        """
        Args:
            store: of groups.
            queue: takes the signals of groups, and the orders.
            now: the clock.
        """
        self._store = store
        self._queue = queue
        self._now = now

    async def order(self, group: m.Group, at: datetime, sent: FlushOrder | None = None) -> FlushOrder:
        """Order a flush of a group as its row was read.

        ``sent`` is what the same caller ordered before it was overtaken: while the row names the same predecessor,
        that order holds, and no second one is sent.

        Raises StorageUnavailable.
        """
        if sent is not None and sent.replaces == group.flush_id and sent.at <= at + m.AHEAD:
            return sent
        now = self._now()
        ordered = FlushOrder(m.order_id(group.flush_id, uuid4().hex), at, group.flush_id)
        await self._queue.send(FlushGroup(id=ordered.id, received_at=now, group=group.key, due=at), at - now)
        return ordered

    async def flush(self, order: FlushGroup) -> str:
        """Do a flush that was ordered, and queue what the ticket has to be told. What came of it, for the log.

        Raises StorageUnavailable and KeyContended; the same order may be taken again then.
        """

        async def attempt() -> str:
            taken = await self._take(order)
            if isinstance(taken, str):
                return taken
            members = await self._store.members(order.group)
            found = m.flush(taken.value, m.census([member.value for member in members]), self._now())
            if found.suppressed:
                await self._count_anew(order.group, members)
            return await self._conclude(taken, found)

        return await until_written(attempt, contended=_contended(order.group), tries=MOST_TRIES)

    async def _take(self, order: FlushGroup) -> Versioned[m.Group] | str:
        """The group with the order taken off its row, or why it is not to be flushed."""

        async def attempt() -> Versioned[m.Group] | str:
            stored = await self._store.load(order.group)
            if stored is None:
                return await self._wait_for_group(order)
            group = stored.value
            in_force = m.is_in_force(group, order.id, self._now())
            if (
                group.pending_update is not None
            ):  # the worker that was to send it may have died before; twice does no harm
                await self._send(group, group.pending_update)
            taken = replace(group, pending_update=None)
            if in_force:
                taken = replace(taken, flush_at=None, flush_id=order.id)
            etag = stored.etag if taken == group else await self._store.write(taken, stored.etag)
            return Versioned(taken, etag) if in_force else "superseded"

        return await until_written(attempt, contended=_contended(order.group), tries=MOST_TRIES)

    async def _wait_for_group(self, order: FlushGroup) -> str:
        """An order of a group that is not there: another worker may be about to write the group."""
        now = self._now()
        if now - order.received_at > _LONGEST_WORK:
            return "no_group"
        await self._queue.send(replace(order, due=now + m.SETTLE), m.SETTLE)
        return "no_group_yet"

    async def _conclude(self, taken: Versioned[m.Group], found: m.FlushResult) -> str:
        """Write what a flush found, beside what joined meanwhile, and tell the ticket.

        Raises RowOvertaken when another flush told it something since this one began: then neither knows which
        counted last.
        """
        current, ordered = taken, None
        for _ in range(MOST_TRIES):
            group = m.concluded(current.value, taken.value, found.group)
            if group is None:
                raise RowOvertaken
            at = found.group.flush_at
            if at is not None and m.needs_flush(group, at, self._now()):
                ordered = await self.order(group, at, ordered)
                group = ordered.named_by(group)
            try:
                etag = current.etag if group == current.value else await self._store.write(group, current.etag)
            except RowOvertaken:
                reread = await self._store.load(group.key)
                if reread is None:
                    return "no_group"
                current = reread
                continue
            if group.pending_update is not None:
                await self._send(group, group.pending_update)
                with contextlib.suppress(RowOvertaken):  # queued once more at the next flush, which changes nothing
                    await self._store.write(replace(group, pending_update=None), etag)
                return group.pending_update.state.value
            return "suppressed" if found.suppressed else "waiting" if group.flush_at else "unchanged"
        raise KeyContended(_contended(taken.value.key))

    async def _count_anew(self, key: str, members: list[Versioned[m.Member]]) -> None:
        """Forget the firings of members that are over; what was counted of them is still not counted twice."""
        for stored in members:
            if not stored.value.is_on and stored.value.firings:
                with contextlib.suppress(RowOvertaken):  # it fired once more
                    await self._store.write_member(key, replace(stored.value, firings=0, first=None), stored.etag)

    async def _send(self, group: m.Group, update: m.GroupUpdate) -> None:
        # Sent twice, it has two ids: with one, each would take itself for the other's repetition and ask the ticket
        # system what had become of it.
        await self._queue.send(
            SignalMessage(id=uuid4().hex, received_at=self._now(), signal=group_signal(group, update))
        )


def _contended(key: str) -> str:
    return f"{key}: others kept changing the group; it is flushed again later"
