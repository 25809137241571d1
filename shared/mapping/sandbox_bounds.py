"""The bounds of templates: how large a value may be, and what operators, methods and filters check before they work.

A value has a *weight*: the characters and items in it, counted as often as they would be printed or compared. A list
that holds another list twice weighs twice as much, although it takes no memory. Pure.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence, Set, ValuesView
from dataclasses import fields, is_dataclass
from datetime import date, timedelta, tzinfo
from datetime import time as time_of_day
from typing import Any

from jinja2 import TemplateRuntimeError
from jinja2.utils import Namespace

#: Turns of loops, calls and so on in one rendering; items of a range.
MAX_STEPS = 10_000
MAX_RANGE = 1_000

#: Characters of one text, and of all texts that one rendering makes.
MAX_TEXT = 40_000
MAX_TEXTS = 1_000_000

#: Weight of one value: a character is 1, an item ``ITEM_WEIGHT``. Containers inside each other.
MAX_WEIGHT = 200_000
MAX_DEPTH = 20
ITEM_WEIGHT = 8

#: Processor seconds of one rendering.
MAX_SECONDS = 0.5

#: Greatest value of a number that says how wide or how often, and longest text that says with what.
_WIDTH = 200
_PIECE = 500

#: Bits of a whole number.
_BITS = 4_096

#: Weight of what is printed with line breaks and indentation: slower by far than anything else.
_PRETTY = 8_000
_INDENT = 8

#: Filters whose arguments multiply a text: numbers up to ``_WIDTH``, texts up to ``_PIECE``.
NARROW = frozenset({"batch", "center", "indent", "round", "slice", "tojson", "wordwrap", "xmlattr"})

#: Filters that do something with their arguments for every item.
PER_ITEM = frozenset(
    {
        "dictsort",
        "groupby",
        "map",
        "max",
        "min",
        "reject",
        "rejectattr",
        "select",
        "selectattr",
        "sort",
        "sum",
        "unique",
    }
)

_WIDE_FORMAT = re.compile(r"\d{4,}|\*")
_WIDTHS = re.compile(r"\d{1,3}")

_SEQUENCES = (str, bytes, list, tuple)


class TemplateLimitExceeded(TemplateRuntimeError):
    """A template that would take too long or grow too large."""


def weight(value: Any, most: int = MAX_WEIGHT) -> int:
    """How much there is to print or compare in a value. Raises TemplateLimitExceeded above ``most``, or where values
    are nested too deeply. Costs no more than ``most`` allows, whatever the value holds."""
    if isinstance(value, str):
        return _within(len(value), most)
    total = 0
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for one in level:
            inside = _inside(one)
            total = _within(total + _own(one, inside), most)
            inner += inside
        if not inner:
            return total
        level = inner
    raise TemplateLimitExceeded(f"it nests values more than {MAX_DEPTH} deep")


def _own(value: Any, inside: Sequence[Any]) -> int:
    if isinstance(value, str | bytes | bytearray):
        return len(value)
    if isinstance(value, range):
        return ITEM_WEIGHT * len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 3
    return ITEM_WEIGHT * (1 + len(inside))


def _inside(value: Any) -> Sequence[Any]:
    """The values that a value is made of, where it is printed with them."""
    if value is None or isinstance(value, str | int | float | range | bytes):
        return ()
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Mapping):
        _within(ITEM_WEIGHT * 2 * len(value), MAX_WEIGHT)
        return [*value.keys(), *value.values()]
    if isinstance(value, Set | ValuesView):
        return list(value)
    if isinstance(value, Namespace):
        return _inside(object.__getattribute__(value, "_Namespace__attrs"))
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)]
    return ()


def _within(size: int, most: int) -> int:
    if size > most:
        raise TemplateLimitExceeded(f"it makes or handles a value with more than {most:,} characters or items")
    return size


class RenderBudget:
    """What is left for one rendering."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.characters = MAX_TEXTS
        self._until = time.thread_time() + MAX_SECONDS

    def step(self) -> None:
        """Pay for a turn of a loop, a call and the like. Raises TemplateLimitExceeded."""
        self.steps -= 1
        if self.steps < 0:
            raise TemplateLimitExceeded(f"it takes more than {MAX_STEPS:,} steps")
        if time.thread_time() > self._until:
            raise TemplateLimitExceeded(f"it takes more than {MAX_SECONDS} seconds")

    def made(self, value: Any) -> Any:
        """Pay for a value that was made, and return it. Raises TemplateLimitExceeded."""
        if isinstance(value, str):
            self.characters -= len(value)
            if len(value) > MAX_TEXT or self.characters < 0:
                raise TemplateLimitExceeded(f"it makes a text of more than {MAX_TEXT:,} characters")
        elif isinstance(value, int):
            if value.bit_length() > _BITS:
                raise TemplateLimitExceeded("it makes a number that is too large")
        elif not isinstance(value, float) and value is not None:
            weight(value)
            if isinstance(value, list | tuple | dict):
                self.pay(ITEM_WEIGHT * len(value))
        return value

    def pay(self, characters: int) -> None:
        """Pay for text that is written as it stands in the template, or for the items of a list."""
        self.characters -= characters
        if self.characters < 0:
            raise TemplateLimitExceeded(f"it makes more than {MAX_TEXTS:,} characters or items altogether")


