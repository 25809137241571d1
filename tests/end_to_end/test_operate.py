"""Dead letters and quarantine through the endpoints and the command line of a running bridge."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from local.demo.alerts import Azure
from tests.end_to_end.conftest import Bridge, until
from tests.end_to_end.test_command_line import bridge_py


def ask(bridge: Bridge, method: str, path: str, *, key: str | None = None, **options: Any) -> httpx.Response:
    """Call an endpoint of kept items, with the key unless another is given."""
    app = bridge.running.session["app"]
    headers = {"x-functions-key": app["key"] if key is None else key}
    base = app["health_url"].removesuffix("/health")
    return bridge.running.http.request(method, f"{base}/{path}", headers=headers, **options)


def refused(bridge: Bridge, azure: Azure, alert: str) -> str:
    """A dead letter; its id."""
    bridge.scenario("data_policy", match={"method": "POST", "table": "incident"})
    event = bridge.deliver(azure.metric(alert))
    assert event["event"] == "signal_dead_lettered"
    bridge.control("DELETE", "/scenarios")
    found: str = event["id"]
    return found


def test_a_signal_is_followed_by_its_id_from_the_webhook_to_the_ticket(
    bridge: Bridge, azure: Azure, alert: str
) -> None:
    signal_id = bridge.deliver(azure.metric(alert))["id"]
    events = bridge.running.events(signal_id)
    assert [event["event"] for event in events] == ["signal_accepted", "signal_delivered"]
    assert (events[0]["key"], events[0]["source"]) == (f"alert:1:{alert}", "azure_monitor")


def test_a_dead_letter_is_listed_shown_replayed_and_gone_through_the_endpoint(
    bridge: Bridge, azure: Azure, alert: str
) -> None:
    item = refused(bridge, azure, alert)
    listed = ask(bridge, "GET", "dead-letters", params={"error": "refused", "text": alert, "counts": "true"}).json()
    assert ([row["id"] for row in listed["items"]], listed["counts"]["total"]) == ([item], 1)
    shown = ask(bridge, "GET", f"dead-letters/{item}").json()
    assert (shown["message"]["signal"]["key"], shown["advice"] != "") == (f"alert:1:{alert}", True)
    answer = ask(bridge, "POST", "dead-letters/replay", json={"ids": [item, "nobody"]})
    assert (answer.status_code, answer.json()["counts"]) == (200, {"replayed": 1, "not_found": 1})
    until(lambda: bridge.tickets(alert))
    until(lambda: ask(bridge, "GET", f"dead-letters/{item}").status_code == 404)


def test_dropped_items_are_gone(bridge: Bridge, azure: Azure, alert: str) -> None:
    item = refused(bridge, azure, alert)
    session = bridge.running.session["session_file"]
    options = ("--code", "refused", "--contains", alert, "--since", "2026-01-01", "--newest", "--limit", "1", "--json")
    code, text, _ = bridge_py("dead-letters", "list", *options, session=session)
    assert (code, json.loads(text)["id"]) == (0, item)
    assert ask(bridge, "POST", "dead-letters/drop", json={"ids": [item]}).status_code == 400
    answer = ask(bridge, "POST", "dead-letters/drop", json={"ids": [item], "confirm": True})
    assert answer.json()["results"] == [{"id": item, "outcome": "dropped"}]
    assert ask(bridge, "GET", f"dead-letters/{item}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "dead-letters?limit=many", {}, 400),
        ("GET", "quarantine/nobody", {}, 404),
        ("GET", "quarantine/%00%0d%0a", {}, 404),
        ("POST", "quarantine", {"json": {}}, 404),
        ("POST", "quarantine/replay", {"content": b"{"}, 400),
        ("POST", "dead-letters/replay", {"json": {"filter": {}, "at_most": 0}}, 400),
    ],
)
def test_bad_requests_are_answered_as_problems(
    bridge: Bridge, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    answer = ask(bridge, method, path, **options)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["detail"]


def test_nobody_gets_in_without_a_key(bridge: Bridge) -> None:
    for path in ("dead-letters", "quarantine", "dead-letters/x"):
        assert ask(bridge, "GET", path, key="wrong").status_code == 401


def test_the_command_line_reads_quarantine_again_and_drops_it(bridge: Bridge) -> None:
    session = bridge.running.session["session_file"]
    item = bridge.send({"text": "18 records over threshold"})
    assert bridge.running.outcome(item)["event"] == "signal_quarantined"
    code, text, _ = bridge_py("quarantine", "replay", item, "--json", session=session)
    result = json.loads(text)
    assert (code, result["id"], result["outcome"]) == (1, item, "still_unreadable")
    assert bridge_py("quarantine", "drop", item, session=session)[0] == 2
    code, text, _ = bridge_py("quarantine", "drop", item, "nobody", "--confirm", session=session)
    assert (code, "1 dropped, 1 not found" in text) == (1, True)
    assert item not in bridge_py("quarantine", "list", session=session)[1]
