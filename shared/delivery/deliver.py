"""One delivery: load the link, decide, reserve, call, commit. The only place where these meet.

Nothing here sleeps while it holds a message, and nothing is recorded as done before it was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from shared.core.errors import BridgeError, KeyContended, NotAuthorised, Refused, TicketSystemError
from shared.core.link import Link, LinkStage, Op, Pending
from shared.core.messages import Envelope
from shared.core.order import Order
from shared.core.signal import SignalState
from shared.core.ticket_system import Phase, Ticket, TicketRef, TicketSystems
from shared.delivery.decision import actions as a
from shared.delivery.decision import decide as d
from shared.delivery.decision.policies import PlannedWorkLookup, Policies, no_outages
from shared.delivery.links import LinkStore
from shared.delivery.ticket_client import TicketClient
from shared.mapping.mapper import Mapper
from shared.platform.tables import RowOvertaken, Versioned

#: A look, a settlement, a create and a resolve make six steps; many more mean that others keep changing the link.
_MOST_STEPS = 12

#: Severities that may use the part of a budget that is kept for them.
_URGENT = (0, 1)

_DONE = {Op.CREATE: "created", Op.COMMENT: "commented", Op.RESOLVE: "resolved", Op.REOPEN: "reopened"}


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a signal.

    ``decision`` is created, created_resolved, commented, resolved or reopened when the ticket system was written;
    held or flapping when the signal is to come back at ``until`` (None: others decide for it); otherwise
    resolved_before_fired, already_over, noted, closed, duplicate, stale, in_progress, nothing_to_do, suppressed,
    overtaken or no_route. ``dropped`` names fields that the ticket system did not take over as sent. ``rule`` is what
    held or suppressed the signal.
    """

    decision: str
    ticket: TicketRef | None = None
    connection: str = ""
    route: str = ""
    stage: str = ""
    dropped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    until: datetime | None = None
    rule: str = ""


class KeyLocked(Exception):
    """Another worker holds the key until ``until``; the message goes back for a moment. An answer, not an error."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"another worker holds the key until {until:%H:%M:%S}")
        self.until = until


class DeliveryFailed(Exception):
    """A delivery did not come to its end.

    Attributes:
        error: why.
        outcome: ``not_applied`` when a call was reserved and provably had no effect; ``unknown`` otherwise, which
            includes failures before and after the call.
    """

    def __init__(self, error: BridgeError, outcome: Literal["not_applied", "unknown"]) -> None:
        super().__init__(str(error))
        self.error = error
        self.outcome = outcome


class Admit(Protocol):
    """Lets a delivery to a connection in, before it reserves anything, or raises what tells it to wait."""

    async def __call__(self, connection: str, *, urgent: bool, place: str) -> None: ...


async def _anybody(connection: str, *, urgent: bool, place: str) -> None:
    del connection, urgent, place


class Deliverer:
    """Delivers signals by one configuration."""

    def __init__(
        self,
        mapper: Mapper,
        systems: TicketSystems,
        links: LinkStore,
        *,
        outages: PlannedWorkLookup = no_outages,
        admit: Admit = _anybody,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            mapper: the compiled configuration.
            systems: gives the ticket system of a connection; raises Refused for one that is not configured.
            links: the link store.
            outages: planned work known from elsewhere that holds a signal now.
            admit: the call budgets.
            now: the clock.
        """
        self._policies = Policies(mapper, outages, now)
        self._admit = admit
        self._mapper = mapper
        self._systems = systems
        self._links = links
        self._now = now

    async def deliver(self, envelope: Envelope, *, first_sight: bool) -> Delivered:
        """Do what an envelope's signal requires, and say what that was.

        Args:
            envelope: with its signal.
            first_sight: this queue message is seen for the first time, so that what the envelope says of the attempt
                before it is the latest news of it.

        Raises:
            MakeWay: another worker holds the key.
            DeliveryFailed: with the error of the tree. Until it is settled, the link keeps the pending call, and the
                next attempt finds out what became of it.
        """
        run = _Run(
            self._mapper, self._systems, self._links, self._policies, self._admit, self._now, envelope, first_sight
        )
        try:
            return await run.to_the_end()
        except BridgeError as error:
            raise DeliveryFailed(error, run.outcome) from error

    async def still_awaits(self, key: str, since: Order) -> bool:
        """Whether a key's ticket is open and nothing was heard since. Raises StorageUnavailable."""
        stored = await self._links.load(key)
        return stored is not None and stored.value.stage is LinkStage.OPEN and stored.value.latest == since

    async def give_up(self, envelope: Envelope, dead_letter: str) -> None:
        """Write into the link that the envelope's signal was refused for good. Raises StorageUnavailable."""
        signal = envelope.signal
        if signal is None:
            return
        for _ in range(_MOST_STEPS):
            stored = await self._links.load(signal.key)
            link = stored.value if stored else Link(key=signal.key, created_at=self._now())
            if link.pending is not None and link.pending.by != envelope.id:
                return  # somebody else is at work on this key and leaves the link in order
            given_up = d.refused(replace(link, title=signal.title), signal.order, dead_letter, self._now())
            try:
                await self._links.write(given_up, stored.etag if stored else None)
            except RowOvertaken:
                continue
            return


