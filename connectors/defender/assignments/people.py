"""Who a request means: looked up in the ticket system, and refused with suggestions when nobody is called so."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.defender.assignments.azure import is_mail
from shared.core.ticket_system import KnowsPeople, Person

_MOST_SUGGESTIONS = 5


@dataclass(frozen=True, slots=True)
class UnknownPerson:
    """Nobody is called so, or several are; ``suggestions`` can be sent in its place."""

    suggestions: tuple[str, ...]


async def owner(people: KnowsPeople, text: str) -> str | UnknownPerson:
    """How an owner is written down: by e-mail address where the ticket system has one that is theirs alone, because
    that is what Defender for Cloud wants; else as given. Groups of the ticket system may own work too.

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


async def caller(people: KnowsPeople, text: str) -> str | UnknownPerson:
    """How a caller is written down: as given. Raises as the ticket system's methods that read."""
    return await _unknown(people, text) if await people.find_person(text) is None else text


async def _unknown(people: KnowsPeople, text: str) -> UnknownPerson:
    return UnknownPerson(tuple(_sent(person) for person in await people.suggest_people(text, _MOST_SUGGESTIONS)))


def _sent(person: Person) -> str:
    return person.email or person.user_name or person.name or person.id
