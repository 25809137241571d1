"""Assignment on demand: a person says who has to fix a recommendation, and the answer names the tickets.

Everything is checked before anything is written. Then each resource is handled like any signal: the assignment is
stored, its signal is delivered as if it came from the queue, and the assignment is pushed to Defender for Cloud. Before
the first step, messages for all of it are sent to the queue with a due time at which this request has certainly ended.
So the queue completes whatever a crash leaves undone, and finds what was done as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol
from uuid import uuid4

from connectors.defender.assignments import reassign
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.checks import CONCURRENCY, AssignmentChecks
from connectors.defender.assignments.plans import AssignmentPlan, newer
from connectors.defender.assignments.reassign import Reassigner
from connectors.defender.assignments.requests import AssignmentRequest
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.assignments.write_back import PushResult, push_now
from shared.core.errors import BridgeError, KeyContended, StorageUnavailable, TicketSystemError
from shared.core.link import LinkStage
from shared.core.messages import PushToSource, QueueSender, SignalMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.ticket_system import TicketRef
from shared.core.times import rfc3339
from shared.delivery.links import LinkStore
from shared.platform.concurrency import for_each
from shared.platform.log import record
from shared.platform.tables import RowOvertaken, until_written

#: Beyond the lease: no request takes longer (Azure ends them after 230 seconds).
MARGIN = timedelta(minutes=10)

#: Seconds that all checks of a request may take.
_CHECK_TIMEOUT = 90.0

#: Seconds after which the same request may be sent again.
RETRY_AFTER = 30

AssignedStatus = Literal["created", "existing", "updated", "reopened", "pending", "refused"]


class WorkerPort(Protocol):
    """Works on a message at once; see ``Worker.handle_now``."""

    async def __call__(self, message: SignalMessage) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class TicketOutcome:
    """What came of the ticket of one resource.

    Attributes:
        status: see docs/assignments.md.
        ticket: None while there is none.
        connection: that has the ticket.
        reason: why it is pending or refused; else empty.
        is_shared: it is the ticket of several resources, in which nothing is changed for one of them.
    """

    status: AssignedStatus
    ticket: TicketRef | None = None
    connection: str = ""
    reason: str = ""
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class AssignedItem:
    """What came of one resource.

    Attributes:
        resource: as the request names it.
        id: of the message, by which the log names it.
        assignment: as it is stored now.
        outcome: of the ticket.
        push: to Defender for Cloud.
        not_applied: values of the request that the ticket of before does not have because of it.
    """

    resource: str
    id: str
    assignment: Assignment
    outcome: TicketOutcome
    push: PushResult
    not_applied: tuple[str, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is left for the queue."""
        unfinished = ("pending", "refused")
        return self.outcome.status not in unfinished and self.push.status not in unfinished


