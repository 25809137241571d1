"""The CMDB Instance API and the identification and reconciliation engine."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import column, error, result

API = "/api/now/cmdb/instance/cmdb_ci_vm_instance"
IRE = "/api/now/identifyreconcile"
SOURCE = {"sysparm_data_source": "SG-Azure"}
RUNS_ON = "60bc4e22c0a8010e01f074cbe6bd73c3"


def sys_id_of(client: httpx.Client, name: str) -> str:
    return column(client, "cmdb_ci", f"name={name}", "sys_id")[0]


def test_f36_a_class_lists_ids_and_names(bridge: httpx.Client) -> None:
    listed = result(bridge.get(API, params={"sysparm_query": "nameSTARTSWITHvm-web^ORDERBYname"}))
    assert [item["name"] for item in listed] == ["vm-web-01", "vm-web-02"]
    assert listed[0].keys() == {"sys_id", "name"}


def test_f36_an_item_shows_attributes_and_relations(bridge: httpx.Client) -> None:
    item = result(bridge.get(f"/api/now/cmdb/instance/cmdb_ci_appl/{sys_id_of(bridge, 'Order API')}"))
    assert item["attributes"]["name"] == "Order API"
    assert item["attributes"]["support_group"].keys() == {"display_value", "link", "value"}
    (inbound,) = item["inbound_relations"]
    assert (inbound["type"]["display_value"], inbound["target"]["display_value"]) == (
        "Depends on::Used by",
        "Online Shop",
    )
    assert {relation["target"]["display_value"] for relation in item["outbound_relations"]} == {
        "vm-app-01",
        "sqldb-orders",
    }


def test_f36_posting_inserts_once_and_updates_afterwards(bridge: httpx.Client) -> None:
    target = sys_id_of(bridge, "Order API")
    body: dict[str, Any] = {
        "attributes": {"name": "vm-new-01", "ip_address": "10.0.0.9"},
        "source": "SG-Azure",
        "inbound_relations": [{"type": RUNS_ON, "target": target}],
    }
    made = result(bridge.post(API, json=body))
    assert made["attributes"]["discovery_source"] == "SG-Azure"
    assert made["inbound_relations"][0]["target"]["value"] == target
    body["attributes"]["ip_address"] = "10.0.0.10"
    again = result(bridge.post(API, json=body))
    assert again["attributes"]["sys_id"] == made["attributes"]["sys_id"]
    assert again["attributes"]["ip_address"] == "10.0.0.10"
    assert len(again["inbound_relations"]) == 1
    path = f"{API}/{made['attributes']['sys_id']}"
    changed = result(
        bridge.patch(path, json={"attributes": {"fqdn": "vm-new-01.contoso.example"}, "source": "SG-Azure"})
    )
    assert changed["attributes"]["fqdn"] == "vm-new-01.contoso.example"
    relation = made["inbound_relations"][0]["sys_id"]
    assert bridge.delete(f"{path}/relation/{relation}").status_code == 204
    assert result(bridge.get(path))["inbound_relations"] == []
    added = bridge.post(f"{path}/relation", json={"outbound_relations": [{"type": RUNS_ON, "target": target}]})
    assert result(added)["outbound_relations"][0]["target"]["value"] == target


@pytest.mark.parametrize(("value", "kind"), [(5, "Double"), (True, "Boolean"), (None, "NativeObject")])
def test_f36_values_that_are_no_text_break_the_call(bridge: httpx.Client, value: object, kind: str) -> None:
    body = {"attributes": {"name": "vm-x", "cpus": value}, "source": "SG-Azure"}
    message, _ = error(bridge.post(API, json=body), 500)
    assert kind in message
    assert message.endswith("cannot be cast to class java.lang.String")


def test_f36_an_unknown_source_is_an_ire_error(bridge: httpx.Client) -> None:
    answer = bridge.post(API, json={"attributes": {"name": "vm-x"}, "source": "Somewhere"})
    assert answer.status_code == 400
    (item,) = answer.json()["result"]["items"]
    assert (item["sysId"], item["errorCount"], item["errors"][0]["error"]) == ("Unknown", 1, "INVALID_INPUT_DATA")
    assert "In payload invalid data source [Somewhere] exist." in item["errors"][0]["message"]


def test_f36_the_engine_inserts_updates_and_relates(bridge: httpx.Client) -> None:
    payload = {
        "items": [
            {"className": "cmdb_ci_appl", "values": {"name": "Billing API"}},
            {"className": "cmdb_ci_vm_instance", "values": {"name": "vm-bill-01", "object_id": "/demo/vm-bill-01"}},
            {"className": "cmdb_ci_vm_instance", "values": {"name": "vm-web-01", "ip_address": "10.20.0.99"}},
            {"className": "cmdb_ci_vm_instance", "values": {"cpus": "4"}},
            {"className": "incident", "values": {"name": "no item"}},
        ],
        "relations": [{"parent": 0, "child": 1, "type": "Runs on::Runs"}, {"parent": 0, "child": 9, "type": "x"}],
    }
    dry = result(bridge.post(f"{IRE}/query", params=SOURCE, json=payload))
    assert [item.get("operation") for item in dry["items"]] == ["INSERT", "INSERT", "UPDATE", None, None]
    assert [relation["errorCount"] for relation in dry["relations"]] == [0, 1]
    assert column(bridge, "cmdb_ci", "name=Billing API", "sys_id") == []
    done = result(bridge.post(IRE, params=SOURCE, json=payload))
    assert [item["errorCount"] for item in done["items"]] == [0, 0, 0, 1, 1]
    assert done["items"][1]["identificationAttempts"][0]["attemptResult"] == "NO_MATCH"
    assert done["items"][2]["identificationAttempts"][-1]["attemptResult"] == "MATCHED"
    assert len(done["items"][2]["identifierEntrySysId"]) == 32
    assert done["items"][3]["identifierEntrySysId"] == "Unknown"
    assert done["items"][3]["errors"][0]["error"] == "MISSING_MATCHING_ATTRIBUTES"
    assert [relation["errorCount"] for relation in done["relations"]] == [0, 1]
    again = result(bridge.post(f"{IRE}/enhanced", params=SOURCE, json=payload))
    assert [item.get("operation") for item in again["items"]][:3] == ["NO_CHANGE"] * 3
    assert again["relations"][0]["operation"] == "NO_CHANGE"
    assert column(bridge, "cmdb_rel_ci", "parent.name=Billing API", "child.name") == ["vm-bill-01"]
    assert column(bridge, "cmdb_ci", "name=vm-web-01", "ip_address") == ["10.20.0.99"]


def test_f36_refusals(bridge: httpx.Client, simulator: Simulator) -> None:
    assert error(bridge.get("/api/now/cmdb/instance/incident"), 400)[0] == "Invalid class incident"
    assert error(bridge.get(f"{API}/{'0' * 32}"), 404)[0] == "No Record found"
    assert error(bridge.post(API, json={"source": "SG-Azure"}), 400)
    with support.connect(simulator.url, "no.roles", simulator.accounts["no.roles"]) as nobody:
        assert error(nobody.get(API), 403)[0] == "Insufficient rights to query records"
        body = {"attributes": {"name": "vm-x"}, "source": "SG-Azure"}
        assert error(nobody.post(API, json=body), 403)[0] == "Operation Failed"
