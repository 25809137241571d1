"""The call that an action stands for: what to send, and to which ticket system."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shared.core.errors import Refused
from shared.core.fields import FieldRole
from shared.core.link import Link, LinkStage, Op, Pending, correlation, ticket_id
from shared.core.signal import Order, Signal, SignalState
from shared.core.ticket_system import (
    Closure,
    Draft,
    LeftOut,
    Note,
    Ticket,
    TicketKind,
    TicketRef,
    TicketSystem,
    TicketSystems,
)
from shared.delivery.decision.actions import CallTarget, CallTicketSystem
from shared.mapping.mapper import CompiledRoute, Mapper
from shared.mapping.notes import event_note, flapping_note, marker, opening_note, reopening_note


@dataclass(frozen=True, slots=True)
class CallResult:
    """The ticket as the system reported it, what mapping had to say, who a new ticket was given to until when, and
    what it lacks because the signal does not say it."""

    ticket: Ticket
    warnings: tuple[str, ...] = ()
    owner: str = ""
    due: datetime | None = None
    left_out: tuple[LeftOut, ...] = ()


class TicketClient:
    """Makes the calls of one signal's delivery."""

    def __init__(
        self, mapper: Mapper, systems: TicketSystems, signal: Signal, route: CompiledRoute | None, trace: str
    ) -> None:
        """``trace``: the id under which the signal can be followed; every note of this delivery bears it."""
        self._trace = trace
        self._mapper = mapper
        self._systems = systems
        self._signal = signal
        self._route = route
        self._words = mapper.words(signal)

    def target(self, link: Link, call: CallTicketSystem) -> CallTarget:
        """Where a call goes: a new ticket where the route says, everything else where the ticket is."""
        if call.op is not Op.CREATE:
            return CallTarget(link.connection, link.kind, link.route)
        if self._route is None:
            raise Refused(
                f"no route matches {self._signal.key}, and its ticket is closed",
                advice="Add a route or a default for it to bridge.yaml, then replay",
            )
        return CallTarget(self._route.connection, self._route.kind, self._route.name)

    def findable(self, link: Link | None) -> bool:
        """Whether the key's ticket (or the one under way) is of a kind that can be looked up."""
        if link is not None and link.pending is not None:
            return self._systems(link.pending.connection).findable(link.pending.kind)
        if link is not None and link.stage is not LinkStage.NONE:
            return self._systems(link.connection).findable(link.kind)
        return True

    async def find(self, link: Link) -> Ticket | None:
        """Look up the key's ticket, or the one that a pending call was to create."""
        pending = link.pending
        if pending is not None and pending.op is Op.CREATE:
            return await self._systems(pending.connection).find(
                pending.kind,
                ticket_id(pending.connection, link.key, pending.generation),
                correlation(link.key, pending.generation),
            )
        if link.ticket is None:
            return None
        writes_note = pending is not None and pending.op in (Op.COMMENT, Op.REOPEN)
        note = _marker(link.key, pending.event) if pending is not None and writes_note else None
        return await self._systems(link.connection).find(link.kind, link.ticket.id, link.ticket.correlation, note)

    async def make(self, link: Link, pending: Pending) -> CallResult:
        """Make the call that ``pending`` describes. Raises what the ticket system raises."""
        system = self._systems(pending.connection)
        if pending.op is Op.CREATE:
            return await self._create(system, link, pending)
        ref = _ticket_of(link)
        mark = _marker(link.key, pending.event)
        if self._signal.state is SignalState.FIRED and not pending.over and not system.findable(pending.kind):
            # An event has no state to go back to: the problem is reported again, with all that a new one says.
            fields, warnings = self._opening(pending)
            return CallResult(await system.update(ref, fields), warnings)
        if pending.op is Op.REOPEN:
            return CallResult(await system.reopen(ref, reopening_note(self._signal, self._words, mark, self._trace)))
        if pending.flapping:
            note = flapping_note(self._signal, self._words, link.changes, mark, self._trace)
            return await self._comment(system, pending, ref, note)
        ended = pending.event[0] if pending.over and pending.event != self._signal.order else None
        if pending.op is Op.COMMENT:
            note = event_note(self._signal, self._words, mark, self._trace, ended)
            return await self._comment(system, pending, ref, note)
        closure, warnings = self._closure(pending.connection, pending.route, pending.kind, ended)
        over = event_note(self._signal, self._words, mark, self._trace, ended)
        return CallResult(await system.resolve(ref, replace(closure, note=over)), warnings)

    async def _comment(self, system: TicketSystem, pending: Pending, ref: TicketRef, note: Note) -> CallResult:
        """Append a note. A further message of a key says again what it is about."""
        route = self._made_by(pending.route, pending.kind)
        if system.findable(pending.kind) or route is None:
            return CallResult(await system.comment(ref, note))
        mapped = self._mapper.repeated(route, self._signal)
        return CallResult(await system.update(ref, mapped.fields, note), mapped.warnings)

    def _made_by(self, name: str, kind: TicketKind) -> CompiledRoute | None:
        """The route that made a ticket, or the present one; None where neither is of that kind."""
        routes = (self._mapper.named(name), self._route)
        return next((one for one in routes if one is not None and one.kind is kind), None)

    async def _create(self, system: TicketSystem, link: Link, pending: Pending) -> CallResult:
        route = self._route
        if route is None:
            raise Refused(f"no route matches {self._signal.key} any more", advice="Add one to bridge.yaml, then replay")
        mapped = self._mapper.ticket(route, self._signal)
        closure = None
        warnings = mapped.warnings
        if pending.over and route.resolve_action == "resolve" and link.resolved_by is not None:
            closure, more = self._closure(route.connection, route.name, route.kind, link.resolved_by[0])
            warnings += more
        draft = Draft(
            kind=pending.kind,
            id=ticket_id(pending.connection, link.key, pending.generation),
            correlation=correlation(link.key, pending.generation),
            fields=mapped.fields,
            follows=link.ticket,
            closure=closure,
            note=opening_note(self._trace),
            template=route.template,
            yielding=route.yielding,
        )
        ticket = await system.create(draft)
        owner, due = _owner_and_due(route, {name: v for name, v in mapped.fields.items() if name not in ticket.dropped})
        return CallResult(ticket, warnings, owner, due, _without_item(route, self._signal, mapped.fields))

    def _opening(self, pending: Pending) -> tuple[dict[str, str], tuple[str, ...]]:
        """The fields of a new ticket, by the route that made this one or by the present one."""
        route = self._made_by(pending.route, pending.kind)
        if route is None:
            return {}, ()
        mapped = self._mapper.ticket(route, self._signal)
        return mapped.fields, mapped.warnings

    def _closure(
        self, connection: str, route_name: str, kind: TicketKind, ended: datetime | None
    ) -> tuple[Closure, tuple[str, ...]]:
        """Closing fields by the route that made the ticket, or by the present one; else those of a route that says
        nothing."""
        route = self._made_by(route_name, kind)
        mapped = self._mapper.closing(route or self._mapper.plain(connection, kind), self._signal, ended)
        return Closure(mapped.fields), mapped.warnings


