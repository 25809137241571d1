"""Tickets by hand: a request is remembered, becomes a signal like any other, and waits for its ticket.

Before it is delivered at once, the same message goes on the queue, due when any delivery is over: whatever happens in
between, the request is not lost. The same key again is the same signal with the same time, so that delivery recognises
it; another request under a key that was used is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from connectors.manual.payloads.request import ManualRequest, ended, signal_of
from connectors.manual.store import RequestStore, StoredRequest
from shared.core.link import Link
from shared.core.messages import QueueSender, SignalMessage
from shared.core.outcome import DRY_RUN, Outcome, OutcomeKind
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.signal import Signal
from shared.core.ticket_system import TicketRef
from shared.core.times import rfc3339
from shared.delivery.links import LinkStore
from shared.mapping.allow_list import not_allowed
from shared.mapping.mapper import Mapper

#: Seconds that a caller waits for the ticket; Logic Apps and browsers wait longer, people do not.
WAIT = 20.0

#: Time after a delivery's lease at which the message on the queue comes up.
MARGIN = timedelta(minutes=10)

_RETRY_AFTER = 60

#: Failures after which nobody has to mend anything: the turn of the request comes.
_TURN_COMES = ("throttled", "key_contended", "read_again_later", "ticket_not_seen", "change_not_seen")

#: Delivers a signal at once: see ``Worker.handle_now``.
DeliverAtOnce = Callable[[SignalMessage], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class ManualTicket:
    """What came of a request.

    Attributes:
        outcome: ``created``, ``resolved``, another decision of delivery, or ``pending``: the ticket is made later.
        key: of the signal. signal: id by which the log names it.
        connection, ticket: None while it is not made. rule: that holds, counts or suppresses it.
        reason: why there is no ticket.
    """

    outcome: str
    key: str
    signal: str
    connection: str = ""
    ticket: TicketRef | None = None
    rule: str = ""
    reason: str = ""


class ManualTickets:
    """Fulfils requests.

    Args:
        mapper: the compiled configuration.
        store, links, queue: the bridge's own.
        handle: delivers a signal at once: see ``Worker.handle_now``.
        now: the clock.
        wait: seconds that a caller waits.
    """

    def __init__(
        self,
        mapper: Mapper,
        store: RequestStore,
        links: LinkStore,
        queue: QueueSender,
        handle: DeliverAtOnce,
        *,
        now: Callable[[], datetime],
        wait: float = WAIT,
    ) -> None:
        self._mapper = mapper
        self._store = store
        self._links = links
        self._queue = queue
        self._handle = handle
        self._now = now
        self._wait = wait
        self._working: set[asyncio.Task[Outcome]] = set()

    async def submit(self, request: ManualRequest) -> ManualTicket:
        """Make the ticket of a request, resolve that of its key, or repeat what came of it.

        Raises:
            RequestRefused: the key was used for another request; nothing was asked for under a key that is to be
                resolved; no route takes it, or accept_only rejects it; the ticket system refused it or is away.
            StorageUnavailable: nothing was done, or nobody knows: the same request may be made again.
        """
        stored = await self._store.load(request.signal_key, request.state)
        if stored is None:
            await self._check(request)
            now = self._now()
            asked_at = now.replace(microsecond=now.microsecond // 1000 * 1000)
            key, body = request.signal_key, request.canonical
            stored = await self._store.begin(StoredRequest(key, request.state, body, asked_at, uuid4().hex))
        if stored.body != request.canonical:
            raise _conflict(request, stored)
        if stored.outcome:
            return _ticket(stored)
        return await self._deliver(stored, await self._signal(request, stored.asked_at))

    async def _check(self, request: ManualRequest) -> None:
        """Raises RequestRefused for a new request that leads nowhere."""
        signal = await self._signal(request, self._now())
        if request.state == "resolved":
            return
        unwanted = not_allowed(signal, self._mapper.accept_only)
        if unwanted:
            detail = f"It may not become a ticket: {unwanted}. Fix: widen accept_only in bridge.yaml."
            raise RequestRefused(RefusalReason.NOT_ALLOWED, "Not allowed", [RequestMistake("", detail)])
        if self._mapper.route(signal) is None:
            detail = "No route of bridge.yaml takes it. Fix: add a route with when: {source: manual}, or a default."
            raise RequestRefused(RefusalReason.UNKNOWN_VALUE, "No route", [RequestMistake("", detail)])

    async def _signal(self, request: ManualRequest, at: datetime) -> Signal:
        """The signal of a request; of an end, with all that the beginning said. Raises RequestRefused."""
        if request.state == "fired":
            return signal_of(request, at)
        fired = await self._store.load(request.signal_key, "fired")
        if fired is None:
            detail = f"No ticket was asked for under '{request.key[:80]}'. Fix: send the key of a ticket by hand."
            raise RequestRefused(RefusalReason.NOT_FOUND, "Unknown key", [RequestMistake("key", detail)])
        begun = signal_of(ManualRequest.model_validate_json(fired.body), fired.asked_at)
        return ended(begun, request.text, at)

    async def _deliver(self, stored: StoredRequest, signal: Signal) -> ManualTicket:
        now = self._now()
        message = SignalMessage(id=stored.message, received_at=now, signal=signal)
        due = now + self._mapper.delivery.lease + MARGIN
        await self._queue.send(replace(message, due=due), due - now)
        working = asyncio.ensure_future(self._handle(message))
        self._working.add(working)  # it goes on when nobody waits any more
        working.add_done_callback(self._working.discard)
        done, _ = await asyncio.wait([working], timeout=self._wait)
        pending = ManualTicket("pending", stored.key, stored.message)
        if not done:
            return pending
        return await self._concluded(stored, working.result(), pending)

    async def _concluded(self, stored: StoredRequest, outcome: Outcome, pending: ManualTicket) -> ManualTicket:
        if outcome.kind is OutcomeKind.DEAD_LETTERED:
            detail = (
                f"{outcome.reason} {outcome.advice}".rstrip()
                + f" The request is kept as dead letter {outcome.id}: mend the cause and replay it."
            )
            raise RequestRefused(
                RefusalReason.UPSTREAM_REFUSED, "Refused by the ticket system", [RequestMistake("", detail)]
            )
        if outcome.kind is OutcomeKind.POSTPONED and outcome.code not in _TURN_COMES:
            detail = (
                f"{outcome.reason} The request is kept, and the bridge tries again by itself. Send the same request "
                "again to learn the ticket: it doubles nothing."
            )
            raise RequestRefused(
                RefusalReason.UNAVAILABLE, "Not available", [RequestMistake("", detail)], retry_after=_RETRY_AFTER
            )
        if outcome.is_queued_again:
            return replace(pending, rule=outcome.rule)
        if outcome.mode == DRY_RUN:  # asked again once it is live, it makes the ticket
            return replace(pending, outcome=DRY_RUN, reason="Its route is a dry run: no ticket is made.")
        ticket, connection = outcome.ticket, outcome.connection
        if ticket is None and (link := await self._link(outcome.group or stored.key)) is not None:
            ticket, connection = link.ticket, link.connection
        if ticket is None and outcome.group:  # its ticket is made in a moment
            return replace(pending, rule=outcome.rule)
        done = replace(
            stored,
            outcome=_outcome(stored, outcome, ticket),
            connection=connection,
            ticket=ticket,
            rule=outcome.rule,
            reason=outcome.reason,
        )
        await self._store.note(done)
        return _ticket(done)

    async def _link(self, key: str) -> Link | None:
        found = await self._links.load(key)
        return None if found is None else found.value


def _outcome(stored: StoredRequest, outcome: Outcome, ticket: TicketRef | None) -> str:
    if outcome.group:
        return "grouped"
    if stored.state == "fired" and ticket is not None:
        return "created"
    if stored.state == "resolved" and "resolved" in outcome.decision.split("_"):
        return "resolved"
    return outcome.decision


def _ticket(stored: StoredRequest) -> ManualTicket:
    return ManualTicket(
        stored.outcome, stored.key, stored.message, stored.connection, stored.ticket, stored.rule, stored.reason
    )


def _conflict(request: ManualRequest, stored: StoredRequest) -> RequestRefused:
    asked = "resolved" if stored.state == "resolved" else "used"
    detail = (
        f"The key '{request.key[:80]}' was {asked} at {rfc3339(stored.asked_at)} by another request. Fix: send that "
        "one again unchanged, or choose a new key for a new problem."
    )
    return RequestRefused(RefusalReason.CONFLICT, "Key already used", [RequestMistake("key", detail)])
