"""The work of the engine's timers; sources bring their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from shared.core.plugins import Job
from shared.platform.log import record

if TYPE_CHECKING:
    from app.container import Container
    from shared.core.plugins import Registry
    from shared.resync import FullCheckResult, ResyncResult

#: The audit log is purged once a day. What people did with tickets, and changes under way, are read every five minutes.
#: Once an hour, where it is due, every ticket is looked for.
JOBS = (
    Job("purge_audit_log", "0 17 3 * * *"),
    Job("resync", "15 */5 * * * *"),
    Job("full_check", "45 27 * * * *"),
    Job("planned_work", "30 */5 * * * *"),
)


def all_jobs(registry: Registry) -> tuple[Job, ...]:
    """The jobs of the engine and of all sources."""
    return (*JOBS, *(job for source in registry.sources for job in source.jobs))


class Timers:
    """One method for each timer. Nothing happens where the configuration does not ask for it, or it is not due."""

    def __init__(self, services: Container) -> None:
        self._services = services

    def jobs(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """The work by the name of its function."""
        return {
            "purge_audit_log": self.purge_audit_log,
            "resync": self.resync,
            "full_check": self.full_check,
            "planned_work": self.collect_planned_work,
        }

    async def purge_audit_log(self) -> None:
        """Delete old rows of the audit log and large signals whose message is gone, as many as one run may.

        Raises StorageUnavailable.
        """
        from shared.delivery.queue import CONTENT_KEPT_FOR
        from shared.operations.audit_log import KEPT_FOR, MOST_PER_RUN

        now = self._services.now()
        blobs = await self._services.queue.delete_abandoned(now - CONTENT_KEPT_FOR, MOST_PER_RUN)
        deleted = await self._services.audit_log.forget_before(now - KEPT_FOR, MOST_PER_RUN)
        record("audit_log_purged", rows=deleted, blobs=blobs)

    async def collect_planned_work(self) -> None:
        """Ask ticket systems for the changes under way, where a maintenance section follows them.

        Raises ConfigurationError and StorageUnavailable.
        """
        await self._services.planned_work.collect(self._services.opened_systems.real_system)

    async def resync(self) -> list[ResyncResult]:
        """Read what people did with tickets; nothing where the configuration does not want it.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self._services.config.resync
        if not settings.enabled or self._services.is_dry_run:  # what changes meanwhile is read afterwards
            return []
        from shared.resync import Resyncer, ResyncProgress

        progress = ResyncProgress(self._services.storage)
        connections = self._services.opened_systems.enabled
        services = self._services
        resyncer = Resyncer(settings, connections, services.system, services.ticket_sync, progress, now=services.now)
        return await resyncer.run()

    async def full_check(self) -> list[FullCheckResult]:
        """Test whether the tickets of all links still exist, and whether sources know what they have to know.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self._services.config.resync
        if not settings.enabled or self._services.is_dry_run:
            return []
        from shared.resync import FullCheck, ResyncProgress

        check = FullCheck(
            settings,
            self._services.opened_systems.enabled,
            self._services.system,
            self._services.links,
            self._services.ticket_sync,
            ResyncProgress(self._services.storage),
            missing_after=self._services.config.delivery.missing_after,
            now=self._services.now,
        )
        return await check.run()
