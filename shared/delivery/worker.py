"""What the queue's worker does with a message, whatever comes of it: deliver, send back, or keep."""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import uuid4

from shared.config.model import DeliverySettings
from shared.core.call_counter import CallCounter
from shared.core.errors import (
    BridgeError,
    CircuitOpen,
    ConfigurationError,
    KeyContended,
    MustWait,
    SecretUnavailable,
    SourceError,
    StorageUnavailable,
    TicketSystemError,
    UnreadableRow,
)
from shared.core.messages import Envelope
from shared.core.settings import format_duration
from shared.core.signal import Signal, SignalState
from shared.delivery.backoff import retry_delay, wait_delay
from shared.delivery.deliver import Delivered, Deliverer, DeliveryFailed, KeyLocked
from shared.delivery.facts import facts
from shared.delivery.listeners import AuditWriter, ConnectionHealth
from shared.delivery.parked import ParkedStore
from shared.delivery.queue import SignalQueue
from shared.platform.log import record

#: Told by the budget before anything was sent: no failure of the connection.
_WAITS = (MustWait, CircuitOpen)

#: What everything but a delivery, which has its own word for it, ends with when it fails.
_FAILURES = (ConfigurationError, SecretUnavailable, SourceError, StorageUnavailable, KeyContended, TicketSystemError)

#: How long a poisonous message rests when its dead letter could not be written.
_BACK_FROM_POISON = timedelta(minutes=10)


