"""The control API under ``/control``: what tests see and steer, apart from the instance's own addresses."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from local.servicenow.demo.platform import PROPERTIES
from local.servicenow.errors import ApiError
from local.servicenow.identity import SYSTEM
from local.servicenow.instance import Instance
from local.servicenow.scenarios import KINDS, Scenario
from local.servicenow.settings import Settings
from local.servicenow.writing import WriteContext

Endpoint = Callable[[web.Request], Awaitable[Any]]


class ControlError(Exception):
    """A control request does not fit; the text says why."""


class Control:
    """Serves the control API of one instance. It needs no credentials and leaves no trace in the request log."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._endpoints: dict[tuple[str, str], tuple[Endpoint, str]] = {
            ("GET", ""): (self._help, "This list."),
            ("POST", "reset"): (self._reset, 'Back to the first day; {"keep": "settings"} keeps the settings.'),
            ("GET", "clock"): (self._clock, "The instance's time."),
            ("POST", "clock"): (
                self._set_clock,
                'Set it: {"set": "<ISO time>"}, {"advance": seconds}, {"freeze": true|false}, {"reset": true}.',
            ),
            ("GET", "settings"): (self._settings, "Every setting and instance property with its value."),
            ("PATCH", "settings"): (self._set_settings, "Change settings, and properties by name (glide.*)."),
            ("GET", "scenarios"): (self._scenarios, "Scenarios that were ordered, with how often they struck."),
            ("POST", "scenarios"): (self._add_scenario, "Order a scenario; see scenarios below."),
            ("DELETE", "scenarios"): (self._clear_scenarios, "Switch every scenario off."),
            ("DELETE", "scenarios/{id}"): (self._remove_scenario, "Switch one scenario off."),
            ("GET", "requests"): (self._requests, "The request log; ?limit= newest (100)."),
            ("DELETE", "requests"): (self._clear_requests, "Empty the request log and the counters."),
            ("GET", "counters"): (self._counters, "Counters since the last reset of the log."),
            ("GET", "journal"): (self._journal, "What was committed; ?table=, ?limit= newest (1000)."),
            ("GET", "history/{id}"): (self._history, "What was committed to one record."),
            ("POST", "rows"): (
                self._insert,
                'Insert many rows as the system, {"table": "incident", "rows": [{...}]}; time stamps may be given.',
            ),
            ("GET", "violations"): (
                self._violations,
                "Writes on closed tickets, and rows that share a correlation_id.",
            ),
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Route and answer; errors are 400, 404 or 405 with ``{"error": text}``."""
        rest = request.path.removeprefix("/control").strip("/")
        head, _, tail = rest.partition("/")
        key = f"{head}/{{id}}" if tail else head
        found = self._endpoints.get((request.method, key))
        if found is None:
            known = any(name == key for _, name in self._endpoints)
            return _json({"error": "no such endpoint; see GET /control"}, 405 if known else 404)
        try:
            return _json(await found[0](request))
        except (ControlError, ValueError) as error:
            return _json({"error": str(error)}, 400)
        except KeyError as error:
            return _json({"error": f"not found: {error.args[0]}"}, 404)

    async def _help(self, _request: web.Request) -> Any:
        return {
            "endpoints": {
                f"{method} /control/{path}".rstrip("/"): text for (method, path), (_, text) in self._endpoints.items()
            },
            "settings": Settings.described(),
            "properties": PROPERTIES,
            "scenarios": {
                name: {"help": kind.help, "phase": kind.phase, "parameters": kind.params}
                for name, kind in KINDS.items()
            },
            "scenario_order": {
                "type": "one of scenarios",
                "match": {
                    "method": "GET or a list",
                    "table": "incident or a list",
                    "path": "regular expression",
                    "user": "user name",
                    "operation": "query, insert, update, delete, or a list",
                },
                "times": "how often it strikes; null: always",
                "after": "matching requests to let through first",
                "probability": "0 to 1",
                "seed": "of its own random numbers",
            },
        }

    async def _reset(self, request: web.Request) -> Any:
        body = await _body(request)
        self._instance.reset(keep_settings=body.get("keep") == "settings")
        return {"reset": True}

    async def _clock(self, _request: web.Request) -> Any:
        clock = self._instance.clock
        return {"now": clock.now().isoformat(), "timestamp": clock.timestamp(), "frozen": clock.frozen}

    async def _set_clock(self, request: web.Request) -> Any:
        body = await _body(request)
        clock = self._instance.clock
        unknown = body.keys() - {"set", "advance", "freeze", "reset"}
        if unknown or not body:
            raise ControlError("one or more of set, advance, freeze, reset")
        if body.get("reset"):
            clock.reset()
        if "freeze" in body:
            clock.freeze(bool(body["freeze"]))
        if "set" in body:
            when = datetime.fromisoformat(str(body["set"]))
            clock.set(when if when.tzinfo else when.replace(tzinfo=UTC))
        if "advance" in body:
            clock.advance(float(body["advance"]))
        self._instance.clock_moved()
        return await self._clock(request)

    async def _settings(self, _request: web.Request) -> Any:
        properties = {row.get("name"): row.get("value") for row in self._instance.store.scan("sys_properties")}
        return {"settings": self._instance.settings.values(), "properties": properties}

    async def _set_settings(self, request: web.Request) -> Any:
        self._instance.change_settings(await _body(request))
        return await self._settings(request)

    async def _scenarios(self, _request: web.Request) -> Any:
        return {"scenarios": self._instance.scenarios.listed()}

    async def _add_scenario(self, request: web.Request) -> Any:
        scenario = self._instance.scenarios.add(await _body(request))
        touched = self._strike_now(scenario)
        return scenario.as_json() | ({"grants": touched} if touched is not None else {})

    def _strike_now(self, scenario: Scenario) -> int | None:
        """Types that act when ordered; returns how many grants they ended."""
        tokens = self._instance.tokens
        if scenario.type == "expire_tokens":
            return tokens.expire(scenario.params["which"])
        if scenario.type != "revoke":
            return None
        user = self._instance.accounts.user(scenario.match.user) if scenario.match.user else None
        ended = 0
        for token in tokens:
            if not scenario.match.user or (user is not None and token.user == user.sys_id):
                tokens.revoke(token.access)
                tokens.revoke(token.refresh)
                ended += 1
        return ended

    async def _clear_scenarios(self, _request: web.Request) -> Any:
        self._instance.scenarios.clear()
        self._instance.visibility.clear()
        return {"scenarios": []}

    async def _remove_scenario(self, request: web.Request) -> Any:
        scenario_id = _record_of(request)
        if not self._instance.scenarios.remove(scenario_id):
            raise KeyError(scenario_id)
        return {"removed": scenario_id}

    async def _requests(self, request: web.Request) -> Any:
        return {"requests": self._instance.requests.latest(_limit(request, 100))}

    async def _clear_requests(self, _request: web.Request) -> Any:
        self._instance.requests.reset()
        return self._instance.requests.counters()

    async def _counters(self, _request: web.Request) -> Any:
        return self._instance.requests.counters()

    async def _journal(self, request: web.Request) -> Any:
        table = request.query.get("table")
        limit = _limit(request, 1000)
        entries = [entry for entry in self._instance.journal.entries if not table or entry.table == table]
        return {"total": len(entries), "journal": [entry.as_json() for entry in entries[-limit:]] if limit else []}

    async def _history(self, request: web.Request) -> Any:
        return {"history": [entry.as_json() for entry in self._instance.journal.history(_record_of(request))]}

    async def _insert(self, request: web.Request) -> Any:
        body = await _body(request)
        table, rows = body.get("table"), body.get("rows")
        if not isinstance(table, str) or table not in self._instance.dictionary:
            raise ControlError("table: the name of a table")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ControlError("rows: a list of objects")
        context = WriteContext(SYSTEM, suppress_auto=True)
        try:
            return {"sys_ids": [self._instance.writer.insert(table, row, context).sys_id for row in rows]}
        except ApiError as error:
            raise ControlError(f"a row was refused: {error.detail or error.message}") from error

    async def _violations(self, _request: web.Request) -> Any:
        journal, store, dictionary = self._instance.journal, self._instance.store, self._instance.dictionary
        duplicates = [
            {
                "table": table,
                "correlation_id": key,
                "sys_ids": ids,
                "present": [sys_id for sys_id in ids if store.get(table, sys_id) is not None],
            }
            for table, key, ids in journal.duplicates()
            # Rows of staging tables may repeat a key: each is one attempt.
            if table in dictionary and dictionary.base(table) in ("task", "cmdb")
        ]
        return {
            "closed_writes": [entry.as_json() for entry in journal.closed_writes()],
            "duplicates": duplicates,
        }


def _record_of(request: web.Request) -> str:
    """What follows the endpoint's name in the path."""
    return request.path.removeprefix("/control/").strip("/").partition("/")[2]


async def _body(request: web.Request) -> dict[str, Any]:
    data = await request.read()
    if not data.strip():
        return {}
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ControlError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return body


def _limit(request: web.Request, default: int) -> int:
    text = request.query.get("limit", str(default))
    if not text.isdecimal():
        raise ControlError("limit: a whole number")
    return int(text)


def _json(payload: Any, status: int = 200) -> web.Response:
    return web.json_response(payload, status=status)
