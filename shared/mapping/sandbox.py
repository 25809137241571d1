"""Jinja2's sandbox, with bounds: however a template is written and whatever a payload holds, rendering ends soon.

Jinja2's own sandbox keeps templates away from Python's inner life, but lets them repeat a text a billion times or loop
for ever. Here three things are bounded:

* **Size, before the work.** Every text has a greatest length, and every value a greatest weight: the characters and
  items in it, counted as often as they would be printed or compared. A list that holds another list twice weighs twice
  as much, although it takes no memory. Filters, operators and methods whose result is larger than what they are given
  say first how large it will be.
* **Steps.** Every turn of a loop, call, comparison, filter and test costs one; all texts of one rendering together
  have a greatest length.
* **Time.** Every step looks at the processor time that the rendering has used.

Filters and tests are replaced by guarded ones. Loops, ``~``, comparisons, lists and literal text are not seen by the
sandbox's hooks, so the compiled template is made to ask: each is wrapped in a filter that counts.

Source: Jinja2 documentation, "Sandbox" (intercepted operators) and "Extensions" (syntax trees).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from jinja2 import Environment, TemplateAssertionError, nodes, pass_context, pass_environment
from jinja2.filters import make_attrgetter
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shared.mapping.sandbox_bounds import (
    FILTER_CHECKS,
    ITEM_WEIGHT,
    MAX_RANGE,
    MAX_WEIGHT,
    NARROW,
    OPERATOR_CHECKS,
    PER_ITEM,
    RenderBudget,
    TemplateLimitExceeded,
    check_call,
    check_length,
    check_narrow,
    check_per_item,
    weight,
)

#: ``map`` takes the name of a filter.
_MAPPABLE = frozenset({"capitalize", "float", "int", "length", "lower", "string", "title", "trim", "upper"})

#: Filters that cannot be bounded from outside, and one whose result differs each time.
_WITHOUT = frozenset({"format", "random", "urlize"})

#: Methods of text that can make it larger than it and their arguments are, or format.
_NO_METHODS = frozenset({"format", "format_map", "translate", "maketrans", "encode", "expandtabs"})

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
    budget.step()
    weight(list(parts))
    texts = [str(part) for part in parts]
    check_length(sum(map(len, texts)))
    return str(budget.made("".join(texts)))


@pass_context
def _sized(context: Context, value: Any) -> Any:
    budget = budget_of(context)
    budget.step()
    return budget.made(value)


@pass_context
def _literal(context: Context, characters: int) -> str:
    budget_of(context).pay(characters)
    return ""


def _range(*arguments: int) -> range:
    found = range(*arguments)
    if len(found) > MAX_RANGE:
        raise TemplateLimitExceeded(f"a range has more than {MAX_RANGE:,} items")
    return found


@pass_environment
def _sum(environment: Environment, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """Jinja2's ``sum`` for numbers; that of lists would copy the result once for every item."""
    items = iterable if attribute is None else map(make_attrgetter(environment, attribute), iterable)
    total = start
    for item in items:
        if not isinstance(item, int | float) or not isinstance(total, int | float):
            raise TemplateLimitExceeded("sum takes numbers only")
        total = total + item
    return total


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that checks what it is given, counts, and bounds what it gives."""
    wants = getattr(getattr(function, "jinja_pass_arg", None), "name", "")
    check = FILTER_CHECKS.get(name)

    @pass_context
    def guard(context: Context, value: Any = None, *args: Any, **kwargs: Any) -> Any:
        budget = budget_of(context)
        budget.step()
        arguments = (*args, *kwargs.values())
        for one in (value, *arguments):
            if isinstance(one, str):
                check_length(len(one))
            else:
                weight(one)
        if name in NARROW:
            for one in arguments:
                check_narrow(one)
        elif name in PER_ITEM:
            check_per_item(value, arguments)
        if check is not None:
            check(value, *args, **kwargs)
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}.get(wants)
        found = function(value, *args, **kwargs) if first is None else function(first, value, *args, **kwargs)
        if isinstance(found, Iterator):
            found = list(islice(found, MAX_WEIGHT // ITEM_WEIGHT + 1))
        return budget.made(found)

    return guard


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose templates are rendered with a :class:`RenderBudget`, given under the name ``BUDGET``."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        # Nothing is computed when a template is compiled: then there is no budget.
        super().__init__(**options, optimized=False)
        for name in _WITHOUT:
            del self.filters[name]
        del self.globals["lipsum"]
        self.globals["range"] = _range
        self.filters["sum"] = _sum
        for name, function in list(self.filters.items()):
            self.add_filter(name, function)
        tests: dict[str, Any] = self.tests
        tests.update({name: _guarded("", test) for name, test in tests.items()})
        self.filters |= {"_counted": _counted, "_joined": _joined, "_sized": _sized, "_literal": _literal}

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Offer a filter of our own, bounded as the others are."""
        self.filters[name] = _guarded(name, function)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _charge_literals(tree)
        _Bounds().rewrite(tree)
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """No method of text that formats or grows without bounds, and of our own values nothing but their fields
        and properties."""
        if isinstance(obj, str):
            return attr not in _NO_METHODS and super().is_safe_attribute(obj, attr, value)
        own = getattr(type(obj), "model_fields", None) or getattr(type(obj), "__dataclass_fields__", None)
        if own is not None and attr not in own and not isinstance(getattr(type(obj), attr, None), property):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Jinja2 would put a safe ``format`` in place of text's own; it has no bounds, so there is none."""

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - Jinja2's own
        """Every call is a step, and what it gives is bounded."""
        budget = budget_of(__context)
        budget.step()
        check_call(__obj, (*args, *kwargs.values()))
        return budget.made(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic whose result cannot be larger than anything of use."""
        budget = budget_of(context)
        budget.step()
        OPERATOR_CHECKS[operator](left, right)
        return budget.made(super().call_binop(context, operator, left, right))


def _charge_literals(tree: nodes.Template) -> None:
    """Make text that stands in the template pay wherever it may be written more than once."""
    repeated = {
        id(output): output
        for outer in tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block))
        for output in outer.find_all(nodes.Output)
    }
    for output in repeated.values():
        length = sum(len(one.data) for one in output.nodes if isinstance(one, nodes.TemplateData))
        if length:
            output.nodes.append(_filtered(nodes.Const(length, lineno=output.lineno), "_literal"))


class _Bounds:
    """Rewrites a syntax tree so that loops, joins, comparisons and lists are counted."""

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
        elif isinstance(node, nodes.Compare | nodes.List | nodes.Dict) or (
            isinstance(node, nodes.Tuple) and node.ctx == "load"
        ):
            return _filtered(node, "_sized")
        elif isinstance(node, nodes.Filter) and node.name == "map":
            named = node.args[0] if node.args else None
            if named is not None and not (isinstance(named, nodes.Const) and named.value in _MAPPABLE):
                raise TemplateAssertionError(
                    f"map takes attribute= or one of {', '.join(sorted(_MAPPABLE))}", node.lineno or 1
                )
        return node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
