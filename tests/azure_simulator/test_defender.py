"""Defender for Cloud: assessments, sub-assessments, governance assignments, security alerts."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from local.azure import Simulator
from tests.azure_simulator.support import Control, body, refusal, walk

VERSION = {"api-version": "2021-06-01"}
GOVERNANCE = {"api-version": "2022-01-01-preview"}
ASSESSMENTS = "providers/Microsoft.Security/assessments"
DUE = "2027-01-07T13:00:00.0000000Z"


@pytest.fixture
def production(clouds: Simulator) -> str:
    return f"/subscriptions/{clouds.subscriptions[0]}"


@pytest.fixture
def machine(production: str) -> str:
    return f"{production}/resourceGroups/rg-shop/providers/Microsoft.Compute/virtualMachines/web-01"


@pytest.fixture
def finding(arm: httpx.Client, machine: str) -> str:
    """Id of the assessment of web-01."""
    (item,) = body(arm.get(f"{machine}/{ASSESSMENTS}", params=VERSION))["value"]
    return str(item["id"])


def assign(client: httpx.Client, finding: str, key: str, **properties: Any) -> httpx.Response:
    path = f"{finding}/governanceAssignments/{key}"
    return client.put(path, params=GOVERNANCE, json={"properties": properties})


def test_lists_leave_out_metadata_links_and_risk(arm: httpx.Client, production: str, finding: str) -> None:
    items = body(arm.get(f"{production}/{ASSESSMENTS}", params=VERSION))["value"]
    assert len(items) == 11
    assert all(item["properties"].keys().isdisjoint({"metadata", "links", "risk"}) for item in items)
    full = body(arm.get(finding, params={**VERSION, "$expand": "metadata,links"}))["properties"]
    assert full["metadata"]["severity"] == "High"
    assert full["links"]["azurePortalUri"].startswith("portal.azure.com/")
    newest = body(arm.get(finding, params={"api-version": "2025-05-04"}))["properties"]
    assert newest["risk"]["level"] == "Critical"


def test_every_quirk_of_the_field_is_there(arm: httpx.Client, production: str) -> None:
    items = body(arm.get(f"{production}/{ASSESSMENTS}", params=VERSION))["value"]
    causes = {item["properties"]["status"].get("cause") for item in items}
    assert {"OffByPolicy", "Exempt", None} == causes
    details = [item["properties"]["resourceDetails"] for item in items]
    assert {one.get("source") or one.get("Source") for one in details} == {"Azure", "OnPremise", "Aws", "Gcp"}
    assert any("source" in one and "Id" in one for one in details)
    assert any(item["id"].startswith("/SUBSCRIPTIONS/") for item in items)
    assert any(item["id"].startswith(f"{production}/providers/") for item in items)
    assert "contoso-registry-check" in {item["name"] for item in items}


def test_lists_come_in_pages_and_in_every_scope(arm: httpx.Client, control: Control, production: str) -> None:
    control.set(arm_page_size=4)
    pages = walk(arm, f"{production}/{ASSESSMENTS}", **VERSION)
    assert [len(page) for page in pages] == [4, 4, 3]
    assert len({item["id"] for page in pages for item in page}) == 11
    control.set(arm_page_size=100)
    group = "/providers/Microsoft.Management/managementGroups/contoso-root"
    assert len(body(arm.get(f"{group}/{ASSESSMENTS}", params=VERSION))["value"]) == 12
    data = f"{production}/resourcegroups/RG-DATA"
    assert len(body(arm.get(f"{data}/{ASSESSMENTS}", params=VERSION))["value"]) == 3
    assert refusal(arm.get(f"{production}/{ASSESSMENTS}/nothing", params=VERSION), 404) == "ResourceNotFound"


def test_a_finding_heals_breaks_again_and_goes(arm: httpx.Client, control: Control, finding: str) -> None:
    before = body(arm.get(finding, params=VERSION))["properties"]["status"]
    control.post("/assessments", id=finding.upper(), code="NotApplicable", cause="OffByPolicy")
    after = body(arm.get(finding, params=VERSION))["properties"]["status"]
    assert (after["code"], after["cause"]) == ("NotApplicable", "OffByPolicy")
    assert after["statusChangeDate"] > before["statusChangeDate"]
    assert after["firstEvaluationDate"] == before["firstEvaluationDate"]
    control.post("/assessments", id=finding, code="Unhealthy")
    again = body(arm.get(finding, params=VERSION))["properties"]["status"]
    assert (again["code"], "cause" in again) == ("Unhealthy", False)
    control.delete("/assessments", id=finding)
    assert refusal(arm.get(finding, params=VERSION), 404) == "ResourceNotFound"
    assert "code:" in control.refused("POST", "/assessments", id=finding, code="Ill")
    assert "id:" in control.refused("POST", "/assessments", id="/subscriptions/x", code="Healthy")


def test_new_findings_are_made_from_resource_and_key(arm: httpx.Client, control: Control, machine: str) -> None:
    key = str(uuid.uuid4())
    properties = {"metadata": {"severity": "Low"}}
    control.post("/assessments", resource=machine, key=key, displayName="New finding", properties=properties)
    made = body(arm.get(f"{machine}/{ASSESSMENTS}/{key}", params={**VERSION, "$expand": "metadata"}))
    assert (made["name"], made["properties"]["displayName"]) == (key, "New finding")
    assert made["properties"]["metadata"]["severity"] == "Low"
    assert made["properties"]["metadata"]["displayName"] == "New finding"


def test_sub_assessments(
    arm: httpx.Client, reader: httpx.Client, control: Control, production: str, finding: str
) -> None:
    version = {"api-version": "2019-01-01-preview"}
    items = body(arm.get(f"{finding}/subAssessments", params=version))["value"]
    assert {item["properties"]["status"]["severity"] for item in items} == {"High", "Medium", "Low"}
    assert body(arm.get(items[0]["id"], params=version)) == items[0]
    # Its action is not published, so the bridge's role cannot name it; */read allows it.
    everywhere = f"{production}/providers/Microsoft.Security/subAssessments"
    assert len(body(reader.get(everywhere, params=version))["value"]) == 3
    control.delete("/subassessments", id=items[0]["id"])
    assert len(body(reader.get(everywhere, params=version))["value"]) == 2
    control.post("/subassessments", **items[0])
    assert len(body(reader.get(everywhere, params=version))["value"]) == 3


def test_an_assignment_is_made_replaced_and_removed(arm: httpx.Client, control: Control, finding: str) -> None:
    key = str(uuid.uuid4())
    properties = {
        "owner": "lee.gu@contoso.example",
        "remediationDueDate": DUE,
        "remediationEta": {"eta": DUE, "justification": "waits for a window"},
        "isGracePeriod": True,
        "governanceEmailNotification": {"disableOwnerEmailNotification": True},
        "additionalData": {"ticketNumber": 10001, "ticketLink": "https://contoso.example/INC0010001"},
    }
    made = body(assign(arm, finding, key, **properties), 201)
    assert made["id"] == f"{finding}/governanceAssignments/{key}"
    assert made["type"] == "Microsoft.Security/assessments/governanceAssignments"
    assert body(arm.get(made["id"], params=GOVERNANCE))["properties"] == properties
    replaced = body(assign(arm, finding, key, remediationDueDate=DUE, unknown="x"))
    assert replaced["properties"] == {"remediationDueDate": DUE}
    assert [item["name"] for item in body(arm.get(f"{finding}/governanceAssignments", params=GOVERNANCE))["value"]] == [
        key
    ]
    assert arm.delete(made["id"], params=GOVERNANCE).status_code == 200
    assert arm.delete(made["id"], params=GOVERNANCE).status_code == 204
    assert refusal(arm.get(made["id"], params=GOVERNANCE), 404) == "ResourceNotFound"
    entries = control.journal(target=made["id"])
    assert [entry["operation"].rpartition("/")[2] for entry in entries] == ["write", "write", "delete"]
    assert (entries[0]["before"], entries[2]["after"]) == (None, None)


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"owner": "lee.gu@contoso.example"},
        {"remediationDueDate": "soon"},
        {"remediationDueDate": DUE, "remediationEta": {"eta": DUE}},
        {"remediationDueDate": DUE, "remediationEta": {"justification": "x"}},
        {"remediationDueDate": DUE, "isGracePeriod": "true"},
        {"remediationDueDate": DUE, "additionalData": {"ticketNumber": "INC0010001"}},
        {"remediationDueDate": DUE, "additionalData": {"ticketNumber": -1}},
        {"remediationDueDate": DUE, "additionalData": {"ticketNumber": 2**31}},
        {"remediationDueDate": DUE, "additionalData": {"ticketNumber": True}},
        {"remediationDueDate": DUE, "additionalData": {"ticketLink": 5}},
    ],
)
def test_bad_assignments_change_nothing(arm: httpx.Client, control: Control, finding: str, properties: Any) -> None:
    assert refusal(assign(arm, finding, str(uuid.uuid4()), **properties), 400) in (
        "BadRequest",
        "InvalidRequestContent",
    )
    assert control.journal() == []
    assert body(arm.get(f"{finding}/governanceAssignments", params=GOVERNANCE))["value"] == []


def test_an_assignment_needs_a_guid_a_body_and_a_finding(arm: httpx.Client, finding: str) -> None:
    assert refusal(assign(arm, finding, "mine", remediationDueDate=DUE), 400) == "BadRequest"
    path = f"{finding}/governanceAssignments/{uuid.uuid4()}"
    assert refusal(arm.put(path, params=GOVERNANCE, content=b"nonsense"), 400) == "InvalidRequestContent"
    assert refusal(arm.put(path, params=GOVERNANCE, json={}), 400) == "InvalidRequestContent"
    unknown = finding[:-4] + "0000"
    assert refusal(assign(arm, unknown, str(uuid.uuid4()), remediationDueDate=DUE), 404) == "ResourceNotFound"


def test_assignments_need_the_right_to_write(reader: httpx.Client, finding: str) -> None:
    refused = assign(reader, finding, str(uuid.uuid4()), remediationDueDate=DUE)
    assert refusal(refused, 403) == "AuthorizationFailed"
    assert "governanceAssignments/write" in refused.json()["error"]["message"]


def test_assignments_go_with_their_finding_and_show_in_resource_graph(
    arm: httpx.Client, control: Control, finding: str
) -> None:
    body(assign(arm, finding, str(uuid.uuid4()), remediationDueDate=DUE), 201)
    query = "securityresources | where type == 'microsoft.security/assessments/governanceassignments' | count"
    path = "/providers/Microsoft.ResourceGraph/resources"

    def count() -> int:
        answer = body(arm.post(path, params={"api-version": "2022-10-01"}, json={"query": query}))
        return int(answer["data"][0]["Count"])

    assert count() == 1
    control.delete("/assessments", id=finding)
    assert count() == 0


def test_security_alerts_are_read_and_dismissed(arm: httpx.Client, control: Control, production: str) -> None:
    version = {"api-version": "2022-01-01"}
    (item,) = body(arm.get(f"{production}/providers/Microsoft.Security/alerts", params=version))["value"]
    assert item["properties"]["status"] == "Active"
    (same,) = body(arm.get(f"{production}/resourceGroups/rg-data/providers/Microsoft.Security/alerts", params=version))[
        "value"
    ]
    assert same == item
    for verb, status in (("dismiss", "Dismissed"), ("inProgress", "InProgress"), ("resolve", "Resolved")):
        assert arm.post(f"{item['id']}/{verb}", params=version).status_code == 204
        assert body(arm.get(item["id"], params=version))["properties"]["status"] == status
    assert refusal(arm.post(f"{item['id']}x/dismiss", params=version), 404) == "ResourceNotFound"
    assert [entry["after"] for entry in control.journal()] == ["Dismissed", "InProgress", "Resolved"]
    control.post("/security-alerts", **item)
    assert body(arm.get(item["id"], params=version))["properties"]["status"] == "Active"


def test_fifty_subscriptions_of_two_hundred_findings(arm: httpx.Client, control: Control) -> None:
    made = control.post("/populate", subscriptions=50, assessments=200, unhealthy=0.25, seed=7)
    assert (made["assessments"], len(made["subscriptions"])) == (10_000, 50)
    assert control.get("/inventory")["counts"]["assessments"] == 10_013
    listed = body(arm.get("/subscriptions", params={"api-version": "2022-12-01"}))["value"]
    assert len(listed) == 52
    query = (
        "securityresources | where type == 'microsoft.security/assessments' and subscriptionId in "
        f"({', '.join(repr(one) for one in made['subscriptions'])}) "
        "| summarize n = count() by tostring(properties.status.code)"
    )
    path = "/providers/Microsoft.ResourceGraph/resources"
    found = body(arm.post(path, params={"api-version": "2022-10-01"}, json={"query": query}))["data"]
    counts = {row["properties_status_code"]: row["n"] for row in found}
    assert sum(counts.values()) == 10_000
    assert 2_300 < counts["Unhealthy"] < 2_700
