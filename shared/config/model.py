"""The model of bridge.yaml. Its attribute docstrings are the reference: they go into the JSON Schema and docs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag, create_model, model_validator

from shared.config.access import AcceptOnly, SecureWebhook
from shared.config.connection import ConnectionSettings
from shared.config.resync import ResyncSettings
from shared.config.storms import (
    FlappingSettings,
    GroupSettings,
    MaintenanceSettings,
    OnlyAfterSettings,
    OpenAfterSettings,
    ThrottleSettings,
)
from shared.core.conditions import When
from shared.core.field_values import FieldValue, Name
from shared.core.plugins import Registry
from shared.core.settings import Duration, SettingsModel
from shared.core.ticket_system import TicketKind

AnySection = TypeVar("AnySection", bound=BaseModel)


#: Whether something is done, or only rehearsed.
Mode = Literal["live", "dry_run"]


class Levels(SettingsModel):
    """What one severity becomes."""

    impact: Annotated[int, Field(ge=1, le=3)]
    """1 high, 2 medium, 3 low."""
    urgency: Annotated[int, Field(ge=1, le=3)]
    """1 high, 2 medium, 3 low. Ticket systems compute the priority of incidents and problems from both."""
    event: Annotated[int | None, Field(ge=0, le=5)] = None
    """Severity of an event (ticket kind ``event``): 1 critical, 2 major, 3 minor, 4 warning, 5 info, 0 clear."""


class SeverityTable(SettingsModel):
    """Severity to impact and urgency."""

    sev0: Levels = Levels(impact=1, urgency=1, event=1)
    sev1: Levels = Levels(impact=2, urgency=1, event=2)
    sev2: Levels = Levels(impact=2, urgency=2, event=4)
    sev3: Levels = Levels(impact=3, urgency=2, event=4)
    sev4: Levels = Levels(impact=3, urgency=3, event=5)
    unknown: Levels = Levels(impact=3, urgency=2, event=4)
    """For signals without a severity: budgets, and payloads that lost theirs on the way."""


class SeverityOverrides(SettingsModel):
    """Lines of the severity table that a route changes."""

    sev0: Levels | None = None
    sev1: Levels | None = None
    sev2: Levels | None = None
    sev3: Levels | None = None
    sev4: Levels | None = None
    unknown: Levels | None = None


class ResolveSettings(SettingsModel):
    """What a Resolved does to the ticket."""

    action: Literal["resolve", "comment", "nothing"] = "resolve"
    """``resolve`` with code and notes; ``comment``: a work note only, people resolve; ``nothing``."""
    fields: dict[str, FieldValue] = Field(default_factory=dict)
    """Fields written when resolving, templates allowed. What is not named here keeps the default of the ticket kind
    (incident: state 6, close_code "Solution provided", and notes that say when the alert ended)."""


class LookupFile(SettingsModel):
    """A table in a file beside bridge.yaml that is deployed with it: CSV with a line of column names, or JSON. See
    docs/owners.md."""

    file: Annotated[str, Field(min_length=1, max_length=200)]
    """Path from the folder of bridge.yaml, within that folder: ``owners.csv`` or ``owners.json``."""
    key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Column with the keys. Left out: the file is one JSON object of keys and values."""
    value: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Column with the values. Left out: the file is one JSON object of keys and values."""

    @model_validator(mode="after")
    def _both_columns(self) -> Self:
        if (self.key is None) != (self.value is None):
            raise ValueError("'key' and 'value' belong together. Fix: name both columns")
        if self.key is None and not self.file.lower().endswith(".json"):
            raise ValueError("a CSV file needs 'key' and 'value', the names of its columns. Fix: add them")
        return self


def _kind_of_table(value: Any) -> str:
    """A section with a ``file`` is a table in that file. The names of the kinds are no possible keys of a file's
    section, so that they are not taken for one in the place of a mistake."""
    in_a_file = isinstance(value, LookupFile) or (isinstance(value, Mapping) and "file" in value)
    return "(in a file)" if in_a_file else "(entries)"


#: A table that stands in bridge.yaml, or in a file of its own.
LookupTableSettings = Annotated[
    Annotated[LookupFile, Tag("(in a file)")] | Annotated[dict[str, str], Tag("(entries)")],
    Discriminator(_kind_of_table),
]


class RouteBody(SettingsModel):
    """Where a signal goes and what it becomes."""

    connection: Name = ""
    """Name of a connection. Required, except where ``ticket`` is ``none``."""
    ticket: TicketKind | Literal["none"] = TicketKind.INCIDENT
    """Kind of ticket: incident, change_request, problem or event. ``none``: signals that get here make no ticket and
    reopen none; they are counted, logged with the route, and listed (decision ``no_ticket``). A ticket that is open
    already gets its updates and its end."""
    template: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Name of a template of the ticket system, for incidents and problems. Its values replace the defaults of impact
    and urgency and add fields; ``fields`` and what the alert says (title, text, configuration item) go before them. A
    template that is not found costs its values, with a warning, and not the ticket. Left out: none."""
    fields: dict[str, FieldValue] = Field(default_factory=dict)
    """Ticket fields: constants, templates such as ``{{ signal.title }}``, or look-ups. They are added to the defaults
    of the ticket kind; ``null`` removes a default."""
    severity: SeverityOverrides = SeverityOverrides()
    """Lines of the severity table that differ for this route."""
    resolve: ResolveSettings = ResolveSettings()
    """What a Resolved does."""
    updates: Literal["comment", "nothing"] = "comment"
    """What an update, or another firing while the ticket is open, does: a work note, or nothing."""
    reopen_window: Duration | None = None
    """How long after its end a problem that fires again reopens its ticket instead of opening a new one.
    Left out: ``delivery.reopen_window``."""
    group: GroupSettings | None = None
    """One ticket for many alerts. Left out: each alert has its own."""
    only_after: OnlyAfterSettings | None = None
    """A ticket only for problems that last or repeat. Left out: at once."""
    open_after: OpenAfterSettings | None = None
    """One ticket once several alerts fired within a time, and none before. Left out: at once."""
    flapping: FlappingSettings | None = None
    """Hold the ticket of a problem that comes and goes open. Left out: every Resolved resolves."""
    close_after_quiet: Duration | None = None
    """For signals that send no Resolved (activity log, budgets, stateless rules): the ticket is resolved when nothing
    was heard of the problem for this long. Left out: only a Resolved resolves."""
    close_when_healthy: Annotated[Duration, Field(ge=timedelta(minutes=1))] | None = None
    """The same for resources whose health is the point (Resource Health, outages): Resource Health is asked this often
    whether the affected resources are available again, and then the ticket is resolved. Left out: it is not asked."""

    mode: Mode = "live"
    """``dry_run``: its signals are decided, rendered and logged, and nothing is written outside; docs/dry-run.md."""
    disabled: bool = False
    """True: it takes no new signals; the next route that matches takes them. Its tickets keep its closing fields."""

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if not (self.connection or self.ticket == "none"):
            raise ValueError("a route needs a 'connection', or 'ticket: none'")
        return self

    @model_validator(mode="after")
    def _counts_once(self) -> Self:
        for name in ("group", "only_after"):
            if self.open_after is not None and getattr(self, name) is not None:
                raise ValueError(f"'open_after' counts and shares a ticket by itself. Fix: take '{name}' or it out")
        return self