class Absorbed(Protocol):
    """A signal that was counted in a group, and whose road ends there."""

    @property
    def decision(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def route(self) -> str: ...

    @property
    def rule(self) -> str: ...


#: How an attempt ended: see ``Worker.handle_now``.
Ended = Delivered | Absorbed | BridgeError | None


class Groups(Protocol):
    """Counts signals that belong together, and speaks for them."""

    async def admit(self, envelope: Envelope) -> Envelope | Absorbed:
        """What is to be delivered in place of an envelope, or where its signal was counted."""
        ...

    async def look(self, order: Envelope) -> str:
        """Look at the group that ``order.flush`` names and queue what it has to say; what came of it."""
        ...


class WriteBackPort(Protocol):
    """Tells the sources of signals what became of their tickets."""

    def follows(self, signal: Signal, delivered: Delivered) -> bool:
        """Whether the source is to be told after a delivery. Says so for a duplicate too: the worker that delivered
        may have died before it ordered that."""
        ...

    async def tell(self, key: str) -> str:
        """Tell the source of a key what it has to know now; what came of it, for the log.

        Raises BridgeError: what may pass is tried again later, what cannot becomes a dead letter.
        """
        ...


class NoWriteBack:
    """No source is told anything."""

    def follows(self, signal: Signal, delivered: Delivered) -> bool:
        """See :class:`WriteBackPort`."""
        del signal, delivered
        return False

    async def tell(self, key: str) -> str:
        """See :class:`WriteBackPort`."""
        del key
        return "nobody_listens"


@dataclass(frozen=True, slots=True)
class Configured:
    """What depends on the configuration.

    Attributes:
        deliverer, groups: of it.
        delivery: its section.
        unwanted: why a signal may not become a ticket at all; None when it may.
        ends: how long after its last sign a signal's problem is taken to be over, and how often its resources are
            asked after their health; None for never.
        well: whether a signal's resources are well.
        back: tells sources of tickets.
    """

    deliverer: Deliverer
    groups: Groups
    delivery: DeliverySettings
    unwanted: Callable[[Signal], str | None]
    ends: Callable[[Signal], tuple[timedelta | None, timedelta | None]]
    well: Callable[[Signal], Awaitable[bool]]
    back: WriteBackPort = field(default_factory=NoWriteBack)


class Worker:
    """Handles messages of the signal queue and of its poison queue."""

    def __init__(
        self,
        configured: Callable[[], Configured],
        queue: SignalQueue,
        kept: ParkedStore,
        pulse: ConnectionHealth,
        actions: AuditWriter,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        """
        Args:
            configured: gives what depends on the configuration; raises ConfigurationError.
            queue, kept: where messages go back to, and where they end.
            pulse: is told of every success and failure of a connection.
            actions: writes down what came of each signal.
            now, chance: clock, and randomness between 0 and 1 for jitter.
        """
        self._configured = configured
        self._queue = queue
        self._kept = kept
        self._pulse = pulse
        self._actions = actions
        self._now = now
        self._chance = chance

    async def handle(self, message_id: str, text: str | bytes, dequeue_count: int) -> None:
        """Deliver one message. Raises only what nobody foresaw, or when storage itself fails: then the Functions
        host shows the message again, and moves it to the poison queue in the end."""
        try:
            envelope = await self._queue.opened(text)
        except ValueError as error:
            await self._keep_foreign(message_id, text, str(error))
            return
        if envelope.unreadable is not None:
            await self._quarantine(envelope, envelope.unreadable.reason)
            return
        now = self._now()
        if envelope.due is not None and now < envelope.due:
            await self._queue.send(envelope, envelope.due - now)
            return
        with CallCounter() as tally:
            await self._work(envelope, dequeue_count, tally)

    async def handle_now(self, envelope: Envelope) -> Ended:
        """Work on an envelope that is on no queue yet, for somebody who waits. Raises as :meth:`handle`.

        Returns what became of it; where it goes on by the queue, or is kept, why (None: a worker or rule holds it).
        """
        with CallCounter() as tally:
            return await self._work(envelope, 1, tally)

    async def handle_poison(self, message_id: str, text: str | bytes) -> None:
        """Keep a message that failed too often as a dead letter.

        Nobody keeps what fails here: a poison queue has no poison queue. So where the dead letter cannot be written,
        the signal goes back to the beginning of the road. Raises StorageUnavailable when even that fails.
        """
        reason = "the worker failed on it again and again; the app's log says why"
        advice = "Look for exceptions of the worker with this id in Application Insights; replay when mended"
        try:
            envelope = await self._queue.opened(text)
        except ValueError:
            await self._keep_foreign(message_id, text, reason)
            return
        try:
            await self._kept.keep("dead-letter", envelope, code="poison", reason=reason, advice=advice)
        except StorageUnavailable as error:
            await self._queue.send(replace(envelope, outcome="unknown"), _BACK_FROM_POISON)
            record("postponed", logging.ERROR, **facts(envelope), code="poison", reason=str(error))
            return
        await self._queue.done(envelope)
        record("dead_lettered", logging.ERROR, **facts(envelope), code="poison", reason=reason)
        await self._actions.finished(envelope, "dead_lettered", reason=reason)

    async def _work(self, envelope: Envelope, dequeue_count: int, tally: CallCounter) -> Ended:
        settings = DeliverySettings()
        onward = envelope
        ended: Ended = None
        try:
            configured = self._configured()
            settings = configured.delivery
            if envelope.flush:
                record("looked_at_group", group=envelope.flush, found=await configured.groups.look(envelope))
                return None
            if envelope.tell:
                record("told_source", key=envelope.tell, id=envelope.id, told=await configured.back.tell(envelope.tell))
                if envelope.replayed:
                    await self._kept.forget("dead-letter", envelope.id)
                return None
            if envelope.signal is not None and (reason := configured.unwanted(envelope.signal)):
                await self._quarantine(envelope, reason, "not_allowed")
                return None
            if envelope.ask and not await self._is_well(configured, envelope):
                return None
            admitted = await configured.groups.admit(envelope)
            if not isinstance(admitted, Envelope):
                await self._after_absorption(envelope, admitted)
                return admitted
            onward = admitted
            delivered = await configured.deliverer.deliver(onward, first_sight=dequeue_count <= 1)
        except KeyLocked as way:
            delay = wait_delay(onward.waits, way.until - self._now(), self._chance())
            await self._queue.send(replace(onward, waits=onward.waits + 1, outcome="unknown"), delay)
            record("made_way", **facts(onward), delay_s=round(delay.total_seconds(), 1))
        except DeliveryFailed as failed:
            error = failed.error
            if isinstance(error, TicketSystemError) and error.connection and not isinstance(error, _WAITS):
                await self._pulse.failed(error.connection, error)
            await self._after_failure(replace(onward, outcome=failed.outcome), failed.error, settings, tally)
            ended = failed.error
        except _FAILURES as error:
            await self._after_failure(onward, error, settings, tally)
            ended = error
        else:
            if delivered.until is not None:
                await self._queue.send(replace(onward, due=delivered.until), delivered.until - self._now())
            await self._end_when_quiet(configured, onward, delivered)
            if onward.signal is not None and configured.back.follows(onward.signal, delivered):
                await self._queue.send(Envelope(id=uuid4().hex, received_at=self._now(), tell=onward.signal.key))
            await self._after_success(onward, delivered, tally)
            ended = delivered if delivered.until is None else None
        if onward is not envelope:
            await self._queue.done(envelope)  # what was sent on in its place carries its own content
        return ended

    async def _end_when_quiet(self, configured: Configured, envelope: Envelope, delivered: Delivered) -> None:
        """See to it that the ticket of a problem that may never report its end is looked after once it is quiet."""
        signal = envelope.signal
        if signal is None or signal.state is SignalState.RESOLVED or delivered.stage != "open":
            return
        if delivered.decision not in ("created", "commented", "reopened", "noted"):
            return
        quiet, healthy = configured.ends(signal)
        if quiet is not None:
            said = f"No Resolved came; nothing was heard of it for {format_duration(quiet)}"
            await self._end_later(signal, quiet, said, ask=False)
        if healthy is not None:
            await self._end_later(signal, healthy, "No Resolved came; the resource is available again", ask=True)

    async def _end_later(self, signal: Signal, after: timedelta, said: str, *, ask: bool) -> None:
        moment = signal.occurred_at + after
        ends = replace(signal, state=SignalState.RESOLVED, occurred_at=moment, resolved_at=moment, condition=said)
        due = max(self._now(), signal.occurred_at) + after
        end = Envelope(id=uuid4().hex, received_at=due, signal=ends, due=due, since=signal.order, ask=ask)
        await self._queue.send(end, due - self._now())

    async def _is_well(self, configured: Configured, envelope: Envelope) -> bool:
        """Whether a ticket may end because its resources are well; when they are not, they are asked again later."""
        signal, since = envelope.signal, envelope.since
        if signal is None or since is None:
            return False
        if not await configured.deliverer.still_awaits(signal.key, since):
            return True  # whatever came since has the say, and delivery finds that out
        if await configured.well(signal):
            return True
        _, healthy = configured.ends(signal)
        if healthy is not None:
            due = self._now() + healthy
            later = replace(signal, occurred_at=due, resolved_at=due)
            await self._queue.send(replace(envelope, signal=later, due=due, received_at=due), healthy)
        return False

    async def _after_absorption(self, envelope: Envelope, absorbed: Absorbed) -> None:
        await self._queue.done(envelope)
        record(
            "delivered",
            **facts(envelope),
            decision=absorbed.decision,
            group=absorbed.group,
            route=absorbed.route,
            rule=absorbed.rule,
            attempts=envelope.attempts,
            seconds=round((self._now() - envelope.received_at).total_seconds(), 3),
        )
        await self._actions.finished(envelope, absorbed.decision, route=absorbed.route, rule=absorbed.rule)

    async def _after_success(self, envelope: Envelope, delivered: Delivered, tally: CallCounter) -> None:
        if tally.calls and delivered.connection:
            await self._pulse.succeeded(delivered.connection)
        if delivered.until is not None:
            until = delivered.until.isoformat(timespec="seconds")
            record("held", **facts(envelope), decision=delivered.decision, rule=delivered.rule, until=until)
            return
        await self._queue.done(envelope)
        if envelope.replayed:
            await self._kept.forget("dead-letter", envelope.id)
        ticket = delivered.ticket
        record(
            "delivered",
            logging.WARNING if delivered.dropped else logging.INFO,
            **facts(envelope),
            decision=delivered.decision,
            rule=delivered.rule,
            route=delivered.route,
            connection=delivered.connection,
            ticket=ticket.number or ticket.id if ticket else "",
            url=ticket.url if ticket else "",
            stage=delivered.stage,
            calls=tally.calls,
            attempts=envelope.attempts + 1,
            seconds=round((self._now() - envelope.received_at).total_seconds(), 3),
            not_taken_over=list(delivered.dropped),
            warnings=list(delivered.warnings),
        )
        await self._actions.finished(
            envelope,
            delivered.decision,
            route=delivered.route,
            connection=delivered.connection,
            ticket=ticket,
            rule=delivered.rule,
            calls=tally.calls,
        )

    async def _after_failure(
        self, envelope: Envelope, error: BridgeError, settings: DeliverySettings, tally: CallCounter
    ) -> None:
        age = self._now() - envelope.received_at
        if not error.retry:
            await self._dead_letter(envelope, error, error.code, str(error))
        elif age > settings.retry_for:
            reason = f"tried {envelope.attempts + 1} times in {age.days} days; the last failure: {error}"
            await self._dead_letter(envelope, error, "expired", reason)
        else:
            again, delay = self._put_off(envelope, error, settings)
            await self._queue.send(again, delay)
            record(
                "postponed",
                logging.WARNING,
                **facts(envelope),
                connection=error.connection if isinstance(error, TicketSystemError) else "",
                code=error.code,
                reason=str(error),
                attempts=again.attempts,
                calls=tally.calls,
                delay_s=round(delay.total_seconds(), 1),
            )

    def _put_off(
        self, envelope: Envelope, error: BridgeError, settings: DeliverySettings
    ) -> tuple[Envelope, timedelta]:
        """The message that goes back on the queue, and for how long."""
        if isinstance(error, _WAITS):
            # Nothing failed: the budget said when its turn is, and coming late or early would cost it that.
            place = error.place or envelope.place
            return replace(envelope, place=place), timedelta(seconds=error.retry_after or 0.0)
        after = error.retry_after if isinstance(error, TicketSystemError) else None
        delay = retry_delay(envelope.attempts, settings.first_retry, settings.longest_retry, self._chance(), after)
        return replace(envelope, attempts=envelope.attempts + 1), delay

    async def _dead_letter(self, envelope: Envelope, error: BridgeError, code: str, reason: str) -> None:
        advice = error.advice if isinstance(error, TicketSystemError) else ""
        connection = error.connection if isinstance(error, TicketSystemError) else ""
        await self._kept.keep("dead-letter", envelope, code=code, reason=reason, advice=advice, connection=connection)
        # Without a configuration nothing was reserved; a link that cannot be read cannot be given up.
        with contextlib.suppress(ConfigurationError, UnreadableRow):
            await self._configured().deliverer.give_up(envelope, envelope.id)
        await self._queue.done(envelope)
        record(
            "dead_lettered",
            logging.ERROR,
            **facts(envelope),
            connection=connection,
            code=code,
            reason=reason,
            advice=advice,
        )
        await self._actions.finished(envelope, "dead_lettered", connection=connection, reason=reason)

    async def _quarantine(self, envelope: Envelope, reason: str, code: str = "unreadable") -> None:
        advice = _REPORT if code == "unreadable" else _NOT_ALLOWED
        await self._kept.keep("quarantine", envelope, code=code, reason=reason, advice=advice)
        await self._queue.done(envelope)
        record("quarantined", logging.WARNING, **facts(envelope), code=code, reason=reason)
        await self._actions.finished(envelope, "quarantined", reason=reason)

    async def _keep_foreign(self, message_id: str, text: str | bytes, reason: str) -> None:
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        advice = "Only the bridge may write to its queue; check who else has access to the storage account"
        await self._kept.keep_text(message_id, shown, code="foreign_message", reason=reason, advice=advice)
        record("dead_lettered", logging.ERROR, id=message_id, code="foreign_message", reason=reason)


_REPORT = "If this came from Azure, please report its shape (without your data) as an issue of the project"
_NOT_ALLOWED = "Widen accept_only in bridge.yaml if this sender may open tickets, then replay it"
