"""Rules of incidents: priority, resolving, closing, reopening, holding, children, journals, auto-close."""

from __future__ import annotations

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import INCIDENTS, RESOLUTION, Control, create, error, result, update

NETWORK = "287ebd7da9fe198100f92cc8d1d2154e"
DATABASE = "287ee6fea9fe198100ada7950d0b1b73"
POLICY = "Data Policy Exception: The following fields are mandatory: Resolution code, Resolution notes"


@pytest.mark.parametrize(
    ("impact", "urgency", "priority"),
    [(1, 1, 1), (1, 2, 2), (1, 3, 3), (2, 1, 2), (2, 2, 3), (2, 3, 4), (3, 1, 3), (3, 2, 4), (3, 3, 5)],
)
def test_f11_priority_comes_from_impact_and_urgency(
    bridge: httpx.Client, impact: int, urgency: int, priority: int
) -> None:
    record = create(bridge, impact=impact, urgency=urgency, priority="1")
    assert record["priority"] == str(priority)
    assert update(bridge, INCIDENTS, record["sys_id"], priority="5")["priority"] == str(priority)


def test_f11_priority_of_a_problem_is_looked_up_and_of_a_change_is_written(bridge: httpx.Client) -> None:
    assert create(bridge, "/api/now/table/problem", impact="1", urgency="1", priority="5")["priority"] == "1"
    change = create(bridge, "/api/now/table/change_request")
    assert update(bridge, "/api/now/table/change_request", change["sys_id"], priority="3")["priority"] == "3"


@pytest.mark.parametrize("state", ["6", "7"])
def test_f12_resolving_needs_code_and_notes(bridge: httpx.Client, state: str) -> None:
    record = create(bridge)
    path = f"{INCIDENTS}/{record['sys_id']}"
    assert error(bridge.patch(path, json={"state": state}), 403) == ("Operation Failed", POLICY)
    one = bridge.patch(path, json={"state": state, "close_code": "Duplicate"})
    assert error(one, 403)[1] == "Data Policy Exception: Resolution notes is mandatory"
    unchanged = result(bridge.get(path))
    assert (unchanged["state"], unchanged["close_code"], unchanged["sys_mod_count"]) == ("1", "", "0")


def test_f12_resolving_stamps_who_and_when(bridge: httpx.Client, control: Control) -> None:
    control.clock(freeze=True, set="2026-05-01T08:00:00Z")
    record = create(bridge)
    control.clock(advance=3600)
    resolved = update(bridge, INCIDENTS, record["sys_id"], state="6", **RESOLUTION)
    assert (resolved["state"], resolved["incident_state"], resolved["active"]) == ("6", "6", "true")
    assert resolved["resolved_at"] == "2026-05-01 09:00:00"
    assert resolved["resolved_by"]["value"] == record["opened_by"]["value"]
    assert (resolved["closed_at"], resolved["calendar_stc"]) == ("", "3600")


def test_f12_an_incident_can_be_born_resolved(bridge: httpx.Client) -> None:
    assert error(bridge.post(INCIDENTS, json={"state": "6"}), 403)[1] == POLICY
    born = create(bridge, state="6", **RESOLUTION)
    assert born["state"] == "6"
    assert born["resolved_at"] == born["sys_created_on"]


def test_f12_closing_and_cancelling_end_the_record(bridge: httpx.Client) -> None:
    closed = update(bridge, INCIDENTS, create(bridge)["sys_id"], state="7", **RESOLUTION)
    assert (closed["active"], closed["closed_by"]["value"]) == ("false", closed["opened_by"]["value"])
    assert closed["closed_at"]
    canceled = update(bridge, INCIDENTS, create(bridge)["sys_id"], incident_state="8")
    assert (canceled["state"], canceled["active"]) == ("8", "false")


def test_f12_closing_may_need_a_higher_role(bridge: httpx.Client, simulator: Simulator, control: Control) -> None:
    control.set(close_requires_itil_admin=True)
    record = create(bridge)
    path = f"{INCIDENTS}/{record['sys_id']}"
    assert "ACL Exception Update Failed" in str(error(bridge.patch(path, json={"state": "7", **RESOLUTION}), 403)[1])
    auth = ("itil.admin", simulator.accounts["itil.admin"])
    assert result(support.patch(simulator.url + path, json={"state": "7", **RESOLUTION}, auth=auth))["state"] == "7"


