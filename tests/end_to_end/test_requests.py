"""What a stranger, a relay or a rude user may send to the endpoints, and what they get for it."""

from __future__ import annotations

import json

import pytest

from local.demo.alerts import Azure
from tests.end_to_end.conftest import Bridge, until


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", "application/json", 400, "Expected: a JSON object"),
        (b"   ", "application/json", 400, "Expected: a JSON object"),
        (b"{", "application/json", 400, "cannot be read"),
        (b"hello", "application/json", 400, "cannot be read"),
        (b"\xff\xfe\x00{", "application/json", 400, "cannot be read"),
        (b'"text"', "application/json", 400, "JSON string"),
        (b"7", "application/json", 400, "JSON number"),
        (b"null", "application/json", 400, "JSON null"),
        (b"[" * 100_000, "application/json", 400, "Expected"),
        (b"1" * 5000, "application/json", 400, "cannot be read"),
        (b"{}", "text/plain", 415, "text/plain"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "application/json"),
        (b"{}" + b" " * 1024 * 1024, "application/json", 413, "1,048,576"),
        (b"[" + b"{}," * 500 + b"{}]", "application/json", 413, "500"),
    ],
)
@pytest.mark.parametrize("endpoint", ["alerts", "preview"])
def test_bad_bodies(bridge: Bridge, endpoint: str, body: bytes, kind: str, status: int, words: str) -> None:
    key = bridge.running.session["app"]["key"]
    answer = bridge.running.request(endpoint, content=body, headers={"x-functions-key": key, "content-type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert words in problem["detail"], problem


@pytest.mark.parametrize("endpoint", ["alerts", "preview"])
@pytest.mark.parametrize("headers", [{}, {"x-functions-key": "wrong"}, {"x-functions-key": ""}])
def test_no_key_or_a_wrong_one_gets_401(bridge: Bridge, endpoint: str, headers: dict[str, str]) -> None:
    assert bridge.running.request(endpoint, json={}, headers=headers).status_code == 401


def test_the_key_may_stand_in_the_url_as_action_groups_send_it(bridge: Bridge) -> None:
    app = bridge.running.session["app"]
    answer = bridge.running.http.post(f"{app['preview_url']}?code={app['key']}", json={})
    assert answer.status_code == 200


def test_health_needs_no_key_and_tells_strangers_nothing_but_whether_the_bridge_is_well(bridge: Bridge) -> None:
    answer = bridge.running.http.get(bridge.running.session["app"]["health_url"])
    assert answer.status_code == 200
    assert answer.json().keys() == {"status"}
    assert answer.json()["status"] in ("ok", "degraded")  # other tests leave dead letters


def test_the_health_report_needs_a_key_and_tells_no_secret(bridge: Bridge, azure: Azure, alert: str) -> None:
    bridge.deliver(azure.metric(alert))
    app = bridge.running.session["app"]
    url = f"{app['health_url']}/report"
    assert bridge.running.http.get(url).status_code == 401
    until(lambda: bridge.health_report()["connections"]["servicenow"]["last_success"])
    answer = bridge.running.http.get(url, headers={"x-functions-key": app["key"]})
    assert answer.status_code == 200
    report = answer.json()
    assert report["configuration"] == {"valid": True}
    assert report["queue"]["messages"] >= 0
    assert {one["name"] for one in report["functions"]} >= {"deliver", "park_poison", "resync"}
    assert bridge.url not in answer.text


def test_preview_shows_what_would_become_and_does_nothing(bridge: Bridge, azure: Azure, alert: str) -> None:
    body = [azure.metric(alert), azure.metric(alert, resolved=True), {"text": "?"}, azure.budget()]
    known = bridge.heard_of()
    answer = bridge.running.request("preview", json=body)
    assert answer.status_code == 200
    fired, resolved, unreadable, budget = answer.json()["items"]
    keys = ["outcome", "reason", "signal", "route", "connection", "ticket", "warnings"]
    assert all(list(item) == keys for item in (fired, resolved, unreadable, budget))
    assert (fired["outcome"], fired["route"], fired["connection"]) == ("ticket", "default", "servicenow")
    assert fired["ticket"]["fields"]["correlation_id"] == f"alert:1:{alert}"
    assert fired["signal"]["key"] == resolved["signal"]["key"]
    assert (resolved["outcome"], resolved["signal"]["state"]) == ("ticket", "resolved")
    assert "close_notes" in resolved["ticket"]["resolution"]
    assert (unreadable["outcome"], unreadable["signal"], unreadable["ticket"]) == ("quarantined", None, None)
    assert (budget["signal"]["kind"], budget["signal"]["severity"]) == ("budget", None)
    assert bridge.calls() == 0
    # Had it queued anything, these two would find that, and the log would name it by the time they are through.
    delivered = [bridge.deliver(one) for one in body[:2]]
    assert [(event["decision"], event["calls"]) for event in delivered] == [("created", 1), ("resolved", 2)]
    assert bridge.heard_of() - known == {event["id"] for event in delivered}


def test_an_empty_array_is_no_alert_and_no_mistake(bridge: Bridge) -> None:
    assert bridge.running.request("alerts", json=[]).json() == {"items": []}
    assert bridge.running.request("preview", json=[]).json() == {"items": []}


def test_odd_but_valid_json_is_taken_in(bridge: Bridge) -> None:
    bodies = ['{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a": "\\u0000"}', '\ufeff{"a": 1}', '{"data": {}}']
    for body in bodies:
        key = bridge.running.session["app"]["key"]
        headers = {"x-functions-key": key, "content-type": "application/json; charset=utf-8"}
        answer = bridge.running.request("alerts", content=body.encode(), headers=headers)
        assert answer.status_code == 202, body
        (item,) = answer.json()["items"]
        assert bridge.running.outcome(item["id"])["event"] == "signal_quarantined"
        assert json.loads(bridge.running.request("preview", content=body.encode(), headers=headers).text)
