"""Jinja2's sandbox, with bounds: however a template is written and whatever a payload holds, rendering ends soon.

Jinja2's own sandbox keeps templates away from Python's inner life, but lets them repeat a text a billion times or loop
for ever. Here every turn of a loop and every call costs a step, every text has a greatest length and all texts of one
rendering together have one too. Loops, ``~`` and filters are not seen by the sandbox's hooks, so the compiled template
is made to ask: each is wrapped in a filter that counts.

Source: Jinja2 documentation, "Sandbox" (intercepted operators) and "Extensions" (syntax trees).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateAssertionError, TemplateRuntimeError, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

#: Turns of loops and calls in one rendering; items of a range or list.
MAX_STEPS = 10_000
MAX_RANGE = 1_000

#: Characters of one text, and of all texts that one rendering makes.
MAX_TEXT = 40_000
MAX_TEXTS = 1_000_000

#: Greatest value of a number that says how wide or how often, and longest text that says with what.
_WIDTH = 200
_PIECE = 500

#: Bits of a whole number.
_BITS = 4_096

#: Filters whose arguments multiply a text.
_GROWING = frozenset({"batch", "center", "indent", "join", "replace", "slice", "tojson", "wordwrap", "xmlattr"})

#: ``map`` takes the name of a filter, and would call it behind our back.
_MAPPABLE = frozenset({"capitalize", "float", "int", "length", "lower", "string", "title", "trim", "upper"})

#: Filters that cannot be bounded from outside, and one whose result differs each time.
_WITHOUT = frozenset({"format", "random", "urlize"})

#: Methods of text that can make it larger than it and their arguments are, or format.
_NO_METHODS = frozenset({"format", "format_map", "translate", "maketrans", "encode", "expandtabs"})

_WIDE_FORMAT = re.compile(r"\d{4,}|\*")


class TemplateLimitExceeded(TemplateRuntimeError):
    """A template that would take too long or grow too large."""


class RenderBudget:
    """What is left for one rendering."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.characters = MAX_TEXTS

    def step(self) -> None:
        """Pay for a turn of a loop or a call. Raises TooMuch."""
        self.steps -= 1
        if self.steps < 0:
            raise TemplateLimitExceeded(f"it takes more than {MAX_STEPS:,} steps")

    def made(self, value: Any) -> Any:
        """Pay for a value that was made, and return it. Raises TooMuch."""
        if isinstance(value, str):
            self.characters -= len(value)
            if len(value) > MAX_TEXT or self.characters < 0:
                raise TemplateLimitExceeded(f"it makes a text of more than {MAX_TEXT:,} characters")
        elif isinstance(value, list | tuple) and len(value) > MAX_TEXT:
            raise TemplateLimitExceeded(f"it makes a list of more than {MAX_TEXT:,} items")
        elif isinstance(value, int) and value.bit_length() > _BITS:
            raise TemplateLimitExceeded("it makes a number that is too large")
        return value


#: Name under which the budget is given to a rendering.
BUDGET = "_budget"


def budget_of(context: Context) -> RenderBudget:
    """The budget of the rendering under way: what was given to it, whatever variables the template sets."""
    found: RenderBudget = context.parent[BUDGET]
    return found


@pass_context
def _counted(context: Context, items: Iterable[Any]) -> Iterator[Any]:
    budget = budget_of(context)
    for item in items:
        budget.step()
        yield item


@pass_context
def _joined(context: Context, parts: Sequence[Any]) -> str:
    budget = budget_of(context)
    texts = [str(budget.made(part)) for part in parts]
    if sum(map(len, texts)) > MAX_TEXT:
        raise TemplateLimitExceeded(f"it makes a text of more than {MAX_TEXT:,} characters")
    return str(budget.made("".join(texts)))


@pass_context
def _sized(context: Context, value: Any) -> Any:
    budget = budget_of(context)
    budget.step()
    return budget.made(value)


def _small(value: Any) -> Any:
    """An argument that may multiply what it is applied to."""
    if isinstance(value, str) and len(value) > _PIECE:
        raise TemplateLimitExceeded(f"an argument has more than {_PIECE} characters")
    if isinstance(value, int | float) and abs(value) > MAX_TEXT:
        raise TemplateLimitExceeded(f"an argument is larger than {MAX_TEXT:,}")
    return value