def test_a_closed_incident_is_written_by_admins_only(
    bridge: httpx.Client, admin: httpx.Client, control: Control
) -> None:
    record = update(bridge, INCIDENTS, create(bridge)["sys_id"], state="7", **RESOLUTION)
    path = f"{INCIDENTS}/{record['sys_id']}"
    for change in ({"work_notes": "late"}, {"state": "2"}, {"urgency": "1"}):
        refused = error(bridge.patch(path, json=change), 403)
        assert refused == ("Operation Failed", "ACL Exception Update Failed due to security constraints")
    control.set(closed_write="ignore")
    assert result(bridge.patch(path, json={"urgency": "1"}))["urgency"] == "3"
    assert control.get("/violations")["closed_writes"] == []
    assert result(admin.patch(path, json={"urgency": "1"}))["urgency"] == "1"
    writes = control.get("/violations")["closed_writes"]
    assert [(write["number"], write["user"], write["changes"]["urgency"]) for write in writes] == [
        (record["number"], "admin", ["3", "1"])
    ]


def test_reopening_counts_and_keeps_or_clears_the_resolution(bridge: httpx.Client, control: Control) -> None:
    resolved = update(bridge, INCIDENTS, create(bridge)["sys_id"], state="6", **RESOLUTION)
    reopened = update(bridge, INCIDENTS, resolved["sys_id"], state="2")
    assert (reopened["reopen_count"], reopened["close_code"]) == ("1", "Solution provided")
    assert reopened["reopened_by"]["value"] == resolved["resolved_by"]["value"]
    assert reopened["reopened_time"]
    assert (reopened["resolved_at"], reopened["resolved_by"]) == ("", "")
    update(bridge, INCIDENTS, resolved["sys_id"], state="6")
    control.set(reopen_clears_resolution=True)
    again = update(bridge, INCIDENTS, resolved["sys_id"], state="2")
    assert (again["reopen_count"], again["close_code"], again["close_notes"]) == ("2", "", "")


def test_on_hold_reason_may_be_a_data_policy_and_is_cleared_afterwards(bridge: httpx.Client, control: Control) -> None:
    record = create(bridge)
    assert update(bridge, INCIDENTS, record["sys_id"], state="3")["hold_reason"] == ""
    control.set(hold_reason_policy=True)
    other = create(bridge)
    refused = bridge.patch(f"{INCIDENTS}/{other['sys_id']}", json={"state": "3"})
    assert error(refused, 403)[1] == "Data Policy Exception: On hold reason is mandatory"
    assert update(bridge, INCIDENTS, other["sys_id"], state="3", hold_reason="4")["hold_reason"] == "4"
    assert update(bridge, INCIDENTS, other["sys_id"], state="2")["hold_reason"] == ""


def test_a_comment_of_the_caller_ends_the_wait(simulator: Simulator, bridge: httpx.Client) -> None:
    caller = result(bridge.get("/api/now/table/sys_user", params={"sysparm_query": "user_name=itil"}))[0]["sys_id"]
    record = create(bridge, caller_id=caller, state="3", hold_reason="1")
    path = f"{INCIDENTS}/{record['sys_id']}"
    assert update(bridge, INCIDENTS, record["sys_id"], comments="any news?")["state"] == "3"
    auth = ("itil", simulator.accounts["itil"])
    answered = result(support.patch(simulator.url + path, json={"comments": "here it is"}, auth=auth))
    assert (answered["state"], answered["hold_reason"]) == ("2", "")


def test_reassignment_is_counted_from_the_first_group_on(bridge: httpx.Client) -> None:
    record = create(bridge)
    assert update(bridge, INCIDENTS, record["sys_id"], assignment_group=NETWORK)["reassignment_count"] == "0"
    assert update(bridge, INCIDENTS, record["sys_id"], assignment_group=DATABASE)["reassignment_count"] == "1"


def test_assignment_may_start_work(bridge: httpx.Client, control: Control) -> None:
    david = "5137153cc611227c000bbd1bd8cd2005"
    assert update(bridge, INCIDENTS, create(bridge)["sys_id"], assigned_to=david)["state"] == "1"
    control.set(assignment_starts_work=True)
    assert update(bridge, INCIDENTS, create(bridge)["sys_id"], assigned_to=david)["state"] == "2"


def test_children_follow_their_parent_when_it_is_resolved(bridge: httpx.Client, control: Control) -> None:
    parent = create(bridge)
    child = create(bridge, parent_incident=parent["sys_id"])
    closed = create(bridge, parent_incident=parent["sys_id"], state="8")
    assert result(bridge.get(f"{INCIDENTS}/{parent['sys_id']}"))["child_incidents"] == "2"
    update(bridge, INCIDENTS, parent["sys_id"], state="6", **RESOLUTION)
    followed = result(bridge.get(f"{INCIDENTS}/{child['sys_id']}"))
    assert (followed["state"], followed["close_code"]) == ("6", "Solution provided")
    assert result(bridge.get(f"{INCIDENTS}/{closed['sys_id']}"))["state"] == "8"
    assert followed["resolved_by"]["value"] == followed["opened_by"]["value"]
    commit = control.get(f"/history/{child['sys_id']}")["history"][-1]
    assert commit["request_id"] == control.get(f"/history/{parent['sys_id']}")["history"][-1]["request_id"]


