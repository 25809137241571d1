"""Rows of the bridge's own log: one for each signal that came to its end, one for each connection's state. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from shared.core.export import LogRow
from shared.export.status import ExportStatus
from shared.operations.audit_log import AuditEntry
from shared.operations.connection_health import ConnectionHealth

STATUS: Final = "STATUS"

_FAILED: Final = frozenset({"dead_lettered", "quarantined", "refused"})

#: What was done to a ticket. A decision may be several of them, joined by ``_``.
_DONE: Final = {
    "created": "created",
    "commented": "got a note",
    "resolved": "resolved",
    "reopened": "reopened",
}

_SENTENCES: Final = {
    "resolved_before_fired": "The end came before the beginning, so there is no ticket",
    "already_over": "The problem was over before it could be reported, so there is no ticket",
    "noted": "The end of a problem without a ticket was noted",
    "closed": "The ticket is closed and was left as it is",
    "nothing_to_do": "Nothing was to be done",
    "suppressed": "A rule suppressed the ticket",
    "held": "A rule holds the ticket back",
    "flapping": "The problem comes and goes, so it was held back",
    "refused": "The ticket system would refuse the ticket",
    "no_ticket": "Its route makes no ticket",
    "no_route": "No route fits, so there is no ticket",
    "rows_unavailable": "The rows of the alert could not be read, so there is no ticket",
    "unassigned": "Nobody is assigned, so there is no ticket",
    "withdrawn": "The assignment was withdrawn",
    "grouped": "It was counted in a group, whose ticket stands for it",
    "split": "Each of its rows or items is a signal of its own",
    "dead_lettered": "The ticket system refused it, and it became a dead letter",
    "quarantined": "It could not be read or is not allowed, and is in quarantine",
}

_LONGEST_TITLE = 200


def log_row(entry: AuditEntry) -> LogRow:
    """The row of a signal that came to its end."""
    failed = entry.decision in _FAILED
    odd = bool(entry.left_out or entry.warnings)
    return LogRow(
        id=f"{entry.time:%Y%m%dT%H%M%S%f}-{entry.id}",
        time=entry.time,
        level="ERROR" if failed else "WARNING" if odd else "INFO",
        message=sentence(entry),
        succeeded=not failed,
        error=entry.reason if failed else "",
        connection=entry.connection,
        signal=entry.id,
        key=entry.key,
        source=entry.source,
        signal_kind=entry.kind,
        signal_state=entry.state,
        severity=entry.severity,
        alert_rule=entry.alert_rule,
        resource=entry.resource,
        resource_type=entry.resource_type,
        subscription=entry.subscription,
        fired_at=entry.fired_at,
        decision=entry.decision,
        route=entry.route,
        rule=entry.rule,
        ticket_kind=entry.ticket_kind,
        ticket_number=entry.ticket_number,
        ticket_id=entry.ticket_id,
        ticket_url=entry.ticket_url,
        calls=entry.calls,
        attempts=entry.attempts,
        seconds=entry.seconds,
        mode=entry.mode,
    )


def sentence(entry: AuditEntry) -> str:
    """What happened, in one sentence."""
    done = [_DONE[one] for one in entry.decision.split("_") if one in _DONE]
    kind = entry.ticket_kind.replace("_", " ")
    if entry.decision.startswith("handed_over"):
        text = f"The problem is over; {kind or 'the ticket'} {entry.ticket_number} was left to people"
    elif entry.decision in _SENTENCES:
        text = _SENTENCES[entry.decision]
    elif done:
        verb = " and ".join(done)
        verb = verb if verb.startswith("got") else f"was {verb}"
        text = f"{(kind or 'ticket').capitalize()} {entry.ticket_number} {verb}".replace("  ", " ")
    else:
        text = f"It ended as {entry.decision}"
    title = " ".join(entry.title.split())[:_LONGEST_TITLE]
    return f"{text}: {title}." if title else f"{text}."


@dataclass(frozen=True, slots=True)
class BridgeState:
    """What the rows of all connections say.

    Attributes:
        connections: names of those configured.
        health: of connections. exports: of those whose tickets are exported.
        calls: used and allowed in the present window, by connection.
        waiting: messages on the queue. dead_letters, quarantined: of the last hour.
    """

    connections: Sequence[str]
    health: Mapping[str, ConnectionHealth] = field(default_factory=dict)
    exports: Mapping[str, ExportStatus] = field(default_factory=dict)
    calls: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    waiting: int = 0
    dead_letters: int = 0
    quarantined: int = 0


def status_rows(state: BridgeState, now: datetime) -> list[LogRow]:
    """One row for each connection."""
    return [_status_row(name, state, now) for name in state.connections]


def _status_row(name: str, state: BridgeState, now: datetime) -> LogRow:
    health, export = state.health.get(name, ConnectionHealth()), state.exports.get(name)
    lag = None if export is None else export.lag(now)
    if export is not None and export.is_backfilling and export.late_by(now) is None:
        lag = None  # a back-fill that goes on is as late as it goes back, and nothing is wrong
    used, allowed = state.calls.get(name, (None, None))
    errors = []
    if health.is_failing:
        errors.append(f"calls fail: {health.last_error_code}")
    if export is not None and export.notes.is_failing:
        errors.append(f"the export broke off: {export.notes.reason}")
    calls = "no call was made yet" if used is None else f"{used} calls in this window"
    said = f"{'is not well' if errors else 'is well'}, {calls}"
    if export is not None and export.is_backfilling:
        said += f", {sum(one.rows for one in export.kinds.values())} rows of a back-fill are exported"
    elif lag is not None:
        said += f", tickets exported up to {round(lag.total_seconds() / 60)} minutes ago"
    return LogRow(
        id=f"status-{name}-{now:%Y%m%dT%H%M%S%f}",
        time=now,
        level=STATUS,
        message=f"Connection {name} {said}.",
        succeeded=not errors,
        error="; ".join(errors),
        connection=name,
        lag=None if lag is None else lag.total_seconds(),
        calls_used=used,
        calls_allowed=allowed,
        waiting=state.waiting,
        dead_letters=state.dead_letters,
        quarantined=state.quarantined,
    )
