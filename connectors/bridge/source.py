"""The bridge as a source while the app runs: the timer that reports, and the check of its routes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from connectors.bridge.settings import ReportItself
from shared.core.jobs import JobRun
from shared.core.plugins import JobWork, SectionCheck, Source
from shared.engine import Engine

if TYPE_CHECKING:
    from connectors.bridge.reporter import ReportResult


class BridgeSource(Source):
    """See the module."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def _settings(self) -> ReportItself | None:
        return self._engine.config.section("report_itself", ReportItself)

    async def report(self, run: JobRun | None = None) -> ReportResult | None:
        """Report problems that persist, and their ends; nothing where the configuration does not ask for it.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError, StorageUnavailable and KeyContended.
        """
        settings, engine = self._settings, self._engine
        if settings is None:
            return None
        from connectors.bridge.problems import only_of_others, problems_of_credentials, problems_of_health
        from connectors.bridge.reporter import OwnReporter
        from connectors.bridge.store import ProblemStore

        report = await engine.health_report()
        if report.status == "unavailable":
            return None  # nothing could be read or sent; the next run looks again
        now = engine.now()
        found = await only_of_others(problems_of_health(report, settings), engine.parked, now)
        found += problems_of_credentials(await engine.credentials.read(), settings, now)
        store = ProblemStore(engine.state_storage)
        reporter = OwnReporter(settings, store, engine.mapper, engine.queue, engine.now)
        failing = frozenset(one.about for one in report.reasons if one.code == "connection_failing")
        return await reporter.run(found, failing, run or JobRun())

    def jobs(self) -> Mapping[str, JobWork]:
        """See ``Source``."""
        return {"report_itself": self.report}

    async def check(self, most: timedelta) -> list[SectionCheck]:
        """See ``Source``: whether each reason would find a way to a ticket. Needs no storage."""
        del most
        if self._settings is None:
            return []
        from connectors.bridge.check import check_routes

        engine = self._engine
        lines = check_routes(self._settings, sorted(engine.config.connections), engine.mapper, engine.now())
        return [SectionCheck("report_itself", lines)]
