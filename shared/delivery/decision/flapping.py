"""Problems that come and go: their ticket is held open, says so once, and ends when the problem stays quiet. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.core.link import Link, LinkStage, Op
from shared.core.signal import Signal, SignalState
from shared.delivery.decision.actions import CallTicketSystem, Flap, Reschedule, SaveLink

#: More are never kept; configuration allows no larger number.
MOST_CHANGES = 20

#: Of the note about flapping: below the Resolved of the same time, which is still to be applied.
_NOTE_RANK = 1


def holds_open(link: Link, flap: Flap | None, now: datetime) -> bool:
    """Whether the end that the link knows of is not to be believed yet."""
    return (
        link.flapping and flap is not None and link.resolved_by is not None and now < link.resolved_by[0] + flap.window
    )


def guard(
    link: Link, signal: Signal, call: CallTicketSystem, flap: Flap | None, now: datetime
) -> CallTicketSystem | Reschedule | SaveLink:
    """Count a change of the problem, and turn what would be done about it into patience when there were too many."""
    if flap is None:
        return replace(call, changes=()) if link.changes else call
    ends = signal.state is SignalState.RESOLVED and call.over
    comes_back = signal.state is SignalState.FIRED and (
        link.stage is not LinkStage.OPEN or link.resolved_by is not None
    )
    changes = _counted(link, signal.occurred_at, flap) if ends or comes_back else link.changes
    if link.stage is not LinkStage.OPEN:
        return replace(call, changes=changes)
    if link.flapping and signal.state is SignalState.FIRED:
        return SaveLink(replace(link, latest=signal.order, resolved_by=None, changes=changes), "noted")
    quiet_at = signal.occurred_at + flap.window
    if not ends or now >= quiet_at or len(changes) <= flap.changes:
        return replace(call, changes=changes)
    if not link.flapping:
        note = (signal.occurred_at, _NOTE_RANK)
        return CallTicketSystem(Op.COMMENT, link.generation, note, flapping=True, changes=changes)
    return Reschedule(replace(link, resolved_by=signal.order, changes=changes), quiet_at, "flapping")


def _counted(link: Link, moment: datetime, flap: Flap) -> tuple[datetime, ...]:
    recent = {change for change in (*link.changes, moment) if moment - change <= flap.window}
    return tuple(sorted(recent))[-MOST_CHANGES - 1 :]
