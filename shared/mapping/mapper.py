"""Signal -> route -> ticket fields, by the compiled configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from connectors.defender.routes import HEAD, Integrations, is_assigned, own_fields
from connectors.defender.settings import IntegrationSettings
from connectors.secure_score import routes as scores
from shared.config.model import BridgeConfig, DeliverySettings, Levels, RouteBody, SeverityTable
from shared.config.storms import FlappingSettings, OnlyAfterSettings
from shared.core.field_values import FieldValue, Lookup
from shared.core.signal import Resource, Signal, SignalState
from shared.core.ticket_system import Needs, TicketKind
from shared.mapping.defaults import DEFAULT_LIMIT, FIELDS, LIMITS, RESOLVE_FIELDS
from shared.mapping.groups import CompiledGroup, compile_group, compile_throttles
from shared.mapping.maintenance import ActiveWindow, active, compile_windows
from shared.mapping.routes import Predicate, compile_when
from shared.mapping.summary import summary
from shared.mapping.templates import Render, compile_template
from shared.web.trust.settings import AcceptOnly

_NOWHERE = Resource(id=None)


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where one field's value comes from: a template, through a table when ``table`` is set."""

    render: Render
    constant: str | None = None
    table: Mapping[str, str] | None = None
    table_name: str = ""
    default: Render | None = None


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """A route ready for use. ``levels`` maps severity (None included) to impact, urgency and event severity;
    ``integration`` is set for those that integrations make."""

    name: str
    connection: str
    kind: TicketKind
    matches: Predicate | None
    fields: Mapping[str, FieldSource]
    fallbacks: Mapping[str, FieldSource]
    resolve_action: Literal["resolve", "comment", "nothing"]
    resolve_fields: Mapping[str, FieldSource]
    resolve_fallbacks: Mapping[str, FieldSource]
    comments: bool
    reopen_window: timedelta
    levels: Mapping[int | None, Levels]
    group: CompiledGroup | None = None
    only_after: OnlyAfterSettings | None = None
    flapping: FlappingSettings | None = None
    quiet: timedelta | None = None
    healthy: timedelta | None = None
    integration: IntegrationSettings | None = None


@dataclass(frozen=True, slots=True)
class MappedFields:
    """Fields by name, and what was odd while filling them, one sentence each."""

    fields: dict[str, str]
    warnings: tuple[str, ...]


class Mapper:
    """All routes of one configuration, compiled."""

    def __init__(self, config: BridgeConfig) -> None:
        self._lookups = {
            name: {key.casefold(): value for key, value in table.items()} for name, table in config.lookups.items()
        }
        self._config = config
        self._routes = [self._compile(route.name, route, compile_when(route.when)) for route in config.routes]
        if config.default is not None:
            self._routes.append(self._compile("default", config.default, None))
        self._by_name = {route.name: route for route in self._routes}
        self._integrations = Integrations(config.defender.integrations if config.defender is not None else ())
        for made in self._integrations.routes:
            route = self._compile(made.name, made.body, None)
            self._by_name[made.name] = replace(route, group=made.group, integration=made.integration)
        self._scored = [] if config.secure_score is None else list(scores.bodies(config.secure_score))
        for name, body in self._scored:
            self._by_name[name] = self._compile(name, body, None)
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
    def connections(self) -> frozenset[str]:
        """Names of the configured connections."""
        return frozenset(self._config.connections)

    def route(self, signal: Signal) -> CompiledRoute | None:
        """The first route that matches, or None; signals of a group go by the route that made it, and what somebody has
        to fix by its integration."""
        if signal.via and signal.via in self._by_name:
            return self._by_name[signal.via]
        if is_assigned(signal) and (integrated := self.integration_of(signal)) is not None:
            return integrated
        if self._scored and signal.source == scores.SOURCE:
            return next(self._by_name[name] for name in scores.route_names(signal) if name in self._by_name)
        for route in self._routes:
            if route.matches is None or route.matches(signal):
                return route
        return None

    def integration_of(self, signal: Signal) -> CompiledRoute | None:
        """The route that a recommendation takes when it is assigned: that of the integration with the nearest scope.
        None when none covers it."""
        name = self._integrations.route_of(signal)
        return None if name is None else self._by_name[name]

    def named(self, name: str) -> CompiledRoute | None:
        """The route called ``name``, if the configuration still has it."""
        return self._by_name.get(name)

    def plain(self, kind: TicketKind) -> CompiledRoute:
        """A route to tickets of a kind that says nothing of its own, for tickets whose route is gone."""
        return self._compile("", RouteBody(connection="none", ticket=kind), None)

    def ends(self, signal: Signal) -> tuple[timedelta | None, timedelta | None]:
        """How long after its last sign a signal's problem is taken to be over, and how often its resources are asked
        after their health; None for never."""
        route = self.route(signal)
        return (None, None) if route is None else (route.quiet, route.healthy)

    def maintenance(self, signal: Signal, now: datetime) -> ActiveWindow | None:
        """The maintenance window of the configuration that holds a signal now, if any does."""
        return active(self._windows, signal, now)

    def ticket(self, route: CompiledRoute, signal: Signal) -> MappedFields:
        """Fields of a new ticket. Those that a person gave with an assignment go before the integration's."""
        mapped = _fill(route.fields, route.fallbacks, _context(route, signal))
        own = own_fields(signal) if route.integration is not None else {}
        if not own:
            return mapped
        warnings = list(mapped.warnings)
        fields = {**mapped.fields, **{name: _cut(name, value, warnings) for name, value in own.items()}}
        return MappedFields({name: value for name, value in fields.items() if value}, tuple(warnings))

    def closing(self, route: CompiledRoute, signal: Signal, ended: datetime | None = None) -> MappedFields:
        """Fields written when the ticket is resolved. ``ended`` replaces the signal's own time when it is another
        signal of the same key that ended the problem."""
        if ended is not None:
            signal = replace(signal, state=SignalState.RESOLVED, resolved_at=ended)
        return _fill(route.resolve_fields, route.resolve_fallbacks, _context(route, signal))

    def needs(self, connection: str) -> Needs:
        """What the routes will ask of a connection: kinds, fields and constant values."""
        kinds: set[TicketKind] = set()
        fields: dict[TicketKind, dict[str, set[str]]] = {}
        made = [self._by_name[made.name] for made in self._integrations.routes if made.expected]
        made += [self._by_name[name] for name, _ in self._scored if scores.is_expected(name)]
        for route in [*self._routes, *made]:
            if route.connection != connection:
                continue
            kinds.add(route.kind)
            columns = fields.setdefault(route.kind, {})
            for name, source in [*route.fields.items(), *route.resolve_fields.items()]:
                values = columns.setdefault(name, set())
                if source.constant is not None:
                    values.add(source.constant)
                elif source.table is not None:
                    values.update(source.table.values())
            for level in route.levels.values():
                for name, value in (("impact", level.impact), ("urgency", level.urgency)):
                    if name in columns:
                        columns[name].add(str(value))
        frozen = {kind: {name: frozenset(v) for name, v in columns.items()} for kind, columns in fields.items()}
        return Needs(kinds=frozenset(kinds), fields=frozen)

    def _compile(self, name: str, body: RouteBody, matches: Predicate | None) -> CompiledRoute:
        window = body.reopen_window
        return CompiledRoute(
            name=name,
            connection=body.connection,
            kind=body.ticket,
            matches=matches,
            fields=self._sources(FIELDS[body.ticket], body.fields),
            fallbacks=self._sources(FIELDS[body.ticket], {}),
            resolve_action=body.resolve.action,
            resolve_fields=self._sources(RESOLVE_FIELDS[body.ticket], body.resolve.fields),
            resolve_fallbacks=self._sources(RESOLVE_FIELDS[body.ticket], {}),
            comments=body.updates == "comment",
            reopen_window=self._config.delivery.reopen_window if window is None else window,
            levels=_levels(self._config.severity, body),
            group=None if body.group is None else compile_group(name, body.group),
            only_after=body.only_after,
            flapping=body.flapping,
            quiet=body.close_after_quiet,
            healthy=body.close_when_healthy,
        )

    def _sources(self, defaults: Mapping[str, str], given: Mapping[str, FieldValue]) -> dict[str, FieldSource]:
        merged: dict[str, FieldValue] = {**defaults, **given}
        return {name: self._source(value) for name, value in merged.items() if value is not None}

    def _source(self, value: FieldValue) -> FieldSource:
        if isinstance(value, Lookup):
            return FieldSource(
                render=compile_template(value.key),
                table=self._lookups[value.lookup],
                table_name=value.lookup,
                default=None if value.default is None else compile_template(value.default),
            )
        text = str(value).lower() if isinstance(value, bool) else str(value)
        dynamic = any(mark in text for mark in ("{{", "{%", "{#"))
        return FieldSource(render=compile_template(text), constant=None if dynamic else text)


