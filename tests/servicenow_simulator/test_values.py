"""What is stored of what was sent: lengths, references, dates, choices, nulls, display input."""

from __future__ import annotations

import httpx
import pytest

from tests.servicenow_simulator.support import CHANGES, INCIDENTS, Control, create, error, result, update

ABEL = "62826bf03710200044e0bfc8bcbe5df1"
UNKNOWN = "f" * 32


def test_f22_varchar_columns_are_cut_silently_and_text_columns_are_not(bridge: httpx.Client) -> None:
    record = create(
        bridge,
        short_description="é" * 300,
        correlation_id="k" * 130,
        description="d" * 5000,
        close_notes="n" * 5000,
        work_notes="w" * 5000,
    )
    assert record["short_description"] == "é" * 160
    assert record["correlation_id"] == "k" * 100
    assert (len(record["description"]), len(record["close_notes"])) == (5000, 5000)
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params={"sysparm_display_value": "true"}))
    assert "w" * 5000 in shown["work_notes"]


def test_f22_other_ways_with_text_that_is_too_long(bridge: httpx.Client, control: Control) -> None:
    control.set(overlong_strings="keep")
    assert len(create(bridge, short_description="x" * 300)["short_description"]) == 300
    control.set(overlong_strings="refuse")
    answer = bridge.post(INCIDENTS, json={"short_description": "x" * 300})
    assert error(answer, 403)[0] == "Operation Failed"


def test_f22_the_dictionary_says_how_long(admin: httpx.Client, bridge: httpx.Client) -> None:
    query = {"sysparm_query": "name=task^element=short_description", "sysparm_fields": "sys_id,max_length"}
    (entry,) = result(admin.get("/api/now/table/sys_dictionary", params=query))
    assert entry["max_length"] == "160"
    admin.patch(f"/api/now/table/sys_dictionary/{entry['sys_id']}", json={"max_length": "20"}).raise_for_status()
    assert create(bridge, short_description="x" * 300)["short_description"] == "x" * 20


def test_f32_unknown_choices_are_stored_and_shown_as_they_are(bridge: httpx.Client) -> None:
    record = create(bridge, category="quantum", contact_type="email")
    params = {"sysparm_display_value": "all", "sysparm_fields": "category,contact_type,urgency,close_code"}
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params=params))
    assert shown == {
        "category": {"display_value": "quantum", "value": "quantum"},
        "contact_type": {"display_value": "Email", "value": "email"},
        "urgency": {"display_value": "3 - Low", "value": "3"},
        "close_code": {"display_value": "", "value": ""},
    }


def test_text_in_a_number_column_is_ignored(bridge: httpx.Client) -> None:
    assert create(bridge, urgency="high", impact="2.0")["urgency"] == "3"


@pytest.mark.parametrize(("sent", "stored"), [(True, "true"), ("1", "true"), ("false", "false"), (0, "false")])
def test_booleans(bridge: httpx.Client, sent: object, stored: str) -> None:
    assert create(bridge, knowledge=sent)["knowledge"] == stored


def value_of(record: dict[str, object], field: str) -> object:
    value = record[field]
    return value["value"] if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("mode", "sent", "stored"),
    [
        ("lenient", ABEL, ABEL),
        ("lenient", ABEL.upper(), ABEL),
        ("lenient", "Abel Tuter", ABEL),
        ("lenient", UNKNOWN, UNKNOWN),
        ("lenient", "Nobody At All", ""),
        ("raw", "Nobody At All", "Nobody At All"),
        ("empty", UNKNOWN, ""),
    ],
)
def test_g4_references(bridge: httpx.Client, control: Control, mode: str, sent: str, stored: str) -> None:
    control.set(unresolved_reference=mode)
    assert value_of(create(bridge, caller_id=sent), "caller_id") == stored


def test_g4_references_by_name_can_be_switched_off(bridge: httpx.Client, control: Control) -> None:
    control.set(reference_display_lookup=False)
    assert value_of(create(bridge, caller_id="Abel Tuter"), "caller_id") == ""


def test_g4_null_clears_or_is_ignored(bridge: httpx.Client, control: Control) -> None:
    record = create(bridge, description="text", caller_id=ABEL)
    control.set(json_null="ignore")
    assert update(bridge, INCIDENTS, record["sys_id"], description=None)["description"] == "text"
    control.set(json_null="clear")
    cleared = update(bridge, INCIDENTS, record["sys_id"], description=None, caller_id="")
    assert (cleared["description"], cleared["caller_id"]) == ("", "")


@pytest.mark.parametrize(
    ("settings", "sent", "stored"),
    [
        ({}, "2026-01-02 03:04:05", "2026-01-02 03:04:05"),
        ({}, "2026-01-02", "2026-01-02 00:00:00"),
        ({}, "2026-01-02T03:04:05", "2026-01-02T03:04:05"),
        ({"iso_date": "convert"}, "2026-01-02T03:04:05", "2026-01-02 03:04:05"),
        ({"iso_date": "empty"}, "2026-01-02T03:04:05", ""),
        ({}, "2026-01-02T03:04:05Z", ""),
        ({"invalid_date": "raw"}, "next tuesday", "next tuesday"),
        ({"invalid_date": "ignore"}, "2026-13-45 00:00:00", ""),
    ],
)
def test_g4_dates(bridge: httpx.Client, control: Control, settings: dict[str, str], sent: str, stored: str) -> None:
    control.set(**settings)
    assert create(bridge, due_date=sent)["due_date"] == stored


