"""The schemas before the common one: metric and Activity Log alerts, classic metric alerts, autoscale notifications.

Sources: Microsoft Learn, "Non-common alert schema definitions", "Configure a webhook to get activity log alerts", "Call
a webhook with a classic metric alert", "Use autoscale to send email and webhook alert notifications".

None has an id of the occurrence:

* A metric alert (``AzureMonitorMetricAlert``) is known by its rule, its resource and its dimensions.
* An Activity Log alert is known by its event.
* A classic metric alert (retired; copies and relays still send them) is known by its rule and its resource. It has one
  condition instead of a list, every number as text, the window in minutes. ``Resolved`` ends what ``Activated`` began.
* An autoscale notification is no alert, but is sent to the same endpoints. All events of one autoscale setting on one
  resource share a key, so that a scale-in is a note on the ticket of the scale-out.

``timestamp`` is the time of the message, so with Deactivated or Resolved it is the end of the alert.
"""

from __future__ import annotations

from datetime import datetime

from connectors.azure_monitor.payloads.activity import read_activity
from connectors.azure_monitor.payloads.common import (
    Essentials,
    alert_builder,
    event_family,
    identify_test,
    is_test,
    rule_name,
    severity,
    state_of,
)
from connectors.azure_monitor.payloads.health import read_resource_health, read_service_health
from connectors.azure_monitor.payloads.metric import Criterion, read_metric, sentence, shown, subject_of, window_words
from connectors.microsoft.azure_resources import canonical
from shared.core.payload_schema import Fields
from shared.core.signal import Signal, SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, make_key, series
from shared.payloads.values import given, line, moment, object_of, text


def read_metric_alert(body: Fields, received_at: datetime) -> Signal:
    """Read a metric alert of the non-common schema. Raises Unidentified when it names no rule."""
    data = object_of(body.get("data")) or body
    context = object_of(data.get("context"))
    essentials = _metric_essentials(context)
    if not (essentials.rule or essentials.rule_id):
        raise Unidentified("it names no rule (context.id, context.name)")
    builder = alert_builder("metric", received_at)
    builder.rule, builder.rule_id = essentials.rule, essentials.rule_id
    set_state(builder, data.get("status"), context.get("timestamp"))
    builder.severity = severity(context.get("severity"))
    read_metric(builder, essentials, context)
    builder.prose.append(essentials.description)
    builder.properties(data.get("properties"))
    builder.link("portal", context.get("portallink"))
    builder.test = is_test(essentials)
    target = canonical(essentials.targets[0]) if essentials.targets else ""
    builder.key = make_key("metric", canonical(essentials.rule_id) or essentials.rule, target, series(builder.pairs))
    return builder.finish()


def read_activity_alert(body: Fields, received_at: datetime) -> Signal:
    """Read an Activity Log alert of the non-common schema. Raises Unidentified when nothing names its event."""
    data = object_of(body.get("data")) or body
    event = object_of(object_of(data.get("context")).get("activitylog"))
    resource = given(event.get("resourceid"))
    essentials = Essentials(
        description=text(event.get("description")),
        targets=[resource] if resource else [],
        monitor_condition=given(data.get("status")),
    )
    family = event_family(event)
    builder = alert_builder(family, received_at)
    builder.test = is_test(essentials)
    if family == "service_health":
        read_service_health(builder, essentials, event)
    elif family == "resource_health":
        read_resource_health(builder, essentials, event)
    else:
        builder.state = state_of(builder, essentials.monitor_condition, "status")
        read_activity(builder, essentials, event)
    builder.prose.append(essentials.description)
    builder.properties(data.get("properties"))
    builder.link("portal", builder.details.get("recommendation_link"))
    if builder.state is SignalState.RESOLVED:
        builder.resolved_at = builder.event_at
    elif builder.state is SignalState.FIRED:
        builder.fired_at = builder.event_at
    if is_test(essentials):
        identify_test(builder, essentials)
    elif not builder.key:
        builder.key = _event_key(builder, event, resource)
    if not builder.heading:
        builder.heading = _event_title(builder)
    if builder.resources.vague and (subscription := given(event.get("subscriptionid"))):
        builder.resources.add(f"/subscriptions/{subscription}")
    return builder.finish()


def set_state(builder: SignalBuilder, status: object, timestamp: object) -> None:
    """State and its time from a status of Activated, or of Deactivated or Resolved."""
    builder.state = state_of(builder, given(status), "status")
    if builder.state is SignalState.RESOLVED:
        builder.resolved_at = moment(timestamp)
    else:
        builder.fired_at = moment(timestamp)


