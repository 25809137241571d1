"""The contracts that a folder under ``connectors/`` can fulfil, and the registry of those that do.

A **ticket system** is where tickets are made, a **source** where signals come from, a **destination** where the export
goes. Each says in its ``plugin.py`` what it offers. ``app/registry.py`` is the one file that names the folders.

This module is on the path of a webhook's cold start: it imports no SDK and no pydantic, and plug-ins import what costs
time inside the functions given here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from shared.core.payload_schema import no_foreign_reason

if TYPE_CHECKING:
    from shared.core.connection_services import ConnectionServices
    from shared.core.export import LogDestination
    from shared.core.fields import FieldMap
    from shared.core.http import Handler
    from shared.core.jobs import JobRun
    from shared.core.payload_schema import ForeignReason, PayloadSchema
    from shared.core.signal import Signal
    from shared.core.ticket_system import CheckLine, TicketKind, TicketSystem

#: A place in bridge.yaml: names and positions, from the top.
ConfigPath = tuple[str | int, ...]

#: A mistake in bridge.yaml: where it is, and one sentence that names the fix.
Mistake = tuple[ConfigPath, str]


def _no_closing_mistakes(_settings: Any, _kind: TicketKind, _fields: Mapping[str, Any]) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class TicketSystemPlugin:
    """What a ticket system offers.

    Attributes:
        name: the value of ``type`` in ``connections``.
        title: what people call it.
        settings: pydantic model of a connection; its field ``type`` is the literal ``name``. See
            ``shared.config.connection.ConnectionSettings``.
        fields: its fields by role.
        working_states: per kind, stored values of the states in which people work on a ticket.
        closing_mistakes: fields written when resolving that contradict the connection, each with a sentence that names
            the fix; takes settings, kind of ticket, and fields by name.
        open: makes the ticket system of a connection from its name, its settings and what the engine gives it.
    """

    name: str
    title: str
    settings: type[Any]
    fields: FieldMap
    open: Callable[[str, Any, ConnectionServices], TicketSystem]
    working_states: Mapping[TicketKind, frozenset[str]] = field(default_factory=dict)
    closing_mistakes: Callable[[Any, TicketKind, Mapping[str, Any]], Mapping[str, str]] = _no_closing_mistakes


@dataclass(frozen=True, slots=True)
class SourceWords:
    """How texts for people speak of a source and its signals.

    Attributes:
        name: of the source, e.g. ``Azure``. product: its full name, e.g. ``Azure Monitor``.
        thing: what it reports: alert, finding. again: what happens when it reports one more time, e.g. ``fired again``.
    """

    name: str
    product: str
    thing: str = "finding"
    again: str = "was reported again"


@dataclass(frozen=True, slots=True)
class Trap:
    """A way to set something up that leads to double, poor or missing tickets.

    Attributes:
        code: stable name of its sort.
        about: the rule or throttle. text: one sentence without its full stop. fix: what to do.
    """

    code: str
    about: str
    text: str
    fix: str


@dataclass(frozen=True, slots=True)
class DetailNames:
    """Names that ``Signal.details`` of a source may hold, so that a condition on another one is found.

    Attributes:
        names: all of them; empty: not checked.
        only_of: those that no signals but those of these kinds have.
        begins: beginnings of names that people choose.
        free: people choose every name. A condition that other sources' signals may fulfil too has to use their names.
    """

    names: frozenset[str] = frozenset()
    only_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    begins: tuple[str, ...] = ()
    free: bool = False


@dataclass(frozen=True, slots=True)
class ConfigView:
    """What the check of a section sees: the raw file, because the model may not have come about.

    Attributes:
        data: the file's content with settings filled in.
        config: the validated configuration, None while it has mistakes.
        fields: the fields of each connection that names a known ticket system.
        states: names and stored values of states of all connections, lower case, with how they are shown.
        kinds: the kinds of signals of each source; empty for a source that does not list them.
        check_fields: finds mistakes in templates, look-ups and computed columns of ticket fields: place, fields, the
            connection's name, kind of ticket.
        check_closing: finds fields written when resolving that contradict the connection: the same arguments.
        check_template: finds mistakes in a template of its own: place, text, and its values: name to attributes.
        check_when: finds conditions on signals that can never hold: place, section.
        check_patterns: finds patterns that no known word matches: place, patterns, known words, what they name.
        suggest_value: the fix for an unknown value: what was given, what is known, and what else helps.
    """

    data: Mapping[str, Any]
    config: Any
    fields: Mapping[str, FieldMap]
    states: Mapping[str, str]
    kinds: Mapping[str, tuple[str, ...]]
    check_fields: Callable[[ConfigPath, Any, Any, Any], list[Mistake]]
    check_closing: Callable[[ConfigPath, Any, Any, Any], list[Mistake]]
    check_template: Callable[[ConfigPath, Any, Mapping[str, frozenset[str]]], list[Mistake]]
    check_when: Callable[[ConfigPath, Any], list[Mistake]]
    check_patterns: Callable[[ConfigPath, Any, Sequence[str], str], list[Mistake]]
    suggest_value: Callable[[str, list[str], str], str]

    def connection_mistakes(self, path: ConfigPath, wanted: Any) -> list[Mistake]:
        """A mistake when a section names a connection that does not exist."""
        connections = self.data.get("connections")
        if not isinstance(connections, Mapping) or not isinstance(wanted, str) or wanted in connections:
            return []
        fix = self.suggest_value(wanted, sorted(map(str, connections)), "add it under connections")
        return [(path, f"there is no connection '{wanted}'.{fix}")]


def _no_mistakes(_view: ConfigView) -> list[Mistake]:
    return []


@dataclass(frozen=True, slots=True)
class Section:
    """A section of bridge.yaml that a source owns.

    Attributes:
        path: its name, or ``resync.alerts`` for one inside another.
        model: pydantic model.
        description: for the reference and the schema.
        check: mistakes that no single value shows.
        warn: what has no effect, for example a rule that an earlier one makes unreachable.
        makes_tickets: whether the section alone can make a ticket, so that a file without routes makes sense.
        reserved: beginning of route names that the section makes itself; empty for none.
    """

    path: str
    model: type[Any]
    description: str
    check: Callable[[ConfigView], list[Mistake]] = _no_mistakes
    warn: Callable[[ConfigView], list[Mistake]] = _no_mistakes
    makes_tickets: Callable[[Any], bool] = lambda _data: False
    reserved: str = ""


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """An HTTP endpoint: the function's name, its route below ``/api/``, its methods, and whether it writes outside."""

    name: str
    route: str
    methods: tuple[str, ...] = ("POST",)
    acts: bool = True


