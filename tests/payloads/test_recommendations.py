"""Recommendations and their findings: state, reason, severity, resource, texts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.core.signal import Signal, SignalState
from tests.payloads.findings import ASSESSMENT, CHANGED, assessment, status, sub_assessment
from tests.payloads.support import RECEIVED, SUB, VM, WORKSPACE, read

AWS = (
    f"/subscriptions/{SUB}/resourceGroups/rg-cloud/providers/Microsoft.Security/securityConnectors/aws-contoso/"
    "securityEntityData/aws-ec2-instance-i-0c3a9b7d"
)


@pytest.mark.parametrize(
    ("body", "state", "resolution"),
    [
        (assessment(), SignalState.FIRED, None),
        (assessment("Insert"), SignalState.FIRED, None),
        (assessment("Write", status=status("unhealthy")), SignalState.FIRED, None),
        (assessment("Write", status="Unhealthy"), SignalState.FIRED, None),
        (assessment("Write", status=status("Healthy")), SignalState.RESOLVED, "healthy"),
        (assessment(status="Healthy"), SignalState.RESOLVED, "healthy"),
        (assessment("Insert", status=status("NotApplicable")), SignalState.RESOLVED, "not_applicable"),
        (assessment(status=status("NotApplicable", cause="OffByPolicy")), SignalState.RESOLVED, "not_applicable"),
        (assessment(status=status("NotApplicable", cause="Exempt")), SignalState.RESOLVED, "exempted"),
        (assessment(status=status("notApplicable", cause="ExemptByPolicy")), SignalState.RESOLVED, "exempted"),
        (assessment("Delete"), SignalState.RESOLVED, "deleted"),
        (assessment("delete", status=status("Healthy")), SignalState.RESOLVED, "deleted"),
        (assessment(status=status("Removed")), SignalState.RESOLVED, "deleted"),
    ],
)
def test_status_and_action_tell_the_state_and_why_it_is_over(
    body: dict[str, Any], state: SignalState, resolution: str | None
) -> None:
    signal = read(body)
    assert signal.state is state
    assert signal.details.get("resolution") == resolution
    assert signal.opens is (state is SignalState.FIRED)


@pytest.mark.parametrize("name", ["AssessmentEventDataEnrichment", "securityEventDataEnrichment"])
@pytest.mark.parametrize("enrichment", [{"Action": "Delete"}, {"action": "DELETE"}, json.dumps({"Action": "Delete"})])
def test_a_deletion_is_known_in_every_spelling(name: str, enrichment: Any) -> None:
    assert read({**assessment(), name: enrichment}).details["resolution"] == "deleted"


def test_each_reason_reads_differently() -> None:
    said = {
        read(body).condition
        for body in (
            assessment(status=status("Healthy")),
            assessment(status=status("NotApplicable")),
            assessment(status=status("NotApplicable", cause="Exempt")),
            assessment("Delete"),
        )
    }
    assert len(said) == 4
    assert "The finding was deleted, with its resource or its assessment. Its last status was Unhealthy." in said


def test_cause_and_description_are_told_once() -> None:
    off = status("NotApplicable", cause="OffByPolicy", description="The policy was evaluated to off")
    assert read(assessment(status=off)).condition.endswith("OffByPolicy: The policy was evaluated to off.")
    waived = status("NotApplicable", cause="Exempt", description="It was exempted!")
    assert read(assessment(status=waived)).condition.endswith("recommendation. It was exempted!")
    assert read(assessment(status=status(cause="N/A", description="N/A"))).condition == "Unhealthy, severity High."


def test_an_unknown_status_counts_as_unhealthy_and_is_reported() -> None:
    signal = read(assessment(status=status("Pending")))
    assert signal.state is SignalState.FIRED
    assert "The status 'Pending' is not known; the finding is taken as unhealthy." in signal.warnings


def test_events_are_ordered_by_the_change_of_the_status() -> None:
    fired, again = read(assessment("Insert")), read(assessment("Write"))
    healed = read(assessment(status=status("Healthy", statusChangeDate="2024-05-20T09:00:00Z")))
    assert fired.order == again.order
    assert fired.order < healed.order
    assert fired.fired_at == fired.occurred_at
    assert healed.resolved_at == healed.occurred_at
    assert "received" not in " ".join(fired.warnings)


def test_a_deletion_follows_the_status_it_repeats_and_precedes_a_finding_that_came_back() -> None:
    deleted = read(assessment("Delete"))
    back = read(assessment("Insert", status=status(statusChangeDate="2024-05-14T07:00:00Z")))
    assert read(assessment()).order < deleted.order < back.order
    assert deleted.resolved_at == RECEIVED
    assert "no time of its own" in deleted.warnings[0]


@pytest.mark.parametrize("changed", [None, "", "0001-01-01T00:00:00Z"])
def test_without_a_change_date_the_receipt_counts(changed: Any) -> None:
    signal = read(assessment(status={"code": "Unhealthy", "statusChangeDate": changed}))
    assert signal.occurred_at == RECEIVED
    assert signal.fired_at is None


@pytest.mark.parametrize(
    ("said", "risk", "severity"),
    [
        ("High", None, 1),
        ("medium", None, 2),
        ("Low", None, 3),
        (None, None, None),
        ("Odd", None, None),
        ("Low", {"level": "Critical"}, 0),
        ("High", {"Level": "low"}, 3),
        ("High", {"level": "None"}, 1),
        ("High", {}, 1),
    ],
)
def test_the_risk_of_the_resource_outweighs_the_general_severity(said: Any, risk: Any, severity: int | None) -> None:
    assert read(assessment(metadata={"severity": said}, risk=risk)).severity == severity


@pytest.mark.parametrize(
    ("links", "portal"),
    [
        ({"azurePortal": "portal.azure.com/#blade/x"}, "https://portal.azure.com/#blade/x"),
        ({"azurePortalUri": "https://portal.azure.us/#blade/x"}, "https://portal.azure.us/#blade/x"),
        ({"azurePortaluri": "//ms.portal.azure.com/?fea#x"}, "https://ms.portal.azure.com/?fea#x"),
        (json.dumps({"azurePortal": "portal.azure.com"}), "https://portal.azure.com"),
    ],
)
def test_links_get_the_scheme_that_defender_leaves_out(links: Any, portal: str) -> None:
    assert read(assessment(links=links)).links == {"portal": portal}


@pytest.mark.parametrize("links", [None, {}, {"azurePortal": None}, {"azurePortal": "javascript:alert(1)"}])
def test_without_a_usable_link_the_page_is_built(links: Any) -> None:
    where = VM.replace("/", "%2F")
    assert read(assessment(links=links)).links["portal"] == (
        "https://portal.azure.com/#blade/Microsoft_Azure_Security/RecommendationsBlade/assessmentKey/"
        f"{ASSESSMENT}/resourceId/{where}"
    )


def test_a_resource_of_aws_keeps_its_own_name_type_and_id() -> None:
    details = {
        "Source": "Aws",
        "id": AWS,
        "NativeResourceId": "arn:aws:ec2:eu-west-1:123456789012:instance/i-0c3a9b7d",
        "resourceName": "i-0c3a9b7d",
        "ResourceProvider": "ec2",
        "resourceType": "instance",
    }
    signal = read(assessment(resourceDetails=details))
    (found,) = signal.resources
    assert (found.id, found.name, found.type) == (AWS, "i-0c3a9b7d", "ec2/instance")
    assert (found.subscription_id, found.resource_group) == (SUB, "rg-cloud")
    assert signal.details["native_id"] == "arn:aws:ec2:eu-west-1:123456789012:instance/i-0c3a9b7d"
    assert signal.details["environment"] == signal.dimensions["environment"] == "Aws"
    assert signal.key == f"recommendation:1:{AWS.lower()}/{ASSESSMENT}"


def test_a_resource_known_by_its_native_id_only_is_told_from_others_of_its_subscription() -> None:
    def gcp(name: str) -> dict[str, Any]:
        body = assessment(resourceDetails={"source": "Gcp", "nativeResourceId": f"projects/shop/instances/{name}"})
        return {**body, "id": f"/subscriptions/{SUB}/providers/Microsoft.Security/assessments/{ASSESSMENT}"}

    one, other = read(gcp("cache-1")), read(gcp("cache-2"))
    assert one.key != other.key
    assert one.resources[0].id == "projects/shop/instances/cache-1"
    assert one.resources[0].name == "cache-1"
    assert one.resources[0].subscription_id == SUB
    assert "assessment_id" not in one.details


def test_a_machine_on_premises_has_its_name() -> None:
    machine = f"/subscriptions/{SUB}/resourceGroups/rg-arc/providers/Microsoft.HybridCompute/machines/hq-01"
    details = {"source": "OnPremise", "Id": machine, "MachineName": "HQ-01.contoso.example"}
    (found,) = read(assessment(resourceDetails=details)).resources
    assert (found.name, found.type) == ("HQ-01.contoso.example", "Microsoft.HybridCompute/machines")


@pytest.mark.parametrize("scope", [f"/subscriptions/{SUB}", WORKSPACE, ""])
@pytest.mark.parametrize("given", ["vmuuid", "sourceComputerId", "machineName", "nativeResourceId"])
@pytest.mark.parametrize("resource_id", [None, "", "/", f"/subscriptions/{SUB}"])
def test_two_machines_without_a_resource_id_never_share_a_key(scope: str, given: str, resource_id: str | None) -> None:
    def finding(machine: str, reader: Any = assessment) -> Signal:
        body = reader(resourceDetails={"source": "OnPremise", "id": resource_id, given: machine})
        below = "/subAssessments/f-1" if reader is sub_assessment else ""
        return read({**body, "id": f"{scope}/providers/Microsoft.Security/assessments/{ASSESSMENT}{below}"})

    one, other, again = finding("dc-01"), finding("dc-02"), finding("DC-01")
    assert one.key == again.key != other.key
    assert one.key.endswith(f"/dc-01/{ASSESSMENT}") or one.key == f"recommendation:1:dc-01/{ASSESSMENT}"
    assert (one.resources[0].name, one.title) == ("dc-01", "Disks should be encrypted on dc-01")
    assert one.resources[0].id in (None, "dc-01")
    if scope:
        assert finding("dc-01", sub_assessment).key != finding("dc-02", sub_assessment).key


def test_two_databases_of_one_machine_never_share_a_key() -> None:
    def finding(database: str) -> Signal:
        details = {"source": "OnPremiseSql", "vmuuid": "v-1", "serverName": "sql-1", "databaseName": database}
        body = assessment(resourceDetails=details)
        return read({**body, "id": f"{WORKSPACE}/providers/Microsoft.Security/assessments/{ASSESSMENT}"})

    assert finding("orders").key != finding("stock").key


def test_a_machine_with_a_resource_id_keeps_it_as_its_only_identity() -> None:
    details = {"source": "OnPremise", "id": VM, "machineName": "dc-01", "vmuuid": "v-1"}
    assert read(assessment(resourceDetails=details)).key == read(assessment()).key


def test_a_whole_subscription_is_a_resource_and_not_named_in_the_title() -> None:
    signal = read(assessment(resourceDetails={"source": "Azure", "id": f"/subscriptions/{SUB}"}))
    assert signal.resources[0].subscription_id == SUB
    assert signal.title == "Disks should be encrypted"


def test_titles_name_finding_and_resource() -> None:
    assert read(assessment()).title == "Disks should be encrypted on vm-shop-web-01"
    assert read(assessment(displayName=None)).title == f"Recommendation {ASSESSMENT} on vm-shop-web-01"
    assert read(sub_assessment()).title == "OpenSSL before 3.0.14 on vm-shop-web-01"


def test_facts_are_read_whatever_their_form() -> None:
    metadata = {
        "categories": '["Compute","Data"]',
        "threats": ["AccountBreach", None, "AccountBreach", "DataSpillage"],
        "tactics": "Collection",
        "implementationEffort": "Low",
        "userImpact": "Moderate",
        "remediationDescription": "First:<br>1. Open <b>it</b>.<br>2. Save.",
    }
    signal = read(assessment(metadata=metadata, additionalData='{"count": "2"}'))
    details = signal.details
    assert details["categories"] == signal.dimensions["categories"] == "Compute, Data"
    assert details["threats"] == "AccountBreach, DataSpillage"
    assert details["tactics"] == "Collection"
    assert details["implementation_effort"] == signal.dimensions["implementationEffort"] == "Low"
    assert details["user_impact"] == "Moderate"
    assert details["remediation_steps"] == "First:\n1. Open it.\n2. Save."
    assert details["additional_data"] == '{"count":"2"}'
    assert details["assessment_id"] == f"{VM}/providers/Microsoft.Security/assessments/{ASSESSMENT}"
    assert details["status_changed"] == CHANGED


def test_properties_as_text_and_tags_of_the_row_are_read() -> None:
    body = assessment()
    body["properties"] = json.dumps(body["properties"])
    body["tags"] = {"owner": "lee.gu@contoso.example"}
    signal = read(body)
    assert signal.state is SignalState.FIRED
    assert signal.tags == {"owner": "lee.gu@contoso.example"}


def test_a_snapshot_is_marked() -> None:
    body = {**assessment(), "securityEventDataEnrichment": {"action": "Write", "isSnapshot": "True"}}
    assert read(body).details["is_snapshot"] == "true"
    assert "is_snapshot" not in read(assessment("Write")).details


def test_a_finding_has_its_severity_in_its_status_and_numbers_of_any_form() -> None:
    data = {
        "cvss": {"2.0": {"base": 7}, "3.0": {"Base": "8.1"}, "odd": None},
        "patchable": "True",
        "cve": [{"title": "CVE-2024-1", "link": "https://cve.example/1"}, {"Title": "CVE-2024-2"}, "CVE-2024-3", 7, {}],
    }
    signal = read(sub_assessment(additionalData=data, impact=3, remediation="<p>Update.</p>"))
    assert signal.severity == 1
    assert signal.details["cvss"] == "8.1 (CVSS 3.0), 7 (CVSS 2.0)"
    assert signal.details["patchable"] == "true"
    assert signal.details["cves"] == "CVE-2024-1 (https://cve.example/1)\nCVE-2024-2\nCVE-2024-3\n7"
    assert signal.details["finding_impact"] == "3"
    assert signal.details["remediation_steps"] == "Update."


def test_a_finding_that_names_itself_as_its_resource_is_about_the_image() -> None:
    own = sub_assessment()["id"]
    image = f"{VM}/repository/shop/web/imageDigest/sha256:9f1c"
    details = {"source": "Azure", "id": own.replace(VM, image)}
    assert read(sub_assessment(resourceDetails=details)).resources[0].id == image
