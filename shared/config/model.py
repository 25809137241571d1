"""The model of bridge.yaml. Its attribute docstrings are the reference: they go into the JSON Schema and docs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from connectors.servicenow.settings import ServiceNowSettings
from shared.config.types import Duration, Model
from shared.tickets import TicketKind

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]

#: One connection. A new ticket system adds its settings model to this union.
Connection = ServiceNowSettings


class Lookup(Model):
    """A value found in one of the tables under ``lookups``."""

    lookup: Name
    """Name of the table."""
    key: str
    """Template that gives the key, for example ``{{ resource.resource_group }}``. Compared without case."""
    default: str | None = None
    """Template for keys that the table does not have. Left out: the field is not set, and a warning says so."""


FieldValue = StrictStr | StrictInt | StrictFloat | StrictBool | Lookup | None

Patterns = StrictStr | list[StrictStr]


class When(Model):
    """Conditions of a route. All given ones must hold; of the patterns of one condition, any.

    Patterns compare whole values without case; ``*`` stands for any text, ``?`` for one character. Conditions on
    resources hold when any affected resource matches.
    """

    source: Patterns | None = None
    """Who noticed, for example ``azure_monitor``."""
    kind: Patterns | None = None
    """What sort of signal: metric, log, activity, service_health, resource_health, prometheus, smart_detection,
    budget, backup, autoscale, other."""
    severity: Literal[0, 1, 2, 3, 4, "unknown"] | list[Literal[0, 1, 2, 3, 4, "unknown"]] | None = None
    """0 (critical) to 4 (verbose), or ``unknown`` for signals that have none."""
    rule: Patterns | None = None
    """Name of the alert rule."""
    title: Patterns | None = None
    """The signal's title."""
    subscription: Patterns | None = None
    """Subscription id of an affected resource."""
    resource_group: Patterns | None = None
    """Resource group of an affected resource."""
    resource_type: Patterns | None = None
    """Type of an affected resource, for example ``microsoft.compute/virtualmachines``."""
    resource: Patterns | None = None
    """Name or id of an affected resource."""
    custom_properties: dict[str, Patterns] | None = None
    """Custom properties of the alert rule or its action: name to pattern."""
    dimensions: dict[str, Patterns] | None = None
    """Dimensions of the alert: name to pattern."""
    tags: dict[str, Patterns] | None = None
    """Tags: name to pattern. Azure Monitor sends no resource tags; looked at are Prometheus labels, the content of a
    dimension or custom property called ``tags``, and then the custom properties themselves."""


class Levels(Model):
    """What one severity becomes."""

    impact: Annotated[int, Field(ge=1, le=3)]
    """1 high, 2 medium, 3 low."""
    urgency: Annotated[int, Field(ge=1, le=3)]
    """1 high, 2 medium, 3 low. ServiceNow computes the priority from both; it is never written."""
    event: Annotated[int | None, Field(ge=0, le=5)] = None
    """Severity of an event (ticket kind ``event``): 1 critical, 2 major, 3 minor, 4 warning, 5 info, 0 clear."""


class SeverityTable(Model):
    """Severity to impact and urgency."""

    sev0: Levels = Levels(impact=1, urgency=1, event=1)
    sev1: Levels = Levels(impact=2, urgency=1, event=2)
    sev2: Levels = Levels(impact=2, urgency=2, event=4)
    sev3: Levels = Levels(impact=3, urgency=2, event=4)
    sev4: Levels = Levels(impact=3, urgency=3, event=5)
    unknown: Levels = Levels(impact=3, urgency=2, event=4)
    """For signals without a severity: budgets, and payloads that lost theirs on the way."""


class SeverityOverrides(Model):
    """Lines of the severity table that a route changes."""

    sev0: Levels | None = None
    sev1: Levels | None = None
    sev2: Levels | None = None
    sev3: Levels | None = None
    sev4: Levels | None = None
    unknown: Levels | None = None


class Resolve(Model):
    """What a Resolved does to the ticket."""

    action: Literal["resolve", "comment", "nothing"] = "resolve"
    """``resolve`` with code and notes; ``comment``: a work note only, people resolve; ``nothing``."""
    fields: dict[str, FieldValue] = Field(default_factory=dict)
    """Fields written when resolving, templates allowed. What is not named here keeps the default of the ticket kind
    (incident: state 6, close_code "Solution provided", and notes that say when the alert ended)."""


class RouteBody(Model):
    """Where a signal goes and what it becomes."""

    connection: Name
    """Name of a connection."""
    ticket: TicketKind = TicketKind.INCIDENT
    """Kind of ticket: incident, change_request, problem or event."""
    fields: dict[str, FieldValue] = Field(default_factory=dict)
    """Ticket fields: constants, templates such as ``{{ signal.title }}``, or look-ups. They are added to the defaults
    of the ticket kind; ``null`` takes a default away."""
    severity: SeverityOverrides = SeverityOverrides()
    """Lines of the severity table that differ for this route."""
    resolve: Resolve = Resolve()
    """What a Resolved does."""
    updates: Literal["comment", "nothing"] = "comment"
    """What an update, or another firing while the ticket is open, does: a work note, or nothing."""
    reopen_window: Duration | None = None
    """How long after its end a problem that fires again reopens its ticket instead of opening a new one.
    Left out: ``delivery.reopen_window``."""


class Route(RouteBody):
    """A route with conditions. The first route that matches wins."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """Shown in previews, logs and the ticket list."""
    when: When
    """Conditions; at least one."""


class Delivery(Model):
    """How delivery behaves. The defaults suit most."""

    retry_for: Duration = timedelta(days=7)
    """How long a signal is tried again while the ticket system is unavailable; then it becomes a dead letter."""
    first_retry: Duration = timedelta(seconds=5)
    """Delay before the first retry; it doubles each time, with jitter."""
    longest_retry: Duration = timedelta(minutes=30)
    """The delay grows no further than this. A longer Retry-After of the ticket system is obeyed all the same."""
    reopen_window: Duration = timedelta(hours=24)
    """How long after its end a problem that fires again reopens its ticket."""
    recheck_after: Duration = timedelta(minutes=10)
    """A ticket that the bridge has not heard of for this long is read before it is written, because people may
    have resolved or closed it: one more call. ``0s``: read always."""
    lease: Duration = timedelta(minutes=5)
    """How long one worker may hold a key. Must be longer than the longest call to a ticket system."""


class BridgeConfig(Model):
    """The whole file."""

    version: Literal[1]
    """Version of this format: 1."""
    connections: Annotated[dict[Name, Connection], Field(min_length=1)]
    """Ticket system instances by name."""
    severity: SeverityTable = SeverityTable()
    """Severity to impact and urgency."""
    lookups: dict[Name, dict[str, str]] = Field(default_factory=dict)
    """Tables for look-ups: key to value."""
    routes: list[Route] = Field(default_factory=list)
    """Tried in order; the first that matches wins."""
    default: RouteBody | None = None
    """For signals that no route matches. Left out: such signals are logged and make no ticket."""
    delivery: Delivery = Delivery()
    """Retries, windows and leases."""
