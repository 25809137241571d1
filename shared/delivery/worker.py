"""The queue's worker: reads a message, hands it to the handler of its type, and concludes it.

A handler returns an :class:`Outcome` or raises. The worker then puts the message back on the queue, parks it, or lets
it end, and gives the outcome to every listener.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from shared.config.model import DeliverySettings
from shared.core.errors import (
    BridgeError,
    CircuitOpen,
    ConfigurationError,
    ConnectionDisabled,
    KeyContended,
    MustWait,
    ReadAgainLater,
    SecretUnavailable,
    SourceError,
    StorageUnavailable,
    TicketNotSeen,
    TicketSystemError,
    UnreadableRow,
)
from shared.core.messages import (
    AddAffectedItems,
    EndWhenQuiet,
    FlushGroup,
    Message,
    NewerVersion,
    PushToSource,
    ReadRows,
    SignalMessage,
    UnreadableMessage,
)
from shared.core.outcome import FOREIGN_MESSAGE, Outcome, OutcomeKind, OutcomeListener, measured
from shared.core.rate_gate import CallCounter
from shared.delivery.affected_items import AffectedItemsPort, NoAffectedItems
from shared.delivery.deliver import Deliverer
from shared.delivery.interruptions import DeliveryFailed, KeyLocked
from shared.delivery.parked import ParkedKind, ParkedStore
from shared.delivery.queue import SignalQueue, fits_queue
from shared.delivery.stages import Attempt, NoWriteBack, Stage, WriteBackPort

#: Raised by the call budget before anything was sent: no failure of the connection.
_BUDGET_WAITS: Final = (MustWait, CircuitOpen)

#: How long a message for a disabled connection waits until it is looked at again.
_WHILE_DISABLED: Final = timedelta(minutes=15)

#: What a handler or a stage may raise, apart from a delivery, which raises DeliveryFailed.
_FAILURES: Final = (
    ConfigurationError,
    SecretUnavailable,
    SourceError,
    StorageUnavailable,
    KeyContended,
    TicketSystemError,
)

#: How long a poisonous message rests when its dead letter could not be written.
_AFTER_POISON: Final = timedelta(minutes=10)

#: How long a message of a newer release is hidden. While an app is deployed, old and new workers run side by side.
_NEWER_RELEASE: Final = timedelta(minutes=10)

_POISON_REASON: Final = "the worker failed on it again and again; the app's log says why"
_POISON_ADVICE: Final = "Look for exceptions of the worker with this id in Application Insights; replay when mended"
_UNREADABLE_ADVICE: Final = (
    "If this came from Azure, please report its shape (without your data) as an issue of the project"
)
_FOREIGN_ADVICE: Final = "Only the bridge may write to its queue; check who else has access to the storage account"


class GroupFlusher(Protocol):
    """Flushes groups; see ``shared.delivery.grouping.grouper``."""

    async def flush(self, message: FlushGroup) -> str:
        """Count a group and queue what its ticket has to be told; what came of it, for the log. Raises BridgeError."""
        ...


@dataclass(frozen=True, slots=True)
class Configured:
    """What depends on the configuration.

    Attributes:
        stages: what a signal passes, see ``shared.delivery.stages.delivery_stages``.
        deliverer: of the last stage; it is told when a signal is given up.
        groups: flushes groups.
        delivery: its section.
        write_back: tells sources of tickets.
        affected_items: lists on tickets what is affected.
    """

    stages: Sequence[Stage]
    deliverer: Deliverer
    groups: GroupFlusher
    delivery: DeliverySettings
    write_back: WriteBackPort = field(default_factory=NoWriteBack)
    affected_items: AffectedItemsPort = field(default_factory=NoAffectedItems)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a handler ended: the message as it was worked on last, the outcome, and the message that goes back on the
    queue after ``outcome.delay`` where one does."""

    message: Message
    outcome: Outcome
    again: Message | None = None


