"""What deliveries and connectors pass before a call: one connection's budget as one process holds it.

``admit`` asks for a delivery before it reserves anything; every request then passes the gate (``slot``, ``acquire``,
``report``). Calls are leased in blocks, so most of this happens in memory; storage is asked for a block, for positions
in the backlog (for all that wait at the moment together), for slots (every five seconds), for an event (a refusal, an
instance that went away or came back) and at most every two seconds for news.
"""

from __future__ import annotations

import asyncio
import math
import random
import weakref
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from shared.budget.backlog import (
    add_positions,
    due_position,
    eta_of,
    format_position,
    is_due,
    parse_position,
    positions_of,
)
from shared.budget.call_monitor import CallMonitor
from shared.budget.call_slots import CallSlots
from shared.budget.circuit import claim_probe, is_probe_due, release_probe
from shared.budget.coming_deliveries import ComingDeliveries
from shared.budget.leases import HeldCalls, Leases
from shared.budget.quota import (
    Lease,
    QuotaRules,
    calls_per_delivery,
    deliveries_per_call,
    has_call_for_background,
    limit_of,
    roll,
    window_at,
    window_opens,
)
from shared.budget.store import BudgetState, BudgetStore, SharedState, capacity_of, change_quota
from shared.core.errors import BridgeError, CircuitOpen, MustWait
from shared.core.rate_gate import CallReport, ComingDelivery, is_background


@dataclass(frozen=True, weakref_slot=True, slots=True, eq=False)
class _Admission:
    """Lets the calls of one delivery pass. It follows the delivery's task; what the delivery did not use goes back when
    the task has ended.

    Attributes:
        connection: whose calls.
        urgent: whether it may use the reserve.
        position: in the backlog, of a message that waited; None for a new one.
        held: what it holds.
        number: of the admission, in this process.
    """

    connection: str
    urgent: bool
    position: int | None
    held: HeldCalls
    number: int


_ADMISSION: ContextVar[_Admission | None] = ContextVar("admission", default=None)


@dataclass(frozen=True, slots=True)
class Permit:
    """Lets one request pass: when, by whose calls, and as which attempt at an open circuit."""

    at: float
    lease: Lease
    reserved: bool
    probe: str


