"""Dictionary, choices, properties, users and the CMDB: what integrations read before they write."""

from __future__ import annotations

import httpx

from tests.servicenow_simulator.support import INCIDENTS, Control, column, create, result, update


def test_f23_field_lengths_of_a_table_and_its_parent(bridge: httpx.Client) -> None:
    params = {
        "sysparm_query": "name=task^ORname=incident^internal_type=string",
        "sysparm_fields": "max_length,element,column_label,mandatory",
    }
    rows = {row["element"]: row for row in result(bridge.get("/api/now/table/sys_dictionary", params=params))}
    lengths = {
        "number": "40",
        "short_description": "160",
        "description": "4000",
        "close_notes": "4000",
        "correlation_id": "100",
        "correlation_display": "100",
        "category": "40",
        "close_code": "40",
    }
    assert {name: rows[name]["max_length"] for name in lengths} == lengths
    assert rows["short_description"]["column_label"] == "Short description"
    assert "work_notes" not in rows


def test_f23_tables_know_their_parents(bridge: httpx.Client) -> None:
    params = {"sysparm_query": "name=incident", "sysparm_fields": "name,super_class.name,label"}
    rows = result(bridge.get("/api/now/table/sys_db_object", params=params))
    assert rows == [{"name": "incident", "super_class.name": "task", "label": "Incident"}]
    lineage, name = [], "cmdb_ci_linux_server"
    while name:
        lineage.append(name)
        name = column(bridge, "sys_db_object", f"name={name}", "super_class.name")[0]
    assert lineage == [
        "cmdb_ci_linux_server",
        "cmdb_ci_server",
        "cmdb_ci_computer",
        "cmdb_ci_hardware",
        "cmdb_ci",
        "cmdb",
    ]


def test_f23_choices_of_own_and_inherited_fields(bridge: httpx.Client) -> None:
    params = {
        "sysparm_query": "name=task^ORname=incident^element=urgency^ORelement=close_code^inactive=false^language=en",
        "sysparm_fields": "label,value,dependent_value,element",
    }
    rows = result(bridge.get("/api/now/table/sys_choice", params=params))
    assert {"1 - High", "2 - Medium", "3 - Low"} == {row["label"] for row in rows if row["element"] == "urgency"}
    assert "Solution provided" in {row["value"] for row in rows}
    dependent = column(bridge, "sys_choice", "name=incident^element=subcategory^value=vpn", "dependent_value")
    assert dependent == ["network"]


def test_f23_close_codes_of_an_older_instance(bridge: httpx.Client, control: Control) -> None:
    query = "name=incident^element=close_code^inactive=false"
    assert "Solution provided" in column(bridge, "sys_choice", query, "value")
    control.set(close_codes="older")
    older = column(bridge, "sys_choice", query, "value")
    assert "Solved (Permanently)" in older
    assert "Solution provided" not in older


def test_f23_a_new_choice_counts_at_once(admin: httpx.Client, bridge: httpx.Client) -> None:
    choice = {"name": "incident", "element": "category", "value": "cloud", "label": "Cloud", "inactive": "false"}
    admin.post("/api/now/table/sys_choice", json=choice).raise_for_status()
    record = create(bridge, category="cloud")
    shown = result(bridge.get(f"{INCIDENTS}/{record['sys_id']}", params={"sysparm_display_value": "true"}))
    assert shown["category"] == "Cloud"


def test_f23_new_columns_and_tables_count_at_once(admin: httpx.Client, bridge: httpx.Client) -> None:
    column_row = {"name": "incident", "element": "u_azure_id", "internal_type": "string", "max_length": "20"}
    admin.post("/api/now/table/sys_dictionary", json=column_row).raise_for_status()
    record = create(bridge, u_azure_id="x" * 30)
    assert record["u_azure_id"] == "x" * 20
    parent = column(admin, "sys_db_object", "name=incident", "sys_id")[0]
    table_row = {"name": "u_cloud_incident", "label": "Cloud incident", "super_class": parent}
    admin.post("/api/now/table/sys_db_object", json=table_row).raise_for_status()
    child = create(bridge, "/api/now/table/u_cloud_incident", u_azure_id="abc")
    assert (child["sys_class_name"], child["priority"]) == ("u_cloud_incident", "5")
    assert child["number"] in column(bridge, "incident", "u_azure_id=abc", "number")


