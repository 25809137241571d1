"""The stages that a signal passes on its way to its ticket, in the order in which :func:`delivery_stages` lists them.

A stage takes a :class:`SignalMessage` and returns the message to go on with, or the :class:`Outcome` that ends
it. It raises BridgeError when it cannot tell yet: the worker then puts the message back on the queue, or parks it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import uuid4

from shared.core.messages import EndWhenQuiet, PushToSource, QueueSender, ReadRows, SignalMessage
from shared.core.outcome import DRY_RUN, Outcome, OutcomeKind
from shared.core.settings import format_duration
from shared.core.signal import Signal, SignalState
from shared.delivery.affected_items import LIST_AFTER, AffectedItemsPort, NoAffectedItems
from shared.delivery.deliver import Deliverer
from shared.delivery.grouping.grouper import Grouper
from shared.delivery.rows import RowNotes, RowReader, RowReaders
from shared.delivery.splitting.splitter import Splitter

#: Is told what grouping made of a message: the message to deliver, or the outcome of one that was counted.
AfterGrouping = Callable[[SignalMessage | Outcome], Awaitable[None]]

#: How long after its last event a problem is taken to be over, and how often the health of its resources is asked for;
#: None for never. Given by the signal's route.
AutoClose = Callable[[Signal], tuple[timedelta | None, timedelta | None]]

_NOT_ALLOWED: Final = "Widen accept_only in bridge.yaml if this sender may open tickets, then replay it"

#: Decisions after which an open ticket waits for the end of its problem.
_STILL_ON: Final = frozenset({"created", "commented", "reopened", "noted"})

#: Decisions after which a ticket is to be told of rows that did not come in time.
_ROWS_FOLLOW: Final = frozenset({"created", "reopened", "duplicate"})


@dataclass(slots=True)
class Attempt:
    """What the stages share while one message is worked on.

    Attributes:
        is_first_delivery: the queue shows the message for the first time.
        rows_follow: the rows of its signal are still to be read.
        warnings: what stages had to say that the outcome tells, one sentence each.
        after_grouping: what earlier stages want to do once it is known where the signal is counted.
        follow_ups: messages to send once the stages have ended. When storage fails there, the Functions host shows the
            message again.
    """

    is_first_delivery: bool = True
    rows_follow: bool = False
    after_grouping: list[AfterGrouping] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    follow_ups: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


class Stage(Protocol):
    """One step of the delivery of a signal."""

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """The message to go on with, or the outcome that ends it. Raises BridgeError."""
        ...


class WriteBackPort(Protocol):
    """Tells the sources of signals what became of their tickets; see ``shared.delivery.write_back``."""

    def needs_push(self, signal: Signal, delivered: Outcome) -> bool:
        """Whether the source is to be told after a delivery."""
        ...

    async def push(self, key: str) -> str:
        """Tell the source of a key what it has to know now; what came of it, for the log. Raises BridgeError."""
        ...


class NoWriteBack:
    """No source is told anything."""

    def needs_push(self, signal: Signal, delivered: Outcome) -> bool:
        """See :class:`WriteBackPort`."""
        del signal, delivered
        return False

    async def push(self, key: str) -> str:
        """See :class:`WriteBackPort`."""
        del key
        return "no_target"


def delivery_stages(
    *,
    not_allowed: Callable[[Signal], str | None] | None,
    deliverer: Deliverer,
    grouper: Grouper,
    queue: QueueSender,
    auto_close: AutoClose,
    is_healthy: Callable[[Signal], Awaitable[bool]],
    now: Callable[[], datetime],
    source_stages: Sequence[Stage] = (),
    dry_run: Stage | None = None,
    refresh_planned_work: Callable[[], Awaitable[None]] | None = None,
    write_back: WriteBackPort | None = None,
    split: Stage | None = None,
    reader: RowReader | None = None,
    affected_items: AffectedItemsPort | None = None,
    tags: Stage | None = None,
) -> tuple[Stage, ...]:
    """The stages of one configuration, in order.

    Args:
        not_allowed: why a signal may not become a ticket at all (``accept_only``), None when it may; None where
            everything may.
        deliverer, grouper, queue: of the engine.
        auto_close: when a problem that does not report its end is taken to be over.
        is_healthy: whether the resources of a signal are available.
        now: the clock.
        source_stages: what sources contribute, e.g. the owners of Defender's recommendations.
        dry_run: takes the signals that are only rehearsed; None where the configuration has none.
        refresh_planned_work: reads the planned work of ticket systems again when it is time; None where the
            configuration follows none.
        write_back: tells sources of tickets; None for no source.
        split: makes several signals of one, see :class:`SplitParts`; None where no route does.
        reader: reads rows that payloads do not bring; None for nobody.
        affected_items: lists on tickets what is affected; None for nothing.
        tags: adds tags to resources; None where nothing in the configuration asks for any.
    """
    notes = RowNotes(reader or RowReaders(), queue, now)
    return (
        *(() if not_allowed is None else (Allowed(not_allowed),)),
        *(() if tags is None else (tags,)),
        ResourceHealthy(deliverer, is_healthy, auto_close, queue, now),
        *source_stages,
        *(() if refresh_planned_work is None else (RefreshPlannedWork(refresh_planned_work),)),
        *(() if split is None else (split,)),
        *(() if dry_run is None else (dry_run,)),
        GroupOrThrottle(grouper),
        AddRows(notes),
        Deliver(deliverer, auto_close, write_back or NoWriteBack(), queue, now, notes, affected_items),
    )


class Allowed:
    """Only what ``accept_only`` names may become a ticket; the rest goes to quarantine."""

    def __init__(self, not_allowed: Callable[[Signal], str | None]) -> None:
        self._not_allowed = not_allowed

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See :class:`Stage`."""
        del attempt
        reason = self._not_allowed(message.signal)
        if reason is None:
            return message
        return Outcome(OutcomeKind.QUARANTINED, "quarantined", code="not_allowed", reason=reason, advice=_NOT_ALLOWED)


