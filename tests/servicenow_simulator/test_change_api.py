"""The Change Management API."""

from __future__ import annotations

from typing import Any

import httpx

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import CHANGES, Control, create, error, result

API = "/api/sn_chg_rest/change"
CLOUD = {"assignment_group": "Cloud Operations"}
DATES = {"start_date": "2026-06-01 20:00:00", "end_date": "2026-06-01 22:00:00"}


def make(client: httpx.Client, path: str = API, **fields: str) -> dict[str, Any]:
    return dict(result(client.post(path, json={"short_description": "Patch", **fields})))


def test_f29_creating_answers_200_with_pairs(bridge: httpx.Client) -> None:
    made = make(bridge, f"{API}/emergency", no_such_field="x", **CLOUD)
    assert made["type"] == {"display_value": "Emergency", "value": "emergency"}
    assert made["state"] == {"display_value": "New", "value": "-5"}
    assert made["assignment_group"]["display_value"] == "Cloud Operations"
    assert set(made["sys_created_on"]) == {"display_value", "value", "display_value_internal"}
    assert made["__meta"] == {"ignoredFields": ["no_such_field"]}
    in_query = bridge.post(f"{API}/normal", params={"short_description": "By query"})
    assert result(in_query)["short_description"]["value"] == "By query"


def test_f29_one_change_is_read_changed_and_deleted(bridge: httpx.Client, simulator: Simulator) -> None:
    sys_id = make(bridge, **CLOUD)["sys_id"]["value"]
    moved = result(bridge.patch(f"{API}/normal/{sys_id}", json={"state": "assess"}))
    assert (moved["state"]["value"], moved["state"]["display_value"]) == ("-4", "Assess")
    assert result(bridge.get(f"{API}/{sys_id}"))["number"]["value"].startswith("CHG")
    assert "could not be deleted" in error(bridge.delete(f"{API}/{sys_id}"), 403)[0]
    with support.connect(simulator.url, "change.manager", simulator.accounts["change.manager"]) as manager:
        assert manager.delete(f"{API}/{sys_id}").status_code == 204
    assert error(bridge.get(f"{API}/{sys_id}"), 404)[0] == "No Record found"


def test_f29_a_refusal_tells_its_reason_in_the_message(bridge: httpx.Client) -> None:
    sys_id = make(bridge, **CLOUD)["sys_id"]["value"]
    message, detail = error(bridge.patch(f"{API}/{sys_id}", json={"state": "closed"}), 403)
    start = "Change Request record could not be updated. Operation against file 'change_request' was aborted by"
    assert message.startswith(f"{start} Business Rule 'Change Model: Check State Transition^")
    assert detail == ""


def test_f29_lists_by_type_query_and_page(bridge: httpx.Client) -> None:
    emergencies = result(bridge.get(f"{API}/emergency"))
    assert {change["type"]["value"] for change in emergencies} == {"emergency"}
    params = {"sysparm_query": "ORDERBYnumber", "sysparm_limit": "2", "sysparm_offset": "1"}
    page = result(bridge.get(API, params=params))
    assert [change["number"]["value"] for change in page] == ["CHG0000002", "CHG0000003"]
    assert len(result(bridge.get(f"{API}/standard"))) == 4


def test_f29_results_as_arrays(bridge: httpx.Client, control: Control) -> None:
    control.set(change_api_array=True)
    (made,) = result(bridge.post(API, json={"short_description": "x"}))
    (read,) = result(bridge.get(f"{API}/{made['sys_id']['value']}"))
    assert read["number"] == made["number"]


def test_f29_standard_changes_come_from_templates(bridge: httpx.Client) -> None:
    template = next(
        row for row in result(bridge.get(f"{API}/standard/template")) if row["name"]["value"].startswith("Reboot")
    )
    made = result(bridge.post(f"{API}/standard/{template['sys_id']['value']}", json={}))
    assert (made["type"]["value"], made["short_description"]["value"]) == ("standard", "Reboot a virtual machine")
    version = made["std_change_producer_version"]["value"]
    assert version == template["current_version"]["value"]
    assert error(bridge.post(f"{API}/standard/{version}", json={}), 404), "a version is no template"
    assert error(bridge.post(f"{API}/standard/{'0' * 32}", json={}), 404)
    assert [model["type"]["value"] for model in result(bridge.get(f"{API}/model"))] == [
        "normal",
        "standard",
        "emergency",
    ]