@dataclass(frozen=True, slots=True)
class Intake:
    """A webhook that takes signals of its source in.

    Attributes:
        name: of the function. route: below ``/api/``.
        token: callers show an Entra token (section ``secure_webhook``) instead of a function key.
    """

    name: str
    route: str
    token: bool = False


@dataclass(frozen=True, slots=True)
class EventHubIntake:
    """An Event Hub whose messages are signals, where an application setting names it.

    Attributes:
        name: of the function.
        hub: setting with the name of the Event Hub; empty or missing: there is none.
        connection: setting (or prefix of settings) of the connection.
        consumer_group: setting with the consumer group.
    """

    name: str
    hub: str
    connection: str
    consumer_group: str


@dataclass(frozen=True, slots=True)
class Job:
    """Work that a timer does, and that people may run by hand.

    Attributes:
        name: of the function.
        schedule: NCRONTAB, UTC.
        does: what it does, for people: begins with a verb.
        needs: what bridge.yaml must have, or it does nothing; empty for work that is always done.
    """

    name: str
    schedule: str
    does: str
    needs: str = ""


#: The work of a job; it fills the run.
JobWork: TypeAlias = "Callable[[JobRun], Awaitable[object]]"


@dataclass(frozen=True, slots=True)
class SectionCheck:
    """What the check of one section of bridge.yaml found."""

    name: str
    lines: tuple[CheckLine, ...]


@dataclass(frozen=True, slots=True)
class Previewed:
    """A signal as its source would change it before it is routed.

    Attributes:
        signal: as it would be routed.
        reason: why it was changed; empty when it was not.
        shown: what a preview shows of that, beside the ticket.
    """

    signal: Signal
    reason: str = ""
    shown: Mapping[str, Any] = field(default_factory=dict)


class Source:
    """A source while the app runs. Every member may stay as it is here."""

    def stages(self) -> Sequence[Any]:
        """Stages of delivery that its signals pass before the others. See ``shared.delivery.stages``."""
        return ()

    def write_back(self) -> Any:
        """Who pushes the states of its tickets back, None for nobody. See ``shared.delivery.write_back``."""
        return None

    def push_handlers(self) -> Mapping[str, Callable[[str], Awaitable[str]]]:
        """Who pushes what is no link, by the kind of its key (what stands before the first colon)."""
        return {}

    def jobs(self) -> Mapping[str, JobWork]:
        """The work of each timer, by the names of ``SourcePlugin.jobs``. A job fills its ``JobRun``, and writes nothing
        where that is a dry run."""
        return {}

    def handlers(self) -> Mapping[str, Handler]:
        """Who answers each endpoint, by the names of ``SourcePlugin.endpoints``."""
        return {}

    def preview(self, signal: Signal) -> Previewed:
        """The signal as the source's own rules would change it now."""
        return Previewed(signal)

    def owners(self, connection: str) -> frozenset[str]:
        """People or groups of a connection whom its configuration names as owners of work."""
        del connection
        return frozenset()

    def row_reader(self) -> Any:
        """Who reads the rows of its signals that their payloads do not bring, None for nobody. See
        ``shared.delivery.rows.RowReader``."""
        return None

    def tag_reader(self) -> Any:
        """Who reads the tags of its cloud's resources, for signals of all sources; None for nobody. See
        ``shared.delivery.tags.TagReader``."""
        return None

    async def is_healthy(self, signal: Signal) -> bool | None:
        """Whether the resources of a signal are healthy; None when this source cannot tell."""
        del signal
        return None

    async def check(self, most: timedelta) -> list[SectionCheck]:
        """Test what the configuration asks of the source: sign-in, rights, what can be seen. Changes nothing.

        Args:
            most: time for each thing that is tested, for example a subscription.
        """
        del most
        return []

    async def aclose(self) -> None:
        """Close connections."""


