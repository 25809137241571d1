"""The control API under ``/control``: what tests see and change, apart from the simulated system's own addresses.

It needs no credentials and leaves no trace in the request log. A simulator adds endpoints over its own data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from aiohttp import web

from local.simulator_kit.clock import Clock
from local.simulator_kit.request_log import RequestLog
from local.simulator_kit.scenarios import Scenario, Scenarios
from local.simulator_kit.settings import Switches

#: Takes the JSON object of the body, the query, and what follows the endpoint's name in the path. Raises ``ValueError``
#: (400, the text says why) and ``KeyError`` (404, the argument says what is missing).
Endpoint = Callable[[dict[str, Any], dict[str, str], str], Any]
#: Endpoints with their help, by method and path; ``name/{id}`` is one with something after its name.
Endpoints = dict[tuple[str, str], tuple[Endpoint, str]]


class Simulated(Protocol):
    """The state of a simulator, as far as the kit uses it."""

    @property
    def clock(self) -> Clock: ...

    @property
    def settings(self) -> Switches: ...

    @property
    def requests(self) -> RequestLog: ...

    @property
    def scenarios(self) -> Scenarios: ...

    def reset(self, *, keep_settings: bool) -> None:
        """Back to the first day."""


class Control:
    """Serves the control API of one simulator."""

    def __init__(self, state: Simulated) -> None:
        self._state = state
        self._endpoints: Endpoints = {
            ("GET", ""): (self._help, "This list."),
            ("POST", "reset"): (self._reset, 'Back to the first day; {"keep": "settings"} keeps the settings.'),
            ("GET", "clock"): (self._clock, "The simulator's time."),
            ("POST", "clock"): (
                self._set_clock,
                'Set it: {"set": "<ISO time>"}, {"advance": seconds}, {"freeze": true|false}, {"reset": true}.',
            ),
            ("GET", "settings"): (self._settings, "Every setting with its value."),
            ("PATCH", "settings"): (self._set_settings, "Change settings."),
            ("GET", "scenarios"): (self._scenarios, "Scenarios that were added, with how often each was applied."),
            ("POST", "scenarios"): (self._add_scenario, "Add a scenario; see scenarios below."),
            ("DELETE", "scenarios"): (self._clear_scenarios, "Switch every scenario off."),
            ("DELETE", "scenarios/{id}"): (self._remove_scenario, "Switch one scenario off."),
            ("GET", "requests"): (self._requests, "The request log; ?limit= newest (100)."),
            ("DELETE", "requests"): (self._clear_requests, "Empty the request log and the counters."),
            ("GET", "counters"): (self._counters, "Counters since the last reset of the log."),
            **self.more_endpoints(),
        }

    # What simulators add

    def more_endpoints(self) -> Endpoints:
        """The simulator's own endpoints; one of the same method and path replaces the kit's."""
        return {}

    def more_help(self) -> dict[str, Any]:
        """Further entries of ``GET /control``."""
        return {}

    def shown_settings(self) -> dict[str, Any]:
        """Answer of ``GET /control/settings``."""
        return {"settings": self._state.settings.values()}

    def change_settings(self, changes: dict[str, Any]) -> None:
        """Set several settings, or none.

        Raises:
            ValueError: a name or value does not fit.
        """
        self._state.settings.patch(changes)

    def clock_moved(self) -> None:
        """The clock was set."""

    def apply_now(self, _scenario: Scenario, /) -> dict[str, Any]:
        """Apply a scenario of phase ``now``; called for every new one. Returns further members of the answer."""
        return {}

    def scenarios_cleared(self) -> None:
        """Every scenario was switched off."""

    # The kit's endpoints

    async def handle(self, request: web.Request) -> web.Response:
        """Route and answer; errors are 400, 404 or 405 with ``{"error": text}``."""
        rest = request.path.removeprefix("/control").strip("/")
        head, _, tail = rest.partition("/")
        key = f"{head}/{{id}}" if tail else head
        found = self._endpoints.get((request.method, key))
        if found is None:
            known = any(name == key for _, name in self._endpoints)
            return web.json_response({"error": "no such endpoint; see GET /control"}, status=405 if known else 404)
        try:
            return web.json_response(found[0](_body(await request.read()), dict(request.query), tail))
        except KeyError as error:
            return web.json_response({"error": f"not found: {error.args[0]}"}, status=404)
        except (TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)

    def _help(self, *_: Any) -> Any:
        scenarios = self._state.scenarios
        return {
            "endpoints": {
                f"{method} /control/{path}".rstrip("/"): text for (method, path), (_, text) in self._endpoints.items()
            },
            "settings": self._state.settings.described(),
            **self.more_help(),
            "scenarios": {
                name: {"help": kind.help, "phase": kind.phase, "parameters": kind.params}
                for name, kind in scenarios.kinds.items()
            },
            "scenario_order": {
                "type": "one of scenarios",
                "match": {**scenarios.traits, "path": "regular expression"},
                "times": "how often it is applied; null: always",
                "after": "matching requests to let through first",
                "probability": "0 to 1",
                "seed": "of its own random numbers",
            },
        }

    def _reset(self, body: dict[str, Any], *_: Any) -> Any:
        self._state.reset(keep_settings=body.get("keep") == "settings")
        return {"reset": True}

    def _clock(self, *_: Any) -> Any:
        clock = self._state.clock
        return {"now": clock.now().isoformat(), "timestamp": clock.timestamp(), "frozen": clock.frozen}

    def _set_clock(self, body: dict[str, Any], *_: Any) -> Any:
        clock = self._state.clock
        if not body or body.keys() - {"set", "advance", "freeze", "reset"}:
            raise ValueError("one or more of set, advance, freeze, reset")
        if body.get("reset"):
            clock.reset()
        if "freeze" in body:
            clock.freeze(bool(body["freeze"]))
        if "set" in body:
            when = datetime.fromisoformat(str(body["set"]))
            clock.set(when if when.tzinfo else when.replace(tzinfo=UTC))
        if "advance" in body:
            clock.advance(float(body["advance"]))
        self.clock_moved()
        return self._clock()

    def _settings(self, *_: Any) -> Any:
        return self.shown_settings()

    def _set_settings(self, body: dict[str, Any], *_: Any) -> Any:
        self.change_settings(body)
        return self.shown_settings()

    def _scenarios(self, *_: Any) -> Any:
        return {"scenarios": self._state.scenarios.listed()}

    def _add_scenario(self, body: dict[str, Any], *_: Any) -> Any:
        scenario = self._state.scenarios.add(body)
        return scenario.as_json() | self.apply_now(scenario)

    def _clear_scenarios(self, *_: Any) -> Any:
        self._state.scenarios.clear()
        self.scenarios_cleared()
        return {"scenarios": []}

    def _remove_scenario(self, _body: dict[str, Any], _query: dict[str, str], tail: str) -> Any:
        if not self._state.scenarios.remove(tail):
            raise KeyError(tail)
        return {"removed": tail}

    def _requests(self, _body: dict[str, Any], query: dict[str, str], _tail: str) -> Any:
        return {"requests": self._state.requests.latest(limit_of(query, 100))}

    def _clear_requests(self, *_: Any) -> Any:
        self._state.requests.reset()
        return self._state.requests.counters()

    def _counters(self, *_: Any) -> Any:
        return self._state.requests.counters()


def limit_of(query: dict[str, str], default: int) -> int:
    """The parameter ``limit``.

    Raises:
        ValueError: it is no whole number.
    """
    text = query.get("limit", str(default))
    if not text.isdecimal():
        raise ValueError("limit: a whole number")
    return int(text)


def _body(data: bytes) -> dict[str, Any]:
    if not data.strip():
        return {}
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body
