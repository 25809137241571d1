"""The calls that one process holds: leased in blocks from the row that all share, and handed to its deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.budget.backlog import live_workers, mark_served, set_back
from shared.budget.quota import Lease, QuotaRules, give_back, lease_calls, limit_of, roll
from shared.budget.store import BudgetState, SharedState, capacity_of

#: Seconds that calls are good for where no limit is known.
_UNLIMITED = 60.0


@dataclass(slots=True)
class HeldCalls:
    """What a delivery holds, or several that are to share one call.

    Attributes:
        lease: the calls.
        reserved: whether they came out of the reserve.
        probe: names the attempt at an open circuit that is made with them, else empty.
        users: deliveries that hold them. deliveries: how many more may.
    """

    lease: Lease
    reserved: bool = False
    probe: str = ""
    users: int = 1
    deliveries: int = 0


class Leases:
    """The leases of one worker, one for ordinary and one for urgent work.

    Args:
        shared, rules: the state that all share, and by which rules.
        now: Unix seconds.
    """

    def __init__(self, shared: SharedState, rules: QuotaRules, now: Callable[[], float]) -> None:
        self._shared, self._rules, self._now = shared, rules, now
        # Each of these by whether it is for urgent work.
        self._leases = {False: Lease(), True: Lease()}
        self._used_up_until = {False: 0.0, True: 0.0}
        self._open: HeldCalls | None = None
        self._leasing = asyncio.Lock()

    @property
    def limit(self) -> int | None:
        """Calls allowed in this window; None for any number."""
        return limit_of(roll(self._shared.view.quota, self._rules, self._now()), self._rules)

    async def take(self, calls: int, *, urgent: bool, position: int | None, deliveries: int = 1) -> HeldCalls | None:
        """Calls of a lease at hand or of a new one; None when there are not that many.

        Args:
            calls: how many.
            urgent: may use the reserve.
            position: of the delivery in the backlog, None for none.
            deliveries: deliveries that are to share the one call that is taken; one that has room left is taken first.

        Raises StorageUnavailable.
        """
        if self.limit is None:
            return HeldCalls(Lease(calls=calls, until=self._now() + _UNLIMITED))
        async with self._leasing:
            if (
                deliveries > 1
                and self._open is not None
                and self._open.deliveries
                and self._open.lease.has(1, self._now())
            ):
                self._open.deliveries -= 1
                self._open.users += 1
                return self._open
            held = await self._own(calls, urgent, position)
            if deliveries > 1 and held is not None:
                held.deliveries = deliveries - 1
                self._open = held
            return held

    async def _own(self, calls: int, urgent: bool, position: int | None) -> HeldCalls | None:
        for reserved in (False, True) if urgent else (False,):
            if self._leases[reserved].has(calls, self._now()):
                return self._hand_out(reserved, calls)
        if self._now() >= self._used_up_until[urgent] and await self._lease(calls, urgent, position):
            return self._hand_out(urgent, calls)
        return None

    def _hand_out(self, reserved: bool, calls: int) -> HeldCalls:
        lease = self._leases[reserved]
        self._leases[reserved] = lease.add(-calls)
        return HeldCalls(replace(lease, calls=calls), reserved)

    def put_back(self, held: HeldCalls) -> None:
        """Calls go back to the lease that they came from, if this worker still has it."""
        lease = self._leases[held.reserved]
        if held.lease.calls > 0 and held.lease.window >= 0 and lease.is_same(held.lease):
            self._leases[held.reserved] = lease.add(held.lease.calls)
        held.lease = replace(held.lease, calls=0)

    async def _lease(self, calls: int, urgent: bool, position: int | None) -> bool:
        """Lease calls in exchange for what is left of the lease at hand; whether there were enough."""
        rules, rest = self._rules, self._leases[urgent]
        self._leases[urgent] = replace(rest, calls=0)
        attempts = 0

        def exchange(state: BudgetState) -> tuple[BudgetState, Lease | None]:
            nonlocal attempts
            attempts += 1
            now, quota, backlog = self._now(), state.quota, state.backlog
            if attempts == 1:  # a repeated write may be one that arrived: then the rest was given back already
                given = {"urgent" if urgent else "ordinary": rest.calls}
                quota = give_back(quota, rest.window, **given)
            workers = live_workers(backlog, now)
            quota, lease = lease_calls(quota, rules, now, urgent=urgent, calls=calls, workers=workers)
            if position is not None and lease is None:
                backlog = set_back(backlog, urgent, position)
            elif position is not None:
                backlog = mark_served(backlog, capacity_of(state, rules), now, urgent, position)
            return replace(state, quota=quota, backlog=backlog), lease

        lease = await self._shared.change(exchange)
        if lease is None:
            self._used_up_until[urgent] = self._now() + min(2.0, rules.per / 100)
            return False
        came_back = self._leases[urgent]
        self._leases[urgent] = lease.add(came_back.calls if lease.is_same(came_back) else 0)
        return True
