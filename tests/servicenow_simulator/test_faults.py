"""Scenarios: what each fault looks like to the client, and what it leaves behind."""

from __future__ import annotations

import json
import re
import threading
import time

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import (
    INCIDENTS,
    RESOLUTION,
    Control,
    create,
    error,
    eventually,
    numbers,
    result,
)

MATCH = {"method": "POST", "table": "incident"}
EXCEEDED = "Transaction cancelled: maximum execution time exceeded"


def post(client: httpx.Client, key: str = "k-1") -> httpx.Response:
    return client.post(INCIDENTS, json={"short_description": "x", "correlation_id": key})


def rows(client: httpx.Client, key: str = "k-1") -> int:
    return len(numbers(client, "incident", f"correlation_id={key}"))


def test_f16_throttled_with_headers(bridge: httpx.Client, control: Control) -> None:
    control.order("throttle", match=MATCH, times=1, retry_after=30, limit=100)
    answer = post(bridge)
    text = "Rate limit of 100 requests per hour for Table API exceeded"
    assert error(answer, 429) == ("Rate limit exceeded", text)
    assert answer.headers["Retry-After"] == "30"
    assert answer.headers["X-RateLimit-Limit"] == "100"
    assert int(answer.headers["X-RateLimit-Reset"]) % 3600 == 0
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-RateLimit-Rule"])
    assert rows(bridge) == 0
    assert post(bridge).status_code == 201


@pytest.mark.parametrize(
    ("body", "media"), [("empty", "application/json"), ("html", "text/html"), ("json", "application/json")]
)
def test_f16_throttled_without_headers(bridge: httpx.Client, control: Control, body: str, media: str) -> None:
    control.order("throttle_bare", match=MATCH, body=body)
    answer = post(bridge)
    assert answer.status_code == 429
    assert not any(name.lower().startswith(("x-ratelimit", "retry-after")) for name in answer.headers)
    assert answer.headers["Content-Type"].startswith(media)
    assert (answer.content == b"") == (body == "empty")
    assert rows(bridge) == 0


def test_f16_a_rate_limit_counts_per_user_and_clock_hour(
    bridge: httpx.Client, admin: httpx.Client, control: Control
) -> None:
    control.clock(freeze=True, set="2026-05-01T08:30:00Z")
    control.order("rate_limit", limit=3, match={"table": "incident"})
    for _ in range(3):
        answer = bridge.get(INCIDENTS, params={"sysparm_limit": "1"})
        assert (answer.status_code, answer.headers["X-RateLimit-Limit"]) == (200, "3")
        assert "Retry-After" not in answer.headers
    refused = bridge.get(INCIDENTS)
    assert error(refused, 429)[0] == "Rate limit exceeded"
    assert refused.headers["Retry-After"] == "1800"
    assert int(refused.headers["X-RateLimit-Reset"]) == 1777626000
    assert admin.get(INCIDENTS).status_code == 200
    assert bridge.get("/api/now/table/problem").status_code == 200
    control.clock(advance=1800)
    assert bridge.get(INCIDENTS).status_code == 200


def test_f16_a_rate_limit_stays_on_refusals(bridge: httpx.Client, control: Control) -> None:
    control.order("rate_limit", limit=100)
    assert bridge.get("/api/now/table/bunk").headers["X-RateLimit-Limit"] == "100"


def test_f17_slow_then_execution_time_exceeded(bridge: httpx.Client, control: Control) -> None:
    control.order("slow_quota", match=MATCH, seconds=0.2)
    started = time.monotonic()
    message, detail = error(post(bridge), 500)
    assert time.monotonic() - started >= 0.2
    assert message == EXCEEDED
    assert str(detail).startswith(f"{EXCEEDED} Check logs for error trace or enable glide.rest.debug property")
    assert rows(bridge) == 0


def test_f17_slow_is_only_slow(bridge: httpx.Client, control: Control) -> None:
    control.order("slow", seconds=0.3, times=1)
    started = time.monotonic()
    assert post(bridge).status_code == 201
    assert time.monotonic() - started >= 0.3


