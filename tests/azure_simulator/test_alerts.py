"""Alerts Management and Resource Health."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local.azure import Simulator
from tests.azure_simulator.support import ALERTS, ALERTS_VERSION, Control, body, refusal, walk

VERSION = {"api-version": ALERTS_VERSION}


@pytest.fixture
def production(clouds: Simulator) -> str:
    return f"/subscriptions/{clouds.subscriptions[0]}"


@pytest.fixture
def machine(production: str) -> str:
    return f"{production}/resourceGroups/rg-shop/providers/Microsoft.Compute/virtualMachines/web-01"


def fire(control: Control, resource: str, **order: Any) -> dict[str, Any]:
    return dict(control.post("/alerts", resource=resource, **order))


def names(client: httpx.Client, scope: str, **params: Any) -> list[str]:
    answer = body(client.get(f"{scope}/{ALERTS}", params={**VERSION, **params}))
    return [item["id"].rpartition("/")[2] for item in answer["value"]]


def test_an_alert_is_what_the_webhook_said(arm: httpx.Client, control: Control, production: str, machine: str) -> None:
    fired = fire(control, machine, rule="Disk full", severity="Sev1", customProperties={"team": "shop"})
    payload = fired["payload"]
    assert payload["schemaId"] == "azureMonitorCommonAlertSchema"
    essentials = payload["data"]["essentials"]
    assert essentials["alertId"] == f"{production}/{ALERTS}/{fired['name']}"
    answer = body(arm.get(essentials["alertId"], params=VERSION))
    shown = answer["properties"]["essentials"]
    assert (shown["severity"], shown["monitorCondition"], shown["alertState"]) == ("Sev1", "Fired", "New")
    assert shown["sourceCreatedId"] == essentials["originAlertId"]
    assert shown["targetResource"] == essentials["alertTargetIDs"][0] == machine.lower()
    assert shown["startDateTime"] == essentials["firedDateTime"]
    assert answer["properties"]["customProperties"] == {"team": "shop"}
    assert answer["type"] == "Microsoft.AlertsManagement/alerts"


def test_resolving_leaves_the_state_and_closing_leaves_the_condition(
    arm: httpx.Client, control: Control, production: str, machine: str
) -> None:
    name = fire(control, machine)["name"]
    resolved = control.post(f"/alerts/{name}", monitorCondition="Resolved")
    essentials = resolved["payload"]["data"]["essentials"]
    assert (essentials["monitorCondition"], essentials["severity"]) == ("Resolved", "Sev3")
    assert essentials["resolvedDateTime"] >= essentials["firedDateTime"]
    assert resolved["alert"]["properties"]["essentials"]["alertState"] == "New"
    assert "a new alert" in control.refused("POST", f"/alerts/{name}", monitorCondition="Fired")
    path = f"{production}/{ALERTS}/{name}"
    closed = body(arm.post(f"{path}/changestate", params={**VERSION, "newState": "Closed"}))
    shown = closed["properties"]["essentials"]
    assert (shown["alertState"], shown["monitorCondition"]) == ("Closed", "Resolved")


def test_changing_the_state_is_kept_with_comment_and_author(
    arm: httpx.Client, control: Control, production: str, machine: str
) -> None:
    name = fire(control, machine)["name"]
    path = f"{production}/{ALERTS}/{name}"
    state = {**VERSION, "newState": "Acknowledged"}
    body(arm.post(f"{path}/changestate", params=state, json={"comments": "INC0010001"}))
    body(arm.post(f"{path}/changestate", params=state))
    (entry,) = control.journal(operation="Microsoft.AlertsManagement/alerts/changestate/action")
    assert (entry["user"], entry["before"], entry["after"]) == ("bridge", "New", "Acknowledged")
    shown = body(arm.get(path, params=VERSION))["properties"]["essentials"]
    assert shown["lastModifiedUserName"] != "System"


def test_the_history_has_the_newest_first(
    reader: httpx.Client, control: Control, production: str, machine: str
) -> None:
    name = fire(control, machine)["name"]
    control.post(f"/alerts/{name}", alertState="Acknowledged", by="lee.gu@contoso.example", comments="on it")
    control.post(f"/alerts/{name}", monitorCondition="Resolved")
    answer = body(reader.get(f"{production}/{ALERTS}/{name}/history", params=VERSION))
    events = answer["properties"]["modifications"]
    assert [event["modificationEvent"] for event in events] == ["MonitorConditionChange", "StateChange", "AlertCreated"]
    assert (events[1]["modifiedBy"], events[1]["comments"]) == ("lee.gu@contoso.example", "on it")
    assert (events[1]["oldValue"], events[1]["newValue"]) == ("New", "Acknowledged")


def test_a_bad_state_change_is_refused(arm: httpx.Client, control: Control, production: str, machine: str) -> None:
    path = f"{production}/{ALERTS}/{fire(control, machine)['name']}/changestate"
    assert refusal(arm.post(path, params={**VERSION, "newState": "Solved"}), 400) == "BadRequest"
    assert refusal(arm.post(path, params=VERSION), 400) == "BadRequest"
    good = {**VERSION, "newState": "Closed"}
    assert refusal(arm.post(path, params=good, content=b"[1]"), 400) == "InvalidRequestContent"
    assert refusal(arm.post(path, params=good, json={"comments": 5}), 400) == "InvalidRequestContent"
    unknown = f"{production}/{ALERTS}/11111111-2222-3333-4444-555555555555/changestate"
    assert refusal(arm.post(unknown, params=good), 404) == "ResourceNotFound"
    assert control.journal() == []


@pytest.mark.parametrize("ending", ["cut_after_commit", "commit_then_fail"])
def test_a_state_may_change_although_the_answer_never_came(
    arm: httpx.Client, control: Control, production: str, machine: str, ending: str
) -> None:
    name = fire(control, machine)["name"]
    control.order(ending, times=1)
    assert names(arm, production, alertState="Closed") == []
    path, change = f"{production}/{ALERTS}/{name}/changestate", {**VERSION, "newState": "Closed"}
    if ending == "cut_after_commit":
        with pytest.raises(httpx.RemoteProtocolError):
            arm.post(path, params=change)
    else:
        assert arm.post(path, params=change).status_code == 500
    assert names(arm, production, alertState="Closed") == [name]


def test_lists_are_filtered_and_scoped(arm: httpx.Client, control: Control, production: str, machine: str) -> None:
    database = f"{production}/resourceGroups/rg-data/providers/Microsoft.Sql/servers/sql-contoso/databases/orders"
    one = fire(control, machine, severity="Sev0", rule="Only this")["name"]
    two = fire(control, database, severity="Sev0", monitorService="Log Analytics")["name"]
    control.post(f"/alerts/{two}", monitorCondition="Resolved")
    assert set(names(arm, production, severity="Sev0")) == {one, two}
    assert names(arm, production, severity="Sev0", monitorCondition="Resolved") == [two]
    assert names(arm, production, monitorService="log analytics") == [two]
    assert names(arm, machine, severity="Sev0") == [one]
    assert names(arm, machine[:-1], severity="Sev0") == []
    assert names(arm, f"{production}/resourceGroups/RG-DATA", severity="Sev0") == [two]
    assert names(arm, production, severity="Sev0", targetResource=machine.upper()) == [one]
    assert names(arm, production, targetResourceGroup="rg-data", severity="Sev0") == [two]
    assert refusal(arm.get(f"{production}/{ALERTS}", params={**VERSION, "severity": "Sev9"}), 400) == "BadRequest"


def test_a_list_shows_a_day_unless_told_otherwise(
    arm: httpx.Client, control: Control, production: str, machine: str
) -> None:
    old = fire(control, machine)["name"]
    control.post("/clock", advance=26 * 3600)
    token = control.post("/tokens", identity="bridge", resource="https://management.azure.com")["token"]
    arm.headers["Authorization"] = f"Bearer {token}"
    new = fire(control, machine)["name"]
    assert names(arm, production) == [new]
    assert set(names(arm, production, timeRange="7d")) >= {old, new}
    control.post(f"/alerts/{old}", monitorCondition="Resolved")
    assert old not in names(arm, production)
    control.set(alerts_time_field="lastModifiedDateTime")
    assert old in names(arm, production)


def test_custom_time_ranges(arm: httpx.Client, control: Control, production: str, machine: str) -> None:
    now = control.post("/clock", freeze=True)["now"]
    name = fire(control, machine)["name"]
    control.post("/clock", advance=60)
    later = control.get("/clock")["now"]
    assert name in names(arm, production, customTimeRange=f"{now}/{later}")
    assert names(arm, production, customTimeRange=f"{later}/{later}") == []
    bad: tuple[dict[str, str], ...] = (
        {"customTimeRange": "soon/later"},
        {"customTimeRange": f"2001-01-01T00:00:00Z/{now}"},
    )
    for wrong in (*bad, {"customTimeRange": f"{now}/{now}", "timeRange": "1d"}, {"timeRange": "2d"}):
        assert refusal(arm.get(f"{production}/{ALERTS}", params={**VERSION, **wrong}), 400) == "BadRequest"


def test_pages_follow_next_links_to_the_end(arm: httpx.Client, control: Control, production: str, machine: str) -> None:
    fired = {fire(control, machine, severity="Sev4")["name"] for _ in range(7)}
    pages = walk(arm, f"{production}/{ALERTS}", **VERSION, severity="Sev4", pageCount=3)
    assert [len(page) for page in pages] == [3, 3, 1]
    seen = [item["id"].rpartition("/")[2] for page in pages for item in page]
    assert (set(seen), len(seen)) == (fired, 7)
    last: dict[str, Any] = {"empty": "", "null": None}
    for ending, link in last.items():
        control.set(alerts_last_next_link=ending)
        assert body(arm.get(f"{production}/{ALERTS}", params=VERSION))["nextLink"] == link
    control.set(alerts_last_next_link="absent")
    assert "nextLink" not in body(arm.get(f"{production}/{ALERTS}", params=VERSION))
    many: tuple[dict[str, Any], ...] = ({"pageCount": 251}, {"pageCount": 26, "includeContext": "true"})
    for wrong in (*many, {"$skipToken": "mine"}):
        assert arm.get(f"{production}/{ALERTS}", params={**VERSION, **wrong}).status_code == 400


def test_order_context_and_selected_fields(arm: httpx.Client, control: Control, production: str, machine: str) -> None:
    control.post("/clock", freeze=True)
    fired = []
    for severity in ("Sev3", "Sev0", "Sev2"):
        control.post("/clock", advance=1)
        fired.append(fire(control, machine, severity=severity, context={"metric": 1}, rule="Sorted")["name"])
    rule = f"{production}/resourceGroups/rg-shop/providers/Microsoft.Insights/metricAlerts/Sorted"
    assert names(arm, production, alertRule=rule) == fired[::-1]
    assert names(arm, production, alertRule=rule, sortBy="severity") == [fired[1], fired[2], fired[0]]
    assert names(arm, production, alertRule=rule, sortBy="startDateTime", sortOrder="asc") == fired
    params: dict[str, Any] = {**VERSION, "alertRule": rule, "select": "severity,alertState", "includeContext": "true"}
    item = body(arm.get(f"{production}/{ALERTS}", params=params))["value"][0]
    assert item["properties"]["essentials"].keys() == {"severity", "alertState"}
    assert item["properties"]["context"] == {"context": {"metric": 1}}


def test_alerts_are_gone_after_thirty_days(arm: httpx.Client, control: Control, production: str, machine: str) -> None:
    name = fire(control, machine)["name"]
    control.post("/clock", advance=31 * 86400)
    token = control.post("/tokens", identity="bridge", resource="https://management.azure.com")["token"]
    answer = arm.get(f"{production}/{ALERTS}/{name}", params=VERSION, headers={"Authorization": f"Bearer {token}"})
    assert refusal(answer, 404) == "ResourceNotFound"


def test_the_health_of_resources(arm: httpx.Client, control: Control, production: str, machine: str) -> None:
    path = f"{machine}/providers/Microsoft.ResourceHealth/availabilityStatuses/current"
    version = {"api-version": "2022-10-01"}
    assert body(arm.get(path, params=version))["properties"]["availabilityState"] == "Available"
    control.post("/health", resource=machine, state="Unavailable")
    answer = body(arm.get(path, params=version))
    assert (answer["name"], answer["properties"]["availabilityState"]) == ("current", "Unavailable")
    assert answer["properties"]["reasonType"] == "Unplanned"
    listed = body(arm.get(f"{production}/providers/Microsoft.ResourceHealth/availabilityStatuses", params=version))[
        "value"
    ]
    states = {item["id"].partition("/providers/Microsoft.ResourceHealth")[0]: item["properties"] for item in listed}
    assert states[machine]["availabilityState"] == "Unavailable"
    gone = path.replace("web-01", "web-99")
    assert refusal(arm.get(gone, params=version), 404) == "ResourceNotFound"
    assert "state: one of" in control.refused("POST", "/health", resource=machine, state="Broken")
