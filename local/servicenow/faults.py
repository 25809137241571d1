"""What the scenarios of this simulator do: before sign-in, before the API, inside a write, and to the answer."""

from __future__ import annotations

from http import HTTPStatus

from local.servicenow.errors import (
    ApiError,
    acl_refusal,
    business_rule_abort,
    data_policy,
    execution_time_exceeded,
    insufficient_rights,
    not_authorised,
    unauthenticated,
)
from local.servicenow.exchange import Call
from local.servicenow.schema.describe import demo_id
from local.servicenow.visibility import Visibility
from local.servicenow.writing import WriteContext
from local.simulator_kit import faults
from local.simulator_kit.calls import Answer, html
from local.simulator_kit.clock import Clock
from local.simulator_kit.faults import Wait
from local.simulator_kit.scenarios import Scenario, Scenarios

HIBERNATION_PATH = "/hibernating"
_STATUS_TITLES = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}
_OPERATIONS = {"insert": "Insert", "update": "Update", "delete": "Delete"}


def hibernation_page() -> Answer:
    """What a sleeping developer instance sends on any address."""
    return html(
        200, "Instance Hibernating page", "Your instance is hibernating. Sign in to the developer site to wake it."
    )


def throttled(limit: int, retry_after: int, reset: int, rule: str, api: str) -> ApiError:
    """429 of a rate limit rule (ServiceNow docs, "Inbound REST API rate limiting")."""
    detail = f"Rate limit of {limit} requests per hour for {api} exceeded"
    headers = (*rate_headers(limit, reset, rule), ("Retry-After", str(retry_after)))
    return ApiError(429, "Rate limit exceeded", detail, headers)


def rate_headers(limit: int, reset: int, rule: str) -> tuple[tuple[str, str], ...]:
    """Headers on every answer that a rate limit rule matches; ``reset``: Unix seconds of the next hour."""
    return (("X-RateLimit-Limit", str(limit)), ("X-RateLimit-Reset", str(reset)), ("X-RateLimit-Rule", rule))


def api_name(call: Call) -> str:
    """The API's name as rate limit rules call it."""
    for part, name in (("/table/", "Table API"), ("/batch", "Batch API"), ("/import/", "Import Set API")):
        if part in call.path:
            return name
    return "Attachment API" if "/attachment" in call.path else "REST API"