def test_f17_rows_and_an_error_in_one_answer(bridge: httpx.Client, control: Control) -> None:
    control.order("partial_result", match={"operation": "query"}, times=1, keep=3)
    answer = bridge.get(INCIDENTS)
    body = answer.json()
    assert (answer.status_code, len(body["result"])) == (200, 3)
    assert body["error"]["message"] == EXCEEDED
    assert body["status"] == "failure"


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_f17_a_body_cut_short(bridge: httpx.Client, control: Control, encoding: str) -> None:
    control.order("truncated_json", keep=0.5)
    answer = bridge.get(INCIDENTS, headers={"Accept-Encoding": encoding})
    assert answer.status_code == 200
    assert answer.text.startswith('{"result":[')
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("commit_then_500", 500, EXCEEDED),
        ("commit_then_403", 403, "Insufficient rights to query records"),
    ],
)
def test_f17_committed_but_refused(
    bridge: httpx.Client, control: Control, kind: str, status: int, message: str
) -> None:
    control.order(kind, match=MATCH, times=1)
    assert error(post(bridge), status)[0] == message
    assert control.last_request()["committed"] is True
    assert rows(bridge) == 1


def test_f17_a_fault_after_a_commit_needs_a_commit(bridge: httpx.Client, control: Control) -> None:
    control.order("commit_then_500", times=1)
    assert bridge.get(INCIDENTS).status_code == 200
    assert bridge.post(INCIDENTS, json={"state": "6"}).status_code == 403
    assert control.get("/scenarios")["scenarios"][0]["times_left"] == 1
    assert post(bridge).status_code == 500


