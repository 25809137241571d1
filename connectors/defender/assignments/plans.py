"""What is to be done for one resource of a request, and how the people that it names are written in tickets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.azure import is_mail
from shared.core.link import Link, LinkStage
from shared.core.signal import RESOLVED_RANK, Signal
from shared.core.ticket_system import KnowsPeople, Person
from shared.platform.tables import Versioned

_MOST_SUGGESTIONS = 5


@dataclass(frozen=True, slots=True)
class AssignmentPlan:
    """What is to be done for one resource.

    Attributes:
        resource: as the request names it.
        signal: the recommendation, as Resource Manager reports it now.
        before: the assignment as it is stored, None when there never was one.
        link: of the ticket, None when there is none.
        wanted: the assignment as it is to be.
    """

    resource: str
    signal: Signal
    before: Versioned[Assignment] | None
    link: Link | None
    wanted: Assignment

    @property
    def changes(self) -> bool:
        """Whether a ticket or an open assignment exists and has to change. A resolved ticket counts: when it is
        reopened, it still has its old content."""
        before = self.before.value if self.before is not None else None
        if before is not None and before.open:
            return before != self.wanted
        resolved = self.link is not None and self.link.ticket is not None and self.link.stage is LinkStage.RESOLVED
        return resolved or has_ticket(self.link)


def has_ticket(link: Link | None) -> bool:
    """Whether a link has a ticket that may be written."""
    return link is not None and link.ticket is not None and link.stage is LinkStage.OPEN


def newer(signal: Signal, link: Link | None, before: Assignment | None = None) -> Signal:
    """The signal, dated after the newest event of a ticket that is over, and after a withdrawal, so that it still makes
    a ticket. It moves by the least possible step, so that the end of the finding still comes after it."""
    latest = before.latest if before is not None and not before.open else None
    if latest is not None and latest[1] == RESOLVED_RANK and signal.order <= latest:
        signal = replace(signal, occurred_at=latest[0] + timedelta(microseconds=1))
    if link is None or link.stage not in (LinkStage.RESOLVED, LinkStage.CLOSED) or link.latest is None:
        return signal
    if signal.order > link.latest or link.key != signal.key:
        return signal
    return replace(signal, occurred_at=link.latest[0] + timedelta(microseconds=1))


@dataclass(frozen=True, slots=True)
class UnknownPerson:
    """No single person has that name; each of ``suggestions`` can be sent instead."""

    suggestions: tuple[str, ...]


async def find_owner(people: KnowsPeople, text: str) -> str | UnknownPerson:
    """How to write an owner: by e-mail address where the ticket system has one that only this person has, because
    Defender for Cloud takes addresses only; otherwise as given. Groups of the ticket system can be owners too.

    Raises as the ticket system's methods that read.
    """
    person = await people.find_person(text)
    if person is not None:
        if is_mail(text) or not is_mail(person.email):
            return text
        same = await people.find_person(person.email)
        return person.email if same is not None and same.id == person.id else text
    group = None if "@" in text else await people.find_group(text)
    return group if group is not None else await _unknown(people, text)


async def find_caller(people: KnowsPeople, text: str) -> str | UnknownPerson:
    """How to write a caller: as given. Raises as the ticket system's methods that read."""
    return await _unknown(people, text) if await people.find_person(text) is None else text


async def _unknown(people: KnowsPeople, text: str) -> UnknownPerson:
    return UnknownPerson(tuple(_suggestion(person) for person in await people.suggest_people(text, _MOST_SUGGESTIONS)))


def _suggestion(person: Person) -> str:
    return person.email or person.user_name or person.name or person.id