def _levels(table: SeverityTable, body: RouteBody) -> dict[int | None, Levels]:
    levels: dict[int | None, Levels] = {}
    for name in type(table).model_fields:
        chosen = getattr(body.severity, name) or getattr(table, name)
        if chosen.event is None:
            chosen = chosen.model_copy(update={"event": getattr(SeverityTable(), name).event})
        levels[None if name == "unknown" else int(name.removeprefix("sev"))] = chosen
    return levels


def _context(route: CompiledRoute, signal: Signal) -> dict[str, Any]:
    return {
        "signal": signal,
        "resource": signal.resources[0] if signal.resources else _NOWHERE,
        "levels": route.levels[signal.severity],
        "route": route.name,
        "summary": summary(signal, LIMITS["description"] - (HEAD if route.integration is not None else 0)),
    }


def _fill(
    sources: Mapping[str, FieldSource], fallbacks: Mapping[str, FieldSource], context: dict[str, Any]
) -> MappedFields:
    fields: dict[str, str] = {}
    warnings: list[str] = []
    for name, source in sources.items():
        value = _value(name, source, context, warnings)
        if value is None and name in fallbacks and fallbacks[name] is not source:
            value = _value(name, fallbacks[name], context, [])
        if value:
            fields[name] = _cut(name, value, warnings)
    return MappedFields(fields, tuple(dict.fromkeys(warnings)))


def _value(name: str, source: FieldSource, context: dict[str, Any], warnings: list[str]) -> str | None:
    """The field's text, or None (with a warning) when there is none: a ticket is never lost for one field."""
    if source.constant is not None:
        return source.constant
    missing: list[str] = []
    try:
        text = source.render(context, missing)
        if source.table is not None:
            found = source.table.get(text.casefold())
            if found is None and source.default is not None:
                found = source.default(context, missing)
            elif found is None:
                warnings.append(f"{name}: lookup '{source.table_name}' has no entry '{text}'")
            return found
    except Exception as error:  # a template can raise anything: arithmetic, types, the sandbox's refusals
        warnings.append(f"{name}: the template failed: {error}; the default is used")
        return None
    warnings.extend(f"{name}: the signal has no '{lost}'" for lost in missing)
    return text


def _cut(name: str, value: str, warnings: list[str]) -> str:
    limit = LIMITS.get(name, DEFAULT_LIMIT)
    if name == "short_description":
        value = " ".join(value.split())
    if len(value) <= limit:
        return value
    warnings.append(f"{name}: cut from {len(value)} to {limit} characters")
    return value[: limit - 1].rstrip() + "…"