class AssignmentRequests:
    """Fulfils requests.

    Args:
        checks: all checks before the first write.
        store, links, queue: the bridge's own.
        work: delivers a signal at once.
        reassigned: updates tickets of changed assignments.
        push: pushes an assignment to Defender for Cloud, by the key that ``push_key`` makes.
        lease: how long a delivery may hold a key.
        now: the clock.
    """

    def __init__(
        self,
        checks: AssignmentChecks,
        store: AssignmentStore,
        links: LinkStore,
        queue: QueueSender,
        work: WorkerPort,
        reassigned: Reassigner,
        push: Callable[[str], Awaitable[str]],
        *,
        lease: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._checks = checks
        self._store = store
        self._links = links
        self._queue = queue
        self._work = work
        self._reassigned = reassigned
        self._push = push
        self._lease = lease
        self._now = now

    async def assign(self, request: AssignmentRequest) -> list[AssignedItem]:
        """Assign all resources of a request.

        Raises:
            RequestRefused: see :meth:`AssignmentChecks.plans`; also where a check could not be made, and where storage
                failed in the middle (then the same request can be sent again).
        """
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                plans = await self._checks.plans(request, self._now())
        except TimeoutError:
            detail = f"Azure and the ticket system did not answer within {_CHECK_TIMEOUT:.0f} s. Nothing was written"
            raise _unavailable("Not available", detail) from None
        except BridgeError as error:
            raise _not_checked(error) from error
        try:
            return await for_each(plans, self._carry_out, limit=CONCURRENCY)
        except (StorageUnavailable, KeyContended) as error:
            detail = f"{error}. Some resources may be assigned already; send the same request again, it doubles nothing"
            raise _unavailable("Not finished", detail) from error

    async def _carry_out(self, plan: AssignmentPlan) -> AssignedItem:
        """Do one resource, as far as it can be done now. Raises StorageUnavailable and KeyContended."""
        now = self._now()
        due = now + self._lease + MARGIN
        message = SignalMessage(id=uuid4().hex, received_at=now, signal=plan.signal)
        await self._queue.send(replace(message, id=uuid4().hex, due=due), due - now)
        order = reassign.order_key(plan.wanted.key) if plan.changes else ""
        if order:
            await self._queue.send(PushToSource(id=uuid4().hex, received_at=now, key=order, due=due), due - now)
        assignment = await self._write(plan)
        outcome = await self._delivered(message, assignment)
        if order and outcome.status in ("existing", "reopened"):
            outcome = await self._changed(plan, order, assignment, outcome)
        push = await push_now(self._push, self._queue, assignment.key, self._now)
        record(
            "recommendation_assigned",
            id=message.id,
            key=assignment.key,
            status=outcome.status,
            owner=assignment.owner,
            due=rfc3339(assignment.due),
            by=assignment.by,
            ticket=outcome.ticket.number if outcome.ticket is not None else "",
        )
        return AssignedItem(plan.resource, message.id, assignment, outcome, push, _SHARED if outcome.is_shared else ())

    async def _write(self, plan: AssignmentPlan) -> Assignment:
        """Write the assignment, also over changes that others made since it was read: the request has precedence."""
        stored, wanted = plan.before, plan.wanted

        async def attempt() -> Assignment:
            nonlocal stored, wanted
            before = stored.value if stored is not None else None
            if before is not None and before.open:
                wanted = replace(
                    wanted,
                    created_at=before.created_at,
                    ticket_key=before.ticket_key,
                    latest=before.latest,
                    last_pushed=before.last_pushed,
                )
            if before == wanted:
                return wanted
            try:
                await self._store.write(wanted, stored.etag if stored is not None else None)
            except RowOvertaken:
                stored = await self._store.load(wanted.key)
                raise
            return wanted

        contended = f"the assignment of {wanted.key} was changed by others again and again"
        return await until_written(attempt, contended=contended)

    async def _delivered(self, message: SignalMessage, assignment: Assignment) -> TicketOutcome:
        """Deliver the signal, so that there is a ticket."""
        outcome = await self._work(message)
        if outcome.is_failure:
            return TicketOutcome("pending" if outcome.is_queued_again else "refused", reason=outcome.reason)
        if outcome.kind is OutcomeKind.DELIVERED and outcome.ticket is not None:
            return TicketOutcome(_STATUSES.get(outcome.decision, "existing"), outcome.ticket, outcome.connection)
        stored = await self._links.load(outcome.group or assignment.key)
        link = stored.value if stored is not None else None
        if link is not None and link.ticket is not None and link.stage is LinkStage.OPEN:
            return TicketOutcome("existing", link.ticket, link.connection)
        return TicketOutcome("pending", reason=_reason(outcome))

    async def _changed(
        self, plan: AssignmentPlan, order: str, assignment: Assignment, before: TicketOutcome
    ) -> TicketOutcome:
        """Write a changed assignment into its ticket. ``before``: what came of the delivery."""
        try:
            done = await self._reassigned.now(order, assignment)
        except (TicketSystemError, KeyContended) as error:
            # Soon, and not only when the message of before is due: somebody waits for it.
            push = PushToSource(id=uuid4().hex, received_at=self._now(), key=order)
            await self._queue.send(push, timedelta(seconds=5))
            return replace(before, status="pending" if error.retry else "refused", reason=str(error))
        if done == "closed":
            # People have closed it, and the bridge did not know: the new owner gets another ticket.
            stored = await self._links.load(assignment.ticket_key or assignment.key)
            signal = newer(plan.signal, stored.value if stored is not None else None)
            message = SignalMessage(id=uuid4().hex, received_at=self._now(), signal=signal)
            return await self._delivered(message, assignment)
        if done == "shared":
            return replace(before, is_shared=True)
        return replace(before, status="updated") if done == "updated" and before.status == "existing" else before


#: What a ticket that several resources share does not take over from a request for one of them.
_SHARED = ("assigned_to", "due_date", "caller", "fields")

#: Status by decision of the delivery; any other is ``existing``.
_STATUSES: dict[str, AssignedStatus] = {
    "created": "created",
    "created_resolved": "created",
    "reopened": "reopened",
}


def _reason(outcome: Outcome) -> str:
    """Why there is no ticket yet."""
    if outcome.group:
        return f"its ticket is shared ({outcome.group}) and is made in a moment"
    if outcome.is_queued_again:
        return "its ticket is being written, or a rule holds it; the queue goes on with it"
    return f"no ticket now ({outcome.decision}); the queue goes on with it"


def _unavailable(title: str, detail: str) -> RequestRefused:
    return RequestRefused(RefusalReason.UNAVAILABLE, title, [RequestMistake("", detail)], retry_after=RETRY_AFTER)


def _not_checked(error: BridgeError) -> RequestRefused:
    """A check that could not be made: UNAVAILABLE for what passes by itself, else UPSTREAM_REFUSED."""
    detail = f"{str(error).rstrip('.')}. Nothing was written"
    if error.retry and getattr(error, "status", None) not in (401, 403):
        return _unavailable("Not available", detail)
    return RequestRefused(RefusalReason.UPSTREAM_REFUSED, "Refused by another system", [RequestMistake("", detail)])
