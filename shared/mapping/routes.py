"""Which route a signal takes. Conditions are compiled once; matching is a few comparisons."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from shared.core.conditions import When
from shared.core.letter_case import fold_case
from shared.core.signal import Signal
from shared.mapping.templates import find

Predicate = Callable[[Signal], bool]


def compile_when(when: When) -> Predicate:
    """Turn a route's conditions into one function of a signal."""
    tests = [*_fields(when), *_combined(when)]
    return lambda signal: all(test(signal) for test in tests)


def _combined(when: When) -> list[Predicate]:
    """``not``, ``any`` and ``all``."""
    tests: list[Predicate] = []
    if when.not_ is not None:
        tests.append(_opposite(compile_when(when.not_)))
    if when.any is not None:
        tests.append(_either([compile_when(one) for one in when.any]))
    tests += [compile_when(one) for one in when.all or ()]
    return tests


def _opposite(test: Predicate) -> Predicate:
    return lambda signal: not test(signal)


def _either(tests: Sequence[Predicate]) -> Predicate:
    return lambda signal: any(test(signal) for test in tests)


def _fields(when: When) -> list[Predicate]:
    """Conditions on what the signal itself has."""
    tests: list[Predicate] = []
    if when.source is not None:
        tests.append(_field(when.source, lambda s: (s.source,)))
    if when.kind is not None:
        tests.append(_field(when.kind, lambda s: (s.kind,)))
    if when.severity is not None:
        wanted = frozenset(when.severity if isinstance(when.severity, list) else [when.severity])
        tests.append(lambda s: ("unknown" if s.severity is None else s.severity) in wanted)
    if when.rule is not None:
        tests.append(_field(when.rule, lambda s: (s.rule,)))
    if when.title is not None:
        tests.append(_field(when.title, lambda s: (s.title,)))
    if when.subscription is not None:
        tests.append(_field(when.subscription, lambda s: [r.subscription_id for r in s.resources]))
    if when.resource_group is not None:
        tests.append(_field(when.resource_group, lambda s: [r.resource_group for r in s.resources]))
    if when.resource_type is not None:
        tests.append(_field(when.resource_type, lambda s: [r.type for r in s.resources]))
    if when.resource is not None:
        tests.append(_field(when.resource, lambda s: [x for r in s.resources for x in (r.name, r.id)]))
    if when.custom_properties is not None:
        tests.append(_named(when.custom_properties, lambda s: (s.custom_properties,)))
    if when.dimensions is not None:
        tests.append(_named(when.dimensions, lambda s: (s.dimensions,)))
    if when.details is not None:
        tests.append(_named(when.details, lambda s: (s.details,)))
    if when.tags is not None:
        tests.append(_named(when.tags, lambda s: (s.tags, s.custom_properties)))
    if when.resource_tags is not None:
        tests += [_tagged(name, patterns) for name, patterns in when.resource_tags.items()]
    return tests


@lru_cache(maxsize=1024)
def pattern(text: str) -> re.Pattern[str]:
    """``*`` and ``?`` as everywhere; everything else, brackets included, stands for itself. For values without case.

    A part between two ``*`` is looked for once, as early as it comes (atomic groups): nothing is tried again, so that
    no value costs more than its length.
    """
    parts = ["".join("." if c == "?" else re.escape(c) for c in part) for part in fold_case(text.strip()).split("*")]
    body = parts[0] + "".join(f"(?>.*?{part})" for part in parts[1:-1] if part)
    if len(parts) > 1:
        body += f".*{parts[-1]}"
    return re.compile(body, re.DOTALL)


def matches_any(patterns: str | list[str]) -> Callable[[str], bool]:
    """A test whether a value matches any of the patterns, in any case; letters of other alphabets are other letters."""
    compiled = [pattern(text) for text in ([patterns] if isinstance(patterns, str) else patterns)]

    def matches(value: str) -> bool:
        folded = fold_case(value)
        return any(one.fullmatch(folded) for one in compiled)

    return matches


def _field(patterns: str | list[str], values: Callable[[Signal], Sequence[str | None]]) -> Predicate:
    matches = matches_any(patterns)
    return lambda signal: any(matches(value) for value in values(signal) if value is not None)


def _tagged(name: str, patterns: str | list[str]) -> Predicate:
    """A resource that has a tag with such a value."""
    matches = matches_any(patterns)

    def tagged(signal: Signal) -> bool:
        values = [find(one.tags, name) for one in signal.resources]
        return any(matches(value) for value in values if value is not None)

    return tagged


def _named(wanted: Mapping[str, str | list[str]], places: Callable[[Signal], Sequence[Mapping[str, str]]]) -> Predicate:
    tests = [(name, matches_any(patterns)) for name, patterns in wanted.items()]

    def matches(signal: Signal) -> bool:
        for name, test in tests:
            value = next((v for place in places(signal) if (v := find(place, name)) is not None), None)
            if value is None or not test(value):
                return False
        return True

    return matches
