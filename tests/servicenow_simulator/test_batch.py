"""The Batch API."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import pytest

from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import INCIDENTS, Control, create, error, numbers

JSON_HEADERS = [{"name": "Content-Type", "value": "application/json"}, {"name": "Accept", "value": "application/json"}]


def item(item_id: Any, method: str, url: str, body: Any = None, **more: Any) -> dict[str, Any]:
    request = {"id": item_id, "method": method, "url": url, "headers": JSON_HEADERS, **more}
    if body is not None:
        request["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return request


def run(client: httpx.Client, *items: dict[str, Any], **headers: str) -> dict[str, Any]:
    body = {"batch_request_id": 1, "rest_requests": list(items)}
    answer = client.post("/api/now/v1/batch", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def content(served: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(served["body"]))


def test_f24_items_run_in_order_and_answer_one_by_one(bridge: httpx.Client) -> None:
    record = create(bridge)
    answer = run(
        bridge,
        item(11, "PATCH", f"{INCIDENTS}/{record['sys_id']}", {"urgency": "1"}),
        item(12, "GET", f"{INCIDENTS}/{record['sys_id']}?sysparm_fields=urgency"),
        item(13, "PATCH", f"{INCIDENTS}/{record['sys_id']}", {"state": "6"}),
        item(14, "GET", "/api/now/table/bunk"),
        item(15, "POST", INCIDENTS, {"short_description": "from a batch"}, exclude_response_headers=True),
        item(16, "GET", "/api/now/nothing"),
    )
    assert answer["batch_request_id"] == "1"
    assert answer["unserviced_requests"] == []
    served = answer["serviced_requests"]
    assert [one["id"] for one in served] == ["11", "12", "13", "14", "15", "16"]
    assert [one["status_code"] for one in served] == [200, 200, 403, 400, 201, 400]
    assert [one["status_text"] for one in served][:3] == ["OK", "OK", "Forbidden"]
    assert content(served[1]) == {"result": {"urgency": "1"}}
    assert "Data Policy Exception" in content(served[2])["error"]["detail"]
    assert {"name": "Content-Type", "value": "application/json;charset=UTF-8"} in served[0]["headers"]
    assert served[4]["headers"] == []
    assert all(isinstance(one["execution_time"], int) for one in served)


def test_f24_what_time_does_not_reach_is_not_run(bridge: httpx.Client, control: Control) -> None:
    control.set(batch_timeout_s=0)
    answer = run(bridge, item("a", "POST", INCIDENTS, {"correlation_id": "late"}), item("b", "GET", INCIDENTS))
    assert answer["serviced_requests"] == []
    assert answer["unserviced_requests"] == ["a", "b"]
    assert numbers(bridge, "incident", "correlation_id=late") == []


def test_f24_what_does_not_fit_into_the_answer_is_not_served(bridge: httpx.Client) -> None:
    reads = [item(at, "GET", f"{INCIDENTS}?sysparm_limit=1") for at in range(4)]
    answer = run(bridge, *reads, **{"X-BATCHREQUEST-MAX-OUTPUT-SIZE": "6000"})
    assert len(answer["serviced_requests"]) == 1
    assert answer["unserviced_requests"] == ["1", "2", "3"]


def test_f24_input_has_a_limit(bridge: httpx.Client, control: Control) -> None:
    control.set_property("glide.rest.batch.max.inputSize", "100")
    body = {"batch_request_id": "1", "rest_requests": [item("1", "GET", INCIDENTS)]}
    assert "Rejected large REST payload" in str(error(bridge.post("/api/now/v1/batch", json=body), 400)[1])


def test_f24_a_batch_needs_credentials_and_a_list(bridge: httpx.Client) -> None:
    assert error(support.post(f"{str(bridge.base_url).rstrip('/')}/api/now/v1/batch", json={}), 401)
    assert error(bridge.post("/api/now/batch", json={"rest_requests": "none"}), 400)


def test_f24_long_queries_fit_into_a_batch(bridge: httpx.Client) -> None:
    query = "AAAA=BBBB^" * 2300 + "number=INC0000003"
    answer = run(bridge, item("1", "GET", f"{INCIDENTS}?sysparm_fields=number&sysparm_query={query}"))
    (served,) = answer["serviced_requests"]
    assert content(served) == {"result": [{"number": "INC0000003"}]}
    assert {"name": "X-Total-Count", "value": "1"} in served["headers"]


def test_g15_rate_limits_count_items_when_switched(bridge: httpx.Client, control: Control) -> None:
    control.order("rate_limit", limit=3)
    reads = [item(at, "GET", f"{INCIDENTS}?sysparm_limit=1") for at in range(5)]
    assert [one["status_code"] for one in run(bridge, *reads)["serviced_requests"]] == [200] * 5
    control.set(rate_limit_counts_batch_items=True)
    assert [one["status_code"] for one in run(bridge, *reads)["serviced_requests"]] == [200, 429, 429, 429, 429]


def test_a_batch_is_one_request_in_the_log_and_says_what_it_committed(bridge: httpx.Client, control: Control) -> None:
    run(bridge, item("1", "POST", INCIDENTS, {}), item("2", "POST", INCIDENTS, {}))
    request = control.last_request()
    assert (request["path"], request["committed"]) == ("/api/now/v1/batch", True)
    assert {entry["request_id"] for entry in control.entries("incident")} == {request["id"]}


def posts(count: int) -> list[dict[str, Any]]:
    return [item(at, "POST", INCIDENTS, {"correlation_id": f"alert:1:{at}"}) for at in range(count)]


def made(client: httpx.Client) -> int:
    return len(numbers(client, "incident", "correlation_idSTARTSWITHalert:1:"))


@pytest.mark.parametrize(("then", "listed"), [("unserviced", ["2", "3"]), ("missing", [])])
def test_a_batch_that_ends_early_says_of_the_others_what_the_test_wants(
    bridge: httpx.Client, control: Control, then: str, listed: list[str]
) -> None:
    control.order("batch_ends", items=2, then=then, times=1)
    answer = run(bridge, *posts(4))
    assert [one["status_code"] for one in answer["serviced_requests"]] == [201, 201]
    assert answer["unserviced_requests"] == listed
    assert made(bridge) == 2


def test_half_of_a_batch_may_be_committed_without_an_answer(bridge: httpx.Client, control: Control) -> None:
    control.order("batch_ends", items=2, then="cut", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        run(bridge, *posts(4))
    assert made(bridge) == 2
    control.order("batch_ends", items=3, then="error", times=1)
    body = {"batch_request_id": 1, "rest_requests": posts(4)}
    assert "maximum execution time" in error(bridge.post("/api/now/v1/batch", json=body), 500)[0]
    assert made(bridge) == 5
    assert "then: one of cut" in control.refused("POST", "/scenarios", {"type": "batch_ends", "then": "never"})


def test_an_item_may_fail_by_itself_and_is_not_run(bridge: httpx.Client, control: Control) -> None:
    control.order("item_fails", status=503, match={"operation": "insert"}, times=1)
    assert [one["status_code"] for one in run(bridge, *posts(3))["serviced_requests"]] == [503, 201, 201]
    assert made(bridge) == 2


def test_items_take_time_one_after_the_other_and_the_limit_ends_the_batch(
    bridge: httpx.Client, control: Control
) -> None:
    control.set(batch_item_ms=50)
    begun = time.monotonic()
    assert len(run(bridge, *posts(4))["serviced_requests"]) == 4
    assert time.monotonic() - begun >= 0.2
    control.set(batch_timeout_s=0.12)
    assert run(bridge, *posts(4))["unserviced_requests"] == ["2", "3"]
