"""Which operation a Resource Manager address means.

An address is ``<scope>/providers/<namespace>/<rest>``, where the last ``/providers/`` counts: the scope may hold
others. Names in it compare without case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from local.azure.arm.errors import arm_error, not_found
from local.azure.call import Call
from local.simulator_kit.calls import Answer

_ADDRESS = re.compile(r"^(?P<scope>.*)/providers/(?P<namespace>[^/]+)/(?P<rest>.+)$", re.IGNORECASE)
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-[a-z]+)?")


@dataclass(frozen=True, slots=True)
class Target:
    """What an address means: the scope as the client spelled it, and the placeholders of the route."""

    scope: str
    args: dict[str, str]
    version: str


Handler = Callable[[Call, Target], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. ``pattern`` is what follows ``/providers/``, with ``{names}``; for an address without provider it
    is the whole path. ``versions`` are the API versions that exist."""

    method: str
    pattern: str
    action: str
    versions: tuple[str, ...]
    handler: Handler


class Router:
    """Finds the route of a call."""

    def __init__(self, routes: list[Route]) -> None:
        self._routes = [(_compile(route.pattern), route) for route in routes]

    def find(self, call: Call) -> tuple[Route, Target]:
        """Route and target of a call.

        Raises:
            Refusal: 404, 405, or 400 for the API version.
        """
        path = "/" + unquote(call.path).strip("/")
        address = _ADDRESS.match(path)
        scope, rest = (address["scope"], f"{address['namespace']}/{address['rest']}") if address else ("", path[1:])
        methods: list[str] = []
        for pattern, route in self._routes:
            found = pattern.fullmatch(rest)
            if not found:
                continue
            methods.append(route.method)
            if route.method == call.method:
                return route, Target(scope, found.groupdict(), _version(call, route))
        if methods:
            text = f"The requested resource does not support http method '{call.method}'."
            raise arm_error(405, "MethodNotAllowed", text, ("Allow", ", ".join(methods)))
        raise not_found(path)


def _compile(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\{", "{").replace(r"\}", "}")
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", escaped), re.IGNORECASE)


def _version(call: Call, route: Route) -> str:
    version = call.param("api-version")
    if not version:
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise arm_error(400, "MissingApiVersionParameter", text)
    if not _VERSION.fullmatch(version):
        supported = ",".join(route.versions)
        text = f"The api-version '{version}' is invalid. The supported versions are '{supported}'."
        raise arm_error(400, "InvalidApiVersionParameter", text)
    if version not in route.versions:
        kind = route.action.rpartition("/")[0]
        text = (
            f"No registered resource provider found for location '' and API version '{version}' for type '{kind}'. The "
            f"supported api-versions are '{', '.join(route.versions)}'."
        )
        raise arm_error(400, "NoRegisteredProviderFound", text)
    return version
