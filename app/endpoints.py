"""Handlers of the engine's HTTP endpoints; sources bring their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from app.standby import HEALTH_SECONDS
from shared.core.http import Handler, Request, Response
from shared.core.problem import Problem

if TYPE_CHECKING:
    from app.container import Container


async def _refuse_in_dry_run(request: Request) -> Response:
    """For endpoints that act at once. Raises Problem."""
    del request
    raise Problem(
        409, "Dry run", "bridge.yaml says 'mode: dry_run': nothing is written outside. Set 'mode: live' to do this."
    )


class Endpoints:
    """One handler for each endpoint. They raise Problem, and errors of the tree."""

    def __init__(self, services: Container) -> None:
        self._services = services

    def handler(self, name: str) -> Handler:
        """Who answers an endpoint, also of a source, by the name of its function. Raises KeyError."""
        found, services = dict(self.handlers()), self._services
        if name not in found:  # sources are only built for requests that need one
            if services.is_dry_run and name in services.registry.acting_endpoints:
                return _refuse_in_dry_run
            for source in services.sources.values():
                found |= source.handlers()
        return found[name]

    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by the name of their function."""
        return {
            "preview": self.preview,
            "dead_letters": self.dead_letters,
            "quarantine": self.quarantine,
            "tickets": self.tickets,
            "report": self.report,
            "jobs": self.jobs,
            "check": self.check,
            "health": self.health,
            "health_report": self.health_report,
        }

    async def preview(self, request: Request) -> Response:
        """``POST /api/preview``: what payloads would become. Writes nothing; ticket systems are read for the values of
        the templates that routes name and, with ``?tags=true``, tags of resources are read from their cloud."""
        from shared.web.intake import read_json
        from shared.web.preview_request import wants_tags

        with_tags = wants_tags(request)
        previews = self._services.previews
        items = previews.parsed(read_json(request.body, request.header("Content-Type")))
        items = await previews.tagged(items) if with_tags else items
        return Response(200, {"items": await previews.filled(previews.shown(items, tags_read=with_tags))})

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

    async def report(self, request: Request) -> Response:
        """``GET /api/report``."""
        from shared.web.report_request import report

        return await report(request, self._services.audit_log, self._services.now())

    async def jobs(self, request: Request) -> Response:
        """``GET``, ``POST /api/jobs``."""
        from shared.web.jobs import jobs

        return await jobs(request, self._services.job_runner)

    async def check(self, request: Request) -> Response:
        """``POST /api/check``."""
        from app.checks import run_checks
        from shared.web.check import check

        return await check(request, partial(run_checks, self._services))

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
