"""Finds mistakes in the templates of the configuration before they are used: syntax, and names that do not exist."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields

from jinja2 import TemplateError, nodes
from jinja2.meta import find_undeclared_variables

from shared.config.model import Levels
from shared.core.plugins import SourceWords
from shared.core.signal import Resource, Signal
from shared.mapping.templates import compile_template, environment

#: What a template of a ticket field may begin with, and the names that may follow. Empty: nothing, or anything.
NAMES: Mapping[str, frozenset[str]] = {
    "signal": frozenset(one.name for one in fields(Signal)) | {"order"},
    "resource": frozenset(one.name for one in fields(Resource)) | {"tags"},
    "levels": frozenset(Levels.model_fields),
    "source": frozenset(one.name for one in fields(SourceWords)),
    "route": frozenset(),
    "summary": frozenset(),
}

#: Grouping and counting see the signal and its resource alone.
_GROUPING = {name: NAMES[name] for name in ("signal", "resource")}

_NO_NAME = re.compile(r"No (filter|test) named '(.*?)'")


def template_problem(text: str, names: Mapping[str, frozenset[str]] | None = None) -> str | None:
    """What is wrong with a template, as one sentence with its fix where there is a certain one; None for nothing.

    Args:
        text: the template.
        names: what it may begin with, and the names that may follow; None for those of a ticket field, empty for
            those of a group or throttle.
    """
    try:
        compile_template(text)
        tree = environment().parse(text)
    except TemplateError as error:
        return _syntax(error)
    known = NAMES if names is None else names or _GROUPING
    for name in sorted(find_undeclared_variables(tree)):
        if name not in known and name not in environment().globals:
            return f"nothing is called '{name}'.{_suggest(name, known)}"
    assigned = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}
    for owner, attribute in _attributes(tree):
        allowed = known.get(owner, frozenset())
        if allowed and owner not in assigned and attribute not in allowed:
            return f"'{owner}' has no '{attribute}'.{_suggest(attribute, allowed, f'{owner}.')}"
    return None


def _syntax(error: TemplateError) -> str:
    found = _NO_NAME.search(error.message or "")
    if found is None:
        return f"{(error.message or 'not a template').rstrip('.')} (line {getattr(error, 'lineno', 1)})"
    known = environment().filters if found[1] == "filter" else environment().tests
    return f"there is no {found[1]} '{found[2]}'.{_suggest(found[2], known)}"


def _attributes(tree: nodes.Template) -> Iterator[tuple[str, str]]:
    """``signal.title`` and ``signal["title"]``, each as its two names."""
    for one in tree.find_all(nodes.Getattr):
        if isinstance(one.node, nodes.Name):
            yield one.node.name, one.attr
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.node, nodes.Name) and isinstance(item.arg, nodes.Const) and isinstance(item.arg.value, str):
            yield item.node.name, item.arg.value


def _suggest(name: str, known: Mapping[str, object] | frozenset[str], before: str = "") -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    if close:
        return f" Fix: did you mean '{before}{close[0]}'?"
    if len(known) > 20:
        return " Fix: see 'Templates' in docs/configuration.md"
    return f" Fix: write one of {', '.join(before + one for one in sorted(known))}"
