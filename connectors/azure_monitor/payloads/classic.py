"""Classic metric alerts (retired; copies and relays still send them).

Source: Microsoft Learn, "Call a webhook with a classic metric alert". One condition instead of a list, every number as
text, the window in minutes. ``Resolved`` ends what ``Activated`` began; the key is rule and resource.
"""

from __future__ import annotations

from datetime import datetime

from connectors.azure_monitor.payloads.condition import Criterion, sentence, shown, subject_of, window_words
from connectors.azure_monitor.payloads.essentials import rule_name
from connectors.azure_monitor.payloads.noncommon import set_state
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, make_key
from shared.payloads.resources import canonical
from shared.payloads.severity import severity
from shared.payloads.text import Fields, given, line, object_of, text


def read_classic(body: Fields, received_at: datetime) -> Signal:
    """Read a classic metric alert. Raises Unidentified when it names no rule."""
    context = object_of(body.get("context"))
    rule_id = given(context.get("id"))
    rule = given(context.get("name")) or rule_name(rule_id)
    if not rule:
        raise Unidentified("it names no rule (context.id, context.name)")
    builder = SignalBuilder(kind="metric", received_at=received_at)
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