class RouteSettings(RouteBody):
    """A route with conditions. The first route that matches wins."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    """Shown in previews, logs and the ticket list."""
    when: When
    """Conditions; at least one."""


class DeliverySettings(SettingsModel):
    """How delivery behaves. The defaults suit most."""

    retry_for: Duration = timedelta(days=7)
    """How long a signal is tried again while the ticket system is unavailable; then it becomes a dead letter."""
    first_retry: Duration = timedelta(seconds=5)
    """Delay before the first retry; it doubles each time, with jitter."""
    longest_retry: Duration = timedelta(minutes=30)
    """The delay grows no further than this. A longer Retry-After of the ticket system is obeyed all the same."""
    reopen_window: Duration = timedelta(hours=24)
    """How long after its end a problem that fires again reopens its ticket."""
    recheck_after: Duration | None = None
    """A ticket that the bridge has not heard of for this long is read before it is written, because people may
    have resolved or closed it: one more call. ``0s``: read always. A longer time saves calls; a resolution that a
    person wrote within it is overwritten. Left out: always before a resolve, after a minute before a note."""
    missing_after: Duration = timedelta(minutes=5)
    """How long a ticket must not be seen, while other tickets of its connection are, until the bridge believes that it
    was deleted. Twelve times as long where there are no others or most of them are hidden too, and 288 times where all
    are."""
    lease: Duration = timedelta(minutes=5)
    """How long one worker may hold a key. Must be longer than the longest call to a ticket system."""


class BridgeConfig(SettingsModel):
    """The whole file."""

    version: Literal[1]
    """Version of this format: 1."""
    mode: Mode = "live"
    """``dry_run``: everything is decided, rendered and logged, and nothing is written outside: no ticket, no state of
    an alert, no assignment, no state of a control. ``bridge.py report`` shows what would have become of the signals;
    see docs/dry-run.md."""
    connections: Annotated[dict[Name, ConnectionSettings], Field(min_length=1)]
    """Ticket system instances by name."""
    severity: SeverityTable = SeverityTable()
    """Severity to impact and urgency."""
    lookups: dict[Name, LookupTableSettings] = Field(default_factory=dict)
    """Tables for look-ups: key to value, or a ``file`` beside this one. Keys compare without case; ``*`` and ``?`` make
    a key a pattern. An exact key is preferred to patterns; of these the first that matches is used."""
    routes: list[RouteSettings] = Field(default_factory=list)
    """Tried in order; the first that matches wins."""
    default: RouteBody | None = None
    """For signals that no route matches. Left out: such signals are logged and make no ticket."""
    throttles: list[ThrottleSettings] = Field(default_factory=list)
    """Most new tickets in a period; what comes on top is counted and listed in one summary ticket."""
    maintenance: list[MaintenanceSettings] = Field(default_factory=list)
    """Windows in which no new ticket is opened. What still fires at their end gets its ticket then."""
    delivery: DeliverySettings = DeliverySettings()
    """Retries, windows and leases."""
    secure_webhook: SecureWebhook | None = None
    """Action Groups that sign in with Microsoft Entra. Left out: only function keys let callers in."""
    accept_only: AcceptOnly | None = None
    """What may become a ticket at all. Left out: everything."""
    resync: ResyncSettings = ResyncSettings()
    """Reads the changes that people make to tickets, and pushes them to the sources."""

    @property
    def tables(self) -> dict[str, Mapping[str, str]]:
        """The tables of ``lookups``. Those of files are there once the file was loaded (``shared.config.load``)."""
        return {name: table for name, table in self.lookups.items() if isinstance(table, dict)}

    def section(self, path: str, model: type[AnySection]) -> AnySection | None:
        """A section that a source owns, None where the file has none.

        Args:
            path: its name, or ``resync.alerts`` for one inside another.
            model: its model.
        """
        value: object = self
        for name in path.split("."):
            value = getattr(value, name, None)
        return value if isinstance(value, model) else None


@lru_cache(maxsize=8)
def config_model(registry: Registry) -> type[BridgeConfig]:
    """The model of the whole file: the engine's sections, those of sources, and the connections of ticket systems."""
    models = tuple(plugin.settings for plugin in registry.ticket_systems.values())
    either: Any = reduce(or_, models)
    one: Any = Annotated[either, Field(discriminator="type")] if len(models) > 1 else either
    fields: dict[str, Any] = {"connections": _described("connections", Annotated[dict[Name, one], Field(min_length=1)])}
    inner: dict[str, dict[str, Any]] = {}
    for section in registry.sections:
        parent, _, name = section.path.rpartition(".")
        into = inner.setdefault(parent, {}) if parent else fields
        into[name] = (section.model | None, Field(default=None, description=section.description))
    for parent, sections in inner.items():
        base: Any = BridgeConfig.model_fields[parent].annotation
        extended = create_model(base.__name__, __base__=base, __doc__=base.__doc__, __module__=__name__, **sections)
        fields[parent] = _described(parent, extended, extended())
    return create_model(
        "BridgeConfig", __base__=BridgeConfig, __doc__=BridgeConfig.__doc__, __module__=__name__, **fields
    )


def _described(name: str, annotation: Any, default: Any = ...) -> tuple[Any, Any]:
    """A field of the engine's model with another type and the same description."""
    return annotation, Field(default=default, description=BridgeConfig.model_fields[name].description)
