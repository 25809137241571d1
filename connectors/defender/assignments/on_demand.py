"""``POST /api/assignments``: a person says who has to fix a recommendation, and gets the tickets in the answer.

Nothing is written before everything was checked. Then each resource goes the road of every signal: the assignment is
written, its signal is worked on as if it came from the queue, and Defender for Cloud is told. An order for all of it
lies on the queue before the first step and is due when nobody can be at work on it any more; so whatever a crash
leaves undone is done then, and what was done is found as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

from connectors.defender.assignments import reassign
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.checks import ABREAST, AssignmentChecks
from connectors.defender.assignments.plans import AssignmentPlan, newer
from connectors.defender.assignments.reassign import Reassigner
from connectors.defender.assignments.request import RequestMistake, problem, read_request
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.assignments.telling import tell_now
from shared.core.errors import BridgeError, KeyContended, StorageUnavailable, TicketSystemError
from shared.core.link import LinkStage
from shared.core.messages import PushToSource, QueueSender, SignalMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.problem import Problem
from shared.core.ticket_system import TicketRef
from shared.core.times import rfc3339
from shared.delivery.links import LinkStore
from shared.platform.concurrency import for_each
from shared.platform.log import record
from shared.platform.tables import RowOvertaken, until_written

#: Beyond the lease: no request takes longer (Azure ends them after 230 seconds).
MARGIN = timedelta(minutes=10)

#: Seconds that all checks of a request may take.
_PATIENCE = 90.0

_LATER = "Not to be had now"

#: Tries to write an assignment that others keep writing.

#: Seconds after which whoever asked may ask again.
RETRY_AFTER = "30"


class WorkerPort(Protocol):
    """Works on a message at once; see ``Worker.handle_now``."""

    async def __call__(self, message: SignalMessage) -> Outcome: ...


class AssignmentRequests:
    """Answers requests.

    Args:
        checks: everything that is looked at before.
        store, links, queue: the bridge's own.
        work: delivers a signal at once.
        reassigned: brings tickets after changed assignments.
        tell: tells Defender for Cloud of an assignment, by the key that ``tell_key`` makes.
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
        tell: Callable[[str], Awaitable[str]],
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
        self._tell = tell
        self._lease = lease
        self._now = now

    async def assign(self, body: object) -> tuple[int, dict[str, Any]]:
        """Status and answer: 201 when all is done, 202 when something of it follows by the queue.

        Args:
            body: decoded JSON; see docs/assignments.md.

        Raises Problem: see :meth:`AssignmentChecks.plans`; 400 for a body that cannot be read, 502 or 503
        where something could not be asked: then nothing was written.
        """
        request = read_request(body)
        try:
            async with asyncio.timeout(_PATIENCE):
                plans = await self._checks.plans(request, self._now())
        except TimeoutError:
            detail = f"Azure and the ticket system did not answer within {_PATIENCE:.0f} s. Nothing was written"
            raise problem(503, _LATER, [RequestMistake("", detail)], {"Retry-After": RETRY_AFTER}) from None
        except BridgeError as error:
            raise _unasked(error) from error
        try:
            items = await for_each(plans, self._carry_out, limit=ABREAST)
        except (StorageUnavailable, KeyContended) as error:
            detail = f"{error}. Some resources may be assigned already; send the same request again, it doubles nothing"
            raise Problem(503, "Not finished", detail, {"Retry-After": RETRY_AFTER}) from error
        pending = any(
            item["status"] in ("pending", "refused") or item["defender"] in ("pending", "refused") for item in items
        )
        return (202 if pending else 201), {"items": items}

    async def _carry_out(self, plan: AssignmentPlan) -> dict[str, Any]:
        """Do one resource, as far as it can be done now. Raises StorageUnavailable and KeyContended."""
        now = self._now()
        due = now + self._lease + MARGIN
        message = SignalMessage(id=uuid4().hex, received_at=now, signal=plan.signal)
        await self._queue.send(replace(message, id=uuid4().hex, due=due), due - now)
        order = reassign.order_key(plan.wanted.key) if plan.changes else ""
        if order:
            await self._queue.send(PushToSource(id=uuid4().hex, received_at=now, key=order, due=due), due - now)
        assignment = await self._write(plan)
        item: dict[str, Any] = {"resource": plan.resource, "key": assignment.key, "id": message.id}
        item |= await self._delivered(message, assignment)
        if order and item["status"] in ("existing", "reopened"):
            item |= await self._changed(plan, order, assignment, item["status"])
        item["assignment"] = _shown(assignment)
        item |= await tell_now(self._tell, self._queue, assignment.key, self._now)
        record(
            "recommendation_assigned",
            id=message.id,
            key=assignment.key,
            status=item["status"],
            owner=assignment.owner,
            due=rfc3339(assignment.due),
            by=assignment.by,
            ticket=item["ticket"]["number"] if item["ticket"] else "",
        )
        return item

    async def _write(self, plan: AssignmentPlan) -> Assignment:
        """Write the assignment over whatever it has become since it was looked at: the person's word counts."""
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
                    told=before.told,
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

    async def _delivered(self, message: SignalMessage, assignment: Assignment) -> dict[str, Any]:
        """See to it that there is a ticket, and say which."""
        outcome = await self._work(message)
        if outcome.is_failure:
            status = "pending" if outcome.is_queued_again else "refused"
            return {"status": status, "ticket": None, "reason": outcome.reason}
        if outcome.kind is OutcomeKind.DELIVERED and outcome.ticket is not None:
            done = {"created": "created", "created_resolved": "created", "reopened": "reopened"}
            return {"status": done.get(outcome.decision, "existing"), "ticket": _ticket(outcome.ticket)}
        stored = await self._links.load(outcome.group or assignment.key)
        link = stored.value if stored is not None else None
        if link is not None and link.ticket is not None and link.stage is LinkStage.OPEN:
            return {"status": "existing", "ticket": _ticket(link.ticket)}
        return {"status": "pending", "ticket": None, "reason": _reason(outcome)}

    async def _changed(self, plan: AssignmentPlan, order: str, assignment: Assignment, status: str) -> dict[str, Any]:
        """Bring the ticket after an assignment that was changed. ``status``: what has become of it before."""
        try:
            done = await self._reassigned.now(order, assignment)
        except (TicketSystemError, KeyContended) as error:
            # By now, and not only when the safety net is due: somebody waits for it.
            again = PushToSource(id=uuid4().hex, received_at=self._now(), key=order)
            await self._queue.send(again, timedelta(seconds=5))
            return {"status": "pending" if error.retry else "refused", "reason": str(error)}
        if done == "closed":
            # People have ended it, and the bridge did not know: whoever is to fix it now gets another one.
            stored = await self._links.load(assignment.ticket_key or assignment.key)
            signal = newer(plan.signal, stored.value if stored is not None else None)
            message = SignalMessage(id=uuid4().hex, received_at=self._now(), signal=signal)
            return await self._delivered(message, assignment)
        return {"status": "updated" if done == "updated" and status == "existing" else status}


