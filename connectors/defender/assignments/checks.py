"""Checks that everything that a request names exists, before anything is written.

Mistakes of one sort are reported together, with suggestions. A resource outside the allow list is refused before Azure
is asked about it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Protocol
from uuid import UUID

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.plans import (
    AssignmentPlan,
    UnknownPerson,
    find_caller,
    find_owner,
    has_ticket,
    newer,
)
from connectors.defender.assignments.requests import AssignmentRequest
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.payloads.schemas import SCHEMAS
from connectors.defender.routes import KINDS, integration_of, settings_of
from connectors.defender.scopes import places as places_of
from connectors.defender.settings import DefenderSettings, IntegrationSettings
from connectors.microsoft.azure_resources import parse_id
from shared.config.access import AcceptOnly
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import KnowsPeople, TicketKind, TicketSystem
from shared.delivery.links import LinkStore
from shared.mapping.allow_list import not_allowed
from shared.mapping.mapper import Mapper
from shared.payloads.parse import parse
from shared.platform.concurrency import for_each
from shared.web.requests import INVALID

#: Resources that are worked on at the same time.
CONCURRENCY = 4

#: Who assigned it, where the request does not say.
BY_HAND = "on demand"

_MOST_SUGGESTIONS = 5

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class AssessmentReader(Protocol):
    """Reads recommendations of resources; see ``connectors.defender``."""

    async def get(self, assessment_id: str) -> dict[str, Any] | None: ...

    async def of_resource(self, resource_id: str) -> list[dict[str, Any]]: ...


class AssignmentChecks:
    """Checks requests against everything that they name.

    Args:
        settings: section ``defender``.
        mapper: the compiled configuration.
        assessments: gives what reads the recommendations of a resource, by its ARM id.
        locate: gives a signal the details that name tenant and management groups of its subscription.
        systems: gives the ticket system of a connection; raises Refused for one that is not configured.
        store, links: the bridge's own.
    """

    def __init__(
        self,
        settings: DefenderSettings,
        mapper: Mapper,
        assessments: Callable[[str], AssessmentReader],
        locate: Callable[[Signal], Awaitable[Signal]],
        systems: Callable[[str], TicketSystem],
        store: AssignmentStore,
        links: LinkStore,
    ) -> None:
        self._integrations = {one.name: one for one in settings.integrations}
        self._mapper = mapper
        self._assessments = assessments
        self._locate = locate
        self._systems = systems
        self._store = store
        self._links = links

    async def plans(self, request: AssignmentRequest, now: datetime) -> list[AssignmentPlan]:
        """What is to be done: one plan per resource, in their order. Writes nothing.

        Raises:
            RequestRefused: due date in the past; a ticket field that is not the request's to set; not in the allow
                list; no such recommendation; nothing to fix; the present ticket conflicts; unknown integration, person
                or field.
            BridgeError: a question could not be asked.
        """
        due = request.due(now)
        _refuse(RefusalReason.INVALID, INVALID, self._reserved_fields(request))
        self._allowed_scopes(request.resources, now)
        if request.integration and request.integration not in self._integrations:
            mistake = self._no_integration(request.integration)
            raise RequestRefused(RefusalReason.UNKNOWN_VALUE, "Unknown integration", [mistake])
        found = await for_each(
            request.resources, lambda one: self._recommendation(one, request.recommendation, now), limit=CONCURRENCY
        )
        _refuse(
            RefusalReason.NOT_FOUND, "No such recommendation", [one for one in found if isinstance(one, RequestMistake)]
        )
        signals = [one for one in found if isinstance(one, Signal)]
        _refuse_outside(request.resources, signals, self._mapper.accept_only)
        _refuse(RefusalReason.CONFLICT, "Nothing to fix", map(_healthy, request.resources, signals))
        routed = [self._routed(request, *pair) for pair in zip(request.resources, signals, strict=True)]
        _refuse(
            RefusalReason.UNKNOWN_VALUE, "No integration", [one for one in routed if isinstance(one, RequestMistake)]
        )
        covering = [one for one in routed if isinstance(one, IntegrationSettings)]
        drafts = await for_each(
            list(zip(request.resources, signals, covering, strict=True)),
            lambda one: self._plan(request, due, now, *one),
            limit=CONCURRENCY,
        )
        _refuse(RefusalReason.CONFLICT, "Conflict", [one for one in drafts if isinstance(one, RequestMistake)])
        plans = [one for one in drafts if isinstance(one, AssignmentPlan)]
        owners = await self._directory(request, plans)
        return [replace(one, wanted=replace(one.wanted, owner=owners[self._connection(one)])) for one in plans]

    def _reserved_fields(self, request: AssignmentRequest) -> Iterator[RequestMistake]:
        """Ticket fields that are not the request's to set, in any ticket system that it may be about."""
        kinds = KINDS if request.ticket_kind is None else (request.ticket_kind,)
        named = self._integrations.get(request.integration)
        integrations = [named] if named is not None else self._integrations.values()
        for connection in dict.fromkeys(one.connection for one in integrations):
            yield from request.reserved_fields(self._mapper.field_map(connection), kinds)

    def _allowed_scopes(self, resources: Sequence[str], now: datetime) -> None:
        """Refuse resources outside the allow list before Azure is asked about them, as far as ids alone tell."""
        rules = self._mapper.accept_only
        if rules is not None:
            places = rules.model_copy(update={"tenants": None, "rules": None})
            stubs = [
                Signal(
                    "defender",
                    "recommendation",
                    "recommendation:1:-",
                    SignalState.FIRED,
                    now,
                    resources=(parse_id(one),),
                )
                for one in resources
            ]
            _refuse_outside(resources, stubs, places)

    async def _recommendation(self, resource: str, text: str, now: datetime) -> Signal | RequestMistake:
        """The recommendation as Resource Manager has it now, by the key of its assessment or by its name."""
        reader = self._assessments(resource)
        found: dict[str, Any] | None = None
        if _KEY.fullmatch(text):
            found = await reader.get(f"{resource}/providers/Microsoft.Security/assessments/{text}")
        names: dict[str, str] = {}
        if found is None and not _is_guid(text):
            listed = await reader.of_resource(resource)
            names = {one["name"]: _display_name(one) for one in listed if isinstance(one.get("name"), str)}
            keys = [key for key, name in names.items() if name.casefold() == text.casefold()]
            if len(keys) > 1:
                return RequestMistake(
                    "recommendation", f"several recommendations of {resource} have the name '{text}'", tuple(keys)
                )
            if keys:
                found = await reader.get(f"{resource}/providers/Microsoft.Security/assessments/{keys[0]}")
        read = parse(found, now, SCHEMAS)[0] if found is not None else None
        if not isinstance(read, Signal) or read.kind != "recommendation":
            close = get_close_matches(text, sorted(set(names.values())), n=_MOST_SUGGESTIONS, cutoff=0.4)
            return RequestMistake("recommendation", f"{resource} has no recommendation '{text}'", tuple(close))
        # Marked as read from Azure, as by the poll: routes ignore such a signal where nobody has to fix it.
        return await self._locate(replace(read, details={**read.details, "polled": "true"}))

    def _routed(
        self, request: AssignmentRequest, resource: str, signal: Signal
    ) -> IntegrationSettings | RequestMistake:
        """The integration by which the ticket is made."""
        named = self._integrations.get(request.integration)
        if named is not None:
            if named.scope.lower() in places_of(signal):
                return named
            return RequestMistake("integration", f"'{named.name}' is for {named.scope} and does not cover {resource}")
        covering = settings_of(integration_of(self._mapper, signal))
        if covering is None:
            return RequestMistake(
                "resources", f"no integration covers {resource}. Fix: add one to defender.integrations"
            )
        return covering

    async def _plan(
        self,
        request: AssignmentRequest,
        due: datetime,
        now: datetime,
        resource: str,
        signal: Signal,
        by: IntegrationSettings,
    ) -> AssignmentPlan | RequestMistake:
        before = await self._store.load(signal.key)
        known = before.value if before is not None else None
        current = known if known is not None and known.open else None
        stored = await self._links.load((current.ticket_key if current is not None else "") or signal.key)
        link = stored.value if stored is not None else None
        kind = request.ticket_kind or (current.kind if current is not None else TicketKind(by.ticket))
        if link is not None and link.ticket is not None and has_ticket(link):
            kind = request.ticket_kind or link.kind
            ticket = link.ticket.number or link.ticket.id
            if kind is not link.kind or kind not in KINDS:
                return RequestMistake("kind", f"{resource} already has ticket {ticket} of kind {link.kind.value}")
            if current is not None and request.integration not in ("", current.integration):
                return RequestMistake(
                    "integration", f"{resource} already has ticket {ticket}, made by '{current.integration}'"
                )
        first = signal.resources[0] if signal.resources else None
        wanted = Assignment(
            key=signal.key,
            origin=signal.origin,
            owner=request.assigned_to,
            due=due,
            integration=by.name,
            kind=kind,
            created_at=now,
            title=signal.rule or signal.title,
            resource=(first.name or first.id or "") if first is not None else "",
            grace=request.grace,
            notify_owner=request.notify_owner,
            notify_manager=request.notify_manager,
            caller=request.caller,
            by=request.by or BY_HAND,
            fields=request.ticket_fields,
            latest=known.latest if known is not None else None,
            last_pushed=known.last_pushed if known is not None else "",
        )
        if current is not None:
            wanted = replace(
                wanted,
                created_at=current.created_at,
                integration=request.integration or current.integration,
                caller=request.caller or current.caller,
                fields=request.ticket_fields or current.fields,
                ticket_key=current.ticket_key,
                latest=current.latest,
            )
        return AssignmentPlan(resource, newer(signal, link, known), before, link, wanted)

    async def _directory(self, request: AssignmentRequest, plans: Sequence[AssignmentPlan]) -> dict[str, str]:
        """How to write the owner, by connection. Refuses people and fields that the ticket systems do not know."""
        owners: dict[str, str] = {}
        mistakes: list[RequestMistake] = []
        kinds = dict.fromkeys((self._connection(one), one.wanted.kind) for one in plans)
        for connection in dict.fromkeys(connection for connection, _ in kinds):
            system = self._systems(connection)
            owners[connection] = request.assigned_to
            if not isinstance(system, KnowsPeople):
                continue
            owner = await find_owner(system, request.assigned_to)
            if isinstance(owner, UnknownPerson):
                mistakes.append(_unknown_person("assigned_to", request.assigned_to, connection, owner))
            else:
                owners[connection] = owner
            caller = await find_caller(system, request.caller) if request.caller else ""
            if isinstance(caller, UnknownPerson):
                mistakes.append(_unknown_person("caller", request.caller, connection, caller))
            for kind in (kind for name, kind in kinds if name == connection):
                lacking = await system.lacks(kind, request.fields) if request.fields else ()
                mistakes += [
                    RequestMistake(f"fields.{name}", f"a {kind.value} of '{connection}' has no such field")
                    for name in lacking
                ]
        _refuse(RefusalReason.UNKNOWN_VALUE, "Not in the ticket system", mistakes)
        return owners

    def _connection(self, plan: AssignmentPlan) -> str:
        """Name of the connection that has the ticket, or will have it."""
        if plan.link is not None and has_ticket(plan.link):
            return plan.link.connection
        return self._integrations[plan.wanted.integration].connection

    def _no_integration(self, text: str) -> RequestMistake:
        close = get_close_matches(text, self._integrations, n=_MOST_SUGGESTIONS, cutoff=0.4)
        return RequestMistake("integration", f"defender.integrations has no integration '{text}'", tuple(close))


