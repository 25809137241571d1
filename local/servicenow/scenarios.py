"""Faults a test can order: their catalogue, and the ones that are on.

A scenario has a type with parameters, a match (which requests it is for), a number of times, and a probability with a
seed of its own, so that a run can be repeated. What each type does is in ``faults.py``.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from local.servicenow.request_log import RequestEntry


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of scenario. ``params`` are its parameters with their defaults; ``phase`` is when it strikes.

    Phases: ``now`` (at once, when ordered), ``arrival`` (before sign-in), ``handling`` (after sign-in, before the API),
    ``writing`` (inside a write), ``after`` (when the API is done).
    """

    phase: str
    help: str
    params: dict[str, Any] = field(default_factory=dict)


KINDS: dict[str, Kind] = {
    "expire_tokens": Kind("now", "End issued tokens at once; which: all, access or refresh.", {"which": "all"}),
    "revoke": Kind("now", "Revoke every grant at once, or those of match.user."),
    "throttle": Kind(
        "arrival",
        "429 with X-RateLimit headers and Retry-After (seconds).",
        {"retry_after": 60, "limit": 100},
    ),
    "throttle_bare": Kind("arrival", "429 without rate headers; body: empty, html or json.", {"body": "empty"}),
    "rate_limit": Kind("handling", "Count per user and clock hour; above the limit 429.", {"limit": 100}),
    "hibernate": Kind(
        "arrival", "200 with the HTML page of a sleeping instance; redirect: 302 to it.", {"redirect": False}
    ),
    "maintenance": Kind("arrival", "HTML page of the load balancer; status 502, 503 or 504.", {"status": 503}),
    "slow": Kind("arrival", "Wait, then go on.", {"seconds": 1.0}),
    "slow_quota": Kind(
        "arrival", "Wait, then 500 'maximum execution time exceeded'; nothing is written.", {"seconds": 0.0}
    ),
    "cut_before_commit": Kind("arrival", "Drop the connection; nothing is written."),
    "reject_credentials": Kind("arrival", "401, whatever the credentials; on the token endpoint too."),
    "session_queue": Kind("arrival", "202 without a body, as when the session's queue is full."),
    "acl_refuse": Kind("handling", "403 as from an access rule.", {"detail": ""}),
    "business_rule_abort": Kind(
        "handling", "403 as from a business rule that aborts.", {"rule": "Demo abort rule", "message": ""}
    ),
    "data_policy": Kind("handling", "403 as from a data policy; fields: labels.", {"fields": ["Short description"]}),
    "scope_gate": Kind("handling", "403 'Access to unscoped api is not allowed'."),
    "drop_field": Kind("writing", "Silently ignore writes of a field (or several).", {"field": "", "fields": []}),
    "overwrite_field": Kind("writing", "Replace a field after the rules ran.", {"field": "", "value": ""}),
    "late_commit": Kind("writing", "The row becomes visible only later (instance seconds).", {"seconds": 5.0}),
    "node_skew": Kind("writing", "The node's clock is off by so many seconds in time stamps.", {"seconds": -5.0}),
    "unreadable_after_create": Kind(
        "after",
        "Commit, answer 403, and hide the row from non-admins for some seconds (null: until cleared).",
        {"seconds": None},
    ),
    "partial_result": Kind(
        "after", "200 with some rows and an error; keep: how many rows (null: half).", {"keep": None}
    ),
    "truncated_json": Kind("after", "Cut the body; keep: fraction of its bytes.", {"keep": 0.5}),
    "missing_result": Kind("after", "200 JSON without 'result'."),
    "wrong_content_type": Kind("after", "The right body under another content type.", {"content_type": "text/html"}),
    "cut_after_commit": Kind("after", "Commit, then drop the connection."),
    "timeout_after_commit": Kind("after", "Commit, wait, then answer as usual.", {"seconds": 120.0}),
    "commit_then_hang": Kind("after", "Commit and never answer (at most so many seconds).", {"seconds": 300.0}),
    "commit_then_500": Kind("after", "Commit, then 500 'maximum execution time exceeded'."),
    "commit_then_403": Kind("after", "Commit, then 403 'Insufficient rights to query records'."),
}
#: These strike only when the request wrote something.
NEEDS_COMMIT = frozenset(
    {
        "unreadable_after_create",
        "cut_after_commit",
        "timeout_after_commit",
        "commit_then_hang",
        "commit_then_500",
        "commit_then_403",
    }
)
#: What a scenario may name of a request beside its path.
TRAITS = ("method", "table", "user", "operation")


class Struck(Protocol):
    """What scenarios look at in a request; the calls of every simulator have it."""

    @property
    def path(self) -> str: ...

    @property
    def entry(self) -> RequestEntry: ...

    def trait(self, name: str) -> str:
        """Value of one of the simulator's traits."""


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

    def fits(self, call: Struck) -> bool:
        """Is the request one of those?"""
        return all(call.trait(name) in wanted for name, wanted in self.traits.items()) and (
            self.path is None or self.path.search(call.path) is not None
        )


@dataclass(slots=True)
class Scenario:
    """A fault that is on. ``left`` counts down, None means without end; ``state`` is for counting types."""

    id: str
    type: str
    match: Match
    left: int | None
    probability: float
    params: dict[str, Any]
    chance: random.Random
    ordered: dict[str, Any]
    applied: int = 0
    skip: int = 0
    state: dict[str, tuple[int, int]] = field(default_factory=dict)

    def strikes(self, call: Struck) -> bool:
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
        return {"id": self.id, **self.ordered, "applied": self.applied, "times_left": self.left}


class Scenarios:
    """The scenarios of an instance, in the order they were made.

    Args:
        kinds: the catalogue.
        traits: names that an order's ``match`` may use, beside ``path``.
    """

    def __init__(self, kinds: Mapping[str, Kind] = KINDS, traits: Sequence[str] = TRAITS) -> None:
        self._kinds = kinds
        self._traits = traits
        self._active: dict[str, Scenario] = {}
        self._ids = itertools.count(1)

    def add(self, order: dict[str, Any]) -> Scenario:
        """Take an order: ``{"type", "match", "times", "after", "probability", "seed", <parameters>}``.

        Raises:
            ValueError: it does not fit the catalogue; the text says what.
        """
        scenario = _read(order, f"s{next(self._ids)}", self._kinds, self._traits)
        if self._kinds[scenario.type].phase != "now":
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
        """Scenarios that strike in a phase; spent ones are left out."""
        if not self._active:
            return []
        return [item for item in self._active.values() if item.left != 0 and self._kinds[item.type].phase == phase]


def _read(order: dict[str, Any], scenario_id: str, kinds: Mapping[str, Kind], traits: Sequence[str]) -> Scenario:
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
    if "field" in params and not (params["field"] or params.get("fields")):
        raise ValueError("field: the name of a column")
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
    return Scenario(
        scenario_id, str(order["type"]), match, times, float(probability), params, chance, dict(order), skip=after
    )


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool)


def _read_match(match: Any, traits: Sequence[str]) -> Match:
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
