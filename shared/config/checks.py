"""Mistakes in bridge.yaml that no single value shows: connections, look-ups, templates, conditions, names of routes.

Works on raw data, so that they are found beside all others. Pure. A source checks its own sections in its plug-in.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shared.core.fields import FieldMap
from shared.core.plugins import ConfigPath, ConfigView, Mistake, Section
from shared.core.ticket_system import TicketKind

#: What is wrong with a template, as one sentence; None for nothing. Takes the text, and its values (name to
#: attributes); None for those of a ticket field.
TemplateCheck = Callable[[str, Mapping[str, frozenset[str]] | None], str | None]

#: Words for what signals are grouped or counted by, beside templates.
_BY = ("rule", "resource", "rule_and_resource", "all")
_SPLIT_BY = ("row", "item")

#: What a route may say beside ``ticket: none``.
_WITHOUT_TICKET = ("name", "when", "ticket", "disabled")


def suggest(name: str, known: list[str]) -> str:
    """The fix for a name that is not known and may be left out: the one that was probably meant, or all."""
    close = _closest(name, known)
    return f" Fix: did you mean '{close}'?" if close else f" Fix: take it out; known here: {', '.join(known)}"


def suggest_value(given: Any, known: Sequence[str], otherwise: str = "", close_only: bool = False) -> str:
    """The fix for a value that is not known where one is needed.

    Args:
        given: the value; what is no text has no close one.
        known: what may be written.
        otherwise: what else helps, for example ``add it under lookups``.
        close_only: say nothing when none is close, because the message lists them already.
    """
    close = _closest(given, known) if isinstance(given, str) else None
    if close:
        return f" Fix: did you mean '{close}'?"
    if close_only:
        return ""
    first = [f"write one of {', '.join(known)}" if len(known) > 1 else f"write {known[0]}"] if known else []
    return f" Fix: {', or '.join([*first, *([otherwise] if otherwise else [])])}"


def _closest(name: str, known: Sequence[str]) -> str | None:
    by_folded = {one.casefold().replace("_", ""): one for one in known}
    close = difflib.get_close_matches(name.casefold().replace("_", "").replace(" ", ""), list(by_folded), n=1)
    return by_folded[close[0]] if close else None


class FieldChecks:
    """Checks ticket fields of any section.

    Args:
        lookups: the tables of the file, raw.
        fields: the fields of each connection that names a known ticket system.
        template_problem: what is wrong with a template.
        closing_mistakes: of a connection's name, a kind of ticket and fields: those that contradict the connection,
            with a sentence for each.
    """

    def __init__(
        self,
        lookups: Any,
        fields: Mapping[str, FieldMap],
        template_problem: TemplateCheck,
        closing_mistakes: Callable[[str, TicketKind, Mapping[str, Any]], Mapping[str, str]],
    ) -> None:
        self._tables = sorted(map(str, lookups)) if isinstance(lookups, dict) else []
        self._fields = fields
        self._template_problem = template_problem
        self._closing_mistakes = closing_mistakes

    def check(self, path: ConfigPath, fields: Any, connection: Any = None, kind: Any = None) -> list[Mistake]:
        """Mistakes in look-ups and templates, and columns that the ticket system computes itself.

        Args:
            path: place of ``fields`` in the file.
            fields: raw; anything but a section of names is left to the model.
            connection: name of the connection, kind: kind of ticket; without them nothing is said of columns.
        """
        problems: list[Mistake] = []
        if not isinstance(fields, dict):
            return problems
        for name, value in fields.items():
            here = (*path, str(name))
            if isinstance(value, str):
                problems += self.check_template(here, value)
            elif isinstance(value, dict):
                problems += self._check_chain(here, value)
                table = value.get("lookup")
                if isinstance(table, str) and table not in self._tables:
                    fix = suggest_value(table, self._tables, "add the table under lookups")
                    problems.append(((*here, "lookup"), f"there is no lookup '{table}'.{fix}"))
        computed = self._computed(connection, kind)
        return problems + [((*path, name), text) for name, text in computed.items() if name in fields]

    def _check_chain(self, path: ConfigPath, value: Mapping[str, Any]) -> list[Mistake]:
        """Mistakes in the templates of a look-up."""
        problems = [*self.check_template((*path, "default"), value.get("default"))]
        key = value.get("key")
        for place, step in enumerate(key) if isinstance(key, list) else ():
            at = (*path, "key", place)
            direct = step.get("value") if isinstance(step, dict) else None
            problems += self.check_template(at, step) if direct is None else self.check_template((*at, "value"), direct)
        return problems + self.check_template((*path, "key"), key)

    def check_template(
        self, path: ConfigPath, text: Any, names: Mapping[str, frozenset[str]] | None = None
    ) -> list[Mistake]:
        """The mistake of one template. ``names`` are its values where they are not those of a ticket field."""
        problem = self._template_problem(text, names) if isinstance(text, str) else None
        if not problem:
            return []
        fix = "" if "Fix:" in problem else ". Fix: see 'Templates' in docs/configuration.md"
        return [(path, f"template: {problem}{fix}")]

    def check_closing(self, path: ConfigPath, fields: Any, connection: Any, kind: Any) -> list[Mistake]:
        """Mistakes in the fields that are written when resolving; the same arguments as :meth:`check`."""
        problems = self.check(path, fields)
        known = _kind(kind)
        if not isinstance(fields, dict) or not isinstance(connection, str) or known is None:
            return problems
        found = self._closing_mistakes(connection, known, fields)
        return problems + [((*path, name), text) for name, text in found.items()]

    def _computed(self, connection: Any, kind: Any) -> Mapping[str, str]:
        found = self._fields.get(connection) if isinstance(connection, str) else None
        known = _kind(kind)
        return {} if found is None or known is None else found.computed.get(known, {})


def _kind(text: Any) -> TicketKind | None:
    return next((one for one in TicketKind if one.value == text), None)


def check_file(view: ConfigView, sections: Iterable[Section]) -> list[Mistake]:
    """Mistakes in routes, the default, throttles, maintenance windows and the allow-list."""
    data = view.data
    problems: list[Mistake] = []
    bodies: list[tuple[ConfigPath, Any]] = [(("default",), data.get("default"))]
    names: set[str] = set()
    reserved = {section.reserved: section.path for section in sections if section.reserved}
    for path, route in entries(data, "routes"):
        bodies.append((path, route))
        problems += _check_name((*path, "name"), str(route.get("name")), names, reserved)
        if route.get("when") == {}:
            fix = "Fix: add one, or make it the 'default' section"
            problems.append(((*path, "when"), f"no condition. {fix}"))
        problems += view.check_when((*path, "when"), route.get("when"))
    for path, window in entries(data, "maintenance"):
        problems += view.connection_mistakes((*path, "changes_of"), window.get("changes_of"))
        problems += view.check_when((*path, "when"), window.get("when"))
    for path, throttle in entries(data, "throttles"):
        problems += view.check_when((*path, "when"), throttle.get("when"))
        problems += _check_by(view, (*path, "by"), throttle.get("by"))
    makes_tickets = any(section.makes_tickets(data.get(section.path)) for section in sections)
    if not bodies[1:] and data.get("default") is None and not makes_tickets:
        problems.append(((), "no routes and no default: nothing would make a ticket. Fix: add a 'default' section"))
    for path, body in bodies:
        if isinstance(body, dict):
            problems += _check_route(view, path, body)
    return problems


def entries(data: Mapping[str, Any], name: str) -> list[tuple[ConfigPath, dict[str, Any]]]:
    """The entries of a list of sections with their places; what is no section is left to the model."""
    found = data.get(name)
    return [
        ((name, index), entry)
        for index, entry in enumerate(found if isinstance(found, list) else [])
        if isinstance(entry, dict)
    ]


def _check_name(path: ConfigPath, name: str, names: set[str], reserved: Mapping[str, str]) -> list[Mistake]:
    problems: list[Mistake] = []
    for beginning, section in reserved.items():
        if name == beginning or name.startswith((f"{beginning}:", f"{beginning}/")):
            text = f"a route may not be called '{name}'. Fix: another name; these are those of the section {section}"
            problems.append((path, text))
    if name in names or name == "default":
        problems.append((path, f"route name '{name}' is taken. Fix: give each its own"))
    names.add(name)
    return problems


def _check_by(view: ConfigView, path: ConfigPath, by: Any, words: tuple[str, ...] = _BY) -> list[Mistake]:
    """``by`` of a group or throttle: a known word, or a template."""
    if not isinstance(by, str) or not by.strip() or by in words:
        return []
    if "{{" in by or "{%" in by:
        return view.check_template(path, by, {})
    fix = view.suggest_value(by, list(words), "a template")
    return [(path, f"'{by}' is a fixed text, so that everything would be one.{fix}")]


def _check_route(view: ConfigView, path: ConfigPath, body: Mapping[str, Any]) -> list[Mistake]:
    if body.get("ticket") == "none":
        text = "'ticket: none' makes no ticket. Fix: take this out, or 'ticket: none'"
        return [((*path, str(name)), text) for name in body if name not in _WITHOUT_TICKET]
    connection = body.get("connection")
    problems = view.connection_mistakes((*path, "connection"), connection)
    kind = body.get("ticket", TicketKind.INCIDENT.value)
    problems += view.check_fields((*path, "fields"), body.get("fields"), connection, kind)
    problems += _check_template(view, (*path, "template"), body.get("template"), connection, kind)
    resolve, group = body.get("resolve"), body.get("group")
    if isinstance(resolve, dict):
        problems += view.check_closing((*path, "resolve", "fields"), resolve.get("fields"), connection, kind)
    after = body.get("open_after")
    if isinstance(after, dict):
        problems += _check_by(view, (*path, "open_after", "per"), after.get("per"))
    if isinstance(group, dict):
        problems += _check_by(view, (*path, "group", "by"), group.get("by"), (*_BY, *_SPLIT_BY))
    return problems


def _check_template(view: ConfigView, path: ConfigPath, template: Any, connection: Any, kind: Any) -> list[Mistake]:
    """A template of the ticket system for a kind of ticket that has none there."""
    found = view.fields.get(connection) if isinstance(connection, str) else None
    known = _kind(kind)
    if template is None or found is None or known is None or known in found.templates:
        return []
    kinds = ", ".join(sorted(one.value for one in found.templates))
    fix = f"Fix: take it out; tickets of kind {kinds} have templates" if kinds else "Fix: take it out"
    return [(path, f"tickets of kind {known.value} start from no template on this connection. {fix}")]
