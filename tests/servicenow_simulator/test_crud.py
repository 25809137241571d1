"""Create, read, update, delete through the Table API: statuses, defaults, shapes of values."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.servicenow_simulator.support import INCIDENTS, Control, create, error, result, update

ABEL = "62826bf03710200044e0bfc8bcbe5df1"
NOT_FOUND = ("No Record found", "Record doesn't exist or ACL restricts the record retrieval")


def test_f3_the_life_of_a_record(bridge: httpx.Client, admin: httpx.Client) -> None:
    made = bridge.post(INCIDENTS, json={"short_description": "Disk is full"})
    record = result(made, 201)
    assert made.headers["Location"] == f"{bridge.base_url}/api/now/table/incident/{record['sys_id']}".replace(
        "//api", "/api"
    )
    assert result(bridge.get(made.headers["Location"]))["number"] == record["number"]
    patched = result(bridge.patch(made.headers["Location"], json={"urgency": "1"}))
    assert (patched["urgency"], patched["short_description"]) == ("1", "Disk is full")
    put = result(bridge.put(made.headers["Location"], json={"impact": "1"}))
    assert (put["impact"], put["urgency"], put["short_description"]) == ("1", "1", "Disk is full")
    gone = admin.delete(made.headers["Location"])
    assert (gone.status_code, gone.content) == (204, b"")
    assert error(bridge.get(made.headers["Location"]), 404) == NOT_FOUND


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_f3_an_unknown_record_is_404_and_never_made(admin: httpx.Client, method: str) -> None:
    body = {"short_description": "x"} if method in ("PUT", "PATCH") else None
    answer = admin.request(method, f"{INCIDENTS}/{'0' * 32}", json=body)
    assert error(answer, 404) == NOT_FOUND


def test_f3_a_sys_id_is_found_whatever_its_case(bridge: httpx.Client) -> None:
    record = create(bridge)
    assert result(bridge.get(f"{INCIDENTS}/{record['sys_id'].upper()}"))["sys_id"] == record["sys_id"]


def test_f4_every_leaf_is_text(bridge: httpx.Client) -> None:
    record = create(bridge, urgency=2, knowledge=True, reassignment_count=5)
    assert (record["urgency"], record["knowledge"], record["reassignment_count"]) == ("2", "true", "5")
    leaves = [value for item in record.values() for value in (item.values() if isinstance(item, dict) else [item])]
    assert all(isinstance(leaf, str) for leaf in leaves)


CALLER = {"caller_id": ABEL}


@pytest.mark.parametrize(
    ("display", "exclude", "reference", "plain", "empty"),
    [
        ("false", "false", {"link": "LINK", "value": ABEL}, "1", ""),
        ("false", "true", ABEL, "1", ""),
        ("true", "false", {"display_value": "Abel Tuter", "link": "LINK"}, "New", ""),
        ("true", "true", "Abel Tuter", "New", ""),
        (
            "all",
            "false",
            {"display_value": "Abel Tuter", "link": "LINK", "value": ABEL},
            {"display_value": "New", "value": "1"},
            {"display_value": "", "value": ""},
        ),
        (
            "all",
            "true",
            {"display_value": "Abel Tuter", "value": ABEL},
            {"display_value": "New", "value": "1"},
            {"display_value": "", "value": ""},
        ),
    ],
)
def test_f5_shapes_of_values(
    bridge: httpx.Client, display: str, exclude: str, reference: Any, plain: Any, empty: Any
) -> None:
    record = create(bridge, **CALLER)
    params = {"sysparm_display_value": display, "sysparm_exclude_reference_link": exclude}
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params=params))
    if isinstance(reference, dict) and "link" in reference:
        reference["link"] = f"{str(bridge.base_url).rstrip('/')}/api/now/table/sys_user/{ABEL}"
    assert shown["caller_id"] == reference
    assert shown["state"] == plain
    assert shown["assigned_to"] == empty


def test_f5_a_reference_to_a_deleted_record_keeps_its_id(admin: httpx.Client) -> None:
    user = result(admin.post("/api/now/table/sys_user", json={"user_name": "short.lived", "name": "Short Lived"}), 201)
    record = create(admin, caller_id=user["sys_id"])
    admin.delete(f"/api/now/table/sys_user/{user['sys_id']}")
    params = {"sysparm_display_value": "all", "sysparm_exclude_reference_link": "true"}
    shown = result(admin.get(f"{INCIDENTS}/{record['sys_id']}", params=params))
    assert shown["caller_id"] == {"display_value": "", "value": user["sys_id"]}


def test_the_name_of_a_user_is_made_of_its_parts(admin: httpx.Client) -> None:
    body = {"user_name": "new.one", "first_name": "New", "last_name": "One"}
    assert result(admin.post("/api/now/table/sys_user", json=body), 201)["name"] == "New One"


def test_f5_the_domain_is_a_reference(bridge: httpx.Client) -> None:
    record = create(bridge)
    assert record["sys_domain"]["value"] == "global"
    assert record["sys_domain"]["link"].endswith("/api/now/table/sys_user_group/global")
    assert record["sys_domain_path"] == "/"


def test_f5_dot_walked_fields_have_literal_keys(bridge: httpx.Client) -> None:
    record = create(bridge, **CALLER)
    fields = "caller_id.user_name,caller_id.department.name,assigned_to.email"
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params={"sysparm_fields": fields}))
    assert shown == {"caller_id.user_name": "abel.tuter", "caller_id.department.name": "", "assigned_to.email": ""}


def test_f10_defaults_of_a_minimal_incident(bridge: httpx.Client, control: Control) -> None:
    control.clock(freeze=True, set="2026-03-04T05:06:07Z")
    record = create(bridge)
    expected = {
        "state": "1",
        "incident_state": "1",
        "impact": "3",
        "urgency": "3",
        "priority": "5",
        "severity": "3",
        "category": "inquiry",
        "active": "true",
        "approval": "not requested",
        "notify": "1",
        "made_sla": "true",
        "knowledge": "false",
        "escalation": "0",
        "upon_approval": "proceed",
        "upon_reject": "cancel",
        "contact_type": "",
        "reassignment_count": "0",
        "reopen_count": "0",
        "sys_mod_count": "0",
        "sys_class_name": "incident",
        "number": "INC0010001",
        "opened_at": "2026-03-04 05:06:07",
        "sys_created_on": "2026-03-04 05:06:07",
        "sys_updated_on": "2026-03-04 05:06:07",
        "sys_created_by": "azure.bridge",
    }
    assert {name: record[name] for name in expected} == expected
    assert re.fullmatch("[0-9a-f]{32}", record["sys_id"])
    assert record["opened_by"]["link"].endswith(f"/sys_user/{record['opened_by']['value']}")
    assert create(bridge)["number"] == "INC0010002"


def test_f10_updates_count_and_stamp_and_an_unchanged_write_does_not(bridge: httpx.Client, control: Control) -> None:
    record = create(bridge)
    control.clock(advance=60)
    changed = update(bridge, INCIDENTS, record["sys_id"], urgency="1")
    assert changed["sys_mod_count"] == "1"
    assert changed["sys_updated_on"] > record["sys_updated_on"]
    control.clock(advance=60)
    same = update(bridge, INCIDENTS, record["sys_id"], urgency="1")
    assert (same["sys_mod_count"], same["sys_updated_on"]) == ("1", changed["sys_updated_on"])


def test_f14_unknown_fields_are_ignored_in_body_and_query(bridge: httpx.Client) -> None:
    record = create(bridge, bunk_field="whatever")
    assert "bunk_field" not in record
    shown = result(
        bridge.get(f"{INCIDENTS}/{record['sys_id']}", params={"sysparm_fields": "number,bunk,caller_id.bunk"})
    )
    assert shown == {"number": record["number"]}


def test_f26_a_sys_id_chosen_by_the_client_is_kept_with_its_case(bridge: httpx.Client) -> None:
    chosen = "AAAABBBBCCCCDDDDEEEEFFFF00001111"
    assert create(bridge, sys_id=chosen)["sys_id"] == chosen
    assert result(bridge.get(f"{INCIDENTS}/{chosen.lower()}"))["sys_id"] == chosen


@pytest.mark.parametrize("status", [403, 500])
def test_f26_a_second_insert_of_the_same_sys_id_is_refused(bridge: httpx.Client, control: Control, status: int) -> None:
    control.set(duplicate_key_status=status)
    chosen = "0123456789abcdef0123456789abcdef"
    create(bridge, sys_id=chosen)
    answer = bridge.post(INCIDENTS, json={"sys_id": chosen.upper(), "short_description": "again"})
    message, detail = error(answer, status)
    assert message == "Operation Failed"
    assert re.fullmatch(r"Error during insert of incident \(INC\d{7}\)", str(detail))
    assert result(bridge.get(f"{INCIDENTS}/{chosen}"))["short_description"] == "Disk is full"
    assert len(control.get(f"/history/{chosen}")["history"]) == 1


def test_f26_an_instance_that_ignores_client_ids(bridge: httpx.Client, control: Control) -> None:
    control.set(honour_client_sys_id=False)
    chosen = "0123456789abcdef0123456789abcdef"
    assert create(bridge, sys_id=chosen)["sys_id"] != chosen


def test_f26_text_that_is_no_sys_id_is_not_kept(bridge: httpx.Client) -> None:
    assert create(bridge, sys_id="my-own-id")["sys_id"] != "my-own-id"


def test_an_array_body_creates_its_first_element_only(bridge: httpx.Client, control: Control) -> None:
    made = result(bridge.post(INCIDENTS, json=[{"short_description": "one"}, {"short_description": "two"}]), 201)
    assert made["short_description"] == "one"
    assert len(control.entries("incident")) == 1


def test_a_table_shows_its_own_columns_of_rows_that_extend_it(bridge: httpx.Client) -> None:
    record = create(bridge)
    as_task = result(bridge.get(f"/api/now/table/task/{record['sys_id']}"))
    assert as_task["sys_class_name"] == "incident"
    assert "caller_id" not in as_task
    assert error(bridge.get(f"/api/now/table/problem/{record['sys_id']}"), 404) == NOT_FOUND
