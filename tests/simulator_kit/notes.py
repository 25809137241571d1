"""The smallest simulator that works: a service that stores notes. An example of how to use the kit."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from local.simulator_kit import control, faults, frontend
from local.simulator_kit.calls import Answer, Call
from local.simulator_kit.certificates import ensure_certificates
from local.simulator_kit.clock import Clock
from local.simulator_kit.control import limit_of
from local.simulator_kit.faults import COMMON_KINDS, Wait
from local.simulator_kit.frontend import call_fields
from local.simulator_kit.journal import Journal
from local.simulator_kit.request_log import RequestEntry, RequestLog
from local.simulator_kit.scenarios import Kind, Scenario, Scenarios
from local.simulator_kit.server import Endpoints, listening
from local.simulator_kit.settings import Switches, switch

KINDS = {**COMMON_KINDS, "busy": Kind("arrival", "503."), "teapot": Kind("after", "418.", needs_commit=True)}


@dataclass
class Settings(Switches):
    """Settings of the service."""

    most: int = switch(3, "Notes that are stored at most; above: 507.")


class State:
    """What the service stores."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.settings = Settings()
        self.requests = RequestLog("operation")
        self.scenarios = Scenarios(KINDS, {"operation": "write or read"})
        self.journal = Journal()
        self.notes: list[Any] = []

    def reset(self, *, keep_settings: bool) -> None:
        """Back to the first day."""
        self.clock.reset()
        self.requests.reset()
        self.scenarios.clear()
        self.journal.clear()
        self.notes.clear()
        if not keep_settings:
            self.settings = Settings()


class Faults(faults.Faults[Call]):
    """The service's own faults."""

    async def on_arrival(self, _scenario: Scenario, _call: Call, _wait: Wait, /) -> Answer | None:
        """The only kind: ``busy``."""
        return Answer(503)

    async def on_answer(self, _scenario: Scenario, _call: Call, _answer: Answer, _wait: Wait, /) -> Answer:
        """The only kind: ``teapot``."""
        return Answer(418)


class Control(control.Control):
    """Shows notes and journal."""

    def __init__(self, state: State) -> None:
        self._notes = state
        super().__init__(state)

    def more_endpoints(self) -> control.Endpoints:
        """What only this service has."""
        return {
            ("GET", "notes"): (lambda _body, query, _tail: self._notes.notes[: limit_of(query, 10)], "The notes."),
            ("GET", "notes/{id}"): (lambda _body, _query, tail: {0: self._notes.notes[0]}[int(tail)], "One note."),
            ("GET", "journal"): (lambda *_: self._notes.journal.listed(), "What was changed."),
        }


class Frontend(frontend.Frontend[Call]):
    """Answers every request."""

    max_body = 100

    def __init__(self, state: State) -> None:
        super().__init__(state, Control(state))
        self._notes = state
        self._faults = Faults(state.scenarios)

    async def receive(self, request: web.Request, entry: RequestEntry) -> Call:
        """GET reads, everything else writes."""
        call = Call(**call_fields(request, entry))
        call.body = await request.read()
        call.operation = entry.target = "read" if call.method == "GET" else "write"
        return call

    async def answer(self, _request: web.Request, call: Call, wait: Wait, /) -> Answer:
        """Answer a call, with its faults."""
        answer = await self._faults.arrival(call, wait)
        return await self._faults.after(call, answer or self._serve(call), wait)

    def _serve(self, call: Call) -> Answer:
        state = self._notes
        if call.operation == "read":
            return Answer(200, state.notes)
        if len(state.notes) >= state.settings.most:
            return Answer(507)
        state.notes.append(call.json_object())
        call.entry.user = "kim"
        state.journal.record(call, state.clock.text(), f"notes/{len(state.notes)}", None, state.notes[-1])
        return Answer(201, state.notes[-1])

    def respond(self, request: web.Request, call: Call, answer: Answer) -> web.Response:
        """JSON, or nothing."""
        if answer.empty:
            return web.Response(status=answer.status)
        text = web.json_response(answer.payload).text or ""
        return web.Response(status=answer.status, text=text[: int(len(text) * answer.send)])


@asynccontextmanager
async def running(
    *, port: int = 0, https_port: int = 0, folder: Path | None = None, latency: float = 0.0
) -> AsyncIterator[Endpoints]:
    """Run the service while the context lasts."""
    with tempfile.TemporaryDirectory(prefix="notes-") as scratch:
        certificates = ensure_certificates(folder or Path(scratch))
        state = State()
        state.settings.patch({"latency_ms": latency * 1000})
        async with listening(Frontend(state), certificates, port=port, https_port=https_port) as endpoints:
            yield endpoints
