"""Tickets of Secure Score controls on demand: everything is checked, and then the ticket is made at once.

A refused request writes nothing. An accepted one is delivered like any signal by the same worker, and the response
waits for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Literal, Protocol
from uuid import uuid4

from connectors.secure_score.api import SecureScores
from connectors.secure_score.payloads.listed import DEPRECATED, by_control, read_listed
from connectors.secure_score.payloads.request import asked
from connectors.secure_score.request_body import ScoreTicketRequest
from connectors.secure_score.settings import SecureScoreSettings
from shared.core.errors import NotAuthorised, SourceError, TicketSystemError
from shared.core.link import Link, LinkStage, correlation
from shared.core.messages import SignalMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.refusal import RefusalReason, RequestMistake, RequestRefused
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import KnowsPeople, Phase, TicketKind, TicketRef, TicketSystem
from shared.delivery.links import LinkStore
from shared.mapping.allow_list import not_allowed
from shared.mapping.field_sources import MappedFields
from shared.mapping.mapper import CompiledRoute, Mapper
from shared.payloads.keys import Unidentified
from shared.payloads.values import fold, given, line

_MOST_SUGGESTIONS = 5

#: Seconds after which the same request may succeed.
_RETRY_AFTER = 60
_RETRY_AFTER_PARTIAL = 300

#: Delivers a signal at once: see ``Worker.handle_now``.
DeliverNow = Callable[[SignalMessage], Awaitable[Outcome]]

ScoreOutcome = Literal["created", "existing", "reopened", "pending", "throttled"]


class RequestTenants(Protocol):
    """The tenants of the configuration: see ``connectors.secure_score.tenants``."""

    @property
    def ids(self) -> list[str]: ...

    def open(self, tenant: str) -> SecureScores: ...


@dataclass(frozen=True, slots=True)
class ScoreTicket:
    """What came of a request.

    Attributes:
        outcome: ``existing`` when the control had an open ticket; ``pending`` when it is made later; ``throttled`` when
            a throttle counts it in a summary.
        control: id of the control.
        kind, connection: of the ticket.
        ticket: None while it is not made.
        signal: id of the message, by which the log names it; empty when none was needed.
        rule: name of the throttle.
        dropped: fields that the ticket system changed or ignored.
        not_applied: values of the request that a ticket of before does not have because of it.
    """

    outcome: ScoreOutcome
    control: str
    kind: TicketKind
    connection: str
    ticket: TicketRef | None = None
    signal: str = ""
    rule: str = ""
    dropped: tuple[str, ...] = ()
    not_applied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScorePreview:
    """What a request would make. ``existing`` is the open ticket that would be named instead."""

    control: str
    kind: TicketKind
    connection: str
    route: str
    fields: Mapping[str, str]
    existing: TicketRef | None
    existing_connection: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Checked:
    """A request that can be fulfilled: its signal, the ticket that it becomes, and what is known of its ticket."""

    signal: Signal
    route: CompiledRoute
    mapped: MappedFields
    link: Link | None

    @property
    def control(self) -> str:
        return self.signal.details["control_id"]


class ScoreRequests:
    """Fulfils requests for tickets of controls.

    Args:
        settings: of the configuration.
        tenants: opens Microsoft Graph.
        mapper: the compiled configuration.
        system: gives the ticket system of a connection.
        links: the link store.
        handle: delivers a signal at once.
        now: the clock.
    """

    def __init__(
        self,
        settings: SecureScoreSettings,
        tenants: RequestTenants,
        mapper: Mapper,
        system: Callable[[str], TicketSystem],
        links: LinkStore,
        handle: DeliverNow,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._tenants = tenants
        self._mapper = mapper
        self._system = system
        self._links = links
        self._handle = handle
        self._now = now

    async def ticket(self, control_id: str, request: ScoreTicketRequest) -> ScoreTicket:
        """Make the ticket of a control, or name the one that is open.

        Args:
            control_id: id of the control, in any case.
            request: the request.

        Raises:
            RequestRefused: mistakes of the request; an unknown control, or one that needs no ticket; an unknown person
                or field; not allowed by accept_only; refused by Microsoft Graph or the ticket system, or unavailable.
        """
        checked = await self._checked(control_id, request, writes=True)
        link = checked.link
        if link is not None and (ticket := await self._open_ticket(link)):
            found = ScoreTicket("existing", checked.control, ticket.kind, link.connection, ticket)
            return replace(found, not_applied=request.given_values(ticket.kind))
        message = SignalMessage(id=uuid4().hex, received_at=self._now(), signal=checked.signal)
        made = _score_ticket(checked, await self._handle(message))
        if made.outcome in ("existing", "reopened"):
            return replace(made, not_applied=request.given_values(made.kind))
        return made

    async def preview(self, control_id: str, request: ScoreTicketRequest) -> ScorePreview:
        """What :meth:`ticket` would make. Writes nothing. Arguments and errors as there."""
        checked = await self._checked(control_id, request, writes=False)
        link = checked.link
        generation = 1 if link is None else link.generation + 1
        own = checked.route.columns.key_fields(checked.route.kind, correlation(checked.signal.key, generation))
        is_open = link is not None and link.stage is LinkStage.OPEN
        return ScorePreview(
            control=checked.control,
            kind=checked.route.kind,
            connection=checked.route.connection,
            route=checked.route.name,
            fields={**checked.mapped.fields, **own},
            existing=link.ticket if link is not None and is_open else None,
            existing_connection=link.connection if link is not None and is_open else "",
            warnings=(*checked.signal.warnings, *checked.mapped.warnings),
        )

    async def _checked(self, control_id: str, request: ScoreTicketRequest, *, writes: bool) -> _Checked:
        tenant = request.checked_tenant(self._tenants.ids, self._now())
        control = await self._control(control_id, tenant)
        signal = asked(control, request.wanted())
        # The request is of now, whatever day the score is of.
        signal = replace(signal, occurred_at=max(self._now(), signal.occurred_at))
        route = self._mapper.route(signal)
        unwanted = not_allowed(signal, self._mapper.accept_only)
        if unwanted:
            detail = f"It may not become a ticket: {unwanted}. Fix: widen that in bridge.yaml."
            raise _refused(RefusalReason.UNKNOWN_VALUE, "Not allowed", RequestMistake("controlId", detail))
        if route is None:
            detail = "bridge.yaml no longer has a section 'secure_score'."
            raise _refused(RefusalReason.UNAVAILABLE, "Not configured", RequestMistake("", detail))
        mapped = self._mapper.ticket(route, signal)
        stored = await self._links.load(signal.key)
        link = None if stored is None else stored.value
        if not (writes and link is not None and link.stage is LinkStage.OPEN):
            await self._check_with(self._system(route.connection), request, route, mapped)
        return _Checked(signal, route, mapped, link)

    async def _control(self, control_id: str, tenant: str) -> Signal:
        """The control as it is now. Raises RequestRefused."""
        wanted = control_id.strip()
        scores = self._tenants.open(tenant)
        try:
            profiles = {given(fold(one).get("id")).lower(): one async for one in scores.profiles()}
            profile = profiles.get(wanted.lower())
            if profile is None:
                raise _unknown_control(wanted, profiles, scores.partial)
            score = await scores.latest_score()
        except SourceError as error:
            if error.retry:
                mistake = RequestMistake("", str(error))
                raise _refused(RefusalReason.UNAVAILABLE, "Not available", mistake, _RETRY_AFTER) from None
            mistake = RequestMistake("", str(error))
            raise _refused(RefusalReason.UPSTREAM_REFUSED, "Refused by Microsoft Graph", mistake) from None
        finally:
            await scores.aclose()
        try:
            signal = read_listed(profile, by_control(score)(wanted), tenant, self._now())
        except Unidentified as error:
            mistake = RequestMistake("", f"Microsoft Graph's description of {wanted[:80]} cannot be used: {error}.")
            raise _refused(RefusalReason.UPSTREAM_REFUSED, "Unreadable control", mistake) from None
        if signal.details.get("resolution") == DEPRECATED:
            raise _needs_none(wanted, "Microsoft has retired it, and nothing can be done about it.")
        if signal.state is SignalState.RESOLVED:
            fix = "Fix: to get a ticket all the same, set it to 'To address' in the portal first."
            raise _needs_none(wanted, f"{signal.condition} {fix}")
        return replace(signal, opens=True)  # a person may ask for what is not scored

    async def _check_with(
        self, system: TicketSystem, request: ScoreTicketRequest, route: CompiledRoute, mapped: MappedFields
    ) -> None:
        """Ask the ticket system whether it knows the person and the fields. Raises RequestRefused."""
        if not isinstance(system, KnowsPeople):
            return
        mistakes: list[RequestMistake] = []
        who = request.requested_by
        try:
            if await system.find_person(who) is None:
                people = await system.suggest_people(who)
                found = tuple(filter(None, (one.email or one.user_name or one.name for one in people)))
                mistakes.append(RequestMistake("requested_by", f"No single active user matches '{who}'.", found))
            lacking = await _lacking(system, route.kind, mapped)
        except TicketSystemError as error:
            mistake = RequestMistake("", f"Nothing was written. {error}")
            reason = RefusalReason.UNAVAILABLE if error.retry else RefusalReason.UPSTREAM_REFUSED
            raise _refused(reason, "Not checked", mistake, _RETRY_AFTER if error.retry else None) from None
        fix = "Fix: remove it from the section secure_score in bridge.yaml."
        detail = f"Tickets of kind {route.kind.value} have no such field. {fix}"
        mistakes += [RequestMistake(f"fields.{name}", detail) for name in lacking]
        if mistakes:
            raise RequestRefused(RefusalReason.UNKNOWN_VALUE, "Not in the ticket system", mistakes)

    async def _open_ticket(self, link: Link) -> TicketRef | None:
        """The open ticket of a key. Where the ticket system cannot be asked, the stored state counts."""
        ticket = link.ticket
        if ticket is None or link.stage is not LinkStage.OPEN:
            return None
        try:
            found = await self._system(link.connection).find(link.kind, ticket.id, ticket.correlation)
        except TicketSystemError:
            return ticket
        return ticket if found is not None and found.phase is Phase.OPEN else None


def _score_ticket(checked: _Checked, ended: Outcome) -> ScoreTicket:
    """What came of a request that was delivered. Raises RequestRefused when the ticket system refused it."""
    route = checked.route
    pending = ScoreTicket("pending", checked.control, route.kind, route.connection, signal=ended.id)
    if ended.kind is OutcomeKind.DEAD_LETTERED:
        detail = f"{ended.reason} The request is kept as dead letter {ended.id} and can be replayed."
        title = "Refused by the ticket system"
        raise _refused(RefusalReason.UPSTREAM_REFUSED, title, RequestMistake("", detail))
    if ended.kind is OutcomeKind.GROUPED:
        return replace(pending, outcome="throttled", rule=ended.rule)
    if ended.is_queued_again or ended.ticket is None:
        return pending
    outcome: ScoreOutcome = "existing"
    if ended.decision.startswith("created"):
        outcome = "created"
    elif "reopened" in ended.decision:
        outcome = "reopened"
    return replace(
        pending,
        outcome=outcome,
        kind=ended.ticket.kind,
        connection=ended.connection,
        ticket=ended.ticket,
        dropped=ended.dropped,
    )


async def _lacking(system: KnowsPeople, kind: TicketKind, mapped: MappedFields) -> tuple[str, ...]:
    try:
        return tuple(await system.lacks(kind, mapped.fields))
    except NotAuthorised:
        return ()  # the dictionary may not be read: a missing field shows when the ticket comes back without it


def _refused(
    reason: RefusalReason, title: str, mistake: RequestMistake, retry_after: int | None = None
) -> RequestRefused:
    return RequestRefused(reason, title, [mistake], retry_after=retry_after)


def _needs_none(control: str, why: str) -> RequestRefused:
    mistake = RequestMistake("controlId", f"{control[:80]} needs no ticket. {why}")
    return _refused(RefusalReason.CONFLICT, "No ticket needed", mistake)


def _unknown_control(wanted: str, profiles: Mapping[str, Mapping[str, Any]], partial: str) -> RequestRefused:
    if partial:
        detail = f"Microsoft Graph's list of controls is incomplete ({partial}), and {wanted[:80]} is not in it."
        return _refused(RefusalReason.UNAVAILABLE, "Not available", RequestMistake("", detail), _RETRY_AFTER_PARTIAL)
    titles = {line(given(fold(one).get("title"))).lower(): name for name, one in profiles.items()}
    close = get_close_matches(wanted.lower()[:200], [*profiles, *titles], n=_MOST_SUGGESTIONS, cutoff=0.5)
    ids = dict.fromkeys(given(fold(profiles[titles.get(name, name)]).get("id")) for name in close)
    detail = f"The tenant has no control '{wanted[:80]}'."
    return _refused(RefusalReason.NOT_FOUND, "Unknown control", RequestMistake("controlId", detail, tuple(ids)))
