"""The schemas before the common one: metric alerts (``AzureMonitorMetricAlert``) and Activity Log alerts.

Source: Microsoft Learn, "Non-common alert schema definitions" and "Configure a webhook to get activity log alerts".
Neither has an id of the occurrence: a metric alert is its rule, its resource and its dimensions; an Activity Log alert
is its event. ``timestamp`` is the time of the message, so on Deactivated it says when the alert ended.
"""

from __future__ import annotations

from datetime import datetime

from connectors.azure_monitor.payloads.activity import read_activity
from connectors.azure_monitor.payloads.essentials import Essentials, is_test, rule_name, state_of
from connectors.azure_monitor.payloads.family import event_family
from connectors.azure_monitor.payloads.metric import read_metric
from connectors.azure_monitor.payloads.resource_health import read_resource_health
from connectors.azure_monitor.payloads.service_health import read_service_health
from shared.core.signal import Signal, SignalState
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, make_key, series
from shared.payloads.resources import canonical
from shared.payloads.severity import severity
from shared.payloads.text import Fields, given, object_of, text
from shared.payloads.times import moment


def read_metric_alert(body: Fields, received_at: datetime) -> Signal:
    """Read a metric alert of the non-common schema. Raises Unidentified when it names no rule."""
    data = object_of(body.get("data")) or body
    context = object_of(data.get("context"))
    essentials = _metric_essentials(context)
    if not (essentials.rule or essentials.rule_id):
        raise Unidentified("it names no rule (context.id, context.name)")
    builder = SignalBuilder(kind="metric", received_at=received_at)
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
    builder = SignalBuilder(kind=family, received_at=received_at)
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
    if not builder.key:
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
    """Advisor repeats a recommendation until it is followed; every other event is one of a kind."""
    details = builder.details
    if resource and "recommendation_type" in details:
        return make_key("recommendation", canonical(resource), details["recommendation_type"])
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