class Worker:
    """Handles messages of the signal queue and of its poison queue."""

    def __init__(
        self,
        configured: Callable[[], Configured],
        queue: SignalQueue,
        parked: ParkedStore,
        listeners: Sequence[OutcomeListener],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        """
        Args:
            configured: gives what depends on the configuration; raises ConfigurationError.
            queue, parked: where messages go back to, and where they are parked.
            listeners: are told how each message ended, in this order.
            now, chance: clock, and randomness between 0 and 1 for jitter.
        """
        self._configured = configured
        self._queue = queue
        self._parked = parked
        self._listeners = tuple(listeners)
        self._now = now
        self._chance = chance
        self._handlers: Mapping[type[Message], Callable[[Any, Attempt], Awaitable[_Ended]]] = {
            SignalMessage: self._deliver_signal,
            EndWhenQuiet: self._deliver_signal,
            ReadRows: self._deliver_signal,
            UnreadableMessage: self._quarantine_unreadable,
            FlushGroup: self._flush_group,
            PushToSource: self._push_to_source,
            AddAffectedItems: self._add_affected_items,
        }

    async def handle(self, message_id: str, text: str | bytes, dequeue_count: int) -> None:
        """Work on one message of the queue. Raises only what nobody foresaw, or when storage itself fails: then the
        Functions host shows the message again, and moves it to the poison queue in the end."""
        message = await self._decoded(message_id, text)
        if message is None:
            return
        now = self._now()
        if message.due is not None and now < message.due:
            await self._queue.send(message, message.due - now)
            return
        await self._work(message, Attempt(is_first_delivery=dequeue_count <= 1))

    async def handle_now(self, message: Message) -> Outcome:
        """Work on a message that is on no queue yet, for a caller that waits. Raises as :meth:`handle`.

        Where ``Outcome.is_queued_again``, the message is on the queue now and ends later.
        """
        return await self._work(message, Attempt())

    async def handle_poison(self, message_id: str, text: str | bytes) -> None:
        """Park a message that failed too often as a dead letter.

        A poison queue has no poison queue: what fails here would be lost. So where the dead letter cannot be written,
        the message goes back to the signal queue. Raises StorageUnavailable when even that fails.
        """
        message = await self._decoded(message_id, text, foreign_reason=_POISON_REASON)
        if message is None:
            return
        outcome = Outcome(
            OutcomeKind.DEAD_LETTERED, "dead_lettered", code="poison", reason=_POISON_REASON, advice=_POISON_ADVICE
        )
        try:
            await self._park("dead-letter", message, outcome)
        except StorageUnavailable as error:
            await self._queue.send(replace(message, last_outcome="unknown"), _AFTER_POISON)
            outcome = Outcome(OutcomeKind.POSTPONED, code="poison", reason=str(error), delay=_AFTER_POISON)
        else:
            await self._queue.delete_content(message)
        await self._publish(measured(outcome, message, self._now(), calls=0))

    async def _decoded(self, message_id: str, text: str | bytes, *, foreign_reason: str = "") -> Message | None:
        """The message of a text; None when it is of a newer release, or was not written by the bridge at all."""
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        try:
            return await self._queue.decoded(text)
        except NewerVersion as newer:
            await self._queue.send_text(shown, _NEWER_RELEASE)
            outcome = Outcome(
                OutcomeKind.WAITS_FOR_RELEASE,
                id=newer.message_id,
                reason=str(newer),
                delay=_NEWER_RELEASE,
                ended_at=self._now(),
            )
        except ValueError as error:
            reason = foreign_reason or str(error)
            await self._parked.park_text(message_id, shown, code=FOREIGN_MESSAGE, reason=reason, advice=_FOREIGN_ADVICE)
            outcome = Outcome(
                OutcomeKind.DEAD_LETTERED,
                "dead_lettered",
                id=message_id,
                code=FOREIGN_MESSAGE,
                reason=reason,
                advice=_FOREIGN_ADVICE,
                ended_at=self._now(),
            )
        await self._publish(outcome)
        return None

    async def _work(self, message: Message, attempt: Attempt) -> Outcome:
        with CallCounter() as counter:
            ended = await self._handlers[type(message)](message, attempt)
            for follow_up in attempt.follow_ups:
                await follow_up()
            outcome = measured(ended.outcome, ended.message, self._now(), counter.calls)
            await self._conclude(ended, outcome)
            await self._delete_replaced_content(message, ended)
            await self._publish(outcome)
        return outcome

    # One handler for each type of message.

    async def _deliver_signal(self, message: SignalMessage, attempt: Attempt) -> _Ended:
        settings, current = DeliverySettings(), message
        try:
            configured = self._configured()
            settings = configured.delivery
            for stage in configured.stages:
                result = await stage.run(current, attempt)
                if isinstance(result, Outcome):
                    return _Ended(current, replace(result, warnings=(*attempt.warnings, *result.warnings)))
                current = result
        except KeyLocked as locked:
            return self._key_locked(current, locked)
        except DeliveryFailed as failed:
            current = replace(current, last_outcome=failed.last_outcome)
            return self._failed(current, failed.error, settings, during_delivery=True)
        except _FAILURES as error:  # of a stage before the delivery: the message begins anew
            return self._failed(message, error, settings)
        raise AssertionError("the last stage returns an outcome")

    async def _quarantine_unreadable(self, message: UnreadableMessage, attempt: Attempt) -> _Ended:
        del attempt
        reason = message.unreadable.reason
        outcome = Outcome(
            OutcomeKind.QUARANTINED, "quarantined", code="unreadable", reason=reason, advice=_UNREADABLE_ADVICE
        )
        return _Ended(message, outcome)

    async def _flush_group(self, message: FlushGroup, attempt: Attempt) -> _Ended:
        del attempt

        async def flush(configured: Configured) -> Outcome:
            decision = await configured.groups.flush(message)
            return Outcome(OutcomeKind.GROUP_FLUSHED, decision, group=message.group)

        return await self._without_stages(message, flush)

    async def _push_to_source(self, message: PushToSource, attempt: Attempt) -> _Ended:
        del attempt

        async def push(configured: Configured) -> Outcome:
            return Outcome(OutcomeKind.SOURCE_PUSHED, await configured.write_back.push(message.key))

        return await self._without_stages(message, push)

    async def _add_affected_items(self, message: AddAffectedItems, attempt: Attempt) -> _Ended:
        del attempt
        return await self._without_stages(message, lambda configured: configured.affected_items.add(message))

    async def _without_stages(self, message: Message, work: Callable[[Configured], Awaitable[Outcome]]) -> _Ended:
        settings = DeliverySettings()
        try:
            configured = self._configured()
            settings = configured.delivery
            return _Ended(message, await work(configured))
        except _FAILURES as error:
            return self._failed(message, error, settings)

    # An attempt that did not succeed.

    def _key_locked(self, message: SignalMessage, locked: KeyLocked) -> _Ended:
        delay = lock_delay(message.lock_waits, locked.until - self._now(), self._chance())
        again = replace(message, lock_waits=message.lock_waits + 1, last_outcome="unknown")
        return _Ended(message, Outcome(OutcomeKind.KEY_LOCKED, delay=delay), again)

    def _failed(
        self, message: Message, error: BridgeError, settings: DeliverySettings, *, during_delivery: bool = False
    ) -> _Ended:
        """A dead letter for what cannot succeed, else another attempt later."""
        outcome = Outcome(OutcomeKind.DEAD_LETTERED, "dead_lettered", code=error.code, reason=str(error))
        if isinstance(error, TicketSystemError):
            was_called = (
                during_delivery and error.connection and not isinstance(error, (*_BUDGET_WAITS, ConnectionDisabled))
            )
            outcome = replace(
                outcome,
                advice=error.advice,
                connection=error.connection,
                call_error=error.code if was_called else "",
                call_status=error.status if was_called else None,
            )
        age = self._now() - message.received_at - timedelta(seconds=message.paused)
        if not error.retry:
            return _Ended(message, outcome)
        if isinstance(error, ConnectionDisabled):
            again = replace(message, paused=message.paused + int(_WHILE_DISABLED.total_seconds()))
            wait = _WHILE_DISABLED * (1 + self._chance() / 10)
            return _Ended(message, replace(outcome, kind=OutcomeKind.POSTPONED, decision="", delay=wait), again)
        if age > settings.retry_for:
            reason = f"tried {message.attempts + 1} times in {age.days} days; the last failure: {error}"
            code = "ticket_missing" if isinstance(error, TicketNotSeen) else "expired"
            return _Ended(message, replace(outcome, code=code, reason=reason))
        again, delay = self._again(message, error, settings)
        return _Ended(message, replace(outcome, kind=OutcomeKind.POSTPONED, decision="", delay=delay), again)

    def _again(self, message: Message, error: BridgeError, settings: DeliverySettings) -> tuple[Message, timedelta]:
        """The message that goes back on the queue, and for how long."""
        if isinstance(error, _BUDGET_WAITS):
            # Nothing failed: the budget said when its turn is, and coming early or late would cost it that.
            position = error.position or message.position
            return replace(message, position=position), timedelta(seconds=error.retry_after or 0.0)
        if isinstance(error, ReadAgainLater):
            wait = timedelta(seconds=error.retry_after * (1 + self._chance() / 10))
            return replace(message, attempts=message.attempts + 1), wait
        retry_after = error.retry_after if isinstance(error, TicketSystemError) else None
        delay = retry_delay(message.attempts, settings.first_retry, settings.longest_retry, self._chance(), retry_after)
        return replace(message, attempts=message.attempts + 1), delay

    # What becomes of a message.

    async def _conclude(self, ended: _Ended, outcome: Outcome) -> None:
        """Put the message back on the queue, park it, or let it end."""
        message = ended.message
        if ended.again is not None:
            await self._queue.send(ended.again, outcome.delay or timedelta())
            return
        match outcome.kind:
            case OutcomeKind.HELD:
                return  # the stage that holds it has put it on the queue
            case OutcomeKind.QUARANTINED:
                await self._park("quarantine", message, outcome)
            case OutcomeKind.DEAD_LETTERED:
                await self._park("dead-letter", message, outcome)
                if isinstance(message, SignalMessage):
                    # Without a configuration nothing was reserved; a link that cannot be read cannot be given up, and
                    # one that others keep writing is theirs.
                    with contextlib.suppress(ConfigurationError, UnreadableRow, KeyContended):
                        await self._configured().deliverer.give_up(message)
            case OutcomeKind.DELIVERED | OutcomeKind.SPLIT | OutcomeKind.SOURCE_PUSHED | OutcomeKind.ITEMS_ADDED if (
                message.replayed
            ):
                await self._parked.forget("dead-letter", message.id)
        await self._queue.delete_content(message)

    async def _delete_replaced_content(self, message: Message, ended: _Ended) -> None:
        """Delete the content of a message whose signal a stage replaced, unless the new content is in the same blob."""
        if not message.claim or ended.message.claim == message.claim:
            return
        if ended.outcome.is_queued_again and not fits_queue(ended.again or ended.message):
            return
        await self._queue.delete_content(message)

    async def _park(self, kind: ParkedKind, message: Message, outcome: Outcome) -> None:
        await self._parked.park(
            kind,
            message,
            code=outcome.code,
            reason=outcome.reason,
            advice=outcome.advice,
            connection=outcome.connection,
        )

    async def _publish(self, outcome: Outcome) -> None:
        for listener in self._listeners:
            await listener.ended(outcome)


def retry_delay(
    attempts: int, first: timedelta, longest: timedelta, chance: float, retry_after: float | None = None
) -> timedelta:
    """Delay before the next attempt after a failure.

    Doubles from ``first`` up to ``longest`` and takes between half and all of that by ``chance`` (0 to 1), so that
    what failed together does not come back together. A ``retry_after`` (seconds) that the system asked for is never
    undercut: the jitter then comes on top, up to a tenth and at most a minute.
    """
    doubled = min(first.total_seconds() * 2 ** min(attempts, 30), longest.total_seconds())
    delay = doubled * (0.5 + chance / 2)
    if retry_after is not None and retry_after > 0:
        delay = max(delay, retry_after + chance * min(retry_after / 10 + 1, 60))
    return timedelta(seconds=delay)


def lock_delay(lock_waits: int, left: timedelta, chance: float) -> timedelta:
    """Delay for a message whose key another worker holds: soon at first, and not much after the lease ends.

    Args:
        lock_waits: how often it has waited for the key already.
        left: until the lease ends.
        chance: between 0 and 1.
    """
    soon = min(2.0 ** min(lock_waits, 6), 60.0)
    return timedelta(seconds=max(min(soon, left.total_seconds() + 1), 1) * (0.5 + chance / 2) + 0.5)
