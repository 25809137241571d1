"""``POST /api/assignments/withdraw``: a person takes assignments back, and says what becomes of their tickets.

Nothing is written before everything was checked. Then each assignment is ended, Defender for Cloud is told, and a
ticket that is to be resolved takes the road on which the end of its finding would have resolved it. Orders for both lie
on the queue before the first step and are due when nobody can be at work on it any more; so whatever a crash leaves
undone is done then, and what was done is found as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.back import tell_key
from connectors.defender.assignments.checks import ABREAST
from connectors.defender.assignments.chosen import AssignmentChooser
from connectors.defender.assignments.on_demand import MARGIN, RETRY_AFTER, WorkerPort
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.assignments.telling import tell_now
from connectors.defender.assignments.withdraw_request import WithdrawRequest, read_withdrawal
from connectors.defender.assignments.withdrawal import ended, ending, sentence
from shared.core.errors import KeyContended, StorageUnavailable
from shared.core.link import Link, LinkStage
from shared.core.messages import Message, PushToSource, QueueSender, SignalMessage
from shared.core.outcome import OutcomeKind
from shared.core.problem import Problem
from shared.core.signal import Signal
from shared.delivery.links import LinkStore
from shared.platform.concurrency import for_each
from shared.platform.log import record
from shared.platform.tables import until_written

#: Seconds after which what is left of a request is done by the queue; Azure ends a request after 230.
_PATIENCE = 90.0


@dataclass(frozen=True, slots=True)
class _Taken:
    """An assignment that was taken back: as it is now, what its ticket is told, and whether it was open before."""

    assignment: Assignment
    signal: Signal | None
    was_open: bool


class Withdrawals:
    """Takes assignments back.

    Args:
        chooser: finds what a request means.
        store, links, queue: the bridge's own.
        work: delivers a signal at once.
        tell: tells Defender for Cloud of an assignment, by the key that ``tell_key`` makes.
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
        tell: Callable[[str], Awaitable[str]],
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
        self._tell = tell
        self._unwanted = unwanted
        self._lease = lease
        self._now = now

    async def withdraw(self, body: object) -> tuple[int, dict[str, Any]]:
        """Status and answer: 200 when all is done, 202 when something of it follows by the queue.

        Args:
            body: decoded JSON; see docs/assignments.md.

        Returns:
            ``items``: ``key``, ``status`` (withdrawn, already_ended, or unknown where its row is gone), ``ticket``
            (``number`` and ``url``, or null), ``resolved`` (true: it is over; false: it stays as it is; pending),
            ``reason`` where a ticket that was to be resolved is not, ``defender`` as for an assignment. ``more``: there
            are more of the integration or ticket; ask again.

        Raises Problem: 400 for a body that cannot be read, 404 and 422 for what is not there: then nothing was written;
        503 when storage is down.
        """
        request = read_withdrawal(body)
        until = asyncio.get_running_loop().time() + _PATIENCE
        try:
            keys, more = await self._chooser.chosen(request)
        except StorageUnavailable as error:
            detail = f"{error}. Nothing was written"
            raise Problem(503, "Not to be had now", detail, {"Retry-After": RETRY_AFTER}) from error
        try:
            items = await for_each(keys, lambda key: self._carry_out(key, request, until), limit=ABREAST)
        except (StorageUnavailable, KeyContended) as error:
            detail = f"{error}. Some assignments may be withdrawn already; send the same request again"
            raise Problem(503, "Not finished", detail, {"Retry-After": RETRY_AFTER}) from error
        pending = any("pending" in (item["resolved"], item.get("defender")) for item in items)
        return (202 if pending else 200), {"items": items, "more": more}

    async def _carry_out(self, key: str, request: WithdrawRequest, until: float) -> dict[str, Any]:
        """Withdraw one, as far as it can be done now. Raises StorageUnavailable and KeyContended."""
        said = sentence(request.by, request.reason)
        taken = await self._taken(key, said, resolve=request.tickets == "resolve")
        if taken is None:
            return {"key": key, "status": "unknown", "ticket": None, "resolved": False}
        late = asyncio.get_running_loop().time() >= until
        defender = await self._told(key, late=late) if taken.was_open else {}
        outcome = await self._resolved(taken, late=late)
        item = {"key": key, "status": "withdrawn" if taken.was_open else "already_ended", **outcome, **defender}
        if taken.was_open:
            number = item["ticket"]["number"] if item["ticket"] else ""
            tickets = request.tickets
            record(
                "assignment_withdrawn", key=key, by=request.by, reason=request.reason, tickets=tickets, ticket=number
            )
        return item

    async def _taken(self, key: str, said: str, *, resolve: bool) -> _Taken | None:
        """End the assignment, with the orders to complete that on the queue before; None when there is none."""
        ordered: Signal | None = None
        is_first = True

        async def attempt() -> _Taken | None:
            nonlocal ordered, is_first
            stored = await self._store.load(key)
            if stored is None:
                return None
            before, now = stored.value, self._now()
            link = await self._link(before)
            if not (before.open or (before.taken_back and resolve and _is_open(link))):
                return _Taken(before, None, False)
            signal = ending(before, link, said, now) if resolve else None
            if is_first:
                await self._order_later(self._push(key))
                is_first = False
            if signal is not None and (ordered is None or ordered.order != signal.order):
                ordered = signal
                if self._unwanted(signal) is None:
                    await self._order_later(self._message(signal))
            after = ended(before, signal, said, now)
            await self._store.write(after, stored.etag)
            return _Taken(after, signal, before.open)

        contended = f"the assignment of {key} was changed by others again and again"
        return await until_written(attempt, contended=contended)

    def _message(self, signal: Signal) -> SignalMessage:
        return SignalMessage(id=uuid4().hex, received_at=self._now(), signal=signal)

    def _push(self, key: str) -> PushToSource:
        return PushToSource(id=uuid4().hex, received_at=self._now(), key=tell_key(key))

    async def _order_later(self, order: Message) -> None:
        """Queue a message that is due when nobody can be at work on this request any more."""
        wait = self._lease + MARGIN
        await self._queue.send(replace(order, due=order.received_at + wait), wait)

    async def _told(self, key: str, *, late: bool) -> dict[str, str]:
        if not late:
            return await tell_now(self._tell, self._queue, key, self._now)
        await self._queue.send(self._push(key))
        return {"defender": "pending"}

    async def _resolved(self, taken: _Taken, *, late: bool) -> dict[str, Any]:
        """See to it that the ticket is told, and say how it stands then."""
        assignment, signal = taken.assignment, taken.signal
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
        link = await self._link(assignment)
        ticket = link.ticket if link is not None else None
        shown = None if ticket is None else {"number": ticket.number, "url": ticket.url}
        if ticket is not None and not _is_open(link):
            return {"ticket": shown, "resolved": True}
        place = assignment.ticket_key or assignment.key
        if signal is not None and not reason and place != assignment.key:
            pending = not await self._store.has_open(place)  # a shared ticket is resolved with the last of them
        said = {"reason": reason} if reason else {}
        return {"ticket": shown, "resolved": "pending" if pending else False, **said}

    async def _link(self, assignment: Assignment) -> Link | None:
        stored = await self._links.load(assignment.ticket_key or assignment.key)
        return None if stored is None else stored.value


def _is_open(link: Link | None) -> bool:
    """Whether there is a ticket that is not over, or may be in a moment."""
    return link is not None and (link.stage is LinkStage.OPEN or link.pending is not None)