def test_f15_journal_fields_are_written_and_read_through_their_display(
    bridge: httpx.Client, admin: httpx.Client, control: Control
) -> None:
    control.clock(freeze=True, set="2026-05-01T08:00:00Z")
    record = create(bridge, work_notes="first")
    control.clock(advance=60)
    changed = update(bridge, INCIDENTS, record["sys_id"], comments="second\nline", work_notes="")
    assert (changed["work_notes"], changed["comments"], changed["comments_and_work_notes"]) == ("", "", "")
    assert (changed["sys_mod_count"], changed["sys_updated_on"]) == ("1", "2026-05-01 08:01:00")
    params = {"sysparm_display_value": "all", "sysparm_fields": "work_notes,comments,comments_and_work_notes"}
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params=params))
    first = "2026-05-01 08:00:00 - Azure Bridge (Work notes)\nfirst\n\n"
    second = "2026-05-01 08:01:00 - Azure Bridge (Additional comments)\nsecond\nline\n\n"
    assert shown["work_notes"] == {"display_value": first, "value": ""}
    assert shown["comments"] == {"display_value": second, "value": ""}
    assert shown["comments_and_work_notes"]["display_value"] == second + first
    query = {"sysparm_query": f"element_id={record['sys_id']}^ORDERBYsys_created_on"}
    entries = result(admin.get("/api/now/table/sys_journal_field", params=query))
    assert [(entry["element"], entry["value"], entry["name"]) for entry in entries] == [
        ("work_notes", "first", "incident"),
        ("comments", "second\nline", "incident"),
    ]


def test_f15_journal_entries_are_for_admins_unless_switched(bridge: httpx.Client, control: Control) -> None:
    path = "/api/now/table/sys_journal_field"
    assert error(bridge.get(path), 403) == ("Insufficient rights to query records", None)
    control.set(journal_read_roles=["itil"])
    assert bridge.get(path).status_code == 200


def test_f15_every_write_of_a_note_adds_an_entry_and_moves_the_record(bridge: httpx.Client) -> None:
    record = create(bridge)
    for _ in range(2):
        update(bridge, INCIDENTS, record["sys_id"], work_notes="same text")
    params = {"sysparm_display_value": "true"}
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params=params))
    assert shown["work_notes"].count("same text") == 2
    assert shown["sys_mod_count"] == "2"


def test_f40_resolved_incidents_close_by_themselves(
    bridge: httpx.Client, admin: httpx.Client, control: Control
) -> None:
    resolved = update(bridge, INCIDENTS, create(bridge)["sys_id"], state="6", **RESOLUTION)
    path = f"{INCIDENTS}/{resolved['sys_id']}"
    control.clock(advance=8 * 86_400)
    assert result(bridge.get(path))["state"] == "6"
    stuck = result(admin.post(INCIDENTS, json={"state": "6", **RESOLUTION}), 201)
    control.set_property("glide.ui.autoclose.time", "9")
    control.clock(advance=86_400 / 2)
    assert result(bridge.get(path))["state"] == "6"
    control.clock(advance=86_400)
    closed = result(bridge.get(path))
    assert (closed["state"], closed["active"]) == ("7", "false")
    assert control.get("/violations")["closed_writes"] == []
    assert result(admin.get(f"{INCIDENTS}/{stuck['sys_id']}"))["state"] == "6"


def test_f40_a_rule_can_keep_an_incident_from_closing(
    bridge: httpx.Client, admin: httpx.Client, control: Control
) -> None:
    resolved = update(bridge, INCIDENTS, create(bridge)["sys_id"], state="6", **RESOLUTION)
    rule = {"name": "Stay", "collection": "incident", "active": "true", "when": "before", "action_update": "true"}
    rule |= {"abort_action": "true", "filter_condition": "state=7"}
    admin.post("/api/now/table/sys_script", json=rule).raise_for_status()
    control.set_property("glide.ui.autoclose.time", "1")
    control.clock(advance=3 * 86_400)
    assert result(bridge.get(f"{INCIDENTS}/{resolved['sys_id']}"))["state"] == "6"
    logged = result(admin.get("/api/now/table/syslog", params={"sysparm_query": "messageLIKEcannot be closed"}))
    assert any(resolved["number"] in row["message"] for row in logged)
