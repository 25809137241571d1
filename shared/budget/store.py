"""Budgets in Table storage, one row per connection. The ETag is the lock, as with links."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Protocol

from shared.budget.state import Backlog, Circuit, QuotaState
from shared.core.errors import StorageUnavailable
from shared.platform.storage import RowOvertaken, Storage, put_row, storage_errors

if TYPE_CHECKING:
    from azure.data.tables.aio import TableClient

TABLE = "budgets"
_ROW = "budget"

#: Seconds that an operation may take, the SDK's own retries included: calls to the ticket system wait for it.
_PATIENCE = 8.0


class BudgetOvertaken(Exception):
    """Another worker wrote the row since it was read: an answer rather than an error."""


class BudgetStore(Protocol):
    """Keeps the shared state of budgets."""

    async def read(self, connection: str) -> tuple[QuotaState, str] | None:
        """The state and its ETag, None when there is none. Raises StorageUnavailable."""
        ...

    async def write(self, connection: str, state: QuotaState, etag: str | None) -> str:
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

    async def read(self, connection: str) -> tuple[QuotaState, str] | None:
        """See ``BudgetStore.read``."""
        from azure.core.exceptions import ResourceNotFoundError

        async with storage_errors("reading a budget", within=_PATIENCE):
            try:
                entity = await self._table().get_entity(connection, _ROW)
            except ResourceNotFoundError:
                return None
        return from_entity(entity), str(entity.metadata["etag"])

    async def write(self, connection: str, state: QuotaState, etag: str | None) -> str:
        """See ``BudgetStore.write``."""
        entity = to_entity(connection, state)
        async with storage_errors("writing a budget", within=_PATIENCE):
            try:
                return await put_row(self._table(), entity, etag)
            except RowOvertaken as error:
                raise BudgetOvertaken from error


def to_entity(connection: str, state: QuotaState) -> dict[str, Any]:
    """The table row: what people look for in columns of its own, the rest as JSON."""
    return {
        "PartitionKey": connection,
        "RowKey": _ROW,
        "Leased": state.ordinary + state.urgent,
        "Limit": -1 if state.limit is None else state.limit,
        "Waiting": max(round(state.waiting.tail - state.waiting.head), 0),
        "CoolUntil": state.cool_until,
        "CircuitOpen": not state.circuit.closed,
        "State": json.dumps(asdict(state), separators=(",", ":")),
    }


def from_entity(entity: Mapping[str, Any]) -> QuotaState:
    """Read a table row back. What another release wrote beside what we know is left out.

    Raises StorageUnavailable when it cannot be understood.
    """
    try:
        data = _known(QuotaState, json.loads(entity["State"]))
        data["circuit"] = Circuit(**_known(Circuit, data["circuit"]))
        for waiting in ("waiting", "urgent_waiting"):
            data[waiting] = Backlog(**_known(Backlog, data[waiting]))
        for lasting in ("workers", "seats"):
            data[lasting] = tuple((str(name), float(expiry)) for name, expiry in data.get(lasting, ()))
        return QuotaState(**data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StorageUnavailable(
            f"the row of a budget in table {TABLE} cannot be understood ({type(error).__name__}). Delete it: the "
            "bridge writes a new one, and counts from zero in this window"
        ) from error


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in data.items() if name in names}
