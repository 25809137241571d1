"""A source of one file: a toy factory that reports broken toys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.core.http import Handler, Request, Response
from shared.core.jobs import JobRun
from shared.core.link import Link
from shared.core.payload_schema import Fields, PayloadSchema
from shared.core.plugins import (
    ConfigView,
    HttpEndpoint,
    Intake,
    Job,
    JobWork,
    Mistake,
    Section,
    SectionCheck,
    Source,
    SourcePlugin,
    SourceWords,
)
from shared.core.settings import SettingsModel
from shared.core.signal import Signal, SignalState
from shared.core.ticket_system import CheckLine, CheckStatus
from shared.engine import Engine


class FactorySettings(SettingsModel):
    """The toy factory."""

    line: int = 1
    """Number of the assembly line."""


def _read(body: Fields, received_at: datetime) -> Signal:
    return Signal(
        source="toy_factory",
        kind="broken_toy",
        key=f"toy:1:{str(body['toy']).lower()}",
        state=SignalState.RESOLVED if body.get("mended") else SignalState.FIRED,
        occurred_at=received_at,
        severity=1,
        title=f"{body['toy']} is broken",
    )


def _check(view: ConfigView) -> list[Mistake]:
    factory = view.data.get("factory")
    if isinstance(factory, dict) and factory.get("line") == 13:
        return [(("factory", "line"), "nobody works at line 13. Fix: take another line")]
    return []


class _WriteBack:
    """Remembers what the factory was told."""

    def __init__(self, pushed: list[str]) -> None:
        self._pushed = pushed

    def wants(self, link: Link) -> str:
        return link.state if link.ticket is not None else ""

    async def push(self, link: Link, what: str) -> None:
        self._pushed.append(f"{link.key} is {what}")


class ToyFactory(Source):
    """The source while the app runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.pushed: list[str] = []
        self.inspected = 0
        self.closed = False

    def write_back(self) -> _WriteBack:
        return _WriteBack(self.pushed)

    async def inspect(self, run: JobRun) -> None:
        """The work of its timer."""
        if not run.dry_run:
            self.inspected += 1

    def jobs(self) -> Mapping[str, JobWork]:
        return {"inspect": self.inspect}

    def handlers(self) -> Mapping[str, Handler]:
        async def count(request: Request) -> Response:
            del request
            return Response(200, {"inspected": self.inspected})

        return {"inspections": count}

    async def check(self, most: timedelta) -> list[SectionCheck]:
        del most
        settings = self._engine.config.section("factory", FactorySettings)
        line = CheckLine("line", CheckStatus.OK, f"line {settings.line if settings else 'none'} runs")
        return [SectionCheck("factory", (line,))]

    async def aclose(self) -> None:
        self.closed = True


PLUGIN = SourcePlugin(
    name="toy_factory",
    words=SourceWords("Toy Factory", "Toy Factory", "toy", "broke again"),
    schemas=(PayloadSchema("a broken toy", lambda body: "toy" in body, _read),),
    sections=lambda: (Section("factory", FactorySettings, "The toy factory.", check=_check),),
    intakes=(Intake("toys", "toys"),),
    endpoints=(HttpEndpoint("inspections", "inspections", ("GET",)),),
    jobs=(Job("inspect", "0 0 * * * *", "inspect the toys"),),
    open=ToyFactory,
)
