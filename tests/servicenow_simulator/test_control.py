"""The control API: journal, violations, request log, counters, clock, settings, reset."""

from __future__ import annotations

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import INCIDENTS, RESOLUTION, Control, create, numbers, result, update


def test_the_help_lists_every_endpoint_setting_and_scenario(control: Control) -> None:
    listed = control.get("")
    assert {"GET /control", "GET /control/history/{id}", "POST /control/scenarios"} <= listed["endpoints"].keys()
    assert all(listed["endpoints"].values())
    assert listed["settings"].keys() == control.get("/settings")["settings"].keys()
    assert all(entry["help"] for entry in listed["settings"].values())
    assert all(entry["help"] for entry in listed["scenarios"].values())
    assert listed["scenarios"]["throttle"]["parameters"] == {"retry_after": 60, "limit": 100}


def test_history_tells_what_happened_to_a_record(bridge: httpx.Client, admin: httpx.Client, control: Control) -> None:
    control.clock(freeze=True, set="2026-05-01T08:00:00Z")
    answer = bridge.post(INCIDENTS, json={"short_description": "x", "correlation_id": "k"})
    record = result(answer, 201)
    update(bridge, INCIDENTS, record["sys_id"], urgency="1", work_notes="looking into it")
    admin.delete(f"{INCIDENTS}/{record['sys_id']}")
    first, second, third = control.get(f"/history/{record['sys_id']}")["history"]
    assert (first["operation"], first["user"], first["number"]) == ("insert", "azure.bridge", record["number"])
    assert first["time"] == "2026-05-01 08:00:00"
    assert first["transaction_id"] == answer.headers["X-Transaction-ID"]
    assert first["changes"]["correlation_id"] == ["", "k"]
    assert second["operation"] == "update"
    assert second["changes"]["urgency"] == ["3", "1"]
    assert second["changes"]["work_notes"] == ["", "looking into it"]
    assert "short_description" not in second["changes"]
    assert (third["operation"], third["user"]) == ("delete", "admin")
    requests = {one["id"]: one for one in control.get("/requests")["requests"]}
    assert requests[second["request_id"]]["method"] == "PATCH"


def test_violations_show_duplicates_even_after_one_was_deleted(
    bridge: httpx.Client, admin: httpx.Client, control: Control
) -> None:
    first = create(bridge, correlation_id="twice")
    assert control.get("/violations")["duplicates"] == []
    second = create(bridge, correlation_id="twice")
    create(bridge, "/api/now/table/problem", correlation_id="twice")
    create(bridge)
    create(bridge)
    admin.delete(f"{INCIDENTS}/{second['sys_id']}")
    (duplicate,) = control.get("/violations")["duplicates"]
    assert (duplicate["table"], duplicate["correlation_id"]) == ("incident", "twice")
    assert duplicate["sys_ids"] == [first["sys_id"], second["sys_id"]]
    assert duplicate["present"] == [first["sys_id"]]


def test_violations_show_writes_on_closed_tickets_of_every_kind(bridge: httpx.Client, control: Control) -> None:
    changes = "/api/now/table/change_request"
    change = create(bridge, changes)
    update(bridge, changes, change["sys_id"], state="4")
    assert control.get("/violations")["closed_writes"] == []
    update(bridge, changes, change["sys_id"], work_notes="still writing")
    (write,) = control.get("/violations")["closed_writes"]
    assert (write["table"], write["number"], write["closed_write"]) == ("change_request", change["number"], True)


def test_resolving_twice_is_no_write_on_a_closed_ticket(bridge: httpx.Client, control: Control) -> None:
    record = create(bridge)
    update(bridge, INCIDENTS, record["sys_id"], state="6", **RESOLUTION)
    update(bridge, INCIDENTS, record["sys_id"], work_notes="more")
    assert control.get("/violations") == {"closed_writes": [], "duplicates": []}


def test_the_journal_can_be_read_by_table(bridge: httpx.Client, control: Control) -> None:
    for _ in range(3):
        create(bridge)
    create(bridge, "/api/now/table/problem")
    journal = control.get("/journal?table=incident&limit=2")
    assert journal["total"] == 3
    assert [entry["number"] for entry in journal["journal"]] == ["INC0010002", "INC0010003"]


