"""Import sets, Event Management and the Aggregate API."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from local.servicenow import Simulator
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import INCIDENTS, RESOLUTION, Control, create, error, numbers, result, update

OMS = "/api/now/import/x_mioms_microsoft_oms_incident"
ELASTIC = "/api/now/import/x_elas2_inc_int_elastic_incident"
EVENTS = "/api/global/em/jsonv2"
STATS = "/api/now/stats/incident"


def imported(client: httpx.Client, path: str, **row: str) -> dict[str, Any]:
    answer = client.post(path, json=row)
    assert answer.status_code == 201, answer.text
    return dict(answer.json()["result"][0])


def test_f28_a_row_is_inserted_and_a_second_one_updates_it(bridge: httpx.Client, control: Control) -> None:
    answer = bridge.post(OMS, json={"short_description": "From OMS", "correlation_id": "alert-1", "urgency": "1"})
    assert answer.status_code == 201
    body = answer.json()
    assert body["import_set"] == "ISET0010001"
    assert body["staging_table"] == "x_mioms_microsoft_oms_incident"
    (first,) = body["result"]
    assert (first["transform_map"], first["table"], first["status"]) == ("OMS Incident", "incident", "inserted")
    assert first["display_name"] == "number"
    assert first["record_link"].endswith(f"{INCIDENTS}/{first['sys_id']}")
    assert result(bridge.get(first["record_link"]))["number"] == first["display_value"]
    second = imported(bridge, OMS, correlation_id="alert-1", urgency="2", assignment_group="Network")
    assert (second["status"], second["sys_id"]) == ("updated", first["sys_id"])
    record = result(bridge.get(first["record_link"]))
    assert (record["urgency"], record["short_description"]) == ("2", "From OMS")
    assert record["assignment_group"]["value"] == "287ebd7da9fe198100f92cc8d1d2154e"
    third = imported(bridge, OMS, correlation_id="alert-1", urgency="2")
    assert third["status"] == "ignored"
    assert control.get("/violations") == {"closed_writes": [], "duplicates": []}


def test_f28_a_row_that_fails_is_still_201(bridge: httpx.Client) -> None:
    refused = imported(bridge, OMS, short_description="x", state="Resolved")
    assert refused["status"] == "error"
    assert refused["error_message"].startswith("Data Policy Exception")
    missing = imported(bridge, ELASTIC, elastic_incident_id="0" * 32, u_short_description="x")
    assert (missing["status"], missing["error_message"]) == ("error", "Target record not found")
    assert imported(bridge, OMS, bunk="x")["status"] == "skipped"
    closed = create(bridge, correlation_id="closed", state="7", **RESOLUTION)
    late = imported(bridge, OMS, correlation_id="closed", urgency="1")
    assert late["error_message"] == "ACL Exception Update Failed due to security constraints"
    assert result(bridge.get(f"{INCIDENTS}/{closed['sys_id']}"))["urgency"] == "3"


def test_f28_the_elastic_map_finds_by_id(bridge: httpx.Client) -> None:
    made = imported(bridge, ELASTIC, u_short_description="From Elastic", u_category="network")
    assert made["status"] == "inserted"
    changed = imported(bridge, ELASTIC, elastic_incident_id=made["sys_id"], u_urgency="1")
    assert (changed["status"], changed["sys_id"]) == ("updated", made["sys_id"])


def test_f28_a_row_can_be_read_again(bridge: httpx.Client, admin: httpx.Client) -> None:
    made = imported(bridge, OMS, short_description="again", correlation_id="again")
    query = {"sysparm_query": f"sys_target_sys_id={made['sys_id']}", "sysparm_fields": "sys_id"}
    (row,) = result(admin.get("/api/now/table/x_mioms_microsoft_oms_incident", params=query))
    (outcome,) = result(bridge.get(f"{OMS}/{row['sys_id']}"))
    assert (outcome["status"], outcome["sys_id"], outcome["table"]) == ("inserted", made["sys_id"], "incident")


def test_f28_many_rows_at_once(bridge: httpx.Client) -> None:
    body = {"records": [{"short_description": f"row {at}", "correlation_id": f"many-{at}"} for at in range(3)]}
    answer = bridge.post(f"{OMS}/insertMultiple", json=body)
    assert answer.status_code == 201
    assert answer.json().keys() == {"import_set_id", "multi_import_set_id"}
    assert len(numbers(bridge, "incident", "correlation_idSTARTSWITHmany-")) == 3


def test_f28_refusals(bridge: httpx.Client, simulator: Simulator, admin: httpx.Client) -> None:
    assert "Invalid staging table" in str(error(bridge.post("/api/now/import/incident", json={}), 400))
    auth = ("itil", simulator.accounts["itil"])
    assert error(support.post(simulator.url + OMS, json={}, auth=auth), 403)[0] == "Operation Failed"
    (entry,) = result(admin.get("/api/now/table/sys_transform_map", params={"sysparm_query": "name=OMS Incident"}))
    admin.patch(f"/api/now/table/sys_transform_map/{entry['sys_id']}", json={"active": "false"})
    assert error(bridge.post(OMS, json={"short_description": "x"}), 500)[0] == "null value in entry: transform_map=null"


EVENT = {
    "source": "Azure Monitor",
    "node": "vm-web-01",
    "type": "Percentage CPU",
    "resource": "cpu",
    "severity": "2",
    "time_of_event": "2026-04-05 06:07:08",
    "additional_info": json.dumps({"subscription": "demo"}),
}


def send(client: httpx.Client, *events: dict[str, str]) -> Any:
    return result(client.post(EVENTS, json={"records": list(events)}))


def test_f34_events_are_inserted_and_make_one_alert_per_key(bridge: httpx.Client) -> None:
    assert send(bridge, EVENT, EVENT) == {"Default Bulk Endpoint": "2 events were inserted"}
    events = result(bridge.get("/api/now/table/em_event", params={"sysparm_query": "node=vm-web-01"}))
    assert [event["message_key"] for event in events] == ["Azure Monitorvm-web-01Percentage CPUcpu"] * 2
    assert {event["state"] for event in events} == {"Processed"}
    (alert,) = result(bridge.get("/api/now/table/em_alert"))
    assert {event["alert"]["value"] for event in events} == {alert["sys_id"]}
    assert (alert["event_count"], alert["state"], alert["severity"]) == ("2", "Open", "2")
    send(bridge, EVENT | {"severity": "0"})
    (closed,) = result(bridge.get("/api/now/table/em_alert"))
    assert (closed["event_count"], closed["state"], closed["severity"]) == ("3", "Closed", "0")
    send(bridge, EVENT)
    assert result(bridge.get("/api/now/table/em_alert"))[0]["state"] == "Reopen"


def test_f34_keys_severities_and_closing(bridge: httpx.Client) -> None:
    send(bridge, EVENT | {"message_key": "own-key", "resolution_state": "Closing"})
    (event,) = result(bridge.get("/api/now/table/em_event"))
    assert (event["message_key"], event["state"]) == ("own-key", "Ignored")
    send(bridge, EVENT | {"message_key": "other", "severity": "high"})
    query = {"sysparm_query": "message_key=other"}
    (wrong,) = result(bridge.get("/api/now/table/em_event", params=query))
    assert wrong["state"] == "Error"
    assert result(bridge.get("/api/now/table/em_alert")) == []


def test_f34_events_run_no_business_rules(bridge: httpx.Client, admin: httpx.Client) -> None:
    rule = {
        "name": "No events",
        "collection": "em_event",
        "active": "true",
        "when": "before",
        "action_insert": "true",
        "abort_action": "true",
    }
    admin.post("/api/now/table/sys_script", json=rule).raise_for_status()
    send(bridge, EVENT)
    assert error(admin.post("/api/now/table/em_event", json=EVENT), 403)[0] == "Operation Failed"


def test_f34_events_need_their_role(bridge: httpx.Client, simulator: Simulator, control: Control) -> None:
    auth = ("itil", simulator.accounts["itil"])
    refused = support.post(simulator.url + EVENTS, json={"records": [EVENT]}, auth=auth)
    assert error(refused, 403)[1] == "ACL Exception Insert Failed due to security constraints"
    assert error(bridge.post(EVENTS, json={"events": []}), 400)
    control.order("drop_field", field="resource", match={"table": "em_event"})
    send(bridge, EVENT)
    assert result(bridge.get("/api/now/table/em_event"))[0]["resource"] == ""


INBOUND = "/api/sn_em_connector/em/inbound_event"


def azure_alert(condition: str, severity: str) -> dict[str, Any]:
    essentials = {
        "alertId": "/subscriptions/demo/providers/Microsoft.AlertsManagement/alerts/one",
        "originAlertId": "origin-one",
        "alertRule": "CPU above 90 %",
        "severity": severity,
        "monitorCondition": condition,
        "alertTargetIDs": [
            "/subscriptions/demo/resourcegroups/rg/providers/microsoft.compute/virtualmachines/vm-web-01"
        ],
        "configurationItems": ["vm-web-01"],
        "targetResourceType": "microsoft.compute/virtualmachines",
        "firedDateTime": "2026-04-05T06:07:08.123Z",
        "resolvedDateTime": "2026-04-05T07:07:08.123Z",
        "description": "The machine is busy.",
    }
    return {"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": essentials, "alertContext": {}}}


@pytest.mark.parametrize(
    ("severity", "expected"), [("Sev0", "1"), ("Sev1", "2"), ("Sev2", "4"), ("Sev3", "4"), ("Sev4", "5")]
)
def test_f34_azure_alerts_become_events(bridge: httpx.Client, severity: str, expected: str) -> None:
    params = {"source": "azuremonitor", "event_class": "contoso"}
    assert result(bridge.post(INBOUND, params=params, json=azure_alert("Fired", severity)))
    (event,) = result(bridge.get("/api/now/table/em_event"))
    assert (event["severity"], event["node"], event["event_class"]) == (expected, "vm-web-01", "contoso")
    assert (event["message_key"], event["time_of_event"]) == ("origin-one", "2026-04-05 06:07:08")
    result(bridge.post(INBOUND, params=params, json=azure_alert("Resolved", severity)))
    (alert,) = result(bridge.get("/api/now/table/em_alert"))
    assert (alert["state"], alert["severity"], alert["event_count"]) == ("Closed", "0", "2")


def test_f34_the_connector_takes_the_common_schema_only(bridge: httpx.Client, simulator: Simulator) -> None:
    alert = azure_alert("Fired", "Sev1")
    assert error(bridge.post(INBOUND, json=alert), 400)[0] == "Unknown event source"
    params = {"source": "azuremonitor"}
    assert error(bridge.post(INBOUND, params=params, json={"data": alert["data"]}), 400)
    with support.connect(simulator.url, "itil", simulator.accounts["itil"]) as person:
        assert error(person.post(INBOUND, params=params, json=alert), 403)
    answer = support.post(
        simulator.url + INBOUND, params=params, json=alert, headers={"x-sn-apikey": simulator.api_key}
    )
    assert answer.status_code == 200


def stats(client: httpx.Client, **params: str) -> Any:
    return result(client.get(STATS, params={f"sysparm_{name}": value for name, value in params.items()}))


def test_f33_figures_of_everything(bridge: httpx.Client) -> None:
    assert stats(bridge, count="true") == {"stats": {"count": "30"}}
    assert stats(bridge, count="true", query="state=1") == {"stats": {"count": "5"}}
    for urgency in ("1", "2"):
        create(bridge, urgency=urgency, correlation_display="stats")
    figures = stats(
        bridge, query="correlation_display=stats", avg_fields="urgency", min_fields="urgency", max_fields="urgency",
        sum_fields="urgency,impact",
    )  # fmt: skip
    assert figures == {
        "stats": {
            "avg": {"urgency": "1.5000"},
            "min": {"urgency": "1"},
            "max": {"urgency": "2"},
            "sum": {"urgency": "3", "impact": "6"},
        }
    }


def test_f33_groups_with_having_order_and_display_values(bridge: httpx.Client) -> None:
    groups = stats(bridge, count="true", group_by="state", query="stateIN1,2,7")
    assert groups == [
        {"stats": {"count": "5"}, "groupby_fields": [{"field": "state", "value": "1"}]},
        {"stats": {"count": "10"}, "groupby_fields": [{"field": "state", "value": "2"}]},
        {"stats": {"count": "5"}, "groupby_fields": [{"field": "state", "value": "7"}]},
    ]
    shown = stats(bridge, count="true", group_by="state", having="count^state^>^5", display_value="true")
    assert shown == [{"stats": {"count": "10"}, "groupby_fields": [{"field": "state", "value": "In Progress"}]}]
    ordered = stats(bridge, count="true", group_by="state", order_by="COUNT^state^DESC", display_value="all")
    field = {"field": "state", "value": "2", "display_value": "In Progress"}
    assert ordered[0] == {"stats": {"count": "10"}, "groupby_fields": [field]}


def test_f33_refusals(bridge: httpx.Client, simulator: Simulator) -> None:
    assert error(bridge.get(STATS), 400)[0] == "No request parameter for aggregate operation specified"
    assert error(bridge.get("/api/now/stats/bunk?sysparm_count=true"), 400)[0] == "Invalid table bunk"
    auth = ("no.roles", simulator.accounts["no.roles"])
    assert error(support.get(simulator.url + STATS, params={"sysparm_count": "true"}, auth=auth), 403)


@pytest.mark.parametrize("function", ["avg", "min", "max", "sum"])
def test_f33_an_empty_set_has_empty_figures(bridge: httpx.Client, function: str) -> None:
    update(bridge, INCIDENTS, create(bridge)["sys_id"], correlation_id="none")
    figures = stats(bridge, query="number=none", **{f"{function}_fields": "urgency"})
    assert figures == {"stats": {function: {"urgency": ""}}}
