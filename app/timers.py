"""The work of the engine's timers; sources bring their own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.export import JOBS as EXPORT_JOBS
from shared.core.errors import BridgeError
from shared.core.jobs import JobRun
from shared.core.plugins import Job, JobWork
from shared.platform.log import record

if TYPE_CHECKING:
    from app.container import Container
    from shared.core.plugins import Registry
    from shared.operations.credential_watch import CredentialResult
    from shared.resync import FullCheckResult, ResyncResult, TicketSync

#: The audit log is purged once a day; every four hours somebody looks which credentials end. What people did with
#: tickets, and changes under way, are read every five minutes. Once an hour, where due, every ticket is looked for, and
#: a refresh token used.
JOBS = (
    Job("purge_audit_log", "0 17 3 * * *", "delete old rows of the audit log"),
    Job(
        "resync", "15 */5 * * * *", "read what people did with tickets", needs="resync.enabled, and not mode: dry_run,"
    ),
    Job("full_check", "45 27 * * * *", "look for every ticket", needs="resync.enabled, and not mode: dry_run,"),
    Job(
        "planned_work",
        "30 */5 * * * *",
        "read the changes that hold alerts back",
        needs="a section of maintenance with changes_of",
    ),
    Job("check_credentials", "50 7 */4 * * *", "look which secrets, certificates and log-ins end soon"),
    Job(
        "refresh_tokens",
        "50 11 * * * *",
        "use refresh tokens that were not used for long, before they end",
        needs="a connection whose log-in has a refresh token (auth.type oauth_authorization_code or oauth_password)",
    ),
)


def all_jobs(registry: Registry) -> tuple[Job, ...]:
    """The jobs of the engine and of all sources."""
    return (*JOBS, *EXPORT_JOBS, *(job for source in registry.sources for job in source.jobs))


@dataclass(slots=True)
class PurgeResult:
    """What a purge deleted: rows of the audit log, and large signals whose message was gone."""

    rows: int = 0
    blobs: int = 0


@dataclass(slots=True)
class TokensRefreshed:
    """What was done for the tokens of a connection: 1 when they were refreshed, and why not."""

    refreshed: int = 0
    reason: str = ""


class Timers:
    """One method for each timer. Nothing happens where the configuration does not ask for it, or it is not due."""

    def __init__(self, services: Container) -> None:
        self._services = services

    def jobs(self) -> Mapping[str, JobWork]:
        """The work by the name of its function."""
        return {
            "purge_audit_log": self.purge_audit_log,
            "resync": self.resync,
            "full_check": self.full_check,
            "planned_work": self.collect_planned_work,
            "check_credentials": self.check_credentials,
            "refresh_tokens": self.refresh_tokens,
        }

    async def purge_audit_log(self, run: JobRun | None = None) -> None:
        """Delete old rows of the audit log and large signals whose message is gone, as many as one run may.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises StorageUnavailable.
        """
        from shared.delivery.queue import CONTENT_KEPT_FOR
        from shared.operations.audit_log import KEPT_FOR, MOST_PER_RUN

        now, run, purged = self._services.now(), run or JobRun(), PurgeResult()
        run.follow("storage", purged)
        before = now - CONTENT_KEPT_FOR
        purged.blobs = await self._services.queue.delete_abandoned(before, MOST_PER_RUN, dry_run=run.dry_run)
        purged.rows = await self._services.audit_log.forget_before(now - KEPT_FOR, MOST_PER_RUN, dry_run=run.dry_run)
        record("audit_log_purged", rows=purged.rows, blobs=purged.blobs, dry_run=run.dry_run or None)

    async def collect_planned_work(self, run: JobRun | None = None) -> None:
        """Ask ticket systems for the changes under way, where a maintenance section follows them.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        await self._services.planned_work.collect(self._services.opened_systems.real_system, run)

    async def check_credentials(self, run: JobRun | None = None) -> CredentialResult:
        """Look at every secret that the configuration names, and at log-ins that people gave; warn of what ends.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        from app.credentials import look
        from shared.operations.credential_watch import CredentialWatch

        services = self._services
        watch = CredentialWatch(services.credentials, lambda: look(services), services.now)
        return await watch.run(run or JobRun())

    async def refresh_tokens(self, run: JobRun | None = None) -> list[TokensRefreshed]:
        """Use the refresh tokens of connections that were idle for long; access tokens are renewed when needed.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError. What goes wrong with one connection is logged, and does not stop the others.
        """
        from shared.core.tokens import KeepsTokens

        run, found = run or JobRun(), []
        for name in self._services.opened_systems.enabled:
            system = self._services.opened_systems.real_system(name)
            if not isinstance(system, KeepsTokens) or not system.shares_tokens:
                continue
            result = TokensRefreshed()
            run.follow(name, result)
            found.append(result)
            try:
                result.refreshed = int(await system.refresh_tokens(dry_run=run.dry_run, always=run.always))
            except BridgeError as error:
                result.reason = str(error)
                record("tokens_not_refreshed", logging.WARNING, connection=name, code=error.code, reason=str(error))
            if result.refreshed:
                record("tokens_refreshed", connection=name, dry_run=run.dry_run or None)
        return found

    async def resync(self, run: JobRun | None = None) -> list[ResyncResult]:
        """Read what people did with tickets; nothing where the configuration does not want it.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self._services.config.resync
        if not settings.enabled or self._services.is_dry_run:  # what changes meanwhile is read afterwards
            return []
        from shared.resync import Resyncer, ResyncProgress

        run, services = run or JobRun(), self._services
        progress = ResyncProgress(services.storage, read_only=run.dry_run)
        connections, sync = services.opened_systems.enabled, self._ticket_sync(run)
        return await Resyncer(settings, connections, services.system, sync, progress, now=services.now).run(run)

    async def full_check(self, run: JobRun | None = None) -> list[FullCheckResult]:
        """Test whether the tickets of all links still exist, and whether sources know what they have to know.

        Args:
            run: what is asked for; the run of a timer when None.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self._services.config.resync
        if not settings.enabled or self._services.is_dry_run:
            return []
        from shared.resync import FullCheck, ResyncProgress

        run = run or JobRun()
        check = FullCheck(
            settings,
            self._services.opened_systems.enabled,
            self._services.system,
            self._services.links,
            self._ticket_sync(run),
            ResyncProgress(self._services.storage, read_only=run.dry_run),
            missing_after=self._services.config.delivery.missing_after,
            now=self._services.now,
        )
        results = await check.run(run)
        if not run.dry_run:
            await self._services.exports.note_deleted(results)
        return results

    def _ticket_sync(self, run: JobRun) -> TicketSync:
        """What follows tickets; in a dry run it writes nothing."""
        services = self._services
        if not run.dry_run:
            return services.ticket_sync
        from shared.delivery.read_only import ForgetfulQueue, ReadOnlyLinks
        from shared.resync import TicketSync

        async def replay(dead_letter: str) -> None:
            run.sample(f"replay dead letter {dead_letter}")

        links = ReadOnlyLinks(services.storage, run)
        return TicketSync(
            links, services.write_back, ForgetfulQueue(run), replay=replay, now=services.now, dry_run=run.dry_run
        )
