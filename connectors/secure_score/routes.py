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
from shared.core.fields import FieldRole
from shared.core.signal import Signal
from shared.core.ticket_system import TicketKind
from shared.mapping.source_routes import SourceRoute

#: Name of the route, and beginning of the names of its variants.
ROUTE = "secure_score"

_DUE = "{{ signal.details.due_date | utc }}"

#: Severity is one less than the priority; where nobody named one, Microsoft's points did.
_PRIORITY = "{{ signal.details.priority or ([signal.severity + 1, 4] | min if signal.severity is not none else '') }}"


_TITLES = {
    TicketKind.INCIDENT: "Microsoft 365 Secure Score: {{ signal.title }}",
    TicketKind.CHANGE_REQUEST: "Microsoft 365 Security and Configuration Change Request: {{ signal.title }}",
}


class ControlRoutes:
    """The routes of the section: its own, one for each other kind that may be asked for, one for each rule that sets
    fields."""

    def __init__(self, section: SecureScoreSettings) -> None:
        self.routes = tuple(_routes(section))
        self._names = {route.name for route in self.routes}

    def route_of(self, signal: Signal) -> str | None:
        """Name of the best route for a control: that of its rule, else of the kind that was asked for, else the
        section's own."""
        rule, kind = signal.details.get("score_rule"), signal.details.get("ticket_kind")
        wanted = [f"{ROUTE}/rules/{rule}" if rule else "", f"{ROUTE}/{kind}" if kind else "", ROUTE]
        return next((name for name in wanted if name in self._names), None)


def _routes(section: SecureScoreSettings) -> Iterator[SourceRoute]:
    for kind in (TicketKind.CHANGE_REQUEST, TicketKind.INCIDENT):
        own = kind is section.ticket
        yield _route(section, ROUTE if own else f"{ROUTE}/{kind.value}", kind, {}, expected=own)
    for rule in section.rules:
        if rule.fields:
            yield _route(section, f"{ROUTE}/rules/{rule.name}", section.ticket, rule.fields, expected=True)


def _route(
    section: SecureScoreSettings, name: str, kind: TicketKind, more: dict[str, FieldValue], *, expected: bool
) -> SourceRoute:
    body = RouteBody(
        connection=section.connection,
        ticket=kind,
        fields={**section.fields, **more},
        resolve=ResolveSettings(action=section.resolve, fields=section.resolve_fields),
        updates=section.updates,
        reopen_window=section.reopen_window,
    )
    return SourceRoute(name=name, body=body, defaults=_defaults(kind, section.requested_by), expected=expected)


def _defaults(kind: TicketKind, requested_by: str) -> dict[FieldRole, FieldValue]:
    return {
        FieldRole.TITLE: _TITLES[kind],
        # JSON text is a text of the template language too, whatever is in it.
        FieldRole.REQUESTER: f"{{{{ signal.details.requested_by or {json.dumps(requested_by)} }}}}",
        FieldRole.DUE: _DUE,
        FieldRole.WANTED_BY: _DUE,
        FieldRole.PRIORITY: _PRIORITY,
    }
