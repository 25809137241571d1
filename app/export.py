"""The export: tickets of connections, and the bridge's own log, go to the log store that the configuration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.service import Closing, service
from shared.core.jobs import JobRun
from shared.core.plugins import Job, JobWork, SectionCheck

if TYPE_CHECKING:
    from datetime import timedelta

    from app.container import Container
    from shared.config.export import ExportSettings
    from shared.core.export import LogDestination
    from shared.export import ExportResult, ExportStatus, ExportStore, GoneTickets, LogResult
    from shared.export.log_rows import BridgeState
    from shared.resync import FullCheckResult

#: Tickets that changed, and what the bridge did, are sent every five minutes.
JOBS = (
    Job(
        "export_tickets",
        "50 */5 * * * *",
        "send tickets that changed to the log store",
        needs="the section of a log store and 'export' of a connection",
    ),
    Job(
        "export_log",
        "55 */5 * * * *",
        "send what the bridge did to the log store",
        needs="the section of a log store",
    ),
)


class ExportServices(Closing):
    """The export's services."""

    def __init__(self, services: Container) -> None:
        super().__init__()
        self._services = services
        #: Tickets that are asked for in one call; None: as many as usual.
        self.page: int | None = None

    @service
    def destination(self) -> LogDestination | None:
        """The log store, None where the configuration has none. Raises ConfigurationError."""
        for plugin in self._services.registry.destinations:
            found = plugin.open(self._services)
            if found is not None:
                return found
        return None

    @service
    def store(self) -> ExportStore:
        """How far the export has come."""
        from shared.export import ExportStore

        return ExportStore(self._services.storage)

    @service
    def gone(self) -> GoneTickets:
        """Tickets of ours that were found to be deleted."""
        from shared.export import GoneTickets

        return GoneTickets(self._services.storage)

    @property
    def settings(self) -> dict[str, ExportSettings]:
        """What is exported, by connection; disabled ones are left out. Raises ConfigurationError."""
        connections = self._services.config.connections
        return {name: one.export for name, one in connections.items() if one.export is not None and not one.disabled}

    def jobs(self) -> Mapping[str, JobWork]:
        """The work by the name of its function."""
        return {"export_tickets": self.export_tickets, "export_log": self.export_log}

    async def export_tickets(
        self, run: JobRun | None = None, *, connection: str = "", most_time: timedelta | None = None
    ) -> list[ExportResult]:
        """Send tickets that changed; nothing where the configuration names no log store, or is a dry run.

        Args:
            run: what is asked for; the run of a timer when None.
            connection: only this one; all when empty.
            most_time: what it may take; that of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = {name: one for name, one in self.settings.items() if connection in ("", name)}
        destination = self.destination if settings else None
        if destination is None or self._services.is_dry_run:
            return []
        from shared.export import PAGE, Exporter, ExportStore, ExportTools
        from shared.export.exporter import MOST_TIME

        run, services = run or JobRun(), self._services
        store = ExportStore(services.storage, read_only=run.dry_run)
        tools = ExportTools(destination, store, self.gone, services.now, self.page or PAGE)
        return await Exporter(settings, services.system, tools, most_time=most_time or MOST_TIME).run(run)

    async def export_log(self, run: JobRun | None = None) -> LogResult | None:
        """Send what the bridge did, and the state of its connections; None where there is no log store, or the
        configuration is a dry run.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        if self.destination is None or self._services.is_dry_run:
            return None
        from shared.export import ExportStore, LogExporter

        run, services = run or JobRun(), self._services
        store = ExportStore(services.storage, read_only=run.dry_run)
        exporter = LogExporter(services.audit_log, self.destination, store, self._state, now=services.now)
        return await exporter.run(run)

    async def statuses(self) -> dict[str, ExportStatus]:
        """How the export of each connection goes; empty where there is no log store.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self.settings
        if not settings or self.destination is None:
            return {}
        from shared.export import export_statuses

        return await export_statuses(self.store, settings)

    async def check(self) -> list[SectionCheck]:
        """Test whether the log store takes rows, which sends it one; nothing where there is none, or in a dry run.

        Raises ConfigurationError.
        """
        destination = None if self._services.is_dry_run else self.destination
        return [] if destination is None else await destination.check()

    async def note_deleted(self, results: Sequence[FullCheckResult]) -> None:
        """The full check found tickets to be deleted: a row of the export is to say so. Raises StorageUnavailable."""
        exported = self.settings if any(one.deleted for one in results) and self.destination is not None else {}
        for one in results:
            settings = exported.get(one.connection)
            if settings is not None:
                wanted = [ref for ref in one.deleted if ref.kind in settings.ticket_kinds]
                await self.gone.add(one.connection, wanted, self._services.now())

    async def _state(self) -> BridgeState:
        from shared.export.log_rows import BridgeState
        from shared.operations.health import count_parked

        services = self._services
        names = sorted(services.config.connections)
        parked = await count_parked(services.parked, services.now())
        return BridgeState(
            connections=names,
            health=await services.health.read(),
            exports=await self.statuses(),
            calls={name: await services.budget(name).usage() for name in names},
            waiting=await services.queue.depth(),
            dead_letters=parked["dead_letters"],
            quarantined=parked["quarantine"],
        )
