"""Tells Defender for Cloud who has to fix its recommendations, until when, and how their tickets stand.

By level, as all of the way back: an assignment remembers what Defender for Cloud was told of it. So what is told twice
is one call less and nothing else, and whoever crashes between the call and the memory of it repeats what was said.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from connectors.defender.assignments import azure
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.azure import TicketFacts
from connectors.defender.assignments.store import AssignmentStore
from shared.core.errors import SourceError, SourceRefused
from shared.core.link import Link, LinkStage
from shared.core.times import rfc3339
from shared.delivery.links import LinkStore
from shared.platform.tables import until_written

#: Kind of the keys that stand for assignments: ``assignment:1:<key of the recommendation>``.
KIND = "assignment"

_PREFIX = f"{KIND}:1:"

#: What a ticket whose state nobody has said yet is called.
_STAGES = {LinkStage.OPEN: "Open", LinkStage.RESOLVED: "Resolved", LinkStage.CLOSED: "Closed"}

#: Name of the state that a link's ticket is in, as people call it there; empty where it is not known.
LinkStateName = Callable[[Link], str]


class GovernanceWriter(Protocol):
    """Reads and writes governance assignments; see ``connectors.defender``."""

    async def get(self, assessment_id: str, name: str) -> dict[str, Any] | None: ...

    async def put(self, assessment_id: str, name: str, properties: dict[str, Any]) -> None: ...

    async def delete(self, assessment_id: str, name: str) -> bool: ...


def tell_key(recommendation: str) -> str:
    """The key by which the queue orders that an assignment be told."""
    return f"{_PREFIX}{recommendation}"


class AssignmentWriteBack:
    """The write-back of source ``defender``, and of assignments by themselves.

    Args:
        store: the assignments.
        links: tells how their tickets stand.
        governance: gives what writes the assignments of a resource, by its ARM id.
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
        said = [facts.number, facts.status, facts.url, link.stage.value, rfc3339(link.due)]
        return json.dumps(said, separators=(",", ":"))

    async def push(self, link: Link, what: str) -> None:
        """See ``WriteBackTarget.push``: every assignment of the ticket is pushed. A due date that people have moved in
        the ticket counts from now on, where the ticket is for this assignment alone.

        One that is refused does not keep the others from being told; a failure that may pass goes before it, so that
        all are told again.
        """
        del what
        failed: SourceError | None = None
        for assignment in await self._store.of_ticket(link.key):
            if assignment.key == link.key and link.due is not None and link.due != _due_told(link.last_pushed):
                await self._adopt(assignment.key, link.due)
            try:
                await self._tell(assignment.key, link)
            except SourceError as error:
                if failed is None or (error.retry and not failed.retry):
                    failed = error
        if failed is not None:
            raise failed

    async def tell_assignment(self, key: str) -> str:
        """Tell Defender for Cloud of one assignment: pushed, up_to_date, no_assignment, or no_target.

        Args:
            key: as :func:`tell_key` makes it.

        Raises as ``WriteBackTarget.push``, and KeyContended.
        """
        return await self._tell(key.removeprefix(_PREFIX), None)

    async def _tell(self, key: str, link: Link | None) -> str:
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
            if not assignment.origin or wanted == assignment.told:
                return "up_to_date"  # what has no ARM id, as some things of other clouds, cannot be told at all
            await self._write(assignment, facts)
            await self._store.write(replace(assignment, told=wanted), stored.etag)
            return "pushed"

        contended = f"{key}: others kept changing its assignment while Defender for Cloud was told of it"
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
            if error.status != 404:  # the assessment is gone, and its assignments with it
                raise

    def _facts(self, link: Link) -> TicketFacts:
        if link.ticket is None:
            return TicketFacts()
        status = self._state_name(link) if link.state else ""
        return TicketFacts(link.ticket.number, link.ticket.url, status or _STAGES.get(link.stage, ""))


def _due_told(told: str) -> datetime | None:
    """The ticket's due date that was last pushed, as :meth:`AssignmentWriteBack.wants` wrote it."""
    try:
        due = json.loads(told)[4]
    except (ValueError, IndexError, KeyError, TypeError):
        return None
    return datetime.fromisoformat(due) if isinstance(due, str) else None