def test_f29_next_states_and_approvals(bridge: httpx.Client, simulator: Simulator) -> None:
    sys_id = make(bridge, **CLOUD, **DATES)["sys_id"]["value"]
    assert result(bridge.get(f"{API}/{sys_id}/nextstates"))["available_states"] == ["-5", "-4", "4"]
    bridge.patch(f"{API}/{sys_id}", json={"state": "-4"}).raise_for_status()
    states = result(bridge.get(f"{API}/{sys_id}/nextstates"))
    assert states["available_states"] == ["-4", "-5", "4"]
    assert states["state_label"]["-3"] == "Authorize"
    to_authorize = next(move for (move,) in states["state_transitions"] if move["to_state"] == "-3")
    assert (to_authorize["display_value"], to_authorize["transition_available"]) == ("Assess to Authorize", False)
    assert error(bridge.patch(f"{API}/{sys_id}/approvals", json={"state": "approved"}), 400)
    group = result(bridge.get(f"{API}/{sys_id}"))["assignment_group"]["value"]
    lead = result(bridge.get(f"/api/now/table/sys_user_group/{group}"))["manager"]["value"]
    name = result(bridge.get(f"/api/now/table/sys_user/{lead}"))["user_name"]
    with support.connect(simulator.url, name, simulator.accounts[name]) as approver:
        approved = result(approver.patch(f"{API}/{sys_id}/approvals", json={"state": "approved", "comments": ""}))
    assert approved["state"]["value"] == "-3"


def test_f29_conflicts(bridge: httpx.Client) -> None:
    sys_id = make(bridge)["sys_id"]["value"]
    assert result(bridge.get(f"{API}/{sys_id}/conflict"))["status"] == "Not Run"
    assert result(bridge.post(f"{API}/{sys_id}/conflict")) == sys_id
    found = result(bridge.get(f"{API}/{sys_id}/conflict"))
    assert (found["status"], found["job_status"], found["conflicts"]) == ("No Conflict", "2", [])
    assert found["last_run"]
    assert bridge.delete(f"{API}/{sys_id}/conflict").status_code == 204
    assert result(bridge.get(f"{API}/{sys_id}/conflict"))["status"] == "Not Run"


def test_f29_tasks(bridge: httpx.Client, admin: httpx.Client) -> None:
    sys_id = make(bridge)["sys_id"]["value"]
    made = make(bridge, f"{API}/{sys_id}/task", change_task_type="testing")
    task = made["sys_id"]["value"]
    assert made["change_request"]["value"] == sys_id
    assert [row["number"] for row in result(bridge.get(f"{API}/{sys_id}/task"))] == [made["number"]]
    closed = result(bridge.patch(f"{API}/{sys_id}/task/{task}", json={"state": "closed"}))
    assert closed["state"]["value"] == "3"
    assert result(bridge.get(f"{API}/{sys_id}/task/{task}"))["active"]["value"] == "false"
    other = create(bridge, CHANGES)["sys_id"]
    assert error(bridge.get(f"{API}/{other}/task/{task}"), 404)
    assert admin.delete(f"{API}/{sys_id}/task/{task}").status_code == 204


def test_f29_rights_and_addresses(simulator: Simulator, bridge: httpx.Client) -> None:
    with support.connect(simulator.url, "no.roles", simulator.accounts["no.roles"]) as nobody:
        assert error(nobody.get(API), 403)[0] == "Insufficient rights to query records"
        assert "could not be created" in error(nobody.post(API, json={}), 403)[0]
    assert error(bridge.post(f"{API}/standard", json={}), 405)
    assert error(bridge.get(f"{API}/bunk"), 400)[0] == "Requested URI does not represent any resource"
