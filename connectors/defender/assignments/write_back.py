"""Pushes assignments to Defender for Cloud: owner, due date, and number and state of the ticket.

Each assignment stores what was pushed last. Pushing the same state again costs no call, and after a crash between the
call and the store the call is repeated, which changes nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import uuid4

from connectors.defender.assignments import azure
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.azure import TicketFacts
from connectors.defender.assignments.store import AssignmentStore
from shared.core.errors import KeyContended, SecretUnavailable, SourceError, SourceRefused
from shared.core.link import Link, LinkStage
from shared.core.messages import PushToSource, QueueSender
from shared.core.times import rfc3339
from shared.delivery.links import LinkStore
from shared.platform.log import record
from shared.platform.tables import until_written

#: Kind of the keys that stand for assignments: ``assignment:1:<key of the recommendation>``.
KIND = "assignment"

_PREFIX = f"{KIND}:1:"

#: After a failed push, the queue tries again after this time.
_FIRST_RETRY = timedelta(seconds=5)

#: Names of states for a ticket whose state is not known yet.
_STAGES = {LinkStage.OPEN: "Open", LinkStage.RESOLVED: "Resolved", LinkStage.CLOSED: "Closed"}

#: Name of the state of a link's ticket, as people call it on the connection; empty where it is not known.
LinkStateName = Callable[[Link], str]


class GovernanceWriter(Protocol):
    """Reads and writes governance assignments; see ``connectors.defender``."""

    async def get(self, assessment_id: str, name: str) -> dict[str, Any] | None: ...

    async def put(self, assessment_id: str, name: str, properties: dict[str, Any]) -> None: ...

    async def delete(self, assessment_id: str, name: str) -> bool: ...


def push_key(recommendation: str) -> str:
    """The key of a message that orders to push an assignment."""
    return f"{_PREFIX}{recommendation}"


@dataclass(frozen=True, slots=True)
class PushResult:
    """What came of a push: written, pending (the queue tries again), refused (the queue makes it a dead letter) or off.

    ``reason`` says why it is pending or refused.
    """

    status: Literal["written", "pending", "refused", "off"]
    reason: str = ""


class AssignmentWriteBack:
    """The write-back target of source ``defender``, and of single assignments.

    Args:
        store: the assignments.
        links: the state of their tickets.
        governance: gives the writer of a resource's governance assignments, by its ARM id.
        state_name: names the state of a ticket.
        write_back: whether anything is written at all.
    """

    def __init__(
        self,
        store: AssignmentStore,
        links: LinkStore,
        governance: Callable[[str], GovernanceWriter],
        state_name: LinkStateName,
        *,
        write_back: bool = True,
    ) -> None:
        self._store = store
        self._links = links
        self._governance = governance
        self._state_name = state_name
        self._write_back = write_back

    def wants(self, link: Link) -> str:
        """See ``WriteBackTarget.wants``: what of the ticket shows in Defender for Cloud."""
        if not self._write_back or link.ticket is None:
            return ""
        facts = self._facts(link)
        state = [facts.number, facts.status, facts.url, link.stage.value, rfc3339(link.due)]
        return json.dumps(state, separators=(",", ":"))

    async def push(self, link: Link, what: str) -> None:
        """See ``WriteBackTarget.push``: every assignment of the ticket is pushed. A due date that people changed in the
        ticket is taken over, where the ticket is for this assignment alone.

        One that is refused does not keep the others from being pushed. A failure that may pass is raised in preference
        to a refusal, so that all are pushed again.
        """
        del what
        failed: SourceError | None = None
        for assignment in await self._store.of_ticket(link.key):
            if assignment.key == link.key and link.due is not None and link.due != _pushed_due(link.last_pushed):
                await self._adopt(assignment.key, link.due)
            try:
                await self._push(assignment.key, link)
            except SourceError as error:
                if failed is None or (error.retry and not failed.retry):
                    failed = error
        if failed is not None:
            raise failed

    async def push_assignment(self, key: str) -> str:
        """Push one assignment: pushed, up_to_date, no_assignment, or no_target (write-back is off).

        Args:
            key: as :func:`push_key` makes it.

        Raises as :meth:`push`, and KeyContended.
        """
        return await self._push(key.removeprefix(_PREFIX), None)

    async def _push(self, key: str, link: Link | None) -> str:
        if not self._write_back:
            return "no_target"
        known = link

        async def attempt() -> str:
            nonlocal known
            stored = await self._store.load(key)
            if stored is None:
                return "no_assignment"
            assignment, current = stored.value, known
            known = None  # when the assignment is changed meanwhile, its ticket may have changed too
            if current is None or current.key != (assignment.ticket_key or assignment.key):
                found = await self._links.load(assignment.ticket_key or assignment.key)
                current = None if found is None else found.value
            facts = TicketFacts() if current is None else self._facts(current)
            wanted = azure.wanted(assignment, facts)
            if not assignment.origin or wanted == assignment.last_pushed:
                return "up_to_date"  # without an ARM id, as in other clouds, there is nothing to write to
            await self._write(assignment, facts)
            await self._store.write(replace(assignment, last_pushed=wanted), stored.etag)
            return "pushed"

        contended = f"{key}: others kept changing its assignment while it was pushed to Defender for Cloud"
        return await until_written(attempt, contended=contended)

    async def _adopt(self, key: str, due: datetime) -> None:
        """Take the ticket's due date over. Raises KeyContended."""

        def adopted(assignment: Assignment | None) -> Assignment | None:
            if assignment is None or not assignment.open or assignment.due == due:
                return None
            return replace(assignment, due=due, overdue_since=None, reminded_at=None)

        contended = f"{key}: others kept changing its assignment while its due date was taken over"
        await self._store.update(key, adopted, contended=contended)

    async def _write(self, assignment: Assignment, facts: TicketFacts) -> None:
        governance = self._governance(assignment.origin)
        name = azure.assignment_name(assignment.origin)
        if not assignment.open:
            await governance.delete(assignment.origin, name)
            return
        existing = await governance.get(assignment.origin, name)
        before = None if existing is None else existing.get("properties")
        properties = azure.merged(before if isinstance(before, dict) else None, assignment, facts)
        if existing is not None and properties == before:
            return
        try:
            await governance.put(assignment.origin, name, properties)
        except SourceRefused as error:
            if error.status != 404:  # 404: the assessment was deleted, and its assignments with it
                raise

    def _facts(self, link: Link) -> TicketFacts:
        if link.ticket is None:
            return TicketFacts()
        status = self._state_name(link) if link.state else ""
        return TicketFacts(link.ticket.number, link.ticket.url, status or _STAGES.get(link.stage, ""))


def _pushed_due(told: str) -> datetime | None:
    """The ticket's due date that was last pushed, as :meth:`AssignmentWriteBack.wants` wrote it."""
    try:
        due = json.loads(told)[4]
    except (ValueError, IndexError, KeyError, TypeError):
        return None
    return datetime.fromisoformat(due) if isinstance(due, str) else None


async def push_now(
    push: Callable[[str], Awaitable[str]], queue: QueueSender, assignment: str, now: Callable[[], datetime]
) -> PushResult:
    """Push an assignment while a request waits for it. What fails goes on the queue.

    Args:
        push: pushes an assignment, by the key that :func:`push_key` makes.
        queue: takes the order where that fails.
        assignment: key of the recommendation.
        now: the clock.

    Raises StorageUnavailable.
    """
    key = push_key(assignment)
    try:
        done = await push(key)
    except (SourceError, SecretUnavailable, KeyContended) as error:
        record("source_push_failed", logging.WARNING, key=key, code=error.code, reason=str(error))
        await queue.send(PushToSource(id=uuid4().hex, received_at=now(), key=key), _FIRST_RETRY)
        return PushResult("pending" if error.retry else "refused", str(error))
    return PushResult("off" if done == "no_target" else "written")
