"""Routes of HTTP triggers: templates such as ``tickets/{id:int}/notes/{note?}`` or ``files/{*path}``.

Matching ignores case; literal segments go before parameters, parameters with a constraint before those without, and
catch-alls come last, as in ASP.NET routing, which Azure's host uses. Source: Microsoft Learn, "HTTP trigger"
(customize the HTTP endpoint) and "Routing in ASP.NET Core" (route constraints).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from local.host.bindings import Function, HttpTrigger
from local.host.errors import HostError

_CONSTRAINTS = {
    "": r"[^/]+",
    "int": r"-?[0-9]+",
    "long": r"-?[0-9]+",
    "guid": r"\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?",
    "alpha": r"[a-z]+",
    "bool": r"true|false",
}
_PARAMETER = re.compile(r"\{(\*?)([A-Za-z_]\w*)(?::([a-z]+))?(\??)\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One function's route. ``order`` sorts the more particular ones first."""

    function: Function
    methods: frozenset[str] | None
    pattern: re.Pattern[str]
    order: tuple[int, ...]


class Router:
    """Finds the function for a method and a path."""

    def __init__(self, functions: list[Function], prefix: str) -> None:
        """``prefix`` is host.json's routePrefix, empty for none. Raises HostError for bad or ambiguous routes."""
        self._literal: dict[str, list[Route]] = {}
        self._patterns: list[Route] = []
        for function in functions:
            if isinstance(function.trigger, HttpTrigger):
                self._add(function, function.trigger, prefix)
        self._patterns.sort(key=lambda route: route.order)

    def _add(self, function: Function, trigger: HttpTrigger, prefix: str) -> None:
        path = "/".join(part for part in (prefix, trigger.route.strip("/")) if part)
        pattern, order = _compile(path, function.name)
        route = Route(function, trigger.methods, pattern, order)
        literal = "{" not in path
        others = self._literal.setdefault(f"/{path.lower()}", []) if literal else self._patterns
        for other in others:
            if _shape(other.pattern) == _shape(pattern) and _overlap(other.methods, trigger.methods):
                raise HostError(f"functions {other.function.name} and {function.name} have the same route /{path}")
        others.append(route)

    def find(self, method: str, path: str) -> tuple[Function, dict[str, str]] | None:
        """The function and the values of its route parameters; None when there is none for method and path.

        ``path`` is decoded and begins with a slash. A parameter left out has no value.
        """
        path = path.rstrip("/") or "/"
        for route in self._literal.get(path.lower(), ()):
            if route.methods is None or method in route.methods:
                return route.function, {}
        for route in self._patterns:
            if route.methods is None or method in route.methods:
                match = route.pattern.fullmatch(path)
                if match:
                    return route.function, {name: value for name, value in match.groupdict().items() if value}
        return None


def _shape(pattern: re.Pattern[str]) -> str:
    """The same for patterns that match the same paths, whatever their parameters are called."""
    return re.sub(r"\?P<\w+>", "", pattern.pattern).lower()


def _overlap(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    return one is None or other is None or bool(one & other)


def _compile(path: str, name: str) -> tuple[re.Pattern[str], tuple[int, ...]]:
    pattern, order = "", []
    for segment in path.split("/") if path else ():
        piece, rank = _segment(segment, f"function {name}: route /{path}")
        pattern += piece
        order.append(rank)
    return re.compile(pattern or "/", re.IGNORECASE), tuple(order)


def _segment(segment: str, where: str) -> tuple[str, int]:
    """The pattern of one segment with its slash, and its rank: 0 literal, 1 constrained, 2 parameter, 3 catch-all."""
    if "{" not in segment and "}" not in segment:
        return "/" + re.escape(segment), 0
    match = _PARAMETER.fullmatch(segment)
    if match is None or (match[3] or "") not in _CONSTRAINTS:
        raise HostError(
            f"{where}: segment {segment!r} is not supported here; a segment is text or one parameter: "
            "{name}, {name?}, {*name} or {name:constraint} with " + ", ".join(filter(None, _CONSTRAINTS))
        )
    if match[1]:
        return f"(?:/(?P<{match[2]}>.*))?", 3
    value = f"/(?P<{match[2]}>{_CONSTRAINTS[match[3] or '']})"
    return (f"(?:{value})?" if match[4] else value), (1 if match[3] else 2)