def _metric_essentials(context: Fields) -> Essentials:
    rule_id = given(context.get("id"))
    target = given(context.get("resourceid")) or given(context.get("resourcename"))
    return Essentials(
        rule=given(context.get("name")) or rule_name(rule_id),
        rule_id=rule_id,
        description=text(context.get("description")),
        targets=[target] if target else [],
    )


def _event_key(builder: SignalBuilder, event: Fields, resource: str) -> str:
    """Every event but a recommendation is one of a kind."""
    details = builder.details
    if "event_id" in details:
        return make_key("activity", details["event_id"])
    operation = details.get("operation", "")
    occurrence = given(event.get("operationid")) or details.get("correlation_id", "")
    if not (operation or occurrence):
        raise Unidentified("it names neither its event (eventDataId) nor its operation")
    return make_key("operation", canonical(resource), operation, occurrence, details.get("status", ""))


def _event_title(builder: SignalBuilder) -> str:
    """There is no rule to name: the first sentence of what happened, else operation and status."""
    for words in builder.prose:
        if words:
            return words.split("\n")[0].split(". ")[0].rstrip(".")
    return builder.condition or "Activity log alert"


def read_classic(body: Fields, received_at: datetime) -> Signal:
    """Read a classic metric alert. Raises Unidentified when it names no rule."""
    context = object_of(body.get("context"))
    rule_id = given(context.get("id"))
    rule = given(context.get("name")) or rule_name(rule_id)
    if not rule:
        raise Unidentified("it names no rule (context.id, context.name)")
    builder = alert_builder("metric", received_at)
    builder.rule, builder.rule_id = rule, rule_id
    set_state(builder, body.get("status"), context.get("timestamp"))
    builder.severity = severity(context.get("severity"))
    builder.detail("condition_type", context.get("conditiontype"))
    builder.detail("region", context.get("resourceregion"))
    _read_condition(builder, object_of(context.get("condition")))
    resource = given(context.get("resourceid")) or given(context.get("resourcename"))
    builder.resources.add(resource)
    builder.prose.append(text(context.get("description")))
    builder.properties(body.get("properties"))
    builder.link("portal", context.get("portallink"))
    builder.key = make_key("classic", canonical(rule_id) or rule, canonical(resource))
    return builder.finish()


def _read_condition(builder: SignalBuilder, condition: Fields) -> None:
    metric = line(given(condition.get("metricname")))
    window = window_words(condition.get("windowsize"))
    aggregation, operator = given(condition.get("timeaggregation")), given(condition.get("operator"))
    unit = given(condition.get("metricunit"))
    builder.detail("metric_name", metric)
    builder.detail("unit", unit)
    builder.detail("metric_value", condition.get("metricvalue"))
    builder.detail("operator", operator)
    builder.detail("threshold", condition.get("threshold"))
    builder.detail("time_aggregation", aggregation)
    builder.detail("window", window)
    value, threshold = shown(condition.get("metricvalue")), shown(condition.get("threshold"))
    if metric or value or threshold:
        builder.condition = sentence(
            Criterion(
                subject=subject_of(aggregation, metric or "metric"),
                value=value,
                operator=operator,
                threshold=threshold,
                unit=unit,
                window=window,
            ),
            builder.state,
        )


def read_autoscale(body: Fields, received_at: datetime) -> Signal:
    """Read an autoscale notification. Raises Unidentified when it names neither setting nor resource."""
    context = object_of(body.get("context"))
    setting = given(context.get("id"))
    resource = given(context.get("resourceid")) or given(context.get("resourcename"))
    name = given(context.get("name")) or rule_name(setting)
    if not (name or resource):
        raise Unidentified("it names neither its setting nor a resource")
    builder = alert_builder("autoscale", received_at)
    builder.rule, builder.rule_id = name, setting
    set_state(builder, body.get("status"), context.get("timestamp"))
    operation = line(given(body.get("operation")))
    old, new = given(context.get("oldcapacity")), given(context.get("newcapacity"))
    builder.detail("operation", operation)
    builder.detail("status", body.get("status"))
    builder.detail("old_instances", old)
    builder.detail("new_instances", new)
    builder.detail("region", context.get("resourceregion"))
    change = f" from {old} to {new} instances" if old and new else ""
    builder.condition = f"{operation or 'Scaling'}{change}"
    builder.heading = f"{operation or 'Autoscale'} by {name}" if name else operation or "Autoscale"
    builder.prose.append(text(context.get("details")))
    builder.resources.add(resource)
    builder.properties(body.get("properties"))
    builder.link("portal", context.get("portallink"))
    builder.key = make_key("autoscale", canonical(setting) or name, canonical(resource))
    return builder.finish()
