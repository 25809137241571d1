"""pysnc works against the simulator unchanged, over TLS: the habits its own users and tests have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pysnc
import pytest
from pysnc import exceptions
from pysnc.auth import ServiceNowClientCredentialsFlow, ServiceNowPasswordGrantFlow
from pysnc.query import Query

from local.servicenow import Simulator
from tests.servicenow_simulator.support import Control

ADMIN = "6816f79cc0a8016401c5a33be04be441"
PROBLEM_ADMIN = "26fbff173b331300ad3cc9bb34efc4bd"


@pytest.fixture(autouse=True)
def trusted_authority(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """pysnc lets the environment's authority win over its own ``verify``."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", simulator.ca_file)


def connect(simulator: Simulator, auth: Any = None, **more: Any) -> Any:
    credentials = auth or (simulator.username, simulator.password)
    return pysnc.ServiceNowClient(simulator.https_url, credentials, verify=simulator.ca_file, **more)


@pytest.fixture
def client(simulator: Simulator) -> Iterator[Any]:
    made = connect(simulator)
    yield made
    made.session.close()


def make_problems(client: Any, count: int) -> None:
    for index in range(count):
        record = client.GlideRecord("problem")
        record.initialize()
        record.short_description = f"BUNKZZ {index}"
        assert record.insert()


def query(client: Any, table: str, *condition: str, **options: Any) -> Any:
    record = client.GlideRecord(table, **options)
    if condition:
        record.add_query(*condition)
    record.query()
    return record


def test_the_life_of_a_record(client: Any) -> None:
    record = client.GlideRecord("problem")
    record.initialize()
    record.short_description = "Inserted"
    record.bunk_field = "Bunk"
    sys_id = record.insert()
    assert sys_id == record.sys_id
    assert len(record.opened_by) == 32
    assert record.get_display_value("opened_by") == "System Administrator"
    again = client.GlideRecord("problem")
    assert again.get(sys_id)
    again.short_description = "Updated"
    again.assigned_to = PROBLEM_ADMIN
    assert again.update()
    assert again.get_display_value("assigned_to") == "Problem Administrator"
    assert again.delete()
    assert not client.GlideRecord("problem").get(sys_id)


def test_a_guid_of_ones_own(client: Any) -> None:
    guid = "AAAABBBBCCCCDDDDEEEEFFFF00001111"
    for _ in range(2):
        record = client.GlideRecord("problem")
        if record.get(guid):
            record.delete()
        record.initialize()
        record.set_new_guid_value(guid)
        record.short_description = "Own guid"
        assert record.insert() == guid
        assert client.GlideRecord("problem").get(guid)


def test_batched_updates_and_deletes(client: Any) -> None:
    make_problems(client, 6)
    found = query(client, "problem", "short_description", "LIKE", "BUNKZZ")
    assert len(found) == 6
    for record in found:
        record.short_description = record.short_description + " -- APPENDED"
    assert found.update_multiple()
    changed = query(client, "problem", "short_description", "LIKE", "APPENDED")
    assert len(changed) == 6
    seen = []
    expected = []
    for index, record in enumerate(changed):
        if index % 2 == 0:
            record.short_description = record.short_description + " even"
            expected.append(record.get_value("sys_id"))
    changed.update_multiple(lambda response: seen.append(response.json()["result"]["sys_id"]["value"]))
    assert seen == expected
    assert query(client, "problem", "short_description", "LIKE", "BUNKZZ").delete_multiple()
    assert len(query(client, "problem", "short_description", "LIKE", "BUNKZZ")) == 0


def test_an_abort_rule_spoils_part_of_a_batch(client: Any) -> None:
    rule = client.GlideRecord("sys_script")
    rule.initialize()
    rule.name = "reject eicar"
    rule.collection = "problem"
    rule.active = True
    rule.when = "before"
    rule.order = 100
    rule.action_update = True
    rule.abort_action = True
    rule.filter_condition = "short_descriptionLIKEEICAR^ORdescriptionLIKEEICAR^EQ"
    assert rule.insert()
    make_problems(client, 4)
    found = query(client, "problem", "short_description", "LIKE", "BUNKZZ")
    for index, record in enumerate(found):
        record.short_description = f"BUNKZZ {'EICAR' if index < 2 else 'fine'}"
    assert not found.update_multiple()
    assert len(query(client, "problem", "short_description", "LIKE", "EICAR")) == 0
    assert len(query(client, "problem", "short_description", "LIKE", "fine")) == 2


@pytest.mark.parametrize(("batch", "limit"), [(3, 9), (3, 7), (100, 24)])
def test_paging_in_batches(client: Any, batch: int, limit: int) -> None:
    record = client.GlideRecord("problem", batch_size=batch)
    record.fields = "sys_id"
    record.limit = limit
    record.query()
    ids = [str(one.sys_id) for one in record]
    assert len(ids) == len(set(ids)) == limit
    assert len(record) == 24


def test_iterating_over_many_application_files(client: Any) -> None:
    record = client.GlideRecord("sys_metadata", batch_size=250, rewindable=False)
    record.fields = "sys_id"
    record.limit = 500
    record.query()
    assert len(record) > 500
    assert sum(1 for _ in record) == 500