def test_f27_display_values_as_input(admin: httpx.Client) -> None:
    body = {
        "short_description": "by display",
        "caller_id": "abel tuter",
        "assignment_group": "No such group",
        "category": "Hardware",
        "state": "In Progress",
        "due_date": "2026-01-02 03:04:05",
    }
    answer = admin.post(INCIDENTS, params={"sysparm_input_display_value": "true"}, json=body)
    record = result(answer, 201)
    assert value_of(record, "caller_id") == ABEL
    assert (record["assignment_group"], record["category"], record["state"]) == ("", "hardware", "2")
    assert record["due_date"] == "2026-01-02 11:04:05"
    shown = result(admin.get(f"{INCIDENTS}/{record['sys_id']}", params={"sysparm_display_value": "all"}))
    assert shown["due_date"] == {"display_value": "2026-01-02 03:04:05", "value": "2026-01-02 11:04:05"}


def test_f27_times_are_shown_in_the_format_of_the_user(admin: httpx.Client, bridge: httpx.Client) -> None:
    query = {"sysparm_query": "user_name=azure.bridge", "sysparm_fields": "sys_id"}
    (user,) = result(admin.get("/api/now/table/sys_user", params=query))
    change = {"time_zone": "Europe/Dublin", "date_format": "dd/MM/yyyy", "time_format": "hh:mm:ss a"}
    admin.patch(f"/api/now/table/sys_user/{user['sys_id']}", json=change).raise_for_status()
    record = create(bridge, due_date="2026-07-02 13:04:05")
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params={"sysparm_display_value": "true"}))
    assert shown["due_date"] == "02/07/2026 02:04:05 PM"


def test_f27_system_fields_can_be_kept_by_admins(admin: httpx.Client, bridge: httpx.Client) -> None:
    params = {"sysparm_suppress_auto_sys_field": "true"}
    body = {"short_description": "old", "sys_created_on": "2020-01-01 00:00:00", "sys_created_by": "importer"}
    made = result(admin.post(INCIDENTS, params=params, json=body), 201)
    assert (made["sys_created_on"], made["sys_created_by"]) == ("2020-01-01 00:00:00", "importer")
    path = f"{INCIDENTS}/{made['sys_id']}"
    changed = result(admin.patch(path, params=params, json={"urgency": "1"}))
    assert (changed["sys_updated_on"], changed["sys_mod_count"]) == (made["sys_updated_on"], made["sys_mod_count"])
    unprivileged = result(bridge.post(INCIDENTS, params=params, json=body), 201)
    assert unprivileged["sys_created_by"] == "azure.bridge"


def test_durations_and_lists_have_words(bridge: httpx.Client) -> None:
    record = create(bridge, watch_list=f"{ABEL},someone@contoso.example", calendar_duration="1970-01-05 03:00:00")
    params = {"sysparm_display_value": "all", "sysparm_fields": "watch_list,calendar_duration"}
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params=params))
    assert shown["watch_list"]["display_value"] == "Abel Tuter, someone@contoso.example"
    assert shown["watch_list"]["value"] == f"{ABEL},someone@contoso.example"
    assert shown["calendar_duration"]["display_value"] == "4 Days 3 Hours"


def test_passwords_never_show(admin: httpx.Client) -> None:
    path = "/api/now/table/sys_user/6816f79cc0a8016401c5a33be04be441"
    fields = {"sysparm_fields": "user_password"}
    assert result(admin.get(path, params=fields)) == {"user_password": ""}
    shown = result(admin.get(path, params=fields | {"sysparm_display_value": "all"}))
    assert shown["user_password"]["display_value"] == "********"
    clients = result(admin.get("/api/now/table/oauth_entity", params={"sysparm_display_value": "all"}))
    assert all(client["client_secret"] == {"display_value": "********", "value": ""} for client in clients)


def test_a_password_can_be_changed(admin: httpx.Client, bridge: httpx.Client) -> None:
    query = {"sysparm_query": "user_name=azure.bridge", "sysparm_fields": "sys_id"}
    (user,) = result(admin.get("/api/now/table/sys_user", params=query))
    change = {"user_password": "another-demo-password"}
    admin.patch(f"/api/now/table/sys_user/{user['sys_id']}", json=change).raise_for_status()
    assert bridge.get(INCIDENTS).status_code == 401
    assert bridge.get(INCIDENTS, auth=("azure.bridge", "another-demo-password")).status_code == 200


def test_half_of_a_surrogate_pair_is_replaced(bridge: httpx.Client) -> None:
    answer = bridge.post(
        INCIDENTS,
        content=b'{"short_description":"\\ud83d x \\ud83d\\ude00"}',
        headers={"Content-Type": "application/json"},
    )
    assert result(answer, 201)["short_description"] == "? x \U0001f600"


def test_an_object_is_taken_by_its_value(bridge: httpx.Client) -> None:
    record = create(bridge, caller_id={"link": "https://contoso.example/x", "value": ABEL})
    assert value_of(record, "caller_id") == ABEL
    assert create(bridge, CHANGES, risk={"display_value": "2"})["risk"] == "2"
