"""Templates of the configuration: Jinja2 in its sandbox, with missing values noticed instead of ignored.

The text of a template is the administrator's and is compiled once; what comes from payloads is only ever a value
inside it and is never read as a template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jinja2 import (
    ChainableUndefined,
    Environment,
    Template,
    TemplateSyntaxError,
    Undefined,
    pass_context,
)
from jinja2.runtime import Context

from shared.config.model import Levels
from shared.core.letter_case import fold_case
from shared.core.plugins import SourceWords
from shared.core.signal import Resource, Signal
from shared.core.times import rfc3339
from shared.mapping.sandbox import BUDGET, BoundedEnvironment, budget_of
from shared.mapping.sandbox_bounds import RenderBudget

#: A rendered value is cut here at the latest, whatever field it goes to.
MAX_RENDERED = 32_000

#: Longest template in characters.
_LONGEST_SOURCE = 20_000

#: Name under which a rendering is given the date format of the ticket system, for ``strftime``.
DATE_FORMAT = "_date_format"
_PLAIN_DATE = "%Y-%m-%d %H:%M:%S"

#: Methods of mappings that templates may call when no entry has that name.
_MAPPING_METHODS = frozenset({"items", "keys", "values", "get"})


class _Environment(BoundedEnvironment):
    """Sandbox in which ``signal.tags.team`` means the entry, found without case, never a method of the mapping."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping):
            found = find(obj, attribute)
            if found is not None:
                return found
            if attribute not in _MAPPING_METHODS:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and isinstance(argument, str):
            found = find(obj, argument)
            return self.undefined(obj=obj, name=argument) if found is None else found
        return super().getitem(obj, argument)


def find(mapping: Mapping[str, Any], name: str) -> Any:
    """The entry called ``name``, exactly or else without case; None when there is none."""
    if name in mapping:
        return mapping[name]
    folded = fold_case(name)
    for key, value in mapping.items():
        if fold_case(key) == folded:
            return value
    return None


def _shorten(value: object, length: int = 100) -> str:
    """Cut to ``length`` characters, ending in an ellipsis when something was cut."""
    text = str(value)
    return text if len(text) <= length else text[: max(length - 1, 0)].rstrip() + "…"


@pass_context
def _utc(context: Context, value: object) -> str:
    """A time as the ticket system of the route takes it, in UTC; nothing for what is no time."""
    if isinstance(value, str) and value:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return ""
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    date_format = str(context.parent.get(DATE_FORMAT, _PLAIN_DATE))
    return value.astimezone(UTC).strftime(date_format) if isinstance(value, datetime) else ""


@pass_context
def _finalize(context: Context, value: Any) -> Any:
    """What a template prints: nothing for no value, and a missing name is noted in the render call's list."""
    budget = budget_of(context)
    printed = _printed(value, context.parent["_missing"])
    return budget.made(printed if isinstance(printed, str) else str(budget.made(printed)))


def _printed(value: Any, missing: list[str]) -> Any:
    if isinstance(value, Undefined):
        missing.append(value._undefined_name or "a value")
        return ""
    if value is None:
        return ""
    return rfc3339(value) if isinstance(value, datetime) else value


def _made() -> _Environment:
    environment = _Environment(
        undefined=ChainableUndefined,
        autoescape=False,
        keep_trailing_newline=False,
        trim_blocks=True,
        finalize=_finalize,
    )
    environment.add_filter("shorten", _shorten)
    environment.add_filter("utc", _utc)
    return environment


_ENVIRONMENT = _made()


def environment() -> Environment:
    """The environment of all templates, for checks."""
    return _ENVIRONMENT


Render = Callable[[Mapping[str, Any], list[str]], str]


#: ``{{ signal.title }}``: one name and nothing else, which is what most templates are.
_NAME_ONLY = re.compile(r"\{\{\s*([a-z_]\w*(?:\.[A-Za-z]\w*)*)\s*\}\}")


#: What templates may begin with; everything else is Jinja's business.
_KNOWN = frozenset({"signal", "resource", "levels", "route", "source", "summary"})


@lru_cache(maxsize=2048)
def compile_template(text: str) -> Render:
    """Compile ``text`` to a function of (context, missing) that gives text and adds the names of missing values.

    Raises jinja2.TemplateSyntaxError for text that is no template.
    """
    if "{{" not in text and "{%" not in text and "{#" not in text:
        return lambda _context, _missing: text
    name = _NAME_ONLY.fullmatch(text.strip())
    if name is not None and name[1].split(".")[0] in _KNOWN:
        return _lookup(name[1].split("."))
    if len(text) > _LONGEST_SOURCE:
        raise TemplateSyntaxError(f"a template has at most {_LONGEST_SOURCE:,} characters", 1)
    try:
        template: Template = _ENVIRONMENT.from_string(text)
    except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError):
        raise TemplateSyntaxError("it is nested too deeply, or has a number that is too large", 1) from None

    def render(context: Mapping[str, Any], missing: list[str]) -> str:
        return template.render(context, _missing=missing, **{BUDGET: RenderBudget()})[:MAX_RENDERED].strip()

    return render


#: What may be read of our own values without asking the sandbox.
_ATTRIBUTES: Mapping[type, frozenset[str]] = {
    Signal: frozenset(Signal.__dataclass_fields__),
    Resource: frozenset(Resource.__dataclass_fields__),
    Levels: frozenset(Levels.model_fields),
    SourceWords: frozenset(SourceWords.__dataclass_fields__),
}


def _lookup(path: list[str]) -> Render:
    """The value that a template of one name prints, found as Jinja finds it, without the cost of a whole rendering."""

    def render(context: Mapping[str, Any], missing: list[str]) -> str:
        value = context[path[0]]
        for step in path[1:]:
            plain = _ATTRIBUTES.get(type(value))
            value = getattr(value, step) if plain and step in plain else _ENVIRONMENT.getattr(value, step)
        if isinstance(value, str):
            return value[:MAX_RENDERED].strip()
        return str(_printed(value, missing))[:MAX_RENDERED].strip()

    return render
