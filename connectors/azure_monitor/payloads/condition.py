"""Criteria of metric and log alerts as sentences.

A firing alert's sentence says that the value is beyond its threshold. A resolved alert often carries the recovered
value, sometimes one still beyond, sometimes none: its sentence gives value and criterion side by side and claims
nothing. The same neutral form is used when numbers contradict a firing alert.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import NamedTuple

from shared.core.signal import SignalState
from shared.payloads.text import Fields, cut, given, line, number, squash
from shared.payloads.times import in_words, span

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