@dataclass(frozen=True, slots=True)
class _Demand:
    """Who asks for calls.

    Attributes:
        urgent: may use the reserve.
        position: in the backlog, None for none.
        can_wait: whether it can get a position at all. admitted: whether it was admitted before.
        probe: the attempt at an open circuit that it makes, else empty.
    """

    urgent: bool = False
    position: int | None = None
    can_wait: bool = True
    admitted: bool = True
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
        self._slots = CallSlots(self._shared, rules, self._worker, self._now)
        self._leases = Leases(self._shared, rules, self._now)
        self._unpositioned: dict[bool, list[asyncio.Future[int]]] = {False: [], True: []}
        self._positioning = asyncio.Lock()
        self._monitor = CallMonitor(self._shared, rules, now=self._now, chance=chance)
        self._coming = ComingDeliveries(self._now)

    def _now(self) -> float:
        return self._clock().timestamp()

    @property
    def state(self) -> BudgetState:
        """The shared state as last seen, for reports."""
        return self._shared.view

    async def aclose(self) -> None:
        """Wait until what others must know is written."""
        await self._shared.flush()

    # Deliveries

    async def admit(self, *, urgent: bool, calls: int = 1, position: str = "") -> None:
        """Admit a delivery before it reserves anything; its calls then leave without asking storage.

        Args:
            urgent: Sev0 or Sev1: may use the reserve and does not wait for ordinary work.
            calls: that it will need at least. Further ones are taken as they come.
            position: what the error named that sent the message back, empty for a new one.

        Raises:
            MustWait: no call for it now, or everybody pauses. ``retry_after`` is when its position is due.
            CircuitOpen: the instance is asleep or unavailable, and this is not the attempt that is due.
            StorageUnavailable: the budget could not be read.
        """
        _ADMISSION.set(None)  # an earlier delivery of this task is over: what it did not use goes back
        await self._renew(urgent)
        number = parse_position(position, self.state.backlog, urgent)
        demand = _Demand(urgent, number, admitted=False)
        if not self._may_begin(demand):
            await self._shared.renew(strict=True)
        if not self._may_begin(demand):
            raise await self._must_wait(demand)
        if not await self._slots.ensure():
            if not self._may_begin(demand):  # another made the attempt at an open circuit meanwhile
                raise await self._must_wait(demand)
            raise self._no_call_slot(position)
        quota, waited, deliveries = self.state.quota, number is not None, 1
        if not urgent:  # with one call where two are needed, it would spend that one and come back for both
            calls = max(calls, round(calls_per_delivery(quota, waited=waited)))
            deliveries = deliveries_per_call(quota, waited=waited) if self.state.circuit.is_closed else 1
        held = await self._take(demand, calls, deliveries)
        if not self.state.circuit.is_closed:
            try:
                held.probe = await self._probe(demand)
            except BridgeError:
                self._release(held)
                raise
        admission = _Admission(self.connection, urgent, number, held, self._coming.add(urgent=urgent))
        weakref.finalize(admission, self._ended, held, admission.number).atexit = False
        self._shared.count_delivery(waited=waited)
        _ADMISSION.set(admission)

    def _may_begin(self, demand: _Demand) -> bool:
        """Whether a delivery may ask for a call: nothing forbids calls, and nobody came before it."""
        state, now = self.state, self._now()
        if state.quota.cool_until > now:
            return False
        if not state.circuit.is_closed:
            return is_probe_due(state.circuit, now)
        if demand.urgent or self._leases.limit is None:
            return True
        return is_due(state.backlog, capacity_of(state, self.rules), demand.urgent, demand.position, now)

    def _may_go_on(self, demand: _Demand) -> bool:
        """Whether a call of a delivery under way may leave."""
        circuit = self.state.circuit
        mine = bool(demand.probe) and circuit.prober == demand.probe
        return (circuit.is_closed or mine) and self.state.quota.cool_until <= self._now()

    async def _check(self, demand: _Demand) -> None:
        """Raise what forbids a call of a delivery under way."""
        if not self._may_go_on(demand):
            raise await self._must_wait(demand)

    async def _probe(self, demand: _Demand) -> str:
        """Become the one that tries the instance. Raises CircuitOpen when another is."""
        name = f"{self._worker}:{uuid4().hex[:8]}"

        def claim(state: BudgetState) -> tuple[BudgetState, bool]:
            if state.circuit.is_closed:
                return state, True
            circuit, claimed = claim_probe(state.circuit, self.rules, self._now(), name)
            return replace(state, circuit=circuit), claimed

        if not await self._shared.change(claim):
            raise await self._must_wait(demand)
        return name

    def _ended(self, held: HeldCalls, number: int) -> None:
        """A delivery's task has ended."""
        self._coming.remove(number)
        self._release(held)

    def _release(self, held: HeldCalls) -> None:
        """A delivery needs no more: what it holds goes back, where nobody else holds it."""
        held.users -= 1
        if held.users > 0:
            return
        self._leases.put_back(held)
        probe, now = held.probe, self._now()
        if probe and self.state.circuit.prober == probe:
            self._shared.record(lambda state: replace(state, circuit=release_probe(state.circuit, now, probe)))

    # Calls

    def slot(self, *, shared: bool = False) -> AbstractAsyncContextManager[None]:
        """One of the calls in flight: of the connection's, one of those that this worker holds."""
        admission = self._admission()
        return self._slots.slot(urgent=admission is not None and admission.urgent, shared=shared)

    def coming_delivery(self) -> ComingDelivery | None:
        """See ``RateGate.coming_delivery``."""
        admission = self._admission()
        if admission is None or admission.urgent or admission.held.probe:
            return None
        return self._coming.coming_delivery(admission.number, rationed=self._leases.limit is not None)

    def share(self, most: int) -> None:
        """See ``RateGate.share``. All workers are told by the row."""
        if self.state.quota.sharing != most:
            now = self._now()
            self._shared.record(
                lambda state: change_quota(state, self.rules, now, lambda quota: replace(quota, sharing=most))
            )

    async def acquire(self) -> Permit:
        """Spend a call: one set aside by ``admit``, or another of the same urgency. Raises as ``admit`` does."""
        admission = self._admission()
        if admission is None and is_background():
            await self._yield_to_deliveries()
        held = admission.held if admission is not None else HeldCalls(Lease())
        demand = _Demand(can_wait=False)
        if admission is not None:
            demand = _Demand(admission.urgent, admission.position, probe=held.probe)
        try:
            if not held.lease.has(1, self._now()):
                demand = await self._take_one_more(demand, held)
            await self._check(demand)
        except BridgeError:
            if admission is None:
                self._release(held)
            raise
        permit = Permit(self._now(), held.lease, held.reserved, held.probe)
        held.lease = held.lease.add(-1)
        waited = admission is not None and admission.position is not None
        self._shared.count_call(for_delivery=admission is not None, waited=waited, leased=permit.lease.window >= 0)
        if admission is None:
            self._leases.put_back(held)
        else:
            self._coming.remove(admission.number)
        return permit

    async def _yield_to_deliveries(self) -> None:
        """Raise MustWait where a call of the background would be taken from deliveries. See ``in_background``."""
        await self._shared.renew(strict=True)
        state, now = self.state, self._now()
        quota = roll(state.quota, self.rules, now)
        nobody_waits = all(
            is_due(state.backlog, capacity_of(state, self.rules), urgent, None, now) for urgent in (False, True)
        )
        if nobody_waits and has_call_for_background(quota, self.rules, now):
            return
        error = await self._must_wait(_Demand(can_wait=False))
        if isinstance(error, MustWait) and quota.cool_until <= now:
            error.message = "the calls that are left in this window are left to alerts"
            error.advice = "It goes on as the window passes. If this lasts, raise budget.calls."
        raise error

    async def usage(self) -> tuple[int, int | None]:
        """Calls of the present window that are used or leased, and how many it allows (None: any number).

        Raises StorageUnavailable.
        """
        await self._shared.renew(strict=True)
        quota = roll(self.state.quota, self.rules, self._now())
        return quota.ordinary + quota.urgent, limit_of(quota, self.rules)

    async def _take_one_more(self, demand: _Demand, held: HeldCalls) -> _Demand:
        """Take a call that was not set aside, and make the attempt at an open circuit that is due."""
        await self._renew(demand.urgent)
        if not self._may_go_on(demand):
            await self._shared.renew(strict=True)
        if is_probe_due(self.state.circuit, self._now()):
            held.probe = await self._probe(demand)
            demand = replace(demand, probe=held.probe)
        await self._check(demand)
        self._leases.put_back(held)
        taken = await self._take(demand, 1)
        self._leases.put_back(held)  # another delivery with which it is shared may have taken one meanwhile
        held.lease, held.reserved = taken.lease, taken.reserved
        return demand

    def report(self, permit: object, report: CallReport) -> None:
        """Learn from what became of a call; what others must know is written in the background."""
        if not isinstance(permit, Permit):
            raise TypeError("a permit of another gate")
        if not report.left:
            self._leases.put_back(HeldCalls(replace(permit.lease, calls=1), permit.reserved))
        self._monitor.report(report, sent_at=permit.at, probe=permit.probe)

    # Leases and positions

    async def _renew(self, urgent: bool) -> None:
        """Where calls are rationed, ordinary work may rely on an older copy: it is what there is most of."""
        await self._shared.renew(strict=urgent or self._leases.limit is None)

    def _admission(self) -> _Admission | None:
        admission = _ADMISSION.get()
        return admission if admission is not None and admission.connection == self.connection else None

    async def _take(self, demand: _Demand, calls: int, deliveries: int = 1) -> HeldCalls:
        """Calls for a delivery, see ``Leases.take``. Raises MustWait, StorageUnavailable."""
        held = await self._leases.take(calls, urgent=demand.urgent, position=demand.position, deliveries=deliveries)
        if held is None:
            raise await self._must_wait(demand)
        return held

    async def _position(self, demand: _Demand) -> int | None:
        """The position of what has to wait: its own; the one that is due for what was admitted; else a new one."""
        if demand.position is not None or not demand.can_wait:
            return demand.position
        state, rules, now, urgent = self.state, self.rules, self._now(), demand.urgent
        if demand.admitted and positions_of(state.backlog, urgent).last:
            return max(1, int(due_position(state.backlog, capacity_of(state, rules), urgent, now)))
        mine: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._unpositioned[urgent].append(mine)
        async with self._positioning:
            if not mine.done():  # one change for all that wait by now: no position is left unused
                await self._add_positions(urgent, mine)
        return mine.result()

    async def _add_positions(self, urgent: bool, mine: asyncio.Future[int]) -> None:
        waiting, self._unpositioned[urgent] = self._unpositioned[urgent], []

        def add(state: BudgetState) -> tuple[BudgetState, int]:
            capacity = capacity_of(state, self.rules)
            backlog, first = add_positions(state.backlog, capacity, self._now(), urgent, len(waiting))
            return replace(state, backlog=backlog), first

        try:
            first = await self._shared.change(add)
        except BaseException:
            others = [one for one in waiting if one is not mine]  # each tries for itself, and for the rest
            self._unpositioned[urgent] = others + self._unpositioned[urgent]
            raise
        for number, one in enumerate(waiting, first):
            one.set_result(number)

    # Errors

    def _no_call_slot(self, position: str) -> MustWait:
        error = MustWait(
            f"{self.rules.in_flight} other workers make its calls, as many as may be in flight",
            connection=self.connection,
            advice="It comes back in a moment. If this lasts, fewer instances of the app do the same work, or raise "
            "max_in_flight if the instance can take more.",
            retry_after=1.0 + 2.0 * self._chance(),
        )
        error.position = position
        return error

    async def _must_wait(self, demand: _Demand) -> MustWait | CircuitOpen:
        """The error for what has to wait: until its position is due."""
        position, state, now = await self._position(demand), self.state, self._now()
        backlog, quota, urgent = state.backlog, state.quota, demand.urgent
        number = position if position is not None else positions_of(backlog, urgent).last + 1
        due = eta_of(backlog, capacity_of(state, self.rules), urgent, number, now)
        delay = max(due - now, 1.0)
        # Queues cut off parts of seconds, and to come before a pause ends or a window begins is in vain.
        begins = window_opens(self.rules, quota.skew, window_at(self.rules, quota.skew, due))
        if not state.circuit.is_closed or quota.cool_until > now or now + int(delay) < begins:
            delay = math.ceil(delay)
        error: MustWait | CircuitOpen
        if not state.circuit.is_closed:
            error = CircuitOpen(
                "nothing is sent for now, because it is asleep or unavailable",
                connection=self.connection,
                advice="It is tried again at intervals that grow to five minutes, and the backlog follows at once.",
                retry_after=delay,
            )
        else:
            error = MustWait(
                "calls pause because its rate limit was reached"
                if quota.cool_until > now
                else "the calls of this window are used up, or promised to those who came before",
                connection=self.connection,
                advice="It comes back when it is its turn. If this lasts, raise the limit on the instance and "
                "budget.calls, or group alerts.",
                retry_after=delay,
            )
        error.position = format_position(backlog, urgent, position) if position is not None else ""
        return error
