"""What the queue's worker does with a message, whatever comes of it: deliver, send back, or keep."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from shared.config.model import Delivery
from shared.delivery.backoff import retry_delay, wait_delay
from shared.delivery.deliver import Delivered, Deliverer, DeliveryFailed, MakeWay
from shared.delivery.envelope import Envelope
from shared.delivery.kept import KeptStore
from shared.delivery.queue import SignalQueue
from shared.errors import BridgeError, ConfigurationError, StorageUnavailable, TicketSystemError
from shared.log import record
from shared.tally import Tally

#: How long a poisonous message rests when its dead letter could not be written.
_BACK_FROM_POISON = timedelta(minutes=10)


class Pulse(Protocol):
    """Hears how the connections are doing."""

    async def succeeded(self, connection: str) -> None: ...

    async def failed(self, connection: str, error: TicketSystemError) -> None: ...


class Worker:
    """Handles messages of the signal queue and of its poison queue."""

    def __init__(
        self,
        deliverer: Callable[[], Awaitable[tuple[Deliverer, Delivery]]],
        queue: SignalQueue,
        kept: KeptStore,
        pulse: Pulse,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        """
        Args:
            deliverer: gives the deliverer and the delivery settings; raises ConfigurationError.
            queue, kept: where messages go back to, and where they end.
            pulse: is told of every success and failure of a connection.
            now, chance: clock, and randomness between 0 and 1 for jitter.
        """
        self._deliverer = deliverer
        self._queue = queue
        self._kept = kept
        self._pulse = pulse
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
        with Tally() as tally:
            await self._deliver(envelope, dequeue_count, tally)

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
            record("postponed", logging.ERROR, id=envelope.id, key=_key(envelope), code="poison", reason=str(error))
            return
        await self._queue.done(envelope)
        record("dead_lettered", logging.ERROR, id=envelope.id, key=_key(envelope), code="poison", reason=reason)

    async def _deliver(self, envelope: Envelope, dequeue_count: int, tally: Tally) -> None:
        settings = Delivery()
        try:
            deliverer, settings = await self._deliverer()
            delivered = await deliverer.deliver(envelope, first_sight=dequeue_count <= 1)
        except MakeWay as way:
            delay = wait_delay(envelope.waits, way.until - self._now(), self._chance())
            await self._queue.send(replace(envelope, waits=envelope.waits + 1, outcome="unknown"), delay)
            record("made_way", id=envelope.id, key=_key(envelope), delay_s=round(delay.total_seconds(), 1))
        except DeliveryFailed as failed:
            if isinstance(failed.error, TicketSystemError) and failed.error.connection:
                await self._pulse.failed(failed.error.connection, failed.error)
            await self._after_failure(replace(envelope, outcome=failed.outcome), failed.error, settings, tally)
        except ConfigurationError as error:
            await self._after_failure(envelope, error, settings, tally)
        else:
            await self._after_success(envelope, delivered, tally)

    async def _after_success(self, envelope: Envelope, delivered: Delivered, tally: Tally) -> None:
        if tally.calls and delivered.connection:
            await self._pulse.succeeded(delivered.connection)
        await self._queue.done(envelope)
        if envelope.replayed:
            await self._kept.forget("dead-letter", envelope.id)
        signal, ticket = envelope.signal, delivered.ticket
        record(
            "delivered",
            logging.WARNING if delivered.dropped else logging.INFO,
            id=envelope.id,
            key=_key(envelope),
            title=signal.title if signal else "",
            state=signal.state.value if signal else "",
            decision=delivered.decision,
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

    async def _after_failure(self, envelope: Envelope, error: BridgeError, settings: Delivery, tally: Tally) -> None:
        age = self._now() - envelope.received_at
        if not error.retry:
            await self._dead_letter(envelope, error, error.code, str(error))
        elif age > settings.retry_for:
            reason = f"tried {envelope.attempts + 1} times in {age.days} days; the last failure: {error}"
            await self._dead_letter(envelope, error, "expired", reason)
        else:
            after = error.retry_after if isinstance(error, TicketSystemError) else None
            delay = retry_delay(envelope.attempts, settings.first_retry, settings.longest_retry, self._chance(), after)
            again = replace(envelope, attempts=envelope.attempts + 1)
            await self._queue.send(again, delay)
            record(
                "postponed",
                logging.WARNING,
                id=envelope.id,
                key=_key(envelope),
                code=error.code,
                reason=str(error),
                attempts=again.attempts,
                calls=tally.calls,
                delay_s=round(delay.total_seconds(), 1),
            )

    async def _dead_letter(self, envelope: Envelope, error: BridgeError, code: str, reason: str) -> None:
        advice = error.advice if isinstance(error, TicketSystemError) else ""
        connection = error.connection if isinstance(error, TicketSystemError) else ""
        await self._kept.keep("dead-letter", envelope, code=code, reason=reason, advice=advice, connection=connection)
        try:
            deliverer, _ = await self._deliverer()
            await deliverer.give_up(envelope, envelope.id)
        except ConfigurationError:
            pass  # without a configuration nothing was reserved, so there is nothing to give up
        await self._queue.done(envelope)
        record(
            "dead_lettered",
            logging.ERROR,
            id=envelope.id,
            key=_key(envelope),
            title=envelope.signal.title if envelope.signal else "",
            state=envelope.signal.state.value if envelope.signal else "",
            code=code,
            reason=reason,
            advice=advice,
        )

    async def _quarantine(self, envelope: Envelope, reason: str) -> None:
        await self._kept.keep("quarantine", envelope, code="unreadable", reason=reason, advice=_REPORT)
        await self._queue.done(envelope)
        record("quarantined", logging.WARNING, id=envelope.id, reason=reason)

    async def _keep_foreign(self, message_id: str, text: str | bytes, reason: str) -> None:
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        advice = "Only the bridge may write to its queue; check who else has access to the storage account"
        await self._kept.keep_text(message_id, shown, code="foreign_message", reason=reason, advice=advice)
        record("dead_lettered", logging.ERROR, id=message_id, code="foreign_message", reason=reason)


_REPORT = "If this came from Azure, please report its shape (without your data) as an issue of the project"


def _key(envelope: Envelope) -> str:
    return envelope.signal.key if envelope.signal else ""
