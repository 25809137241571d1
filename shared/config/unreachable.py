"""Warnings: what stands in bridge.yaml and has no effect. Pure; works on a file without mistakes, raw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.config.checks import entries
from shared.config.condition_sets import NAMED, covering, covers, never_holds
from shared.config.conditions import could_match, inner_conditions, patterns
from shared.core.plugins import ConfigPath, ConfigView, Mistake


def warn_file(view: ConfigView) -> list[Mistake]:
    """Routes that are never reached, conditions that exclude each other, and what nothing refers to."""
    return [*_routes(view), *_contradictions(view), *_literal_negations(view), *_closing(view), *_unused(view)]


def shadowed(
    rules: list[tuple[ConfigPath, str, Any]], kinds: Mapping[str, tuple[str, ...]], what: str
) -> Iterator[Mistake]:
    """A warning for each rule whose signals an earlier one takes, or several together.

    Args:
        rules: place, name and conditions, in the order in which they are tried.
        kinds: the kinds of signals of each source.
        what: such a rule in a sentence, for example ``route``.
    """
    for index, (path, _, when) in enumerate(rules):
        earlier = rules[:index]
        one = next((rule for rule in earlier if covers(rule[2], when, kinds)), None)
        if one is not None:
            same = "has the same conditions" if covers(when, one[2], kinds) else "takes all of its signals"
            yield path, f"never reached: the {what} '{one[1]}' above {same}. Fix: put it above '{one[1]}', or remove it"
            continue
        names = [f"'{earlier[place][1]}'" for place in covering(when, [rule[2] for rule in earlier], kinds)]
        if names:
            several = f"{', '.join(names[:-1])} and {names[-1]}"
            text = f"never reached: the {what}s {several} above take all of its signals together"
            yield path, f"{text}. Fix: put it above {names[0]}, or remove it"


def _routes(view: ConfigView) -> Iterator[Mistake]:
    routes = [
        ((*path, "when"), str(route.get("name")), route.get("when"))
        for path, route in entries(view.data, "routes")
        if route.get("disabled") is not True
    ]
    yield from shadowed(routes, view.kinds, "route")
    if view.data.get("default") is None:
        return
    names = [f"'{routes[place][1]}'" for place in covering({}, [when for *_, when in routes], view.kinds)]
    if len(names) == 1:
        text = f"never reached: the route {names[0]} takes every signal. Fix: make that route the default"
        yield ("default",), text
    elif names:
        several = f"{', '.join(names[:-1])} and {names[-1]}"
        yield ("default",), f"never reached: the routes {several} take every signal together. Fix: remove it"


def _contradictions(view: ConfigView) -> Iterator[Mistake]:
    """Conditions that no signal fulfils together, such as ``kind`` and ``source`` of different signals."""
    for section in ("routes", "throttles", "maintenance"):
        for path, entry in entries(view.data, section):
            when = entry.get("when")
            if not isinstance(when, Mapping) or not never_holds(when, view.kinds):
                continue
            of_kind = {name: when[name] for name in ("source", "kind") if when.get(name) is not None}
            if len(of_kind) == 2 and never_holds(of_kind, view.kinds):
                said = [text for _, text in patterns((), when["source"])]
                of = ", ".join(one for one in view.kinds if any(could_match(text, one) for text in said))
                text = f"never holds: {of} has no signals of this kind. Fix: leave 'source' or 'kind' out"
            else:
                text = "never holds: its conditions exclude each other. Fix: take one of them out"
            yield (*path, "when"), text


def _literal_negations(view: ConfigView) -> Iterator[Mistake]:
    """A ``!`` before free text may be meant as it stands."""
    text = "'{0}' is compared as it stands: '!' is no negation. Fix: if it is meant as one, write it under 'not'"
    for section in ("routes", "throttles", "maintenance"):
        for path, entry in entries(view.data, section):
            for place, given in _free_texts((*path, "when"), entry.get("when")):
                for where, pattern in patterns(place, given):
                    if pattern.startswith("!"):
                        yield where, text.format(pattern)


def _free_texts(path: ConfigPath, when: Any) -> Iterator[tuple[ConfigPath, Any]]:
    if not isinstance(when, dict):
        return
    for name in ("rule", "title"):
        yield (*path, name), when.get(name)
    for name in NAMED:
        for key, given in when[name].items() if isinstance(when.get(name), dict) else ():
            yield (*path, name, str(key)), given
    for place, inner in inner_conditions(path, when):
        yield from _free_texts(place, inner)


def _closing(view: ConfigView) -> Iterator[Mistake]:
    """Closing fields that no action writes."""
    bodies: list[tuple[ConfigPath, Any]] = [(("default",), view.data.get("default")), *entries(view.data, "routes")]
    for path, body in bodies:
        resolve = body.get("resolve") if isinstance(body, dict) else None
        if isinstance(resolve, dict) and resolve.get("fields") and resolve.get("action") in ("comment", "nothing"):
            action = resolve["action"]
            yield (*path, "resolve", "fields"), f"never written: the action is '{action}'. Fix: remove them, or resolve"


def _unused(view: ConfigView) -> Iterator[Mistake]:
    """Connections and tables that nothing refers to."""
    used: dict[str, set[str]] = {"connection": set(), "lookup": set()}
    _collect({name: value for name, value in view.data.items() if name not in ("connections", "lookups")}, used)
    for section, what in (("connections", "connection"), ("lookups", "lookup")):
        named = view.data.get(section)
        for name in named if isinstance(named, dict) else ():
            if name not in used[what]:
                yield (section, str(name)), f"nothing uses the {what} '{name}'. Fix: use it, or remove it"


def _collect(value: Any, used: dict[str, set[str]]) -> None:
    if isinstance(value, list):
        for one in value:
            _collect(one, used)
    if isinstance(value, dict):
        for name, inner in value.items():
            word = "connection" if name == "changes_of" else name
            if word in used and isinstance(inner, str):
                used[word].add(inner)
            _collect(inner, used)
