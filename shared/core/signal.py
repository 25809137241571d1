"""A Signal: one thing noticed, in our own form, whatever cloud service noticed it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.core.times import optional_moment, parse_moment, rfc3339


class SignalState(StrEnum):
    """What a signal says of its problem."""

    FIRED = "fired"
    UPDATED = "updated"
    RESOLVED = "resolved"


#: (time, rank): position of an event among those of its key, as ``Signal.order`` gives it.
Order = tuple[datetime, int]

#: For events of one key that bear the same time: an update cannot precede its firing, nor anything follow its end.
FIRED_RANK = 0
RESOLVED_RANK = 2
#: In ``Signal.unlisted``: there are resources of which nothing is known.
UNKNOWN_PLACE = "?"

_RANK = {SignalState.FIRED: FIRED_RANK, SignalState.UPDATED: 1, SignalState.RESOLVED: RESOLVED_RANK}


#: Types of keys that name one occurrence of a problem: Azure gives a Fired and its Resolved the same id, and the next
#: occurrence another one. Source: "alerts-common-schema" (alertId, eventDataId), security alerts (systemAlertId).
_ONE_OCCURRENCE = ("alert:", "activity:", "security_alert:")


def names_one_occurrence(key: str) -> bool:
    """Whether a key names one occurrence of a problem, not the problem itself."""
    # Some alerts bear the path of their rule in the place of an id of their own.
    return key.startswith(_ONE_OCCURRENCE) and "/" not in key


@dataclass(frozen=True, slots=True)
class Resource:
    """An affected thing. ``id`` is an ARM id as first spelt by the sender, the native id of a resource of another cloud
    that has none, or None when only a name is known. ``name`` of a nested resource has the names of its parents:
    ``stshop/default``. ``own_tags``, ``group_tags`` and ``subscription_tags`` are those of the resource, its resource
    group and its subscription, where delivery has read them."""

    id: str | None
    name: str | None = None
    type: str | None = None
    resource_group: str | None = None
    subscription_id: str | None = None
    own_tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    group_tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    subscription_tags: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def tags(self) -> Mapping[str, str]:
        """One view of all three: a tag of the resource goes before one of its group, and that before one of the
        subscription. Names compare without case, as Azure's do."""
        from shared.core.letter_case import fold_case  # reading a payload does not need it

        found: dict[str, tuple[str, str]] = {}
        for tags in (self.subscription_tags, self.group_tags, self.own_tags):
            found |= {fold_case(name): (name, value) for name, value in tags.items()}
        return dict(found.values())


@dataclass(frozen=True, slots=True)
class Row:
    """One row of :class:`Rows`: a text for each column, and the resource that it names, None for none."""

    values: tuple[str, ...]
    resource: Resource | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a query that a signal is about.

    Attributes:
        columns: names of the columns that are kept.
        rows: the first rows, as many as there is room for.
        total: how many rows there were, at least.
        by: columns that tell rows apart unless the configuration names others; empty when none is known to.
        whole: the signal brings every row that its rule found, so that a row that is missing is over. False for
            signals about single rows.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    total: int
    by: tuple[str, ...] = ()
    whole: bool = True

    @property
    def unread(self) -> int:
        """How many rows there were no room for."""
        return max(self.total - len(self.rows), 0)


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing noticed.

    Attributes:
        source: who noticed: ``azure_monitor``, ``defender``, ``secure_score``, ``manual`` or ``bridge``.
        kind: what sort of thing, e.g. ``metric``, ``log``, ``service_health``, ``recommendation``.
        key: identity across fired and resolved, ``type:version:payload``, never empty, lower case.
        state: fired, updated or resolved, by what the payload really says.
        occurred_at: when this event happened; orders the events of one key. Taken from the receipt when the
            payload has no time.
        severity: 0 (critical) to 4 (verbose), None when the payload does not say.
        title: one line. description: rule's or event's text plus ``condition``. condition: one readable sentence.
        rule: name of the rule. rule_id: its ARM id.
        fired_at, resolved_at: as the payload says, UTC, None when it does not.
        opens: whether this signal may open a ticket when its key has none.
        dimensions, custom_properties, tags, links, details: text by name. ``links`` keys are portal, investigation
            and search. ``details`` are the facts of its kind, for templates.
        via: name of the route to take, for signals that the bridge makes itself: those of a group.
        origin: by what its source knows it, for telling the source what became of its ticket: the ARM id of an alert or
            assessment, ``<tenant>/<control>`` of Secure Score; empty for what cannot be told.
        warnings: what was odd about the payload, one sentence each.
        unlisted: where the resources are that ``resources`` has no room for: ``<subscription>/<resource group>``, each
            once; :data:`UNKNOWN_PLACE` when it is not known of all of them. The allow-list looks at these too.
        rows: the rows of a query that it is about; None when the payload brings none.
        rows_from: by what its source finds the rows that the payload does not bring; empty when it cannot.
        series: identity of what fires again and again under changing keys: the rule with all that tells its signals
            apart; empty where the key itself is that identity.
        part_of: of a signal about one row or resource of another signal: identity of what that one is about.
    """

    source: str
    kind: str
    key: str
    state: SignalState
    occurred_at: datetime
    severity: int | None = None
    title: str = ""
    description: str = ""
    condition: str = ""
    rule: str | None = None
    rule_id: str | None = None
    fired_at: datetime | None = None
    resolved_at: datetime | None = None
    opens: bool = True
    resources: tuple[Resource, ...] = ()
    dimensions: Mapping[str, str] = field(default_factory=dict)
    custom_properties: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    via: str = ""
    origin: str = ""
    warnings: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    rows: Rows | None = None
    rows_from: str = ""
    series: str = ""
    part_of: str = ""

    def __post_init__(self) -> None:
        kind, _, rest = self.key.partition(":")
        version, _, payload = rest.partition(":")
        if not (kind and version.isdigit() and payload.strip()):
            raise ValueError(f"not a key: {self.key!r}")

    @property
    def order(self) -> Order:
        """Position among the events of its key; equal means the same event again."""
        return (self.occurred_at, _RANK[self.state])


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A JSON value that is no signal we know: kept in quarantine with ``reason`` and the ``item`` as received."""

    reason: str
    item: Any


