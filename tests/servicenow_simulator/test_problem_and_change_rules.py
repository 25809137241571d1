"""State models of problems and changes, and administrators' own business rules."""

from __future__ import annotations

import re

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import CHANGES, PROBLEMS, Control, create, error, result, update

PROBLEM_ADMIN = "26fbff173b331300ad3cc9bb34efc4bd"
CLOUD = {"assignment_group": "Cloud Operations"}
DATES = {"start_date": "2026-06-01 20:00:00", "end_date": "2026-06-01 22:00:00"}
CLOSURE = {"close_code": "successful", "close_notes": "Done."}


def abort_text(table: str, rule: str) -> str:
    return (
        rf"Operation against file '{table}' was aborted by Business Rule "
        rf"'{re.escape(rule)}\^[0-9a-f]{{32}}'. Business Rule Stack:{re.escape(rule)}"
    )


def move(client: httpx.Client, path: str, sys_id: str, state: str, **fields: str) -> str:
    return str(update(client, path, sys_id, state=state, **fields)["state"])


def test_f31_a_problem_walks_its_states(bridge: httpx.Client) -> None:
    problem = create(bridge, PROBLEMS)
    assert (problem["state"], problem["problem_state"], problem["number"]) == ("101", "101", "PRB0040001")
    sys_id = problem["sys_id"]
    refused = bridge.patch(f"{PROBLEMS}/{sys_id}", json={"state": "102"})
    assert error(refused, 403)[1] == "Data Policy Exception: Assigned to is mandatory"
    assert move(bridge, PROBLEMS, sys_id, "102", assigned_to=PROBLEM_ADMIN) == "102"
    assert move(bridge, PROBLEMS, sys_id, "103") == "103"
    refused = bridge.patch(f"{PROBLEMS}/{sys_id}", json={"state": "104"})
    assert "Cause notes, Fix notes" in str(error(refused, 403)[1])
    assert move(bridge, PROBLEMS, sys_id, "104", cause_notes="full log", fix_notes="rotation") == "104"
    resolved = update(bridge, PROBLEMS, sys_id, state="106", resolution_code="fix_applied")
    assert (resolved["state"], resolved["active"], bool(resolved["resolved_at"])) == ("106", "true", True)
    closed = update(bridge, PROBLEMS, sys_id, problem_state="107")
    assert (closed["state"], closed["active"]) == ("107", "false")


@pytest.mark.parametrize(("state", "code"), [("103", ""), ("106", "fix_applied"), ("107", ""), ("107", "fix_applied")])
def test_f31_a_jump_is_aborted(bridge: httpx.Client, state: str, code: str) -> None:
    problem = create(bridge, PROBLEMS)
    answer = bridge.patch(f"{PROBLEMS}/{problem['sys_id']}", json={"state": state, "resolution_code": code})
    message, detail = error(answer, 403)
    assert message == "Operation Failed"
    assert re.fullmatch(abort_text("problem", "Problem Model: Check State Transition"), str(detail))


def test_f31_short_cuts_need_their_code(bridge: httpx.Client) -> None:
    assert move(bridge, PROBLEMS, create(bridge, PROBLEMS)["sys_id"], "107", resolution_code="canceled") == "107"
    other = create(bridge, PROBLEMS)["sys_id"]
    refused = bridge.patch(f"{PROBLEMS}/{other}", json={"state": "107", "resolution_code": "duplicate"})
    assert error(refused, 403)[1] == "Data Policy Exception: Duplicate of is mandatory"
    analysed = create(bridge, PROBLEMS, state="103")["sys_id"]
    risk = {"resolution_code": "risk_accepted", "close_notes": "We live with it."}
    assert move(bridge, PROBLEMS, analysed, "106", **risk) == "106"


def test_f31_an_instance_that_ignores_state_writes(bridge: httpx.Client, control: Control) -> None:
    control.set(problem_transitions="ignored")
    problem = create(bridge, PROBLEMS)
    changed = update(bridge, PROBLEMS, problem["sys_id"], state="102", assigned_to=PROBLEM_ADMIN, impact="1")
    assert (changed["state"], changed["problem_state"], changed["impact"]) == ("101", "101", "1")


def test_f31_an_instance_that_aborts_every_state_write(bridge: httpx.Client, control: Control) -> None:
    control.set(problem_transitions="aborted")
    problem = create(bridge, PROBLEMS)
    change = {"state": "102", "assigned_to": PROBLEM_ADMIN}
    answer = bridge.patch(f"{PROBLEMS}/{problem['sys_id']}", json=change)
    assert "aborted by Business Rule" in str(error(answer, 403)[1])


