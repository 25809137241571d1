"""The signal while it is being read: readers fill it in; ``finish`` decides times and title, and bounds its size.

A queue message holds 64 KiB in base64, and payloads can be larger. Texts are cut to the limits below. Where the signal
without its rows (``tables``) is still too large, names and values of maps are shortened first, descriptions next. Links
are never cut, only left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Protocol

from shared.core.signal import UNKNOWN_PLACE, Resource, Rows, Signal, SignalState, to_dict
from shared.core.times import rfc3339
from shared.payloads.values import anything, bounded, clean, cut, given, line, moment, raw_object, web_link

#: Longest link in characters.
LONGEST_LINK = 4096

#: Entries of one map that are read: more than a signal keeps, so that a warning says that some were left out.
MOST_ENTRIES = 200

#: Longest origin: ids are far shorter, and a row of a table has to hold it.
MOST_ORIGIN = 1_000

#: Beginning of the description of a test.
_TEST = "This is a test: it reports no real problem."

#: How titles begin that say so already.
_MARKED_TESTS = ("[test]", "[sample alert]")

#: Details that the builder itself sets; each source has more (``connectors/<source>/payloads/details.py``).
DETAILS: Mapping[str, str] = {"is_test": "'true' when the source says or shows that this is a test"}


class AffectedResources(Protocol):
    """Collects affected resources. A source knows what its ids mean, so the collection is the source's.

    Attributes:
        incomplete: whether the payload names resources that are not in the result, so that nothing is known of them.
    """

    incomplete: bool

    @property
    def warning(self) -> str:
        """What was left out, one sentence; ``""`` for nothing."""
        ...

    @property
    def vague(self) -> bool:
        """Whether nothing is known so far but what collects signals of other resources."""
        ...

    def add(self, value: object) -> None:
        """Add an id or a bare name; whatever means nothing is left out."""
        ...

    def add_known(self, resource: Resource) -> None:
        """Add a resource whose name and type are known apart from its id."""
        ...

    def add_all(self, values: object) -> None:
        """Add the items of an array, or the one value given instead of an array."""
        ...

    def alias(self, value: object) -> None:
        """Note a name of a resource that is listed by its id, so that it is not listed again."""
        ...

    def result(self) -> list[Resource]:
        """The resources, each once, the most precise first."""
        ...

    def title_name(self, resource: Resource) -> str:
        """The name of a resource for a title, ``""`` where its name tells people nothing."""
        ...


@dataclass(slots=True)
class SignalBuilder:
    """Collects what a payload says.

    Attributes:
        kind: kind of the signal. received_at: when the payload arrived, with zone. source: as in Signal.
        resources: what is affected.
        untitled: title where there is neither heading nor rule.
        key: finished key, ``""`` until identity is settled.
        state, severity, rule, rule_id, fired_at, resolved_at, condition: as in Signal.
        event_at: the event's own time, for updates.
        orders_at: when the event happened, where that is neither its firing nor its end as people are shown them.
        opens: None means by state: fired opens a ticket, nothing else does.
        heading: title of the event itself; without one the title is made of rule and resource.
        prose: texts of rule and event, in the order in which the description has them; the condition follows them.
        pairs: every dimension as sent, for keys.
        origin: id of the thing at its source, see Signal.
        api_link: address of the query API, never shown: its host tells which cloud an alert belongs to.
        test: the source says, or shows by the names it uses, that this is a test.
        rows, rows_from, series: as in Signal.
    """

    kind: str
    received_at: datetime
    source: str
    resources: AffectedResources
    untitled: str = "Signal"
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
    rows: Rows | None = None
    rows_from: str = ""
    series: str = ""

    def warn(self, sentence: str) -> None:
        """Note what is odd about the payload, once."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def detail(self, name: str, value: object) -> None:
        """Set a detail unless it is set already or ``value`` means nothing. Names: DETAILS of the source."""
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
        if len(found) > LONGEST_LINK or len(found := web_link(found)) > LONGEST_LINK:
            self.warn(f"The {name} link is longer than {LONGEST_LINK} characters and was left out.")
        elif found:
            self.links[name] = found
        else:
            self.warn(f"The {name} link is no web address and was left out.")

    def finish(self) -> Signal:
        """The signal. Raises ValueError if no key was set."""
        resources = self.resources.result()
        if self.resources.warning:
            self.warn(self.resources.warning)
        prose = dict.fromkeys(filter(None, self.prose))
        if self.test:
            self.details["is_test"] = "true"
            prose = {_TEST: None, **prose}
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
                description="\n\n".join([*prose, self.condition]).strip(),
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
                unlisted=(UNKNOWN_PLACE,) if self.resources.incomplete else (),
                rows=self.rows,
                rows_from=self.rows_from,
                series=self.series,
            )
        )

    def _occurred_at(self) -> datetime:
        given_time = self._time_of_event()
        found = bounded(given_time, self.received_at)
        if found != given_time:
            self.warn("The payload's time lies in the future; the time of its receipt counts.")
        return found

    def _time_of_event(self) -> datetime:
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
        title = self._plain_title(resources)
        marked = not self.test or title.lower().startswith(_MARKED_TESTS)
        return title if marked else f"[Test] {title}"

    def _plain_title(self, resources: list[Resource]) -> str:
        where = self.resources.title_name(resources[0]) if resources and self.kind != "budget" else ""
        if self.heading:
            what = line(self.heading)
            if where.lower() in what.lower():
                return what
        else:
            what = line(self.rule) or self.untitled
        return f"{what} on {where}" if where else what


