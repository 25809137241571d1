"""Signal -> route -> ticket fields, by the compiled configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

from shared.config.access import AcceptOnly
from shared.config.model import BridgeConfig, DeliverySettings, Levels, RouteBody, SeverityTable
from shared.config.storms import FlappingSettings, OnlyAfterSettings
from shared.core.field_values import FieldValue
from shared.core.fields import FieldMap, FieldRole
from shared.core.plugins import Registry, SourceWords
from shared.core.signal import Resource, Signal, SignalState
from shared.core.ticket_system import Needs, TicketKind
from shared.mapping.defaults import CLOSING_NOTE, FIELDS
from shared.mapping.field_sources import FieldSource, FieldSources, MappedFields, cut, fill
from shared.mapping.groups import (
    CompiledGroup,
    CompiledOpenAfter,
    CompiledSplit,
    compile_group,
    compile_open_after,
    compile_split,
    compile_throttles,
)
from shared.mapping.layouts import PLAIN, Layout
from shared.mapping.maintenance import ActiveWindow, active, compile_windows
from shared.mapping.routes import Predicate, compile_when
from shared.mapping.source_routes import SourceRoute, SourceRoutes
from shared.mapping.summary import summary
from shared.mapping.tag_use import TagUse, body_uses_tags, fields_use_tags
from shared.mapping.templates import DATE_FORMAT

_NOWHERE = Resource(id=None)


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """A route ready for use.

    ``columns`` are the fields of the connection's ticket system. ``levels`` maps severity (None included) to impact,
    urgency and event severity. ``template`` names a template of the ticket system, ``yielding`` the fields that its
    values replace. ``made_from``, ``reserved_text`` and ``own_fields`` are those of a ``SourceRoute``.
    """

    name: str
    connection: str
    kind: TicketKind
    matches: Predicate | None
    columns: FieldMap
    fields: Mapping[str, FieldSource]
    fallbacks: Mapping[str, FieldSource]
    resolve_action: Literal["resolve", "comment", "nothing"]
    repeated: Mapping[str, FieldSource]
    resolve_fields: Mapping[str, FieldSource]
    resolve_fallbacks: Mapping[str, FieldSource]
    comments: bool
    reopen_window: timedelta
    levels: Mapping[int | None, Levels]
    dry_run: bool = False
    group: CompiledGroup | None = None
    split: CompiledSplit | None = None
    only_after: OnlyAfterSettings | None = None
    open_after: CompiledOpenAfter | None = None
    flapping: FlappingSettings | None = None
    quiet: timedelta | None = None
    healthy: timedelta | None = None
    made_from: object = None
    reserved_text: int = 0
    own_fields: Callable[[Signal], Mapping[str, str]] | None = None
    template: str = ""
    yielding: frozenset[str] = frozenset()

    @property
    def shares_tickets(self) -> bool:
        """Whether several signals may have one ticket."""
        return self.group is not None or self.open_after is not None


@dataclass(frozen=True, slots=True)
class NoTicketRoute:
    """A route whose signals make no ticket (``ticket: none``)."""

    name: str
    matches: Predicate | None


class Mapper:
    """All routes of one configuration, compiled."""

    def __init__(self, config: BridgeConfig, registry: Registry) -> None:
        self._field_sources = FieldSources(config.tables)
        self._config = config
        self._registry = registry
        self._layouts: dict[str, Layout] = {}
        #: Routes that sources make, by the source's name.
        self.source_routes: dict[str, SourceRoutes] = {}
        self._routes = [self._compile_any(route.name, route, compile_when(route.when)) for route in config.routes]
        if config.default is not None:
            self._routes.append(self._compile_any("default", config.default, None))
        self._by_name = {route.name: route for route in self._routes if isinstance(route, CompiledRoute)}
        enabled = {route.name for route in config.routes if not route.disabled}
        enabled |= set() if config.default is None or config.default.disabled else {"default"}
        self._routes = [route for route in self._routes if route.name in enabled]
        for source in registry.sources:
            self._layouts |= source.layouts()
            made: SourceRoutes | None = source.routes(config)
            if made is not None:
                self.source_routes[source.name] = made
                self._by_name |= {route.name: self._compile_made(route) for route in made.routes}
        self.tags = TagUse(config, self._made_with_tags(), self._name_of_made)
        self._windows = compile_windows(config.maintenance)
        self.throttles = compile_throttles(config.throttles)

    @property
    def delivery(self) -> DeliverySettings:
        """The configuration's delivery section."""
        return self._config.delivery

    @property
    def accept_only(self) -> AcceptOnly | None:
        """The configuration's allow-list."""
        return self._config.accept_only

    @property
    def splits(self) -> bool:
        """Whether a route makes several tickets of one signal."""
        return any(isinstance(route, CompiledRoute) and route.split is not None for route in self._routes)

    @property
    def connections(self) -> frozenset[str]:
        """Names of the configured connections."""
        return frozenset(self._config.connections)

    def field_map(self, connection: str) -> FieldMap:
        """The fields of a connection's tickets. Raises KeyError for one that is not configured."""
        return self._registry.ticket_systems[self._config.connections[connection].type].fields

    def route(self, signal: Signal) -> CompiledRoute | None:
        """The route that a signal's source makes for it, else the first route of the file that matches, or None.
        Signals of a group go by the route that made the group."""
        if signal.via and signal.via in self._by_name:
            return self._by_name[signal.via]
        if (name := self._name_of_made(signal)) is not None:
            return self._by_name[name]
        found = self._first(signal)
        return found if isinstance(found, CompiledRoute) else None

    def may_route(self, signal: Signal) -> bool:
        """Whether a signal takes a route, or would with tags of its resources, where these are not known."""
        return self.route(signal) is not None or self.tags.may_route(signal)

    def _name_of_made(self, signal: Signal) -> str | None:
        """Name of the route that the source of a signal makes for it; None for none."""
        made = self.source_routes.get(signal.source)
        return None if made is None else made.route_of(signal)

    def _made_with_tags(self) -> dict[str, bool]:
        """Routes that sources make, and whether their fields use tags of resources."""
        made = [route for routes in self.source_routes.values() for route in routes.routes]
        return {one.name: body_uses_tags(one.body) or fields_use_tags(one.defaults) for one in made}

    @property
    def has_dry_runs(self) -> bool:
        """Whether some route, or everything, is a dry run."""
        return self._config.mode == "dry_run" or any(route.dry_run for route in self._by_name.values())

    def is_dry_run(self, signal: Signal) -> bool:
        """Whether a signal is only rehearsed."""
        if self._config.mode == "dry_run":
            return True
        route = self.route(signal)
        return route is not None and route.dry_run

    def no_ticket_route(self, signal: Signal) -> str:
        """Name of the route that says ``ticket: none`` for a signal that no other route takes; ``""`` for none."""
        found = self._first(signal)
        return found.name if isinstance(found, NoTicketRoute) else ""

    def grouping(self, signal: Signal) -> list[CompiledRoute]:
        """The routes of the file that would group a signal, also those that it does not get to."""
        compiled = [route for route in self._routes if isinstance(route, CompiledRoute) and route.shares_tickets]
        return [route for route in compiled if route.matches is None or route.matches(signal)]

    def _first(self, signal: Signal) -> CompiledRoute | NoTicketRoute | None:
        return next((route for route in self._routes if route.matches is None or route.matches(signal)), None)

    def named(self, name: str) -> CompiledRoute | None:
        """The route called ``name``, if the configuration still has it."""
        return self._by_name.get(name)

    def plain(self, connection: str, kind: TicketKind) -> CompiledRoute:
        """A route to tickets of a kind that says nothing of its own, for tickets whose route is gone."""
        return self._compile("", RouteBody(connection=connection, ticket=kind), None)

    def words(self, signal: Signal) -> SourceWords:
        """How texts speak of the source of a signal."""
        return self._registry.words(signal.source)

    def ends(self, signal: Signal) -> tuple[timedelta | None, timedelta | None]:
        """How long after its last sign a signal's problem is taken to be over, and how often its resources are asked
        after their health; None for never."""
        route = self.route(signal)
        return (None, None) if route is None else (route.quiet, route.healthy)

    def maintenance(self, signal: Signal, now: datetime) -> ActiveWindow | None:
        """The maintenance window of the configuration that holds a signal now, if any does."""
        return active(self._windows, signal, now) if self._windows else None

    def ticket(self, route: CompiledRoute, signal: Signal) -> MappedFields:
        """Fields of a new ticket. Those that the signal brings go before the route's."""
        mapped = fill(route.columns, route.kind, route.fields, route.fallbacks, self._context(route, signal))
        own = {} if route.own_fields is None else route.own_fields(signal)
        if not own:
            return mapped
        warnings = list(mapped.warnings)
        short = {name: cut(route.columns, route.kind, name, value, warnings) for name, value in own.items()}
        fields = {name: value for name, value in {**mapped.fields, **short}.items() if value}
        return replace(mapped, fields=fields, warnings=tuple(warnings))

    def closing(self, route: CompiledRoute, signal: Signal, ended: datetime | None = None) -> MappedFields:
        """Fields written when the ticket is resolved. ``ended`` replaces the signal's own time when it is another
        signal of the same key that ended the problem."""
        if ended is not None:
            others = {name: text for name, text in signal.details.items() if name != "communication"}
            signal = replace(signal, state=SignalState.RESOLVED, resolved_at=ended, details=others)
        sources, fallbacks = route.resolve_fields, route.resolve_fallbacks
        return fill(route.columns, route.kind, sources, fallbacks, self._context(route, signal))

    def repeated(self, route: CompiledRoute, signal: Signal) -> MappedFields:
        """Fields that every further message of a key repeats; none for kinds that can be looked up."""
        return fill(route.columns, route.kind, route.repeated, route.fallbacks, self._context(route, signal))

    def needs(self, connection: str) -> Needs:
        """What the routes will ask of a connection: kinds, fields and constant values."""
        kinds: set[TicketKind] = set()
        fields: dict[TicketKind, dict[str, set[str]]] = {}
        templates: dict[TicketKind, frozenset[str]] = {}
        made = [route for routes in self.source_routes.values() for route in routes.routes if route.expected]
        own = [route for route in self._routes if isinstance(route, CompiledRoute)]
        for route in [*own, *(self._by_name[one.name] for one in made)]:
            if route.connection != connection:
                continue
            kinds.add(route.kind)
            if route.template:
                templates[route.kind] = templates.get(route.kind, frozenset()) | {route.template}
            columns = fields.setdefault(route.kind, {})
            for name, source in [*route.fields.items(), *route.resolve_fields.items()]:
                values = columns.setdefault(name, set())
                if source.constant is not None:
                    values.add(source.constant)
                elif source.chain is not None:
                    values.update(source.chain.table.values)
            for level in route.levels.values():
                for role, value in ((FieldRole.IMPACT, level.impact), (FieldRole.URGENCY, level.urgency)):
                    for name in route.columns.named(route.kind, role):
                        if name in columns:
                            columns[name].add(str(value))
        frozen = {kind: {name: frozenset(v) for name, v in columns.items()} for kind, columns in fields.items()}
        return Needs(kinds=frozenset(kinds), fields=frozen, templates=templates)

    def _compile_made(self, made: SourceRoute) -> CompiledRoute:
        route = self._compile(made.name, made.body, None, made.defaults, made.closing_prefix)
        return replace(
            route,
            group=made.group,
            made_from=made.made_from,
            reserved_text=made.reserved_text,
            own_fields=made.own_fields,
        )

    def _compile_any(self, name: str, body: RouteBody, matches: Predicate | None) -> CompiledRoute | NoTicketRoute:
        return NoTicketRoute(name, matches) if body.ticket == "none" else self._compile(name, body, matches)

    def _compile(
        self,
        name: str,
        body: RouteBody,
        matches: Predicate | None,
        defaults: Mapping[FieldRole, FieldValue] = MappingProxyType({}),
        closing_prefix: str = "",
    ) -> CompiledRoute:
        window, kind = body.reopen_window, TicketKind(body.ticket)
        columns = self.field_map(body.connection)
        plain = {**_by_column(columns, kind, FIELDS), **columns.defaults.get(kind, {})}
        fields = self._field_sources.of({**plain, **_by_column(columns, kind, defaults)}, body.fields)
        closing = {
            **_by_column(columns, kind, {FieldRole.CLOSING_NOTE: closing_prefix + CLOSING_NOTE}),
            **columns.closing.get(kind, {}),
        }
        repeated = {name: fields[name] for name in columns.repeated.get(kind, ()) if name in fields}
        return CompiledRoute(
            name=name,
            connection=body.connection,
            kind=kind,
            matches=matches,
            columns=columns,
            fields=fields,
            fallbacks=self._field_sources.of(plain, {}),
            resolve_action=body.resolve.action,
            repeated=repeated,
            resolve_fields={**repeated, **self._field_sources.of(closing, body.resolve.fields)},
            resolve_fallbacks=self._field_sources.of(
                {
                    **{name: plain[name] for name in repeated if name in plain},
                    **_by_column(columns, kind, {FieldRole.CLOSING_NOTE: CLOSING_NOTE}),
                    **columns.closing.get(kind, {}),
                },
                {},
            ),
            comments=body.updates == "comment",
            reopen_window=self._config.delivery.reopen_window if window is None else window,
            levels=_levels(self._config.severity, body),
            dry_run="dry_run" in (body.mode, self._config.mode),
            group=None if body.group is None or body.group.splits else compile_group(name, body.group),
            split=compile_split(body.group) if body.group is not None and body.group.splits else None,
            only_after=body.only_after,
            open_after=None if body.open_after is None else compile_open_after(name, body.open_after),
            flapping=body.flapping,
            quiet=body.close_after_quiet,
            healthy=body.close_when_healthy,
            template=body.template or "",
            yielding=_yielding(columns, kind, body),
        )

    def _context(self, route: CompiledRoute, signal: Signal) -> dict[str, Any]:
        body = route.columns.named(route.kind, FieldRole.BODY)
        room = min((route.columns.limit(name) for name in body), default=route.columns.default_limit)
        layout = self._layouts.get(signal.kind, PLAIN)
        return {
            "signal": signal,
            "resource": signal.resources[0] if signal.resources else _NOWHERE,
            "levels": route.levels[signal.severity],
            "route": route.name,
            "source": self.words(signal),
            "summary": summary(signal, layout, room - route.reserved_text),
            DATE_FORMAT: route.columns.date_format,
        }


def _levels(table: SeverityTable, body: RouteBody) -> dict[int | None, Levels]:
    levels: dict[int | None, Levels] = {}
    for name in type(table).model_fields:
        chosen = getattr(body.severity, name) or getattr(table, name)
        if chosen.event is None:
            chosen = chosen.model_copy(update={"event": getattr(SeverityTable(), name).event})
        levels[None if name == "unknown" else int(name.removeprefix("sev"))] = chosen
    return levels


def _yielding(columns: FieldMap, kind: TicketKind, body: RouteBody) -> frozenset[str]:
    """Fields whose defaults a template replaces: how bad it is. What the alert says is the bridge's to write."""
    roles = (FieldRole.IMPACT, FieldRole.URGENCY, FieldRole.PRIORITY)
    named = {name for role in roles for name in columns.named(kind, role)}
    return frozenset(named - body.fields.keys())


def _by_column(columns: FieldMap, kind: TicketKind, values: Mapping[FieldRole, Any]) -> dict[str, Any]:
    """Values by column instead of by role; those that the kind has no column for are left out."""
    return {column: value for role, value in values.items() for column in columns.named(kind, role)}
