"""What all workers of a connection share: one row in Table storage, whose ETag is the lock.

BudgetState    the row as a value: quota, backlog and circuit
TableBudgets   reads and writes rows
SharedState    one process's copy of a row, and its changes
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from shared.budget.backlog import Backlog, Capacity, move_up, note_worker
from shared.budget.circuit import Circuit
from shared.budget.quota import Quota, QuotaRules, charge, observe_cost, observe_time, roll
from shared.core.errors import StorageUnavailable
from shared.platform.codec import WRONG_FORM, coding_of
from shared.platform.storage import Storage, storage_errors
from shared.platform.tables import RowOvertaken, put_row

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

T = TypeVar("T")

TABLE = "budgets"
_ROW = "budget"

#: Seconds that an operation may take, the SDK's own retries included: calls to the ticket system wait for it.
_PATIENCE = 8.0

#: Seconds after which the copy is read again before anything is decided by it.
FRESH_FOR = 2.0

#: Who asks seldom may rely on an older copy for so many questions, or the news would cost an operation per ticket. It
#: misses a cool-down by one call at most: the answer to that call says so.
_ASKED, _SELDOM = 5, 60.0

#: Seconds after which a copy may have been overtaken by others.
_JUST_NOW = 0.1

#: Attempts at one change. Each round at least one worker succeeds, so as many workers as this may meet at once.
_MOST_ATTEMPTS = 30


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What all workers of a connection share."""

    backlog: Backlog
    quota: Quota = field(default_factory=Quota)
    circuit: Circuit = field(default_factory=Circuit)


_STATE = coding_of(BudgetState)

#: What happened, as a change of whatever the state is by then.
Event = Callable[[BudgetState], BudgetState]


def capacity_of(state: BudgetState, rules: QuotaRules) -> Capacity:
    """What quota and circuit leave for the backlog."""
    quota, circuit = state.quota, state.circuit
    if circuit.is_closed:
        return Capacity(rules, quota, paused_until=quota.cool_until)
    return Capacity(rules, quota, True, max(quota.cool_until, circuit.probe_at), circuit.probe_until)


def advance(state: BudgetState, rules: QuotaRules, now: float) -> BudgetState:
    """Bring the state up to the time: positions that became due meanwhile, then the window."""
    backlog = move_up(state.backlog, capacity_of(state, rules), now)
    return replace(state, backlog=backlog, quota=roll(state.quota, rules, now))


def change_quota(state: BudgetState, rules: QuotaRules, now: float, change: Callable[[Quota], Quota]) -> BudgetState:
    """Change the quota from ``now`` on: which positions are due until then is written down first.

    A change that gives the same quota back leaves the state as it is.
    """
    advanced = advance(state, rules, now)
    quota = change(advanced.quota)
    return state if quota is advanced.quota else replace(advanced, quota=quota)


def change_circuit(
    state: BudgetState, rules: QuotaRules, now: float, change: Callable[[Circuit], Circuit]
) -> BudgetState:
    """As :func:`change_quota`, for the circuit."""
    circuit = change(state.circuit)
    return state if circuit is state.circuit else replace(advance(state, rules, now), circuit=circuit)


class BudgetOvertaken(Exception):
    """Another worker wrote the row since it was read: an answer rather than an error."""


class BudgetStore(Protocol):
    """Keeps the shared state of budgets."""

    async def read(self, connection: str) -> tuple[BudgetState, str] | None:
        """The state and its ETag, None when there is none. Raises StorageUnavailable, and UnreadableRow for a row that
        cannot be read: nothing is sent until a person mends or deletes it, because nobody knows what is left."""
        ...

    async def write(self, connection: str, state: BudgetState, etag: str | None) -> str:
        """Write what was read under ``etag``, or a new row with None; the new ETag.

        Raises BudgetOvertaken, StorageUnavailable.
        """
        ...


