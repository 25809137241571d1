"""Withdrawal on demand: a person takes assignments back, and says what happens to their tickets.

Everything is checked before anything is written. Then each assignment is ended and pushed to Defender for Cloud, and a
ticket that is to be resolved is resolved as by the end of its finding. Before the first step, messages for both are
sent to the queue with a due time at which this request has certainly ended. So the queue completes whatever a crash
leaves undone, and finds what was done as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import uuid4

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.checks import CONCURRENCY
from connectors.defender.assignments.chosen import AssignmentChooser
from connectors.defender.assignments.on_demand import MARGIN, RETRY_AFTER, WorkerPort
from connectors.defender.assignments.requests import WithdrawRequest
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.assignments.withdrawal import ended, ending, sentence
from connectors.defender.assignments.write_back import PushResult, push_key, push_now
from shared.core.errors import KeyContended, StorageUnavailable
from shared.core.link import Link, LinkStage
from shared.core.messages import Message, PushToSource, QueueSender, SignalMessage
from shared.core.outcome import OutcomeKind
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.signal import Signal
from shared.core.ticket_system import TicketRef
from shared.delivery.links import LinkStore
from shared.platform.concurrency import for_each
from shared.platform.log import record
from shared.platform.tables import until_written

#: Seconds after which the queue does the rest of a request; Azure ends a request after 230.
_TIMEOUT = 90.0


@dataclass(frozen=True, slots=True)
class TicketResolution:
    """What came of the ticket of a withdrawn assignment.

    Attributes:
        ticket: None when there is none.
        connection: that has the ticket.
        resolved: yes: it is over; no: it stays as it is; pending: the queue resolves it.
        reason: why a ticket that was to be resolved is not; else empty.
    """

    ticket: TicketRef | None
    connection: str
    resolved: Literal["yes", "no", "pending"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WithdrawnItem:
    """What came of one assignment.

    Attributes:
        key: of the recommendation.
        status: ``already_ended`` when it was over before; ``unknown`` when its row was deleted meanwhile.
        resolution: of its ticket.
        push: to Defender for Cloud; None where there was nothing to push.
    """

    key: str
    status: Literal["withdrawn", "already_ended", "unknown"]
    resolution: TicketResolution
    push: PushResult | None = None

    @property
    def is_pending(self) -> bool:
        """Whether the queue has to do something of it."""
        return self.resolution.resolved == "pending" or (self.push is not None and self.push.status == "pending")


@dataclass(frozen=True, slots=True)
class WithdrawResult:
    """What came of a request. ``more``: the integration or ticket has more assignments; repeat the request."""

    items: tuple[WithdrawnItem, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class _Ended:
    """An assignment after it was ended: as it is now, the signal for its ticket, and whether it was open before."""

    assignment: Assignment
    signal: Signal | None
    was_open: bool


class Withdrawals:
    """Withdraws assignments.

    Args:
        chooser: finds the assignments that a request means.
        store, links, queue: the bridge's own.
        work: delivers a signal at once.
        push: pushes an assignment to Defender for Cloud, by the key that ``push_key`` makes.
        unwanted: why a signal may not be delivered; None when it may.
        lease: how long a delivery may hold a key.
        now: the clock.
    """

    def __init__(
        self,
        chooser: AssignmentChooser,
        store: AssignmentStore,
        links: LinkStore,
        queue: QueueSender,
        work: WorkerPort,
        push: Callable[[str], Awaitable[str]],
        unwanted: Callable[[Signal], str | None],
        *,
        lease: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._chooser = chooser
        self._store = store
        self._links = links
        self._queue = queue
        self._work = work
        self._push = push
        self._unwanted = unwanted
        self._lease = lease
        self._now = now

    async def withdraw(self, request: WithdrawRequest) -> WithdrawResult:
        """Withdraw what a request means.

        Raises RequestRefused: see :meth:`AssignmentChooser.chosen`, then nothing was written; also where storage failed
        (then the same request can be sent again).
        """
        until = asyncio.get_running_loop().time() + _TIMEOUT
        try:
            keys, more = await self._chooser.chosen(request)
        except StorageUnavailable as error:
            raise _unavailable("Not available", f"{error}. Nothing was written") from error
        try:
            items = await for_each(keys, lambda key: self._carry_out(key, request, until), limit=CONCURRENCY)
        except (StorageUnavailable, KeyContended) as error:
            detail = f"{error}. Some assignments may be withdrawn already; send the same request again"
            raise _unavailable("Not finished", detail) from error
        return WithdrawResult(tuple(items), more)

    async def _carry_out(self, key: str, request: WithdrawRequest, until: float) -> WithdrawnItem:
        """Withdraw one, as far as it can be done now. Raises StorageUnavailable and KeyContended."""
        text = sentence(request.by, request.reason)
        done = await self._end(key, text, resolve=request.tickets == "resolve")
        if done is None:
            return WithdrawnItem(key, "unknown", TicketResolution(None, "", "no"))
        late = asyncio.get_running_loop().time() >= until
        push = await self._pushed(key, late=late) if done.was_open else None
        resolution = await self._resolve(done, late=late)
        if done.was_open:
            number = resolution.ticket.number if resolution.ticket is not None else ""
            tickets = request.tickets
            record(
                "assignment_withdrawn", key=key, by=request.by, reason=request.reason, tickets=tickets, ticket=number
            )
        return WithdrawnItem(key, "withdrawn" if done.was_open else "already_ended", resolution, push)

    async def _end(self, key: str, text: str, *, resolve: bool) -> _Ended | None:
        """End the assignment; before that, the messages that complete it are sent. None when there is none."""
        ordered: Signal | None = None
        is_first = True

        async def attempt() -> _Ended | None:
            nonlocal ordered, is_first
            stored = await self._store.load(key)
            if stored is None:
                return None
            before, now = stored.value, self._now()
            link = await self._link(before)
            if not (before.open or (before.taken_back and resolve and _is_open(link))):
                return _Ended(before, None, False)
            signal = ending(before, link, text, now) if resolve else None
            if is_first:
                await self._send_due(self._push_message(key))
                is_first = False
            if signal is not None and (ordered is None or ordered.order != signal.order):
                ordered = signal
                if self._unwanted(signal) is None:
                    await self._send_due(self._message(signal))
            after = ended(before, signal, text, now)
            await self._store.write(after, stored.etag)
            return _Ended(after, signal, before.open)

        contended = f"the assignment of {key} was changed by others again and again"
        return await until_written(attempt, contended=contended)

    def _message(self, signal: Signal) -> SignalMessage:
        return SignalMessage(id=uuid4().hex, received_at=self._now(), signal=signal)

    def _push_message(self, key: str) -> PushToSource:
        return PushToSource(id=uuid4().hex, received_at=self._now(), key=push_key(key))

    async def _send_due(self, message: Message) -> None:
        """Queue a message that is due when nobody can be at work on this request any more."""
        wait = self._lease + MARGIN
        await self._queue.send(replace(message, due=message.received_at + wait), wait)

    async def _pushed(self, key: str, *, late: bool) -> PushResult:
        if not late:
            return await push_now(self._push, self._queue, key, self._now)
        await self._queue.send(self._push_message(key))
        return PushResult("pending")

    async def _resolve(self, done: _Ended, *, late: bool) -> TicketResolution:
        """Resolve the ticket where that is wanted."""
        assignment, signal = done.assignment, done.signal
        reason, pending = "", False
        if signal is not None and (unwanted := self._unwanted(signal)):
            reason = f"{unwanted}; widen accept_only, or resolve the ticket by hand"
        elif signal is not None:
            message = self._message(signal)
            if late:
                await self._queue.send(message)
                pending = True
            else:
                outcome = await self._work(message)
                pending = outcome.is_queued_again
                reason = outcome.reason if outcome.is_failure else ""
                if outcome.kind is OutcomeKind.DELIVERED and outcome.stage == LinkStage.OPEN.value:
                    reason = f"the configuration does not let a Resolved resolve it ({outcome.decision})"
                    if outcome.decision == "handed_over":
                        reason = outcome.warnings[-1]
        link = await self._link(assignment)
        ticket, connection = (None, "") if link is None else (link.ticket, link.connection)
        if ticket is not None and not _is_open(link):
            return TicketResolution(ticket, connection, "yes")
        key = assignment.ticket_key or assignment.key
        if signal is not None and not reason and key != assignment.key:
            pending = not await self._store.has_open(key)  # a shared ticket is resolved with the last of them
        return TicketResolution(ticket, connection, "pending" if pending else "no", reason)

    async def _link(self, assignment: Assignment) -> Link | None:
        stored = await self._links.load(assignment.ticket_key or assignment.key)
        return None if stored is None else stored.value


def _is_open(link: Link | None) -> bool:
    """Whether there is a ticket that is not over, or may be in a moment."""
    return link is not None and (link.stage is LinkStage.OPEN or link.pending is not None)


def _unavailable(title: str, detail: str) -> RequestRefused:
    return RequestRefused(RefusalReason.UNAVAILABLE, title, [RequestMistake("", detail)], retry_after=RETRY_AFTER)
