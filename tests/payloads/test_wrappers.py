"""Bodies around bodies, and what is no signal at all."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from shared.core.signal import Signal, Unreadable
from shared.payloads.parse import MOST_ITEMS, TooManyItems
from tests.payloads.support import GUID, RECEIVED, common, fixture, names, parse, read, refuse

KEY = f"alert:1:{GUID}"
UNRELATED = {"text": "My rule fired."}


def runbook(body: Any, **more: Any) -> dict[str, Any]:
    return {"WebhookName": "wh", "RequestBody": body, "RequestHeader": {"User-Agent": "x"}, **more}


def base64(body: Any) -> str:
    return b64encode(json.dumps(body).encode()).decode()


def binary(body: Any) -> dict[str, str]:
    """Content whose type a Logic App does not read."""
    return {"$content-type": "application/octet-stream", "$content": base64(body)}


@pytest.mark.parametrize(
    "wrapped",
    [
        common(),
        [common()],
        runbook(json.dumps(common())),
        runbook(common()),
        runbook(json.dumps(json.dumps(common()))),
        runbook([common()]),
        {"RequestBody": common(), "WebhookName": "wh"},
        {"requestbody": common(), "requestheader": {}},
        [runbook(json.dumps(common()))],
        runbook(runbook(json.dumps(common()))),
        {"records": [common()]},
        [{"records": [runbook(common())]}],
        {"value": [common()], "nextLink": None},
        {"schemaId": "azureMonitorCommonAlertSchema", "data": common()},
        {"data": {"data": common()["data"]}},
        {"data": common()["data"]},
        {"schemaId": "rewritten", "data": common()["data"]},
        {"data": json.dumps(common()["data"])},
        common()["data"],
        {"headers": {"Host": "x"}, "body": common()},
        {"headers": {}, "body": [common()]},
        {"statusCode": 200, "headers": {}, "body": common()},
        {"headers": {}, "queries": {"a": "b"}, "relativePathParameters": {}, "body": json.dumps(common())},
        {"body": json.dumps(common())},
        {"body": base64(common())},
        {"Body": json.dumps(json.dumps([common()]))},
        {"$content-type": "application/json; charset=utf-8", "$content": base64(common())},
        {"$content-type": "application/json", "$content": base64([common()])},
        {"$content-type": "multipart/form-data", "$multipart": [{"headers": {}, "body": {**binary(common())}}]},
        {"headers": {}, "body": binary(common())},
        {"name": "manual", "inputs": {}, "outputs": {"headers": {}, "body": common()}},
        [{"headers": {}, "body": {"records": [common()]}}],
        {"ContentData": base64(common()), "ContentType": "application/json", "MessageId": "m"},
        {"body": json.dumps(common()), "messageId": "m", "contentType": "application/json"},
    ],
)
def test_an_alert_is_found_in_whatever_a_relay_puts_around_it(wrapped: Any) -> None:
    assert read(wrapped).key == KEY


@pytest.mark.parametrize("name", [name for name in names() if name.startswith("noncommon/")])
def test_an_older_schema_is_known_by_its_shape_when_a_relay_drops_its_name(name: str) -> None:
    body = fixture(name)
    body.pop("schemaId", None)
    assert [type(item) for item in parse(body, RECEIVED)] == [type(item) for item in parse(fixture(name), RECEIVED)]


def test_each_item_of_an_array_is_accounted_for_in_order() -> None:
    body = [common(), UNRELATED, 7, None, "text", [common()], common(alertId="a-2"), {}]
    found = parse(body, RECEIVED)
    assert [item.key if isinstance(item, Signal) else item.item for item in found] == [
        KEY,
        UNRELATED,
        7,
        None,
        "text",
        [common()],
        "alert:1:a-2",
        {},
    ]


def test_an_envelope_accounts_for_each_of_its_records() -> None:
    found = parse([{"records": [UNRELATED, common()]}, common(alertId="a-2")], RECEIVED)
    assert [isinstance(item, Signal) for item in found] == [False, True, True]


def test_an_empty_array_holds_nothing() -> None:
    assert parse([], RECEIVED) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "This is an empty JSON object."),
        ({"records": []}, "This envelope (records) is empty."),
        (runbook("no json"), "The RequestBody of this runbook wrapper holds no JSON object."),
        (runbook(None), "The RequestBody of this runbook wrapper holds no JSON object."),
        (runbook("[]"), "The RequestBody of this runbook wrapper holds no JSON object."),
        ({"body": "just text"}, "The body of this Logic App envelope holds no JSON object."),
        ({"headers": {}, "body": None}, "The body of this Logic App envelope holds no JSON object."),
        ({"$content-type": "text/plain", "$content": "dGV4dA=="}, "content of this Logic App envelope holds no JSON"),
        ({"headers": {}, "body": UNRELATED}, "This follows no schema that is known here. Its keys are: text."),
        ({"body": "x", "subject": "y"}, "This follows no schema that is known here. Its keys are: body, subject."),
        (UNRELATED, "This follows no schema that is known here. Its keys are: text."),
        ({"alertContext": {"labels": {}}}, "This is the alertContext of an alert without its essentials"),
        ({"data": {"alertContext": {}}}, "This is the alertContext of an alert without its essentials"),
        ({"schemaId": "azureMonitorCommonAlertSchema"}, "has no essentials"),
        ({"schemaId": "azureMonitorCommonAlertSchema", "data": {}}, "has no essentials"),
        ({"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": None}}, "has no essentials"),
        (
            {"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": {"a": 1}}},
            "This looks like an alert of the common schema, but it names neither itself",
        ),
        ({"schemaId": "AzureMonitorMetricAlert", "data": {}}, "This looks like a metric alert, but it names no rule"),
        ({"schemaId": "Microsoft.Insights/activityLogs", "data": None}, "names neither its event"),
        ({"schemaId": "Microsoft.Insights/LogAlert"}, "names no rule"),
        ({"schemaId": "AIP Budget Notification"}, "names no budget"),
        ({"status": "Activated", "context": {"condition": {"metricName": "m"}}}, "names no rule"),
        ("just text", "This is no JSON object; every alert is one."),
    ],
)
def test_what_cannot_be_read_says_why(body: Any, reason: str) -> None:
    assert reason in refuse(body)


def test_wrappers_are_followed_only_so_deep() -> None:
    body: Any = common()
    for _ in range(5):
        body = runbook(body)
    assert read(body).key == KEY
    assert refuse(runbook(body)) == "The alert is wrapped more than 5 times."


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"validationCode": "c2f3"}, "webhook validation of the Office 365"),
        (
            {"contentUri": "https://x.example", "contentId": "i", "tenantId": "t"},
            "content notification of the Office 365",
        ),
        ({"webhook": {"address": "https://x.example"}}, "subscription request of the Office 365"),
        ({"contentType": "Audit.General", "webhook": {}, "status": "enabled"}, "subscription of the Office 365"),
        ({"error": {"code": "AF429", "message": "Too many requests"}}, "error of the Office 365"),
        (
            {"RecordType": 40, "CreationTime": "2024-02-22T09:56:48", "Operation": "AlertTriggered"},
            "Office 365 audit record",
        ),
        ({"type": "Microsoft.Security/assessments/governanceAssignments"}, "governance assignment"),
        ({"type": "Microsoft.Security/governanceRules"}, "governance rule"),
        ({"type": "Microsoft.Security/regulatoryComplianceStandards/x/regulatoryComplianceAssessments"}, "compliance"),
        ({"type": "Microsoft.Security/secureScores/secureScoreControls"}, "secure score of Microsoft Defender"),
        ({"type": "Microsoft.Security/settings"}, "object of Microsoft Defender for Cloud"),
        ({"@odata.type": "#microsoft.graph.security.alert"}, "security alert of Microsoft Graph"),
        ({"serviceSource": "x", "providerAlertId": "y"}, "security alert of Microsoft Graph"),
        ({"controlScores": [], "currentScore": 1}, "Secure Score of Microsoft Graph"),
        ({"@odata.type": "#microsoft.graph.serviceHealthIssue"}, "object of Microsoft Graph"),
        ({"statusValue": 0, "severityValue": 2, "entities": []}, "alert of Microsoft Defender for Cloud Apps"),
        (
            {"data": [{"statusValue": 0, "severityValue": 2, "entities": []}]},
            "alert of Microsoft Defender for Cloud Apps",
        ),
        ({"eventTypeValue": "x", "instantiation": 1}, "activity of Microsoft Defender for Cloud Apps"),
        ({"Id": "EX1", "WorkloadDisplayName": "Exchange"}, "Service Communications"),
        (
            {"eventDataId": "x", "operationName": {"value": "a", "localizedValue": "A"}},
            "Activity Log event of the REST API",
        ),
        ({"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {}}, "Event Grid subscription"),
        ({"eventType": "Microsoft.Storage.BlobCreated", "data": {}}, "Event Grid event"),
        ({"resourceId": "/x", "operationName": "y", "category": "z", "time": "t"}, "Azure resource log"),
    ],
)
def test_payloads_of_other_services_are_named(body: dict[str, Any], name: str) -> None:
    reason = refuse(body)
    assert name in reason
    assert reason.endswith(
        "taken are Azure Monitor alerts, findings and alerts of Defender for Cloud, and Secure Score controls."
    )


SENTINEL = {"objectSchemaType": "Incident", "object": {"type": "Microsoft.SecurityInsights/Incidents"}}
ALERTMANAGER = {"version": "4", "receiver": "x", "groupLabels": {}, "alerts": [{"status": "firing"}]}
GRAPH = {"subscriptionId": "s", "changeType": "updated", "resource": "security/alerts_v2/1", "clientState": "c"}


@pytest.mark.parametrize(
    ("body", "name", "fix"),
    [
        (SENTINEL, "an incident of Microsoft Sentinel", "docs/defender.md"),
        (SENTINEL["object"], "an incident of Microsoft Sentinel", "common alert schema"),
        (ALERTMANAGER, "a notification of Prometheus Alertmanager", "Prometheus rule group"),
        ({**ALERTMANAGER, "orgId": 1}, "a notification of Grafana", "alert rule of Azure Monitor"),
        ({"value": [GRAPH]}, "a change notification of Microsoft Graph", "'secure_score.poll'"),
        ({"value": [{**GRAPH, "validationTokens": []}]}, "a change notification of Microsoft Graph", "'defender.poll'"),
        ({"headers": {}, "body": SENTINEL}, "an incident of Microsoft Sentinel", "docs/defender.md"),
    ],
)
def test_a_body_of_a_known_foreign_kind_is_named_with_what_would_help(body: Any, name: str, fix: str) -> None:
    reason = refuse(body)
    assert name in reason
    assert fix in reason.partition("Fix: ")[2]


@pytest.mark.parametrize("wrap", ["records", "value", "data", "RequestBody", "ContentData", "body", "array", "nested"])
def test_more_items_than_a_body_may_hold_are_one_item_whatever_wraps_them(wrap: str) -> None:
    def body(count: int) -> Any:
        items = [{"n": 1}] * count
        return {
            "records": {"records": items},
            "value": {"value": items},
            "data": {"data": items, "resultTruncated": "false"},
            "RequestBody": runbook(json.dumps(items)),
            "ContentData": {"ContentData": base64(items), "MessageId": "m"},
            "body": {"headers": {}, "body": items},
            "array": items,
            "nested": [{"records": [{"value": items[: count // 2]}, {"value": items[count // 2 :]}]}],
        }[wrap]

    assert len(parse(body(MOST_ITEMS), RECEIVED)) == MOST_ITEMS
    (item,) = parse(body(MOST_ITEMS + 1), RECEIVED)
    assert isinstance(item, TooManyItems)
    assert item.reason == "The body holds more than 500 items; send them in several."


def test_a_list_of_another_service_is_named_item_by_item() -> None:
    found = parse({"value": [{"type": "Microsoft.Security/governanceRules"}] * 2}, RECEIVED)
    assert [isinstance(item, Unreadable) and "governance rule" in item.reason for item in found] == [True, True]


@pytest.mark.parametrize("body", [7, "x", None, True, 1.5])
def test_a_body_that_is_no_object_is_one_unreadable_item(body: Any) -> None:
    assert refuse(body) == "This is no JSON object; every alert is one."
