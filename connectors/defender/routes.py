"""Integrations of Defender for Cloud: which one covers a recommendation, and the routes that they are. Pure.

An integration is a route for each kind of ticket, called ``integration:<name>`` for its own kind and
``integration:<name>/<kind>`` for the others. The facts of an assignment reach templates as details of the signal; see
:data:`FACTS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from connectors.defender.scopes import places
from connectors.defender.settings import IntegrationSettings
from shared.config.model import ResolveSettings, RouteBody
from shared.core.field_values import FieldValue
from shared.core.fields import FieldRole
from shared.core.letter_case import fold_case
from shared.core.signal import Signal
from shared.core.ticket_system import TicketKind
from shared.mapping.groups import CompiledGroup, GroupKey
from shared.mapping.mapper import CompiledRoute, Mapper
from shared.mapping.source_routes import SourceRoute

KINDS = (TicketKind.INCIDENT, TicketKind.CHANGE_REQUEST, TicketKind.PROBLEM)

#: Details that tell templates of an assignment. All are text; those that say nothing are absent.
FACTS: Mapping[str, str] = {
    "owner": "who has to fix it: e-mail address or user name",
    "due_date": "by when: UTC, 2026-01-02 03:04:05",
    "assignment_caller": "caller of the ticket",
    "governance_rule": "name of the rule that assigned it",
    "assigned_by": "who assigned it by hand",
    "integration": "name of the integration",
    "assignment_kind": "kind of ticket",
    "assignment_ticket": "key of the link that has the ticket",
}

#: Begins the names of details that are ticket fields which a person gave: values, never templates.
OWN_FIELD = "field."

#: What the description says besides the summary has this much room.
HEAD = 700

#: A group's ticket is told at most so often who joined.
_NOTE_EVERY = timedelta(minutes=5)

_DUE = (
    "To be fixed by {{ signal.details.due_date or 'no date' }} UTC"
    "{% if signal.details.owner %}, owner {{ signal.details.owner | shorten(100) }}{% endif %}."
    "{% if signal.details.governance_rule %}"
    " Assigned by governance rule {{ signal.details.governance_rule | shorten(100) }}."
    "{% elif signal.details.assigned_by %} Assigned by {{ signal.details.assigned_by | shorten(100) }}.{% endif %}"
    "{{ '' }}"  # a line break right after a block would be taken as the block's own
)
_ABOUT = {
    "resource": "",
    "recommendation": " This ticket is for all resources that share the recommendation; its work notes list them.",
    "owner": " This ticket is for all recommendations that this owner has to fix; its work notes list the resources.",
}
_TITLE = {
    "resource": "{{ signal.title }}",
    "recommendation": "{{ signal.rule or signal.title }}",
    "owner": "{% if signal.details.owner %}Recommendations of Microsoft Defender for Cloud for "
    "{{ signal.details.owner | shorten(90) }}{% else %}{{ signal.title }}{% endif %}",
}

#: What a resolution says in the words of its own sentence (healthy, exempted ...); a group says how many are over.
_GONE = "{% if signal.details.resolution or signal.details.group_on == '0' %}{{ signal.condition }}\n\n{% endif %}"


def is_assigned(signal: Signal) -> bool:
    """Whether somebody has to fix it: then its ticket goes by an integration rather than by ``routes``."""
    return signal.kind == "recommendation" and "integration" in signal.details


class Integrations:
    """The integrations of one configuration.

    Args:
        sections: of the configuration; no two have the same scope. Those that are disabled only keep their tickets.
    """

    def __init__(self, sections: Sequence[IntegrationSettings]) -> None:
        self._by_scope = {section.scope.lower(): section for section in sections if not section.disabled}
        self._by_name = {section.name: section for section in sections}
        self.routes = tuple(route for section in sections for route in _routes(section))

    def covering(self, signal: Signal) -> IntegrationSettings | None:
        """The integration with the nearest scope; of an assigned signal its own, as long as there is one."""
        pinned = self._by_name.get(signal.details.get("integration", ""))
        if pinned is not None:
            return pinned
        return next((found for place in places(signal) if (found := self._by_scope.get(place))), None)

    def route_of(self, signal: Signal) -> str | None:
        """Name of the route of an assigned recommendation, None for others and where no integration covers it."""
        return self.route_if_assigned(signal) if is_assigned(signal) else None

    def route_if_assigned(self, signal: Signal) -> str | None:
        """Name of the route that a recommendation takes when it is assigned, None when no integration covers it."""
        covering = self.covering(signal)
        if covering is None:
            return None
        wanted = signal.details.get("assignment_kind", "")
        kind = next((kind for kind in KINDS if kind.value == wanted), TicketKind(covering.ticket))
        return route_name(covering, kind)


def route_name(integration: IntegrationSettings, kind: TicketKind) -> str:
    """``integration:<name>``, and ``integration:<name>/<kind>`` for a kind that is not the integration's own."""
    name = f"integration:{integration.name}"
    return name if kind is integration.ticket else f"{name}/{kind.value}"


