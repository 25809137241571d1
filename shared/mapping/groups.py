"""What belongs together or apart: groups of routes, counters of throttles. Pure, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.config.storms import GroupSettings, OpenAfterSettings, ThrottleSettings
from shared.core.letter_case import fold_case
from shared.core.signal import Resource, Signal
from shared.mapping.routes import Predicate, compile_when
from shared.mapping.templates import compile_template

#: What signals are grouped or counted by; empty when a signal has no such thing.
GroupKey = Callable[[Signal], str]

#: How often the ticket of a burst is told of more.
NOTE_EVERY = GroupSettings.model_fields["note_every"].default

_NOWHERE = Resource(id=None)


@dataclass(frozen=True, slots=True)
class CompiledGroup:
    """The group section of a route: ``base`` gives a signal's group key, empty for signals on their own."""

    base: GroupKey
    window: timedelta | None
    note_every: timedelta


@dataclass(frozen=True, slots=True)
class CompiledOpenAfter:
    """The section ``open_after`` of a route: so many firings ``within`` so much time open a ticket. ``base`` gives what
    they are counted by, empty for signals that are not counted."""

    base: GroupKey
    count: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class CompiledThrottle:
    """One line of the throttle table. ``base`` gives the key under which its tickets are counted."""

    name: str
    matches: Predicate
    tickets: int
    per: timedelta
    base: GroupKey
    note_every: timedelta

    def period(self, now: datetime) -> datetime:
        """Beginning of the period that ``now`` belongs to, UTC."""
        seconds = int(self.per.total_seconds())
        return datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, UTC)


@dataclass(frozen=True, slots=True)
class CompiledSplit:
    """The group section of a route that makes several tickets of one alert: by ``row`` or ``item``; names of the
    ``columns`` that tell rows apart, none for those that the signal itself names; ``most`` tickets of one alert."""

    by: str
    columns: tuple[str, ...]
    most: int


def compile_split(group: GroupSettings) -> CompiledSplit:
    """Compile the group section of a route with ``by: row`` or ``by: item``."""
    return CompiledSplit(group.by, group.columns, group.most)


def compile_group(route: str, group: GroupSettings) -> CompiledGroup:
    """Compile a route's group section. Raises jinja2.TemplateSyntaxError for a ``by`` that is no template."""
    return CompiledGroup(_key("group", route, group.by), group.window, group.note_every)


def compile_open_after(route: str, settings: OpenAfterSettings) -> CompiledOpenAfter:
    """Compile a route's section. Raises jinja2.TemplateSyntaxError for a ``per`` that is no template."""
    return CompiledOpenAfter(_key("burst", route, settings.per), settings.count, settings.within)


def compile_throttles(sections: Sequence[ThrottleSettings]) -> tuple[CompiledThrottle, ...]:
    """Compile the throttle table, in its order."""
    return tuple(
        CompiledThrottle(t.name, compile_when(t.when), t.tickets, t.per, _key("storm", t.name, t.by), t.note_every)
        for t in sections
    )


def _key(kind: str, name: str, by: str) -> GroupKey:
    value = _BY.get(by) or _template(by)

    def key(signal: Signal) -> str:
        found = fold_case(" ".join(value(signal).split()))
        return f"{kind}:1:{fold_case(name)}/{found}" if found else ""

    return key


def _rule(signal: Signal) -> str:
    return signal.rule_id or signal.rule or ""


def _resource(signal: Signal) -> str:
    first = signal.resources[0] if signal.resources else _NOWHERE
    return first.id or first.name or ""


def _rule_and_resource(signal: Signal) -> str:
    rule, resource = _rule(signal), _resource(signal)
    return f"{rule} {resource}" if rule and resource else ""


def _template(text: str) -> GroupKey:
    render = compile_template(text)

    def value(signal: Signal) -> str:
        context = {"signal": signal, "resource": signal.resources[0] if signal.resources else _NOWHERE}
        try:
            return render(context, [])
        except Exception:  # a template can raise anything; a signal that cannot be grouped has a ticket of its own
            return ""

    return value


_BY: dict[str, GroupKey] = {
    "rule": _rule,
    "resource": _resource,
    "rule_and_resource": _rule_and_resource,
    "all": lambda _signal: "all",
}