def _nothing() -> tuple[Any, ...]:
    return ()


def _unlisted_details() -> DetailNames:
    return DetailNames()


def _no_traps(_signal: Signal) -> tuple[Trap, ...]:
    return ()


def _no_layouts() -> Mapping[str, Any]:
    return {}


def _no_routes(_config: Any) -> None:
    return None


def _plain_source(_engine: Any) -> Source:
    return Source()


@dataclass(frozen=True, slots=True)
class SourcePlugin:
    """What a source offers. Every member but the first two may be left out.

    Attributes:
        name: ``Signal.source`` of its signals.
        words: how texts speak of it.
        kinds: every ``Signal.kind`` of its signals, so that a condition on another one is found; empty: not checked.
        details: the names of details that its signals may have.
        schemas: the payloads that it can read, in the order in which they are tried.
        sections: its sections of bridge.yaml.
        traps: what a signal shows of a rule or an action that is set up badly.
        layouts: how the long text of a ticket presents each kind of its signals: kind to ``Layout``.
        routes: routes that it makes from its sections; takes the configuration. See ``shared.mapping.source_routes``.
        intakes, event_hubs, endpoints, jobs: triggers of the Functions app.
        open: makes the source from the engine. See ``app.container``.
    """

    name: str
    words: SourceWords
    kinds: tuple[str, ...] = ()
    details: Callable[[], DetailNames] = _unlisted_details
    schemas: tuple[PayloadSchema, ...] = ()
    sections: Callable[[], tuple[Section, ...]] = _nothing
    traps: Callable[[Signal], tuple[Trap, ...]] = _no_traps
    layouts: Callable[[], Mapping[str, Any]] = _no_layouts
    routes: Callable[[Any], Any] = _no_routes
    intakes: tuple[Intake, ...] = ()
    event_hubs: tuple[EventHubIntake, ...] = ()
    endpoints: tuple[HttpEndpoint, ...] = ()
    jobs: tuple[Job, ...] = ()
    open: Callable[[Any], Source] = _plain_source


@dataclass(frozen=True, slots=True)
class DestinationPlugin:
    """Where the export of tickets and of the bridge's own log goes.

    Attributes:
        name: of the destination. title: what people call it. sections: its sections of bridge.yaml.
        open: makes the destination from the engine; None where the configuration has none.
    """

    name: str
    title: str
    sections: Callable[[], tuple[Section, ...]]
    open: Callable[[Any], LogDestination | None]


@dataclass(frozen=True, eq=False)
class Registry:
    """The plug-ins of an app. Sources are imported with it; ticket systems when they are first asked for.

    Attributes:
        sources: in the order in which their payloads are tried.
        destinations: of the export.
        ticket_system_modules: modules with a ``PLUGIN``.
        more_ticket_systems: plug-ins that are no module: those of tests.
        foreign: why a payload that no source can read is not taken, where it is known what it is.
    """

    sources: tuple[SourcePlugin, ...]
    ticket_system_modules: tuple[str, ...] = ()
    more_ticket_systems: tuple[TicketSystemPlugin, ...] = field(default=())
    foreign: ForeignReason = no_foreign_reason
    destinations: tuple[DestinationPlugin, ...] = ()

    @cached_property
    def ticket_systems(self) -> Mapping[str, TicketSystemPlugin]:
        """Ticket systems by name."""
        found: list[TicketSystemPlugin] = [import_module(name).PLUGIN for name in self.ticket_system_modules]
        return {plugin.name: plugin for plugin in (*found, *self.more_ticket_systems)}

    @cached_property
    def acting_endpoints(self) -> frozenset[str]:
        """Names of endpoints of sources that write outside."""
        return frozenset(one.name for source in self.sources for one in source.endpoints if one.acts)

    @cached_property
    def schemas(self) -> tuple[PayloadSchema, ...]:
        """All payloads that can be read, in the order in which they are tried."""
        return tuple(schema for source in self.sources for schema in source.schemas)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """All sections of sources and destinations."""
        found = [plugin.sections for plugin in self.sources] + [plugin.sections for plugin in self.destinations]
        return tuple(section for sections in found for section in sections())

    def traps(self, signal: Signal) -> tuple[Trap, ...]:
        """What a signal shows of a rule or an action that is set up badly."""
        return next((one.traps(signal) for one in self.sources if one.name == signal.source), ())

    def words(self, source: str) -> SourceWords:
        """How texts speak of a source; its own name where it is not registered (any more)."""
        return next((one.words for one in self.sources if one.name == source), SourceWords(source, source))
