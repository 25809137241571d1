"""The endpoint ``POST /api/check``: the check of connections and Microsoft's services, as the app itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Literal, Protocol, TypedDict

from pydantic import Field, StrictBool, StrictStr

from shared.core.http import Request, Response
from shared.core.plugins import SectionCheck
from shared.core.problem import Problem
from shared.core.ticket_system import CheckStatus
from shared.web.answers import refusals_as_problems
from shared.web.requests import OneLine, RequestModel, read_body

#: Seconds for all checks; Azure ends a request after 230. Source: Microsoft Learn, "Azure Functions scale and hosting".
MOST_SECONDS = 200.0


class CheckRequest(RequestModel):
    """The body of ``POST /api/check``; every field may be left out.

    ``connection``: only this one. ``only``: only the connections, or only Microsoft's services. ``probe_writes``:
    create and delete a test ticket on each connection.
    """

    connection: Annotated[StrictStr, Field(max_length=80), OneLine] = ""
    only: Literal["all", "connections", "sources"] = "all"
    probe_writes: StrictBool = False


class CheckLineJson(TypedDict):
    """One line of a check. ``of``: the connection or section. ``result``: ok, warning or failed."""

    of: str
    check: str
    result: str
    detail: str
    fix: str


class RunChecks(Protocol):
    """Runs checks: see ``app.checks.run_checks``."""

    def __call__(
        self, *, connection: str, only: Literal["all", "connections", "sources"], probe_writes: bool
    ) -> AsyncIterator[SectionCheck]: ...


def check_lines(section: SectionCheck) -> list[CheckLineJson]:
    """The lines of a section."""
    return [
        {"of": section.name, "check": line.name, "result": line.verdict.value, "detail": line.detail, "fix": line.fix}
        for line in section.lines
    ]


async def check(request: Request, run: RunChecks) -> Response:
    """Answer ``POST /api/check``: 200 with ``passed`` and ``lines``, also where a line failed.

    Raises:
        Problem: 400 for a body with mistakes, 404 for an unknown connection, 503 when it takes too long.
        ConfigurationError: the configuration cannot be used.
    """
    asked = read_body(request, CheckRequest)
    lines: list[CheckLineJson] = []
    with refusals_as_problems():
        found = run(connection=asked.connection, only=asked.only, probe_writes=asked.probe_writes)
        try:
            async with asyncio.timeout(MOST_SECONDS):
                async for section in found:
                    lines += check_lines(section)
        except TimeoutError:
            fix = "Fix: check a part of it, with 'only' or 'connection'"
            detail = f"The check took longer than {MOST_SECONDS:.0f} seconds; {len(lines)} lines were done. {fix}."
            raise Problem(503, "Check takes too long", detail) from None
    passed = all(line["result"] != CheckStatus.FAILED.value for line in lines)
    return Response(200, {"passed": passed, "lines": lines})
