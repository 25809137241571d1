"""The routes that controls of Secure Score take where the configuration has that section. Pure.

The fields are those that Microsoft 365 agreed with ServiceNow: who asked, name and description of the task, priority,
due date, source of the recommendation, category (Microsoft Learn, "ServiceNow integration" of Microsoft 365; in
reference/systems.md SS-7), and with them remediation, score and page, which stand in the long text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from connectors.secure_score.settings import SecureScoreSettings
from shared.config.model import ResolveSettings, RouteBody
from shared.core.field_values import FieldValue
from shared.core.signal import Signal
from shared.core.ticket_system import TicketKind

SOURCE = "secure_score"

#: Name of the route, and beginning of the names of its variants.
ROUTE = "secure_score"

_DUE = "{{ (signal.details.due_date or '')[:19] | replace('T', ' ') }}"

#: Severity is one less than the priority; where nobody named one, Microsoft's points did.
_PRIORITY = "{{ signal.details.priority or ([signal.severity + 1, 4] | min if signal.severity is not none else '') }}"


def bodies(section: SecureScoreSettings) -> Iterator[tuple[str, RouteBody]]:
    """Each route by name: the section's, one for each other kind that may be asked for, one for each rule that sets
    fields."""
    for kind in (TicketKind.CHANGE_REQUEST, TicketKind.INCIDENT):
        yield _name("", kind, section), _body(section, kind, {})
    for rule in section.rules:
        if rule.fields:
            yield _name(rule.name, section.ticket, section), _body(section, section.ticket, rule.fields)


def route_names(signal: Signal) -> Iterator[str]:
    """Names of the routes that a control's signal may take, the best first; the last exists always."""
    rule, kind = signal.details.get("score_rule"), signal.details.get("ticket_kind")
    if rule:
        yield f"{ROUTE}/rules/{rule}"
    if kind:
        yield f"{ROUTE}/{kind}"
    yield ROUTE


def is_expected(name: str) -> bool:
    """Whether tickets are made by a route without anybody asking for its kind."""
    return name == ROUTE or name.startswith(f"{ROUTE}/rules/")


def _name(rule: str, kind: TicketKind, section: SecureScoreSettings) -> str:
    if rule:
        return f"{ROUTE}/rules/{rule}"
    return ROUTE if kind is section.ticket else f"{ROUTE}/{kind.value}"


def _body(section: SecureScoreSettings, kind: TicketKind, more: dict[str, FieldValue]) -> RouteBody:
    return RouteBody(
        connection=section.connection,
        ticket=kind,
        fields={**_fields(kind, section.requested_by), **section.fields, **more},
        resolve=ResolveSettings(action=section.resolve, fields=section.resolve_fields),
        updates=section.updates,
        reopen_window=section.reopen_window,
    )


def _fields(kind: TicketKind, requested_by: str) -> dict[str, FieldValue]:
    # JSON text is a text of the template language too, whatever is in it.
    asked_by = f"{{{{ signal.details.requested_by or {json.dumps(requested_by)} }}}}"
    if kind is TicketKind.INCIDENT:
        return {
            "short_description": "Microsoft 365 Secure Score: {{ signal.title }}",
            "caller_id": asked_by,
            "due_date": _DUE,
        }
    return {
        "short_description": "Microsoft 365 Security and Configuration Change Request: {{ signal.title }}",
        "requested_by": asked_by,
        "requested_by_date": _DUE,
        "due_date": _DUE,
        "priority": _PRIORITY,
    }
