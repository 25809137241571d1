"""Mistakes in bridge.yaml that no single value shows: connections, look-ups and templates.

Works on raw data, so that they are found beside all others. Pure.
"""

from __future__ import annotations

import difflib
from typing import Any

from shared.core.ticket_system import TicketKind
from shared.mapping.templates import template_problem

#: A place in the file, and what is wrong there.
Path_ = tuple[str | int, ...]
Mistake = tuple[Path_, str]

PRIORITY = "ServiceNow computes priority and overwrites it silently. Fix: set impact and urgency instead"

_SCORE_FIELDS = ("fields", "resolve_fields")


def suggest(name: str, known: list[str]) -> str:
    """The fix for a name that is not known: the one that was probably meant, or all."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" Fix: did you mean '{close[0]}'?" if close else f" Fix: take it out; known here: {', '.join(known)}"


def field_names(fields: Any) -> set[str]:
    """Names of the fields that a section fills."""
    return {str(name) for name in fields} if isinstance(fields, dict) else set()


def check_fields(path: Path_, fields: Any, lookups: Any) -> list[Mistake]:
    """Look-ups and templates of ticket fields. ``lookups``: the tables of the file."""
    problems: list[Mistake] = []
    for name, value in fields.items() if isinstance(fields, dict) else ():
        here = (*path, str(name))
        if isinstance(value, str):
            texts = [(here, value)]
        elif isinstance(value, dict):
            texts = [((*here, part), value[part]) for part in ("key", "default") if isinstance(value.get(part), str)]
            table = value.get("lookup")
            tables = sorted(map(str, lookups)) if isinstance(lookups, dict) else []
            if isinstance(table, str) and table not in tables:
                problems.append(((*here, "lookup"), f"there is no lookup '{table}'.{suggest(table, tables)}"))
        else:
            continue
        for place, text in texts:
            problem = template_problem(text)
            if problem:
                problems.append((place, f"template: {problem}. Fix: see 'Templates' in docs/configuration.md"))
    return problems


def check_integrations(defender: Any, connections: Any, lookups: Any) -> list[Mistake]:
    """Connections and fields of the integrations of Defender for Cloud."""
    problems: list[Mistake] = []
    integrations = defender.get("integrations") if isinstance(defender, dict) else None
    for index, integration in enumerate(integrations if isinstance(integrations, list) else []):
        if not isinstance(integration, dict):
            continue
        path: Path_ = ("defender", "integrations", index)
        wanted = integration.get("connection")
        if isinstance(connections, dict) and isinstance(wanted, str) and wanted not in connections:
            fix = suggest(wanted, sorted(map(str, connections)))
            problems.append(((*path, "connection"), f"there is no connection '{wanted}'.{fix}"))
        problems += check_fields((*path, "resolve_fields"), integration.get("resolve_fields"), lookups)
        kinds = integration.get("fields")
        for kind, fields in kinds.items() if isinstance(kinds, dict) else ():
            here = (*path, "fields", str(kind))
            problems += check_fields(here, fields, lookups)
            if "priority" in field_names(fields) and kind != TicketKind.CHANGE_REQUEST.value:
                problems.append(((*here, "priority"), PRIORITY))
    return problems


def check_scores(scores: Any, connections: Any, lookups: Any) -> list[Mistake]:
    """Connection, fields and comments of the section on Secure Score."""
    if not isinstance(scores, dict):
        return []
    problems: list[Mistake] = []
    wanted = scores.get("connection")
    if isinstance(connections, dict) and isinstance(wanted, str) and wanted not in connections:
        fix = suggest(wanted, sorted(map(str, connections)))
        problems.append((("secure_score", "connection"), f"there is no connection '{wanted}'.{fix}"))
    places: list[tuple[Path_, Any]] = [(("secure_score", name), scores.get(name)) for name in _SCORE_FIELDS]
    rules, states = scores.get("rules"), scores.get("states")
    for index, rule in enumerate(rules if isinstance(rules, list) else []):
        if isinstance(rule, dict):
            places.append((("secure_score", "rules", index, "fields"), rule.get("fields")))
    for index, state in enumerate(states if isinstance(states, list) else []):
        comment = state.get("comment") if isinstance(state, dict) else None
        places.append((("secure_score", "states", index), {"comment": comment}))
    for path, fields in places:
        problems += check_fields(path, fields, lookups)
        if "priority" in field_names(fields) and scores.get("ticket") == TicketKind.INCIDENT.value:
            problems.append(((*path, "priority"), PRIORITY))
    return problems
