"""Security alerts of Defender for Cloud: state, order, severity, resources, texts."""

from __future__ import annotations

from typing import Any

import pytest

from shared.core.signal import SignalState
from tests.payloads.findings import ALERT, arm_alert, exported_alert
from tests.payloads.support import RECEIVED, SUB, VM, read


@pytest.mark.parametrize(
    ("status", "state", "opens", "resolution"),
    [
        ("New", SignalState.FIRED, True, None),
        ("Active", SignalState.FIRED, True, None),
        ("In Progress", SignalState.UPDATED, True, None),
        ("InProgress", SignalState.UPDATED, True, None),
        ("resolved", SignalState.RESOLVED, False, "resolved"),
        ("Dismissed", SignalState.RESOLVED, False, "dismissed"),
    ],
)
def test_the_status_tells_the_state(status: str, state: SignalState, opens: bool, resolution: str | None) -> None:
    for signal in (read(exported_alert(Status=status)), read(arm_alert(status=status))):
        assert (signal.state, signal.opens) == (state, opens)
        assert signal.details.get("resolution") == resolution


@pytest.mark.parametrize("status", [None, "", "Odd"])
def test_an_unknown_status_counts_as_new_and_is_reported(status: Any) -> None:
    signal = read(exported_alert(Status=status))
    assert signal.state is SignalState.FIRED
    assert "is not known; the alert is taken as new" in signal.warnings[0]


def test_states_of_one_processing_are_ordered_by_themselves() -> None:
    new, working, over = (read(arm_alert(status=status)) for status in ("Active", "InProgress", "Resolved"))
    assert new.order < working.order < over.order
    assert new.occurred_at == over.occurred_at
    assert over.resolved_at == RECEIVED


def test_an_alert_that_was_processed_again_is_newer() -> None:
    again = read(exported_alert(ProcessingEndTime="2024-04-09T21:00:00Z"))
    assert read(exported_alert()).order < again.order


@pytest.mark.parametrize(
    ("word", "severity"), [("High", 1), ("Medium", 2), ("low", 3), ("Informational", 4), ("", None)]
)
def test_severities(word: str, severity: int | None) -> None:
    assert read(exported_alert(Severity=word)).severity == severity


def test_placeholders_are_filled_from_the_extended_properties() -> None:
    body = exported_alert(
        Description="Started from %{Process Path} by %{User Name}.",
        ExtendedProperties={"process path": "c:\\temp\\upd.exe", "PID": 944, "none": "N/A"},
    )
    signal = read(body)
    assert signal.description.startswith("Started from c:\\temp\\upd.exe by %{User Name}.")
    assert signal.dimensions == {"process path": "c:\\temp\\upd.exe", "PID": "944"}


@pytest.mark.parametrize("steps", [["Ask.", "Rotate <b>it</b>."], '["Ask.","Rotate it."]', "Ask.\nRotate it."])
def test_remediation_steps_come_as_list_text_and_json(steps: Any) -> None:
    assert read(exported_alert(RemediationSteps=steps)).details["remediation_steps"] == "Ask.\nRotate it."


@pytest.mark.parametrize(
    ("intent", "shown"),
    [("Execution, Persistence", "Execution, Persistence"), ('["Probing"]', "Probing"), ("Unknown", None), (None, None)],
)
def test_intents_are_listed_and_unknown_is_none(intent: Any, shown: str | None) -> None:
    assert read(exported_alert(Intent=intent)).details.get("intent") == shown


def test_the_resource_is_listed_once_however_spelt() -> None:
    shouted = VM.replace("/subscriptions/", "/SUBSCRIPTIONS/").replace("/resourceGroups/", "/RESOURCEGROUPS/")
    body = exported_alert(
        AzureResourceId=shouted,
        AzureResourceSubscriptionId=SUB,
        ResourceIdentifiers=[{"Type": "AzureResource", "AzureResourceId": VM}, {"Type": "AAD"}, None],
        Entities=[{"Type": "azure-resource", "ResourceId": VM.lower()}, {"$ref": "5"}, None, {"Type": "ip"}],
        CompromisedEntity="vm2",
    )
    assert [resource.id for resource in read(body).resources] == [VM]


def test_without_an_id_the_compromised_entity_is_the_resource() -> None:
    body = exported_alert(AzureResourceId=None, AzureResourceSubscriptionId=SUB, CompromisedEntity="web-7")
    assert [resource.name for resource in read(body).resources] == ["web-7"]
    whole = exported_alert(AzureResourceId="", AzureResourceSubscriptionId=SUB)
    assert read(whole).resources[0].subscription_id == SUB


def test_a_resource_of_another_cloud_keeps_its_id() -> None:
    entity = {"type": "amazon-resource", "amazonResourceId": "arn:aws:s3:::contoso-shop"}
    signal = read(arm_alert(resourceIdentifiers=[], entities=[entity], compromisedEntity="contoso-shop"))
    assert [(found.id, found.name) for found in signal.resources] == [("arn:aws:s3:::contoso-shop", "contoso-shop")]


def test_the_name_is_the_identity_where_ids_disagree() -> None:
    signal = read(arm_alert(systemAlertId="2517000000000000001_2"))
    assert signal.key == f"security_alert:1:{ALERT}"
    assert "differ; the name is its identity" in signal.warnings[0]


def test_without_a_name_the_end_of_the_id_and_then_the_system_id_tell() -> None:
    body = {name: value for name, value in arm_alert().items() if name != "name"}
    assert read(body).key == f"security_alert:1:{ALERT}"
    del body["id"]
    assert read(body).key == f"security_alert:1:{ALERT}"


@pytest.mark.parametrize(
    "body",
    [
        exported_alert(AlertDisplayName="[Sample Alert] Unusual access"),
        exported_alert(AlertType="SIMULATED_KV_Anomaly"),
    ],
)
def test_sample_alerts_are_marked(body: dict[str, Any]) -> None:
    assert read(body).details["is_test"] == "true"
    assert "is_test" not in read(exported_alert()).details


def test_entities_plan_and_times_are_facts() -> None:
    body = exported_alert(
        Entities=[{"$id": "4", "HostName": "web-1", "Type": "host"}, {"Address": "203.0.113.25", "Type": "ip"}],
        ProductComponentName="Servers",
        StartTimeUtc="2024-04-09T20:14:02.18Z",
        AlertUri="portal.azure.com/#blade/AlertBlade",
        IsIncident="True",
    )
    signal = read(body)
    assert signal.details["entities"] == "host: web-1\nip: 203.0.113.25"
    assert signal.details["plan"] == "Servers"
    assert signal.details["activity_start"] == "2024-04-09T20:14:02.18Z"
    assert signal.details["is_incident"] == "true"
    assert signal.links == {"portal": "https://portal.azure.com/#blade/AlertBlade"}
