"""The query API of Azure Monitor Logs: rows by the text of a query, and errors in the words of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.azure import Simulator
from local.azure.demo.inventory import WEB_1
from local.azure.logs.store import WORKSPACE
from tests.azure_simulator.conftest import SignIn
from tests.azure_simulator.support import ARM, LOGS, Control

PATH = f"/v1/workspaces/{WORKSPACE}/query"
COLUMNS = [{"name": "Computer", "type": "string"}, {"name": "FreeMB", "type": "real"}]


@pytest.fixture
def logs(clouds: Simulator, sign_in: SignIn) -> httpx.Client:
    return sign_in(clouds.tenant_id, clouds.client_id, clouds.client_secret, LOGS)


@pytest.fixture(autouse=True)
def heartbeats(control: Control) -> Iterator[None]:
    control.post("/log-queries", query="Heartbeat\n| where  x", columns=COLUMNS, rows=[["web-01", 1.5], ["web-02", 2]])
    yield
    control.delete("/log-queries")


def asked(logs: httpx.Client, query: str, path: str = PATH, **headers: str) -> httpx.Response:
    return logs.post(
        path, json={"query": query, "timespan": "2026-03-01T00:00:00Z/2026-03-01T01:00:00Z"}, headers=headers
    )


def refusal(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return dict(answer.json()["error"])


def test_a_query_gives_the_rows_that_were_set_for_its_text(logs: httpx.Client) -> None:
    (table,) = asked(logs, "Heartbeat | where x").json()["tables"]
    assert (table["name"], table["columns"]) == ("PrimaryResult", COLUMNS)
    assert table["rows"] == [["web-01", 1.5], ["web-02", 2]]
    assert asked(logs, "Heartbeat | where x\n| take 1").json()["tables"][0]["rows"] == [["web-01", 1.5]]
    assert logs.get(PATH, params={"query": "Heartbeat | where x"}).json()["tables"] == [table]


def test_the_logs_of_a_resource_are_queried_by_its_id(logs: httpx.Client) -> None:
    assert asked(logs, "Heartbeat | where x", f"/v1{WEB_1}/query").status_code == 200
    assert asked(logs, "print allowed = 1").json()["tables"][0]["rows"] == [[1]]


def test_wrong_queries_are_refused_as_bad_arguments(logs: httpx.Client, control: Control) -> None:
    error = refusal(asked(logs, "Nowhere | take 3"), 400)
    assert (error["code"], error["innererror"]["code"]) == ("BadArgumentError", "SemanticError")
    assert "'Nowhere'" in error["innererror"]["innererror"]["message"]
    control.post("/log-queries", query="Heartbeat |", error="syntax")
    assert refusal(asked(logs, "Heartbeat |"), 400)["innererror"]["code"] == "SyntaxError"
    assert refusal(asked(logs, ""), 400)["innererror"]["code"] == "QueryValidationError"


def test_who_may_not_query_is_told_so(clouds: Simulator, sign_in: SignIn, logs: httpx.Client) -> None:
    stranger = sign_in(clouds.tenant_id, clouds.stranger_client_id, clouds.stranger_client_secret, LOGS)
    assert refusal(asked(stranger, "Heartbeat | where x"), 403)["code"] == "InsufficientAccessError"
    assert (
        refusal(asked(stranger, "Heartbeat | where x", f"/v1{WEB_1}/query"), 403)["code"] == "InsufficientAccessError"
    )
    other = sign_in(clouds.tenant_id, clouds.client_id, clouds.client_secret, ARM)
    assert refusal(asked(other, "Heartbeat"), 403)["code"] == "InvalidAuthenticationTokenAudience"
    assert refusal(asked(logs, "Heartbeat", Authorization=""), 401)["code"] == "AuthenticationFailed"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/workspaces/00000000-0000-0000-0000-000000000000/query", "WorkspaceNotFoundError"),
        ("/v1/subscriptions/00000000-0000-0000-0000-000000000000/query", "ResourceNotFoundError"),
        ("/v1/elsewhere", "PathNotFoundError"),
    ],
)
def test_what_does_not_exist_is_not_found(logs: httpx.Client, path: str, code: str) -> None:
    assert refusal(asked(logs, "Heartbeat", path), 404)["code"] == code


def test_a_workspace_of_another_tenant_is_not_seen(clouds: Simulator, sign_in: SignIn) -> None:
    other = sign_in(clouds.other_tenant_id, clouds.client_id, clouds.client_secret, LOGS)
    assert refusal(asked(other, "Heartbeat | where x"), 404)["code"] == "WorkspaceNotFoundError"


def test_a_query_that_takes_longer_than_the_client_waits_times_out(logs: httpx.Client, control: Control) -> None:
    control.post("/log-queries", query="Slow", columns=COLUMNS, rows=[["a", 1]], seconds=20)
    assert refusal(asked(logs, "Slow", Prefer="wait=10"), 504)["code"] == "GatewayTimeout"
    assert asked(logs, "Slow", Prefer="wait=30, ai.response-thinning=false").status_code == 200


def test_an_answer_in_part_has_its_error_beside_the_rows(logs: httpx.Client, control: Control) -> None:
    control.post("/log-queries", query="Part", columns=COLUMNS, rows=[["a", 1]], partial=True)
    answer = asked(logs, "Part")
    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == "PartialError"
    assert answer.json()["tables"][0]["rows"] == [["a", 1]]


def test_too_many_queries_are_throttled_with_retry_after(logs: httpx.Client, control: Control) -> None:
    control.set(logs_queries_per_window=2)
    for _ in range(2):
        assert asked(logs, "Heartbeat | where x").status_code == 200
    answer = asked(logs, "Heartbeat | where x")
    assert refusal(answer, 429)["code"] == "ThrottledError"
    assert 0 < int(answer.headers["Retry-After"]) <= 31


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("throttle", 429, "ThrottledError"),
        ("fail", 503, "ServiceUnavailable"),
        ("deny", 403, "InsufficientAccessError"),
    ],
)
def test_faults_have_the_shape_of_the_api(
    logs: httpx.Client, control: Control, kind: str, status: int, code: str
) -> None:
    control.order(kind, match={"service": "logs"}, times=1)
    assert refusal(asked(logs, "Heartbeat | where x"), status)["code"] == code
    assert asked(logs, "Heartbeat | where x").status_code == 200


def test_resource_graph_gives_rows_that_were_set_for_a_query(arm: httpx.Client, control: Control) -> None:
    control.post(
        "/log-queries", query="healthresources | where y", columns=COLUMNS, rows=[["a", 1]], resource_graph=True
    )
    path = "/providers/Microsoft.ResourceGraph/resources?api-version=2022-10-01"
    answer = arm.post(path, json={"query": "healthresources | where y", "options": {"resultFormat": "table"}})
    assert answer.json()["data"] == {"columns": COLUMNS, "rows": [["a", 1]]}
