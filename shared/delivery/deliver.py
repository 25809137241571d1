"""One delivery: load the link, decide, reserve, call, commit. The only place where these meet.

Nothing here sleeps while it holds a message, and nothing is recorded as done before it was done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol

from shared.core.errors import (
    BridgeError,
    ChangeNotSeen,
    KeyContended,
    NotAuthorised,
    Refused,
    TicketMissing,
    TicketNotSeen,
    TicketSystemError,
)
from shared.core.link import Link, LinkStage, Op, Pending
from shared.core.messages import EndWhenQuiet, SignalMessage
from shared.core.outcome import URGENT_SEVERITIES, Outcome, OutcomeKind
from shared.core.signal import Order, Signal, SignalState
from shared.core.ticket_system import LeftOut, Phase, Ticket, TicketSystems
from shared.delivery.decision.actions import (
    CallTicketSystem,
    Ignore,
    Locked,
    Policy,
    ReadTicket,
    Reschedule,
    SaveLink,
    TicketDeleted,
)
from shared.delivery.decision.decide import (
    believed_deleted,
    commit,
    decide,
    not_seen,
    reconcile_pending,
    refused,
    reserve,
)
from shared.delivery.decision.rules import PlannedWorkLookup, Policies, no_planned_work, opens_ticket
from shared.delivery.interruptions import DeliveryFailed, KeyLocked
from shared.delivery.links import LinkStore
from shared.delivery.missing import MissingTickets, called, deleted, shows, stays_open, unchanged
from shared.delivery.ticket_client import TicketClient
from shared.mapping.mapper import Mapper
from shared.platform.log import record
from shared.platform.tables import RowOvertaken, Versioned

#: A read, a reconciliation, a create and a resolve make six steps; many more mean that others keep changing the link.
_MOST_STEPS: Final = 12

#: A ticket that shows no effect of an accepted change is looked at again after the first time, and after the second;
#: only then is the effect believed to be missing. Business rules and replicas may be that late.
_FIRST_LOOK: Final = timedelta(seconds=15)
_SECOND_LOOK: Final = timedelta(seconds=60)

#: Times that a ticket is tried again which answers a write with "no such ticket" and a read with its content.
_MOST_DISAGREEMENTS: Final = 3

_WITHOUT_ROUTE: Final = {
    "no_route": "no route of bridge.yaml matches, and there is no default",
    "no_ticket": "its route says 'ticket: none'",
}

_DONE: Final = {Op.CREATE: "created", Op.COMMENT: "commented", Op.RESOLVE: "resolved", Op.REOPEN: "reopened"}


class AdmitCall(Protocol):
    """Asks a connection's call budget before a delivery reserves anything. Raises what says how long to wait."""

    async def __call__(self, connection: str, *, urgent: bool, position: str) -> None: ...


async def _unlimited(connection: str, *, urgent: bool, position: str) -> None:
    del connection, urgent, position


@dataclass(frozen=True, slots=True)
class _Context:
    """What all deliveries of one configuration share; see :class:`Deliverer` for each."""

    mapper: Mapper
    systems: TicketSystems
    links: LinkStore
    policies: Policies
    missing: MissingTickets
    admit: AdmitCall
    now: Callable[[], datetime]


