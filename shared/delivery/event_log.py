"""The events that the log has of signals: when one is accepted, and how each message ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from shared.platform.log import record

if TYPE_CHECKING:  # the webhook imports this module on its cold path
    from shared.core.messages import Message
    from shared.core.outcome import Outcome
    from shared.core.signal import Signal

#: Levels of events that are not INFO.
_LEVELS: Final = {
    "signal_postponed": logging.WARNING,
    "signal_quarantined": logging.WARNING,
    "signal_dead_lettered": logging.ERROR,
    "message_waits_for_newer_release": logging.WARNING,
}


def record_accepted(message: Message, by: str = "webhook") -> None:
    """Log that a signal is on the queue, and who put it there: the webhook, or the name of a timer."""
    signal: Signal | None = getattr(message, "signal", None)
    if signal is not None:
        record("signal_accepted", id=message.id, **_signal_fields(signal), by=by)


class EventLog:
    """Logs how each message ended."""

    async def ended(self, outcome: Outcome) -> None:
        """Log one event. Its name is the outcome's kind."""
        event = outcome.kind.value
        level = _LEVELS.get(event, logging.INFO)
        if outcome.code == "connection_disabled":
            level = logging.INFO
        if outcome.dropped or outcome.decision == "no_route" or outcome.code == "poison":
            level = max(level, logging.ERROR if outcome.code == "poison" else logging.WARNING)
        ticket = outcome.ticket
        record(
            event,
            level,
            id=outcome.id,
            **({"key": outcome.key} if outcome.signal is None else _signal_fields(outcome.signal)),
            mode=outcome.mode,
            decision=outcome.decision,
            rule=outcome.rule,
            group=outcome.group,
            route=outcome.route,
            connection=outcome.connection,
            ticket=(ticket.number or ticket.id) if ticket is not None else "",
            url=ticket.url if ticket is not None else "",
            stage=outcome.stage,
            code=outcome.code,
            reason=outcome.reason,
            advice=outcome.advice,
            until=None if outcome.until is None else outcome.until.isoformat(timespec="seconds"),
            delay_s=None if outcome.delay is None else round(outcome.delay.total_seconds(), 1),
            calls=outcome.calls,
            attempts=outcome.attempts,
            seconds=outcome.seconds,
            dropped=list(outcome.dropped),
            left_out=[str(one) for one in outcome.left_out],
            warnings=list(outcome.warnings),
        )


def _signal_fields(signal: Signal) -> dict[str, Any]:
    return {
        "key": signal.key,
        "source": signal.source,
        "kind": signal.kind,
        "state": signal.state.value,
        "severity": signal.severity,
        "title": signal.title,
    }
