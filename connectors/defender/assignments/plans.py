"""What is to be done for one resource of a request. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from connectors.defender.assignments.assignment import Assignment
from shared.core.link import Link, LinkStage
from shared.core.signal import RESOLVED_RANK, Signal
from shared.platform.tables import Versioned


@dataclass(frozen=True, slots=True)
class AssignmentPlan:
    """What is to be done for one resource.

    Attributes:
        resource: as asked for.
        signal: the recommendation, as Resource Manager has it now.
        before: the assignment as it is stored, None when there never was one.
        link: of the ticket, if there is one.
        wanted: the assignment as it is to be.
    """

    resource: str
    signal: Signal
    before: Versioned[Assignment] | None
    link: Link | None
    wanted: Assignment

    @property
    def changes(self) -> bool:
        """Whether there is a ticket, or an assignment that is open, and it is to say something else. A ticket that is
        resolved may be reopened, and still says what it said."""
        before = self.before.value if self.before is not None else None
        if before is not None and before.open:
            return before != self.wanted
        resolved = self.link is not None and self.link.ticket is not None and self.link.stage is LinkStage.RESOLVED
        return resolved or has_ticket(self.link)


def has_ticket(link: Link | None) -> bool:
    """Whether a link has a ticket that may be written."""
    return link is not None and link.ticket is not None and link.stage is LinkStage.OPEN


def newer(signal: Signal, link: Link | None, before: Assignment | None = None) -> Signal:
    """The signal, moved behind what its ticket has seen when that ticket is over, and behind its withdrawal: a person
    wants one all the same. By the least that can be, so that the end of the finding still comes after it."""
    seen = before.latest if before is not None and not before.open else None
    if seen is not None and seen[1] == RESOLVED_RANK and signal.order <= seen:
        signal = replace(signal, occurred_at=seen[0] + timedelta(microseconds=1))
    if link is None or link.stage not in (LinkStage.RESOLVED, LinkStage.CLOSED) or link.latest is None:
        return signal
    if signal.order > link.latest or link.key != signal.key:
        return signal
    return replace(signal, occurred_at=link.latest[0] + timedelta(microseconds=1))
