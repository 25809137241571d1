"""Which tickets are reminded of what is overdue, and what they are told. Pure.

A ticket is reminded, not an assignment: whoever has fifty recommendations in one ticket reads one note. A reminder is
known by the ticket and the reminder before it. So an attempt whose answer was lost is found by the same marker, and
the next reminder has another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.settings import GovernanceRuleSettings
from shared.core.link import Link
from shared.core.ticket_system import Note
from shared.core.times import rfc3339

#: Lines of a note; further assignments are counted.
_MOST_LINES = 20
_LINE = 160


@dataclass(frozen=True, slots=True)
class Reminding:
    """How the ticket of an overdue assignment is reminded. ``every`` is None for never."""

    every: timedelta | None = timedelta(days=7)
    by: Literal["work_note", "comment"] = "work_note"
    manager: bool = False


def reminding(assignment: Assignment, rules: Mapping[str, GovernanceRuleSettings]) -> Reminding:
    """How an assignment's ticket is reminded: as its rule says. One that a person made, or whose rule is not in the
    configuration any more, is reminded once a week by a work note; the owner's manager hears of it where Defender for
    Cloud is to write to them."""
    rule = rules.get(assignment.rule)
    if rule is None:
        return Reminding(manager=assignment.notify_manager)
    return Reminding(rule.remind_every, rule.remind_with, rule.remind_manager)


def by_ticket(assignments: Iterable[Assignment], now: datetime) -> dict[str, list[Assignment]]:
    """Assignments that are open and overdue, by the key of their ticket; tickets and assignments overdue longest
    first."""
    late = sorted((one for one in assignments if one.open and one.due < now), key=lambda one: (one.due, one.key))
    found: dict[str, list[Assignment]] = {}
    for one in late:
        found.setdefault(one.ticket_key or one.key, []).append(one)
    return found


def last_reminder(late: Iterable[Assignment]) -> datetime | None:
    """When a ticket was reminded last of any of its overdue assignments."""
    return max((one.reminded_at for one in late if one.reminded_at is not None), default=None)


def is_due(how: Reminding, last: datetime | None, now: datetime) -> bool:
    """Whether a ticket is to be reminded now: at once when it is overdue, then at most every ``how.every``."""
    return how.every is not None and (last is None or now - last >= how.every)


def reminder(link: Link, late: Sequence[Assignment], how: Reminding, last: datetime | None, now: datetime) -> Note:
    """What a ticket is told.

    Args:
        link: of the ticket.
        late: its overdue assignments, at least one.
        how: as a work note, or as a comment that whoever asked for the ticket sees as well.
        last: when it was reminded last.
        now: the time.
    """
    said = _text(late, now)
    digest = hashlib.sha256(f"{link.key}\n{link.generation}\n{rfc3339(last)}\nreminder".encode()).hexdigest()
    mark = f"[bridge:{digest[:12]}]"
    if how.by == "comment":
        return Note(f"Reminded by Azure ITSM Bridge with a comment. {mark}", mark, comment=said)
    return Note(f"{said}\n\n{mark}", mark)


def _text(late: Sequence[Assignment], now: datetime) -> str:
    lines = [_line(one, now) for one in late[:_MOST_LINES]]
    if len(late) > _MOST_LINES:
        lines.append(f"... and {len(late) - _MOST_LINES} more")
    if len(late) == 1:
        return f"Overdue: {lines[0]}"
    return "\n".join((f"{len(late)} recommendations are overdue:", *(f"- {line}" for line in lines)))


def _line(assignment: Assignment, now: datetime) -> str:
    days = (now - assignment.due).days
    late = "less than a day" if days < 1 else "1 day" if days == 1 else f"{days} days"
    what = f"{assignment.title or 'the recommendation'} on {assignment.resource or 'its resource'}"
    what = what if len(what) <= _LINE else f"{what[: _LINE - 1].rstrip()}…"
    whose = f", owner {assignment.owner[:80]}" if assignment.owner else ""
    return f"{what} was to be fixed by {assignment.due:%Y-%m-%d %H:%M} UTC ({late} ago{whose})"