def test_cut_before_and_after_the_commit(bridge: httpx.Client, control: Control) -> None:
    control.order("cut_before_commit", match=MATCH, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        post(bridge)
    assert rows(bridge) == 0
    control.order("cut_after_commit", match=MATCH, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        post(bridge)
    assert rows(bridge) == 1
    (dropped,) = [one for one in control.get("/requests")["requests"] if one["scenarios"] and one["committed"]]
    assert (dropped["status"], dropped["scenarios"][0].partition(":")[0]) == (None, "cut_after_commit")


@pytest.mark.parametrize("kind", ["timeout_after_commit", "commit_then_hang"])
def test_committed_but_no_answer_in_time(bridge: httpx.Client, control: Control, kind: str) -> None:
    control.order(kind, match=MATCH, times=1, seconds=60)
    with pytest.raises(httpx.ReadTimeout):
        bridge.post(INCIDENTS, json={"correlation_id": "k-1"}, timeout=0.3)
    assert rows(bridge) == 1
    eventually(lambda: control.get("/counters")["in_flight"] == 0)


def test_late_answer_after_the_commit(bridge: httpx.Client, control: Control) -> None:
    control.order("timeout_after_commit", match=MATCH, times=1, seconds=0.2)
    assert post(bridge).status_code == 201


def test_f18_a_hibernating_instance_answers_everything_with_a_page(simulator: Simulator, control: Control) -> None:
    control.order("hibernate")
    form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
    for answer in (
        support.get(simulator.url + INCIDENTS),
        support.post(f"{simulator.url}/oauth_token.do", data=form),
    ):
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html;charset=UTF-8")
        assert "<title>Instance Hibernating page</title>" in answer.text


def test_f18_a_hibernating_instance_may_redirect(simulator: Simulator, control: Control) -> None:
    control.order("hibernate", redirect=True, times=1)
    answer = support.get(simulator.url + INCIDENTS)
    assert answer.status_code == 302
    assert "Instance Hibernating page" in support.get(answer.headers["Location"]).text


@pytest.mark.parametrize("status", [502, 503, 504])
def test_f18_maintenance_pages(bridge: httpx.Client, control: Control, status: int) -> None:
    control.order("maintenance", status=status, times=1)
    answer = post(bridge)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html;charset=UTF-8")
    assert rows(bridge) == 0


def test_f19_a_business_rule_aborts(bridge: httpx.Client, control: Control) -> None:
    control.order("business_rule_abort", match=MATCH, times=1, rule="Reject demo incidents")
    message, detail = error(post(bridge), 403)
    assert message == "Operation Failed"
    pattern = r"Operation against file 'incident' was aborted by Business Rule 'Reject demo incidents\^[0-9a-f]{32}'\."
    assert re.fullmatch(pattern + " Business Rule Stack:Reject demo incidents", str(detail))


@pytest.mark.parametrize(
    ("method", "status_text"),
    [
        ("POST", "ACL Exception Insert Failed due to security constraints"),
        ("PATCH", "ACL Exception Update Failed due to security constraints"),
        ("DELETE", "ACL Exception Delete Failed due to security constraints"),
    ],
)
def test_f20_refused_by_an_access_rule(
    bridge: httpx.Client, admin: httpx.Client, control: Control, method: str, status_text: str
) -> None:
    path = INCIDENTS if method == "POST" else f"{INCIDENTS}/{create(bridge)['sys_id']}"
    control.order("acl_refuse", match={"method": method})
    assert error(admin.request(method, path, json={}), 403) == ("Operation Failed", status_text)


def test_f20_refused_reading(bridge: httpx.Client, control: Control) -> None:
    control.order("acl_refuse", match={"operation": "query", "table": "incident"})
    assert error(bridge.get(INCIDENTS), 403)[0] == "Insufficient rights to query records"


def test_f20_unreadable_after_create(bridge: httpx.Client, admin: httpx.Client, control: Control) -> None:
    control.clock(freeze=True)
    control.order("unreadable_after_create", times=1, seconds=60)
    assert error(post(bridge), 403)[0] == "Insufficient rights to query records"
    assert (rows(bridge), rows(admin)) == (0, 1)
    control.clock(advance=61)
    assert rows(bridge) == 1


def test_f20_unreadable_until_the_scenarios_are_cleared(bridge: httpx.Client, control: Control) -> None:
    control.order("unreadable_after_create", times=1)
    post(bridge)
    control.clock(advance=1e6)
    assert rows(bridge) == 0
    control.delete("/scenarios")
    assert rows(bridge) == 1


def test_f12_a_data_policy_of_the_customer(bridge: httpx.Client, control: Control) -> None:
    control.order("data_policy", match=MATCH, fields=["Short description"], times=1)
    assert error(post(bridge), 403)[1] == "Data Policy Exception: Short description is mandatory"


def test_f21_the_scope_gate_for_anybody(bridge: httpx.Client, control: Control) -> None:
    control.order("scope_gate", times=1)
    assert error(bridge.get(INCIDENTS), 403) == ("User Not Authorized", "Access to unscoped api is not allowed")


def test_a_field_is_dropped_or_overwritten(bridge: httpx.Client, control: Control) -> None:
    control.order("drop_field", field="correlation_id", times=1)
    assert create(bridge, correlation_id="gone")["correlation_id"] == ""
    control.order("drop_field", fields=["state", "close_code"], match={"operation": "update"}, times=1)
    record = create(bridge)
    path = f"{INCIDENTS}/{record['sys_id']}"
    kept = result(bridge.patch(path, json={"state": "6", "urgency": "1", **RESOLUTION}))
    assert (kept["state"], kept["close_code"], kept["urgency"]) == ("1", "", "1")
    control.order("overwrite_field", field="assignment_group", value="287ee6fea9fe198100ada7950d0b1b73", times=1)
    assert create(bridge, assignment_group="Network")["assignment_group"]["value"].startswith("287ee6fe")


def test_credentials_are_rejected_for_a_while(simulator: Simulator, bridge: httpx.Client, control: Control) -> None:
    control.order("reject_credentials", times=2)
    refused = bridge.get(INCIDENTS)
    assert error(refused, 401)[0] == "User Not Authenticated"
    assert refused.headers["WWW-Authenticate"] == 'BASIC realm="Service-now"'
    form = {"grant_type": "client_credentials", "client_id": simulator.client_id}
    token = support.post(f"{simulator.url}/oauth_token.do", data=form | {"client_secret": simulator.client_secret})
    assert (token.status_code, token.json()["error_description"]) == (401, "access_denied")
    assert bridge.get(INCIDENTS).status_code == 200


def test_a_scenario_for_a_user_covers_the_token_endpoint(simulator: Simulator, control: Control) -> None:
    control.order("maintenance", match={"user": "itil", "path": "oauth_token"})
    client = {"client_id": simulator.client_id, "client_secret": simulator.client_secret, "grant_type": "password"}
    statuses = {}
    for name in ("admin", "itil"):
        form = client | {"username": name, "password": simulator.accounts[name]}
        statuses[name] = support.post(f"{simulator.url}/oauth_token.do", data=form).status_code
    assert statuses == {"admin": 200, "itil": 503}


@pytest.mark.parametrize(
    ("which", "access", "refresh"), [("all", 401, 401), ("access", 401, 200), ("refresh", 200, 401)]
)
def test_tokens_are_expired(simulator: Simulator, control: Control, which: str, access: int, refresh: int) -> None:
    client = {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
    user = {"username": simulator.username, "password": simulator.password}
    url = f"{simulator.url}/oauth_token.do"
    token = support.post(url, data={"grant_type": "password", **client, **user}).json()
    assert control.order("expire_tokens", which=which)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert support.get(simulator.url + INCIDENTS, headers=headers).status_code == access
    again = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], **client}
    assert support.post(url, data=again).status_code == refresh


def test_grants_of_one_user_are_revoked(simulator: Simulator, control: Control) -> None:
    client = {"client_id": simulator.client_id, "client_secret": simulator.client_secret}
    tokens = {}
    for name in ("admin", "itil"):
        form = {"grant_type": "password", "username": name, "password": simulator.accounts[name], **client}
        tokens[name] = support.post(f"{simulator.url}/oauth_token.do", data=form).json()["access_token"]
    control.order("revoke", match={"user": "itil"})
    statuses = {
        name: support.get(simulator.url + INCIDENTS, headers={"Authorization": f"Bearer {token}"}).status_code
        for name, token in tokens.items()
    }
    assert statuses == {"admin": 200, "itil": 401}


def test_a_full_session_queue_and_odd_answers(bridge: httpx.Client, control: Control) -> None:
    control.order("session_queue", times=1)
    answer = bridge.get(INCIDENTS)
    assert (answer.status_code, answer.content) == (202, b"")
    control.order("missing_result", times=1)
    assert "result" not in bridge.get(INCIDENTS).json()
    control.order("wrong_content_type", times=1)
    answer = bridge.get(INCIDENTS)
    assert answer.headers["Content-Type"] == "text/html"
    assert len(result(answer)) == 30


def test_f40_late_commits_are_missed_by_a_naive_poller(bridge: httpx.Client, control: Control) -> None:
    control.clock(freeze=True, set="2026-05-01T08:00:00Z")
    record = create(bridge)
    control.clock(advance=10)
    control.order("late_commit", seconds=5, match={"operation": "update"}, times=1)
    changed = result(bridge.patch(f"{INCIDENTS}/{record['sys_id']}", json={"urgency": "1"}))
    assert changed["sys_updated_on"] == "2026-05-01 08:00:10"
    control.clock(advance=2)
    poll = "sys_updated_on>=2026-05-01 08:00:10^numberLIKEINC001"
    assert numbers(bridge, "incident", poll) == []
    assert result(bridge.get(f"{INCIDENTS}/{record['sys_id']}"))["urgency"] == "3"
    control.clock(advance=3)
    assert numbers(bridge, "incident", poll) == [record["number"]]
    assert result(bridge.get(f"{INCIDENTS}/{record['sys_id']}"))["urgency"] == "1"


def test_f40_a_write_on_top_of_a_late_commit_keeps_it(bridge: httpx.Client, control: Control) -> None:
    control.clock(freeze=True)
    path = f"{INCIDENTS}/{create(bridge)['sys_id']}"
    control.order("late_commit", seconds=5, times=1)
    bridge.patch(path, json={"urgency": "1"}).raise_for_status()
    bridge.patch(path, json={"impact": "1"}).raise_for_status()
    control.clock(advance=5)
    record = result(bridge.get(path))
    assert (record["urgency"], record["impact"], record["priority"]) == ("1", "1", "1")


def test_f40_a_late_insert_appears_later(bridge: httpx.Client, control: Control) -> None:
    control.clock(freeze=True)
    control.order("late_commit", seconds=5, times=1)
    assert post(bridge).status_code == 201
    assert rows(bridge) == 0
    control.clock(advance=5)
    assert rows(bridge) == 1


def test_f40_a_node_with_another_clock(bridge: httpx.Client, control: Control) -> None:
    control.clock(freeze=True, set="2026-05-01T08:00:00Z")
    control.order("node_skew", seconds=-7, times=1)
    assert create(bridge)["sys_updated_on"] == "2026-05-01 07:59:53"
    assert create(bridge)["sys_updated_on"] == "2026-05-01 08:00:00"


def test_a_scenario_is_for_the_requests_it_matches(bridge: httpx.Client, admin: httpx.Client, control: Control) -> None:
    match = {"method": ["POST", "PATCH"], "table": ["incident", "problem"], "user": "azure.bridge", "path": "/v2/"}
    scenario = control.order("maintenance", match=match)
    assert bridge.get("/api/now/v2/table/incident").status_code == 200
    assert bridge.post("/api/now/table/incident", json={}).status_code == 201
    assert bridge.post("/api/now/v2/table/change_request", json={}).status_code == 201
    assert admin.post("/api/now/v2/table/incident", json={}).status_code == 201
    assert bridge.post("/api/now/v2/table/problem", json={}).status_code == 503
    control.delete(f"/scenarios/{scenario}")
    assert bridge.post("/api/now/v2/table/problem", json={}).status_code == 201


def test_a_scenario_strikes_after_some_and_a_number_of_times(bridge: httpx.Client, control: Control) -> None:
    control.order("maintenance", after=2, times=2)
    statuses = [bridge.get(INCIDENTS).status_code for _ in range(6)]
    assert statuses == [200, 200, 503, 503, 200, 200]
    (listed,) = control.get("/scenarios")["scenarios"]
    assert (listed["applied"], listed["times_left"]) == (2, 0)


def test_chance_can_be_repeated(bridge: httpx.Client, control: Control) -> None:
    def strikes() -> list[int]:
        control.order("maintenance", probability=0.5, seed=7)
        statuses = [bridge.get(INCIDENTS, params={"sysparm_limit": "1"}).status_code for _ in range(20)]
        control.delete("/scenarios")
        return statuses

    first = strikes()
    assert set(first) == {200, 503}
    assert strikes() == first


def test_the_log_names_the_scenarios_that_struck(bridge: httpx.Client, control: Control) -> None:
    slow = control.order("slow", seconds=0)
    abort = control.order("commit_then_500", times=1)
    post(bridge)
    assert control.last_request()["scenarios"] == [f"slow:{slow}", f"commit_then_500:{abort}"]


def test_hanging_requests_end_with_their_client(bridge: httpx.Client, simulator: Simulator, control: Control) -> None:
    control.order("slow", seconds=60, times=1)
    failures: list[Exception] = []

    def impatient() -> None:
        try:
            support.get(simulator.url + INCIDENTS, timeout=0.2)
        except httpx.HTTPError as problem:
            failures.append(problem)

    thread = threading.Thread(target=impatient)
    thread.start()
    thread.join()
    assert len(failures) == 1
    eventually(lambda: control.get("/counters")["in_flight"] == 0)
