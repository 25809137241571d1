"""The events that the log has of signals: when one is accepted, and how each message ended."""

from __future__ import annotations

import logging
import re
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

#: What was said once is remembered of so many rules.
_MOST_SAID: Final = 5_000

_DIGITS: Final = re.compile(r"\d+")


def record_accepted(message: Message, by: str = "webhook") -> None:
    """Log that a signal is on the queue, and who put it there: the webhook, or the name of a timer."""
    signal: Signal | None = getattr(message, "signal", None)
    if signal is not None:
        record("signal_accepted", id=message.id, **_signal_fields(signal), by=by)


class EventLog:
    """Logs how each message ended.

    What is wrong with an alert rule, with a route or with the CMDB, every alert meets again. It is logged as a warning
    once for each rule, or for the route where there is no rule; every delivery has it in its own event and in the audit
    log.
    """

    def __init__(self) -> None:
        self._said: set[tuple[str, ...]] = set()

    async def ended(self, outcome: Outcome) -> None:
        """Log one event, whose name is the outcome's kind, and what is said once."""
        self._say_once(outcome)
        event = outcome.kind.value
        level = _LEVELS.get(event, logging.INFO)
        if outcome.code == "connection_disabled":
            level = logging.INFO
        overwritten = set(outcome.dropped) - {one.field for one in outcome.left_out}
        if overwritten or outcome.decision == "no_route" or outcome.code == "poison":
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

    def _say_once(self, outcome: Outcome) -> None:
        """Warn of what was left out, of an odd payload and of refused lists, unless the same was said of the rule."""
        signal = outcome.signal
        rule = "" if signal is None else signal.rule_id or signal.rule or ""
        about = {"alert_rule": rule, "route": outcome.route, "connection": outcome.connection, "example": outcome.key}
        for one in outcome.left_out:
            if self._is_first(rule or outcome.route, one.field, str(one.several), one.why, str(bool(one.text))):
                record("field_left_out", logging.WARNING, field=one.field, reason=str(one), **about)
        for text in () if signal is None else signal.warnings:
            if self._is_first(rule or outcome.route, _DIGITS.sub("", text)):
                record("odd_payload", logging.WARNING, reason=text, **about)
        refused = outcome.kind.value == "affected_items_added" and outcome.decision == "refused"
        if refused and self._is_first(outcome.connection, outcome.code):
            record("affected_items_refused", logging.WARNING, reason=outcome.reason, advice=outcome.advice, **about)

    def _is_first(self, *what: str) -> bool:
        if what in self._said:
            return False
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said.add(what)
        return True


def _signal_fields(signal: Signal) -> dict[str, Any]:
    return {
        "key": signal.key,
        "source": signal.source,
        "kind": signal.kind,
        "state": signal.state.value,
        "severity": signal.severity,
        "title": signal.title,
    }
