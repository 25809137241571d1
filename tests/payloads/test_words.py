"""What people read: condition, title, description, details."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.azure_monitor.payloads.service_contexts import plain_number
from tests.payloads.support import SUB, activity_log, common, event, fixture, log, metric, metric_alert, read

CPU = {
    "metricName": "Percentage CPU",
    "operator": "GreaterThan",
    "threshold": "85",
    "timeAggregation": "Average",
    "metricValue": 97.3125,
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, "Average Percentage CPU 97.3125 is greater than 85 over 5 minutes"),
        ({"threshold": 85}, "Average Percentage CPU 97.3125 is greater than 85 over 5 minutes"),
        ({"metricValue": "97.3125"}, "Average Percentage CPU 97.3125 is greater than 85 over 5 minutes"),
        (
            {"metricValue": 0.1 + 0.2, "operator": "LessThan"},
            "Average Percentage CPU 0.3 is less than 85 over 5 minutes",
        ),
        ({"metricValue": None}, "Average Percentage CPU, condition: greater than 85 over 5 minutes"),
        ({"threshold": None}, "Average Percentage CPU over 5 minutes: 97.3125"),
        ({"timeAggregation": "Count"}, "Count of Percentage CPU 97.3125 is greater than 85 over 5 minutes"),
        ({"timeAggregation": "Sum"}, "Sum of Percentage CPU 97.3125 is greater than 85 over 5 minutes"),
        ({"timeAggregation": "PT5M"}, "Percentage CPU 97.3125 is greater than 85 over 5 minutes"),
        (
            {"operator": "GreaterThanOrEqual"},
            "Average Percentage CPU 97.3125 is greater than or equal to 85 over 5 minutes",
        ),
        (
            {"operator": "Equals", "threshold": "97.3125"},
            "Average Percentage CPU 97.3125 is equal to 97.3125 over 5 minutes",
        ),
        ({"operator": "Wobbles"}, "Average Percentage CPU 97.3125 is Wobbles 85 over 5 minutes"),
    ],
)
def test_a_criterion_is_a_sentence_with_value_threshold_and_window(change: dict[str, Any], sentence: str) -> None:
    assert read(common(metric({**CPU, **change}))).condition == sentence
    assert read(metric_alert(condition={"windowSize": "PT5M", "allOf": [{**CPU, **change}]})).condition == sentence


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        ("LessThan", "less than"),
        ("LowerThan", "less than"),
        ("Less Than", "less than"),
        ("Greater Than", "greater than"),
        ("LessThanOrEqual", "less than or equal to"),
        ("GreaterOrLessThan", "GreaterOrLessThan"),
        (">", "greater than"),
    ],
)
def test_every_spelling_of_an_operator_is_said_in_words(operator: str, words: str) -> None:
    criterion = {**CPU, "operator": operator, "metricValue": None}
    assert read(common(metric(criterion))).condition == f"Average Percentage CPU, condition: {words} 85 over 5 minutes"


def test_a_resolved_alert_claims_nothing_about_its_value() -> None:
    signal = read(common(metric({**CPU, "metricValue": 12.5}), monitorCondition="Resolved"))
    assert signal.condition == "Average Percentage CPU 12.5, condition: greater than 85 over 5 minutes"


def test_a_fired_alert_whose_value_contradicts_its_threshold_claims_nothing_either() -> None:
    signal = read(common(metric({**CPU, "metricValue": 12.5})))
    assert signal.condition == "Average Percentage CPU 12.5, condition: greater than 85 over 5 minutes"


def test_all_criteria_are_said() -> None:
    other = {**CPU, "metricName": "Disk", "metricValue": 99}
    assert read(common(metric(CPU, other))).condition == (
        "Average Percentage CPU 97.3125 is greater than 85 over 5 minutes; "
        "Average Disk 99 is greater than 85 over 5 minutes"
    )


@pytest.mark.parametrize(
    ("change", "inside"),
    [
        ({"operator": "GreaterThan"}, "low sensitivity, greater than 0.3, in 3 of 4 periods"),
        ({"operator": "LessThan"}, "low sensitivity, less than 0.3, in 3 of 4 periods"),
        ({"operator": "GreaterOrLessThan"}, "low sensitivity, bound 0.3, in 3 of 4 periods"),
        ({"operator": "GreaterThan", "threshold": None}, "low sensitivity, in 3 of 4 periods"),
    ],
)
def test_a_dynamic_threshold_is_a_bound_not_a_setting(change: dict[str, Any], inside: str) -> None:
    periods = {"numberOfEvaluationPeriods": 4, "minFailingPeriodsToAlert": 3}
    criterion = {**CPU, "threshold": "0.3", "alertSensitivity": "Low", "failingPeriods": periods, "metricValue": 0.1}
    assert read(common(metric({**criterion, **change}))).condition == (
        f"Average Percentage CPU 0.1 is outside the dynamic bounds ({inside}) over 5 minutes"
    )


def test_a_dynamic_threshold_without_sensitivity_is_known_by_its_condition_type() -> None:
    context = {**metric({**CPU, "threshold": "0.3"}), "conditionType": "DynamicThresholdCriteria"}
    signal = read(common(context, monitorCondition="Resolved"))
    assert signal.condition == (
        "Average Percentage CPU 97.3125, condition: outside the dynamic bounds (greater than 0.3) over 5 minutes"
    )


def test_static_failing_periods_are_said_when_there_is_more_than_one() -> None:
    context = metric(CPU)
    context["condition"]["staticThresholdFailingPeriods"] = {
        "numberOfEvaluationPeriods": 3,
        "minFailingPeriodsToAlert": 2,
    }
    assert read(common(context)).condition.endswith("over 5 minutes, in 2 of 3 periods")


@pytest.mark.parametrize(
    ("criterion", "sentence"),
    [
        (
            {"timeAggregation": "Count", "operator": "GreaterThan", "threshold": "0", "metricValue": 3.0},
            "Count of rows 3 is greater than 0 over 1 hour",
        ),
        (
            {
                "timeAggregation": "Average",
                "operator": "LowerThan",
                "threshold": "1",
                "metricValue": 0.5,
                "metricMeasureColumn": "Free",
            },
            "Average Free 0.5 is less than 1 over 1 hour",
        ),
        (
            {
                "timeAggregation": "Total",
                "operator": "GreaterThan",
                "threshold": "1",
                "metricValue": 2,
                "metricMeasure": "Cost",
            },
            "Total Cost 2 is greater than 1 over 1 hour",
        ),
        ({"metricValue": 552}, "Query result over 1 hour: 552"),
        (
            {"timeAggregation": "Average", "operator": "GreaterThan", "threshold": "1", "metricValue": 2},
            "Average query result 2 is greater than 1 over 1 hour",
        ),
        (
            {"timeAggregation": "Count", "operator": "GreaterThan", "threshold": "7.5", "metricValue": 9}
            | {"alertSensitivity": "High"},
            "Count of rows 9 is outside the dynamic bounds (high sensitivity, greater than 7.5) over 1 hour",
        ),
        ({"event": [[{"name": "a", "value": "b"}]], "metricValue": 1.0}, "A row matched the query"),
    ],
)
def test_a_log_criterion_is_a_sentence(criterion: dict[str, Any], sentence: str) -> None:
    assert read(common(log(searchQuery="q", **criterion))).condition == sentence


@pytest.mark.parametrize(
    ("state", "change", "sentence"),
    [
        ("Fired", {}, "Count of rows 4 is greater than 0 over 5 minutes"),
        ("Resolved", {}, "Count of rows 4, condition: greater than 0 over 5 minutes"),
        ("Fired", {"Threshold": None}, "Count of rows over 5 minutes: 4"),
        ("Fired", {"AlertType": "Metric measurement"}, "Aggregated value is greater than 0 in 4 rows over 5 minutes"),
        (
            "Resolved",
            {"AlertType": "Metric measurement"},
            "Aggregated value, condition: greater than 0 over 5 minutes",
        ),
    ],
)
def test_an_old_log_alert_counts_rows_or_compares_an_aggregate(
    state: str, change: dict[str, Any], sentence: str
) -> None:
    context = {
        "SearchQuery": "q",
        "ResultCount": 4,
        "Threshold": 0,
        "Operator": "Greater Than",
        "SearchIntervalDurationMin": "5",
        "AlertType": "Number of results",
        **change,
    }
    assert read(common(context, monitoringService="Log Analytics", monitorCondition=state)).condition == sentence


def test_a_classic_condition_has_its_unit() -> None:
    assert read(fixture("classic/metric-activated")).condition == (
        "Average Memory available 1032190976 Bytes is less than 2000000000 Bytes over 5 minutes"
    )


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("12.7m", "0.0127"),
        ("1.5k", "1500"),
        ("2G", "2000000000"),
        ("3", ""),
        ("NaN", ""),
        ("m", ""),
        ("", ""),
        ("5x", ""),
    ],
)
def test_a_prometheus_suffix_is_explained(value: str, number: str) -> None:
    assert plain_number(value) == number


def test_the_title_of_a_resource_alert_is_rule_and_resource() -> None:
    assert read(common()).title == "cpu-high on vm-shop-web-01"
    assert read(common(alertTargetIDs=None)).title == "cpu-high"
    assert read(common(alertTargetIDs=[f"/subscriptions/{SUB}"])).title == "cpu-high"
    assert read(common(alertRule=None)).title == "Azure metric alert on vm-shop-web-01"


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (
            event("ServiceHealth", None, title="Storage &amp; <b>more</b>", stage="Active"),
            "Storage & more on vm-shop-web-01",
        ),
        (fixture("common/service-health-rca-updated"), "RCA - Storage & portal blades"),
        (event("Resource Health", None, title="Rebooted by user"), "Rebooted by user on vm-shop-web-01"),
        (event("Activity Log - Recommendation", None, recommendationName="Right-size"), "Right-size on vm-shop-web-01"),
        (event("Activity Log - Administrative"), "cpu-high on vm-shop-web-01"),
        (fixture("common/budget-actual-fired"), "Budget shop-monthly has passed its threshold of $10,000.00"),
        (
            fixture("common/smart-detector-fired"),
            "A degradation in the dependency duration over the last 24 hours on appi-shop",
        ),
        (fixture("noncommon/activity-security"), "Failed SSH brute force attack on LinuxVM1"),
        (
            activity_log({"eventDataId": "e", "operationName": "Microsoft.Web/sites/stop/action", "status": "Failed"}),
            "Microsoft.Web/sites/stop/action (Failed)",
        ),
        (activity_log({"eventDataId": "e"}), "Activity log alert"),
        (common(alertRule="two\nlines\tand  blanks"), "two lines and blanks on vm-shop-web-01"),
    ],
)
def test_an_event_has_its_own_title_in_one_line(body: Any, title: str) -> None:
    assert read(body).title == title


def test_the_description_is_the_rules_text_and_the_condition() -> None:
    signal = read(common(metric(CPU), description="Call the shop.\r\nTwice."))
    assert signal.description == f"Call the shop.\nTwice.\n\n{signal.condition}"


def test_a_rule_without_text_has_the_condition_alone() -> None:
    for nothing in (None, "", " "):
        signal = read(common(metric(CPU), description=nothing))
        assert signal.description == signal.condition


@pytest.mark.parametrize(
    ("rule", "rule_id", "name"),
    [
        ("cpu high", None, "cpu high"),
        (" ", f"/subscriptions/{SUB}/x/CPU%20high", "CPU high"),
        (None, f"/subscriptions/{SUB}/x/CPU%20high/", "CPU high"),
        (f"/subscriptions/{SUB}/providers/microsoft.insights/metricAlerts/CPU", None, "CPU"),
        ("group/rule 80%", None, "group/rule 80%"),
        ("正常性アラート", None, "正常性アラート"),
    ],
)
def test_a_rule_is_called_by_its_name(rule: str | None, rule_id: str | None, name: str) -> None:
    assert read(common(alertRule=rule, alertRuleID=rule_id)).rule == name


def test_an_alert_that_names_no_rule_has_none() -> None:
    signal = read(common(alertRule="null"))
    assert signal.rule is None
    assert signal.rule_id is None


@pytest.mark.parametrize(
    "body",
    [
        event("ServiceHealth", None, IsSynthetic="True", stage="Active"),
        event("ServiceHealth", None, isSynthetic=True, stage="Active"),
        common(
            alertId="/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.AlertsManagement/alerts/a"
        ),
        common(alertRule="test-metricAlertRule"),
        common(alertRule="test-logAlertRule-v1-numResults"),
        common(alertId=f"/subscriptions/{SUB}/providers/Microsoft.CostManagement/alerts/Test_Alert"),
        metric_alert(name="test-metricAlertRule"),
        {"schemaId": "AIP Budget Notification", "data": {"BudgetName": "test-budgetName"}},
    ],
)
def test_azures_own_tests_are_recognised(body: Any) -> None:
    assert read(body).details["is_test"] == "true"


@pytest.mark.parametrize(
    "body",
    [
        common(alertRule="test-cpu"),
        common(alertRule="latest-metricAlertRule"),
        event("ServiceHealth", None, IsSynthetic="False", stage="Active"),
    ],
)
def test_a_rule_somebody_called_a_test_is_none_of_azures(body: Any) -> None:
    assert "is_test" not in read(body).details


def test_details_tell_what_templates_need() -> None:
    fields = {
        "operationName": "Microsoft.Web/sites/write",
        "status": "Failed",
        "subStatus": "Conflict",
        "caller": "operator@contoso.example",
        "Activity Log Event Description": "Somebody changed the site.",
    }
    signal = read(event("Activity Log - Administrative", fields, message="It is locked."))
    assert signal.details["sub_status"] == "Conflict"
    assert signal.details["event_description"] == "Somebody changed the site."
    assert signal.details["caller"] == "operator@contoso.example"
    assert signal.description.startswith("Somebody changed the site.\n\nIt is locked.")


def test_a_backup_alert_says_causes_and_advice() -> None:
    body = fixture("common/backup-failure-fired")
    body["data"]["alertContext"]["extendedInfo"]["possibleCauses"] = "Network&nbsp;is down.<br/>Or DNS."
    signal = read(body)
    assert signal.details["possible_causes"] == "Network is down.\nOr DNS."
    assert "Possible causes: Network is down.\nOr DNS." in signal.description


@pytest.mark.parametrize("nothing", ["null", "None", "N/A", "<null>", "", None])
def test_words_for_nothing_are_nothing(nothing: str | None) -> None:
    criterion = {**CPU, "webTestName": nothing, "metricNamespace": nothing}
    signal = read(common(metric(criterion), originAlertId=nothing, region=nothing))
    assert not {"web_test", "metric_namespace", "origin_alert_id", "region"} & signal.details.keys()


def test_the_same_words_in_free_text_stay() -> None:
    assert read(common(description="N/A")).description == "N/A"
