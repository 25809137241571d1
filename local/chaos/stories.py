"""What a storm consists of: alerts, the events that Azure reports of them, and what has to become of each. Pure."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from local.demo.alerts import Azure

#: An alert's custom property that the storm's routes look at.
PROPERTY = "chaos"

_LARGE = "The disk fills up. " * 4_000


class Fate(StrEnum):
    """What has to become of an alert."""

    TICKET = "ticket"  #: a ticket of its own
    GROUPED = "grouped"  #: counted in the ticket of its rule
    PATIENT = "patient"  #: fires once where three firings are wanted, and ends: no ticket
    MAINTENANCE = "maintenance"  #: fires in a maintenance window: no ticket, unless it outlasts the window
    REFUSED = "refused"  #: the instance refuses it for good: a dead letter
    UNREADABLE = "unreadable"  #: quarantine


@dataclass(frozen=True, slots=True)
class Event:
    """One message of Azure about an alert.

    Attributes:
        alert: id of the alert. fate, rule, severity: of it.
        at: when that happened; no two events of an alert have the same time.
        resolved: Resolved, else Fired.
        large: longer than a queue message may be.
        recurs: the problem may come back under the same id, which then names the problem; otherwise the id names one
            occurrence, as Azure's do for most alerts.
    """

    alert: str
    fate: Fate
    rule: str
    severity: int
    at: datetime
    resolved: bool = False
    large: bool = False
    recurs: bool = False


#: (fate, how many of a hundred alerts)
_MIX = (
    (Fate.TICKET, 46),
    (Fate.GROUPED, 43),
    (Fate.PATIENT, 4),
    (Fate.MAINTENANCE, 3),
    (Fate.REFUSED, 2),
    (Fate.UNREADABLE, 2),
)
_GROUPS = 8
#: Of the grouped rules, these have alerts that stay on.
_STAY_ON = 2


def storm(seed: int, count: int, now: datetime) -> list[Event]:
    """The messages of a storm in the order in which they are sent: late, doubled and overtaken ones included.

    Args:
        seed: the same one gives the same storm.
        count: messages.
        now: the present; what is told happened within the last hour.
    """
    chance = random.Random(seed)
    begin = now - timedelta(hours=1)
    placed: list[tuple[float, Event]] = []
    alerts = _alerts(chance, begin)
    while len(placed) < count:
        events = next(alerts)
        # Maintenance is in the beginning; all else anywhere.
        place = chance.random() * (0.15 if events[0].fate is Fate.MAINTENANCE else 1.0)
        for event in events:
            placed.append((place, event))
            if event.fate is not Fate.UNREADABLE and chance.random() < 0.12:
                placed.append((place + chance.random() * 0.1, event))
            # One in ten of what follows overtakes what it follows.
            place += chance.random() * 0.05 if chance.random() < 0.9 else -0.02
    placed = sorted(placed[:count], key=lambda item: item[0])
    return [event for _, event in placed]


def _alerts(chance: random.Random, begin: datetime) -> Iterator[list[Event]]:
    """Alerts without end, each with its events in the order in which they happened."""
    fates = [fate for fate, _ in _MIX]
    weights = [weight for _, weight in _MIX]
    number = 0
    while True:
        number += 1
        fate = chance.choices(fates, weights)[0]
        alert = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        group = chance.randrange(_GROUPS)
        rule = f"storm-{group}" if fate is Fate.GROUPED else f"rule-{fate}-{number % 50}"
        at = begin + timedelta(seconds=number * 0.1)
        first = Event(
            alert,
            fate,
            rule,
            chance.choice((0, 1, 2, 2, 3, 3, 4)),
            at,
            large=chance.random() < 0.01,
            recurs=number % 2 == 0,
        )
        yield [first, *_sequel(chance, first, stays_on=group < _STAY_ON)]


def _sequel(chance: random.Random, first: Event, *, stays_on: bool) -> Iterator[Event]:
    """What is told of an alert after it fired."""
    ends = {
        Fate.TICKET: 0.6,
        Fate.GROUPED: 0.5 if stays_on else 1.0,
        Fate.PATIENT: 1.0,
        Fate.MAINTENANCE: 0.8,
        Fate.REFUSED: 0.0,
        Fate.UNREADABLE: 0.0,
    }
    resolved = first
    while not resolved.resolved and chance.random() < ends[first.fate]:
        resolved = _after(chance, resolved, resolved=True)
        yield resolved
        if first.fate is Fate.TICKET and first.recurs and chance.random() < 0.3:  # it comes back
            resolved = _after(chance, resolved, resolved=False)
            yield resolved


def _after(chance: random.Random, event: Event, *, resolved: bool) -> Event:
    at = event.at + timedelta(seconds=1 + chance.random() * 300)
    return replace(event, at=at, resolved=resolved)


def one_rule(seed: int, count: int, now: datetime) -> list[Event]:
    """``count`` alerts of one rule that fire in one evaluation."""
    chance = random.Random(seed)
    return [
        Event(str(uuid.UUID(int=chance.getrandbits(128), version=4)), Fate.GROUPED, "storm-0", 2, now)
        for _ in range(count)
    ]


def backlog(seed: int, count: int, now: datetime, urgent: float = 0.0, severity: int = 3) -> list[Event]:
    """``count`` alerts that have tickets of their own; a share of them is of severity 0, the rest of ``severity``."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        level = 0 if chance.random() < urgent else severity
        alert = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        found.append(Event(alert, Fate.TICKET, f"rule-{number % 50}", level, now + timedelta(milliseconds=number)))
    return found


def last_states(events: Sequence[Event]) -> dict[str, Event]:
    """The last event of each alert by the time at which it happened."""
    last: dict[str, Event] = {}
    for event in events:
        if event.alert not in last or event.at > last[event.alert].at:
            last[event.alert] = event
    return last


def body(event: Event) -> dict[str, Any]:
    """The event as Azure posts it (Microsoft's "Common alert schema")."""
    if event.fate is Fate.UNREADABLE:
        return {"text": f"My rule fired with 18 records over threshold of 10. {event.alert}"}
    azure = Azure(event.at - timedelta(minutes=1) if event.resolved else event.at)
    found = azure.metric(event.alert, resolved=event.resolved)
    essentials = found["data"]["essentials"]
    if event.recurs:  # the path of a rule in the place of an id of its own
        essentials |= {"alertId": f"/alertrules/{event.alert}", "alertTargetIDs": [], "configurationItems": []}
    essentials |= {"alertRule": event.rule, "severity": f"Sev{event.severity}"}
    if event.resolved:
        essentials["resolvedDateTime"] = event.at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
    if event.large:
        essentials["description"] = _LARGE
    found["data"]["customProperties"] = {PROPERTY: str(event.fate)}
    return found
