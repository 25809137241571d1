"""Who hears how the worker is doing."""

from __future__ import annotations

from typing import Protocol

from shared.core.errors import TicketSystemError
from shared.core.messages import Envelope
from shared.core.ticket_system import TicketRef


class ConnectionHealth(Protocol):
    """Hears how the connections are doing."""

    async def succeeded(self, connection: str) -> None: ...

    async def failed(self, connection: str, error: TicketSystemError) -> None: ...


class AuditWriter(Protocol):
    """Writes down what came of each signal. Never raises because of storage: the signal has come to its end."""

    async def finished(
        self,
        envelope: Envelope,
        decision: str,
        *,
        route: str = "",
        connection: str = "",
        ticket: TicketRef | None = None,
        rule: str = "",
        calls: int = 0,
        reason: str = "",
    ) -> None: ...
