"""``POST /providers/Microsoft.ResourceGraph/resources``.

Source: REST reference "Resources" (2022-10-01), "Work with large Azure resource data sets" (pages of at most 1,000
rows, a ``$skipToken`` only when ``id`` is in the result, ``resultTruncated``), "Guidance for throttled requests" (quota
headers), error bodies as users report them.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable
from typing import Any

from local.azure.arm.access import Access
from local.azure.arm.errors import arm_error
from local.azure.arm.paging import read_token, write_token
from local.azure.arm.routing import Route, Target
from local.azure.call import Call, Refusal
from local.azure.inventory import Inventory
from local.azure.logs.store import LogStore
from local.azure.resource_graph.parser import Parser
from local.azure.resource_graph.steps import Plan, Row
from local.azure.resource_graph.tables import TABLES, Tables
from local.azure.resource_graph.tokens import BadQuery
from local.azure.settings import Settings
from local.azure.times import iso7
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock

VERSIONS = ("2019-04-01", "2020-04-01-preview", "2021-03-01", "2022-10-01", "2024-04-01")
READ = "Microsoft.ResourceGraph/resources/read"
_MOST = 1000
_DEFAULT = 100
_OPTIONS = ("$top", "$skip", "$skipToken", "resultFormat", "allowPartialScopes", "authorizationScopeFilter")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


class ResourceGraph:
    """Runs queries; those of ``saved`` give what tests set. The last results are kept until anything changes, as pages
    of one query ask for the same again."""

    def __init__(
        self,
        tables: Tables,
        inventory: Inventory,
        access: Access,
        clock: Clock,
        settings: Callable[[], Settings],
        saved: LogStore,
    ) -> None:
        self._tables = tables
        self._inventory = inventory
        self._access = access
        self._clock = clock
        self._settings = settings
        self._saved = saved
        self._windows: dict[str, tuple[float, int]] = {}
        self._kept: dict[str, tuple[Plan, list[Row]]] = {}
        self._kept_revision = -1
        self._queries = 0

    def reset(self) -> None:
        """Full quota, nothing kept."""
        self._windows.clear()
        self._kept.clear()

    def routes(self) -> list[Route]:
        """Addresses and actions."""
        return [Route("POST", "Microsoft.ResourceGraph/resources", READ, VERSIONS, self._query)]

    def _query(self, call: Call, target: Target) -> Answer:
        self._count(call)
        body = call.json_object()
        if not body or not isinstance(body.get("query"), str) or not body["query"].strip():
            raise self._error("The request body must have a 'query'.", {"code": "InvalidQuery", "message": "query"})
        options = body.get("options") or {}
        unknown = [name for name in options if name not in _OPTIONS]
        if unknown or body.get("facets"):
            raise self._error("Not supported here: " + ", ".join([*unknown, "facets"]), {"code": "InvalidOptions"})
        scope = self._scope(call, body)
        saved = self._saved.find(body["query"])
        if saved is not None:
            table = {"columns": saved.columns, "rows": saved.rows}
            return Answer(200, {"totalRecords": len(saved.rows), "count": len(saved.rows), "data": table, "facets": []})
        token = read_token(str(options["$skipToken"])) if options.get("$skipToken") else {}
        if token is None:
            raise self._error("skip token", {"code": "InvalidSkipToken", "message": "The $skipToken is not valid."})
        plan, rows, turn = self._result(body["query"], scope, token.get("turn"))
        top = self._number(options, "$top", _DEFAULT, 1, _MOST) if "$top" in options else token.get("top", _DEFAULT)
        start = int(token.get("at", 0 if plan.limited else self._number(options, "$skip", 0, 0, 2**31)))
        page = rows[start : start + top]
        more = start + top < len(rows)
        pageable = "id" in plan.columns
        answer: dict[str, Any] = {
            "totalRecords": len(rows),
            "count": len(page),
            "data": self._formatted(options, target.version, plan, page),
            "facets": [],
            "resultTruncated": "true" if more and not pageable else "false",
        }
        if more and pageable:
            answer["$skipToken"] = write_token({"at": start + top, "top": top, "turn": turn})
        if self._settings().graph_subscription_limit_hit:
            call.extra_headers.append(("x-ms-tenant-subscription-limit-hit", "true"))
        return Answer(200, answer)

    def _scope(self, call: Call, body: dict[str, Any]) -> set[str]:
        """Subscriptions (lower case) that the query is about and the caller may read."""
        readable = set(self._access.subscriptions(call.who, READ))
        asked = body.get("subscriptions") or []
        groups = body.get("managementGroups") or []
        if asked and groups:
            raise self._error("both scopes", {"code": "BadRequest", "message": "Either subscriptions or groups."})
        found = readable
        if asked:
            found = {str(one).lower() for one in asked} & readable
        if groups:
            found = set()
            for group in groups:
                scope = f"/providers/Microsoft.Management/managementGroups/{group}"
                covers = self._inventory.covers(scope, call.who.tenant)
                found |= {one for one in readable if covers(f"/subscriptions/{one}")}
        if not found:
            text = f"There must be at least one subscription that is eligible to contain resources. Given: '{asked}'."
            raise self._error("no scope", {"code": "NoValidSubscriptionsInQueryRequest", "message": text})
        return found

    def _result(self, query: str, scope: set[str], turn: Any) -> tuple[Plan, list[Row], int]:
        """Plan, rows and turn: without an order rows begin elsewhere each turn, but alike for all pages of a query."""
        if self._kept_revision != self._inventory.revision:
            self._kept.clear()
            self._kept_revision = self._inventory.revision
        key = json.dumps([query, sorted(scope)])
        kept = None if "now(" in query or "ago(" in query else self._kept.get(key)
        if kept is None:
            try:
                plan = Parser(query, dict(TABLES), self._clock.now()).parse()
            except BadQuery as problem:
                raise self._invalid(problem) from problem
            days = self._settings().alerts_kept_days
            kept = plan, plan.run(lambda table: self._tables.rows(table, scope, days))
            if len(self._kept) >= 8:
                self._kept.clear()
            self._kept[key] = kept
        plan, rows = kept
        if not isinstance(turn, int):
            self._queries += 1
            turn = self._queries
        if not plan.ordered and rows:
            first = turn * 7 % len(rows)
            rows = rows[first:] + rows[:first]
        return plan, rows, turn

    def _formatted(self, options: dict[str, Any], version: str, plan: Plan, rows: list[Row]) -> Any:
        form = str(options.get("resultFormat") or ("table" if version < "2020" else "objectArray")).lower()
        if form == "objectarray":
            return [{name: _written(value) for name, value in row.items()} for row in rows]
        if form != "table":
            raise self._error(form, {"code": "InvalidOptions", "message": "resultFormat: table or objectArray"})
        columns = [{"name": name, "type": _type(rows, name)} for name in plan.columns]
        return {"columns": columns, "rows": [[_written(row[name]) for name in plan.columns] for row in rows]}

    def _number(self, options: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
        value = options.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            text = f"{name} must be between {least} and {most}."
            raise self._error(text, {"code": "InvalidOptions", "message": text})
        return value

    def _count(self, call: Call) -> None:
        """Count a query in the principal's window.

        Raises:
            Refusal: 429; the wait stands in ``x-ms-user-quota-resets-after`` and Retry-After.
        """
        settings = self._settings()
        now = self._clock.timestamp()
        start, count = self._windows.get(call.who.object_id, (now, 0))
        if not start <= now < start + settings.graph_window_s:
            start, count = now, 0
        left = max(1, math.ceil(start + settings.graph_window_s - now))
        remaining = settings.graph_queries_per_window - count - 1
        resets = f"{left // 3600:02}:{left // 60 % 60:02}:{left % 60:02}"
        call.extra_headers += [
            ("x-ms-user-quota-remaining", str(max(0, remaining))),
            ("x-ms-user-quota-resets-after", resets),
            ("x-ms-resource-graph-request-duration", "0:00:00:00.0100000"),
        ]
        if remaining < 0:
            raise self.throttled(left)
        self._windows[call.who.object_id] = (start, count + 1)

    def throttled(self, seconds: int | None) -> Refusal:
        """429 in Resource Graph's shape, with or without Retry-After."""
        text = "Client application has been throttled and should not attempt to repeat the request at once."
        headers = [("Retry-After", str(seconds))] if seconds is not None else []
        return arm_error(
            429, "RateLimiting", self._support(), *headers, details=[{"code": "RateLimiting", "message": text}]
        )

    def _support(self) -> str:
        stamp = iso7(self._clock.now())
        return (
            f"Please provide below info when asking for support: timestamp = {stamp}, correlationId = {uuid.uuid4()}."
        )

    def _error(self, note: str, *details: dict[str, Any]) -> Refusal:
        refusal = arm_error(400, "BadRequest", self._support(), details=list(details))
        refusal.note = note
        return refusal

    def _invalid(self, problem: BadQuery) -> Refusal:
        text = "Query is invalid. Please refer to the documentation for the Azure Resource Graph service."
        detail: dict[str, Any] = {"code": problem.code, "message": problem.code}
        if problem.code == "DisallowedLogicalTableName" and problem.token:
            detail["message"] = f"Table {problem.token.text} is invalid, unsupported or disallowed."
        elif problem.token:
            detail |= {
                "line": problem.token.line,
                "characterPositionInLine": problem.token.column,
                "token": problem.token.text,
            }
        return self._error(problem.reason, {"code": "InvalidQuery", "message": text}, detail)


def _written(value: Any) -> Any:
    """A value as JSON has it."""
    return iso7(value) if hasattr(value, "astimezone") else value


def _type(rows: list[Row], name: str) -> str:
    value = next((row[name] for row in rows if row[name] is not None), None)
    return "datetime" if hasattr(value, "astimezone") else _TYPES.get(type(value), "object")