@pytest.mark.parametrize("mode", ["checked", "ignored", "aborted"])
def test_f31_the_scripted_endpoint_moves_the_state_in_every_mode(
    bridge: httpx.Client, control: Control, mode: str
) -> None:
    control.set(problem_transitions=mode)
    problem = create(bridge, PROBLEMS)
    path = f"/api/x_demo/problem/{problem['number']}/new_state/assess"
    moved = result(bridge.patch(path, json={"assigned_to": PROBLEM_ADMIN}))
    assert moved["state"] == "102"


def test_f31_re_analysing_a_closed_problem_needs_a_role(bridge: httpx.Client, simulator: Simulator) -> None:
    closed = update(bridge, PROBLEMS, create(bridge, PROBLEMS)["sys_id"], state="107", resolution_code="canceled")
    path = f"{PROBLEMS}/{closed['sys_id']}"
    assert error(bridge.patch(path, json={"state": "103"}), 403)
    auth = ("problem.admin", simulator.accounts["problem.admin"])
    again = result(support.patch(simulator.url + path, json={"state": "103"}, auth=auth))
    assert (again["state"], again["active"], again["reopen_count"]) == ("103", "true", "1")


def test_f30_a_standard_change_walks_its_states(bridge: httpx.Client) -> None:
    change = create(bridge, CHANGES, type="standard")
    assert (change["state"], change["number"], change["type"]) == ("-5", "CHG0030001", "standard")
    sys_id = change["sys_id"]
    refused = bridge.patch(f"{CHANGES}/{sys_id}", json={"state": "-2"})
    assert error(refused, 403)[1] == "Data Policy Exception: Assignment group is mandatory"
    scheduled = update(bridge, CHANGES, sys_id, state="-2", **CLOUD)
    assert (scheduled["state"], scheduled["approval"]) == ("-2", "approved")
    assert update(bridge, CHANGES, sys_id, state="-1")["work_start"]
    assert move(bridge, CHANGES, sys_id, "0") == "0"
    refused = bridge.patch(f"{CHANGES}/{sys_id}", json={"state": "3"})
    assert "Close code, Close notes" in str(error(refused, 403)[1])
    closed = update(bridge, CHANGES, sys_id, state="3", **CLOSURE)
    assert (closed["state"], closed["active"]) == ("3", "false")


def approve(simulator: Simulator, change: str, decision: str = "approved") -> None:
    with support.connect(simulator.url, "change.manager", simulator.accounts["change.manager"]) as manager:
        query = {"sysparm_query": f"sysapproval={change}^state=requested"}
        (approval,) = result(manager.get("/api/now/table/sysapproval_approver", params=query))
        path = f"/api/now/table/sysapproval_approver/{approval['sys_id']}"
        assert result(manager.patch(path, json={"state": decision}))["state"] == decision


def test_f30_a_normal_change_is_moved_by_approvals(bridge: httpx.Client, simulator: Simulator) -> None:
    sys_id = create(bridge, CHANGES, **CLOUD, **DATES)["sys_id"]
    assert move(bridge, CHANGES, sys_id, "-4") == "-4"
    for state in ("-3", "-2"):
        refused = bridge.patch(f"{CHANGES}/{sys_id}", json={"state": state})
        assert re.fullmatch(
            abort_text("change_request", "Change Model: Check State Transition"), str(error(refused, 403)[1])
        )
        approve(simulator, sys_id)
        assert result(bridge.get(f"{CHANGES}/{sys_id}"))["state"] == state
    assert result(bridge.get(f"{CHANGES}/{sys_id}"))["approval"] == "approved"
    assert move(bridge, CHANGES, sys_id, "-1") == "-1"


def test_f30_a_rejected_change_goes_back(bridge: httpx.Client, simulator: Simulator) -> None:
    sys_id = create(bridge, CHANGES, **CLOUD, **DATES)["sys_id"]
    move(bridge, CHANGES, sys_id, "-4")
    approve(simulator, sys_id, "rejected")
    back = result(bridge.get(f"{CHANGES}/{sys_id}"))
    assert (back["state"], back["approval"]) == ("-5", "rejected")


def test_f30_a_normal_change_needs_dates_to_be_scheduled(bridge: httpx.Client) -> None:
    sys_id = create(bridge, CHANGES, **CLOUD)["sys_id"]
    move(bridge, CHANGES, sys_id, "-4")
    assert update(bridge, CHANGES, sys_id, approval="approved")["state"] == "-3"
    refused = bridge.patch(f"{CHANGES}/{sys_id}", json={"approval": "approved"})
    assert "Planned start date, Planned end date" in str(error(refused, 403)[1])
    assert update(bridge, CHANGES, sys_id, approval="approved", **DATES)["state"] == "-2"


