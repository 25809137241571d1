"""Values of a query: conversions, comparisons and functions.

Where Kusto has typed columns, a dynamic value here is what JSON gave; a text is read as a time when it is compared with
one. What is absent is null: it equals nothing, and ``tostring`` makes it an empty text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local.azure.times import iso7, parse

_UNITS = {"ms": "milliseconds", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def timespan(text: str) -> timedelta:
    """A literal such as ``12h``."""
    unit = "ms" if text.endswith("ms") else text[-1].lower()
    return timedelta(**{_UNITS[unit]: float(text[: -len(unit)])})


def text_of(value: Any) -> str:
    """``tostring``: null becomes empty, an object its JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return iso7(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def time_of(value: Any) -> datetime | None:
    """``todatetime``."""
    if isinstance(value, datetime):
        return value
    return parse(value) if isinstance(value, str) else None


def number_of(value: Any) -> float | int | None:
    """``todouble`` and ``toint`` before rounding."""
    if isinstance(value, (bool, int, float)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def whole_of(value: Any) -> int | None:
    """``toint`` and ``tolong``."""
    number = number_of(value)
    return None if number is None else int(number)


def truth_of(value: Any) -> bool | None:
    """``tobool``."""
    if isinstance(value, bool) or value is None:
        return value
    return {"true": True, "false": False}.get(text_of(value).lower())


def _pair(left: Any, right: Any) -> tuple[Any, Any] | None:
    """Two values made comparable, or None."""
    if isinstance(left, datetime) or isinstance(right, datetime):
        first, second = time_of(left), time_of(right)
        return (first, second) if first and second else None
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return left, right
    if isinstance(left, bool) != isinstance(right, bool):
        return None
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return left, right
    return None


def equal(left: Any, right: Any) -> bool:
    """``==``."""
    pair = _pair(left, right)
    return pair is not None and bool(pair[0] == pair[1])


def _less(left: Any, right: Any) -> bool:
    pair = _pair(left, right)
    return pair is not None and bool(pair[0] < pair[1])


def _has(text: str, term: str) -> bool:
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(term)}(?![0-9A-Za-z])", text, re.IGNORECASE) is not None


def _texts(check: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: check(text_of(left), text_of(right))


def _folded(check: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: check(text_of(left).lower(), text_of(right).lower())


#: Operators between two values. Each ``!x`` is made from ``x``.
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": equal,
    "=~": _folded(lambda left, right: left == right),
    "<": _less,
    ">": lambda left, right: _less(right, left),
    "<=": lambda left, right: _less(left, right) or equal(left, right),
    ">=": lambda left, right: _less(right, left) or equal(left, right),
    "has": _texts(_has),
    "contains": _folded(lambda left, right: right in left),
    "contains_cs": _texts(lambda left, right: right in left),
    "startswith": _folded(lambda left, right: left.startswith(right)),
    "endswith": _folded(lambda left, right: left.endswith(right)),
}


def _extract(pattern: Any, group: Any, source: Any) -> str:
    found = re.search(text_of(pattern), text_of(source))
    return (found[int(group)] or "") if found else ""


def _parse_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _iff(condition: Any, first: Any, second: Any) -> Any:
    return first if condition is True else second


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None and value != ""), None)


#: Functions by name: least and most arguments, and the function.
FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "tostring": (1, 1, text_of),
    "tolower": (1, 1, lambda value: text_of(value).lower()),
    "toupper": (1, 1, lambda value: text_of(value).upper()),
    "todatetime": (1, 1, time_of),
    "todouble": (1, 1, number_of),
    "toint": (1, 1, whole_of),
    "tolong": (1, 1, whole_of),
    "tobool": (1, 1, truth_of),
    "isempty": (1, 1, lambda value: value is None or value == ""),
    "isnotempty": (1, 1, lambda value: value is not None and value != ""),
    "isnull": (1, 1, lambda value: value is None),
    "isnotnull": (1, 1, lambda value: value is not None),
    "strcat": (1, 64, lambda *values: "".join(text_of(value) for value in values)),
    "split": (2, 2, lambda value, mark: text_of(value).split(text_of(mark))),
    "extract": (3, 3, _extract),
    "parse_json": (1, 1, _parse_json),
    "todynamic": (1, 1, _parse_json),
    "array_length": (1, 1, lambda value: len(value) if isinstance(value, list) else None),
    "coalesce": (2, 64, _coalesce),
    "iff": (3, 3, _iff),
    "iif": (3, 3, _iff),
}


def order_key(value: Any) -> tuple[int, Any]:
    """Sorts values of all types: nulls first, then numbers, times, texts."""
    match value:
        case None:
            return (0, 0)
        case bool() | int() | float():
            return (1, value)
        case datetime():
            return (2, value)
        case _:
            return (3, text_of(value))