def _narrow(value: Any) -> Any:
    if isinstance(value, int | float) and abs(value) > _WIDTH:
        raise TemplateLimitExceeded(f"an argument is larger than {_WIDTH}")
    return _small(value)


def _range(*arguments: int) -> range:
    found = range(*arguments)
    if len(found) > MAX_RANGE:
        raise TemplateLimitExceeded(f"a range has more than {MAX_RANGE:,} items")
    return found


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose templates are rendered with a :class:`RenderBudget`, given under the name ``BUDGET``."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in _WITHOUT:
            del self.filters[name]
        del self.globals["lipsum"]
        self.globals["range"] = _range
        self.filters |= {
            "_counted": _counted, "_joined": _joined, "_sized": _sized, "_small": _small, "_narrow": _narrow,
        }  # fmt: skip

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _Bounds().rewrite(tree)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """No method of text that formats or grows without bounds."""
        return not (isinstance(obj, str) and attr in _NO_METHODS) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Jinja2 would put a safe ``format`` in place of text's own; it has no bounds, so there is none."""

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - Jinja2's own
        """Every call is a step, and what it gives is bounded."""
        budget = budget_of(__context)
        budget.step()
        if isinstance(getattr(__obj, "__self__", None), str):
            for argument in (*args, *kwargs.values()):
                _narrow(argument)
        return budget.made(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic whose result cannot be larger than anything of use."""
        budget = budget_of(context)
        budget.step()
        _OPERATORS[operator](left, right)
        return budget.made(super().call_binop(context, operator, left, right))


def _check_sum(left: Any, right: Any) -> None:
    if isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
        _check_length(len(left) + len(right))


def _check_product(left: Any, right: Any) -> None:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, str | list | tuple) and isinstance(other, int):
            _check_length(len(one) * other)
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * abs(right))


def _check_format(left: Any, right: Any) -> None:
    del right
    if isinstance(left, str) and _WIDE_FORMAT.search(left):
        raise TemplateLimitExceeded("it formats with a width of more than three digits")


def _check_length(length: int) -> None:
    if length > MAX_TEXT:
        raise TemplateLimitExceeded(f"it makes a text or list longer than {MAX_TEXT:,}")


def _check_bits(bits: int) -> None:
    if bits > _BITS:
        raise TemplateLimitExceeded("it makes a number that is too large")


_OPERATORS: Mapping[str, Callable[[Any, Any], None]] = {
    "+": _check_sum,
    "*": _check_product,
    "**": _check_power,
    "%": _check_format,
}


class _Bounds:
    """Rewrites a syntax tree so that loops, joins and filters are counted."""

    def rewrite(self, node: nodes.Node) -> None:
        """Rewrite everything inside a node."""
        for name, value in list(node.iter_fields()):
            if isinstance(value, nodes.Node):
                setattr(node, name, self._visit(value))
            elif isinstance(value, list):
                setattr(node, name, [self._visit(v) if isinstance(v, nodes.Node) else v for v in value])

    def _visit(self, node: nodes.Node) -> nodes.Node:
        """The node with its inner nodes rewritten, or what takes its place."""
        self.rewrite(node)
        if isinstance(node, nodes.For):
            if node.recursive:
                raise TemplateAssertionError("recursive loops are not available here", node.lineno or 1)
            node.iter = _filtered(node.iter, "_counted")
        elif isinstance(node, nodes.Concat):
            return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined")
        elif isinstance(node, nodes.Filter):
            return self._filter(node)
        return node

    def _filter(self, node: nodes.Filter) -> nodes.Expr:
        if node.name == "map":
            named = node.args[0] if node.args else None
            if named is not None and not (isinstance(named, nodes.Const) and named.value in _MAPPABLE):
                raise TemplateAssertionError(
                    f"map takes attribute= or one of {', '.join(sorted(_MAPPABLE))}", node.lineno or 1
                )
        if node.name in _GROWING:
            if node.dyn_args is not None or node.dyn_kwargs is not None:
                raise TemplateAssertionError(f"{node.name} takes no * arguments here", node.lineno or 1)
            bound = "_small" if node.name in ("join", "replace", "wordwrap") else "_narrow"
            node.args = [_filtered(argument, bound) for argument in node.args]
            for keyword in node.kwargs:
                keyword.value = _filtered(keyword.value, bound)
        return _filtered(node, "_sized")


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
