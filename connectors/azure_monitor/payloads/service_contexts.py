"""Contexts of services that have a form of their own: Prometheus rule groups, smart detection, Azure Backup.

Sources: Microsoft Learn, "Common alert schema", Prometheus alert context (the target is the Azure Monitor workspace;
the cluster is named by labels); "Smart detection in Application Insights", "Smart detection - Failure Anomalies"
(values are words, not numbers; Failure Anomalies names them differently, and spells one name wrongly); "Monitor Azure
Backup using Azure Monitor" and alerts seen in the field (the target is the vault; the machine that is not backed up
stands in ``linkedResourceId``).

Each evaluation of a Prometheus rule can have an alertId of its own, so rule and labels are the identity, as they are in
Prometheus itself.
"""

from __future__ import annotations

from itertools import islice

from connectors.azure_monitor.payloads.common import Essentials
from connectors.azure_monitor.payloads.metric import window_words
from connectors.microsoft.azure_resources import canonical
from shared.core.payload_schema import Fields
from shared.core.signal import SignalState
from shared.payloads.builder import MOST_ENTRIES, SignalBuilder, label
from shared.payloads.keys import make_key, series
from shared.payloads.markup import plain
from shared.payloads.values import anything, cut, fold, given, line, number, object_of, raw_object, text

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
    builder.condition = _expression_sentence(builder)
    folded = fold(labels)
    builder.resources.add(folded.get("microsoft.resourceid"))
    builder.resources.add(folded.get("cluster"))
    builder.resources.add_all(essentials.items)
    builder.resources.add_all(essentials.targets)
    if not builder.rule:
        builder.rule = given(folded.get("alertname"))
    builder.key = _prometheus_key(builder, essentials)


def _prometheus_key(builder: SignalBuilder, essentials: Essentials) -> str:
    """Key of one alert of a rule: the rule's group, the rule where no label names it, and the labels.

    ``""`` where there are no labels: then the alert's own id is the best there is.
    """
    if not builder.pairs:
        return ""
    group, rule = builder.details.get("rule_group", ""), essentials.rule_id or essentials.rule
    if group and any(name.lower() == "alertname" for name, _ in builder.pairs):
        rule = ""
    return make_key("prometheus", canonical(group), canonical(rule), series(builder.pairs))


def plain_number(value: str) -> str:
    """The number behind an SI prefix: ``12.7m`` is ``0.0127``; ``""`` when there is no prefix."""
    factor = _PREFIXES.get(value[-1:])
    digits = number(value[:-1]) if factor else None
    return f"{digits * factor:.10g}" if digits is not None and factor else ""


def _expression_sentence(builder: SignalBuilder) -> str:
    details = builder.details
    expression = cut(line(details.get("expression", "")), _EXPRESSION)
    value = details.get("value", "")
    if scaled := plain_number(value):
        value = f"{value} ({scaled})"
    if not (expression or value):
        return ""
    sentence = f"Expression {expression}" if expression else "Expression"
    if value:
        sentence += f" has the value {value}" if builder.state is SignalState.FIRED else f", value {value}"
    if "for" in details:
        sentence += (
            f", for {details['for']}" if builder.state is SignalState.FIRED else f", watched for {details['for']}"
        )
    return sentence


def read_smart_detection(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a smart detection says. ``context`` is the folded alertContext."""
    builder.heading = line(plain(text(context.get("detectionsummary"))))
    builder.prose.append(builder.heading)
    for name in ("detectedvalue", "detectedfailurerate"):
        builder.detail("detected", context.get(name))
    for name in ("normalvalue", "normalfailurerate"):
        builder.detail("normal", context.get(name))
    builder.detail("detector", context.get("smartdetectorname"))
    builder.detail("detector_id", context.get("smartdetectorid"))
    builder.time_detail("analysed_at", context.get("analysistimestamp"))
    for name in ("formattedoccurrencetime", "formattedoccurencetime"):
        builder.time_detail("detected_at", context.get(name))
    detected, normal = builder.details.get("detected", ""), builder.details.get("normal", "")
    builder.condition = ", ".join(
        part for part in (f"Detected {detected}" if detected else "", f"normal is {normal}" if normal else "") if part
    )
    builder.rule = builder.rule or builder.details.get("detector", "")
    builder.resources.add_all(essentials.targets)
    builder.resources.add_all(essentials.items)


def read_backup(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a backup alert says. ``context`` is the folded alertContext."""
    more = object_of(context.get("extendedinfo"))
    builder.detail("category", context.get("category"))
    builder.detail("workload", given(context.get("formattedsourcetype")) or context.get("sourcetype"))
    builder.detail("protected_item", context.get("protecteditemid"))
    builder.detail("job_id", more.get("jobid"))
    builder.detail("occurrences", more.get("occurrencecount"))
    for name, words in (("possible_causes", "Possible causes"), ("recommended_actions", "Recommended actions")):
        sentence = plain(text(more.get(name.replace("_", ""))))
        builder.detail(name, sentence)
        if name in builder.details:
            builder.prose.append(f"{words}: {sentence}")
    resources = builder.resources
    resources.add(context.get("linkedresourceid"))
    if resources.vague:
        resources.add(context.get("linkedresourcename"))
    if resources.vague:
        resources.add_all(context.get("affecteditems"))
    if resources.vague:
        resources.add(context.get("protecteditemid"))
    resources.add_all(essentials.targets)
    resources.add_all(essentials.items)
    builder.condition = _backup_sentence(builder, essentials, context)
    item = given(context.get("protecteditemid")) or given(context.get("sourceid"))
    if not essentials.alert_id and item:
        builder.key = make_key("backup", canonical(item), essentials.rule)


def _backup_sentence(builder: SignalBuilder, essentials: Essentials, context: Fields) -> str:
    what = line(essentials.rule) or "Backup alert"
    workload = builder.details.get("workload", "")
    name = given(context.get("linkedresourcename"))
    sentence = what + (f" of {workload}" if workload else "") + (f" on {name}" if name else "")
    occurrences = builder.details.get("occurrences", "")
    return f"{sentence}, {occurrences} occurrences" if occurrences not in ("", "0", "1") else sentence
