"""The faults that a test can switch on, and what each does to a request.

A phase of this simulator's own: ``handling`` (after sign-in, before the service does anything).
"""

from __future__ import annotations

from typing import Any

from local.azure.arm.access import forbidden
from local.azure.arm.errors import arm_error
from local.azure.call import Call, Refusal
from local.azure.entra.errors import entra_error
from local.azure.graph.service import Graph
from local.azure.ingestion.service import Ingestion
from local.azure.logs.service import Logs
from local.azure.resource_graph.service import READ, ResourceGraph
from local.simulator_kit import faults
from local.simulator_kit.calls import Answer, html
from local.simulator_kit.clock import Clock
from local.simulator_kit.faults import COMMON_KINDS, Wait
from local.simulator_kit.scenarios import Kind, Scenario, Scenarios

KINDS: dict[str, Kind] = {
    **COMMON_KINDS,
    "expire_tokens": Kind("now", "End every access token that was issued so far: 401 where it is shown."),
    "throttle": Kind(
        "handling",
        "429 in the service's own shape; retry_after: seconds; bare: without that header.",
        {"retry_after": 5, "bare": False},
    ),
    "fail": Kind(
        "handling",
        "An error of the service; status 500, 502, 503 or 504; html: the gateway's page instead of JSON.",
        {"status": 503, "html": False, "retry_after": None},
    ),
    "deny": Kind(
        "handling", "403; code: AuthorizationFailed or LinkedAuthorizationFailed.", {"code": "AuthorizationFailed"}
    ),
    "reject_credentials": Kind("arrival", "The token endpoint answers 401 invalid_client, whatever the credentials."),
    "page": Kind("after", "200 with an HTML page, as from a proxy that wants a sign-in."),
    "commit_then_fail": Kind("after", "Commit, then 500.", needs_commit=True),
    "empty_page": Kind("after", "A list page without items, whose nextLink is the page that was asked for."),
    "partial_content": Kind("after", "Graph only: 206 with a Warning header, as when one provider failed."),
}
_TITLES = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}


class Faults(faults.Faults[Call]):
    """Applies the scenarios that are on."""

    def __init__(
        self,
        scenarios: Scenarios,
        clock: Clock,
        graph: Graph,
        resource_graph: ResourceGraph,
        logs: Logs,
        ingestion: Ingestion,
    ) -> None:
        super().__init__(scenarios)
        self._clock = clock
        self._graph = graph
        self._resource_graph = resource_graph
        self._logs = logs
        self._ingestion = ingestion

    def concerns(self, scenario: Scenario, call: Call, answer: Answer | None, /) -> bool:
        """Some kinds make sense for one service, or for lists, only."""
        match scenario.type:
            case "reject_credentials":
                return call.operation == "token"
            case "partial_content":
                return call.service == "graph"
            case "empty_page":
                payload = answer.payload if answer else None
                return isinstance(payload, dict) and isinstance(payload.get("value"), list)
        return True

    async def on_arrival(self, _scenario: Scenario, call: Call, _wait: Wait, /) -> Answer | None:
        """The only own kind of this phase: ``reject_credentials``.

        Raises:
            Refusal: the fault.
        """
        raise entra_error(call, self._clock, 401, "invalid_client", 7000215, "Invalid client secret provided.")

    def handling(self, call: Call) -> None:
        """After sign-in, before the service does anything.

        Raises:
            Refusal: the fault.
        """
        for scenario in self.scenarios.of_phase("handling"):
            if scenario.triggers(call):
                raise self._refusal(call, scenario)

    def _refusal(self, call: Call, scenario: Scenario) -> Refusal:
        params = scenario.params
        if scenario.type == "throttle":
            return self._throttled(call, None if params["bare"] else params["retry_after"])
        if scenario.type == "deny":
            if call.service == "graph":
                return self._graph.error(call, 403, "Authorization_RequestDenied", "Insufficient privileges.")
            if call.service == "logs":
                return self._logs.error(403, "InsufficientAccessError", "The provided credentials have no access.")
            if call.service == "ingestion":
                return self._ingestion.forbidden(call)
            if call.service != "arm":
                return entra_error(call, self._clock, 401, "unauthorized_client", 7000112, "Application is disabled.")
            return forbidden(call.who, call.operation, call.path.partition("/providers/")[0] or "/", params["code"])
        return self._failed(call, params)

    def _throttled(self, call: Call, seconds: int | None) -> Refusal:
        headers = [("Retry-After", str(seconds))] if seconds is not None else []
        if call.operation == READ:
            return self._resource_graph.throttled(seconds)
        if call.service == "logs":
            return self._logs.throttled(seconds)
        if call.service == "ingestion":
            return self._ingestion.throttled(seconds)
        if call.service == "graph":
            return self._graph.error(call, 429, "TooManyRequests", "Too many requests.", *headers)
        if call.service == "arm":
            text = f"Number of requests exceeded. Please try again after '{seconds or 'some'}' seconds."
            return arm_error(429, "SubscriptionRequestsThrottled", text, *headers)
        text = "The tenant is throttled because of too many requests."
        return entra_error(call, self._clock, 429, "temporarily_unavailable", 90055, text, *headers)

    def _failed(self, call: Call, params: dict[str, Any]) -> Refusal:
        status = params["status"]
        title = _TITLES.get(status, "Internal Server Error")
        headers = [("Retry-After", str(params["retry_after"]))] if params["retry_after"] is not None else []
        if params["html"]:
            answer = html(status, title, "The service is unavailable.")
            answer.headers += headers
            return Refusal(answer)
        code = title.replace(" ", "")
        if call.service == "logs":
            return self._logs.error(status, code, title, headers)
        if call.service == "ingestion":
            return self._ingestion.error(status, code, title, headers)
        if call.service == "graph":
            return self._graph.error(call, status, code, title, *headers)
        if call.service == "arm":
            return arm_error(status, code, title, *headers)
        return entra_error(
            call, self._clock, status, "server_error", 90033, "A transient error has occurred.", *headers
        )

    async def on_answer(self, scenario: Scenario, call: Call, answer: Answer, _wait: Wait, /) -> Answer:
        """The answer that goes out instead."""
        match scenario.type:
            case "page":
                return html(200, "Sign in", "Sign in to continue.")
            case "commit_then_fail":
                return self._failed(call, {"status": 500, "html": False, "retry_after": None}).answer
            case "empty_page":
                link = "@odata.nextLink" if call.service == "graph" else "nextLink"
                again = f"{call.base_url}{call.path}?{call.query}"
                return Answer(200, {**answer.payload, "value": [], link: again}, headers=answer.headers)
            case "partial_content":
                warning = '199 - "{Vendor}/{Provider}/206/100"'
                return Answer(206, answer.payload, headers=[*answer.headers, ("Warning", warning)])
        return answer