def order_text(order: Order | None) -> str:
    """``2026-01-02T03:04:05.678Z 0``; empty for None."""
    return f"{rfc3339(order[0])} {order[1]}" if order else ""


def parse_order(text: str) -> Order | None:
    """Read what :func:`order_text` wrote. Raises ValueError for anything else."""
    moment, _, rank = text.partition(" ")
    return (parse_moment(moment), int(rank)) if text else None


def read_json_text(text: str | bytes) -> Any:
    """The value of a JSON text; numbers that JSON cannot write again are texts.

    Python's reader takes ``NaN``, ``Infinity`` and ``1e999`` for numbers, and its writer then writes words that no
    other reader takes. .NET's writers send such words for measurements without a value. They stay as sent, as text.

    Raises:
        ValueError: it is no JSON, or has a number of thousands of digits.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=str, parse_float=_finite)


def _finite(digits: str) -> float | str:
    value = float(digits)
    return value if abs(value) < float("inf") else digits


def to_dict(signal: Signal) -> dict[str, Any]:
    """The signal as JSON-ready values: what the queue carries and, less the inner fields, what preview shows."""
    return {
        "source": signal.source,
        "kind": signal.kind,
        "key": signal.key,
        "state": signal.state.value,
        "severity": signal.severity,
        "title": signal.title,
        "description": signal.description,
        "condition": signal.condition,
        "rule": signal.rule,
        "rule_id": signal.rule_id,
        "fired_at": rfc3339(signal.fired_at),
        "resolved_at": rfc3339(signal.resolved_at),
        "occurred_at": rfc3339(signal.occurred_at),
        "opens": signal.opens,
        "resources": [_resource_to_dict(r) for r in signal.resources],
        "dimensions": dict(signal.dimensions),
        "custom_properties": dict(signal.custom_properties),
        "tags": dict(signal.tags),
        "links": dict(signal.links),
        "details": dict(signal.details),
        **({"via": signal.via} if signal.via else {}),
        **({"origin": signal.origin} if signal.origin else {}),
        "warnings": list(signal.warnings),
        **({"unlisted": list(signal.unlisted)} if signal.unlisted else {}),
        **({"rows": _rows_to_dict(signal.rows)} if signal.rows is not None else {}),
        **{name: value for name in ("rows_from", "series", "part_of") if (value := getattr(signal, name))},
    }


_TAGS = ("own_tags", "group_tags", "subscription_tags")


def _resource_to_dict(resource: Resource) -> dict[str, Any]:
    return {
        "id": resource.id,
        "name": resource.name,
        "type": resource.type,
        "resource_group": resource.resource_group,
        "subscription_id": resource.subscription_id,
        **{name: dict(tags) for name in _TAGS if (tags := getattr(resource, name))},
    }


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _rows_to_dict(rows: Rows) -> dict[str, Any]:
    return {
        "columns": list(rows.columns),
        "rows": [list(row.values) for row in rows.rows],
        "resources": [None if row.resource is None else _given(_resource_to_dict(row.resource)) for row in rows.rows],
        "total": rows.total,
        "by": list(rows.by),
        "whole": rows.whole,
    }


def _rows_from_dict(data: Mapping[str, Any]) -> Rows:
    return Rows(
        columns=tuple(data["columns"]),
        rows=tuple(
            Row(tuple(values), None if resource is None else Resource(**{"id": None, **resource}))
            for values, resource in zip(data["rows"], data["resources"], strict=True)
        ),
        total=data["total"],
        by=tuple(data["by"]),
        whole=data["whole"],
    )


def from_dict(data: Mapping[str, Any]) -> Signal:
    """Read back what :func:`to_dict` wrote. Raises KeyError or ValueError for anything else."""

    def moment(name: str) -> datetime | None:
        return optional_moment(data.get(name))

    occurred_at = moment("occurred_at")
    if occurred_at is None:
        raise ValueError("a signal needs occurred_at")
    return Signal(
        source=data["source"],
        kind=data["kind"],
        key=data["key"],
        state=SignalState(data["state"]),
        occurred_at=occurred_at,
        severity=data.get("severity"),
        title=data.get("title", ""),
        description=data.get("description", ""),
        condition=data.get("condition", ""),
        rule=data.get("rule"),
        rule_id=data.get("rule_id"),
        fired_at=moment("fired_at"),
        resolved_at=moment("resolved_at"),
        opens=data.get("opens", True),
        resources=tuple(Resource(**r) for r in data.get("resources", ())),
        dimensions=data.get("dimensions", {}),
        custom_properties=data.get("custom_properties", {}),
        tags=data.get("tags", {}),
        links=data.get("links", {}),
        details=data.get("details", {}),
        via=data.get("via", ""),
        origin=data.get("origin", ""),
        warnings=tuple(data.get("warnings", ())),
        unlisted=tuple(data.get("unlisted", ())),
        rows=_rows_from_dict(data["rows"]) if "rows" in data else None,
        rows_from=data.get("rows_from", ""),
        series=data.get("series", ""),
        part_of=data.get("part_of", ""),
    )
