"""Of the rows that a query gives, those that made the rule fire. Pure.

A rule that measures a column fires for the rows whose value is beyond the threshold; its query gives the others as
well. Where no row is beyond it (the rule combines several of them, or learns its threshold) all are shown.

Source: Microsoft Learn, "Create a log search alert rule" (measure, aggregation, operator and threshold).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace

from shared.core.signal import Rows
from shared.payloads.values import number, squash

_BEYOND: Mapping[str, Callable[[float, float], bool]] = {
    "greaterthan": operator.gt,
    "greaterthanorequal": operator.ge,
    "lessthan": operator.lt,
    "lowerthan": operator.lt,
    "lessthanorequal": operator.le,
    "equals": operator.eq,
    "equal": operator.eq,
}


def fired_rows(rows: Rows, details: Mapping[str, str]) -> Rows:
    """The rows beyond the threshold; all of them where the rule measures no column, or none is beyond."""
    column = details.get("measure_column", "").lower()
    place = next((place for place, name in enumerate(rows.columns) if name.lower() == column), None)
    beyond, threshold = _BEYOND.get(squash(details.get("operator"))), number(details.get("threshold"))
    if not column or place is None or beyond is None or threshold is None:
        return rows
    kept = []
    for row in rows.rows:
        value = number(row.values[place])
        if value is not None and beyond(value, threshold):
            kept.append(row)
    if not kept or len(kept) == len(rows.rows):
        return rows
    return replace(rows, rows=tuple(kept), total=rows.total - len(rows.rows) + len(kept))
