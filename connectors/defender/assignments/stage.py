"""The stage that finds out who has to fix a recommendation, and by when, so that its ticket says so.

It stands before grouping. The order of one message is always: write the assignment, let the signal be grouped, note
where its ticket is, order that Defender for Cloud be told. A worker that dies in between is followed by the same
message again, which finds the assignment as it was left and does the rest. What is done twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

from connectors.defender.assignments.assignment import Assignment
from connectors.defender.assignments.rules import CompiledRule, assign, noticed, over, stamped
from connectors.defender.assignments.store import AssignmentStore
from connectors.defender.assignments.withdrawal import accounted
from connectors.defender.assignments.write_back import push_key
from connectors.defender.routes import GROUPS, integration_of, settings_of, with_facts
from connectors.defender.settings import IntegrationSettings
from shared.core.link import LinkStage
from shared.core.messages import EndWhenQuiet, PushToSource, QueueSender, SignalMessage
from shared.core.outcome import Outcome, OutcomeKind
from shared.core.signal import Signal, SignalState
from shared.delivery.links import LinkStore
from shared.delivery.stages import Attempt
from shared.mapping.mapper import Mapper

_MOST_TRIES = 25

#: Gives a signal the details that say where its subscription stands: ``tenant_id`` and ``management_groups``.
Locate = Callable[[Signal], Awaitable[Signal]]


async def nowhere(signal: Signal) -> Signal:
    """Nothing is known of where subscriptions stand."""
    return signal


class AssignOwner:
    """Assigns recommendations to the person who has to fix them. A ``Stage`` of delivery."""

    def __init__(
        self,
        mapper: Mapper,
        rules: Sequence[CompiledRule],
        store: AssignmentStore,
        links: LinkStore,
        queue: QueueSender,
        *,
        now: Callable[[], datetime],
        locate: Locate = nowhere,
        unassigned_take_routes: bool = False,
        write_back: bool = True,
    ) -> None:
        """
        Args:
            mapper: the compiled configuration.
            rules: its governance rules.
            store: of assignments. links: tell whether something has a ticket already.
            queue: takes the orders to tell Defender for Cloud.
            now: the clock.
            locate: says where a subscription stands, for what was pushed; see :data:`Locate`.
            unassigned_take_routes: recommendations of the poll that nobody has to fix are tickets all the same.
            write_back: Defender for Cloud is told of assignments.
        """
        self._mapper = mapper
        self._rules = rules
        self._store = store
        self._links = links
        self._queue = queue
        self._now = now
        self._locate = locate
        self._unassigned_take_routes = unassigned_take_routes
        self._write_back = write_back

    async def run(self, message: SignalMessage, attempt: Attempt) -> SignalMessage | Outcome:
        """See ``Stage``. Decision ``unassigned``: the poll found it, and nobody has to fix it; ``withdrawn``: somebody
        had to, until the assignment was withdrawn.

        Raises StorageUnavailable, and KeyContended when too many workers wrote the same assignment.
        """
        signal = message.signal
        if signal.source != "defender" or signal.kind != "recommendation":
            return message
        if signal.via or isinstance(message, EndWhenQuiet):
            return await self._with_withdrawals(message)
        bare = await self._locate(with_facts(signal, {}))
        before, after = await self._decide(bare)
        if after is None:
            return await self._unassigned(message, bare)
        is_withdrawn = after.taken_back and signal.state is not SignalState.RESOLVED
        if is_withdrawn and not await self._is_being_written(signal.key):
            return Outcome(OutcomeKind.DELIVERED, "withdrawn", group=after.ticket_key)
        assigned = stamped(bare, after, self._integration_of(after, bare))
        onward = replace(message, signal=assigned, claim="")

        async def after_grouping(grouped: SignalMessage | Outcome) -> None:
            if after.open:
                await self._note_ticket(after, grouped)
            if self._is_news(before, after, bare, grouped):
                push = PushToSource(id=uuid4().hex, received_at=self._now(), key=push_key(after.key))
                await self._queue.send(push)

        if after.ticket_key.startswith(GROUPS) and integration_of(self._mapper, assigned) is None:
            result = await self._without_integration(onward, after)
            await after_grouping(result)
            return result
        attempt.after_grouping.append(after_grouping)
        return onward

    async def _decide(self, signal: Signal) -> tuple[Assignment | None, Assignment | None]:
        """The assignment before and after a signal, written."""
        before: Assignment | None = None
        after: Assignment | None = None

        def decide(found: Assignment | None) -> Assignment | None:
            nonlocal before, after
            before, after = found, self._after(signal, found)
            return after

        await self._store.update(signal.key, decide, contended=_contended(signal.key), tries=_MOST_TRIES)
        return before, after

    def _after(self, signal: Signal, before: Assignment | None) -> Assignment | None:
        integration = settings_of(integration_of(self._mapper, signal))
        if signal.state is SignalState.RESOLVED:
            return over(signal, self._rules, integration, self._now(), before)
        found = assign(signal, self._rules, integration, self._now(), before)
        if found is None:
            return None
        found = noticed(found, signal)
        return replace(found, ticket_key=self._ticket_key(signal, found)) if found.open else found

    def _ticket_key(self, signal: Signal, assignment: Assignment) -> str:
        """Key of the link that has the ticket, or will have it: that of a group, or the recommendation's own."""
        if assignment.ticket_key:
            return assignment.ticket_key
        governed = stamped(signal, assignment, self._integration_of(assignment, signal))
        route = integration_of(self._mapper, governed)
        return (route.group.base(governed) if route is not None and route.group is not None else "") or signal.key

    def _integration_of(self, assignment: Assignment, signal: Signal) -> IntegrationSettings | None:
        """The assignment's own integration; where the configuration has it no more, the one that covers the signal."""
        pinned = replace(signal, details={**signal.details, "integration": assignment.integration})
        return settings_of(integration_of(self._mapper, pinned))

    async def _without_integration(self, message: SignalMessage, assignment: Assignment) -> SignalMessage | Outcome:
        """The ticket is that of a group whose integration was removed from the configuration: no route counts for it.
        It ends with the last of its assignments all the same."""
        counted = Outcome(OutcomeKind.GROUPED, "grouped", group=assignment.ticket_key)
        if message.signal.state is not SignalState.RESOLVED:
            return counted
        if await self._store.has_open(assignment.ticket_key):
            return counted
        now = self._now()
        ending = replace(
            message.signal,
            key=assignment.ticket_key,
            occurred_at=now,
            resolved_at=now,
            opens=False,
            origin="",
            details={},
        )
        return await self._with_withdrawals(replace(message, signal=ending, passed_throttle=True))

    async def _with_withdrawals(self, message: SignalMessage) -> SignalMessage:
        """The message; where it ends a ticket that was shared, with the people who withdrew parts of it."""
        signal = message.signal
        if signal.state is not SignalState.RESOLVED or isinstance(message, EndWhenQuiet):
            return message
        complete = accounted(signal, [one async for one in self._store.withdrawn_on(signal.key)])
        return message if complete is signal else replace(message, signal=complete, claim="")

    async def _is_being_written(self, key: str) -> bool:
        """Whether a delivery of the key was begun whose outcome is not known: this message has to find out."""
        stored = await self._links.load(key)
        return stored is not None and stored.value.pending is not None

    async def _note_ticket(self, assignment: Assignment, grouped: SignalMessage | Outcome) -> None:
        """Note that the signal was counted somewhere else than was thought: in the summary of a storm."""
        ticket_key = grouped.group if isinstance(grouped, Outcome) else grouped.signal.key
        if not ticket_key or ticket_key == assignment.ticket_key:
            return

        def landing(found: Assignment | None) -> Assignment | None:
            return None if found is None or not found.open else replace(found, ticket_key=ticket_key)

        await self._store.update(assignment.key, landing, contended=_contended(assignment.key), tries=_MOST_TRIES)

    def _is_news(
        self, before: Assignment | None, after: Assignment, signal: Signal, grouped: SignalMessage | Outcome
    ) -> bool:
        """Whether Defender for Cloud has to be told of the assignment by itself: of its end, and of what has joined a
        ticket that is there already. Of everything else it is told with the ticket, once that is made.

        Says so for a message that comes twice, too: the worker that had it first may have died before it queued that.
        """
        if not (self._write_back and after.origin and after.ticket_key):
            return False
        if not after.open:
            return signal.state is SignalState.RESOLVED and after.latest == signal.order
        return isinstance(grouped, Outcome) and (before is None or not before.open or not after.last_pushed)

    async def _unassigned(self, message: SignalMessage, signal: Signal) -> SignalMessage | Outcome:
        """Nobody has to fix it: it takes the routes, unless the poll found it and only assigned ones are wanted."""
        if signal.details.get("polled") != "true" or self._unassigned_take_routes:
            return message
        if signal.state is SignalState.RESOLVED and await self._may_have_ticket(signal):
            return message
        return Outcome(OutcomeKind.DELIVERED, "unassigned")

    async def _may_have_ticket(self, signal: Signal) -> bool:
        stored = await self._links.load(signal.key)
        if stored is not None and (stored.value.stage is not LinkStage.NONE or stored.value.pending is not None):
            return True
        route = self._mapper.route(signal)
        rules = None if route is None else route.group or route.open_after
        counted = rules is not None and bool(rules.base(signal))
        return counted or any(throttle.matches(signal) for throttle in self._mapper.throttles)


def _contended(key: str) -> str:
    return f"{key}: others kept changing its assignment; the recommendation is tried again later"
