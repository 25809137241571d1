"""Scenarios: faults that a test switches on for some requests. What each kind does is in the simulator's ``faults.py``.

A scenario has a type with parameters, a match (which requests it is for), a number of times, and a probability with a
seed of its own, so that a run can be repeated.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.simulator_kit.calls import Call


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of scenario.

    ``phase`` is when it applies: ``now`` (at once, when it is added), ``arrival`` (before sign-in), ``after`` (when the
    API is done), or a phase of the simulator's own such as ``handling`` (after sign-in, before the API). ``params`` are
    its parameters with their defaults. ``needs_commit``: it applies only to requests that committed something.
    ``problem`` returns what is wrong with parameters, empty when nothing is.
    """

    phase: str
    help: str
    params: dict[str, Any] = field(default_factory=dict)
    needs_commit: bool = False
    problem: Callable[[dict[str, Any]], str] = lambda _params: ""


@dataclass(slots=True)
class Match:
    """Which requests a scenario is for; what is empty matches anything.

    ``traits`` gives for a trait of the request the values that fit; ``path`` is a regular expression searched in the
    path.
    """

    traits: dict[str, tuple[str, ...]] = field(default_factory=dict)
    path: re.Pattern[str] | None = None

    @property
    def user(self) -> str:
        """The user it is for, empty for everyone."""
        return next(iter(self.traits.get("user", ())), "")

    def fits(self, call: Call) -> bool:
        """Is the request one of those?"""
        return all(call.trait(name) in wanted for name, wanted in self.traits.items()) and (
            self.path is None or self.path.search(call.path) is not None
        )


@dataclass(slots=True)
class Scenario:
    """A fault that is on. ``left`` counts down, None means without end; ``state`` is for types that count."""

    id: str
    type: str
    kind: Kind
    match: Match
    left: int | None
    probability: float
    params: dict[str, Any]
    chance: random.Random
    definition: dict[str, Any]
    applied: int = 0
    skip: int = 0
    state: dict[str, tuple[int, int]] = field(default_factory=dict)

    def triggers(self, call: Call) -> bool:
        """Decide for one request, counting it if so."""
        if self.left == 0 or not self.match.fits(call):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.probability < 1 and self.chance.random() >= self.probability:
            return False
        if self.left is not None:
            self.left -= 1
        self.applied += 1
        call.entry.scenarios.append(f"{self.type}:{self.id}")
        return True

    def as_json(self) -> dict[str, Any]:
        """For the control API."""
        return {"id": self.id, **self.definition, "applied": self.applied, "times_left": self.left}


class Scenarios:
    """The scenarios of a simulator, in the order in which they were added.

    Args:
        kinds: the catalogue.
        traits: what a ``match`` may name beside ``path``, with help; see ``Call.trait``.
    """

    def __init__(self, kinds: Mapping[str, Kind], traits: Mapping[str, str]) -> None:
        self.kinds = kinds
        self.traits = traits
        self._active: dict[str, Scenario] = {}
        self._ids = itertools.count(1)

    def add(self, order: dict[str, Any]) -> Scenario:
        """Add a scenario: ``{"type", "match", "times", "after", "probability", "seed", <parameters>}``.

        Raises:
            ValueError: it does not fit the catalogue; the text says what.
        """
        scenario = _read(order, f"s{next(self._ids)}", self.kinds, self.traits)
        if scenario.kind.phase != "now":
            self._active[scenario.id] = scenario
        return scenario

    def remove(self, scenario_id: str) -> bool:
        """Switch one off; False when there is none of that id."""
        return self._active.pop(scenario_id, None) is not None

    def clear(self) -> None:
        """Switch all off."""
        self._active.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Every scenario, spent ones included, for the control API."""
        return [scenario.as_json() for scenario in self._active.values()]

    def of_phase(self, phase: str) -> list[Scenario]:
        """Scenarios that apply in a phase; spent ones are left out."""
        if not self._active:
            return []
        return [item for item in self._active.values() if item.left != 0 and item.kind.phase == phase]


def _read(order: dict[str, Any], scenario_id: str, kinds: Mapping[str, Kind], traits: Mapping[str, str]) -> Scenario:
    kind = kinds.get(str(order.get("type")))
    if kind is None:
        raise ValueError(f"type: one of {', '.join(kinds)}")
    common = {"type", "match", "times", "after", "probability", "seed"}
    unknown = order.keys() - common - kind.params.keys()
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; parameters are {', '.join(kind.params) or 'none'}")
    params = {name: order.get(name, default) for name, default in kind.params.items()}
    for name, default in kind.params.items():
        if default is not None and not _fits(params[name], default):
            raise ValueError(f"{name}: needs a {type(default).__name__}")
    if problem := kind.problem(params):
        raise ValueError(problem)
    times, after = order.get("times"), order.get("after", 0)
    if times is not None and (not isinstance(times, int) or times < 1):
        raise ValueError("times: a whole number from 1, or null")
    if not isinstance(after, int) or after < 0:
        raise ValueError("after: how many matching requests to let through first")
    probability = order.get("probability", 1.0)
    if not isinstance(probability, (int, float)) or not 0 <= probability <= 1:
        raise ValueError("probability: from 0 to 1")
    match = _read_match(order.get("match") or {}, traits)
    seed = order.get("seed", 0)
    chance = random.Random(str(seed))
    name, definition = str(order["type"]), dict(order)
    return Scenario(scenario_id, name, kind, match, times, float(probability), params, chance, definition, skip=after)


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool)


def _read_match(match: Any, traits: Mapping[str, str]) -> Match:
    if not isinstance(match, dict) or match.keys() - {*traits, "path"}:
        raise ValueError(f"match: an object with {', '.join((*traits, 'path'))}")
    try:
        path = re.compile(str(match["path"])) if match.get("path") else None
    except re.error as error:
        raise ValueError(f"match.path: no regular expression ({error})") from error
    wanted = {name: tuple(_several(match.get(name))) for name in traits if match.get(name)}
    if "method" in wanted:
        wanted["method"] = tuple(method.upper() for method in wanted["method"])
    return Match(wanted, path)


def _several(value: Any) -> Iterable[str]:
    if not value:
        return ()
    return (str(item) for item in value) if isinstance(value, list) else (str(value),)
