"""Tickets by hand while the app runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from shared.core.http import Handler, Request, Response
from shared.core.plugins import Source
from shared.engine import Engine

if TYPE_CHECKING:
    from connectors.manual.requests import ManualTickets


class ManualSource(Source):
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @cached_property
    def tickets(self) -> ManualTickets:
        """Fulfils requests. Raises ConfigurationError."""
        from connectors.manual.requests import ManualTickets
        from connectors.manual.store import RequestStore

        engine = self._engine
        store = RequestStore(engine.state_storage)
        return ManualTickets(engine.mapper, store, engine.links, engine.queue, engine.worker.handle_now, now=engine.now)

    async def request_ticket(self, request: Request) -> Response:
        """``POST /api/tickets``; see ``endpoints.request_ticket``."""
        from connectors.manual.endpoints import request_ticket

        return await request_ticket(request, self.tickets)

    def handlers(self) -> Mapping[str, Handler]:
        """See ``Source``."""
        return {"request_ticket": self.request_ticket}
