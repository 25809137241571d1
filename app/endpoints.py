"""Handlers of the engine's HTTP endpoints; sources bring their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.standby import HEALTH_SECONDS
from shared.core.http import Handler, Request, Response

if TYPE_CHECKING:
    from app.container import Container


class Endpoints:
    """One handler for each endpoint. They raise Problem, and errors of the tree."""

    def __init__(self, services: Container) -> None:
        self._services = services

    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by the name of their function."""
        return {
            "preview": self.preview,
            "dead_letters": self.dead_letters,
            "quarantine": self.quarantine,
            "tickets": self.tickets,
            "health": self.health,
            "health_report": self.health_report,
        }

    async def preview(self, request: Request) -> Response:
        """``POST /api/preview``: what payloads would become. No side effect."""
        from shared.web.intake import read_json

        body = read_json(request.body, request.header("Content-Type"))
        return Response(200, {"items": self._services.preview(body)})

    async def dead_letters(self, request: Request) -> Response:
        """``GET``, ``POST /api/dead-letters``."""
        from shared.web.parked_requests import parked_items

        return await parked_items(request, self._services.parked_items, "dead-letter")

    async def quarantine(self, request: Request) -> Response:
        """``GET``, ``POST /api/quarantine``."""
        from shared.web.parked_requests import parked_items

        return await parked_items(request, self._services.parked_items, "quarantine")

    async def tickets(self, request: Request) -> Response:
        """``GET /api/tickets``."""
        from shared.web.tickets import list_tickets

        sources = [source.name for source in self._services.registry.sources]
        return await list_tickets(request, self._services.ticket_list, sources)

    async def health(self, request: Request) -> Response:
        """``GET /api/health``: whether the bridge is well, and nothing else: strangers ask too. 503 when it cannot take
        signals in. Whoever asks keeps the bridge going where Azure does not call its functions."""
        del request
        await self._services.standby.help(HEALTH_SECONDS)
        report = await self._services.health_report()
        return Response(503 if report.status == "unavailable" else 200, {"status": report.status})

    async def health_report(self, request: Request) -> Response:
        """``GET /api/health/report``: everything that is known of it."""
        del request
        report = await self._services.health_report()
        return Response(503 if report.status == "unavailable" else 200, report.shown())
