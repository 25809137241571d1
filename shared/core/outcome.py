"""How the work on one message ended: one value for log, audit log, metrics, health and exporters. Pure.

The stage or handler that ends a message says what it knows; the worker adds what it measured and gives the whole to
every :class:`OutcomeListener`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from shared.core.messages import Message, key_of, signal_of

if TYPE_CHECKING:
    from shared.core.signal import Signal
    from shared.core.ticket_system import LeftOut, TicketRef

#: Severities whose signals may use the part of a call budget that is reserved for them.
URGENT_SEVERITIES: Final = (0, 1)

#: ``code`` of a dead letter that no release of the bridge wrote: it is a text on the queue, and no message.
FOREIGN_MESSAGE: Final = "foreign_message"


#: ``mode`` of an outcome that was only rehearsed: nothing was written outside.
DRY_RUN: Final = "dry_run"


class OutcomeKind(StrEnum):
    """How a message ended; the value is the name of the event in the log."""

    DELIVERED = "signal_delivered"  #: the signal came to its end; ``decision`` says what was done
    GROUPED = "signal_grouped"  #: counted in a group or storm, whose ticket speaks for it
    SPLIT = "signal_split"  #: each of its rows or items is a signal of its own, and is on the queue
    HELD = "signal_held"  #: a rule holds it; it is on the queue again, due at ``until``
    POSTPONED = "signal_postponed"  #: a failure that may pass; it is on the queue again
    KEY_LOCKED = "key_locked"  #: another worker holds its key; it is on the queue again
    DEAD_LETTERED = "signal_dead_lettered"  #: refused for good; parked
    QUARANTINED = "signal_quarantined"  #: unreadable, or not allowed; parked
    GROUP_FLUSHED = "group_flushed"  #: a group was counted; ``decision`` says what its ticket was told
    SOURCE_PUSHED = "source_pushed"  #: a source was told of its ticket; ``decision`` says what came of it
    ITEMS_ADDED = "affected_items_added"  #: affected items were listed on a ticket; ``decision`` says what came of it
    WAITS_FOR_RELEASE = "message_waits_for_newer_release"  #: written by a newer release; it is on the queue again


#: The message is on the queue again, and ends another time.
_QUEUED_AGAIN = (OutcomeKind.HELD, OutcomeKind.POSTPONED, OutcomeKind.KEY_LOCKED, OutcomeKind.WAITS_FOR_RELEASE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the work on one message ended.

    Attributes:
        kind: see :class:`OutcomeKind`.
        decision: what was done. Of DELIVERED: created, created_resolved, commented, resolved, reopened, handed_over
            (its problem is over, the ticket is left to people with a note) or several, joined by ``_``, where the
            ticket system was written; otherwise resolved_before_fired, already_over, noted,
            closed, duplicate, stale, in_progress, nothing_to_do, suppressed, held, flapping (others decide for it),
            overtaken, refused (in a dry run: live it would be a dead letter), no_ticket, no_route, rows_unavailable,
            unassigned or withdrawn. Of GROUPED: grouped, duplicate, resolved_before_fired, held (too
            few so far) or noted (the end of one that is held). Of SPLIT: split, resolved
            or duplicate. Of HELD: held, flapping or
            resource_unhealthy. Of the others see ``OutcomeKind``.
        route, connection: names in the configuration; empty where none was chosen.
        ticket: of the key, None while there is none. stage: of the link, as ``LinkStage`` names it.
        rule: name of the rule that held, suppressed or throttled it.
        group: key of the group that counted it.
        reason, code, advice: why it did not end well, the error's stable name, and what a person can do about it.
        dropped: fields that the ticket system did not take over as sent. left_out: of these, the references that were
            not found, and what was looked for. warnings: what mapping had to say.
        until: HELD: when it is due. delay: how long it is hidden on the queue.
        call_succeeded: calls to ``connection`` were made and succeeded.
        call_error: code of the error with which a call to ``connection`` failed; empty when none did.
        call_status: HTTP status of that call, None when there was no answer.
        mode: DRY_RUN when nothing was written outside; empty otherwise. rendered: then, the calls that would have been
            made, with their fields, as JSON.
        id: of the message. key: what it is about. signal: as delivered; None when it has none.
        ended_at: when, UTC. seconds: since the bridge took the message in.
        calls: to ticket systems, by this attempt. attempts: deliveries so far, this one included.
    """

    kind: OutcomeKind
    decision: str = ""
    _: KW_ONLY
    route: str = ""
    connection: str = ""
    ticket: TicketRef | None = None
    stage: str = ""
    rule: str = ""
    group: str = ""
    reason: str = ""
    code: str = ""
    advice: str = ""
    dropped: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()
    until: datetime | None = None
    delay: timedelta | None = None
    call_succeeded: bool = False
    call_error: str = ""
    call_status: int | None = None
    mode: str = ""
    rendered: str = ""
    id: str = ""
    key: str = ""
    signal: Signal | None = None
    ended_at: datetime | None = None
    seconds: float = 0.0
    calls: int = 0
    attempts: int = 0

    @property
    def is_queued_again(self) -> bool:
        """Whether the message is on the queue again: its end is still to come."""
        return self.kind in _QUEUED_AGAIN

    @property
    def is_failure(self) -> bool:
        """Whether the attempt failed; ``reason`` says why."""
        return self.kind in (OutcomeKind.POSTPONED, OutcomeKind.DEAD_LETTERED, OutcomeKind.QUARANTINED)

    @property
    def urgency(self) -> str:
        """``sev0`` to ``sev4``, as bridge.yaml names severities; empty when the signal has none."""
        return "" if self.signal is None or self.signal.severity is None else f"sev{self.signal.severity}"


class OutcomeListener(Protocol):
    """Is told how each message ended."""

    async def ended(self, outcome: Outcome) -> None:
        """Take note. Must not raise: the message has ended already."""
        ...


def measured(outcome: Outcome, message: Message, now: datetime, calls: int) -> Outcome:
    """The outcome of ``message`` with what the worker knows of it."""
    signal = signal_of(message)
    ended_well = outcome.kind in (OutcomeKind.DELIVERED, OutcomeKind.HELD)
    return replace(
        outcome,
        call_succeeded=ended_well and calls > 0 and bool(outcome.connection),
        id=message.id,
        key=key_of(message),
        signal=signal,
        ended_at=now,
        seconds=round(max((now - message.received_at).total_seconds(), 0.0), 3),
        calls=calls,
        attempts=message.attempts + 1,
    )
