"""The call budget of one connection in one process.

``admit`` asks for a delivery before it reserves anything; every request then passes the turnstile (``slot``, ``leave``,
``told``). Calls and places in the line come in blocks, so most of this happens in memory; storage is asked for a block,
for an event (a refusal, an instance asleep or back) and at most every two seconds for news.
"""

from __future__ import annotations

import asyncio
import math
import random
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from shared.budget import line, plan
from shared.budget.errors import CircuitOpen, MustWait
from shared.budget.flight import PrioritySemaphore
from shared.budget.passes import PASS, HeldPermits, Permit, place_number, place_text
from shared.budget.plan import Lease
from shared.budget.shared_state import SharedState
from shared.budget.state import QuotaRules, QuotaState, crowded, index, limit_of, opens, seat_of, share_of
from shared.budget.store import BudgetStore
from shared.budget.watch import CallWatch, PendingCall
from shared.core.errors import BridgeError
from shared.core.rate_gate import CallReport

#: Places are leased in blocks of this size at first, then of twice as many while they go fast.
_PLACES, _MOST_PLACES = 4, 64

#: Seconds that a block of places may last: older ones would overtake those who came since.
_PLACES_LAST = 10.0


@dataclass(frozen=True, slots=True)
class _Places:
    """Places leased and not yet given to messages: ``next`` to ``last``."""

    line_id: str = ""
    next: int = 1
    last: int = 0
    leased_at: float = 0.0
    size: int = _PLACES


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks for a call.

    Attributes:
        urgent: may use the reserve.
        place: number in the line, None without.
        message: whether it can wait in the line at all. begun: it was let in before.
        probe: the attempt at an open circuit that it makes, else empty.
    """

    urgent: bool = False
    place: int | None = None
    message: bool = True
    begun: bool = True
    probe: str = ""


class BudgetGate:
    """One connection's budget as one process holds it.

    Args:
        connection: name, for errors and the row.
        rules: from the configuration.
        store: where all workers meet.
        worker: names this process; random when None.
        now: the clock. chance: randomness between 0 and 1.
    """

    def __init__(
        self,
        connection: str,
        rules: QuotaRules,
        store: BudgetStore,
        *,
        worker: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.connection = connection
        self.rules = rules
        self._worker = worker or uuid4().hex[:12]
        self._clock = now
        self._chance = chance
        self._shared = SharedState(
            connection, rules, store, self._worker, now=self._now, chance=chance, new_id=lambda: uuid4().hex[:8]
        )
        self._flight = PrioritySemaphore(lambda: share_of(self._shared.view, self._worker, rules, self._now()))
        self._blocks = {False: Lease(), True: Lease()}
        self._dry_until = {False: 0.0, True: 0.0}
        self._places = {False: _Places(), True: _Places()}
        self._leasing = asyncio.Lock()
        self._placing = asyncio.Lock()
        self._watch = CallWatch(self._shared, rules, now=self._now, chance=chance)

    def _now(self) -> float:
        return self._clock().timestamp()

    @property
    def state(self) -> QuotaState:
        """The shared state as last seen, for reports."""
        return self._shared.view

    # Deliveries

    async def admit(self, *, urgent: bool, calls: int = 1, place: str = "") -> None:
        """Let a delivery in before it reserves anything; its calls then leave without asking storage.

        Args:
            urgent: Sev0 or Sev1: may use the reserve and does not stand in the ordinary line.
            calls: that it will need at least. Further ones are taken as they come.
            place: what the error said that sent the message back, empty for a new one.

        Raises:
            MustWait: no call for it now, or everybody pauses. ``retry_after`` is its turn.
            CircuitOpen: the instance is asleep or unavailable, and this is not the attempt that is due.
            StorageUnavailable: the budget could not be read.
        """
        PASS.set(None)  # an earlier delivery of this task is over: what it did not use goes back
        await self._renew(urgent)
        number = place_number(place, self.state.line_id, urgent)
        asker = _Asker(urgent, number, begun=False)
        if not await self._is_seated():
            raise self._crowded_out(place)
        if not self._is_turn(asker):
            await self._shared.renew(strict=True)
        if not self._is_turn(asker):
            raise await self._wait(asker)
        held = await self._take(asker, calls)
        if not self.state.circuit.closed:
            try:
                held.probe = await self._probe(asker)
            except BridgeError:
                self._unused(held)
                raise
        admitted = Permit(self.connection, urgent, number, held)
        weakref.finalize(admitted, self._unused, held).atexit = False
        self._shared.count_message()
        PASS.set(admitted)

    async def aclose(self) -> None:
        """Wait until what others must know is written."""
        await self._watch.written()

    async def _is_seated(self) -> bool:
        """Whether this worker may have a call in flight at all. Raises StorageUnavailable."""
        worker, rules = self._worker, self.rules
        if not crowded(self.state, worker, rules, self._now()):
            return True
        if seat_of(self.state, worker, self._now()) > plan.seat_lasts(rules) / 2:
            return True
        # Others' seats are seldom free: to try in vain costs no write.
        if not plan.take_seat(self.state, rules, worker, self._now())[1]:
            await self._shared.renew(strict=True)
        if not plan.take_seat(self.state, rules, worker, self._now())[1]:
            return False
        return await self._shared.change(lambda state: plan.take_seat(state, rules, worker, self._now()))

    def _crowded_out(self, place: str) -> MustWait:
        error = MustWait(
            f"{self.rules.in_flight} other workers make its calls, as many as may be in flight",
            connection=self.connection,
            advice="It comes back in a moment. If this lasts, fewer instances of the app do the same work, or raise "
            "max_in_flight if the instance can take more.",
            retry_after=1.0 + 2.0 * self._chance(),
        )
        error.place = place
        return error

    def _is_turn(self, asker: _Asker) -> bool:
        """Whether a delivery may ask for a call: nothing forbids calls, and nobody came before it."""
        state, now = self.state, self._now()
        if state.cool_until > now:
            return False
        if not state.circuit.closed:
            return plan.may_probe(state, now)
        if asker.urgent or limit_of(self._rolled(), self.rules) is None:
            return True
        return line.is_turn(state, self.rules, asker.urgent, asker.place, now)

    def _flows(self, asker: _Asker) -> bool:
        """Whether a call of a delivery under way may leave."""
        circuit = self.state.circuit
        mine = bool(asker.probe) and circuit.prober == asker.probe
        return (circuit.closed or mine) and self.state.cool_until <= self._now()

    async def _check(self, asker: _Asker) -> None:
        """Raise what forbids a call of a delivery under way."""
        if not self._flows(asker):
            raise await self._wait(asker)

    async def _probe(self, asker: _Asker) -> str:
        """Become the one that tries the instance. Raises CircuitOpen when another is."""
        name = f"{self._worker}:{uuid4().hex[:8]}"

        def claim(state: QuotaState) -> tuple[QuotaState, bool]:
            return (state, True) if state.circuit.closed else plan.claim_probe(state, self.rules, self._now(), name)

        if not await self._shared.change(claim):
            raise await self._wait(asker)
        return name

    def _unused(self, held: HeldPermits) -> None:
        """A delivery's task has ended."""
        self._put_back(held.block, held.block.calls, held.reserved)
        held.block = replace(held.block, calls=0)
        if held.probe and self.state.circuit.prober == held.probe:
            probe, now = held.probe, self._now()
            self._watch.happened(lambda state: plan.probe_unused(state, now, probe))

    # Calls

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A place among the calls in flight: of the connection's, this worker's share."""
        admitted = self._pass()
        return self._flight.place(urgent=admitted is not None and admitted.urgent)

    async def leave(self) -> PendingCall:
        """Spend a call: one set aside by ``admit``, or another of the same urgency. Raises as ``admit`` does."""
        admitted = self._pass()
        held = admitted.held if admitted is not None else HeldPermits(Lease())
        asker = _Asker(message=False)
        if admitted is not None:
            asker = _Asker(admitted.urgent, admitted.place, probe=held.probe)
        try:
            if not held.block.holds(1, self._now()):
                asker = await self._one_more(asker, held)
            await self._check(asker)
        except BridgeError:
            if admitted is None:
                self._unused(held)
            raise
        departure = PendingCall(self._now(), held.block, held.reserved, held.probe)
        held.block = replace(held.block, calls=held.block.calls - 1)
        self._shared.count_call(for_message=admitted is not None, leased=departure.block.window >= 0)
        if admitted is None:
            self._put_back(held.block, held.block.calls, held.reserved)
        return departure

    async def _one_more(self, asker: _Asker, held: HeldPermits) -> _Asker:
        """Take a call that was not set aside, and make the attempt at an open circuit that is due."""
        await self._renew(asker.urgent)
        if not self._flows(asker):
            await self._shared.renew(strict=True)
        if plan.may_probe(self.state, self._now()):
            held.probe = await self._probe(asker)
            asker = replace(asker, probe=held.probe)
        await self._check(asker)
        self._put_back(held.block, held.block.calls, held.reserved)
        held.block = replace(held.block, calls=0)
        taken = await self._take(asker, 1)
        held.block, held.reserved = taken.block, taken.reserved
        return asker

    def told(self, departure: object, report: CallReport) -> None:
        """Learn from what became of a call; what others must know is written at once, beside this."""
        if not isinstance(departure, PendingCall):
            raise TypeError("a departure of another turnstile")
        if not report.left:
            self._put_back(departure.block, 1, departure.reserved)
        self._watch.told(departure, report)

    # Blocks and places

    async def _renew(self, urgent: bool) -> None:
        """Where calls are rationed, ordinary work may rely on an older copy: it is what there is most of."""
        await self._shared.renew(strict=urgent or limit_of(self._rolled(), self.rules) is None)

    def _pass(self) -> Permit | None:
        admitted = PASS.get()
        return admitted if admitted is not None and admitted.connection == self.connection else None

    def _rolled(self) -> QuotaState:
        return plan.roll(self.state, self.rules, self._now())

    def _put_back(self, source: Lease, calls: int, reserved: bool) -> None:
        """Calls go back to the block that they came from, if it is still at hand."""
        block = self._blocks[reserved]
        if calls > 0 and source.window >= 0 and (block.window, block.until) == (source.window, source.until):
            self._blocks[reserved] = replace(block, calls=block.calls + calls)

    async def _take(self, asker: _Asker, calls: int) -> HeldPermits:
        """Calls out of the blocks at hand, or of a new one. Raises MustWait, StorageUnavailable."""
        if limit_of(self._rolled(), self.rules) is None:
            return HeldPermits(Lease(calls=calls, until=self._now() + 60))
        urgent = asker.urgent
        async with self._leasing:
            for reserved in (False, True) if urgent else (False,):
                if self._blocks[reserved].holds(calls, self._now()):
                    return self._from_block(reserved, calls)
            if self._now() >= self._dry_until[urgent] and await self._lease(asker, calls):
                return self._from_block(urgent, calls)
        raise await self._wait(asker)

    def _from_block(self, reserved: bool, calls: int) -> HeldPermits:
        block = self._blocks[reserved]
        self._blocks[reserved] = replace(block, calls=block.calls - calls)
        return HeldPermits(replace(block, calls=calls), reserved)

    async def _lease(self, asker: _Asker, calls: int) -> bool:
        """Lease a block in exchange for what is left of the one at hand."""
        urgent, rest = asker.urgent, self._blocks[asker.urgent]
        self._blocks[urgent] = replace(rest, calls=0)
        attempts = 0

        def exchange(state: QuotaState) -> tuple[QuotaState, Lease | None]:
            nonlocal attempts
            attempts += 1
            now = self._now()
            if attempts == 1:  # a repeated write may be one that arrived: then the rest was given back already
                name = {"urgent" if urgent else "ordinary": rest.calls}
                state = plan.give_back(state, rest.window, **name)
            state, block = plan.lease(state, self.rules, now, urgent=urgent, calls=calls)
            if asker.place is not None and block is None:
                state = line.set_back(state, urgent, asker.place)
            elif asker.place is not None:
                state = line.reached(state, self.rules, now, urgent, asker.place)
            return state, block

        block = await self._shared.change(exchange)
        if block is None:
            self._dry_until[urgent] = self._now() + min(2.0, self.rules.per / 100)
            return False
        came_back = self._blocks[urgent]
        same = (came_back.window, came_back.until) == (block.window, block.until)
        self._blocks[urgent] = replace(block, calls=block.calls + (came_back.calls if same else 0))
        return True

    async def _place(self, asker: _Asker) -> int | None:
        """The place of who has to wait: its own; that of the turn for one that was let in; else a new one."""
        if asker.place is not None or not asker.message:
            return asker.place
        state, now, urgent = self.state, self._now(), asker.urgent
        if asker.begun and line.line_of(state, urgent).tail:
            return max(1, int(line.progress(state, self.rules, urgent, now)))
        async with self._placing:
            places, now = self._places[urgent], self._now()
            lasting = 0 <= now - places.leased_at < _PLACES_LAST and places.line_id == self.state.line_id
            if not lasting or places.next > places.last:
                size = min(places.size * 2, _MOST_PLACES) if lasting else _PLACES
                first = await self._shared.change(lambda state: line.join(state, self.rules, now, urgent, size))
                places = _Places(self.state.line_id, first, first + size - 1, now, size)
            self._places[urgent] = replace(places, next=places.next + 1)
            return places.next

    async def _wait(self, asker: _Asker) -> MustWait | CircuitOpen:
        """The error for what has to wait, with its turn."""
        place, state, now = await self._place(asker), self.state, self._now()
        number = place if place is not None else line.line_of(state, asker.urgent).tail + 1
        due = line.due(state, self.rules, asker.urgent, number, now)
        delay = max(due - now, 1.0)
        # Queues cut off parts of seconds, and to come before a pause ends or a window begins is in vain.
        begins = opens(self.rules, state.skew, index(self.rules, state.skew, due))
        if not state.circuit.closed or state.cool_until > now or now + int(delay) < begins:
            delay = math.ceil(delay)
        error: MustWait | CircuitOpen
        if not state.circuit.closed:
            error = CircuitOpen(
                "nothing is sent for now, because it is asleep or unavailable",
                connection=self.connection,
                advice="It is tried again at intervals that grow to five minutes, and the backlog follows at once.",
                retry_after=delay,
            )
        else:
            error = MustWait(
                "calls pause because its rate limit was reached"
                if state.cool_until > now
                else "the calls of this window are used up, or promised to those who came before",
                connection=self.connection,
                advice="It comes back when it is its turn. If this lasts, raise the limit on the instance and "
                "budget.calls, or group alerts.",
                retry_after=delay,
            )
        error.place = place_text(state.line_id, asker.urgent, place) if place is not None else ""
        return error
