"""Identity: one key for every message about one thing, and different keys for different things."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.azure_monitor.payloads.managed import read_managed
from shared.core.signal import Signal
from shared.payloads.keys import Unidentified, make_key, series
from tests.payloads.support import (
    ALERT_ID,
    GUID,
    RECEIVED,
    RULE_ID,
    SUB,
    VM,
    WORKSPACE,
    activity_log,
    common,
    event,
    fixture,
    log,
    metric,
    metric_alert,
    names,
    parse,
    read,
    refuse,
)

CPU = {"metricName": "Percentage CPU", "operator": "GreaterThan", "threshold": "85", "metricValue": 97}
AB = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]


def swap_case(value: Any) -> Any:
    """A payload with the case of every ARM id and of every key exchanged."""
    if isinstance(value, dict):
        return {name.swapcase(): swap_case(found) for name, found in value.items()}
    if isinstance(value, list):
        return [swap_case(item) for item in value]
    return value.swapcase() if isinstance(value, str) and "/subscriptions/" in value else value


def backwards(value: Any) -> Any:
    """A payload with the keys of every object in opposite order."""
    if isinstance(value, dict):
        return {name: backwards(value[name]) for name in reversed(value)}
    return [backwards(item) for item in value] if isinstance(value, list) else value


def keys(body: Any) -> list[str]:
    return [item.key for item in parse(body, RECEIVED) if isinstance(item, Signal)]


@pytest.mark.parametrize("name", names())
def test_neither_case_nor_order_of_keys_changes_a_key(name: str) -> None:
    body = fixture(name)
    assert keys(backwards(body)) == keys(body)
    if not name.startswith("wrapped/runbook"):  # text inside text keeps its case
        assert keys(swap_case(body)) == keys(body)


@pytest.mark.parametrize("name", names())
def test_keys_are_lower_case_and_have_type_version_and_payload(name: str) -> None:
    for key in keys(fixture(name)):
        kind, version, payload = key.split(":", 2)
        assert kind
        assert version == "1"
        assert payload == payload.strip().lower() != ""


def test_fired_and_resolved_of_an_alert_share_the_last_segment_of_its_id() -> None:
    assert read(fixture("common/metric-static-fired")).key == read(fixture("common/metric-static-resolved")).key
    assert read(common()).key == f"alert:1:{GUID}"


def test_an_alert_seen_under_its_resource_has_the_same_key() -> None:
    nested = f"{VM}/providers/microsoft.alertsmanagement/ALERTS/{GUID.upper()}"
    assert read(common(alertId=nested)).key == f"alert:1:{GUID}"


def test_the_management_api_and_the_webhook_agree_on_an_alert() -> None:
    form = {"id": ALERT_ID, "properties": {"essentials": {"monitorCondition": "Fired", "severity": "Sev2"}}}
    assert read(form).key == read(common()).key


@pytest.mark.parametrize("alert_id", ["alert-7", "/subscriptions/s/providers/Microsoft.CostManagement/alerts/Budget"])
def test_an_id_of_another_provider_counts_as_a_whole(alert_id: str) -> None:
    assert read(common(alertId=alert_id)).key == f"alert:1:{alert_id.lower()}"


def test_an_alert_id_that_names_the_rule_is_told_apart_by_the_event() -> None:
    rule = f"/subscriptions/{SUB}/resourceGroups/rg/providers/microsoft.insights/activityLogAlerts/Watch"
    first = event("Activity Log - Administrative", {"eventDataId": "E-1"})
    second = event("Activity Log - Administrative", {"eventDataId": "E-2"})
    for body in (first, second):
        body["data"]["essentials"]["alertId"] = rule
    assert read(first).key == f"alert:1:{rule.lower()}|e-1"
    assert read(second).key == f"alert:1:{rule.lower()}|e-2"


def test_without_alert_id_rule_target_and_sorted_dimensions_identify() -> None:
    def body(dimensions: list[dict[str, str]], **more: Any) -> dict[str, Any]:
        return common(metric({**CPU, "dimensions": dimensions}), alertId=None, alertRuleID=RULE_ID, **more)

    one = read(body(AB)).key
    assert one == f"rule:1:{RULE_ID.lower()}|{VM.lower()}|a=1,b=2"
    assert read(body(AB[::-1], monitorCondition="Resolved")).key == one
    assert read(body(AB[:1])).key != one
    assert read(body(AB, alertTargetIDs=[VM + "-2"])).key != one


def test_without_alert_id_the_order_of_targets_does_not_matter() -> None:
    one = read(common(alertId=None, alertTargetIDs=[VM, WORKSPACE])).key
    assert read(common(alertId=None, alertTargetIDs=[WORKSPACE, VM])).key == one


def test_targets_with_commas_are_not_mistaken_for_two() -> None:
    keys = {read(common(alertId=None, alertTargetIDs=targets)).key for targets in (["a,b"], ["a", "b"], ["a\\", "b"])}
    assert len(keys) == 3


@pytest.mark.parametrize("alert_id", [f"{ALERT_ID}/history/x", f"/x{ALERT_ID.lstrip('/').replace('/prov', 'prov')}"])
def test_an_id_that_is_only_similar_to_an_alerts_counts_as_a_whole(alert_id: str) -> None:
    assert read(common(alertId=alert_id)).key == f"alert:1:{alert_id.lower()}"


def test_both_spellings_of_the_rule_id_are_one() -> None:
    bodies = [common(alertId=None, **{name: RULE_ID}) for name in ("alertRuleID", "alertRuleId", "alertruleid")]
    assert len({read(body).key for body in bodies}) == 1
    assert {read(body).rule_id for body in bodies} == {RULE_ID}


def test_a_rule_alone_is_enough_for_an_alert_not_to_be_lost() -> None:
    assert read(common(alertId=None, alertTargetIDs=None, firedDateTime=None)).key == "rule:1:cpu-high"


@pytest.mark.parametrize("nothing", [None, "", " ", "null", "None", "N/A", "<null>"])
def test_an_alert_that_names_neither_itself_nor_its_rule_is_quarantined(nothing: str | None) -> None:
    reason = refuse(common(alertId=nothing, alertRule=nothing))
    assert "names neither itself (alertId) nor its rule" in reason


def test_service_health_is_one_issue_per_subscription_in_both_schemas() -> None:
    properties = {"stage": "Active", "trackingId": "8V_4-FC0"}
    body = event("ServiceHealth", None, **properties)
    body["data"]["essentials"]["alertTargetIDs"] = [f"/subscriptions/{SUB.upper()}"]
    assert read(body).key == f"service_health:1:{SUB}/8v_4-fc0"
    assert read(activity_log({"eventSource": "ServiceHealth"}, **properties)).key == f"service_health:1:{SUB}/8v_4-fc0"
    body["data"]["essentials"]["alertTargetIDs"] = ["/subscriptions/other"]
    assert read(body).key == "service_health:1:other/8v_4-fc0"


def test_a_service_health_issue_without_subscription_is_one_for_the_tenant() -> None:
    properties = {"stage": "Active", "trackingId": "8V_4-FC0"}
    assert (
        read(activity_log({"eventSource": "ServiceHealth", "subscriptionId": None}, **properties)).key
        == "service_health:1:8v_4-fc0"
    )


def test_a_service_health_event_without_tracking_id_falls_back_to_its_alert() -> None:
    assert read(event("ServiceHealth", None, stage="Active")).key == f"alert:1:{GUID}"


def test_resource_health_is_one_per_resource_in_both_schemas() -> None:
    wanted = f"resource_health:1:{VM.lower()}"
    assert read(event("Resource Health", None, currentHealthStatus="Unavailable")).key == wanted
    assert read(activity_log({"eventSource": "ResourceHealth", "resourceId": VM})).key == wanted


def test_resource_health_scoped_to_a_group_still_tells_two_machines_apart() -> None:
    group = VM.split("/providers/")[0]
    bodies = [event("Resource Health") for _ in range(2)]
    for number, body in enumerate(bodies):
        body["data"]["essentials"].update(alertTargetIDs=[group], configurationItems=[f"vm-{number}"])
    assert len({read(body).key for body in bodies}) == 2


def test_an_administrative_event_of_the_older_schema_is_its_event_id() -> None:
    one = activity_log({"eventSource": "Administrative", "eventDataId": "ABC", "resourceId": VM})
    assert read(one).key == "activity:1:abc"


def test_advisor_repeats_itself_under_one_key_in_the_older_schema() -> None:
    again = fixture("noncommon/activity-recommendation")
    again["data"]["context"]["activityLog"]["eventDataId"] = "another"
    assert read(again).key == read(fixture("noncommon/activity-recommendation")).key


def test_advisor_repeats_itself_under_one_key_in_both_schemas() -> None:
    event_fields = {"eventSource": "Recommendation", "resourceId": None}
    body = event("Activity Log - Recommendation", event_fields, recommendationType="t-1")
    older = activity_log({"eventSource": "Recommendation", "resourceId": VM}, recommendationType="T-1")
    assert read(body).key == read(older).key == f"recommendation:1:{VM.lower()}|t-1"
    body["data"]["essentials"]["alertTargetIDs"] = [VM + "-2"]
    assert read(body).key != read(older).key


def test_a_recommendation_that_names_no_kind_or_no_resource_falls_back_to_its_alert() -> None:
    body = event("Activity Log - Recommendation", {"eventSource": "Recommendation"})
    assert read(body).key == f"alert:1:{GUID}"
    body = event("Activity Log - Recommendation", {"eventSource": "Recommendation"}, recommendationType="t-1")
    body["data"]["essentials"]["alertTargetIDs"] = None
    assert read(body).key == f"alert:1:{GUID}"


def test_a_security_event_is_its_event_id_in_both_schemas() -> None:
    fields = {"eventSource": "Security", "eventDataId": "E-9"}
    assert read(event("Activity Log - Security", fields)).key == read(activity_log(fields)).key == "activity:1:e-9"
    body = event("Activity Log - Security", {"eventSource": "Security", "eventDataId": None})
    assert read(body).key == f"alert:1:{GUID}"


def prometheus(**context: Any) -> dict[str, Any]:
    labels = {"alertname": "Down", "pod": "p-1"}
    found = {"labels": labels, "ruleGroup": RULE_ID, "expressionValue": "1", "annotations": {}, **context}
    return common(found, monitoringService="Prometheus", alertRule="shop/Down")


def test_a_prometheus_alert_is_its_rule_and_labels_whatever_its_alert_id() -> None:
    key = f"prometheus:1:{RULE_ID.lower()}||alertname=down,pod=p-1"
    assert read(prometheus()).key == key
    body = prometheus(labels={"pod": "P-1", "alertname": "Down"}, expressionValue="2")
    body["data"]["essentials"].update(alertId=f"{ALERT_ID}-2", monitorCondition="Resolved", alertRule="")
    assert read(body).key == key
    assert read(prometheus(labels={"alertname": "Down", "pod": "p-2"})).key != key
    assert read(prometheus(ruleGroup=RULE_ID + "-2")).key != key


def test_prometheus_rules_without_group_or_name_in_the_labels_are_told_apart() -> None:
    for missing in ({"ruleGroup": None}, {"labels": {"pod": "p-1"}}):
        one, other = prometheus(**missing), prometheus(**missing)
        other["data"]["essentials"]["alertRule"] = "shop/Slow"
        assert read(one).key != read(other).key
    assert read(prometheus(labels=None)).key == f"alert:1:{GUID}"


@pytest.mark.parametrize(
    ("service", "context", "complete"),
    [
        ("Platform", None, True),
        ("ActivityLog Administrative", None, True),
        ("Prometheus", None, False),
        ("Prometheus", {"ruleGroup": "g", "labels": {"alertname": "Down"}}, True),
        ("Prometheus", {"ruleGroup": "g", "expression": "up"}, False),
        ("ActivityLog Recommendation", None, False),
        ("ActivityLog Security", None, False),
    ],
)
def test_a_listed_alert_whose_key_is_in_its_context_is_complete_with_that_only(
    service: str, context: Any, complete: bool
) -> None:
    essentials = {"monitorService": service, "monitorCondition": "Fired", "startDateTime": "2024-03-05T08:15:18Z"}
    item = {"id": ALERT_ID, "properties": {"essentials": essentials, "context": context}}
    assert read_managed(item, RECEIVED).complete is complete


def test_samples_of_the_portal_share_an_alert_id_and_no_key() -> None:
    sample = "/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.AlertsManagement/alerts/"
    shared = {"alertId": f"{sample}12345678-1234-1234-1234-1234567890ab"}
    health = event("Resource Health", None, currentHealthStatus="Unavailable")
    service = event("ServiceHealth", None, stage="Active", trackingId="ABC1-DEF", IsSynthetic="True")
    older = activity_log({"resourceId": f"{sample}x", "eventDataId": "e-1", "operationName": "op"})
    bodies = [common(alertRule=f"test-{name}AlertRule", **shared) for name in ("metric", "log", "smart")]
    for body in (health, service):
        body["data"]["essentials"].update(shared, alertRule="test-healthAlertRule")
    bodies += [health, service, older, fixture("common/budget-actual-fired")]
    assert len({read(body).key for body in bodies}) == len(bodies)
    assert all(read(body).key.startswith("test:1:") and read(body).origin == "" for body in bodies[:-1])
    bodies[0]["data"]["essentials"]["firedDateTime"] = "2024-03-05T09:15:18.689Z"
    assert read(bodies[0]).key != read(common(alertRule="test-metricAlertRule", **shared)).key


def test_a_drill_of_service_health_keeps_its_tracking_id() -> None:
    drill = event("ServiceHealth", None, stage="Active", trackingId="ABC1-DEF", IsSynthetic="True")
    assert read(drill).key == f"service_health:1:{SUB}/abc1-def"


def test_an_activity_alert_that_names_nothing_is_quarantined() -> None:
    assert "neither its event" in refuse(activity_log({"eventSource": "Administrative"}))


def test_a_metric_alert_of_the_older_schema_is_rule_resource_and_dimensions() -> None:
    def body(status: str, dimensions: list[dict[str, str]], **more: Any) -> dict[str, Any]:
        condition = {"allOf": [{"metricName": "m", "dimensions": dimensions}]}
        return metric_alert(status, condition=condition, **more)

    key = read(body("Activated", AB)).key
    assert key == f"metric:1:{RULE_ID.lower()}|{VM.lower()}|a=1,b=2"
    assert read(body("Deactivated", AB[::-1])).key == key
    assert read(body("Activated", AB[:1])).key != key
    assert read(body("Activated", AB, resourceId=None)).key == f"metric:1:{RULE_ID.lower()}||a=1,b=2"


def test_a_metric_alert_without_rule_is_quarantined() -> None:
    assert "names no rule" in refuse(metric_alert(id=None, name=None))


def test_classic_alerts_pair_by_rule_and_resource() -> None:
    fired, resolved = fixture("classic/metric-activated"), fixture("classic/metric-resolved")
    assert read(fired).key == read(resolved).key
    resolved["context"]["resourceId"] += "-2"
    assert read(resolved).key != read(fired).key


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"WorkspaceId": "W", "ApplicationId": "A", "SubscriptionId": "S", "ResourceId": WORKSPACE}, "w"),
        ({"ApplicationId": "A", "SubscriptionId": "S"}, "a"),
        ({"SubscriptionId": "S"}, "s"),
    ],
)
def test_a_flat_log_alert_is_its_rule_in_the_closest_scope_given(fields: dict[str, str], where: str) -> None:
    body = {"AlertRuleName": "Gaps", "SearchQuery": "Heartbeat", **fields}
    assert read(body).key == f"log:1:gaps|{where}"
    assert read({**body, "Dimensions": AB}).key == f"log:1:gaps|{where}|a=1,b=2"
    assert read({"schemaId": "Microsoft.Insights/LogAlert", "data": body}).key == f"log:1:gaps|{where}"


def test_a_flat_log_alert_without_rule_is_quarantined() -> None:
    assert "names no rule" in refuse({"AlertRuleName": "", "SearchQuery": "Heartbeat", "WorkspaceId": "w"})


def budget(received_at: datetime = RECEIVED, fired: str | None = "2024-12-31T23:30:00-02:00", **data: Any) -> str:
    body = fixture("common/budget-actual-fired")
    body["data"]["essentials"]["firedDateTime"] = fired
    body["data"]["alertContext"]["AlertData"].update(data)
    (item,) = parse(body, received_at)
    assert isinstance(item, Signal)
    return item.key


def test_a_budget_is_a_new_problem_each_month_in_utc() -> None:
    assert budget().endswith("|2025-01")
    assert budget(fired="2025-01-31T12:00:00Z") == budget()
    assert budget(fired="2025-02-01T00:00:00Z") != budget()
    assert budget(fired=None).endswith("|2030-01")


def test_thresholds_and_kinds_of_one_budget_are_told_apart() -> None:
    base = budget()
    assert budget(NotificationThresholdAmount="$12,000.00") != base
    assert budget(ThresholdType="Forecasted") != base
    assert budget(BudgetId=f"/subscriptions/{SUB}/providers/Microsoft.Consumption/budgets/other") != base
    assert budget(NotificationThresholdAmount="10000", SpentAmount="$99,999.00") == base


def test_an_aip_budget_takes_the_month_of_receipt_and_its_scope() -> None:
    def key(received_at: datetime, **data: str) -> str:
        body = fixture("noncommon/budget-2023")
        body["data"].update(data)
        (item,) = parse(body, received_at)
        assert isinstance(item, Signal)
        return item.key

    january, february = datetime(2024, 1, 31, 23, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
    assert key(january).endswith("|2024-01")
    assert len({key(january), key(february), key(january, SubscriptionId="s2"), key(january, ResourceGroup="")}) == 4
    assert "names no budget" in refuse({"schemaId": "AIP Budget Notification", "data": {"SubscriptionId": SUB}})


def test_autoscale_events_of_a_setting_share_a_key() -> None:
    out = fixture("classic/autoscale-scale-out")
    assert read({**out, "operation": "Scale In"}).key == read(out).key
    assert "neither its setting" in refuse({"operation": "Scale In", "context": {"oldCapacity": "2"}})


def test_a_backup_alert_without_id_is_its_protected_item() -> None:
    body = fixture("common/backup-failure-fired")
    item = body["data"]["alertContext"]["protectedItemId"]
    del body["data"]["essentials"]["alertId"]
    assert read(body).key == f"backup:1:{item.lower()}|backup failure"


def test_values_texts_and_times_are_no_part_of_a_key() -> None:
    base = read(common(log(searchQuery="a", metricValue=1), alertId=None)).key
    changed = common(
        log(searchQuery="b", metricValue=2), alertId=None, firedDateTime="2025-01-01T00:00:00Z", description="other"
    )
    assert read(changed).key == base


def test_a_very_long_key_stays_bounded_and_distinct() -> None:
    many = [{"name": f"n{number}", "value": "v" * 100} for number in range(100)]
    one = read(metric_alert(condition={"allOf": [{"metricName": "m", "dimensions": many}]})).key
    many[99] = {"name": "n99", "value": "w"}
    other = read(metric_alert(condition={"allOf": [{"metricName": "m", "dimensions": many}]})).key
    assert one != other
    assert len(one) < 512
    assert one.startswith("metric:1:")


@given(st.lists(st.text("ab|\\/,=: ", max_size=5), min_size=2, max_size=3), st.sampled_from("|/"))
@settings(max_examples=300)
def test_different_parts_never_make_the_same_key(parts: list[str], separator: str) -> None:
    low = [" ".join(part.split()) for part in parts]
    if not any(low):
        with pytest.raises(Unidentified):
            make_key("x", *parts, separator=separator)
        return
    key = make_key("x", *parts, separator=separator)
    taken_apart: list[str] = [""]
    escaped = False
    for character in key.split(":", 2)[2]:
        if escaped or character not in ("\\", separator):
            taken_apart[-1] += character
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            taken_apart.append("")
    while not low[-1]:
        low.pop()
    assert taken_apart == low


@given(st.dictionaries(st.text("aB,=|\\", min_size=1, max_size=4), st.text("aB,=|\\", max_size=4), max_size=3))
def test_a_series_depends_on_its_dimensions_only(dimensions: dict[str, str]) -> None:
    pairs = list(dimensions.items())
    assert series(pairs) == series(pairs[::-1]) == series(pairs + pairs)


@given(st.lists(st.tuples(st.text("a,=|\\", min_size=1, max_size=3), st.text("a,=|\\", max_size=3)), max_size=3))
def test_different_series_never_look_the_same(pairs: list[tuple[str, str]]) -> None:
    other = [*pairs, ("b", "c")]
    assert series(other) != series(pairs)
    joined = [(json.dumps(pairs), "")]
    assert series(joined) != series(pairs)
