"""What each operator of an encoded query means, for one column and one written value.

Source: ServiceNow docs, "Operators available for filters and queries". Empty values behave as NULL does in SQL: they
never lie below or above anything, while ``!=`` and the negative operators include them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local.servicenow.query.dates import Sandbox, date_part, on_range, relative, resolve, run_script, shift
from local.servicenow.schema.model import Column
from local.servicenow.stored_time import parse_stored

ValueTest = Callable[[str], bool]
PairTest = Callable[[str, str], bool]

#: Dynamic filter options of the base system (sys_filter_option_dynamic): the user, and the user's groups.
DYNAMIC_ME = "90d1921e5f510100a9ad2572f2b477fe"
DYNAMIC_MY_GROUPS = "d6435e965f510100a9ad2572f2b477fe"
_TRUE = frozenset({"true", "1", "yes"})


@dataclass(frozen=True, slots=True)
class Side:
    """The column a condition is about, and how its values compare."""

    column: Column
    sandbox: Sandbox
    case_sensitive: bool

    def fold(self, text: str) -> str:
        """The form in which two texts are compared for equality."""
        if self.column.type == "boolean":
            return "true" if text.lower() in _TRUE else "false" if text else ""
        if self.column.is_number:
            number = _number(text)
            return text if number is None else repr(number)
        if self.column.is_date_time and len(text) == 10:
            return text + " 00:00:00"
        if self.case_sensitive and not self.column.is_reference and self.column.type != "GUID":
            return text
        return text.casefold()

    def key(self, text: str) -> object | None:
        """The form in which two texts are compared for order, None when the text has none."""
        if not text:
            return None
        return _number(text) if self.column.is_number else self.fold(text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def value_test(side: Side, operator: str, value: str) -> ValueTest | None:
    """Test of ``field OP value`` on a stored value; None when the condition is invalid."""
    simple = _valueless(operator)
    if simple is not None:
        return simple
    if operator in ("ON", "NOTON"):
        return _on(side, operator, value)
    if operator.startswith("RELATIVE"):
        return relative(operator, value, side.sandbox)
    if operator == "DATEPART":
        return date_part(value, side.sandbox)
    if operator == "DYNAMIC":
        return _dynamic(side, value)
    if operator == "BETWEEN":
        return _between(side, value)
    script = value.startswith("javascript:")
    if script:
        result = run_script(value, side.sandbox)
        if result is None:
            return None
        value = result
        if operator == "=" and "," in value:
            operator = "IN"
    if operator in ("IN", "NOT IN"):
        wanted = frozenset(side.fold(part.strip()) for part in value.split(","))
        return _negated(lambda text: side.fold(text) in wanted, operator == "NOT IN")
    if operator in ("<", "<=", ">", ">="):
        return _ordered(side, operator, value)
    if operator in ("=", "!="):
        wanted_text = "" if value == "NULL" else side.fold(value)
        return _negated(lambda text: side.fold(text) == wanted_text, operator == "!=")
    return _contained(side, operator, value)


def _valueless(operator: str) -> ValueTest | None:
    if operator in ("ISEMPTY", "EMPTYSTRING"):
        return lambda text: text == ""
    if operator == "ISNOTEMPTY":
        return lambda text: text != ""
    if operator == "ANYTHING":
        return lambda text: True  # noqa: ARG005  # the signature is that of every test
    return None


def _negated(test: ValueTest, negative: bool) -> ValueTest:
    return (lambda text: not test(text)) if negative else test


def _contained(side: Side, operator: str, value: str) -> ValueTest | None:
    needle = value if side.case_sensitive else value.casefold()

    def folded(text: str) -> str:
        return text if side.case_sensitive else text.casefold()

    if operator in ("LIKE", "CONTAINS", "*"):
        return lambda text: needle in folded(text)
    if operator in ("NOT LIKE", "DOES NOT CONTAIN", "!*"):
        return lambda text: needle not in folded(text)
    if operator == "STARTSWITH":
        return lambda text: folded(text).startswith(needle)
    if operator in ("ENDSWITH", "%"):
        return lambda text: folded(text).endswith(needle)
    return None


def _ordered(side: Side, operator: str, value: str) -> ValueTest | None:
    limit = side.key(value)
    if limit is None:
        return None

    def test(text: str) -> bool:
        key = side.key(text)
        return key is not None and _compare(key, operator, limit)

    return test


def _compare(left: object, operator: str, right: object) -> bool:
    """Compare two keys of one column: both numbers or both texts."""
    if isinstance(left, float) and isinstance(right, float):
        less, equal = left < right, left == right
    else:
        less, equal = str(left) < str(right), str(left) == str(right)
    return {"<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[operator]


def _between(side: Side, value: str) -> ValueTest | None:
    first, separator, second = value.partition("@")
    low, high = resolve(first, side.sandbox), resolve(second, side.sandbox)
    if not separator or not low or not high:
        return None
    above, below = _ordered(side, ">=", low), _ordered(side, "<=", high)
    if above is None or below is None:
        return None
    return lambda text: above(text) and below(text)


def _on(side: Side, operator: str, value: str) -> ValueTest | None:
    bounds = on_range(value, side.sandbox)
    if bounds is None:
        return None
    start, end = bounds
    if side.column.type == "glide_date":
        start, end = start[:10], end[:10]
    if operator == "ON":
        return lambda text: bool(text) and start <= text <= end
    return lambda text: bool(text) and not start <= text <= end


def _dynamic(side: Side, value: str) -> ValueTest | None:
    if value == DYNAMIC_ME:
        me = side.sandbox.user_id
        return lambda text: text == me
    if value == DYNAMIC_MY_GROUPS:
        groups = side.sandbox.groups
        return lambda text: text in groups
    return None


_FIELD_OPERATORS = {
    "GT_FIELD": ">",
    "LT_FIELD": "<",
    "GT_OR_EQUALS_FIELD": ">=",
    "GE_OR_EQUALS_FIELD": ">=",
    "LT_OR_EQUALS_FIELD": "<=",
    "LE_OR_EQUALS_FIELD": "<=",
}


def field_test(side: Side, operator: str, rest: str) -> PairTest | None:
    """Test of ``field OP other_field`` on both stored values; ``rest`` is what follows the field (``day@before@1``)."""
    if operator == "SAMEAS":
        return lambda left, right: bool(left) and side.fold(left) == side.fold(right)
    if operator == "NSAMEAS":
        return lambda left, right: side.fold(left) != side.fold(right)
    if operator in _FIELD_OPERATORS:
        comparison = _FIELD_OPERATORS[operator]

        def compare(left: str, right: str) -> bool:
            left_key, right_key = side.key(left), side.key(right)
            return left_key is not None and right_key is not None and _compare(left_key, comparison, right_key)

        return compare
    return _distance(operator, rest)


def _distance(operator: str, rest: str) -> PairTest | None:
    """``f1MORETHANf2@day@before@1``: f1 lies more than a day before f2; LESSTHAN: before it, but by less."""
    parts = rest.split("@")
    if len(parts) != 3 or not parts[2].isdecimal() or len(parts[2]) > 6 or parts[1] not in ("before", "after"):
        return None
    unit, direction, count = parts[0], parts[1], int(parts[2])
    if unit not in ("minute", "hour", "day", "dayofweek", "week", "month", "quarter", "year"):
        return None
    sign = -1 if direction == "before" else 1

    def test(left: str, right: str) -> bool:
        start = parse_stored(right)
        when = parse_stored(left)
        if start is None or when is None:
            return False
        edge = shift(start, unit, sign * count)
        if edge is None:
            return False
        beyond = when < edge if sign < 0 else when > edge
        if operator == "MORETHAN":
            return beyond
        between = edge <= when <= start if sign < 0 else start <= when <= edge
        return between and not beyond

    return test