def check_small(value: Any) -> None:
    """Refuse an argument that may multiply what it is applied to."""
    if isinstance(value, str | bytes) and len(value) > _PIECE:
        raise TemplateLimitExceeded(f"an argument has more than {_PIECE} characters")
    if isinstance(value, int | float) and abs(value) > MAX_TEXT:
        raise TemplateLimitExceeded(f"an argument is larger than {MAX_TEXT:,}")


def check_narrow(value: Any) -> None:
    if isinstance(value, int | float) and abs(value) > _WIDTH:
        raise TemplateLimitExceeded(f"an argument is larger than {_WIDTH}")
    check_small(value)


def check_per_item(value: Any, arguments: Sequence[Any]) -> None:
    """Refuse arguments that would take too long for every item of a list."""
    count = len(value) if hasattr(value, "__len__") else 1
    _within(count * sum(map(weight, arguments)), MAX_TEXTS)


def _check_join(separator: Any, items: Any) -> None:
    if isinstance(separator, str | bytes) and hasattr(items, "__len__"):
        check_length(len(separator) * len(items))


def _check_replace(text: Any, old: Any = "", new: Any = "", *_: Any, **__: Any) -> None:
    text, old, new = str(text), str(old), str(new)
    check_length(len(text) + text.count(old) * max(len(new) - len(old), 0))


def _check_wordwrap(
    value: Any, width: Any = 79, break_long_words: bool = True, wrapstring: Any = None, *_: Any, **__: Any
) -> None:
    del break_long_words
    if isinstance(width, int) and width > 0 and wrapstring is not None:
        _within((len(str(value)) // width + str(value).count("\n") + 1) * len(str(wrapstring)), MAX_TEXTS)


def _check_tojson(_: Any, indent: Any = None) -> None:
    if isinstance(indent, int | float) and indent > _INDENT:
        raise TemplateLimitExceeded(f"tojson indents by at most {_INDENT}")


def _check_pprint(value: Any, *_: Any, **__: Any) -> None:
    _within(weight(value), _PRETTY)


#: What filters check before they begin, beside the weight of all that they are given.
FILTER_CHECKS: Mapping[str, Callable[..., None]] = {
    "join": lambda value, d="", *_, **__: _check_join(d, value),
    "pprint": _check_pprint,
    "replace": _check_replace,
    "tojson": _check_tojson,
    "wordwrap": _check_wordwrap,
}


def check_call(function: Any, arguments: Sequence[Any]) -> None:
    """Refuse what would make a method of Python's own values take long or give much."""
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if isinstance(owner, str | bytes | int | float):
        if isinstance(owner, str | bytes):
            check_length(len(owner))
        for argument in arguments:
            check_narrow(argument)
            weight(argument)
        if name == "join" and arguments:
            _check_join(owner, arguments[0])
        elif name == "replace" and isinstance(owner, str):
            _check_replace(owner, *arguments)
    elif isinstance(owner, date | time_of_day | timedelta | tzinfo):
        for argument in arguments:
            check_small(argument)


def _check_sum(left: Any, right: Any) -> None:
    if isinstance(left, _SEQUENCES) and isinstance(right, _SEQUENCES):
        check_length(len(left) + len(right))


def _check_product(left: Any, right: Any) -> None:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, _SEQUENCES) and isinstance(other, int):
            check_length(len(one) * other)
            _within(weight(one) * max(other, 0), MAX_WEIGHT)
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * abs(right))


def _check_format(left: Any, right: Any) -> None:
    """``%`` writes each value as often as the text on its left says."""
    if isinstance(left, bytes):
        raise TemplateLimitExceeded("it formats bytes")
    if not isinstance(left, str):
        return
    if _WIDE_FORMAT.search(left):
        raise TemplateLimitExceeded("it formats with a width of more than three digits")
    check_length(len(left))
    longest = max(map(weight, right.values()), default=0) if isinstance(right, Mapping) else weight(right)
    widths = sum(map(int, _WIDTHS.findall(left))) if "%" in left else 0
    _within(len(left) + left.count("%") * longest + widths, MAX_WEIGHT)


def check_length(length: int) -> None:
    if length > MAX_TEXT:
        raise TemplateLimitExceeded(f"it makes or handles a text or list longer than {MAX_TEXT:,}")


def _check_bits(bits: int) -> None:
    if bits > _BITS:
        raise TemplateLimitExceeded("it makes a number that is too large")


OPERATOR_CHECKS: Mapping[str, Callable[[Any, Any], None]] = {
    "+": _check_sum,
    "*": _check_product,
    "**": _check_power,
    "%": _check_format,
}
