"""What is remembered of a finding, and what a new look at it means. Pure.

==========  ==========================  ===============================================================
remembered  now                         then
==========  ==========================  ===============================================================
nothing     unhealthy                   a new finding; or left, where the configuration does not want it
nothing     healthy, not applicable     nothing: it was never unhealthy as far as the bridge knows
sent        unhealthy, unchanged        nothing; sent once more, as it was, when the configuration has changed
sent        unhealthy, changed          told again
sent        healthy, not applicable     resolved
sent        gone                        resolved as deleted
left        as sent, but for its end    judged again when it or the configuration changes, and once a day
over        unhealthy                   a finding that has returned
==========  ==========================  ===============================================================

What orders the signals of a finding is the date of its status. A change without a new date, or a return with the old
one, comes a millisecond after what was sent before: late enough not to be taken for a repetition, and the same however
often it is repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from connectors.defender.poll.kinds import FindingFacts
from shared.core.signal import Order, Signal, SignalState

#: What the configuration did not want is judged again after this time: its tags or groups may have changed.
LEFT_FOR = timedelta(days=1)

#: How long it is remembered that a finding was over, so that its return is not taken for a repetition.
OVER_FOR = timedelta(days=30)

_TICK = timedelta(milliseconds=1)


class FindingStage(StrEnum):
    """What became of a finding: it was put on the queue, the configuration did not want it, or its end was sent."""

    SENT = "sent"
    LEFT = "left"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of one finding.

    Attributes:
        key: its id in Azure, lower case; entries are kept in the order of their keys.
        digest: of what matters of it, see ``kinds``.
        rules: names the configuration by which it was sent; empty for others.
        stage: what became of it.
        since: when it was judged (left) or its end was sent (over); of one that was sent, when that was.
        event: the newest event of it that was put on the queue, None for none.
        body: the least from which its end can be told when it is gone; empty unless it was sent.
    """

    key: str
    digest: str
    stage: FindingStage
    since: datetime
    event: Order | None = None
    body: Mapping[str, Any] | None = None
    rules: str = ""


class Need(StrEnum):
    """What a row needs: its entry stays, it is forgotten, or it has to be read as a signal."""

    NOTHING = "nothing"
    FORGET = "forget"
    READ = "read"


def need(entry: Entry | None, facts: FindingFacts, now: datetime, *, same_rules: bool) -> Need:
    """What a row of the list needs, given what is remembered of it.

    Args:
        entry: None for nothing.
        facts: of the row.
        now: present time.
        same_rules: the configuration is that by which ``entry`` was judged.
    """
    if entry is None:
        return Need.FORGET if facts.over else Need.READ
    match entry.stage:
        case FindingStage.LEFT if facts.over:
            return Need.FORGET
        case FindingStage.LEFT:
            fresh = same_rules and entry.digest == facts.digest and now - entry.since < LEFT_FOR
            return Need.NOTHING if fresh else Need.READ
        case FindingStage.SENT:
            return Need.NOTHING if (entry.digest, entry.rules) == (facts.digest, facts.rules) else Need.READ
        case FindingStage.OVER if not facts.over:
            return Need.READ
        case FindingStage.OVER:
            return need_of_missing(entry, now)


def need_of_missing(entry: Entry, now: datetime) -> Need:
    """What a finding needs that is gone: READ for one whose end is to be sent."""
    if entry.stage is FindingStage.SENT:
        return Need.READ
    if entry.stage is FindingStage.OVER and now - entry.since < OVER_FOR:
        return Need.NOTHING
    return Need.FORGET


@dataclass(frozen=True, slots=True)
class FindingChange:
    """What to remember (None: nothing), and what to put on the queue (None: nothing)."""

    entry: Entry | None
    signal: Signal | None = None


def settle(
    key: str,
    entry: Entry | None,
    signal: Signal,
    facts: FindingFacts,
    now: datetime,
    *,
    wanted: bool,
    body: Mapping[str, Any],
) -> FindingChange:
    """What a signal means that was read because :func:`need` asked for it.

    Args:
        key: of the entry.
        entry: what is remembered, None for nothing.
        signal: as the finding stands now.
        facts: of the row.
        now: present time.
        wanted: the configuration takes it. What was sent is followed to its end all the same.
        body: to remember for its end.
    """
    sent = entry is not None and entry.stage is FindingStage.SENT
    last = None if entry is None else entry.event
    if signal.state is SignalState.RESOLVED:
        if not sent:
            return FindingChange(entry if last is not None else None)
        told = following(signal, last)
        return FindingChange(Entry(key, facts.digest, FindingStage.OVER, now, told.order), told)
    if wanted and entry is not None and sent and last is not None and entry.digest == facts.digest:
        # Only the configuration is another: what had no ticket may get one now, and for the others it is a repetition.
        return FindingChange(replace(entry, body=body, rules=facts.rules), replace(signal, occurred_at=last[0]))
    if wanted:
        told = following(signal, last)
        return FindingChange(Entry(key, facts.digest, FindingStage.SENT, now, told.order, body, facts.rules), told)
    if sent:
        return FindingChange(Entry(key, facts.digest, FindingStage.SENT, now, last, body, facts.rules))
    return FindingChange(Entry(key, facts.digest, FindingStage.LEFT, now, last))


def end(entry: Entry, signal: Signal, now: datetime) -> FindingChange:
    """What the end of a finding means that is gone; ``signal`` says that it was deleted."""
    told = following(signal, entry.event)
    return FindingChange(Entry(entry.key, entry.digest, FindingStage.OVER, now, told.order), told)


def following(signal: Signal, last: Order | None) -> Signal:
    """The signal, ordered after ``last``: by its own time, at the time of that event, or a millisecond later."""
    if last is None or signal.order > last:
        return signal
    level = replace(signal, occurred_at=last[0])
    return level if level.order > last else replace(signal, occurred_at=last[0] + _TICK)