class Deliverer:
    """Delivers signals by one configuration."""

    def __init__(
        self,
        mapper: Mapper,
        systems: TicketSystems,
        links: LinkStore,
        *,
        planned_work: PlannedWorkLookup = no_planned_work,
        admit: AdmitCall = _unlimited,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            mapper: the compiled configuration.
            systems: gives the ticket system of a connection; raises Refused for one that is not configured.
            links: the link store.
            planned_work: planned work of a ticket system that holds a signal now.
            admit: the call budgets.
            now: the clock.
        """
        policies, settings = Policies(mapper, planned_work, now), mapper.delivery
        missing = MissingTickets(links, systems, settings.missing_after, settings.longest_retry, now)
        self._context = _Context(mapper, systems, links, policies, missing, admit, now)

    async def deliver(self, message: SignalMessage, *, is_first_delivery: bool) -> Outcome:
        """Do what a message's signal requires, and say what that was: DELIVERED or HELD.

        Args:
            message: with its signal.
            is_first_delivery: the queue shows this message for the first time, so that what it says of the attempt
                before it is the latest that is known of that attempt.

        Raises:
            KeyLocked: another worker holds the key.
            DeliveryFailed: with the error of the tree. The link keeps the pending call until the next attempt has
                found out what became of it.
        """
        delivery = _SignalDelivery(self._context, message, is_first_delivery)
        try:
            return await delivery.run()
        except BridgeError as error:
            raise DeliveryFailed(error, delivery.last_outcome) from error

    async def is_open_and_quiet(self, key: str, since: Order) -> bool:
        """Whether a key's ticket is open and ``since`` is still its newest event. Raises StorageUnavailable."""
        stored = await self._context.links.load(key)
        return stored is not None and stored.value.stage is LinkStage.OPEN and stored.value.latest == since

    async def give_up(self, message: SignalMessage) -> None:
        """Write into the link that the message's signal was refused for good.

        The dead letter has the id of the message. Raises StorageUnavailable and KeyContended.
        """
        signal, now = message.signal, self._context.now

        def give_up(link: Link | None) -> Link | None:
            link = link or Link(key=signal.key, created_at=now())
            if link.pending is not None and link.pending.by != message.id:
                return None  # another worker holds this key and leaves the link in order
            return refused(replace(link, title=signal.title), signal.order, message.id, now())

        await self._context.links.update(signal.key, give_up, contended=f"{signal.key}: others kept changing its link")


class _SignalDelivery:
    """The delivery of one signal, and its state."""

    def __init__(self, context: _Context, message: SignalMessage, is_first_delivery: bool) -> None:
        self._context = context
        self._links = context.links
        self._now = context.now
        self._message = message
        self._signal: Signal = message.signal
        self._route = context.mapper.route(message.signal)
        self._no_ticket_route = context.mapper.no_ticket_route(message.signal) if self._route is None else ""
        self._client = TicketClient(context.mapper, context.systems, message.signal, self._route, message.id)
        self._last_had_no_effect = is_first_delivery and message.last_outcome == "not_applied"
        # Until this attempt calls, what was known of the one before it holds.
        self.last_outcome: Literal["not_applied", "unknown"] = "not_applied" if self._last_had_no_effect else "unknown"
        self._stored: Versioned[Link] | None = None
        self._link = Link(key=message.signal.key)
        self._unsaved = False
        self._found_over = False
        self._ticket_was_read = False
        self._is_admitted = False
        self._done: list[str] = []
        self._dropped: tuple[str, ...] = ()
        self._left_out: tuple[LeftOut, ...] = ()
        self._warnings: tuple[str, ...] = ()
        self._until: datetime | None = None

    async def run(self) -> Outcome:
        """Take decisions and act on them until the signal has come to its end, or has to wait."""
        # Most firings are new: the reservation itself finds out, which saves reading a link that is not there.
        if self._signal.state is not SignalState.FIRED or self._message.attempts or self._message.lock_waits:
            await self._load()
        for _ in range(_MOST_STEPS):
            if self._stored is None and self._route is None:
                await self._load()
                if self._stored is None:
                    return self._outcome("no_ticket" if self._no_ticket_route else "no_route")
            try:
                finished = await self._step()
            except RowOvertaken:
                await self._load()
                continue
            if finished is not None:
                return self._outcome(finished)
        raise KeyContended(f"{self._signal.key}: others kept changing its link; it is tried again later")

    async def _load(self) -> None:
        self._stored = await self._links.load(self._signal.key)
        self._link = self._stored.value if self._stored else Link(key=self._signal.key)
        self._unsaved = False

    async def _write(self, link: Link) -> None:
        """Write the link under the ETag at hand. Raises RowOvertaken."""
        now, signal = self._now(), self._signal
        # A group's signal has the content of its first member, and is not about that member alone.
        origin = "" if signal.via else signal.origin or link.origin
        link = replace(link, title=signal.title, source=signal.source, origin=origin)
        link = replace(link, updated_at=now, created_at=link.created_at or now)
        etag = await self._links.write(link, self._stored.etag if self._stored else None)
        self._stored, self._link, self._unsaved = Versioned(link, etag), link, False

    async def _step(self) -> str | None:
        """Take one decision and act on it; the decision's name when it was the last one."""
        pending = self._link.pending
        if pending is not None and pending.by == self._message.id and self._last_had_no_effect:
            # the attempt before this one is known to have had no effect: no call is spent on reading the ticket
            self._link, self._unsaved = replace(self._link, pending=None), True
        self._last_had_no_effect = False
        if isinstance(self._message, EndWhenQuiet) and self._is_overtaken(self._message.since):
            return "overtaken"
        findable = self._client.findable(self._link)
        policy = self._context.policies.of(self._signal, self._route, self._link, findable)
        decision = decide(
            self._link,
            self._signal,
            policy,
            self._now(),
            self._message.id,
            ticket_was_read=self._ticket_was_read,
            replayed=self._message.replayed,
        )
        if opens_ticket(decision) and self._no_ticket_route:
            decision = Ignore("no_ticket")
        match decision:
            case Ignore(why):
                if self._unsaved:
                    await self._write(self._link)
                return why
            case Locked(until):
                raise KeyLocked(until)
            case SaveLink(link, why):
                await self._write(link)
                return why
            case Reschedule(link, until, why):
                await self._write(link)
                self._until = until
                return why
            case ReadTicket():
                await self._read_ticket(policy)
            case TicketDeleted():
                await self._write(self._link)
                raise deleted(self._link)
            case CallTicketSystem():
                await self._call(decision)
        return None

    def _is_overtaken(self, since: Order) -> bool:
        """Whether there was an event of the key after it was decided that quiet would end the problem."""
        link = self._link
        mine = link.pending is not None and link.pending.by == self._message.id
        # the ticket is believed to be deleted, and its problem has not ended: that is no reason to be silent
        missing = link.stage is LinkStage.CLOSED and link.missing_since is not None
        return not mine and (link.latest != since or not (link.stage is LinkStage.OPEN or missing))

    async def _admit(self, connection: str) -> None:
        """Ask the connection's call budget once, before the first call. Raises what says how long to wait."""
        if not self._is_admitted:
            self._context.systems(connection)  # one that is disabled or not configured reserves nothing
            urgent = self._signal.severity in URGENT_SEVERITIES
            await self._context.admit(connection, urgent=urgent, position=self._message.position)
            self._is_admitted = True

    async def _read_ticket(self, policy: Policy) -> None:
        """Read the ticket, and bring the link up to date with it. The link is written with the next decision."""
        pending = self._link.pending
        if policy.findable:
            await self._admit(self._link.connection if pending is None else pending.connection)
        found = await self._client.find(self._link) if policy.findable else None
        self._ticket_was_read = True
        if found is None and policy.findable and (self._link.ticket is not None or pending is not None):
            await self._missing()
            return
        if pending is not None and found is not None and not self._check_confirmed(pending, found):
            self._reconcile_unopened(found)
            return
        reconciled = reconcile_pending(self._link, found, policy.findable, self._now())
        if pending is not None and reconciled.latest == pending.event and self._link.latest != pending.event:
            self._done.append(_DONE[pending.op])
        self._link, self._unsaved = reconciled, True

    async def _missing(self) -> None:
        """The ticket, or the one that the pending create may have made, was not found: wait, or believe it.

        Raises TicketNotSeen while it has to be looked for again.
        """
        link = not_seen(self._link, self._now())
        if self._unsaved or link != self._link:
            await self._write(link)
        creating = link.pending is not None and link.pending.op is Op.CREATE
        if link.stage is LinkStage.CLOSED and not creating:
            return  # it was believed before, and this look agrees
        wait = await self._context.missing.wait(link)
        if wait is not None:
            raise TicketNotSeen(f"{link.key}: {called(link)} cannot be seen", retry_after=wait)
        self._link, self._unsaved = believed_deleted(link, self._now()), True
        if not creating:
            record(
                "ticket_deleted",
                logging.WARNING,
                connection=link.connection,
                key=link.key,
                ticket=link.ticket.number if link.ticket is not None else "",
            )

    def _check_confirmed(self, pending: Pending, found: Ticket) -> bool:
        """Judge a ticket that showed no effect of an accepted change at first; False where that is believed now.

        Raises ChangeNotSeen while it has to be looked at again, and Refused for a resolve that had no effect.
        """
        since = pending.unconfirmed_since
        if since is None or shows(pending, found):
            return True
        left = _SECOND_LOOK - (self._now() - since)
        if left > timedelta():
            raise ChangeNotSeen(unchanged(pending, found), retry_after=max(left.total_seconds(), 1.0))
        if pending.op is Op.RESOLVE and pending.by == self._message.id:
            raise stays_open(pending, found)
        return pending.op is not Op.REOPEN

    def _reconcile_unopened(self, ticket: Ticket) -> None:
        """The system keeps a ticket as it is that should be reopened, so the problem gets a new one."""
        closed = replace(ticket, phase=Phase.CLOSED, noted=None)
        self._link, self._unsaved = reconcile_pending(self._link, closed, True, self._now()), True

    async def _call(self, action: CallTicketSystem) -> None:
        target = self._client.target(self._link, action)
        lease = self._context.mapper.delivery.lease
        await self._admit(target.connection)
        await self._write(reserve(self._link, action, target, self._message.id, self._now(), lease))
        pending = self._link.pending
        if pending is None:
            raise AssertionError("a reservation without its pending call")
        self.last_outcome = "unknown"
        try:
            result = await self._client.make(self._link, pending)
        except Refused as refusal:
            await self._after_refusal(action, pending, refusal)
            return
        except TicketSystemError as error:
            self.last_outcome = "unknown" if error.applied else "not_applied"
            raise
        self._warnings += result.warnings
        self._dropped += result.ticket.dropped
        self._left_out += result.ticket.left_out + result.left_out
        if self._is_unseen(action, result.ticket):
            self._link, self._unsaved = reconcile_pending(self._link, result.ticket, True, self._now()), True
            return
        if action.op is Op.REOPEN and result.ticket.phase is Phase.CLOSED:
            self._reconcile_unopened(result.ticket)
            return
        if result.ticket.handed_over:
            self._warnings += (result.ticket.handed_over,)
        elif action.op in (Op.RESOLVE, Op.REOPEN) and not shows(pending, result.ticket):
            if not self._client.findable(self._link):
                raise stays_open(pending, result.ticket)
            await self._write(replace(self._link, pending=replace(pending, unconfirmed_since=self._now())))
            raise ChangeNotSeen(unchanged(pending, result.ticket), retry_after=_FIRST_LOOK.total_seconds())
        done = commit(self._link, pending, result.ticket, self._now())
        if action.op is Op.CREATE:
            done = replace(done, owner=result.owner, due=result.due)
        await self._write(done)
        self._done.append("handed_over" if result.ticket.handed_over else _DONE[action.op])

    def _is_unseen(self, action: CallTicketSystem, ticket: Ticket) -> bool:
        """A comment about a new firing on a ticket that people resolved or closed meanwhile: nobody reads it."""
        refired = action.op is Op.COMMENT and not action.over and self._signal.state is SignalState.FIRED
        return refired and ticket.phase is not Phase.OPEN

    async def _after_refusal(self, action: CallTicketSystem, pending: Pending, refusal: Refused) -> None:
        """Read the ticket after a refused write, and decide anew if that changes anything.

        A refused change may mean that the ticket was closed or deleted. A refused create may have made its ticket all
        the same: a system may answer 403 for a ticket that was made and may not be read by the user who made it.
        """
        if not self._client.findable(self._link):
            raise refusal
        before = self._link
        try:
            found = await self._client.find(before)
        except NotAuthorised:
            raise refusal from None  # a user who may not read it either learns nothing by coming back
        if found is None and action.op is not Op.CREATE:
            self._link, self._unsaved = replace(before, pending=None), True
            self._ticket_was_read = True
            await self._missing()
            self._found_over = True
            return
        reconciled = reconcile_pending(before, found, True, self._now())
        if reconciled.stage is before.stage and reconciled.latest == before.latest:
            if not isinstance(refusal, TicketMissing) or found is None or self._message.attempts >= _MOST_DISAGREEMENTS:
                raise refusal
            await self._write(reconciled)
            raise TicketNotSeen(f"{before.key}: {called(before)} can be read and not written", retry_after=20.0)
        if action.op is Op.CREATE:
            self._done.append(_DONE[pending.op])
        self._link, self._unsaved, self._found_over = reconciled, True, True

    def _outcome(self, decision: str) -> Outcome:
        link = self._link
        if self._done:
            decision = "_".join(dict.fromkeys(self._done))
            if decision == "created" and link.stage is LinkStage.RESOLVED:
                decision = "created_resolved"
        elif decision == "duplicate" and self._found_over:
            decision = "already_over"
        no_ticket = self._no_ticket_route if decision == "no_ticket" else ""
        return Outcome(
            OutcomeKind.DELIVERED if self._until is None else OutcomeKind.HELD,
            decision,
            ticket=link.ticket,
            connection=link.connection,
            route=self._route.name if self._route else no_ticket or link.route,
            stage=link.stage.value,
            dropped=self._dropped,
            left_out=self._left_out,
            reason=_WITHOUT_ROUTE.get(decision, ""),
            warnings=self._warnings,
            until=self._until,
            rule=link.held_by if decision in ("held", "suppressed") else "",
        )