def test_the_request_log_shows_requests_without_secrets(simulator: Simulator, control: Control) -> None:
    form = {"grant_type": "password", "client_id": simulator.client_id, "client_secret": simulator.client_secret}
    user = {"username": simulator.username, "password": simulator.password}
    token = support.post(f"{simulator.url}/oauth_token.do", data=form | user).json()
    support.get(f"{simulator.url}/oauth_revoke_token.do", params={"token": token["refresh_token"]})
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    body = {"user_name": "made.up", "user_password": simulator.password}
    support.post(f"{simulator.url}/api/now/table/sys_user", json=body, headers=headers).raise_for_status()
    logged = control.get("/requests")
    secrets = (simulator.client_secret, simulator.password, token["access_token"], token["refresh_token"])
    assert not any(secret in str(logged) for secret in secrets)
    first, _, last = logged["requests"]
    assert (first["user"], first["status"], first["path"]) == ("admin", 200, "/oauth_token.do")
    assert last.keys() == {
        "id", "transaction_id", "time", "method", "path", "query", "body", "user", "table", "status", "duration_ms",
        "committed", "scenarios", "note",
    }  # fmt: skip
    assert (last["user"], last["method"], last["table"], last["status"]) == ("admin", "POST", "sys_user", 201)
    assert last["committed"] is True
    assert last["duration_ms"] > 0
    assert "made.up" in last["body"]


def test_the_journal_holds_no_secrets(admin: httpx.Client, control: Control) -> None:
    body = {"name": "New client", "client_id": "abc", "client_secret": "demo-journal-secret"}
    made = result(admin.post("/api/now/table/oauth_entity", json=body), 201)
    (entry,) = control.get(f"/history/{made['sys_id']}")["history"]
    assert "client_id" in entry["changes"]
    assert "demo-journal-secret" not in str(entry) + str(control.last_request())


def test_counters(bridge: httpx.Client, control: Control) -> None:
    create(bridge)
    create(bridge)
    bridge.get(f"{INCIDENTS}/none")
    bridge.get(f"/api/now/attachment/{'a' * 32}")
    counters = control.get("/counters")
    assert counters["total"] == 4
    assert counters["by_method_and_table"] == {"POST incident": 2, "GET incident": 1, "GET sys_attachment": 1}
    assert counters["by_status"] == {"201": 2, "404": 2}
    assert (counters["in_flight"], counters["max_in_flight"]) == (0, 1)
    assert control.delete("/requests")["total"] == 0
    assert control.get("/requests")["requests"] == []


def test_the_clock_can_be_set_advanced_frozen_and_reset(control: Control) -> None:
    assert control.clock(freeze=True, set="2030-01-02T03:04:05+01:00")["now"] == "2030-01-02T02:04:05+00:00"
    assert control.clock(advance=60)["now"] == "2030-01-02T02:05:05+00:00"
    assert control.get("/clock")["frozen"] is True
    running = control.clock(freeze=False)
    assert running["frozen"] is False
    assert running["now"].startswith("2030-01-02T02:05")
    assert not control.clock(reset=True)["now"].startswith("2030")


def test_reset_brings_the_columns_back(bridge: httpx.Client, admin: httpx.Client, control: Control) -> None:
    entries = "/api/now/table/sys_dictionary"
    params = {"sysparm_query": "name=task^element=short_description", "sysparm_fields": "sys_id,max_length"}
    (entry,) = result(admin.get(entries, params=params))
    admin.patch(f"{entries}/{entry['sys_id']}", json={"max_length": "20"}).raise_for_status()
    admin.post(entries, json={"name": "incident", "element": "u_extra", "internal_type": "string"}).raise_for_status()
    assert create(bridge, short_description="x" * 30, u_extra="y")["short_description"] == "x" * 20
    control.reset()
    (entry,) = result(admin.get(entries, params=params))
    assert entry["max_length"] == "160"
    fresh = create(bridge, short_description="x" * 30, u_extra="y")
    assert (fresh["short_description"], "u_extra" in fresh) == ("x" * 30, False)