class ResourceHealthy:
    """A ticket ends by itself only when its resources are available again, where its route asks for that."""

    def __init__(
        self,
        deliverer: Deliverer,
        is_healthy: Callable[[Signal], Awaitable[bool]],
        auto_close: AutoClose,
        queue: QueueSender,
        now: Callable[[], datetime],
    ) -> None:
        self._deliverer = deliverer
        self._is_healthy = is_healthy
        self._auto_close = auto_close
        self._queue = queue
        self._now = now

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See :class:`Stage`."""
        del attempt
        if not isinstance(message, EndWhenQuiet) or not message.only_if_healthy:
            return message
        if not await self._deliverer.is_open_and_quiet(message.signal.key, message.since):
            return message  # there was another event since then, which the delivery finds out
        if await self._is_healthy(message.signal):
            return message
        _, every = self._auto_close(message.signal)
        if every is None:  # the configuration does not ask for health any more
            return Outcome(OutcomeKind.DELIVERED, "overtaken")
        due = self._now() + every
        signal = replace(message.signal, occurred_at=due, resolved_at=due)
        await self._queue.send(replace(message, signal=signal, due=due, received_at=due, claim=""), every)
        return Outcome(OutcomeKind.HELD, "resource_unhealthy", until=due)


class RefreshPlannedWork:
    """Reads the planned work of ticket systems when it is time, so that the delivery finds it in memory."""

    def __init__(self, refresh: Callable[[], Awaitable[None]]) -> None:
        self._refresh = refresh

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See :class:`Stage`."""
        del attempt
        await self._refresh()
        return message


