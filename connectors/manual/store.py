"""Requests that were made: what was asked under which key, and what came of it. They make repeats harmless."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.core.ticket_system import TicketRef
from shared.platform.codec import RowCodec
from shared.platform.storage import Storage
from shared.platform.tables import RowAddress, RowOvertaken, VersionedTable

TABLE = "manualrequests"

RequestState = Literal["fired", "resolved"]


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request.

    Attributes:
        key: of its signal. state: which of the two requests of the key.
        body: as JSON, by which a repeat is told from another request.
        asked_at: when it was first made, UTC in whole milliseconds; the signal bears this time.
        message: id of the message, by which the log names it.
        outcome: what came of it; empty while that is not known.
        connection, ticket: of its ticket. rule: that counted or suppressed it. reason: why there is no ticket.
    """

    key: str
    state: RequestState
    body: str
    asked_at: datetime
    message: str
    outcome: str = ""
    connection: str = ""
    ticket: TicketRef | None = None
    rule: str = ""
    reason: str = ""


class RequestStore:
    """Reads and writes requests. All methods raise StorageUnavailable."""

    def __init__(self, storage: Storage) -> None:
        self._table = VersionedTable(storage, TABLE, RowCodec(StoredRequest))

    async def load(self, key: str, state: RequestState) -> StoredRequest | None:
        """The request of a key, None when there was none. Raises UnreadableRow."""
        stored = await self._table.load(_address(key, state))
        return None if stored is None else stored.value

    async def begin(self, request: StoredRequest) -> StoredRequest:
        """Remember a request before anything is done for it; the one that was there already where there is one."""
        try:
            await self._table.write(_address(request.key, request.state), request, None)
        except RowOvertaken:
            return await self.load(request.key, request.state) or request
        return request

    async def note(self, request: StoredRequest) -> None:
        """Write what came of a request."""
        await self._table.update(
            _address(request.key, request.state),
            lambda _: request,
            contended=f"{request.key}: others write its request",
        )


def _address(key: str, state: RequestState) -> RowAddress:
    digest = hashlib.sha256(key.encode()).hexdigest()
    return RowAddress(digest[:2], f"{digest}-{state}")