def label(name: str) -> str:
    """The name of an entry in one line."""
    return name if name.isalnum() else line(clean(name)) or "(no name)"


#: Bytes of a signal as JSON, measured with every non-ASCII character escaped: the worst that any encoder makes of it.
LARGEST = 40_000

TITLE = 255
DESCRIPTION = 8_000
CONDITION = 2_000
VALUE = 2_000
QUERY = 4_000
NAME = 200
RULE = 512
RULE_ID = 1_024
RESOURCES = 50
PLACES = 20
ENTRIES = 100
WARNINGS = 20
WARNING = 200
_LAST_WARNINGS = 3

#: Steps of shrinking: share of the limits that maps and resources, and prose, may use.
_STEPS = ((1, 1), (2, 1), (4, 1), (4, 2), (8, 2), (16, 4), (32, 8), (64, 16))

#: Details that are long by nature, with their own limit.
_LONG = {"search_query": QUERY, "remediation_steps": QUERY, "communication": QUERY, "result_rows": QUERY}

#: Up to this many characters a signal fits even if each is escaped as six bytes. The key and the second copy of the
#: condition are not counted; they are bounded themselves, and so are the names of details.
_SURELY_FITS = 3_500


def fit(signal: Signal) -> Signal:
    """The signal within its bounds, with a warning for each part that was cut. Most signals come back as they are."""
    return signal if _surely_fits(signal) else _shrink(signal)


def _surely_fits(signal: Signal) -> bool:
    """A cheap check for small signals. False for some that fit."""
    size = len(signal.title) + len(signal.description) + len(signal.rule or "") + len(signal.rule_id or "")
    size += sum(map(len, signal.details.values())) + sum(map(len, signal.links.values()))
    size += sum(map(len, signal.warnings))
    for resource in signal.resources:
        for part in (resource.id, resource.name, resource.type, resource.resource_group, resource.subscription_id):
            size += len(part) if part else 0
    for entries in (signal.dimensions, signal.custom_properties, signal.tags):
        if entries:
            size += sum(map(len, entries)) + sum(map(len, entries.values()))
            if len(entries) > ENTRIES or max(map(len, entries)) > NAME:
                return False
    if size > VALUE and any(len(value) > VALUE for entries in _maps(signal) for value in entries.values()):
        return False
    return (
        size < _SURELY_FITS
        and len(signal.title) <= TITLE
        and len(signal.condition) <= CONDITION
        and len(signal.rule or "") <= RULE
        and len(signal.rule_id or "") <= RULE_ID
        and len(signal.resources) <= RESOURCES
        and len(signal.warnings) <= WARNINGS
    )


def _maps(signal: Signal) -> tuple[Mapping[str, str], ...]:
    return (signal.details, signal.dimensions, signal.custom_properties, signal.tags)


