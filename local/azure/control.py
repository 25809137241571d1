"""The control API under ``/control``: what tests see and steer, apart from the clouds' own addresses.

What makes and changes the demo data is in ``control_data.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from local.azure.call import TRAITS
from local.azure.cloud import Cloud
from local.azure.control_data import DataControl
from local.azure.entra.mint import mint
from local.azure.faults import KINDS
from local.azure.settings import Settings

#: Takes the JSON object of the body, the query, and what follows the endpoint's name in the path.
Endpoint = Callable[[dict[str, Any], dict[str, str], str], Any]


class Control:
    """Serves the control API. It needs no credentials and leaves no trace in the request log."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._endpoints: dict[tuple[str, str], tuple[Endpoint, str]] = {
            ("GET", ""): (self._help, "This list."),
            ("POST", "reset"): (self._reset, 'Back to the first day; {"keep": "settings"} keeps the settings.'),
            ("GET", "clock"): (self._clock, "The clouds' time."),
            ("POST", "clock"): (
                self._set_clock,
                'Set it: {"set": "<ISO time>"}, {"advance": seconds}, {"freeze": true|false}, {"reset": true}.',
            ),
            ("GET", "settings"): (self._settings, "Every setting with its value."),
            ("PATCH", "settings"): (self._set_settings, "Change settings."),
            ("GET", "scenarios"): (self._scenarios, "Scenarios that were ordered, with how often they struck."),
            ("POST", "scenarios"): (self._add_scenario, "Order a scenario; see scenarios below."),
            ("DELETE", "scenarios"): (self._clear_scenarios, "Switch every scenario off."),
            ("DELETE", "scenarios/{id}"): (self._remove_scenario, "Switch one scenario off."),
            ("GET", "requests"): (self._requests, "The request log; ?limit= newest (100)."),
            ("DELETE", "requests"): (self._clear_requests, "Empty the request log and the counters."),
            ("GET", "counters"): (self._counters, "Counters since the last reset of the log."),
            ("GET", "journal"): (
                self._journal,
                "What clients changed; ?service=, ?operation=, ?target= narrow it.",
            ),
            ("GET", "keys"): (self._keys, "Entra's signing keys."),
            ("POST", "keys"): (
                self._change_keys,
                '{"rotate": true, "keep_old": true, "publish": true}, or {"kid", "published": false}.',
            ),
            ("POST", "tokens"): (
                self._mint,
                "A token to order: identity, tenant, resource, version, claims, header, alg, key, secret.",
            ),
            **DataControl(cloud).endpoints(),
        }

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

    def _help(self, _body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        endpoints = {f"{way} /control/{path}".rstrip("/"): text for (way, path), (_, text) in self._endpoints.items()}
        return {
            "endpoints": endpoints,
            "settings": Settings.described(),
            "scenarios": {
                name: {"help": kind.help, "phase": kind.phase, "parameters": kind.params}
                for name, kind in KINDS.items()
            },
            "scenario_order": {
                "type": "one of scenarios",
                "match": {
                    **dict.fromkeys(TRAITS, "a value or a list"),
                    "service": "entra, identity, arm or graph",
                    "operation": "Microsoft.AlertsManagement/alerts/read, secureScores/read, token ...",
                    "path": "regular expression",
                    "phase": "in phase arrival, user is not known yet, and operation is that of Entra only",
                },
                "times": "how often it strikes; null: always",
                "after": "matching requests to let through first",
                "probability": "0 to 1",
                "seed": "of its own random numbers",
            },
        }

    def _reset(self, body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        self._cloud.reset(keep_settings=body.get("keep") == "settings")
        return {"reset": True}

    def _clock(self, *_: Any) -> Any:
        clock = self._cloud.clock
        return {"now": clock.now().isoformat(), "timestamp": clock.timestamp(), "frozen": clock.frozen}

    def _set_clock(self, body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        clock = self._cloud.clock
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
        return self._clock()

    def _settings(self, *_: Any) -> Any:
        return {"settings": self._cloud.settings.values()}

    def _set_settings(self, body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        self._cloud.settings.patch(body)
        return self._settings()

    def _scenarios(self, *_: Any) -> Any:
        return {"scenarios": self._cloud.scenarios.listed()}

    def _add_scenario(self, body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        scenario = self._cloud.scenarios.add(body)
        if scenario.type == "expire_tokens":
            return scenario.as_json() | {"tokens": self._cloud.tokens.end_all()}
        return scenario.as_json()

    def _clear_scenarios(self, *_: Any) -> Any:
        self._cloud.scenarios.clear()
        return {"scenarios": []}

    def _remove_scenario(self, _body: dict[str, Any], _query: dict[str, str], tail: str) -> Any:
        if not self._cloud.scenarios.remove(tail):
            raise KeyError(tail)
        return {"removed": tail}

    def _requests(self, _body: dict[str, Any], query: dict[str, str], _tail: str) -> Any:
        return {"requests": self._cloud.requests.latest(int(query.get("limit", "100")))}

    def _clear_requests(self, *_: Any) -> Any:
        self._cloud.requests.reset()
        return self._cloud.requests.counters()

    def _counters(self, *_: Any) -> Any:
        counters = self._cloud.requests.counters()
        # The shared log calls it table; here it is the operation.
        return {
            "by_method_and_operation" if name == "by_method_and_table" else name: counters[name] for name in counters
        }

    def _journal(self, _body: dict[str, Any], query: dict[str, str], _tail: str) -> Any:
        entries = self._cloud.journal.listed(
            query.get("service", ""), query.get("operation", ""), query.get("target", "")
        )
        return {"total": len(entries), "journal": entries}

    def _keys(self, *_: Any) -> Any:
        return {"keys": self._cloud.keys.listed()}

    def _change_keys(self, body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        keys = self._cloud.keys
        if body.get("rotate"):
            keys.rotate(bool(body.get("keep_old", True)), bool(body.get("publish", True)))
        elif "kid" in body and "published" in body:
            keys.find(str(body["kid"])).published = bool(body["published"])
        else:
            raise ValueError("rotate, or kid and published")
        return self._keys()

    def _mint(self, body: dict[str, Any], _query: dict[str, str], _tail: str) -> Any:
        return mint(body, self._cloud.tokens, self._cloud.keys)


def _body(data: bytes) -> dict[str, Any]:
    if not data.strip():
        return {}
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body