def own_fields(signal: Signal) -> dict[str, str]:
    """Ticket fields that a person gave with the assignment."""
    return {name.removeprefix(OWN_FIELD): value for name, value in signal.details.items() if name.startswith(OWN_FIELD)}


def with_facts(signal: Signal, facts: Mapping[str, str]) -> Signal:
    """The signal with the facts of its assignment among its details, in place of any that it bore before."""
    details = {
        name: value for name, value in signal.details.items() if name not in FACTS and not name.startswith(OWN_FIELD)
    }
    if not facts and len(details) == len(signal.details):
        return signal
    return replace(signal, details={**details, **{name: value for name, value in facts.items() if value}})


def integration_of(mapper: Mapper, signal: Signal) -> CompiledRoute | None:
    """The route that a recommendation takes when it is assigned: that of the integration with the nearest scope. None
    when none covers it."""
    routes = mapper.source_routes.get("defender")
    name = routes.route_if_assigned(signal) if isinstance(routes, Integrations) else None
    return None if name is None else mapper.named(name)


def settings_of(route: CompiledRoute | None) -> IntegrationSettings | None:
    """The integration that a route was made from, None for any other route."""
    made_from = None if route is None else route.made_from
    return made_from if isinstance(made_from, IntegrationSettings) else None


def _routes(integration: IntegrationSettings) -> Iterator[SourceRoute]:
    """One route for each kind of ticket; those that the configuration says nothing of are made on demand only."""
    customised = {} if integration.fields == "default" else integration.fields
    for kind in KINDS:
        own = kind is integration.ticket
        fields = next((fields for name, fields in customised.items() if name is kind), {})
        name = route_name(integration, kind)
        yield SourceRoute(
            name=name,
            body=RouteBody(
                connection=integration.connection,
                ticket=kind,
                fields=fields,
                resolve=ResolveSettings(fields=integration.resolve_fields if own else {}),
                reopen_window=integration.reopen_window,
            ),
            defaults=_defaults(integration),
            closing_prefix=_GONE,
            group=CompiledGroup(_group(name, integration), None, _NOTE_EVERY),
            made_from=integration,
            expected=own or kind in customised,
            reserved_text=HEAD,
            own_fields=own_fields,
        )


def _defaults(integration: IntegrationSettings) -> dict[FieldRole, FieldValue]:
    return {
        FieldRole.TITLE: _TITLE[integration.one_ticket_per],
        FieldRole.BODY: f"{_DUE}{_ABOUT[integration.one_ticket_per]}\n\n{{{{ summary }}}}",
        FieldRole.OWNER: "{{ signal.details.owner or '' }}",
        FieldRole.DUE: "{{ signal.details.due_date | utc }}",
        FieldRole.REQUESTER: "{{ signal.details.assignment_caller or '' }}",
    }


def _group(route: str, integration: IntegrationSettings) -> GroupKey:
    """The group's key. Whoever is in a group stays in it, and whoever has a ticket of its own keeps that, whatever the
    configuration says meanwhile."""
    by = {"recommendation": "assessment_key", "owner": "owner"}.get(integration.one_ticket_per)

    def key(signal: Signal) -> str:
        pinned = signal.details.get("assignment_ticket", "")
        if pinned:
            return pinned if pinned.startswith(GROUPS) else ""
        found = fold_case(" ".join(signal.details.get(by, "").split())) if by else ""
        return f"group:1:{fold_case(route)}/{found}" if found else ""

    return key


#: Begins the keys of the groups that integrations make.
GROUPS = "group:1:integration:"
