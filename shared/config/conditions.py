"""Conditions of bridge.yaml that can never hold: unknown words, and patterns of forms that do not exist here. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.config.checks import suggest_value
from shared.core.plugins import ConfigPath, DetailNames, Mistake

#: Form of a subscription id, with ``*`` and ``?`` for parts of it.
_SUBSCRIPTION = re.compile(r"[0-9a-f*?-]+", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

#: Azure's names of resource groups: letters and digits of any alphabet, and ``_-.()``; other names
#: in its place may have blanks.
_GROUP = re.compile(r"[\w().*? -]+")

#: Conditions whose values cannot begin with ``!``, so that it is meant as a negation.
_NAMES = ("source", "kind", "subscription", "resource_group", "resource_type", "resource")

_NO_NEGATION = (
    "'{0}' is compared as it stands and matches nothing: '!' is no negation. Fix: write it without '!' under 'not'"
)

#: The fix where no known name is close: a list of all of them would be long.
_SHOWN = " Fix: bridge.py preview shows the details that a payload has"

#: Sections of conditions inside one another.
_DEEPEST = 8
_ONLY_NAMES = "'{0}' matches nothing: there is no negation here. Fix: name what may become a ticket"
_NO_REGEX = (
    "'{0}' matches nothing: only * (any text) and ? (one character) have a meaning. Fix: write several patterns as a "
    "list, [a, b]"
)


def patterns(path: ConfigPath, given: Any) -> list[tuple[ConfigPath, str]]:
    """The patterns of a condition with their places; what is no text is left to the model."""
    if isinstance(given, str):
        return [(path, given.strip())]
    found = enumerate(given) if isinstance(given, list) else ()
    return [((*path, index), text.strip()) for index, text in found if isinstance(text, str)]


def could_match(pattern: str, word: str) -> bool:
    """Whether a pattern matches a word, without case; ``*`` and ``?`` have their usual meaning."""
    parts = [".*" if c == "*" else "." if c == "?" else re.escape(c) for c in re.sub(r"\*+", "*", pattern)]
    return re.fullmatch("".join(parts), word, re.IGNORECASE | re.DOTALL) is not None


def check_patterns(path: ConfigPath, given: Any, known: Sequence[str], what: str) -> list[Mistake]:
    """Patterns that match none of the ``known`` words; ``what`` says what these are, for example ``kind``."""
    problems = _empty(path, given)
    for place, text in patterns(path, given):
        if text.startswith("!"):
            problems.append((place, _NO_NEGATION.format(text)))
        elif text and not any(could_match(text, word) for word in known):
            problems.append((place, f"there is no {what} '{text}'.{suggest_value(text, known)}"))
    return problems


def _empty(path: ConfigPath, given: Any) -> list[Mistake]:
    """A condition without a value never holds."""
    places = [place for place, text in patterns(path, given) if not text] if given != [] else [path]
    return [
        (place, "an empty condition never holds. Fix: write a pattern, or take the condition out") for place in places
    ]


class ConditionChecks:
    """Checks the conditions on signals of any section.

    Args:
        kinds: the kinds of signals of each source; empty for a source that does not list them.
        details: the names of details of each source.
    """

    def __init__(self, kinds: Mapping[str, tuple[str, ...]], details: Mapping[str, DetailNames]) -> None:
        self._sources = sorted(kinds)
        self._by_source = kinds
        listed = all(kinds.values())
        self._kinds = sorted({kind for each in kinds.values() for kind in each}) if listed else []
        self._details = details

    def check(self, path: ConfigPath, when: Any) -> list[Mistake]:
        """Conditions of a ``when`` that can never hold; anything but a section is left to the model."""
        return self._section(path, when, [(source, kind) for source, each in self._by_source.items() for kind in each])

    def _section(self, path: ConfigPath, when: Any, kinds: Sequence[tuple[str, str]], depth: int = 1) -> list[Mistake]:
        """Mistakes of conditions and of those inside them. ``kinds``: sources and kinds that get here."""
        if not isinstance(when, dict):
            return []
        problems = self._own(path, when)
        kinds = [one for one in kinds if _wanted(when, "source", one[0]) and _wanted(when, "kind", one[1])]
        problems += self._check_details((*path, "details"), when.get("details"), kinds)
        for place, inner in inner_conditions(path, when):
            if depth >= _DEEPEST:
                text = f"conditions may stand in one another {_DEEPEST} deep. Fix: write them flatter"
                return [*problems, (place, text)]
            if inner == {}:
                problems.append((place, "no condition. Fix: write one, or take this out"))
            problems += self._section(place, inner, kinds, depth + 1)
        return problems

    def _own(self, path: ConfigPath, when: Mapping[str, Any]) -> list[Mistake]:
        problems = check_patterns((*path, "source"), when.get("source"), self._sources, "source")
        if self._kinds:
            problems += check_patterns((*path, "kind"), when.get("kind"), self._kinds, "kind")
        for name in ("subscription", "resource_group", "resource_type", "resource"):
            problems += check_names((*path, name), when.get(name))
        for name in ("rule", "title", "severity"):
            problems += _empty((*path, name), when.get(name))
        for name in ("custom_properties", "dimensions", "details", "tags", "resource_tags"):
            inner = when.get(name)
            for key, given in inner.items() if isinstance(inner, dict) else ():
                problems += _empty((*path, name, str(key)), given)
        for name in ("any", "all"):
            if when.get(name) == []:
                problems += _empty((*path, name), [])
        return problems

    def _check_details(self, path: ConfigPath, given: Any, kinds: Sequence[tuple[str, str]]) -> list[Mistake]:
        """Names of details that no signal of these kinds has."""
        sources = {source for source, _ in kinds}
        listed = [self._details[source] for source in sources if source in self._details]
        listed = [one for one in listed if not one.free]
        if not isinstance(given, dict) or not listed or not all(one.names for one in listed):
            return []
        known = {name for one in listed for name in one.names}
        problems: list[Mistake] = []
        for key in map(str, given):
            name = key.strip().casefold()
            if any(name.startswith(one.begins) for one in listed):
                continue
            owners = [one.only_of[name] for one in listed if name in one.only_of]
            if name not in known:
                fix = suggest_value(key, sorted(known), close_only=True) or _SHOWN
                problems.append(((*path, key), f"there is no detail '{key}'.{fix}"))
            elif len(owners) == len([one for one in listed if name in one.names]) and not any(
                kind in owner for owner in owners for _, kind in kinds
            ):
                have = ", ".join(sorted({kind for owner in owners for kind in owner}))
                text = f"only signals of kind {have} have the detail '{key}'. Fix: name that kind, or another detail"
                problems.append(((*path, key), text))
        return problems


def inner_conditions(path: ConfigPath, when: Mapping[str, Any]) -> Iterator[tuple[ConfigPath, Any]]:
    """The conditions inside others, with their places."""
    if when.get("not") is not None:
        yield (*path, "not"), when["not"]
    for name in ("any", "all"):
        given = when.get(name)
        for index, one in enumerate(given if isinstance(given, list) else ()):
            yield (*path, name, index), one


def _wanted(when: Mapping[str, Any], name: str, word: str) -> bool:
    """Whether a condition lets a word through, as far as it is a pattern."""
    texts = [text for _, text in patterns((), when.get(name))]
    return not texts or any(could_match(text, word) for text in texts)


def check_names(path: ConfigPath, given: Any) -> list[Mistake]:
    """Patterns for names of Azure that no such name can match: negations, regular expressions, names for ids.

    Args:
        path: its last step says what is named: ``subscription``, ``resource_group`` or another name of ``When``; the
            plural of the allow-list is understood.
        given: raw patterns.
    """
    name = str(path[-1]).removesuffix("s")
    problems = _empty(path, given)
    for place, text in patterns(path, given):
        if text.startswith("!"):
            if name in _NAMES:
                wrong = _ONLY_NAMES if path[0] == "accept_only" else _NO_NEGATION
                problems.append((place, wrong.format(text)))
        elif name == "subscription" and text and not _is_subscription(text):
            problems.append(
                (place, f"'{text}' is no subscription id. Fix: write the id, 00000000-0000-0000-0000-000000000000")
            )
        elif name == "resource_group" and text and _GROUP.fullmatch(text) is None:
            problems.append((place, _NO_REGEX.format(text)))
    return problems


def _is_subscription(text: str) -> bool:
    if "*" in text:
        return _SUBSCRIPTION.fullmatch(text) is not None
    return _GUID.fullmatch(text.replace("?", "0")) is not None


def check_accept_only(allowed: Any) -> list[Mistake]:
    """Patterns of the allow-list that nothing can match."""
    if not isinstance(allowed, dict):
        return []
    names = ("tenants", "subscriptions", "resource_groups", "rules")
    return [mistake for name in names for mistake in check_names(("accept_only", name), allowed.get(name))]
