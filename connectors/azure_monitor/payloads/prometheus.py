"""Alerts of Prometheus rule groups (Azure Monitor managed service for Prometheus).

Source: Microsoft Learn, "Common alert schema", Prometheus alert context. The target is the Azure Monitor workspace;
the cluster is named by labels.
"""

from __future__ import annotations

from itertools import islice

from connectors.azure_monitor.payloads.condition import window_words
from connectors.azure_monitor.payloads.essentials import Essentials
from shared.core.signal import SignalState
from shared.payloads.builder import MOST_ENTRIES, SignalBuilder, label
from shared.payloads.text import Fields, anything, cut, fold, given, line, number, object_of, raw_object, text

#: SI prefixes that Prometheus appends to values of its templates.
_PREFIXES = {
    "y": 1e-24, "z": 1e-21, "a": 1e-18, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "m": 1e-3,
    "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "Z": 1e21, "Y": 1e24,
}  # fmt: skip

_EXPRESSION = 500


def read_prometheus(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a Prometheus alert says. ``context`` is the folded alertContext."""
    labels = raw_object(context.get("labels"))
    for name, value in islice(labels.items(), MOST_ENTRIES):
        if words := anything(value):
            builder.tags[label(name)] = words
            builder.pairs.append((name, words))
    annotations = object_of(context.get("annotations"))
    builder.prose += [text(annotations.get("summary")), text(annotations.get("description"))]
    builder.detail("summary", annotations.get("summary"))
    builder.detail("runbook_url", annotations.get("runbook_url"))
    builder.detail("expression", context.get("expression"))
    builder.detail("value", context.get("expressionvalue"))
    builder.detail("interval", window_words(context.get("interval"), unit=1))
    builder.detail("for", window_words(context.get("for"), unit=1))
    builder.detail("rule_group", context.get("rulegroup"))
    builder.condition = _say(builder)
    folded = fold(labels)
    builder.resources.add(folded.get("microsoft.resourceid"))
    builder.resources.add(folded.get("cluster"))
    builder.resources.add_all(essentials.items)
    builder.resources.add_all(essentials.targets)
    if not builder.rule:
        builder.rule = given(folded.get("alertname"))


def plain_number(value: str) -> str:
    """The number behind an SI prefix: ``12.7m`` is ``0.0127``; ``""`` when there is no prefix."""
    factor = _PREFIXES.get(value[-1:])
    digits = number(value[:-1]) if factor else None
    return f"{digits * factor:.10g}" if digits is not None and factor else ""


def _say(builder: SignalBuilder) -> str:
    details = builder.details
    expression = cut(line(details.get("expression", "")), _EXPRESSION)
    value = details.get("value", "")
    if scaled := plain_number(value):
        value = f"{value} ({scaled})"
    if not (expression or value):
        return ""
    said = f"Expression {expression}" if expression else "Expression"
    if value:
        said += f" has the value {value}" if builder.state is SignalState.FIRED else f", value {value}"
    if "for" in details:
        said += f", for {details['for']}" if builder.state is SignalState.FIRED else f", watched for {details['for']}"
    return said
