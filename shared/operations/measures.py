"""What is counted: from a recorded event to measures. Pure.

Every figure comes from the events that the log has anyway, so a call site never counts anything, and an event that
nobody here knows, or a decision made next year, counts as far as it can be understood.

Attributes are few-valued by nature: connection, route, source, urgency, decision, code, status. Keys, titles and ids
never become one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

Attributes = Mapping[str, str]

#: Counters by name: what one of them is.
COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bridge.accepted": "signals that the webhook took in",
        "bridge.delivered": "signals that came to their end, by decision",
        "bridge.deduplicated": "of these: the same event again, or one that a newer one has overtaken",
        "bridge.grouped": "of these: counted in the ticket of their group",
        "bridge.suppressed": "of these: made no ticket because of a rule, such as a maintenance window",
        "bridge.held": "times that a signal was told to wait by a rule, such as only after n firings",
        "bridge.postponed": "deliveries that went back on the queue after a failure, by code",
        "bridge.throttled": "of these: because of the budget or a rate limit",
        "bridge.dead_lettered": "signals that were refused for good, by code",
        "bridge.quarantined": "items that nobody could read",
        "bridge.refused_request": "requests that the webhook answered 4xx, by status",
    }
)

#: Histograms by name: unit and what is measured.
HISTOGRAMS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "bridge.alert_to_ticket": ("s", "seconds from the webhook to the new or reopened ticket"),
        "bridge.ticket_system_calls": ("{call}", "calls to the ticket system that one delivery cost"),
    }
)

#: Decisions that are a part of ``delivered``. Everything else shows under its own name there.
_PART: Final[Mapping[str, str]] = MappingProxyType(
    {
        "duplicate": "bridge.deduplicated",
        "stale": "bridge.deduplicated",
        "in_progress": "bridge.deduplicated",
        "grouped": "bridge.grouped",
        "suppressed": "bridge.suppressed",
    }
)

#: Events that only add one to a counter, and the field that says more about it.
_PLAIN: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "accepted": ("bridge.accepted", ""),
        "held": ("bridge.held", ""),
        "postponed": ("bridge.postponed", "code"),
        "dead_lettered": ("bridge.dead_lettered", "code"),
        "quarantined": ("bridge.quarantined", "code"),
        "refused_request": ("bridge.refused_request", "status"),
        "token_refused": ("bridge.refused_request", "status"),
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
    """Reads events. Remembers which values its attributes have had, so that none grows without bound."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def of(self, event: str, fields: Mapping[str, Any]) -> Iterator[Measure]:
        """The measures of one event; none for an event that is not counted. Never raises.

        Args:
            event: its name.
            fields: as given to ``shared.platform.log.record``. Read are connection, route, source, urgency or severity,
                decision, code, status, seconds and calls; any may be missing or of another type.
        """
        common = {name: self._text(name, fields.get(name)) for name in ("connection", "route", "source")}
        common["urgency"] = self._text("urgency", fields.get("urgency") or _urgency(fields.get("severity")))
        common = {name: value for name, value in common.items() if value}
        if event == "delivered":
            yield from self._delivered(fields, common)
        elif event in _PLAIN:
            name, detail = _PLAIN[event]
            said = self._text(detail, fields.get(detail)) if detail else ""
            yield Measure(name, 1, common | ({detail: said} if said else {}))
            if event == "postponed" and fields.get("code") == "throttled":
                yield Measure("bridge.throttled", 1, common)

    def _delivered(self, fields: Mapping[str, Any], common: dict[str, str]) -> Iterator[Measure]:
        decision = self._text("decision", fields.get("decision")) or "unknown"
        by_decision = common | {"decision": decision}
        yield Measure("bridge.delivered", 1, by_decision)
        if decision in _PART:
            yield Measure(_PART[decision], 1, by_decision)
        calls, seconds = fields.get("calls"), fields.get("seconds")
        if isinstance(calls, int | float) and calls >= 0:
            yield Measure("bridge.ticket_system_calls", calls, by_decision)
        if isinstance(seconds, int | float) and seconds >= 0 and decision.startswith(("created", "reopened")):
            yield Measure("bridge.alert_to_ticket", seconds, common)

    def _text(self, name: str, value: Any) -> str:
        text = str(value)[:_LONGEST] if isinstance(value, str | int) else ""
        known = self._known.setdefault(name, set())
        if text in known or not text:
            return text
        if len(known) >= _MOST_VALUES:
            return "other"
        known.add(text)
        return text


def _urgency(severity: Any) -> str:
    """sev0 to sev4, as bridge.yaml calls them; empty where nobody said."""
    return f"sev{severity}" if type(severity) is int and 0 <= severity <= 4 else ""
