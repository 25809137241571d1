"""Warnings: what stands in bridge.yaml and has no effect. Pure; works on a file without mistakes, raw."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.config.checks import entries
from shared.config.conditions import could_match, patterns
from shared.core.plugins import ConfigPath, ConfigView, Mistake

#: Conditions that a pattern for any text always fulfils, because every signal has such a value.
_ALWAYS = ("source", "kind", "title")

_SEVERITIES = frozenset({0, 1, 2, 3, 4, "unknown"})

_NAMED = ("custom_properties", "dimensions", "tags")


def warn_file(view: ConfigView) -> list[Mistake]:
    """Routes that are never reached, conditions that exclude each other, and what nothing refers to."""
    return [*_routes(view), *_contradictions(view), *_literal_negations(view), *_closing(view), *_unused(view)]


def covers(wide: Any, narrow: Any, kinds: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether everything that fulfils the conditions ``narrow`` fulfils ``wide`` too, as far as the patterns tell.

    Args:
        wide, narrow: sections ``when``, raw; None for no conditions.
        kinds: the kinds of signals of each source.
    """
    wanted = _meaning(wide)
    given = _meaning(narrow)
    return all(_implied(name, pattern, given, kinds) for name, pattern in wanted.items())


def patterns_cover(wide: list[str], narrow: list[str]) -> bool:
    """Whether every text that matches one of ``narrow`` matches one of ``wide``, as far as the patterns tell."""
    return all(any(_within(one, other) for other in wide) for one in narrow)


def _meaning(when: Any) -> dict[tuple[str, str], list[Any]]:
    """The conditions that exclude something, by name and name of the entry, each with its values."""
    found: dict[tuple[str, str], list[Any]] = {}
    for name, given in when.items() if isinstance(when, Mapping) else ():
        if given is None:
            continue
        if name == "severity":
            values = given if isinstance(given, list) else [given]
            if not set(values) >= _SEVERITIES:
                found[name, ""] = values
        elif name in _NAMED:
            for key, value in given.items() if isinstance(given, Mapping) else ():
                found[name, str(key).casefold()] = _texts(value)
        else:
            texts = _texts(given)
            if not (name in _ALWAYS and any(set(text) == {"*"} for text in texts)):
                found[name, ""] = texts
    return found


def _texts(given: Any) -> list[str]:
    return [text for _, text in patterns((), given)]


def _implied(
    name: tuple[str, str],
    wanted: list[Any],
    given: Mapping[tuple[str, str], list[Any]],
    kinds: Mapping[str, tuple[str, ...]],
) -> bool:
    if name in given:
        if name[0] == "severity":
            return set(given[name]) <= set(wanted)
        if patterns_cover(wanted, given[name]):
            return True
    if name[0] == "source" and ("kind", "") in given:
        sources = {source for source, each in kinds.items() if _any_match(given["kind", ""], each)}
        return all(kinds.values()) and all(any(could_match(one, source) for one in wanted) for source in sources)
    if name[0] == "kind":
        left = [kind for source, each in kinds.items() if _allows(given, "source", source) for kind in each]
        left = [kind for kind in left if _allows(given, "kind", kind)]
        return all(kinds.values()) and all(any(could_match(one, kind) for one in wanted) for kind in left)
    return False


def _allows(given: Mapping[tuple[str, str], list[Any]], name: str, word: str) -> bool:
    return (name, "") not in given or any(could_match(one, word) for one in given[name, ""])


def _any_match(texts: list[str], words: tuple[str, ...]) -> bool:
    return any(could_match(text, word) for text in texts for word in words)


def _within(narrow: str, wide: str) -> bool:
    """Whether the pattern ``wide`` matches everything that ``narrow`` does. A ``?`` of the wide one takes no ``*``."""
    parts = [".*" if c == "*" else "[^*]" if c == "?" else re.escape(c) for c in re.sub(r"\*+", "*", wide)]
    return re.fullmatch("".join(parts), narrow, re.IGNORECASE | re.DOTALL) is not None


def shadowed(
    rules: list[tuple[ConfigPath, str, Any]], kinds: Mapping[str, tuple[str, ...]], what: str
) -> Iterator[Mistake]:
    """A warning for each rule whose signals an earlier one takes.

    Args:
        rules: place, name and conditions, in the order in which they are tried.
        kinds: the kinds of signals of each source.
        what: such a rule in a sentence, for example ``route``.
    """
    for index, (path, _, when) in enumerate(rules):
        for _, name, earlier in rules[:index]:
            if covers(earlier, when, kinds):
                same = "has the same conditions" if covers(when, earlier, kinds) else "takes all of its signals"
                yield path, f"never reached: the {what} '{name}' above {same}. Fix: put it above '{name}', or remove it"
                break


def _routes(view: ConfigView) -> Iterator[Mistake]:
    routes = [
        ((*path, "when"), str(route.get("name")), route.get("when")) for path, route in entries(view.data, "routes")
    ]
    yield from shadowed(routes, view.kinds, "route")
    for _, name, when in routes:
        if view.data.get("default") is not None and covers(when, {}, view.kinds):
            yield (
                ("default",),
                f"never reached: the route '{name}' takes every signal. Fix: make that route the default",
            )
            break


def _contradictions(view: ConfigView) -> Iterator[Mistake]:
    """``kind`` and ``source`` that no signal has together."""
    if not all(view.kinds.values()):
        return
    for section in ("routes", "throttles", "maintenance"):
        for path, entry in entries(view.data, section):
            given = _meaning(entry.get("when"))
            if not {("source", ""), ("kind", "")} <= given.keys():
                continue
            sources = [source for source in view.kinds if _allows(given, "source", source)]
            if not any(_any_match(given["kind", ""], view.kinds[source]) for source in sources):
                of = ", ".join(sources)
                yield (
                    (*path, "when"),
                    f"never holds: {of} has no signals of this kind. Fix: leave 'source' or 'kind' out",
                )


def _literal_negations(view: ConfigView) -> Iterator[Mistake]:
    """A ``!`` before free text may be meant as it stands."""
    text = (
        "'{0}' is compared as it stands: there is no negation. Fix: put a route for what is to be different above this"
    )
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
    for name in _NAMED:
        for key, given in when[name].items() if isinstance(when.get(name), dict) else ():
            yield (*path, name, str(key)), given


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
