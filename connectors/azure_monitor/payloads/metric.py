"""Metric alerts, and criteria of metric and log alerts as sentences.

Source: Microsoft Learn, "Common alert schema", metric alert contexts: static and dynamic thresholds, multi-resource
rules, availability tests; PromQL rules have the same form.

The sentence of a firing alert states that the value is beyond its threshold. A resolved alert often carries the
recovered value, sometimes one that is still beyond the threshold, sometimes none: its sentence gives value and
criterion side by side and claims nothing. The same neutral form is used when numbers contradict a firing alert.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from connectors.azure_monitor.payloads.common import Essentials
from shared.core.payload_schema import Fields
from shared.core.signal import SignalState
from shared.payloads.builder import MOST_ENTRIES, SignalBuilder
from shared.payloads.values import anything, array_of, cut, fold, given, in_words, line, number, object_of, span, squash

_OPERATORS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "greaterthan": ("greater than", gt),
    "greaterthanorequal": ("greater than or equal to", ge),
    "greaterthanorequalto": ("greater than or equal to", ge),
    "greaterorequal": ("greater than or equal to", ge),
    "lessthan": ("less than", lt),
    "lowerthan": ("less than", lt),
    "lessthanorequal": ("less than or equal to", le),
    "lessthanorequalto": ("less than or equal to", le),
    "lowerthanorequal": ("less than or equal to", le),
    "lessorequal": ("less than or equal to", le),
    "equal": ("equal to", eq),
    "equals": ("equal to", eq),
    "equalto": ("equal to", eq),
    "notequal": ("not equal to", ne),
    "notequals": ("not equal to", ne),
}
_SYMBOLS = {">": "greaterthan", ">=": "greaterthanorequal", "<": "lessthan", "<=": "lessthanorequal", "=": "equal"}

#: Aggregations that read better with "of"; the others stand before the metric as they are.
_OF = {"count": "Count of", "sum": "Sum of"}


class Criterion(NamedTuple):
    """One comparison.

    Attributes:
        subject: what is measured, e.g. ``Average Percentage CPU``.
        value, threshold: as text, ``""`` when not given.
        operator: as sent.
        unit: of both, ``""`` when unknown.
        window: in words, ``""`` when unknown.
        periods: e.g. ``2 of 3``, ``""`` when one failing period is enough.
        sensitivity: of a dynamic threshold, ``""`` for a static one. dynamic: the threshold is a computed bound.
    """

    subject: str
    value: str
    operator: str
    threshold: str
    unit: str = ""
    window: str = ""
    periods: str = ""
    dynamic: bool = False
    sensitivity: str = ""


def words_of(operator: str) -> str:
    """An operator in words; an unknown one as it is."""
    found = _OPERATORS.get(_SYMBOLS.get(operator) or squash(operator))
    return found[0] if found else line(operator)


def sentence(criterion: Criterion, state: SignalState) -> str:
    """Say one criterion, without a full stop."""
    subject, value = criterion.subject, _with_unit(criterion.value, criterion.unit)
    limit = _limit(criterion)
    over = f" over {criterion.window}" if criterion.window else ""
    if criterion.periods and not criterion.dynamic:
        over += f", in {criterion.periods} periods"
    if not limit:
        return f"{subject}{over}: {value}" if value else f"{subject}{over}"
    if not value:
        return f"{subject}, condition: {limit}{over}"
    if state is SignalState.FIRED and _holds(criterion):
        return f"{subject} {value} is {limit}{over}"
    return f"{subject} {value}, condition: {limit}{over}"


def join(sentences: list[str]) -> str:
    """Several criteria as one text; all of them apply."""
    return cut("; ".join(filter(None, sentences)), 4000)


def subject_of(aggregation: str, measured: str) -> str:
    """What is measured: ``Average Percentage CPU``, ``Count of rows``. An aggregation that is a duration is none."""
    if not aggregation or span(aggregation) is not None:
        return measured
    return f"{_OF.get(aggregation.lower()) or line(aggregation)} {measured}"


def periods_of(value: Fields) -> str:
    """``2 of 3`` from failingPeriods, ``""`` when it is absent, all zeros, or one period is looked at."""
    if not value:
        return ""
    needed, of = number(value.get("minfailingperiodstoalert")), number(value.get("numberofevaluationperiods"))
    return f"{int(needed)} of {int(of)}" if needed and of and of > 1 else ""


def window_words(value: object, unit: int = 60) -> str:
    """A window in words, ``""`` when none is given. A bare number counts ``unit`` seconds."""
    seconds = span(value, unit)
    return in_words(seconds) if seconds else ""


def shown(value: object) -> str:
    """A measured value or threshold for people: at most ten significant digits."""
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.10g}"
    return cut(given(value), 100)


def _holds(criterion: Criterion) -> bool:
    """False only when value and threshold are numbers that contradict the operator."""
    found = _OPERATORS.get(_SYMBOLS.get(criterion.operator) or squash(criterion.operator))
    if criterion.dynamic or found is None:
        return True
    try:
        return found[1](float(criterion.value), float(criterion.threshold))
    except ValueError:
        return True


def _limit(criterion: Criterion) -> str:
    if criterion.dynamic:
        facts = []
        if criterion.sensitivity:
            facts.append(f"{criterion.sensitivity.lower()} sensitivity")
        if criterion.threshold:
            either = squash(criterion.operator) == "greaterorlessthan"
            side = "bound" if either or not criterion.operator else words_of(criterion.operator)
            facts.append(f"{side} {_with_unit(criterion.threshold, criterion.unit)}")
        if criterion.periods:
            facts.append(f"in {criterion.periods} periods")
        return "outside the dynamic bounds" + (f" ({', '.join(facts)})" if facts else "")
    if not criterion.threshold:
        return ""
    return f"{words_of(criterion.operator)} {_with_unit(criterion.threshold, criterion.unit)}".strip()


def _with_unit(value: str, unit: str) -> str:
    return f"{value} {unit}" if value and unit else value


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
            sentences.append(_criterion_sentence(builder, criterion, window, static_periods, dynamic))
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


def _criterion_sentence(
    builder: SignalBuilder, criterion: Fields, window: str, static_periods: str, dynamic: bool
) -> str:
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
