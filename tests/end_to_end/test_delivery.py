"""From the webhook to the ticket and back, over real processes: what must always hold."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.demo.alerts import Azure
from tests.end_to_end.conftest import Bridge


def test_a_fired_opens_one_incident_with_few_calls_and_its_resolved_reads_and_resolves_it(
    bridge: Bridge, azure: Azure, alert: str
) -> None:
    fired = bridge.deliver(azure.metric(alert))
    assert fired["decision"] == "created"
    looked_up = fired["calls"] - 1  # its configuration item, unless an earlier alert named the same machine
    assert looked_up in (0, 1)
    resolved = bridge.deliver(azure.metric(alert, resolved=True))
    assert (resolved["decision"], resolved["calls"]) == ("resolved", 2)
    assert bridge.calls() == 3 + looked_up
    (ticket,) = bridge.tickets(alert)
    assert ticket["state"] == "Resolved"
    assert ticket["close_code"] == "Solution provided"
    assert "ended at" in ticket["close_notes"]
    assert ticket["short_description"] == "cpu-high on vm-shop-01"
    assert (ticket["impact"], ticket["urgency"], ticket["priority"]) == ("2 - Medium", "1 - High", "2 - High")


def test_duplicates_at_the_same_moment_make_one_ticket(bridge: Bridge, azure: Azure, alert: str) -> None:
    body = azure.metric(alert)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: bridge.send(body), range(12)))
    decisions = sorted(bridge.running.outcome(signal_id)["decision"] for signal_id in ids)
    assert decisions.count("created") == 1
    assert set(decisions) <= {"created", "duplicate", "in_progress"}
    assert len(bridge.tickets(alert)) == 1
    assert bridge.calls() - 1 == 1  # the one call, and the look of this test


def test_a_resolved_that_overtakes_its_fired_leaves_one_resolved_ticket(
    bridge: Bridge, azure: Azure, alert: str
) -> None:
    assert bridge.deliver(azure.metric(alert, resolved=True))["decision"] == "resolved_before_fired"
    assert bridge.deliver(azure.metric(alert))["decision"] == "created_resolved"
    (ticket,) = bridge.tickets(alert)
    assert ticket["state"] == "Resolved"


@pytest.mark.parametrize(
    ("kind", "table", "number"), [("problem", "problem", "PRB"), ("change", "change_request", "CHG")]
)
def test_problems_and_changes_are_opened_too(
    bridge: Bridge, azure: Azure, alert: str, kind: str, table: str, number: str
) -> None:
    body = azure.metric(alert)
    body["data"]["customProperties"] = {"kind": kind}
    event = bridge.deliver(body)
    assert event["decision"] == "created"
    assert event["ticket"].startswith(number)
    (ticket,) = bridge.tickets(alert, table)
    assert ticket["correlation_display"] == "Azure ITSM Bridge"


def test_events_go_to_event_management_and_are_cleared(bridge: Bridge, azure: Azure, alert: str) -> None:
    body, ended = azure.metric(alert), azure.metric(alert, resolved=True)
    for one in (body, ended):
        one["data"]["customProperties"] = {"kind": "event"}
    assert bridge.deliver(body)["calls"] == 1
    assert bridge.deliver(ended)["calls"] == 1
    requests = bridge.control("GET", "/requests?limit=10")["requests"]
    sent = [json.loads(r["body"])["records"][0] for r in requests if "jsonv2" in r["path"]]
    assert sorted((r["severity"], r["resolution_state"]) for r in sent) == [("0", "Closing"), ("2", "New")]
    assert {r["message_key"] for r in sent} == {f"alert:1:{alert}"}
    for name in ("source", "event_class", "node", "resource", "type", "metric_name"):
        assert len({r[name] for r in sent}) == 1, name
    closing, opening = sorted(sent, key=lambda r: r["severity"])
    assert closing["time_of_event"] > opening["time_of_event"]


def test_an_answer_that_is_lost_after_the_ticket_was_made_makes_no_second_one(
    bridge: Bridge, azure: Azure, alert: str
) -> None:
    for fault in ("cut_after_commit", "commit_then_500", "commit_then_403", "truncated_json", "missing_result"):
        one = f"{fault.encode().hex()[:8]}{alert[8:]}"
        bridge.scenario(fault, match={"method": "POST", "table": "incident"}, times=1)
        assert bridge.deliver(azure.metric(one))["decision"] in ("created", "duplicate"), fault
        assert len(bridge.tickets(one)) == 1, fault
        bridge.calm()


def test_a_call_that_times_out_is_looked_up_and_not_repeated(bridge: Bridge, azure: Azure, alert: str) -> None:
    bridge.scenario("timeout_after_commit", match={"method": "POST", "table": "incident"}, times=1, seconds=6)
    signal_id = bridge.send(azure.metric(alert))
    assert bridge.postponed(signal_id)["code"] == "outcome_unknown"
    assert bridge.running.outcome(signal_id)["ticket"].startswith("INC")
    assert len(bridge.tickets(alert)) == 1


@pytest.mark.parametrize(
    ("fault", "parameters", "code"),
    [
        ("hibernate", {}, "unavailable"),
        ("throttle", {"retry_after": 2}, "throttled"),
        ("throttle_bare", {}, "throttled"),
        ("cut_before_commit", {}, "outcome_unknown"),
        ("maintenance", {}, "outcome_unknown"),
        ("reject_credentials", {}, "not_authorised"),
        ("scope_gate", {}, "not_authorised"),
        ("session_queue", {}, "outcome_unknown"),
        ("wrong_content_type", {}, "outcome_unknown"),
    ],
)
def test_what_may_pass_is_tried_again_until_it_has_passed(
    bridge: Bridge, azure: Azure, alert: str, fault: str, parameters: dict[str, int], code: str
) -> None:
    bridge.scenario(fault, match={"table": "incident"}, **parameters)
    signal_id = bridge.send(azure.metric(alert, properties={"desk": fault}))
    postponed = bridge.postponed(signal_id)
    assert postponed["code"] == code
    assert postponed["reason"].startswith(f"{fault}: "), "each fault has a connection of its own"
    if fault == "throttle":
        assert postponed["delay_s"] >= 2
    bridge.control("DELETE", "/scenarios")
    assert bridge.running.outcome(signal_id)["decision"] in ("created", "duplicate")
    assert len(bridge.tickets(alert)) == 1


def test_a_closed_ticket_is_followed_by_a_new_one_and_stays_as_it_is(bridge: Bridge, azure: Azure, alert: str) -> None:
    tracking = f"{alert[:4]}-{alert[4:7]}"
    bridge.deliver(azure.service_health(tracking, "Active"))
    bridge.deliver(azure.service_health(tracking, "Resolved", minutes=5))
    (first,) = bridge.tickets(tracking)
    bridge.change(first["sys_id"], {"state": "7"})
    before = bridge.control("GET", f"/history/{first['sys_id']}")
    event = bridge.deliver(azure.service_health(tracking, "Active", minutes=6))
    assert event["decision"] == "created"
    assert bridge.control("GET", f"/history/{first['sys_id']}") == before
    old, new = sorted(bridge.tickets(tracking), key=lambda t: t["number"])
    assert (old["state"], new["state"]) == ("Closed", "New")
    assert new["parent"] == old["number"]
    assert old["number"] in new["work_notes"]


def test_a_problem_that_returns_reopens_its_ticket(bridge: Bridge, azure: Azure, alert: str) -> None:
    tracking = f"{alert[:4]}-{alert[4:7]}"
    for stage, minute, decision in (
        ("Active", 0, "created"),
        ("Resolved", 5, "resolved"),
        ("Active", 10, "reopened"),
        ("Resolved", 15, "resolved"),
        ("RCA", 500, "commented"),
    ):
        assert bridge.deliver(azure.service_health(tracking, stage, minutes=minute))["decision"] == decision
    (ticket,) = bridge.tickets(tracking)
    assert ticket["state"] == "Resolved"


def test_no_more_than_four_calls_are_in_flight_per_worker(bridge: Bridge, azure: Azure) -> None:
    bridge.control("PATCH", "/settings", json={"latency_ms": 150})
    try:
        ids = [bridge.send(azure.log_search(f"{n:08d}-1111-4000-8000-000000000000")) for n in range(40)]
        for signal_id in ids:
            bridge.running.outcome(signal_id)
        counters = bridge.control("GET", "/counters")
    finally:
        bridge.control("PATCH", "/settings", json={"latency_ms": 0})
    assert 1 < counters["max_in_flight"] <= 8  # two workers
    assert counters["cookies_seen"] == 0


def test_a_field_that_the_instance_does_not_take_over_is_reported(bridge: Bridge, azure: Azure, alert: str) -> None:
    bridge.scenario("drop_field", match={"method": "POST", "table": "incident"}, field="category")
    event = bridge.deliver(azure.metric(alert))
    assert event["decision"] == "created"
    assert event["dropped"] == ["category"]


def test_an_item_that_nobody_can_read_is_kept_while_its_neighbours_are_delivered(
    bridge: Bridge, azure: Azure, alert: str
) -> None:
    ids = bridge.running.post([azure.metric(alert), {"text": "18 records over threshold"}, 7])
    outcomes = [bridge.running.outcome(signal_id)["event"] for signal_id in ids]
    assert outcomes == ["signal_delivered", "signal_quarantined", "signal_quarantined"]


def test_an_alert_larger_than_a_queue_message_is_delivered_too(bridge: Bridge, azure: Azure, alert: str) -> None:
    body = azure.log_search(alert)
    body["data"]["alertContext"]["condition"]["allOf"][0]["searchQuery"] = "Heartbeat | where x == '…'\n" * 8000
    assert bridge.deliver(body)["decision"] == "created"
    signal_id = bridge.send({"no": "alert", "blob": "x" * 200_000})
    assert bridge.running.outcome(signal_id)["event"] == "signal_quarantined"