def _without_item(route: CompiledRoute, signal: Signal, fields: Mapping[str, str]) -> tuple[LeftOut, ...]:
    """The configuration item that a ticket lacks because the alert of a rule names no resource."""
    of_a_rule = signal.rule_id or signal.origin.startswith("/")  # what is known by no ARM id has no resource to name
    if signal.resources or not of_a_rule:
        return ()
    columns = route.columns.named(route.kind, FieldRole.CONFIGURATION_ITEM)
    return tuple(
        LeftOut(column, "", "", why="the alert names no resource")
        for column in columns
        if column in route.fields and not fields.get(column)
    )


def _owner_and_due(route: CompiledRoute, written: Mapping[str, str]) -> tuple[str, datetime | None]:
    """What a new ticket was given as owner and due date, for lists; resync replaces it by what the ticket says."""

    def first(role: FieldRole) -> str:
        return next((written[name] for name in route.columns.named(route.kind, role) if written.get(name)), "")

    due = None
    with contextlib.suppress(ValueError):
        due = datetime.strptime(first(FieldRole.DUE), route.columns.date_format).replace(tzinfo=UTC)
    return first(FieldRole.OWNER), due


def _marker(key: str, event: Order) -> str:
    return marker(key, *event)


def _ticket_of(link: Link) -> TicketRef:
    if link.ticket is None:
        raise ValueError(f"the link of {link.key} is {link.stage.value} and names no ticket")
    return link.ticket
