"""Marks assignments that are overdue, and reminds their tickets. Run by a timer, once an hour.

Before a note is written, its marker is looked for in the ticket: a run that died, or an answer that was lost, writes
no note twice. A ticket that people have resolved or closed meanwhile is seen by the same look, and left alone. E-mail
is the ticket system's own business, which tells whoever works on a ticket or watches it of every note.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from connectors.defender.assignments import overdue
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.overdue import Reminding
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.settings import GovernanceRuleSettings
from shared.core.errors import TicketSystemError, UnreadableRow
from shared.core.jobs import JobRun
from shared.core.link import Link, LinkStage
from shared.core.ticket_system import KnowsPeople, Phase, TicketRef, TicketSystem
from shared.delivery.links import LinkStore
from shared.platform.log import record
from shared.platform.tables import RowOvertaken

#: Tickets reminded in one run, with three or four calls each; the next run goes on.
MOST_PER_RUN = 200


@dataclass(slots=True)
class ReminderResult:
    """What a run did, or would do: assignments that are overdue, those of them marked for the first time; tickets
    reminded, and tickets whose system did not let that happen."""

    overdue: int = 0
    marked: int = 0
    reminded: int = 0
    failed: int = 0


class Reminders:
    """One run after another.

    Args:
        rules: governance rules of the configuration, by name.
        store, links: assignments, and the tickets that they have.
        systems: gives the ticket system of a connection; raises Refused for one that is not configured.
        now: the clock.
        most: tickets of one run.
    """

    def __init__(
        self,
        rules: Mapping[str, GovernanceRuleSettings],
        store: AssignmentStore,
        links: LinkStore,
        systems: Callable[[str], TicketSystem],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        most: int = MOST_PER_RUN,
    ) -> None:
        self._rules = rules
        self._store = store
        self._links = links
        self._systems = systems
        self._now = now
        self._most = most

    async def run(self, run: JobRun | None = None) -> ReminderResult:
        """Mark and remind. A ticket system that fails costs its own tickets only. Raises StorageUnavailable.

        Args:
            run: what is asked for; the run of a timer when None.
        """
        now, run = self._now(), run or JobRun()
        found = [one async for one in self._store.open_due_before(now)]
        tickets = overdue.by_ticket(found, now)
        done = ReminderResult(overdue=sum(len(late) for late in tickets.values()))
        run.follow("assignments", done)
        away: set[str] = set()
        for key, late in tickets.items():
            unmarked = [one for one in late if one.overdue_since is None]
            done.marked += len(unmarked) if run.dry_run else sum([await self._mark(one, now) for one in unmarked])
            how = overdue.reminding(late[0], self._rules)
            if done.reminded + done.failed >= self._most or not overdue.is_due(how, overdue.last_reminder(late), now):
                continue
            try:
                stored = await self._links.load(key)
            except UnreadableRow:  # the log says so; the other tickets go on
                continue
            if stored is None or stored.value.pending is not None or stored.value.connection in away:
                continue
            try:
                reminded = await self._remind(stored.value, late, how, now, run)
            except TicketSystemError as error:
                if error.retry:
                    away.add(stored.value.connection)  # others of the same system would fare no better
                done.failed += 1
                record("reminder_failed", logging.WARNING, key=key, code=error.code, reason=str(error))
                continue
            done.reminded += reminded
        record(
            "overdue_assignments_checked",
            overdue=done.overdue,
            marked=done.marked,
            reminded=done.reminded,
            failed=done.failed,
            dry_run=run.dry_run or None,
        )
        return done

    async def _mark(self, assignment: Assignment, now: datetime) -> bool:
        """Note when an assignment was first seen to be overdue."""
        return await self._change(assignment.key, now, lambda one: replace(one, overdue_since=one.overdue_since or now))

    async def _remind(self, link: Link, late: Sequence[Assignment], how: Reminding, now: datetime, run: JobRun) -> bool:
        """Remind a ticket, unless it is none to be written. True when its note is there, or would be."""
        if link.ticket is None or link.stage is not LinkStage.OPEN:
            return False
        system = self._systems(link.connection)
        note = overdue.reminder(link, late, how, overdue.last_reminder(late), now)
        ticket = await system.find(link.kind, link.ticket.id, link.ticket.correlation, note.marker)
        if ticket is None or ticket.phase is not Phase.OPEN:
            return False
        run.sample(f"{ticket.ref.number}: {len(late)} overdue since {late[0].due.isoformat()}")
        if run.dry_run:
            return not ticket.noted
        if not ticket.noted:
            if how.manager:
                await self._tell_manager(system, ticket.ref, late)
            await system.comment(ticket.ref, note)
        for one in late:
            await self._change(one.key, now, lambda fresh: replace(fresh, reminded_at=now))
        record(
            "reminder_sent", key=link.key, ticket=ticket.ref.number, overdue=len(late), since=late[0].due.isoformat()
        )
        return True

    async def _tell_manager(self, system: TicketSystem, ref: TicketRef, late: Sequence[Assignment]) -> None:
        """Put managers on the watch list, before the note that they are to hear of. Who has none has none."""
        if not isinstance(system, KnowsPeople):
            return
        for owner in dict.fromkeys(one.owner for one in late if one.owner):
            manager = await system.manager_of(owner)
            if manager is not None:
                await system.watch(ref, manager)

    async def _change(self, key: str, now: datetime, change: Callable[[Assignment], Assignment]) -> bool:
        """Change an assignment that is still open and overdue. False: it is not, or somebody else changed it, and the
        next run looks again."""
        try:
            stored = await self._store.load(key)
            if stored is None or not stored.value.open or stored.value.due >= now:
                return False
            changed = change(stored.value)
            if changed != stored.value:
                await self._store.write(changed, stored.etag)
        except (RowOvertaken, UnreadableRow):
            return False
        return True
