"""Runs jobs: the work of timers, each in one place at a time whoever starts it."""

from __future__ import annotations

from datetime import timedelta
from platform import node
from typing import TYPE_CHECKING

from shared.core.errors import JobRunning
from shared.core.times import rfc3339
from shared.platform.log import record

if TYPE_CHECKING:
    from app.container import Container

#: A job in the app ends before the host would end its process: see functionTimeout in host.json.
MOST_TIME = timedelta(minutes=9, seconds=30)


class JobRunner:
    """Runs a job under its lease."""

    def __init__(self, services: Container) -> None:
        self._services = services

    async def run(self, name: str, *, by: str, for_at_most: timedelta = MOST_TIME) -> object:
        """Run a job and return what it returns.

        Args:
            name: of the job.
            by: who starts it, for people: ``timer``, ``bridge.py``.
            for_at_most: it is stopped when it takes longer.

        Raises:
            JobRunning: somebody else runs it.
            JobInterrupted: it took too long, or its lease was lost.
            BridgeError: what its work raises.
        """
        holder = f"{by} on {self._machine()}"
        async with self._services.job_leases.hold(name, for_at_most, holder=holder):
            return await self._services.jobs[name]()

    async def run_timer(self, name: str, *, by: str = "timer", for_at_most: timedelta = MOST_TIME) -> bool:
        """Run a job because its time has come; False, and that is logged, when somebody else runs it.

        Raises as :meth:`run`.
        """
        try:
            await self.run(name, by=by, for_at_most=for_at_most)
        except JobRunning as running:
            record("job_skipped", job=name, holder=running.holder, since=rfc3339(running.since))
            return False
        return True

    def _machine(self) -> str:
        """The instance that Azure names, or this machine. Source: Azure App Service, environment variables."""
        settings = self._services.settings
        return settings.get("WEBSITE_INSTANCE_ID", "")[:8] or settings.get("CONTAINER_NAME", "") or node()