def test_values_display_values_and_dot_walking(client: Any) -> None:
    user = client.GlideRecord("sys_user")
    user.fields = "sys_id,name,active,email,department,department.name,department.dept_head,department.dept_head.email"
    assert user.get(ADMIN)
    assert (user.name, user.active, user.email) == ("System Administrator", "true", "admin@contoso.example")
    assert user.department == "a581ab703710200044e0bfc8bcbe5de8"
    assert (user.department.name, user.department.dept_head.email) == ("Finance", "natasha.ingram@contoso.example")
    assert bool(user.active)
    whole = client.GlideRecord("sys_user")
    assert whole.get(ADMIN)
    assert whole.get_display_value("user_password") == "********"
    raw, shown = client.GlideRecord("sys_user"), client.GlideRecord("sys_user")
    raw.display_value, shown.display_value = False, True
    assert raw.get(ADMIN)
    assert shown.get(ADMIN)
    assert raw.get_value("sys_updated_on") != shown.get_value("sys_updated_on")


def test_pandas_form_keeps_the_order_of_fields(client: Any) -> None:
    record = client.GlideRecord("problem")
    record.fields = "sys_id,short_description,state"
    record.limit = 4
    record.query()
    data = record.to_pandas()
    assert list(data.keys()) == ["sys_id", "short_description", "state__value", "state__display"]
    assert len(data["sys_id"]) == 4


def test_null_join_and_related_list_queries(client: Any) -> None:
    everybody = query(client, "sys_user")
    nameless = client.GlideRecord("sys_user")
    nameless.add_null_query("name")
    nameless.query()
    assert 0 < len(nameless) < len(everybody)
    managers = client.GlideRecord("sys_user")
    managers.add_join_query("sys_user_group", join_table_field="manager").add_query("active", "true")
    managers.query()
    assert managers.get_row_count() > 1
    admins = client.GlideRecord("sys_user")
    join = admins.add_join_query("sys_user_has_role", join_table_field="user")
    join.add_query("role", "2831a114c611228501d4ea6c309d626d")
    admins.query()
    assert 10 < len(admins) < 25
    groups = client.GlideRecord("sys_user_group")
    groups.add_rl_query("sys_group_has_role", "group", ">0", True).add_query("role.name", "LIKE", "admin")
    groups.query()
    assert 2 < groups.get_row_count() < 8


def test_a_very_long_query_travels_in_a_batch(client: Any) -> None:
    long_query = Query()
    for _ in range(2300):
        long_query.add_query("AAAA", "BBBB")
    long_query.add_query("sys_id", ADMIN)
    record = client.GlideRecord("sys_user")
    record.query(long_query)
    assert len(record) == 1
    assert record.next()
    assert record.sys_id == ADMIN


def test_attachments(client: Any, tmp_path: Path) -> None:
    make_problems(client, 1)
    record = query(client, "problem", "short_description", "LIKE", "BUNKZZ")
    assert record.next()
    assert len(record.get_attachments()) == 0
    record.add_attachment("test.txt", "this is a sample attachment\nwith\nmulti\nlines")
    location = record.add_attachment("test.bin", bytes(range(10)))
    assert location.endswith("/file")
    files = {file.file_name: file.read() for file in record.get_attachments()}
    assert files["test.bin"] == bytes(range(10))
    for file in record.get_attachments():
        if file.file_name == "test.txt":
            assert file.readlines()[0] == "this is a sample attachment"
            assert file.write_to(tmp_path).read_bytes() == files["test.txt"]
            file.delete()
    assert len(record.get_attachments()) == 1


def test_errors_are_told_apart(client: Any, simulator: Simulator, control: Control) -> None:
    with pytest.raises(exceptions.RequestException, match=r"^<.*html>.*"):
        client.GlideRecord("A" * 23_000).get("whatever")
    with pytest.raises(exceptions.RequestException, match="Invalid table sys_user_list"):
        client.GlideRecord("sys_user_list").get("whatever")
    wrong = connect(simulator, ("admin", "not the password"))
    with pytest.raises(exceptions.AuthenticationException) as caught:
        wrong.GlideRecord("sys_user").get("whatever")
    assert "User Not Authenticated" in str(caught.value)
    assert "Required to provide Auth information" in str(caught.value)
    wrong.session.close()
    control.order("acl_refuse", match={"operation": "insert"})
    record = client.GlideRecord("problem")
    record.initialize()
    with pytest.raises(exceptions.RoleException):
        record.insert()


def test_throttling_is_ridden_out(client: Any, control: Control) -> None:
    control.order("throttle_bare", times=2, match={"method": "GET"})
    assert client.GlideRecord("sys_user").get(ADMIN)
    assert control.get("/counters")["by_status"]["429"] == 2


def test_oauth_flows_and_certificates(simulator: Simulator, control: Control) -> None:
    flows = (
        ServiceNowPasswordGrantFlow(
            simulator.username, simulator.password, simulator.client_id, simulator.client_secret
        ),
        ServiceNowClientCredentialsFlow(simulator.client_id, simulator.client_secret),
    )
    for flow in flows:
        client = connect(simulator, flow)
        assert client.GlideRecord("sys_user").get(ADMIN)
        client.session.close()
    pair = (simulator.client_certificate, simulator.client_key)
    client = pysnc.ServiceNowClient(simulator.https_url, cert=pair, verify=simulator.ca_file)
    record = client.GlideRecord("incident")
    record.initialize()
    record.insert()
    assert record.get_value("sys_created_by") == "azure.bridge"
    client.session.close()
    assert control.get("/counters")["by_method_and_table"]["POST /oauth_token.do"] == 2