class Faults(faults.Faults[Call]):
    """Applies the scenarios that are on."""

    def __init__(self, scenarios: Scenarios, clock: Clock, visibility: Visibility) -> None:
        super().__init__(scenarios)
        self._clock = clock
        self._visibility = visibility

    async def on_arrival(self, scenario: Scenario, call: Call, wait: Wait, /) -> Answer | None:
        """Apply a fault that comes before sign-in. An answer ends the request.

        Raises:
            ApiError: the fault is an error of the API.
        """
        params = scenario.params
        match scenario.type:
            case "throttle":
                reset = self._next_hour()
                raise throttled(
                    params["limit"], params["retry_after"], reset, demo_id("rate", scenario.id), api_name(call)
                )
            case "throttle_bare":
                return _bare_throttle(params["body"])
            case "hibernate":
                if params["redirect"]:
                    headers = [("Location", call.base_url + HIBERNATION_PATH)]
                    return Answer(302, raw=b"", content_type="text/html", headers=headers)
                return hibernation_page()
            case "maintenance":
                title = _STATUS_TITLES.get(params["status"], "Service Unavailable")
                return html(params["status"], title, "The instance is being upgraded.")
            case "slow_quota":
                await wait(params["seconds"])
                raise execution_time_exceeded()
            case "session_queue":
                return Answer(202)
            case "reject_credentials":
                if call.path.endswith("oauth_token.do"):
                    return Answer(401, {"error": "server_error", "error_description": "access_denied"})
                raise unauthenticated('BASIC realm="Service-now"')
        return None

    def handling(self, call: Call, *, count_rate: bool) -> list[tuple[str, str]]:
        """After sign-in; ``count_rate``: rate limits count this call. Returns headers for the answer.

        Raises:
            ApiError: the fault.
        """
        headers: list[tuple[str, str]] = []
        for scenario in self.scenarios.of_phase("handling"):
            if scenario.type == "rate_limit" and not count_rate:
                continue
            if scenario.triggers(call):
                headers += self._handle(scenario, call)
        return headers

    def _handle(self, scenario: Scenario, call: Call) -> list[tuple[str, str]]:
        params = scenario.params
        match scenario.type:
            case "rate_limit":
                return self._count(scenario, call)
            case "acl_refuse":
                if call.operation in _OPERATIONS:
                    error = acl_refusal(_OPERATIONS[call.operation])
                    error.detail = params["detail"] or error.detail
                    raise error
                raise insufficient_rights(params["detail"] or None)
            case "business_rule_abort":
                rule = params["rule"]
                raise business_rule_abort(call.table, rule, demo_id("sys_script", rule), params["message"])
            case "data_policy":
                raise data_policy([str(label) for label in params["fields"]])
            case "scope_gate":
                raise not_authorised("Access to unscoped api is not allowed")
        return []

    def _next_hour(self) -> int:
        return (int(self._clock.timestamp()) // 3600 + 1) * 3600

    def _count(self, scenario: Scenario, call: Call) -> list[tuple[str, str]]:
        reset, limit = self._next_hour(), scenario.params["limit"]
        user, rule = call.user.user_name, demo_id("rate", scenario.id)
        hour, count = scenario.state.get(user, (reset, 0))
        count = count + 1 if hour == reset else 1
        scenario.state[user] = (reset, count)
        if count > limit:
            raise throttled(limit, max(1, reset - int(self._clock.timestamp())), reset, rule, api_name(call))
        return list(rate_headers(limit, reset, rule))

    def batch(self, call: Call) -> Scenario | None:
        """The scenario that ends a batch early, None for none."""
        return next((one for one in self.scenarios.of_phase("batch") if one.triggers(call)), None)

    def item(self, call: Call) -> Answer | None:
        """The answer of an item of a batch that is not run, None for one that is."""
        for scenario in self.scenarios.of_phase("item"):
            if scenario.triggers(call):
                status = scenario.params["status"]
                return error_answer(ApiError(status, HTTPStatus(status).phrase))
        return None

    def writing(self, call: Call, context: WriteContext) -> None:
        """Prepare a write the way the scenarios want it."""
        for scenario in self.scenarios.of_phase("writing"):
            if not scenario.triggers(call):
                continue
            params = scenario.params
            match scenario.type:
                case "drop_field":
                    context.drop |= {name for name in (params["field"], *params["fields"]) if name}
                case "overwrite_field":
                    context.overwrite[params["field"]] = str(params["value"])
                case "late_commit":
                    context.delay = max(context.delay, params["seconds"])
                case "node_skew":
                    context.skew = params["seconds"]

    def concerns(self, scenario: Scenario, call: Call, _answer: Answer | None, /) -> bool:
        """A row can be hidden only after an insert."""
        return scenario.type != "unreadable_after_create" or call.operation == "insert"

    async def on_answer(self, scenario: Scenario, call: Call, answer: Answer, wait: Wait, /) -> Answer:
        """The answer that goes out instead."""
        params = scenario.params
        match scenario.type:
            case "timeout_after_commit":
                await wait(params["seconds"])
            case "commit_then_500":
                return error_answer(execution_time_exceeded())
            case "commit_then_403":
                return error_answer(insufficient_rights())
            case "unreadable_after_create":
                self._visibility.hide(call.changes[0].row, params["seconds"])
                return error_answer(insufficient_rights())
            case "partial_result":
                return _partial(answer, params["keep"])
            case "missing_result":
                return Answer(answer.status, {"status": "success"}, headers=answer.headers)
            case "wrong_content_type":
                answer.content_type = params["content_type"]
        return answer


def error_answer(error: ApiError) -> Answer:
    """The envelope of an error."""
    payload = {"error": {"message": error.message, "detail": error.detail}, "status": "failure"}
    return Answer(error.status, payload, headers=list(error.headers))


def _bare_throttle(body: str) -> Answer:
    if body == "html":
        return html(429, "Too Many Requests", "Too many requests.")
    if body == "json":
        return Answer(429, {"error": {"message": "Too many requests", "detail": None}, "status": "failure"})
    return Answer(429)


def _partial(answer: Answer, keep: int | None) -> Answer:
    if not isinstance(answer.payload, dict):
        return answer
    result = answer.payload.get("result")
    if isinstance(result, list):
        result = result[: keep if keep is not None else len(result) // 2]
    text = "Transaction cancelled: maximum execution time exceeded"
    error = {"detail": "Transaction cancelled: maximum execution time exceeded", "message": text}
    answer.payload = {"result": result, "error": error, "status": "failure"}
    return answer