def test_reset_brings_the_first_day_back(bridge: httpx.Client, admin: httpx.Client, control: Control) -> None:
    create(bridge)
    admin.delete(f"{INCIDENTS}/{result(admin.get(INCIDENTS))[0]['sys_id']}")
    control.set(closed_write="ignore", close_codes="older")
    control.order("maintenance", times=1, match={"path": "never"})
    control.clock(advance=1e6)
    control.reset(keep="settings")
    assert control.get("/settings")["settings"]["closed_write"] == "ignore"
    codes = numbers(bridge, "incident", "ORDERBYnumber")
    assert (len(codes), codes[0]) == (30, "INC0000001")
    assert control.get("/scenarios")["scenarios"] == []
    assert control.get("/journal?table=incident")["total"] == 0
    assert create(bridge)["number"] == "INC0010001"
    control.reset()
    assert control.get("/settings")["settings"]["closed_write"] == "refuse"


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("PATCH", "/settings", {"no_such": 1}, "no_such: no such setting"),
        ("PATCH", "/settings", {"gzip": "yes"}, "gzip: needs a bool"),
        ("PATCH", "/settings", {"closed_write": "maybe"}, "closed_write: one of refuse, ignore"),
        ("PATCH", "/settings", {"latency_ms": "fast"}, "latency_ms"),
        ("POST", "/scenarios", {"type": "earthquake"}, "type: one of"),
        ("POST", "/scenarios", {"type": "slow", "minutes": 3}, "unknown: minutes"),
        ("POST", "/scenarios", {"type": "slow", "seconds": "three"}, "seconds: needs a float"),
        ("POST", "/scenarios", {"type": "slow", "times": 0}, "times"),
        ("POST", "/scenarios", {"type": "slow", "probability": 2}, "probability"),
        ("POST", "/scenarios", {"type": "slow", "match": {"color": "red"}}, "match"),
        ("POST", "/scenarios", {"type": "slow", "match": {"path": "("}}, "match.path"),
        ("POST", "/scenarios", {"type": "drop_field"}, "field"),
        ("POST", "/clock", {"jump": 1}, "one or more of set, advance, freeze, reset"),
        ("POST", "/clock", {"set": "noon"}, "noon"),
        ("POST", "/clock", [1], "object"),
        ("GET", "/requests?limit=x", None, "limit"),
        ("GET", "/nothing", None, "no such endpoint"),
        ("DELETE", "/scenarios/s999", None, "not found: s999"),
        ("PUT", "/clock", {}, "no such endpoint"),
    ],
)
def test_control_requests_that_do_not_fit_say_why(
    control: Control, method: str, path: str, body: object, reason: str
) -> None:
    before = control.get("/settings")
    assert reason in control.refused(method, path, body)
    assert control.get("/settings") == before


def test_settings_change_all_or_none(control: Control) -> None:
    control.refused("PATCH", "/settings", {"gzip": False, "closed_write": "maybe"})
    assert control.get("/settings")["settings"]["gzip"] is True


def test_many_rows_are_inserted_at_once_with_the_time_stamps_they_are_given(
    bridge: httpx.Client, control: Control
) -> None:
    rows = [{"short_description": str(n), "sys_updated_on": "2026-05-01 08:00:00"} for n in range(20)]
    made = control.insert("incident", rows)
    query = {"sysparm_query": "sys_updated_on=2026-05-01 08:00:00", "sysparm_fields": "sys_id,priority"}
    found = result(bridge.get(INCIDENTS, params=query))
    assert {row["sys_id"] for row in found} == set(made)
    assert {row["priority"] for row in found} == {"5"}
    for order in ({"table": "nothing", "rows": []}, {"table": "incident", "rows": [1]}, {"table": "incident"}):
        assert control.refused("POST", "/rows", order)
    assert "mandatory" in control.refused("POST", "/rows", {"table": "incident", "rows": [{"state": "6"}]})


def test_answers_are_dated_by_the_clock_of_the_instance(bridge: httpx.Client, control: Control) -> None:
    control.clock(freeze=True, set="2026-05-01T08:00:00Z")
    assert bridge.get(INCIDENTS, params={"sysparm_limit": "1"}).headers["Date"] == "Fri, 01 May 2026 08:00:00 GMT"
