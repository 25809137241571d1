"""Which signals conditions let through, compared as sets: what covers what, and what nothing can fulfil. Pure.

Works on raw sections ``when`` of a file without mistakes. Conditions become a list of alternatives, each a set of
:class:`_Literal`. Source, kind and severity have few values, so an alternative is looked at for each of them by itself
(a :class:`_Cell`): that finds a rule whose signals several others take together. Patterns are compared as texts.

An answer is only given where it is certain: two conditions of which nothing can be said count as different.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from shared.config.conditions import could_match, patterns

#: Kinds of signals by source; empty for a source that does not list them.
Kinds = Mapping[str, tuple[str, ...]]

#: Conditions that a pattern for any text always fulfils, because every signal has such a value.
_ALWAYS = ("source", "kind", "title")

_SEVERITIES = ("0", "1", "2", "3", "4", "unknown")

#: Conditions by name of an entry.
NAMED = ("custom_properties", "dimensions", "details", "tags", "resource_tags")

#: A signal has one value of these at most, and any number of resources.
_SINGLE = ("source", "kind", "severity", "rule", "title", "custom_properties", "dimensions", "details", "tags")

#: More alternatives or cells than these are not looked at: nobody writes them, and each costs time.
_MOST = 2_000


@dataclass(frozen=True, slots=True)
class _Literal:
    """A value matches one of the patterns (``wanted``), or none does. ``key``: name of the entry, else empty."""

    name: str
    key: str
    patterns: tuple[str, ...]
    wanted: bool

    @property
    def about(self) -> tuple[str, str]:
        return self.name, self.key


_Alternative = tuple[_Literal, ...]


class _TooMany(Exception):
    """The conditions have more alternatives than are looked at."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """Signals with these values of ``fixed``, for which ``literals`` hold."""

    fixed: Mapping[str, str]
    literals: _Alternative

    def implies(self, literal: _Literal) -> bool:
        """Whether the literal holds for all of these signals."""
        if literal.name in self.fixed:
            return _matches(self.fixed[literal.name], literal.patterns) is literal.wanted
        about = [one for one in self.literals if one.about == literal.about]
        if literal.wanted:
            return any(one.wanted and patterns_cover(literal.patterns, one.patterns) for one in about)
        if any(not one.wanted and patterns_cover(one.patterns, literal.patterns) for one in about):
            return True
        constant = [one for one in about if one.wanted and not any(_is_pattern(text) for text in one.patterns)]
        return literal.name in _SINGLE and any(
            not any(_matches(text, literal.patterns) for text in one.patterns) for one in constant
        )

    def is_empty(self) -> bool:
        """Whether no signal can be like this, as far as the patterns tell."""
        return any(self.implies(_Literal(one.name, one.key, one.patterns, not one.wanted)) for one in self.literals)


def patterns_cover(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    """Whether every text that matches one of ``narrow`` matches one of ``wide``, as far as the patterns tell."""
    return all(any(_within(one, other) for other in wide) for one in narrow)


def never_holds(when: Any, kinds: Kinds) -> bool:
    """Whether no signal can fulfil conditions, because they exclude each other."""
    try:
        return not list(_cells(when, [when], kinds))
    except _TooMany:
        return False


def covering(narrow: Any, wides: Sequence[Any], kinds: Kinds) -> list[int]:
    """Which of ``wides`` together let everything through that ``narrow`` does: their positions; empty where some
    signals are left, or nothing fulfils ``narrow``.

    Args:
        narrow, wides: sections ``when``, raw; None for no conditions.
        kinds: the kinds of signals of each source.
    """
    try:
        alternatives = [(index, _alternatives(when)) for index, when in enumerate(wides)]
        taken: set[int] = set()
        for cell in _cells(narrow, [narrow, *wides], kinds):
            found = next((index for index, each in alternatives if _takes(each, cell)), None)
            if found is None:
                return []
            taken.add(found)
    except _TooMany:
        return []
    return sorted(taken)


def covers(wide: Any, narrow: Any, kinds: Kinds) -> bool:
    """Whether everything that fulfils the conditions ``narrow`` fulfils ``wide`` too, as far as the patterns tell."""
    return bool(covering(narrow, [wide], kinds))


def _takes(alternatives: Sequence[_Alternative], cell: _Cell) -> bool:
    return any(all(cell.implies(literal) for literal in each) for each in alternatives)


def _alternatives(when: Any, wanted: bool = True) -> list[_Alternative]:
    """Conditions as alternatives; with ``wanted`` false, of their opposite. Raises _TooMany."""
    parts = list(_parts(when, wanted))
    if wanted:
        return _each_of(parts)
    found = [alternative for part in parts for alternative in part]
    return _bounded(found)


def _parts(when: Any, wanted: bool) -> Iterator[list[_Alternative]]:
    """The alternatives of each condition of a section, or of its opposite."""
    for literal in _literals(when, wanted):
        yield [(literal,)]
    if not isinstance(when, Mapping):
        return
    if when.get("not") is not None:
        yield _alternatives(when["not"], not wanted)
    either, every = when.get("any"), when.get("all")
    for given, all_of_them in ((either, not wanted), (every, wanted)):
        if isinstance(given, list):
            inner = [_alternatives(one, wanted) for one in given]
            yield _each_of(inner) if all_of_them else [one for each in inner for one in each]


def _each_of(parts: Sequence[list[_Alternative]]) -> list[_Alternative]:
    count = 1
    for part in parts:
        count *= max(len(part), 1)
        if count > _MOST:
            raise _TooMany
    return [tuple(literal for one in chosen for literal in one) for chosen in product(*parts)]


def _bounded(alternatives: list[_Alternative]) -> list[_Alternative]:
    if len(alternatives) > _MOST:
        raise _TooMany
    return alternatives


def _literals(when: Any, wanted: bool) -> Iterator[_Literal]:
    """What a section itself says of signals, without the conditions that always hold."""
    for name, given in when.items() if isinstance(when, Mapping) else ():
        if given is None or name in ("not", "any", "all"):
            continue
        if name in NAMED:
            for key, value in given.items() if isinstance(given, Mapping) else ():
                yield _Literal(name, str(key).strip().casefold(), _texts(value), wanted)
            continue
        values = given if isinstance(given, list) else [given]
        texts = tuple(map(str, values)) if name == "severity" else _texts(given)
        always = name in _ALWAYS and any(set(text) == {"*"} for text in texts)
        if not (wanted and (always or (name == "severity" and set(texts) >= set(_SEVERITIES)))):
            yield _Literal(name, "", texts, wanted)


def _texts(given: Any) -> tuple[str, ...]:
    return tuple(text for _, text in patterns((), given))


def _cells(when: Any, compared: Sequence[Any], kinds: Kinds) -> Iterator[_Cell]:
    """The signals that fulfil conditions, by each value that some of ``compared`` ask for. Raises _TooMany."""
    asked = {literal.name for one in compared for each in _alternatives(one) for literal in each}
    seen = 0
    for alternative in _alternatives(when):
        for literals in _split(alternative):
            for fixed in _values(asked, kinds):
                seen += 1
                if seen > _MOST * 10:
                    raise _TooMany
                cell = _Cell(fixed, literals)
                if not cell.is_empty():
                    yield cell


def _values(asked: set[str], kinds: Kinds) -> Iterator[dict[str, str]]:
    """Every value of source, kind and severity, as far as they are asked for."""
    pairs: list[dict[str, str]] = [{}]
    if asked & {"source", "kind"} and kinds and all(kinds.values()):
        pairs = [{"source": source, "kind": kind} for source, each in kinds.items() for kind in each]
    severities = [{"severity": one} for one in _SEVERITIES] if "severity" in asked else [{}]
    for pair, severity in product(pairs, severities):
        yield pair | severity


def _split(alternative: _Alternative) -> Iterator[_Alternative]:
    """The same with one pattern in each literal that wants something, unless these are too many."""
    finite = ("source", "kind", "severity")
    choices: list[list[_Literal]] = []
    count = 1
    for one in alternative:
        make = partial(_Literal, one.name, one.key, wanted=True)
        each = [make(patterns=(text,)) for text in one.patterns] if one.wanted and one.name not in finite else [one]
        count *= max(len(each), 1)
        choices.append(each)
    if count > _MOST:
        yield alternative
        return
    yield from product(*choices)


def _matches(value: str, texts: Sequence[str]) -> bool:
    return any(could_match(text, value) for text in texts)


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _within(narrow: str, wide: str) -> bool:
    """Whether the pattern ``wide`` matches everything that ``narrow`` does. A ``?`` of the wide one takes no ``*``."""
    parts = [".*" if c == "*" else "[^*]" if c == "?" else re.escape(c) for c in re.sub(r"\*+", "*", wide)]
    return re.fullmatch("".join(parts), narrow, re.IGNORECASE | re.DOTALL) is not None