def test_f23_users_and_groups_are_found_by_name(bridge: httpx.Client) -> None:
    params = {"sysparm_query": "user_name=abel.tuter^active=true", "sysparm_fields": "sys_id,user_name,email,name"}
    assert result(bridge.get("/api/now/table/sys_user", params=params)) == [
        {
            "sys_id": "62826bf03710200044e0bfc8bcbe5df1",
            "user_name": "abel.tuter",
            "email": "abel.tuter@contoso.example",
            "name": "Abel Tuter",
        }
    ]
    groups = {
        "Network": "287ebd7da9fe198100f92cc8d1d2154e",
        "Software": "8a4dde73c6112278017a6a4baf547aa7",
        "Hardware": "8a5055c9c61122780043563ef53438e3",
        "Database": "287ee6fea9fe198100ada7950d0b1b73",
        "Service Desk": "d625dccec0a8016700a222a0f7900d06",
    }
    for name, sys_id in groups.items():
        assert column(bridge, "sys_user_group", f"name={name}^active=true", "sys_id") == [sys_id]
    members = column(bridge, "sys_user_grmember", "group.name=Network", "user.user_name")
    assert "david.loo" in members


def test_f23_there_is_enough_demo_data_to_page_through(admin: httpx.Client) -> None:
    for table, least in (("sys_user", 21), ("problem", 21), ("incident", 20), ("sys_metadata", 501), ("syslog", 601)):
        answer = admin.get(f"/api/now/table/{table}", params={"sysparm_limit": "1"})
        assert int(answer.headers["X-Total-Count"]) >= least, table


def test_f23_properties(bridge: httpx.Client, control: Control) -> None:
    zone = column(bridge, "sys_properties", "name=glide.sys.default.tz", "value")
    assert zone == ["America/Los_Angeles"]
    control.set_property("glide.ui.autoclose.time", 7)
    assert column(bridge, "sys_properties", "name=glide.ui.autoclose.time", "value") == ["7"]
    assert control.get("/settings")["properties"]["glide.ui.autoclose.time"] == "7"


def test_f23_azure_machines_are_in_the_cmdb(bridge: httpx.Client) -> None:
    query = "object_idENDSWITH/virtualMachines/vm-web-01"
    params = {"sysparm_query": query, "sysparm_fields": "name,fqdn,ip_address,sys_class_name,object_id"}
    (machine,) = result(bridge.get("/api/now/table/cmdb_ci", params=params))
    assert machine["object_id"].startswith("/subscriptions/")
    assert (machine["name"], machine["fqdn"], machine["sys_class_name"]) == (
        "vm-web-01",
        "vm-web-01.contoso.example",
        "cmdb_ci_vm_instance",
    )
    assert column(bridge, "cmdb_ci", "sys_class_nameINSTANCEOFcmdb_ci_server^ORDERBYname", "name") == [
        "SRV-FILE-01",
        "srv-log-01",
    ]
    assert column(bridge, "cmdb_rel_ci", "parent.name=Online Shop", "child.name") == ["Order API"]


def test_f23_a_configuration_item_can_be_made_and_linked(bridge: httpx.Client) -> None:
    machine = create(bridge, "/api/now/table/cmdb_ci_vm_instance", name="vm-new-01")
    assert machine["sys_class_name"] == "cmdb_ci_vm_instance"
    record = create(bridge)
    linked = update(bridge, INCIDENTS, record["sys_id"], cmdb_ci="vm-new-01")
    assert linked["cmdb_ci"]["value"] == machine["sys_id"]
