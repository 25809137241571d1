"""Tickets of Secure Score controls on demand: somebody asks, everything is checked, and the ticket is made at once.

What is refused writes nothing. What is accepted goes the way of every signal, in the same worker; only that somebody
waits for its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Protocol
from uuid import uuid4

from connectors.defender.assignments.request import RequestMistake, problem
from connectors.secure_score.api import SecureScores
from connectors.secure_score.payloads.listed import DEPRECATED, by_control, read_listed
from connectors.secure_score.payloads.request import asked
from connectors.secure_score.request_body import ScoreRequest, read_request
from connectors.secure_score.settings import SecureScoreSettings
from shared.core.errors import BridgeError, NotAuthorised, SourceError, TicketSystemError
from shared.core.identity import DISPLAY, correlation
from shared.core.link import Link, LinkStage
from shared.core.messages import Envelope
from shared.core.problem import Problem
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import KnowsPeople, Phase, TicketKind, TicketRef, TicketSystem
from shared.delivery.deliver import Delivered
from shared.delivery.links import LinkStore
from shared.delivery.worker import Absorbed
from shared.mapping.allow_list import not_allowed
from shared.mapping.mapper import CompiledRoute, MappedFields, Mapper
from shared.payloads.keys import Unidentified
from shared.payloads.values import fold, given, line

#: Controls that may have been meant.
_MOST_CLOSE = 5

#: Works on an envelope at once: see ``Worker.handle_now``.
Now = Callable[[Envelope], Awaitable[Delivered | Absorbed | BridgeError | None]]


class RequestTenants(Protocol):
    """The tenants of the configuration: see ``connectors.secure_score.tenants``."""

    @property
    def ids(self) -> list[str]: ...

    def open(self, tenant: str) -> SecureScores: ...


@dataclass(frozen=True, slots=True)
class _Checked:
    """A request that may be fulfilled: its signal, and the ticket that it becomes."""

    signal: Signal
    route: CompiledRoute
    mapped: MappedFields


class ScoreRequests:
    """Answers requests for tickets of controls.

    Args:
        settings: of the configuration.
        tenants: opens Microsoft Graph.
        mapper: the compiled configuration.
        system: gives the ticket system of a connection.
        links: what is known of tickets.
        handle: works on an envelope at once.
        now: the clock.
    """

    def __init__(
        self,
        settings: SecureScoreSettings,
        tenants: RequestTenants,
        mapper: Mapper,
        system: Callable[[str], TicketSystem],
        links: LinkStore,
        handle: Now,
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

    async def ticket(self, control_id: str, body: object) -> tuple[int, dict[str, Any]]:
        """Make the ticket of a control, or name the one that is open.

        Args:
            control_id: id of the control, in any case.
            body: decoded JSON: ``requested_by``, and if wished ``priority`` (1 to 4), ``name``, ``description``,
                ``due_date`` (in the future), ``ticket`` (change_request or incident), ``tenant`` (where there are
                several).

        Returns:
            Status and answer: 201 when it was made, 200 when it was there or was opened again, 202 when it will be
            made later (``pending``) or a throttle counts it in a summary (``throttled``). The answer has ``outcome``,
            ``control``, ``kind`` and, but for 202, ``number``, ``id`` and ``link``; ``signal`` is the id under which a
            new one can be followed.

        Raises:
            Problem: 400 for a body with mistakes, 404 for an unknown control, 409 for one that needs no ticket, 422
                for an unknown person or for fields that the table lacks, 502 when the ticket system or Microsoft Graph
                refused, 503 when it may work later.
        """
        checked, link = await self._checked(control_id, body, writes=True)
        if link is not None and (standing := await self._standing(link)):
            return 200, _answer("existing", checked.signal, standing)
        envelope = Envelope(id=uuid4().hex, received_at=self._now(), signal=checked.signal)
        return self._outcome(envelope, checked, await self._handle(envelope))

    async def preview(self, control_id: str, body: object) -> dict[str, Any]:
        """What :meth:`ticket` would make: ``control``, ``connection``, ``route``, ``ticket`` with ``kind`` and
        ``fields``, ``warnings``, and ``existing`` with the open ticket that would be named instead. Writes nothing.

        Raises Problem, as :meth:`ticket`.
        """
        checked, link = await self._checked(control_id, body, writes=False)
        generation = 1 if link is None else link.generation + 1
        own = {"correlation_id": correlation(checked.signal.key, generation), "correlation_display": DISPLAY}
        standing = link.ticket if link is not None and link.stage is LinkStage.OPEN else None
        return {
            "control": checked.signal.details["control_id"],
            "connection": checked.route.connection,
            "route": checked.route.name,
            "ticket": {"kind": checked.route.kind.value, "fields": {**checked.mapped.fields, **own}},
            "existing": None if standing is None else _named(standing),
            "warnings": [*checked.signal.warnings, *checked.mapped.warnings],
        }

    async def _checked(self, control_id: str, body: object, *, writes: bool) -> tuple[_Checked, Link | None]:
        request = read_request(body, self._tenants.ids, self._now())
        control = await self._control(control_id, request)
        signal = asked(control, request.wanted)
        # Somebody asks now, whatever day the score is of.
        signal = replace(signal, occurred_at=max(self._now(), signal.occurred_at))
        route = self._mapper.route(signal)
        unwanted = not_allowed(signal, self._mapper.accept_only)
        if unwanted:
            raise problem(
                422,
                "Not allowed",
                [
                    RequestMistake(
                        "controlId", f"It may not become a ticket: {unwanted}. Fix: widen that in bridge.yaml."
                    )
                ],
            )
        if route is None:
            raise Problem(503, "Not configured", "bridge.yaml has no section 'secure_score' any more.")
        mapped = self._mapper.ticket(route, signal)
        stored = await self._links.load(signal.key)
        link = None if stored is None else stored.value
        if not (writes and link is not None and link.stage is LinkStage.OPEN):
            await self._check_with(self._system(route.connection), request, route, mapped)
        return _Checked(signal, route, mapped), link

    async def _control(self, control_id: str, request: ScoreRequest) -> Signal:
        """The control as it is now. Raises Problem: 404, 409, 502, 503."""
        wanted = control_id.strip()
        scores = self._tenants.open(request.tenant)
        try:
            profiles = {given(fold(one).get("id")).lower(): one async for one in scores.profiles()}
            profile = profiles.get(wanted.lower())
            if profile is None:
                raise self._unknown(wanted, profiles, scores.partial)
            score = await scores.latest_score()
        except SourceError as error:
            status, title = (503, "Not available") if error.retry else (502, "Refused by Microsoft Graph")
            raise Problem(status, title, str(error), {"Retry-After": "60"} if error.retry else None) from None
        finally:
            await scores.aclose()
        try:
            signal = read_listed(profile, by_control(score)(wanted), request.tenant, self._now())
        except Unidentified as error:
            raise Problem(
                502, "Unreadable control", f"Microsoft Graph describes {wanted[:80]} badly: {error}."
            ) from None
        if signal.details.get("resolution") == DEPRECATED:
            raise _needs_none(wanted, "Microsoft has retired it, and nothing can be done about it.")
        if signal.state is SignalState.RESOLVED:
            fix = "Fix: where it is to be done all the same, set it to 'To address' in the portal first."
            raise _needs_none(wanted, f"{signal.condition} {fix}")
        return replace(signal, opens=True)  # a person may ask for what is not scored

    def _unknown(self, wanted: str, profiles: Mapping[str, Mapping[str, Any]], partial: str) -> Problem:
        if partial:
            detail = f"Microsoft Graph's list of controls was not whole ({partial}), and {wanted[:80]} is not in it."
            return Problem(503, "Not available", detail, {"Retry-After": "300"})
        titles = {line(given(fold(one).get("title"))).lower(): name for name, one in profiles.items()}
        close = get_close_matches(wanted.lower(), [*profiles, *titles], n=_MOST_CLOSE, cutoff=0.5)
        ids = dict.fromkeys(given(fold(profiles[titles.get(name, name)]).get("id")) for name in close)
        detail = f"The tenant has no control '{wanted[:80]}'." + (f" Close to it: {', '.join(ids)}." if ids else "")
        return problem(404, "Unknown control", [RequestMistake("controlId", detail, tuple(ids))])

    async def _check_with(
        self, system: TicketSystem, request: ScoreRequest, route: CompiledRoute, mapped: MappedFields
    ) -> None:
        """Ask the ticket system whether it knows the person and the fields. Raises Problem: 422, 503."""
        if not isinstance(system, KnowsPeople):
            return
        mistakes: list[RequestMistake] = []
        who = request.wanted.requested_by
        try:
            if await system.find_person(who) is None:
                people = await system.suggest_people(who)
                found = tuple(filter(None, (one.email or one.user_name or one.name for one in people)))
                detail = f"The ticket system knows no one active person '{who}'."
                mistakes.append(RequestMistake("requested_by", detail, found))
            lacking = await _lacking(system, route.kind, mapped)
        except TicketSystemError as error:
            headers = {"Retry-After": "60"} if error.retry else None
            raise Problem(
                503 if error.retry else 502, "Not checked", f"Nothing was written. {error}", headers
            ) from None
        fix = "Fix: take it out of the section secure_score in bridge.yaml."
        said = f"Tickets of kind {route.kind.value} have no such field. {fix}"
        mistakes += [RequestMistake(f"fields.{name}", said) for name in lacking]
        if mistakes:
            raise problem(422, "Not known to the ticket system", mistakes)

    async def _standing(self, link: Link) -> TicketRef | None:
        """The open ticket of a key. What cannot be asked is believed."""
        ticket = link.ticket
        if ticket is None or link.stage is not LinkStage.OPEN:
            return None
        try:
            found = await self._system(link.connection).find(link.kind, ticket.id, ticket.correlation)
        except TicketSystemError:
            return ticket
        return ticket if found is not None and found.phase is Phase.OPEN else None

    def _outcome(
        self, envelope: Envelope, checked: _Checked, ended: Delivered | Absorbed | BridgeError | None
    ) -> tuple[int, dict[str, Any]]:
        pending = {**_answer("pending", checked.signal, None, checked.route.kind), "signal": envelope.id}
        if isinstance(ended, BridgeError):
            if ended.retry:
                return 202, pending
            detail = f"{ended} The request is kept as dead letter {envelope.id} and can be replayed."
            raise Problem(502, "Refused by the ticket system", detail)
        if ended is None:
            return 202, pending
        if not isinstance(ended, Delivered):
            return 202, {**pending, "outcome": "throttled", "rule": ended.rule}
        if ended.ticket is None:
            return 202, pending
        made = ended.decision.startswith("created")
        outcome = "created" if made else "reopened" if "reopened" in ended.decision else "existing"
        answer = _answer(outcome, checked.signal, ended.ticket)
        if ended.dropped:
            answer["not_taken_over"] = list(ended.dropped)
        return 201 if made else 200, {**answer, "signal": envelope.id}


async def _lacking(system: KnowsPeople, kind: TicketKind, mapped: MappedFields) -> tuple[str, ...]:
    try:
        return tuple(await system.lacks(kind, mapped.fields))
    except NotAuthorised:
        return ()  # who may not read the dictionary learns it when the ticket comes back without the field


def _needs_none(control: str, why: str) -> Problem:
    return problem(409, "No ticket needed", [RequestMistake("controlId", f"{control[:80]} needs no ticket. {why}")])


def _answer(outcome: str, signal: Signal, ref: TicketRef | None, kind: TicketKind | None = None) -> dict[str, Any]:
    head = {"outcome": outcome, "control": signal.details["control_id"]}
    if ref is not None:
        return {**head, **_named(ref)}
    return {**head, "kind": kind.value if kind is not None else ""}


def _named(ref: TicketRef) -> dict[str, Any]:
    return {"number": ref.number, "id": ref.id, "link": ref.url, "kind": ref.kind.value}
