"""``/v1/workspaces/{id}/query`` and ``/v1/{resource id}/query``: the query API of Azure Monitor Logs.

Source: Microsoft Learn, "Azure Monitor Log Analytics API request format", "response format", "Timeouts", "Azure Monitor
Log Analytics API errors"; "Manage access to Log Analytics workspaces" (the actions of both kinds of access). GET takes
the query from the address, POST from the body.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from local.azure.arm.access import Access
from local.azure.call import Call, Refusal
from local.azure.demo.identities import LOGS_AUDIENCES
from local.azure.entra.tokens import TokenProblem, Tokens
from local.azure.inventory import Inventory, subscription_id
from local.azure.logs.store import LogStore, SavedResult
from local.azure.settings import Settings
from local.simulator_kit.calls import Answer
from local.simulator_kit.clock import Clock

QUERY = "Microsoft.OperationalInsights/workspaces/query/read"
TABLE_QUERY = "Microsoft.OperationalInsights/workspaces/query/{}/read"
RESOURCE_QUERY = "Microsoft.Insights/logs/{}/read"

_PATH = re.compile(r"/v1/(?P<scope>.+)/query/?", re.IGNORECASE)
_WAIT = re.compile(r"\bwait=(\d+)")
_DEFAULT_WAIT = 180
_LONGEST_WAIT = 600

Headers = list[tuple[str, str]]


def is_logs(path: str) -> bool:
    """Whether a path belongs to the query API."""
    return path.lower().startswith("/v1/")


class Logs:
    """Answers queries."""

    def __init__(
        self,
        store: LogStore,
        tokens: Tokens,
        access: Access,
        inventory: Inventory,
        clock: Clock,
        settings: Callable[[], Settings],
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._access = access
        self._inventory = inventory
        self._clock = clock
        self._settings = settings
        self._windows: dict[str, tuple[float, int]] = {}

    def prepare(self, call: Call) -> None:
        """Sign in and say what the call is about.

        Raises:
            Refusal: 401 without a token, 403 with one that is not good here.
        """
        try:
            caller = self._tokens.check(call.headers.get("Authorization", ""), LOGS_AUDIENCES)
        except TokenProblem as problem:
            status = 401 if problem.code == "AuthenticationFailed" else 403
            raise self.error(status, problem.code, problem.text) from problem
        call.caller = caller
        call.entry.user = caller.name
        if _PATH.fullmatch(call.path):
            call.operation = call.entry.target = "logs/query"

    def serve(self, call: Call) -> Answer:
        """Answer one prepared query.

        Raises:
            Refusal: with the error body of the API.
        """
        path = _PATH.fullmatch(unquote(call.path))
        if path is None:
            raise self.error(404, "PathNotFoundError", "The requested path does not exist")
        if call.method not in ("GET", "POST"):
            raise self.error(405, "MethodNotAllowedError", "The requested method is not supported on this resource")
        self._count(call)
        query = self._query(call)
        self._allow(call, path["scope"], query)
        found = self._store.find(query)
        if found is None:
            name = query.split("|")[0].strip() or "query"
            raise self._bad("SemanticError", "SEM0100", f"Failed to resolve table or column expression named '{name}'")
        if found.error == "syntax":
            raise self._bad("SyntaxError", "SYN0002", "A recognition error occurred in the query.")
        if found.error:
            raise self._bad("SemanticError", "SEM0100", "Failed to resolve scalar expression.")
        wait = _WAIT.search(call.headers.get("Prefer", ""))
        if found.seconds > min(int(wait[1]) if wait else _DEFAULT_WAIT, _LONGEST_WAIT):
            raise self.error(504, "GatewayTimeout", "Gateway timeout")
        return Answer(200, _body(found))

    def _query(self, call: Call) -> str:
        if call.method == "GET":
            query: Any = call.param("query")
        else:
            query = (call.json_object() or {}).get("query")
        if not isinstance(query, str) or not query.strip():
            raise self._bad("QueryValidationError", "", "Failed parsing the query")
        return query

    def _allow(self, call: Call, scope: str, query: str) -> None:
        kind, _, name = scope.partition("/")
        table = query.split()[0]
        if kind.lower() == "workspaces":
            resource = self._store.workspaces.get(name.lower(), "")
            if not resource or self._inventory.tenant_of(resource) != call.who.tenant:
                raise self.error(404, "WorkspaceNotFoundError", f"Could not find workspace '{name}'.")
            actions, where = [QUERY, TABLE_QUERY.format(table)], resource
        else:
            if subscription_id(scope) not in self._inventory.subscriptions:
                raise self.error(404, "ResourceNotFoundError", f"Resource '/{scope}' was not found.")
            actions, where = [RESOURCE_QUERY.format(table)], f"/{scope}"
        if not all(self._access.allowed(call.who, action, where) for action in actions):
            text = "The provided credentials have insufficient access to perform the requested operation"
            raise self.error(403, "InsufficientAccessError", text)

    def _count(self, call: Call) -> None:
        """200 requests in 30 seconds for one user. Raises Refusal: 429."""
        settings, now = self._settings(), self._clock.timestamp()
        start, count = self._windows.get(call.who.object_id, (now, 0))
        if not start <= now < start + settings.logs_window_s:
            start, count = now, 0
        if count >= settings.logs_queries_per_window:
            raise self.throttled(int(start + settings.logs_window_s - now) + 1)
        self._windows[call.who.object_id] = (start, count + 1)

    def throttled(self, seconds: int | None) -> Refusal:
        """429, with or without Retry-After."""
        headers = [("Retry-After", str(seconds))] if seconds is not None else []
        return self.error(429, "ThrottledError", "The request was throttled: too many requests.", headers)

    def error(
        self, status: int, code: str, message: str, headers: Headers | None = None, inner: dict[str, Any] | None = None
    ) -> Refusal:
        """A refusal in the shape of the API."""
        error: dict[str, Any] = {"message": message, "code": code, "correlationId": str(uuid.uuid4())}
        if inner is not None:
            error["innererror"] = inner
        return Refusal(Answer(status, {"error": error}, headers=headers or []), note=f"{code}: {message}")

    def _bad(self, code: str, inner: str, text: str) -> Refusal:
        deeper: dict[str, Any] = {"code": code, "message": "A semantic error occurred."}
        if inner:
            deeper["innererror"] = {"code": inner, "message": text}
        else:
            deeper["message"] = text
        return self.error(400, "BadArgumentError", "The request had some invalid properties", inner=deeper)


def _body(found: SavedResult) -> dict[str, Any]:
    body: dict[str, Any] = {"tables": [{"name": "PrimaryResult", "columns": found.columns, "rows": found.rows}]}
    if found.partial:
        inner = {"code": "-2133196797", "message": "The results of this query exceed the set limit.", "severity": 2}
        detail = {
            "code": "EngineError",
            "message": "Something went wrong processing your query on the server.",
            "innererror": inner,
        }
        body["error"] = {
            "code": "PartialError",
            "message": "There were some errors when processing your query.",
            "details": [detail],
        }
    return body