def _shrink(signal: Signal) -> Signal:
    smaller = signal
    for maps, prose in _STEPS:
        smaller = _bounded(signal, maps, prose)
        if _size(smaller) <= LARGEST:
            return smaller
    left_out = "The links were left out: the alert is too large with them."
    without = replace(smaller, links={}, warnings=(*smaller.warnings, left_out))
    if _size(without) <= LARGEST:
        return without
    # what is left is made of the longest texts in everything that a signal has one of
    shorter = (*smaller.warnings[:_LAST_WARNINGS], left_out)
    return replace(without, warnings=shorter, details={}, origin="", rule_id=None)


def _size(signal: Signal) -> int:
    """Bytes as JSON, without rows and their query: they have bounds of their own, and may go to a blob."""
    return len(json.dumps(to_dict(replace(signal, rows=None, rows_from=""))))


def _bounded(signal: Signal, maps: int, prose: int) -> Signal:
    warnings = [cut(warning, WARNING) for warning in signal.warnings[:WARNINGS]]
    resources = tuple(map(_bounded_resource, signal.resources[: max(RESOURCES // maps, 1)]))
    unlisted = _unlisted(signal, len(resources))
    if len(resources) < len(signal.resources):
        warnings.append(f"Only the first {len(resources)} resources are listed.")
    condition = cut(signal.condition, CONDITION // prose)
    description = _bounded_description(signal, condition, DESCRIPTION // prose)
    if len(condition) < len(signal.condition):
        warnings.append("The condition was cut.")
    if len(description) < len(signal.description) - (len(signal.condition) - len(condition)):
        warnings.append("The description was cut.")
    return replace(
        signal,
        title=cut(signal.title, TITLE),
        rule=cut(signal.rule, RULE) if signal.rule else None,
        rule_id=cut(signal.rule_id, RULE_ID) if signal.rule_id else None,
        condition=condition,
        description=description,
        resources=resources,
        dimensions=_bounded_entries("dimensions", signal.dimensions, maps, warnings),
        custom_properties=_bounded_entries("custom properties", signal.custom_properties, maps, warnings),
        tags=_bounded_entries("tags", signal.tags, maps, warnings),
        details=_bounded_entries("details", signal.details, maps, warnings),
        warnings=tuple(warnings),
        unlisted=unlisted,
    )


def _bounded_resource(resource: Resource) -> Resource:
    """The resource with bounded fields: of other clouds only the id and the name are bounded when they are read."""
    parts = (resource.name, resource.type, resource.resource_group, resource.subscription_id)
    if all(len(part) <= NAME for part in parts if part):
        return resource
    name, kind, group, subscription = (cut(part, NAME) if part else part for part in parts)
    return replace(resource, name=name, type=kind, resource_group=group, subscription_id=subscription)


def _unlisted(signal: Signal, listed: int) -> tuple[str, ...]:
    """Where the resources are that are not among the first ``listed`` ones; see Signal."""
    if listed >= len(signal.resources):
        return signal.unlisted
    places = dict.fromkeys(signal.unlisted)
    for resource in signal.resources[listed:]:
        if resource.id or resource.resource_group:
            places[f"{resource.subscription_id or ''}/{resource.resource_group or ''}"] = None
    if len(places) > PLACES or any(len(place) > NAME for place in places):
        return (UNKNOWN_PLACE,)
    return tuple(places)


def _bounded_description(signal: Signal, condition: str, limit: int) -> str:
    """The description, cut before its last sentence: the condition says most in the fewest words."""
    if signal.condition and signal.description.endswith(signal.condition):
        prose = signal.description[: -len(signal.condition)].rstrip()
        prose = cut(prose, limit - len(condition) - 2)
        return f"{prose}\n\n{condition}" if prose else condition
    return cut(signal.description, limit)


def _bounded_entries(what: str, entries: Mapping[str, str], share: int, warnings: list[str]) -> dict[str, str]:
    bounded: dict[str, str] = {}
    shortened = 0
    most = ENTRIES if what == "details" else max(ENTRIES // share, 1)  # there are only so many details
    for name, value in entries.items():
        if len(bounded) >= most:
            break
        shorter = cut(value, _LONG.get(name, VALUE) // share)
        shortened += len(shorter) < len(value) or len(name) > NAME
        bounded.setdefault(cut(name, NAME), shorter)
    if shortened:
        warnings.append(f"Some of the {what} ({shortened}) were cut.")
    if len(bounded) < len(entries):
        warnings.append(f"Only the first {len(bounded)} {what} are kept.")
    return bounded