class _Run:
    """The state of one delivery."""

    def __init__(
        self,
        mapper: Mapper,
        systems: TicketSystems,
        links: LinkStore,
        policies: Policies,
        admit: Admit,
        now: Callable[[], datetime],
        envelope: Envelope,
        first_sight: bool,
    ) -> None:
        signal = envelope.signal
        if signal is None:
            raise ValueError("an envelope without a signal cannot be delivered")
        self._mapper, self._links, self._policies, self._now = mapper, links, policies, now
        self._admit, self._admitted = admit, False
        self._envelope, self._signal = envelope, signal
        self._unapplied = first_sight and envelope.outcome == "not_applied"
        self._route = mapper.route(signal)
        self._caller = TicketClient(mapper, systems, signal, self._route, envelope.id)
        # Until this attempt calls, what was known of the one before it holds.
        self.outcome: Literal["not_applied", "unknown"] = "not_applied" if self._unapplied else "unknown"
        self._stored: Versioned[Link] | None = None
        self._link = Link(key=signal.key)
        self._unsaved = False
        self._found_over = False
        self._looked = False
        self._done: list[str] = []
        self._dropped: tuple[str, ...] = ()
        self._warnings: tuple[str, ...] = ()
        self._until: datetime | None = None

    async def to_the_end(self) -> Delivered:
        # Most firings are new: the reservation itself finds out, which saves reading a link that is not there.
        if self._signal.state is not SignalState.FIRED or self._envelope.attempts or self._envelope.waits:
            await self._load()
        for _ in range(_MOST_STEPS):
            if self._stored is None and self._route is None:
                await self._load()
                if self._stored is None:
                    return self._result("no_route")
            try:
                finished = await self._step()
            except RowOvertaken:
                await self._load()
                continue
            if finished is not None:
                return self._result(finished)
        raise KeyContended(f"{self._signal.key}: others kept changing its link; it is tried again later")

    async def _load(self) -> None:
        self._stored = await self._links.load(self._signal.key)
        self._link = self._stored.value if self._stored else Link(key=self._signal.key)
        self._unsaved = False

    async def _write(self, link: Link) -> None:
        """Write the link under the ETag at hand. Raises RowOvertaken."""
        now, signal = self._now(), self._signal
        # What a group says comes from its head, and is not about the head alone.
        origin = "" if signal.via else signal.origin or link.origin
        link = replace(link, title=signal.title, source=signal.source, origin=origin)
        link = replace(link, updated_at=now, created_at=link.created_at or now)
        etag = await self._links.write(link, self._stored.etag if self._stored else None)
        self._stored, self._link, self._unsaved = Versioned(link, etag), link, False

    async def _step(self) -> str | None:
        """Take one decision and act on it; the name of the outcome when that was the last one."""
        pending = self._link.pending
        if pending is not None and pending.by == self._envelope.id and self._unapplied:
            # the attempt before this one is known to have had no effect: no call is spent on looking
            self._link, self._unsaved = replace(self._link, pending=None), True
        self._unapplied = False
        if self._envelope.since is not None and self._is_overtaken(self._envelope.since):
            return "overtaken"
        findable = self._caller.findable(self._link)
        policy = self._policies.of(self._signal, self._route, self._link, findable)
        action = d.decide(
            self._link,
            self._signal,
            policy,
            self._now(),
            self._envelope.id,
            looked=self._looked,
            replayed=self._envelope.replayed,
        )
        match action:
            case a.Ignore(why):
                if self._unsaved:
                    await self._write(self._link)
                return why
            case a.Locked(until):
                raise KeyLocked(until)
            case a.SaveLink(remembered, why):
                await self._write(remembered)
                return why
            case a.Reschedule(held, until, why):
                await self._write(held)
                self._until = until
                return why
            case a.ReadTicket():
                await self._look(policy)
            case a.CallTicketSystem():
                await self._call(action)
        return None

    def _is_overtaken(self, since: Order) -> bool:
        """Whether something was heard of the problem after it was decided that quiet would end it."""
        mine = self._link.pending is not None and self._link.pending.by == self._envelope.id
        return not mine and (self._link.latest != since or self._link.stage is not LinkStage.OPEN)

    async def _let_in(self, connection: str) -> None:
        """Ask the connection's budget once, before the first call. Raises what says how long to wait."""
        if not self._admitted:
            urgent = self._signal.severity in _URGENT
            await self._admit(connection, urgent=urgent, place=self._envelope.place)
            self._admitted = True

    async def _look(self, policy: a.Policy) -> None:
        """Find out what became of the ticket, and take the link there. Written with the next decision."""
        pending = self._link.pending
        if policy.findable:
            await self._let_in(self._link.connection if pending is None else pending.connection)
        found = await self._caller.find(self._link) if policy.findable else None
        self._looked = True
        settled = d.settle(self._link, found, policy.findable, self._now())
        if pending is not None and settled.latest == pending.event and self._link.latest != pending.event:
            self._done.append(_DONE[pending.op])
        self._link, self._unsaved = settled, True

    async def _call(self, action: a.CallTicketSystem) -> None:
        target = self._caller.target(self._link, action)
        lease = self._mapper.delivery.lease
        await self._let_in(target.connection)
        await self._write(d.reserve(self._link, action, target, self._envelope.id, self._now(), lease))
        pending = self._link.pending
        if pending is None:
            raise AssertionError("a reservation without its pending call")
        self.outcome = "unknown"
        try:
            called = await self._caller.make(self._link, pending)
        except Refused as refusal:
            await self._after_refusal(action, pending, refusal)
            return
        except TicketSystemError as error:
            self.outcome = "unknown" if error.applied else "not_applied"
            raise
        self._warnings += called.warnings
        self._dropped += called.ticket.dropped
        if self._was_in_vain(action, called.ticket):
            self._link, self._unsaved = d.settle(self._link, called.ticket, True, self._now()), True
            return
        if action.op is Op.RESOLVE and called.ticket.phase is Phase.OPEN:
            raise Refused(
                f"{called.ticket.ref.number or called.ticket.ref.id} was accepted as resolved but stayed open",
                connection=pending.connection,
                advice="A business rule, a state model or a missing right keeps the state. Resolve it by hand, or set "
                "resolve.fields.state of the route to a state that the instance allows",
            )
        await self._write(d.commit(self._link, pending, called.ticket, self._now()))
        self._done.append(_DONE[action.op])

    def _was_in_vain(self, action: a.CallTicketSystem, ticket: Ticket) -> bool:
        """A note about a new firing on a ticket that people resolved or closed meanwhile helps nobody."""
        refired = action.op is Op.COMMENT and not action.over and self._signal.state is SignalState.FIRED
        return refired and ticket.phase is not Phase.OPEN

    async def _after_refusal(self, action: a.CallTicketSystem, pending: Pending, refusal: Refused) -> None:
        """Look what a refused write left behind, and decide anew if it changes anything.

        A refused change may mean that the ticket was closed or deleted. A refused create may have made its ticket all
        the same: ServiceNow answers 403 for a row that was inserted and may not be read by who inserted it.
        """
        if not self._caller.findable(self._link):
            raise refusal
        before = self._link
        try:
            found = await self._caller.find(before)
        except NotAuthorised:
            raise refusal from None  # who may not look either learns nothing by coming back
        settled = d.settle(before, found, True, self._now())
        if settled.stage is before.stage and settled.latest == before.latest:
            raise refusal
        if action.op is Op.CREATE:
            self._done.append(_DONE[pending.op])
        self._link, self._unsaved, self._found_over = settled, True, True

    def _result(self, decision: str) -> Delivered:
        link = self._link
        if self._done:
            decision = "_".join(dict.fromkeys(self._done))
            if decision == "created" and link.stage is LinkStage.RESOLVED:
                decision = "created_resolved"
        elif decision == "duplicate" and self._found_over:
            decision = "already_over"
        return Delivered(
            decision=decision,
            ticket=link.ticket,
            connection=link.connection,
            route=self._route.name if self._route else link.route,
            stage=link.stage.value,
            dropped=self._dropped,
            warnings=self._warnings,
            until=self._until,
            rule=link.held_by if decision in ("held", "suppressed") else "",
        )