def _refuse(reason: RefusalReason, title: str, mistakes: Iterable[RequestMistake | None]) -> None:
    """Raises RequestRefused when there are mistakes."""
    found = list(dict.fromkeys(one for one in mistakes if one is not None))
    if found:
        raise RequestRefused(reason, title, found)


def _refuse_outside(resources: Sequence[str], signals: Sequence[Signal], rules: AcceptOnly | None) -> None:
    reasons = [(one, not_allowed(signal, rules)) for one, signal in zip(resources, signals, strict=True)]
    mistakes = [RequestMistake("resources", f"{one}: {why}") for one, why in reasons if why]
    _refuse(RefusalReason.NOT_ALLOWED, "Not in the allow list", mistakes)


def _healthy(resource: str, signal: Signal) -> RequestMistake | None:
    if signal.state is not SignalState.RESOLVED:
        return None
    return RequestMistake("resources", f"{resource} is not unhealthy: {signal.condition}")


def _unknown_person(field: str, text: str, connection: str, unknown: UnknownPerson) -> RequestMistake:
    what = "user or group" if field == "assigned_to" else "user"
    return RequestMistake(field, f"no single active {what} of '{connection}' matches '{text}'", unknown.suggestions)


def _display_name(assessment: Mapping[str, Any]) -> str:
    properties = assessment.get("properties")
    return str(properties.get("displayName") or "") if isinstance(properties, Mapping) else ""


def _is_guid(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
