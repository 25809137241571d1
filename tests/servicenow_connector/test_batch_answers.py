"""Answers of the Batch API: what is believed of each item, and what is not."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.servicenow.batch import batch_call, batch_report, read_batch
from connectors.servicenow.wire import Purpose, ServiceNowReply, WireCall
from shared.core.rate_gate import SystemCondition

JSON = {"content-type": "application/json;charset=UTF-8"}
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def item(position: Any, status: Any = 201, body: Any = None, **more: Any) -> dict[str, Any]:
    text = json.dumps({"result": {}} if body is None else body)
    return {"id": position, "status_code": status, "body": base64.b64encode(text.encode()).decode(), **more}


def answer(*items: Any, unserviced: Any = (), status: int = 200, headers: Any = None) -> ServiceNowReply:
    body = {"batch_request_id": "1", "serviced_requests": list(items), "unserviced_requests": list(unserviced)}
    return ServiceNowReply(status, {**JSON, **(headers or {})}, json.dumps(body).encode())


def test_a_batch_bears_each_call_as_it_would_go_alone() -> None:
    fields = {"sysparm_fields": "sys_id,number", "sysparm_exclude_reference_link": "true"}
    call = WireCall("POST", "/api/now/table/incident", Purpose.CREATE, fields, {"short_description": "Größe"})
    sent = batch_call([call, call])
    assert (sent.method, sent.path, sent.purpose) == ("POST", "/api/now/v1/batch", Purpose.BATCH)
    assert sent.body is not None
    first, second = sent.body["rest_requests"]
    assert (first["id"], second["id"]) == ("0", "1")
    assert first["url"] == "/api/now/table/incident?sysparm_fields=sys_id%2Cnumber&sysparm_exclude_reference_link=true"
    assert json.loads(base64.b64decode(first["body"])) == {"short_description": "Größe"}


def test_items_are_found_by_their_ids_in_any_order_also_as_numbers() -> None:
    found = read_batch(answer(item("1"), item(0, 403), unserviced=["2", 3]))
    assert {position: reply.status for position, reply in found.items.items()} == {0: 403, 1: 201}
    assert found.unserviced == {2, 3}
    assert found.items[0].is_json


@pytest.mark.parametrize(
    "odd",
    [
        [item("0"), item("0", 403)],
        [item("0", "201")],
        [item("0", True)],
        [{"id": "0", "status_code": 201, "body": "no base64!"}],
        [{"id": "0", "status_code": 201, "body": 7}],
        [{"status_code": 201, "body": ""}],
        [item("-1"), item("x"), item(None), item("99999")],
        ["text", None, 7],
    ],
)
def test_an_item_that_cannot_be_read_or_comes_twice_proves_nothing(odd: list[Any]) -> None:
    found = read_batch(answer(*odd, item("5")))
    assert set(found.items) == {5}
    assert found.readable


def test_an_item_that_was_answered_and_is_listed_as_not_run_proves_nothing() -> None:
    found = read_batch(answer(item("0"), item("1"), unserviced=["1"]))
    assert (set(found.items), found.unserviced) == ({0}, frozenset())


@pytest.mark.parametrize(
    "reply",
    [
        ServiceNowReply(200, {"content-type": "text/html"}, b"<title>Instance Hibernating page</title>"),
        ServiceNowReply(200, JSON, b'{"serviced_requests": ['),
        ServiceNowReply(200, JSON, b'{"result": []}'),
        ServiceNowReply(200, JSON, b'{"serviced_requests": {}}'),
        ServiceNowReply(200, JSON, b'{"serviced_requests": [], "error": {"message": "x"}}'),
        ServiceNowReply(202, JSON, b""),
        answer(item("0"), status=500),
    ],
)
def test_an_answer_of_another_form_says_nothing_of_the_items(reply: ServiceNowReply) -> None:
    found = read_batch(reply)
    assert (dict(found.items), found.unserviced, found.readable) == ({}, frozenset(), False)


def test_an_item_that_was_refused_for_a_rate_limit_makes_the_budget_pause() -> None:
    headers = [{"name": "Retry-After", "value": "1800"}, {"name": "X-RateLimit-Limit", "value": "500"}]
    reply = answer(item("0"), item("1", 429, headers=headers), headers={"date": "Sat, 28 Nov 2026 12:00:00 GMT"})
    report = batch_report(reply, NOW)
    assert (report.condition, report.retry_after, report.limit) == (SystemCondition.THROTTLED, 1800.0, 500)
    assert report.date == NOW.timestamp()
    assert read_batch(reply).counted_one_by_one
    assert batch_report(answer(item("0"), item("1", 503)), NOW).condition is SystemCondition.ANSWERED


def test_headers_of_a_rate_limit_on_an_item_say_that_items_are_counted() -> None:
    headers = [{"name": "X-RateLimit-Rule", "value": "0" * 32}]
    assert read_batch(answer(item("0", headers=headers))).counted_one_by_one
    assert not read_batch(answer(item("0"), headers={"x-ratelimit-limit": "500"})).counted_one_by_one