class TableBudgets:
    """The store of a real app. ``operations`` counts the calls to storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.operations = 0

    def _table(self) -> TableClient:
        self.operations += 1
        return self._storage.table(TABLE)

    async def read(self, connection: str) -> tuple[BudgetState, str] | None:
        """See ``BudgetStore.read``."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("reading a budget", within=_PATIENCE):
            try:
                entity = await self._table().get_entity(connection, _ROW)
            except ResourceNotFoundError:
                return None
        try:
            return from_entity(entity), str(entity.metadata["etag"])
        except ValueError as error:
            raise self._storage.unreadable(TABLE, connection, error) from error

    async def write(self, connection: str, state: BudgetState, etag: str | None) -> str:
        """See ``BudgetStore.write``."""
        entity = to_entity(connection, state)
        async with storage_errors("writing a budget", within=_PATIENCE):
            try:
                return await put_row(self._table(), entity, etag)
            except RowOvertaken as error:
                raise BudgetOvertaken from error


def to_entity(connection: str, state: BudgetState) -> dict[str, Any]:
    """The table row: what people look for in columns of its own, everything as JSON in ``State``."""
    quota, waiting = state.quota, state.backlog.ordinary
    return {
        "PartitionKey": connection,
        "RowKey": _ROW,
        "Leased": quota.ordinary + quota.urgent,
        "Limit": -1 if quota.limit is None else quota.limit,
        "Waiting": max(round(waiting.last - waiting.due), 0),
        "CoolUntil": quota.cool_until,
        "CircuitOpen": not state.circuit.is_closed,
        "State": json.dumps(_STATE.write(state), separators=(",", ":")),
    }


def from_entity(entity: Mapping[str, Any]) -> BudgetState:
    """Read a table row. Fields of another release that this one does not know are left out.

    Raises ValueError for a row that cannot be read.
    """
    try:
        data = json.loads(entity["State"])
        if missing := {field.name for field in fields(BudgetState)} - data.keys():
            raise ValueError(f"{', '.join(sorted(missing))} is missing")
        state: BudgetState = _STATE.read(data)
    except WRONG_FORM as error:
        raise ValueError(f"state: {error}. Without the row the bridge counts from zero in this window") from error
    return state


@dataclass(slots=True)
class _Counts:
    """What this worker counted and has not written yet: deliveries and their calls, those of deliveries that had
    waited, answered calls and the seconds that they took, calls without a lease."""

    deliveries: int = 0
    calls: int = 0
    waited: int = 0
    waited_calls: int = 0
    timed: int = 0
    seconds: float = 0.0
    unleased: dict[int, int] = field(default_factory=dict)


