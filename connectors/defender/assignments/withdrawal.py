"""Taking an assignment back: what becomes of it, and what its ticket is told. Pure.

What the ticket is told is a Resolved like any other. Its place is right behind the newest event that is known of the
finding: all that was known is over with it, and whatever is noticed of the finding later comes after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connectors.defender.assignments.assignment import WITHDRAWN, Assignment
from connectors.defender.payloads.identity import split_id
from connectors.microsoft.azure_resources import last_segment, parse_id
from shared.core.link import Link
from shared.core.signal import RESOLVED_RANK, Order, Resource, Signal, SignalState

#: Sentences about who withdrew what that close notes of a shared ticket have; further ones are counted.
_MOST_SENTENCES = 5

_CONDITION = "The assignment was withdrawn; the finding itself may be unhealthy still."


def sentence(by: str, reason: str) -> str:
    """Who withdrew an assignment, and why."""
    return f"Withdrawn by {by}: {reason}" + ("" if reason.endswith((".", "!", "?")) else ".")


def ending(assignment: Assignment, link: Link | None, said: str, now: datetime) -> Signal:
    """The signal that resolves the ticket of an assignment, as if the finding had ended.

    Args:
        assignment: as it is stored.
        link: of its ticket, None when there is none yet.
        said: see :func:`sentence`.
        now: present time, UTC.
    """
    known: list[Order] = [assignment.latest] if assignment.latest is not None else []
    own = link is not None and link.key == assignment.key
    if link is not None and own:
        known += [order for order in (link.latest, link.resolved_by) if order is not None]
    moment, rank = max(known, default=(now, 0))
    if rank >= RESOLVED_RANK:
        moment += timedelta(microseconds=1)
    title = (link.title if link is not None and own else "") or " on ".join(
        filter(None, (assignment.title, assignment.resource))
    )
    return Signal(
        source="defender",
        kind="recommendation",
        key=assignment.key,
        state=SignalState.RESOLVED,
        occurred_at=moment,
        resolved_at=now,
        title=title,
        rule=assignment.title or None,
        condition=_CONDITION,
        opens=False,
        resources=(_resource(assignment),),
        details={
            "assessment_key": last_segment(assignment.origin or assignment.key),
            "resolution": WITHDRAWN,
            WITHDRAWN: said,
        },
        origin=assignment.origin,
    )


def ended(assignment: Assignment, signal: Signal | None, said: str, now: datetime) -> Assignment:
    """The assignment after it was taken back; one that was taken back before stays as it was then.

    Args:
        assignment: open, or taken back.
        signal: what its ticket is told, None when the ticket stays as it is.
        said: see :func:`sentence`.
        now: present time, UTC.
    """
    latest = assignment.latest if signal is None else signal.order
    if not assignment.open:
        return replace(assignment, latest=latest)
    return replace(assignment, latest=latest, ended_at=now, outcome=WITHDRAWN, withdrawn=said)


def accounted(signal: Signal, withdrawn: Sequence[Assignment]) -> Signal:
    """The end of a shared ticket, which says who withdrew which part of it. ``withdrawn``: those of the ticket that
    were."""
    counts = Counter(one.withdrawn for one in withdrawn if one.withdrawn)
    if not counts:
        return signal
    lines = [f"{said} ({number} recommendations)" if number > 1 else said for said, number in counts.most_common()]
    more = len(lines) - _MOST_SENTENCES
    lines = [*lines[:_MOST_SENTENCES], *([f"... and {more} more"] if more > 0 else [])]
    return replace(signal, details={**signal.details, WITHDRAWN: "\n".join(lines)})


def _resource(assignment: Assignment) -> Resource:
    """The resource as far as the assignment knows it: things without an ARM id have their own id in the key."""
    named = split_id(assignment.origin).resource
    if named:
        return parse_id(named)
    native = assignment.key.split(":", 2)[2].rpartition("/")[0]
    return Resource(id=native or None, name=assignment.resource or None)