class SplitParts:
    """Makes a signal of each row or item, where the route asks for that."""

    def __init__(self, live: Splitter, dry: Splitter, is_dry_run: Callable[[Signal], bool]) -> None:
        """``dry`` splits the signals of a dry run: it stores what is on apart from what is live."""
        self._live = live
        self._dry = dry
        self._is_dry_run = is_dry_run

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See :class:`Stage`."""
        del attempt
        if not self._is_dry_run(message.signal):
            return await self._live.split(message)
        found = await self._dry.split(message)
        return replace(found, mode=DRY_RUN) if isinstance(found, Outcome) else found


class GroupOrThrottle:
    """Counts a signal that belongs to a group or a storm, whose ticket then stands for it."""

    def __init__(self, grouper: Grouper) -> None:
        self._grouper = grouper

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See :class:`Stage`."""
        grouped = await self._grouper.group(message)
        for after in attempt.after_grouping:
            await after(grouped)
        return grouped


class AddRows:
    """Adds the rows of a query that the payload does not bring, when they come in time."""

    def __init__(self, notes: RowNotes) -> None:
        self._notes = notes

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See :class:`Stage`."""
        if isinstance(message, ReadRows):
            return await self._notes.after_ticket(message)
        message, attempt.rows_follow = await self._notes.before_ticket(message)
        return message


class Deliver:
    """Delivers the signal to its ticket. The last stage: it always returns an outcome."""

    def __init__(
        self,
        deliverer: Deliverer,
        auto_close: AutoClose,
        write_back: WriteBackPort,
        queue: QueueSender,
        now: Callable[[], datetime],
        notes: RowNotes | None = None,
        affected_items: AffectedItemsPort | None = None,
    ) -> None:
        self._deliverer = deliverer
        self._auto_close = auto_close
        self._write_back = write_back
        self._affected_items = affected_items or NoAffectedItems()
        self._queue = queue
        self._notes = notes
        self._now = now

    async def run(self, message: SignalMessage, attempt: Attempt) -> Outcome:
        """See :class:`Stage`. Raises as ``Deliverer.deliver``."""
        outcome = await self._deliverer.deliver(message, is_first_delivery=attempt.is_first_delivery)
        # The worker that made the ticket may have died before it ordered the note, hence duplicates too.
        rows_follow = attempt.rows_follow and outcome.decision in _ROWS_FOLLOW
        attempt.follow_ups.append(lambda: self._follow_up(message, outcome, rows_follow=rows_follow))
        return outcome

    async def _follow_up(self, message: SignalMessage, outcome: Outcome, *, rows_follow: bool) -> None:
        """Queue what follows from a delivery: the held signal itself, the note of its rows, its automatic end, the push
        to its source, the list of what is affected."""
        if rows_follow and self._notes is not None:
            await self._notes.order(message.signal)
        if outcome.until is not None:
            await self._queue.send(replace(message, due=outcome.until), outcome.until - self._now())
        await self._end_when_quiet(message.signal, outcome)
        if self._write_back.needs_push(message.signal, outcome):
            await self._queue.send(PushToSource(id=uuid4().hex, received_at=self._now(), key=message.signal.key))
        if (affected := self._affected_items.message_for(message.signal, outcome)) is not None:
            await self._queue.send(affected, LIST_AFTER)

    async def _end_when_quiet(self, signal: Signal, outcome: Outcome) -> None:
        """Order the automatic end of a ticket whose problem may never report its own."""
        if signal.state is SignalState.RESOLVED or outcome.stage != "open" or outcome.decision not in _STILL_ON:
            return
        quiet, healthy = self._auto_close(signal)
        if quiet is not None:
            condition = f"No Resolved came; nothing was heard of it for {format_duration(quiet)}"
            await self._order_end(signal, quiet, condition, only_if_healthy=False)
        if healthy is not None:
            condition = "No Resolved came; the resource is available again"
            await self._order_end(signal, healthy, condition, only_if_healthy=True)

    async def _order_end(self, signal: Signal, after: timedelta, condition: str, *, only_if_healthy: bool) -> None:
        moment = signal.occurred_at + after
        due = max(self._now(), signal.occurred_at) + after
        end = EndWhenQuiet(
            id=uuid4().hex,
            received_at=due,
            due=due,
            signal=replace(
                signal, state=SignalState.RESOLVED, occurred_at=moment, resolved_at=moment, condition=condition
            ),
            since=signal.order,
            only_if_healthy=only_if_healthy,
        )
        await self._queue.send(end, due - self._now())
