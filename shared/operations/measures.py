"""What is counted: from the outcome of a message, or from an event of the log that is no outcome, to measures. Pure.

So a call site never counts anything, and an outcome that nobody here knows, or a decision made next year, counts as
far as it can be understood.

Attributes are few-valued by nature: connection, route, source, urgency, decision, code, status. Keys, titles and ids
never become one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:  # the webhook imports this module on its cold path
    from shared.core.outcome import Outcome

Attributes = Mapping[str, str]

#: Counters by name: what one of them is.
COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bridge.accepted": "signals that the webhook took in",
        "bridge.delivered": "signals that came to their end, by decision",
        "bridge.deduplicated": "of these: the same event again, or one that is older than the newest",
        "bridge.grouped": "of these: counted in the ticket of their group",
        "bridge.suppressed": "of these: made no ticket because of a rule, such as a maintenance window",
        "bridge.no_route": "of these: no route matched, so they made no ticket",
        "bridge.no_ticket": "of these: their route says that they make no ticket, by route",
        "bridge.dry_run": "signals that were only rehearsed, by what would have been done; they count nowhere else",
        "bridge.left_out": "fields that were not written, because what they refer to was not found, by field",
        "bridge.held": "times that a signal was told to wait by a rule, such as only after n firings",
        "bridge.postponed": "deliveries that went back on the queue after a failure, by code",
        "bridge.throttled": "of these: because of the budget or a rate limit",
        "bridge.dead_lettered": "signals that were refused for good, by code",
        "bridge.quarantined": "items that nobody could read",
        "bridge.credential_ends": "warnings that a secret, certificate or log-in ends, by the days before its end",
        "bridge.refused_request": "requests that the webhook answered 4xx, by status",
    }
)

#: Histograms by name: unit and what is measured.
HISTOGRAMS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "bridge.alert_to_ticket": ("s", "seconds from the webhook to the new or reopened ticket"),
        "bridge.credential_days_left": ("d", "days until the first secret, certificate or log-in ends"),
        "bridge.ticket_system_calls": ("{call}", "calls to the ticket system that one delivery cost"),
    }
)

#: Decisions that are a part of ``bridge.delivered``. All others only show there, as its attribute.
_PART: Final[Mapping[str, str]] = MappingProxyType(
    {
        "duplicate": "bridge.deduplicated",
        "stale": "bridge.deduplicated",
        "in_progress": "bridge.deduplicated",
        "grouped": "bridge.grouped",
        "suppressed": "bridge.suppressed",
        "no_route": "bridge.no_route",
        "no_ticket": "bridge.no_ticket",
    }
)

#: Outcomes that only add one to a counter, by the name of their kind.
_OUTCOMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "signal_held": "bridge.held",
        "signal_postponed": "bridge.postponed",
        "signal_dead_lettered": "bridge.dead_lettered",
        "signal_quarantined": "bridge.quarantined",
    }
)

#: Events of the log that are no outcomes and only add one to a counter.
_EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "signal_accepted": "bridge.accepted",
        "request_refused": "bridge.refused_request",
        "token_refused": "bridge.refused_request",
    }
)

_LONGEST = 80

#: More different values of one attribute than this, in one process, become "other".
_MOST_VALUES = 100


@dataclass(frozen=True, slots=True)
class Measure:
    """One number for one instrument."""

    name: str
    value: float
    attributes: Attributes


class Measures:
    """Turns outcomes and events into measures. Remembers which values its attributes have had, so that none grows
    without bound."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def of_outcome(self, outcome: Outcome) -> Iterator[Measure]:
        """The measures of an outcome; none for one that is not counted. Never raises."""
        source = outcome.signal.source if outcome.signal is not None else ""
        common = self._attributes(
            connection=outcome.connection, route=outcome.route, source=source, urgency=outcome.urgency
        )
        kind = outcome.kind.value
        if kind in ("signal_delivered", "signal_grouped", "signal_split"):
            yield from self._ended(outcome, common)
        elif kind in _OUTCOMES:
            yield Measure(_OUTCOMES[kind], 1, common | self._attributes(code=outcome.code))
            if kind == "signal_postponed" and outcome.code == "throttled":
                yield Measure("bridge.throttled", 1, common)

    def of_event(self, event: str, fields: Mapping[str, Any]) -> Iterator[Measure]:
        """The measures of an event of the log; none for an event that is not counted. Never raises.

        Args:
            event: its name.
            fields: as given to ``shared.platform.log.record``. Read are source, severity, status, kind, step and
                days_left; any may be missing or of another type.
        """
        if event == "credential_ends":
            yield Measure(
                "bridge.credential_ends", 1, self._attributes(kind=fields.get("kind"), step=fields.get("step"))
            )
        elif event == "credentials_checked" and type(left := fields.get("days_left")) is int:
            yield Measure("bridge.credential_days_left", left, {})
        elif event in _EVENTS:
            severity = fields.get("severity")
            urgency = f"sev{severity}" if type(severity) is int and 0 <= severity <= 4 else ""
            common = self._attributes(source=fields.get("source"), urgency=urgency, status=fields.get("status"))
            yield Measure(_EVENTS[event], 1, common)

    def _ended(self, outcome: Outcome, common: dict[str, str]) -> Iterator[Measure]:
        if outcome.mode == "dry_run":
            yield Measure("bridge.dry_run", 1, common | {"decision": self._text("decision", outcome.decision)})
            return
        by_decision = common | {"decision": self._text("decision", outcome.decision) or "unknown"}
        yield Measure("bridge.delivered", 1, by_decision)
        if outcome.decision in _PART:
            yield Measure(_PART[outcome.decision], 1, by_decision)
        if outcome.kind.value != "signal_delivered":
            return
        for one in outcome.left_out:
            yield Measure("bridge.left_out", 1, common | self._attributes(field=one.field))
        yield Measure("bridge.ticket_system_calls", outcome.calls, by_decision)
        if outcome.decision.startswith(("created", "reopened")):
            yield Measure("bridge.alert_to_ticket", outcome.seconds, common)

    def _attributes(self, **values: Any) -> dict[str, str]:
        texts = {name: self._text(name, value) for name, value in values.items()}
        return {name: text for name, text in texts.items() if text}

    def _text(self, name: str, value: Any) -> str:
        text = str(value)[:_LONGEST] if isinstance(value, str | int) else ""
        known = self._known.setdefault(name, set())
        if text in known or not text:
            return text
        if len(known) >= _MOST_VALUES:
            return "other"
        known.add(text)
        return text
