"""Who may do what: tables, rows, fields, and rows that were made but cannot be read."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import INCIDENTS, Control, create, error, result, update

USERS = "/api/now/table/sys_user"
CLOSED_DOOR = ("Insufficient rights to query records", None)


@pytest.fixture
def as_user(simulator: Simulator) -> Callable[[str], httpx.Client]:
    def client(name: str) -> httpx.Client:
        return support.connect(simulator.url, name, simulator.accounts[name])

    return client


def acl(operation: str) -> tuple[str, str]:
    return ("Operation Failed", f"ACL Exception {operation} Failed due to security constraints")


def test_f20_a_user_without_roles(as_user: Callable[[str], httpx.Client], bridge: httpx.Client) -> None:
    record = create(bridge)
    with as_user("no.roles") as nobody:
        assert error(nobody.get(INCIDENTS), 403) == CLOSED_DOOR
        assert error(nobody.post(INCIDENTS, json={}), 403) == acl("Insert")
        assert error(nobody.get(f"{INCIDENTS}/{record['sys_id']}"), 404)
        assert error(nobody.patch(f"{INCIDENTS}/{record['sys_id']}", json={"urgency": "1"}), 404)


def test_f20_some_tables_answer_with_nothing(as_user: Callable[[str], httpx.Client], control: Control) -> None:
    control.set(read_refusal="empty")
    with as_user("no.roles") as nobody:
        assert result(nobody.get(INCIDENTS)) == []


def test_f20_create_without_read_commits_and_answers_403(
    as_user: Callable[[str], httpx.Client], control: Control, admin: httpx.Client
) -> None:
    with as_user("create.only") as writer:
        answer = writer.post(INCIDENTS, json={"short_description": "seen by others only", "correlation_id": "k-1"})
    assert error(answer, 403) == CLOSED_DOOR
    assert control.last_request()["committed"] is True
    rows = result(admin.get(INCIDENTS, params={"sysparm_query": "correlation_id=k-1"}))
    assert [row["sys_created_by"] for row in rows] == ["create.only"]


def test_f20_rows_and_fields_can_be_hidden(bridge: httpx.Client, admin: httpx.Client, control: Control) -> None:
    record = create(bridge, correlation_id="hidden", close_notes="secret")
    control.set(hidden_rows={"incident": "correlation_id=hidden"}, hidden_fields={"task": ["close_notes"]})
    path = f"{INCIDENTS}/{record['sys_id']}"
    query = {"sysparm_query": "correlation_id=hidden"}
    assert result(bridge.get(INCIDENTS, params=query)) == []
    assert bridge.get(INCIDENTS, params=query).headers["X-Total-Count"] == "1"
    assert error(bridge.get(path), 404)[0] == "No Record found"
    assert error(bridge.patch(path, json={"urgency": "1"}), 404)
    assert "close_notes" not in create(bridge)
    assert result(admin.get(path))["close_notes"] == "secret"


def test_f20_field_writes_can_be_silently_ignored(bridge: httpx.Client, control: Control) -> None:
    control.set(read_only_fields={"incident": ["urgency", "work_notes"]})
    record = create(bridge, urgency="1", work_notes="dropped")
    assert (record["urgency"], record["priority"]) == ("3", "5")
    changed = update(bridge, INCIDENTS, record["sys_id"], urgency="1", impact="2")
    assert (changed["urgency"], changed["impact"]) == ("3", "2")
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params={"sysparm_display_value": "true"}))
    assert shown["work_notes"] == ""


def test_f20_system_columns_are_never_written(bridge: httpx.Client) -> None:
    record = create(bridge, sys_created_by="somebody", sys_class_name="problem", sys_mod_count="9")
    assert (record["sys_created_by"], record["sys_class_name"], record["sys_mod_count"]) == (
        "azure.bridge",
        "incident",
        "0",
    )


def test_f20_deleting_and_administration_need_more_than_itil(bridge: httpx.Client) -> None:
    record = create(bridge)
    assert error(bridge.delete(f"{INCIDENTS}/{record['sys_id']}"), 403) == acl("Delete")
    assert error(bridge.post(USERS, json={"user_name": "new"}), 403) == acl("Insert")
    user = result(bridge.get(USERS, params={"sysparm_query": "user_name=abel.tuter"}))[0]["sys_id"]
    assert error(bridge.patch(f"{USERS}/{user}", json={"active": "false"}), 403) == acl("Update")


@pytest.mark.parametrize(
    "table",
    [
        "sys_journal_field",
        "sys_audit",
        "syslog",
        "syslog_transaction",
        "oauth_entity",
        "oauth_credential",
        "sys_script",
    ],
)
def test_f20_tables_for_admins(bridge: httpx.Client, admin: httpx.Client, table: str) -> None:
    assert error(bridge.get(f"/api/now/table/{table}"), 403) == CLOSED_DOOR
    assert admin.get(f"/api/now/table/{table}").status_code == 200


def test_f20_a_read_only_user_writes_nothing(as_user: Callable[[str], httpx.Client]) -> None:
    with as_user("read.only") as reader:
        assert reader.get(INCIDENTS).status_code == 200
        assert error(reader.post(INCIDENTS, json={}), 403) == acl("Insert")


def test_f20_the_api_itself_may_need_a_role(bridge: httpx.Client, admin: httpx.Client, control: Control) -> None:
    control.set(api_level_acl=True)
    assert error(bridge.get(INCIDENTS), 403) == ("User Not Authorized", "Failed API level ACL Validation")
    assert admin.get(INCIDENTS).status_code == 200


def test_f20_rights_follow_roles_at_once(admin: httpx.Client, as_user: Callable[[str], httpx.Client]) -> None:
    user = result(admin.get(USERS, params={"sysparm_query": "user_name=no.roles"}))[0]["sys_id"]
    role = result(admin.get("/api/now/table/sys_user_role", params={"sysparm_query": "name=itil"}))[0]["sys_id"]
    with as_user("no.roles") as person:
        assert person.get(INCIDENTS).status_code == 403
        link = result(admin.post("/api/now/table/sys_user_has_role", json={"user": user, "role": role}), 201)
        assert person.get(INCIDENTS).status_code == 200
        admin.delete(f"/api/now/table/sys_user_has_role/{link['sys_id']}")
        assert person.get(INCIDENTS).status_code == 403


def test_audit_and_deletions_can_be_read_by_admins(admin: httpx.Client, bridge: httpx.Client) -> None:
    record = create(bridge)
    update(bridge, INCIDENTS, record["sys_id"], urgency="1")
    query = {"sysparm_query": f"documentkey={record['sys_id']}^fieldname=urgency^ORDERBYrecord_checkpoint"}
    rows = result(admin.get("/api/now/table/sys_audit", params=query))
    assert [(row["oldvalue"], row["newvalue"], row["user"]) for row in rows][-1] == ("3", "1", "azure.bridge")
    admin.delete(f"{INCIDENTS}/{record['sys_id']}")
    query = {"sysparm_query": f"documentkey={record['sys_id']}"}
    deleted = result(admin.get("/api/now/table/sys_audit_delete", params=query))
    assert [(row["tablename"], row["display_value"]) for row in deleted] == [("incident", record["number"])]
    assert error(admin.post("/api/now/table/sys_audit", json={}), 403) == acl("Insert")
