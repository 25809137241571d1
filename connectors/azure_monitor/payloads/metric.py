"""Metric alerts: criteria in ``condition.allOf``, in the common and in the non-common schema.

Sources: Microsoft Learn, "Common alert schema", platform metric alert contexts; "Non-common alert schema
definitions", metric alerts. Condition types met are SingleResourceMultipleMetricCriteria,
MultipleResourceMultipleMetricCriteria, DynamicThresholdCriteria and WebtestLocationAvailabilityCriteria; others render
by the same fields.
"""

from __future__ import annotations

from typing import Any

from connectors.azure_monitor.payloads.condition import (
    Criterion,
    join,
    periods_of,
    sentence,
    shown,
    subject_of,
    window_words,
)
from connectors.azure_monitor.payloads.essentials import Essentials
from shared.payloads.builder import MOST_ENTRIES, SignalBuilder
from shared.payloads.text import Fields, anything, array_of, fold, given, line, object_of, squash
from shared.payloads.times import span

#: A rule has at most five criteria (Azure Monitor service limits); more than this is no rule of theirs.
_MOST_CRITERIA = 10
_MOST_DIMENSIONS = MOST_ENTRIES

#: Details of the first criterion, and where each stands.
_FACTS = (
    ("metric_name", "metricname"),
    ("metric_namespace", "metricnamespace"),
    ("metric_value", "metricvalue"),
    ("operator", "operator"),
    ("threshold", "threshold"),
    ("time_aggregation", "timeaggregation"),
    ("web_test", "webtestname"),
    ("sensitivity", "alertsensitivity"),
)


def read_metric(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a metric alert says. ``context`` is the folded alertContext, or ``context`` of the older schema."""
    builder.detail("condition_type", context.get("conditiontype"))
    dynamic = "dynamic" in squash(context.get("conditiontype"))
    _read_criteria(builder, object_of(context.get("condition")), dynamic)
    builder.resources.add_all(essentials.targets)
    for name, value in builder.pairs:
        if name.lower() == "microsoft.resourceid":
            builder.resources.add(value)
    if builder.resources.vague:
        # a metric of a workspace says in a dimension which of its machines is meant
        for name, value in builder.pairs:
            if name.lower() == "computer":
                builder.resources.add(value)
    if not essentials.targets:
        builder.resources.add_all(essentials.items)


def _read_criteria(builder: SignalBuilder, condition: Fields, dynamic: bool) -> None:
    """Read window and criteria into condition, dimensions and details."""
    window = window_words(condition.get("windowsize"))
    static_periods = periods_of(object_of(condition.get("staticthresholdfailingperiods")))
    sentences = []
    for item in array_of(condition.get("allof"))[:_MOST_CRITERIA]:
        criterion = fold(item)
        if criterion:
            read_dimensions(builder, criterion.get("dimensions"))
            sentences.append(_say(builder, criterion, window, static_periods, dynamic))
    builder.condition = join(sentences)
    if window:
        builder.details.setdefault("window", window)
    builder.time_detail("window_start", condition.get("windowstarttime"))
    builder.time_detail("window_end", condition.get("windowendtime"))


def read_dimensions(builder: SignalBuilder, value: Any) -> None:
    """Add dimensions from a list of ``{name, value}`` or from an object; those without a value are left out."""
    if isinstance(value, dict):
        value = [{"name": name, "value": found} for name, found in value.items()]
    for item in array_of(value)[:_MOST_DIMENSIONS]:
        entry = fold(item)
        name, found = line(given(entry.get("name"))), anything(entry.get("value"))
        if name and found:
            builder.dimension(name, found)


def _say(builder: SignalBuilder, criterion: Fields, window: str, static_periods: str, dynamic: bool) -> str:
    facts = {}
    for name, field in _FACTS:
        if found := given(criterion.get(field)):
            facts[name] = found
    metric, aggregation = facts.get("metric_name", ""), facts.get("time_aggregation", "")
    sensitivity = facts.get("sensitivity", "")
    periods = periods_of(object_of(criterion.get("failingperiods"))) or static_periods
    value, threshold = shown(criterion.get("metricvalue")), shown(criterion.get("threshold"))
    if not window and span(aggregation) is not None:
        window = window_words(aggregation)  # an early form wrote the window where the aggregation belongs
    if periods:
        facts["failing_periods"] = periods
    if "metric_name" not in builder.details:
        builder.details.update(facts)
    if not (metric or value or threshold):
        return ""
    return sentence(
        Criterion(
            subject=subject_of(aggregation, line(metric) or "metric"),
            value=value,
            operator=facts.get("operator", ""),
            threshold=threshold,
            window=window,
            periods=periods,
            dynamic=dynamic or bool(sensitivity),
            sensitivity=sensitivity,
        ),
        builder.state,
    )