def _reason(outcome: Outcome) -> str:
    if outcome.is_queued_again:
        return "its ticket is being written, or a rule holds it; the queue goes on with it"
    if outcome.kind is OutcomeKind.GROUPED:
        return f"its ticket is shared ({outcome.group}) and is made in a moment"
    return f"no ticket now ({outcome.decision}); the queue goes on with it"


def _ticket(ref: TicketRef) -> dict[str, str]:
    return {"kind": ref.kind.value, "number": ref.number, "sys_id": ref.id, "link": ref.url}


def _shown(assignment: Assignment) -> dict[str, Any]:
    return {
        "recommendation": assignment.title,
        "owner": assignment.owner,
        "due": rfc3339(assignment.due),
        "grace": assignment.grace,
        "caller": assignment.caller,
        "integration": assignment.integration,
        "by": assignment.by,
    }


def _unasked(error: BridgeError) -> Problem:
    """What could not be asked: 503 for what passes by itself, 502 for what somebody has to mend."""
    passes = error.retry and getattr(error, "status", None) not in (401, 403)
    status, title = (503, _LATER) if passes else (502, "Not answered as needed")
    headers = {"Retry-After": RETRY_AFTER} if passes else {}
    said = str(error).rstrip(".")
    return problem(status, title, [RequestMistake("", f"{said}. Nothing was written")], headers)
