"""Mistakes in bridge.yaml that no single value shows: connections, look-ups, templates and names of routes.

Works on raw data, so that they are found beside all others. Pure. A source checks its own sections in its plug-in.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shared.core.fields import FieldMap
from shared.core.plugins import ConfigPath, ConfigView, Mistake, Section
from shared.core.ticket_system import TicketKind


def suggest(name: str, known: list[str]) -> str:
    """The fix for a name that is not known: the one that was probably meant, or all."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" Fix: did you mean '{close[0]}'?" if close else f" Fix: take it out; known here: {', '.join(known)}"


class FieldChecks:
    """Checks ticket fields of any section.

    Args:
        lookups: the tables of the file, raw.
        fields: the fields of each connection that names a known ticket system.
        template_problem: what is wrong with a template, None when it compiles.
    """

    def __init__(
        self, lookups: Any, fields: Mapping[str, FieldMap], template_problem: Callable[[str], str | None]
    ) -> None:
        self._tables = sorted(map(str, lookups)) if isinstance(lookups, dict) else []
        self._fields = fields
        self._template_problem = template_problem

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
            texts: list[tuple[ConfigPath, str]] = []
            if isinstance(value, str):
                texts = [(here, value)]
            elif isinstance(value, dict):
                texts = [
                    ((*here, part), value[part]) for part in ("key", "default") if isinstance(value.get(part), str)
                ]
                table = value.get("lookup")
                if isinstance(table, str) and table not in self._tables:
                    problems.append(((*here, "lookup"), f"there is no lookup '{table}'.{suggest(table, self._tables)}"))
            for place, text in texts:
                if problem := self._template_problem(text):
                    problems.append((place, f"template: {problem}. Fix: see 'Templates' in docs/configuration.md"))
        computed = self._computed(connection, kind)
        return problems + [((*path, name), text) for name, text in computed.items() if name in fields]

    def _computed(self, connection: Any, kind: Any) -> Mapping[str, str]:
        found = self._fields.get(connection) if isinstance(connection, str) else None
        known = next((one for one in TicketKind if one.value == kind), None)
        return {} if found is None or known is None else found.computed.get(known, {})


def check_file(view: ConfigView, sections: Iterable[Section]) -> list[Mistake]:
    """Mistakes in routes, the default and maintenance windows."""
    data = view.data
    problems: list[Mistake] = []
    bodies: list[tuple[ConfigPath, Any]] = [(("default",), data.get("default"))]
    names: set[str] = set()
    routes = data.get("routes")
    reserved = {section.reserved: section.path for section in sections if section.reserved}
    for index, route in enumerate(routes if isinstance(routes, list) else []):
        bodies.append((("routes", index), route))
        if isinstance(route, dict):
            problems += _check_name(("routes", index, "name"), str(route.get("name")), names, reserved)
            if route.get("when") == {}:
                fix = "Fix: add one, or make it the 'default' section"
                problems.append((("routes", index, "when"), f"no condition. {fix}"))
    windows = data.get("maintenance")
    for index, window in enumerate(windows if isinstance(windows, list) else []):
        followed = window.get("changes_of") if isinstance(window, dict) else None
        problems += view.connection_mistakes(("maintenance", index, "changes_of"), followed)
    makes_tickets = any(section.makes_tickets(data.get(section.path)) for section in sections)
    if not bodies[1:] and data.get("default") is None and not makes_tickets:
        problems.append(((), "no routes and no default: nothing would make a ticket. Fix: add a 'default' section"))
    for path, body in bodies:
        if isinstance(body, dict):
            problems += _check_route(view, path, body)
    return problems


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


def _check_route(view: ConfigView, path: ConfigPath, body: Mapping[str, Any]) -> list[Mistake]:
    connection = body.get("connection")
    problems = view.connection_mistakes((*path, "connection"), connection)
    kind = body.get("ticket", TicketKind.INCIDENT.value)
    problems += view.check_fields((*path, "fields"), body.get("fields"), connection, kind)
    resolve = body.get("resolve")
    if isinstance(resolve, dict):
        problems += view.check_fields((*path, "resolve", "fields"), resolve.get("fields"), None, None)
    return problems