class SharedState:
    """The shared state of a connection as one worker sees it: a copy, at most about two seconds old.

    Args:
        connection, rules, store, worker: whose state, by which rules, where it is stored, and who reads it.
        now: Unix seconds. chance: 0 to 1.
        new_id: names the backlog of a row that did not exist.
    """

    def __init__(
        self,
        connection: str,
        rules: QuotaRules,
        store: BudgetStore,
        worker: str,
        *,
        now: Callable[[], float],
        chance: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._connection, self._rules, self._store, self._worker = connection, rules, store, worker
        self._now, self._chance, self._new_id = now, chance, new_id
        self._stored: BudgetState | None = None
        self._etag: str | None = None
        self._read_at = float("-inf")
        self._asked = 0
        self._events: list[Event] = []
        self._counts = _Counts()
        self._lock = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self.view = BudgetState(Backlog(new_id()))

    # Reading

    async def renew(self, *, strict: bool = False) -> None:
        """Make sure that the copy is fresh: a bounded cost per time, none per ticket. Raises StorageUnavailable.

        ``strict``: something is to be refused because of it, so it is not older than ``FRESH_FOR`` seconds.
        """
        self._asked += _ASKED if strict else 1
        if self._is_fresh():
            return
        async with self._lock:
            if self._is_fresh():
                return
            if self._events:
                await self._change(lambda state: (state, None))
            else:
                await self._read()

    def _is_fresh(self) -> bool:
        age = self._now() - self._read_at
        allowed = _SELDOM if self._asked < _ASKED and not self._events else FRESH_FOR
        return 0 <= age < min(allowed, self._rules.per / 20)

    async def _read(self) -> None:
        found = await self._store.read(self._connection)
        self._stored, self._etag = found if found is not None else (None, None)
        self._read_at, self._asked = self._now(), 0
        if self._stored is not None:
            self._update_view()

    def _update_view(self) -> None:
        view = self._stored or self.view
        for event in self._events:
            view = event(view)
        self.view = view

    # Writing

    def count_delivery(self, *, waited: bool) -> None:
        """A delivery was admitted, after it had waited or at once; written with the next change."""
        self._counts.deliveries += 1
        self._counts.waited += waited

    def count_call(self, *, for_delivery: bool, waited: bool, leased: bool) -> None:
        """A call left, of a delivery (that had waited) or of none; written with the next change."""
        self._counts.calls += for_delivery
        self._counts.waited_calls += waited
        if not leased:
            window, unleased = roll(self.view.quota, self._rules, self._now()).window, self._counts.unleased
            unleased[window] = unleased.get(window, 0) + 1

    def count_answer(self, seconds: float) -> None:
        """A call was answered after so many seconds; written with the next change."""
        self._counts.timed += 1
        self._counts.seconds += seconds

    def record(self, event: Event) -> None:
        """Apply an event to this process's copy at once, and write it in the background."""
        self._events.append(event)
        self.view = event(self.view)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the garbage collector ended a delivery after its loop: the next operation writes the event
        if self._writing is None or self._writing.done():
            self._writing = loop.create_task(self._write_events())

    async def _write_events(self) -> None:
        try:
            while self._events:
                await self.change(lambda state: (state, None))
        except StorageUnavailable:
            return  # this process applies them all the same, and writes them with its next operation

    async def flush(self) -> None:
        """Wait until recorded events are written, or storage did not answer."""
        if self._writing is not None:
            await self._writing

    async def change(self, transition: Callable[[BudgetState], tuple[BudgetState, T]]) -> T:
        """Read, change and write until no other worker wrote in between; the result of the transition that was written.

        The state that the transition gets is advanced to the present time. Raises StorageUnavailable.
        """
        async with self._lock:
            return await self._change(transition)

    async def _change(self, transition: Callable[[BudgetState], tuple[BudgetState, T]]) -> T:
        for attempt in range(_MOST_ATTEMPTS):
            # A copy that others will have changed is not worth trying to write.
            old = self._now() - self._read_at > _JUST_NOW
            if attempt or self._stored is None or (old and len(self._stored.backlog.workers) > 1):
                await self._read()
            now, events = self._now(), list(self._events)
            counts = replace(self._counts, unleased=dict(self._counts.unleased))
            state = self._up_to_date(events, counts, now)
            state, result = transition(state)
            try:
                etag = await self._store.write(self._connection, state, self._etag)
            except BudgetOvertaken:
                # thousandths of a second, so that those who met do not meet again
                await asyncio.sleep(self._chance() * 0.004 * min(attempt + 1, 8))
                continue
            self._written(state, etag, len(events), counts)
            return result
        raise StorageUnavailable(
            f"the budget of {self._connection} could not be changed: other workers kept changing it. "
            "It is tried again; if it lasts, fewer instances of the app are enough for this connection"
        )

    def _up_to_date(self, events: list[Event], counts: _Counts, now: float) -> BudgetState:
        """The stored state with what this worker has to add to it."""
        state = self._stored or BudgetState(Backlog(self._new_id()))
        for event in events:
            state = event(state)
        quota = state.quota
        for window, calls in counts.unleased.items():
            quota = charge(quota, window, calls)
        state = advance(replace(state, quota=quota), self._rules, now)
        quota = observe_cost(
            state.quota,
            counts.deliveries,
            counts.calls,
            waited=counts.waited,
            waited_calls=counts.waited_calls,
        )
        return replace(
            state,
            quota=observe_time(quota, counts.timed, counts.seconds),
            backlog=note_worker(state.backlog, self._rules, self._worker, now),
        )

    def _written(self, state: BudgetState, etag: str, events: int, counts: _Counts) -> None:
        self._stored, self._etag, self._read_at, self._asked = state, etag, self._now(), 0
        del self._events[:events]
        self._counts.deliveries -= counts.deliveries
        self._counts.calls -= counts.calls
        self._counts.waited -= counts.waited
        self._counts.waited_calls -= counts.waited_calls
        self._counts.timed -= counts.timed
        self._counts.seconds -= counts.seconds
        unleased = self._counts.unleased
        for window, calls in counts.unleased.items():
            unleased[window] -= calls
            if not unleased[window]:
                del unleased[window]
        self._update_view()
