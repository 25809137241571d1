"""The signal while it is being read: readers fill it in, ``finish`` settles times, title and bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from shared.core.signal import Resource, Signal, SignalState
from shared.core.times import rfc3339
from shared.payloads.fit import fit
from shared.payloads.resources import ResourceList
from shared.payloads.text import anything, clean, given, line, raw_object
from shared.payloads.times import moment
from shared.payloads.web_links import LONGEST, web_link

#: Entries of one map that are looked at: more than a signal keeps, so that it says that some were left out.
MOST_ENTRIES = 200

#: Longest origin: ARM ids are far shorter, and a row has to hold it.
MOST_ORIGIN = 1_000


@dataclass(slots=True)
class SignalBuilder:
    """Collects what a payload says.

    Attributes:
        kind: kind of the signal. received_at: when the payload arrived, with zone.
        key: finished key, ``""`` until identity is settled.
        state, severity, rule, rule_id, fired_at, resolved_at, condition: as in Signal.
        event_at: the event's own time, for updates.
        orders_at: when the event happened, where that is neither its firing nor its end as people are shown them.
        opens: None means by state: fired opens a ticket, nothing else does.
        heading: title of the event itself; without one the title is made of rule and resource.
        prose: what rule and event say in words; each once, in this order, above the condition.
        pairs: every dimension as sent, for keys.
        origin: by what the source knows the thing, see Signal.
        api_link: address of the query API, never shown: its host tells which cloud an alert belongs to.
        test: Azure says, or shows by the names it uses, that this is a test.
    """

    kind: str
    received_at: datetime
    source: str = "azure_monitor"
    key: str = ""
    state: SignalState = SignalState.FIRED
    severity: int | None = None
    rule: str = ""
    rule_id: str = ""
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    event_at: datetime | None = None
    orders_at: datetime | None = None
    opens: bool | None = None
    heading: str = ""
    condition: str = ""
    prose: list[str] = field(default_factory=list)
    resources: ResourceList = field(default_factory=ResourceList)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    dimensions: dict[str, str] = field(default_factory=dict)
    custom_properties: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    origin: str = ""
    api_link: str = ""
    test: bool = False

    def warn(self, sentence: str) -> None:
        """Note what is odd about the payload, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def detail(self, name: str, value: object) -> None:
        """Set a detail unless it is set already or ``value`` means nothing. Names are those of DETAILS."""
        if name not in self.details and (found := given(value)):
            self.details[name] = found

    def time_detail(self, name: str, value: object) -> None:
        """Set a detail that is a time; text that is no time is kept as sent."""
        found = moment(value)
        if found is not None:
            # what is RFC 3339 already keeps its digits
            whole = isinstance(value, str) and len(value) >= 20 and value[10] == "T" and value[-1] == "Z"
            self.details.setdefault(name, str(value) if whole else str(rfc3339(found)))
        elif not isinstance(value, str) or not value.startswith(("0001-", "1/1/0001", "9999-")):
            self.detail(name, value)

    def dimension(self, name: str, value: str) -> None:
        """Add a dimension; a second value of one name is added to the first."""
        self.pairs.append((name, value))
        before = self.dimensions.get(name)
        if before is None:
            self.dimensions[name] = value
        elif value not in before.split(", "):
            self.dimensions[name] = f"{before}, {value}"

    def properties(self, value: object) -> None:
        """Merge custom properties, the later over the earlier. Values become text, null and ``""`` are left out."""
        for name, found in islice(raw_object(value).items(), MOST_ENTRIES):
            if words := anything(found):
                self.custom_properties[label(name)] = words
                if len(name) < 10 and name.strip().lower() == "tags":
                    self.spread_tags(found)

    def spread_tags(self, value: object) -> None:
        """Take the entries of a JSON object, or of text that holds one, as tags."""
        for name, found in islice(raw_object(value).items(), MOST_ENTRIES):
            if words := anything(found):
                self.tags[label(name)] = words

    def link(self, name: str, value: object) -> None:
        """Set a link unless it is set already. What is no whole web address is left out, with a warning."""
        found = given(value)
        if not found or name in self.links:
            return
        if len(found) > LONGEST or len(found := web_link(found)) > LONGEST:
            self.warn(f"The {name} link is longer than {LONGEST} characters and was left out.")
        elif found:
            self.links[name] = found
        else:
            self.warn(f"The {name} link is no web address and was left out.")

    def finish(self) -> Signal:
        """The signal. Raises ValueError if no key was set."""
        resources = self.resources.result()
        if self.resources.overlong:
            self.warn("A resource id longer than any that Azure gives was left out.")
        if self.test:
            self.details["is_test"] = "true"
        for name, value in self.dimensions.items():
            if name.lower() == "tags":
                self.spread_tags(value)
        return fit(
            Signal(
                source=self.source,
                kind=self.kind,
                key=self.key,
                state=self.state,
                occurred_at=self._occurred_at(),
                severity=self.severity,
                title=self._title(resources),
                description="\n\n".join([*dict.fromkeys(filter(None, self.prose)), self.condition]).strip(),
                condition=self.condition,
                rule=self.rule or None,
                rule_id=self.rule_id or None,
                fired_at=self.fired_at,
                resolved_at=self.resolved_at,
                opens=self.state is SignalState.FIRED if self.opens is None else self.opens,
                resources=tuple(resources),
                dimensions=self.dimensions,
                custom_properties=self.custom_properties,
                tags=self.tags,
                links=self.links,
                details=self.details,
                origin=self.origin if len(self.origin) <= MOST_ORIGIN else "",
                warnings=tuple(self.warnings),
            )
        )

    def _occurred_at(self) -> datetime:
        if self.orders_at is not None:
            return self.orders_at
        if self.state is SignalState.RESOLVED:
            times = [time for time in (self.fired_at, self.resolved_at) if time is not None]
            found = max(times, default=self.event_at)
        elif self.state is SignalState.UPDATED:
            found = self.event_at or self.fired_at
        else:
            found = self.fired_at or self.event_at
        if found is None:
            self.warn("The payload says no time; the time of its receipt is used.")
            found = self.received_at
        return found

    def _title(self, resources: list[Resource]) -> str:
        where = _short_name(resources[0]) if resources and self.kind != "budget" else ""
        if self.heading:
            what = line(self.heading)
            if where.lower() in what.lower():
                return what
        else:
            what = line(self.rule) or f"Azure {self.kind.replace('_', ' ')} alert"
        return f"{what} on {where}" if where else what


def _short_name(resource: Resource) -> str:
    """Name for a title; a subscription's is a GUID and says nothing."""
    if resource.type is not None and resource.type.lower() == "microsoft.resources/subscriptions":
        return ""
    return resource.name or ""


def label(name: str) -> str:
    """The name of an entry in one line."""
    return name if name.isalnum() else line(clean(name)) or "(no name)"


def utc(received_at: datetime) -> datetime:
    """The time of receipt in UTC; without zone it is taken for UTC."""
    if received_at.tzinfo is UTC:
        return received_at
    return received_at.replace(tzinfo=UTC) if received_at.tzinfo is None else received_at.astimezone(UTC)
