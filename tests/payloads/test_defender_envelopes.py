"""One finding through every envelope: the same key, the same place among its events."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from connectors.defender.payloads.identity import recommendation_key
from shared.core.signal import Signal
from tests.payloads.findings import ALERT, ASSESSMENT, arm_alert, assessment, exported_alert, sub_assessment
from tests.payloads.support import RECEIVED, SUB, VM, fixture, names, parse, read, refuse

KEY = f"recommendation:1:{VM.lower()}/{ASSESSMENT}"

#: Fixtures whose first signal is one and the same unhealthy finding.
SAME = (
    *("export-unhealthy", "export-snapshot-array", "export-pascalcase-id-of-the-group", "event-hub-base64"),
    *("event-hub-text-array", "resource-graph-page", "arm-list", "arm-risk"),
)


def pascal(value: Any) -> Any:
    """Keys as the older export spells them."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: pascal(found) for name, found in value.items()}
    return [pascal(item) for item in value] if isinstance(value, list) else value


def first(name: str) -> Signal:
    item = parse(fixture(f"recommendation/{name}", "defender"), RECEIVED)[0]
    assert isinstance(item, Signal)
    return item


@pytest.mark.parametrize("name", SAME)
def test_the_same_finding_has_one_key_and_one_place_whichever_way_it_came(name: str) -> None:
    assert first(name).key == KEY
    assert first(name).order == first("export-unhealthy").order
    assert (first(name).resources[0].subscription_id or "").lower() == SUB  # as sent, and some shout


def test_what_ends_a_finding_has_its_key_too() -> None:
    ended = [name for name in names("defender") if name.startswith("recommendation/export-") and "array" not in name]
    assert {first(name.partition("/")[2]).key for name in ended} == {KEY}


EVENT: dict[str, Any] = {"SystemProperties": {"SequenceNumber": 7}, "Properties": {}}
TEXT = json.dumps(assessment("Write"))


@pytest.mark.parametrize(
    "wrapped",
    [
        assessment(),
        [assessment("Write")],
        pascal(assessment("Write")),
        {"records": [assessment("Write")]},
        {"value": [assessment()], "nextLink": "https://management.azure.com/next"},
        {"data": [assessment()], "count": 1, "totalRecords": 1, "resultTruncated": "false"},
        {**EVENT, "ContentData": assessment("Write")},
        {**EVENT, "ContentData": TEXT},
        {"ContentData": base64.b64encode(TEXT.encode()).decode()},
        {"contentData": [assessment("Write")]},
        [{**EVENT, "Body": TEXT}],
        {"body": [assessment("Write")], "sequenceNumber": 7},
        {"EnqueuedTimeUtc": "2024-05-14T06:22:01Z", "Body": {"records": [assessment("Write")]}},
    ],
)
def test_a_finding_is_found_in_whatever_a_relay_puts_around_it(wrapped: Any) -> None:
    signal = read(wrapped)
    assert (signal.source, signal.kind, signal.key) == ("defender", "recommendation", KEY)


@pytest.mark.parametrize("held", ["no json", "AAAA", "7", "", None, 7, []])
def test_an_event_hub_message_that_holds_nothing_says_so(held: Any) -> None:
    assert refuse({**EVENT, "ContentData": held}) == "This Event Hub message holds no JSON object."


def test_an_empty_answer_of_resource_graph_says_so() -> None:
    body: dict[str, Any] = {"data": [], "count": 0, "totalRecords": 0, "resultTruncated": "false"}
    assert refuse(body) == "This answer of Resource Graph is empty."


def test_a_body_of_its_own_is_no_event_hub_message() -> None:
    assert "follows no schema" in refuse({"body": "hello", "text": "x"})


def test_an_id_that_names_only_the_group_is_mended_by_the_resource() -> None:
    body = assessment()
    body["id"] = f"{VM.partition('/providers/')[0]}/providers/Microsoft.Security/assessments/{ASSESSMENT}"
    assert read(body).key == KEY


def test_resources_do_not_share_a_key_although_their_assessment_has_one_name() -> None:
    other = assessment(resourceDetails={"source": "Azure", "id": VM.replace("web-01", "web-02")})
    assert other["name"] == ASSESSMENT
    assert read(other).key != KEY


@pytest.mark.parametrize("details", [None, {}, {"source": "Azure", "id": ""}, {"Id": "N/A"}, "x"])
def test_without_resource_details_the_id_tells_the_resource(details: Any) -> None:
    assert read(assessment(resourceDetails=details)).key == KEY


@pytest.mark.parametrize("name", [None, "", "null"])
def test_without_a_name_the_id_tells_the_assessment(name: Any) -> None:
    assert read({**assessment(), "name": name}).key == KEY


def test_the_key_can_be_made_from_resource_and_assessment() -> None:
    assert recommendation_key(VM.upper().lstrip("/") + "/", f" {ASSESSMENT.upper()} ") == KEY


def test_a_finding_without_resource_or_assessment_is_unreadable_and_says_what_is_missing() -> None:
    nothing = {"type": "Microsoft.Security/assessments", "properties": {"status": {"code": "Unhealthy"}}}
    assert "names no resource (properties.resourceDetails.id)" in refuse(nothing)
    nameless = {**nothing, "properties": {"resourceDetails": {"id": VM}}}
    assert "names no assessment (name)" in refuse(nameless)
    assert "names no resource, assessment and finding (id)" in refuse({"$type": "subAssessmentEvent", "Name": "x"})
    assert "has no id (SystemAlertId, name)" in refuse({"type": "Microsoft.Security/Locations/alerts"})


def test_a_sub_assessment_has_one_key_and_one_place_in_export_and_api() -> None:
    exported = {"SubAssessmentEventDataEnrichment": {"Action": "Insert"}, **pascal(sub_assessment())}
    graph = {**sub_assessment(), "type": "microsoft.security/assessments/subassessments"}
    graph["id"] = graph["id"].lower()
    untyped = {name: value for name, value in exported.items() if name != "Type"}
    signals = [read(body) for body in (sub_assessment(), exported, graph, untyped)]
    assert len({(signal.kind, signal.key, signal.order) for signal in signals}) == 1
    assert signals[0].key == f"sub_assessment:1:{sub_assessment()['id'].lower()}"


def test_a_security_alert_has_one_key_and_one_place_in_export_and_api() -> None:
    graph = {**arm_alert(), "type": "microsoft.security/locations/alerts"}
    graph["properties"] = pascal(graph["properties"])
    signals = [read(body) for body in (exported_alert(), arm_alert(), graph)]
    assert {signal.key for signal in signals} == {f"security_alert:1:{ALERT}"}
    assert len({signal.order for signal in signals}) == 1


@pytest.mark.parametrize(
    "type_",
    [
        "Microsoft.Security/regulatoryComplianceStandards/regulatoryComplianceControls/regulatoryComplianceAssessments",
        "Microsoft.Security/secureScores/secureScoreControls",
        "Microsoft.Security/assessments/governanceAssignments",
    ],
)
def test_other_exports_of_defender_are_no_findings(type_: str) -> None:
    body = {"type": type_, "securityEventDataEnrichment": {"action": "Write"}, "id": VM, "name": "x"}
    assert "of Microsoft Defender for Cloud; taken are" in refuse(body)