def test_f30_an_emergency_change_skips_assessment(bridge: httpx.Client, simulator: Simulator) -> None:
    sys_id = create(bridge, CHANGES, type="emergency", **CLOUD)["sys_id"]
    assert error(bridge.patch(f"{CHANGES}/{sys_id}", json={"state": "-4"}), 403)
    assert move(bridge, CHANGES, sys_id, "-3") == "-3"
    approve(simulator, sys_id)
    assert result(bridge.get(f"{CHANGES}/{sys_id}"))["state"] == "-2"


def test_f30_cancel_revert_and_hold(bridge: httpx.Client) -> None:
    sys_id = create(bridge, CHANGES, type="standard", **CLOUD)["sys_id"]
    move(bridge, CHANGES, sys_id, "-2")
    update(bridge, CHANGES, sys_id, on_hold="true", on_hold_reason="Freeze")
    assert error(bridge.patch(f"{CHANGES}/{sys_id}", json={"state": "-1"}), 403)
    assert move(bridge, CHANGES, sys_id, "-5", on_hold="false") == "-5"
    canceled = update(bridge, CHANGES, sys_id, state="4")
    assert (canceled["state"], canceled["active"]) == ("4", "false")


def test_f30_planned_end_before_start(bridge: httpx.Client) -> None:
    dates = {"start_date": DATES["end_date"], "end_date": DATES["start_date"]}
    answer = bridge.post(CHANGES, json={"short_description": "x", **dates})
    assert "Validate planned dates" in str(error(answer, 403)[1])


def test_f30_names_and_absence_of_the_transition_rule(bridge: httpx.Client, control: Control) -> None:
    control.set(change_transitions="legacy")
    sys_id = create(bridge, CHANGES, **CLOUD)["sys_id"]
    answer = bridge.patch(f"{CHANGES}/{sys_id}", json={"state": "0"})
    assert "'Change Request: State model^" in str(error(answer, 403)[1])
    control.set(change_transitions="off")
    assert move(bridge, CHANGES, sys_id, "0") == "0"


def test_tasks_of_changes_and_problems_close(bridge: httpx.Client) -> None:
    task = create(bridge, "/api/now/table/change_task")
    assert (task["number"], task["state"]) == ("CTASK0010001", "1")
    assert update(bridge, "/api/now/table/change_task", task["sys_id"], state="3")["active"] == "false"
    task = create(bridge, "/api/now/table/problem_task")
    assert (task["number"], task["state"]) == ("PTASK0010001", "151")
    assert update(bridge, "/api/now/table/problem_task", task["sys_id"], state="157")["active"] == "false"


def test_f19_an_administrators_rule_aborts(admin: httpx.Client, bridge: httpx.Client) -> None:
    rule = {
        "name": "No eicar here",
        "collection": "task",
        "active": True,
        "when": "before",
        "action_insert": True,
        "action_update": True,
        "abort_action": True,
        "filter_condition": "short_descriptionLIKEEICAR^ORdescriptionLIKEEICAR^EQ",
    }
    made = result(admin.post("/api/now/table/sys_script", json=rule), 201)
    answer = bridge.post("/api/now/table/incident", json={"short_description": "an eicar file"})
    message, detail = error(answer, 403)
    name = "No eicar here"
    assert message == "Operation Failed"
    expected = f"Operation against file 'incident' was aborted by Business Rule '{name}^{made['sys_id']}'."
    assert detail == f"{expected} Business Rule Stack:{name}"
    problem = create(bridge, PROBLEMS)
    assert error(bridge.patch(f"{PROBLEMS}/{problem['sys_id']}", json={"description": "Eicar"}), 403)
    admin.patch(f"/api/now/table/sys_script/{made['sys_id']}", json={"active": "false"})
    assert update(bridge, PROBLEMS, problem["sys_id"], description="Eicar")["description"] == "Eicar"


def test_f19_a_rule_may_look_at_what_changes(admin: httpx.Client, bridge: httpx.Client) -> None:
    rule = {
        "name": "No demotion",
        "collection": "incident",
        "active": "true",
        "when": "before",
        "action_update": "true",
        "action_delete": "true",
        "abort_action": "true",
        "filter_condition": "urgencyCHANGESFROM1",
    }
    admin.post("/api/now/table/sys_script", json=rule).raise_for_status()
    record = create(bridge, "/api/now/table/incident", urgency="1")
    path = f"/api/now/table/incident/{record['sys_id']}"
    assert error(bridge.patch(path, json={"urgency": "2"}), 403)
    assert result(bridge.patch(path, json={"impact": "1"}))["impact"] == "1"
