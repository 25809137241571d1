"""How bad, and what sort of thing: what the payload says, not what its envelope pretends."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.azure_monitor.payloads.common import level, severity
from shared.payloads.values import rank
from tests.payloads.support import activity_log, common, event, log, metric, metric_alert, read


@pytest.mark.parametrize("number", range(5))
def test_sev_n_is_the_severity_of_the_common_schema(number: int) -> None:
    assert read(common(severity=f"Sev{number}")).severity == number
    assert read(common(severity=f"SEV{number}")).severity == number


@pytest.mark.parametrize("said", ["unknown", "Sev5", "Sev", "-1", "22"])
def test_an_unknown_severity_is_none_and_is_reported(said: str) -> None:
    signal = read(common(severity=said))
    assert signal.severity is None
    assert signal.warnings == (f"The severity {said!r} is not known.",)


@pytest.mark.parametrize("said", [None, "", "null"])
def test_an_absent_severity_is_none(said: str | None) -> None:
    signal = read(common(severity=said))
    assert signal.severity is None
    assert signal.warnings == ()


@pytest.mark.parametrize(
    ("word", "number"),
    [("Critical", 0), ("Error", 1), ("Warning", 2), ("Informational", 3), ("0", 0), ("4", 4), ("High", None)],
)
def test_a_flat_log_alert_says_it_in_words_or_digits(word: str, number: int | None) -> None:
    body = {"AlertRuleName": "r", "SearchQuery": "q", "Severity": word, "WorkspaceId": "w"}
    assert read(body).severity == number


def test_essentials_win_over_the_unreliable_description_of_severity() -> None:
    context = {"SearchQuery": "q", "ResultCount": 1, "SeverityDescription": "Informational"}
    assert read(common(context, monitoringService="Log Analytics", severity="Sev0")).severity == 0
    assert read(common(context, monitoringService="Log Analytics", severity=None)).severity == 3


def test_a_metric_alert_of_the_older_schema_says_it_as_a_digit_or_not_at_all() -> None:
    assert read(metric_alert(severity="1")).severity == 1
    assert read(metric_alert(severity=2)).severity == 2
    assert read(metric_alert(severity=None)).severity is None


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("Critical", 0),
        ("Error", 1),
        ("Warning", 2),
        ("Informational", 3),
        ("Verbose", 4),
        (1, 0),
        (2, 1),
        (3, 2),
        (4, 3),
    ],
)
def test_an_activity_takes_the_level_of_its_event_not_the_constant_sev4(word: Any, number: int) -> None:
    for body in (
        event("Activity Log - Administrative", {"level": word}),
        event("ServiceHealth", {"level": word}, stage="Active"),
        event("Resource Health", {"level": str(word)}),
        activity_log({"eventSource": "Administrative", "eventDataId": "e", "level": word}),
    ):
        assert read(body).severity == number


@pytest.mark.parametrize(("word", "number"), [("High", 1), ("Medium", 2), ("Low", 3), ("Informational", 4)])
def test_a_security_event_takes_its_own_severity(word: str, number: int) -> None:
    fields = {"level": "Informational", "eventSource": "Security", "eventDataId": "e"}
    assert read(event("Activity Log - Security", fields, severity=word)).severity == number
    assert read(activity_log(fields, severity=word)).severity == number


@pytest.mark.parametrize(("word", "number"), [("High", 2), ("Medium", 3), ("Low", 4)])
def test_a_recommendation_takes_its_impact_and_is_never_an_outage(word: str, number: int) -> None:
    fields = {"level": "Informational", "eventSource": "Recommendation"}
    assert read(event("Activity Log - Recommendation", fields, recommendationImpact=word)).severity == number


@pytest.mark.parametrize("service", ["Activity Log - Administrative", "ServiceHealth", "Resource Health"])
def test_an_event_that_does_not_say_has_no_severity(service: str) -> None:
    assert read(event(service)).severity is None
    assert read(event(service, {"level": "loud"})).severity is None


@pytest.mark.parametrize("value", [None, True, [], {}, "", 7, "Sev9", float("nan")])
def test_nonsense_is_on_no_scale(value: Any) -> None:
    assert severity(value) is None
    assert level(value) is None
    assert rank(value) is None


METRIC = metric({"metricName": "m", "metricValue": 1, "threshold": "0", "operator": "GreaterThan"})
QUERY = log(searchQuery="q", metricValue=1)
RESULTS = {"SearchQuery": "q", "ResultCount": 1, "SearchIntervalDurationMin": "5"}


@pytest.mark.parametrize(
    ("service", "signal_type", "context", "kind"),
    [
        ("Platform", "Metric", METRIC, "metric"),
        ("Log Alerts V2", "Log", QUERY, "log"),
        ("Simple Log Alert", "Log", QUERY, "log"),
        ("Log Analytics", "Log", RESULTS, "log"),
        ("Application Insights", "Log", RESULTS, "log"),
        ("Prometheus", "Metric", {"expression": "up"}, "prometheus"),
        ("SmartDetector", "Log", {"SmartDetectorId": "d"}, "smart_detection"),
        ("Smart Detector", "Log", {"SmartDetectorId": "d"}, "smart_detection"),
        ("Activity Log - Administrative", "Activity Log", {"eventDataId": "e"}, "activity"),
        ("Activity Log - Policy", "Activity Log", {"eventDataId": "e"}, "activity"),
        ("Activity Log - Autoscale", "Activity Log", {"eventDataId": "e"}, "activity"),
        ("Activity Log - Security", "Activity Log", {"eventDataId": "e"}, "activity"),
        ("Activity Log - Recommendation", "ActivityLog", {"eventDataId": "e"}, "activity"),
        ("ActivityLog Administrative", "Activity Log", {"eventDataId": "e"}, "activity"),
        ("ServiceHealth", "Activity Log", {"eventSource": 2}, "service_health"),
        ("Service Health", None, {"eventSource": 2}, "service_health"),
        ("Resource Health", "Activity Log", {}, "resource_health"),
        ("ResourceHealth", "Activity Log", {}, "resource_health"),
        ("resource-health", "Activity Log", {}, "resource_health"),
        ("CostAlerts", None, {"AlertData": {"BudgetName": "b"}}, "budget"),
        ("Azure Backup", "Log", {"category": "Jobs"}, "backup"),
        ("VM Insights", "Log", {"odd": 1}, "log"),
        ("Custom", None, {"odd": 1}, "other"),
        (None, None, None, "other"),
    ],
)
def test_the_service_tells_the_kind(service: str | None, signal_type: str | None, context: Any, kind: str) -> None:
    assert read(common(context, monitoringService=service, signalType=signal_type)).kind == kind


@pytest.mark.parametrize(
    ("service", "signal_type", "context", "kind"),
    [
        ("Platform", "Log", QUERY, "log"),
        ("Platform", "Metric", RESULTS, "log"),
        ("Log Alerts V2", "Log", METRIC, "metric"),
        ("Log Analytics", "Metric", RESULTS, "log"),
        ("Platform", "Metric", {**METRIC, "conditionType": "SomeFutureCriteria"}, "metric"),
        ("Platform", "Log", {**QUERY, "conditionType": "SomeFutureCriteria"}, "log"),
    ],
)
def test_the_context_wins_over_a_service_that_contradicts_it(
    service: str, signal_type: str, context: Any, kind: str
) -> None:
    signal = read(common(context, monitoringService=service, signalType=signal_type))
    assert signal.kind == kind
    assert signal.condition


@pytest.mark.parametrize(
    ("service", "condition_type", "kind"),
    [("Platform", "LogQueryCriteria", "log"), ("Log Alerts V2", "DynamicThresholdCriteria", "metric")],
)
def test_the_condition_type_alone_wins_over_the_service(service: str, condition_type: str, kind: str) -> None:
    context = {"conditionType": condition_type, "condition": {"allOf": []}}
    assert read(common(context, monitoringService=service, monitorCondition="Resolved")).kind == kind


@pytest.mark.parametrize(
    ("context", "kind"),
    [
        (METRIC, "metric"),
        (QUERY, "log"),
        (RESULTS, "log"),
        ({"condition": {"allOf": [{"metricName": "m"}]}}, "metric"),
        ({"condition": {"allOf": [{"searchQuery": "q"}]}}, "log"),
        ({"expression": "up", "labels": {}}, "prometheus"),
        ({"DetectionSummary": "odd"}, "smart_detection"),
        ({"AlertCategory": "budgets", "AlertData": {"BudgetName": "b"}}, "budget"),
        ({"linkedResourceId": "/subscriptions/s"}, "backup"),
        ({"eventSource": "Administrative"}, "activity"),
        ({"operationName": "x", "properties": {"trackingId": "T"}}, "service_health"),
        ({"operationName": "x", "properties": {"currentHealthStatus": "Available"}}, "resource_health"),
    ],
)
def test_an_unknown_service_is_told_by_its_context(context: Any, kind: str) -> None:
    assert read(common(context, monitoringService="Tomorrow", signalType=None)).kind == kind


def test_an_alert_without_context_still_has_the_kind_of_its_service() -> None:
    nothing: tuple[Any, ...] = (None, {}, "", "null", [], 7)
    for context in nothing:
        assert read(common(context)).kind == "metric"
