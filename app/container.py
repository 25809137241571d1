"""The composition root: builds every service once per process, from settings. Nothing else builds services.

Services are made when they are first used, so that a webhook's cold start pays for none of the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from app.registry import REGISTRY
from app.service import Closing, service
from shared.core.errors import ConfigurationError
from shared.core.plugins import Source
from shared.platform.log import listen

if TYPE_CHECKING:
    from app.endpoints import Endpoints
    from app.export import ExportServices
    from app.health import HealthReporter
    from app.jobs import JobRunner
    from app.previews import Previews
    from app.standby import Standby
    from app.systems import OpenedSystems
    from app.timers import Timers
    from app.webhook import Webhook
    from shared.budget import BudgetGate
    from shared.config.load import LoadedConfig
    from shared.config.model import BridgeConfig
    from shared.core.http import Handler
    from shared.core.link import Link
    from shared.core.plugins import JobWork, Registry
    from shared.core.secrets import SecretSource
    from shared.core.ticket_system import TicketKind, TicketSystem
    from shared.delivery.links import LinkStore
    from shared.delivery.parked import ParkedStore
    from shared.delivery.planned_work import PlannedWorkCache
    from shared.delivery.queue import SignalQueue
    from shared.delivery.tags import AddTags
    from shared.delivery.worker import Worker
    from shared.delivery.write_back import WriteBack
    from shared.mapping.mapper import Mapper
    from shared.operations.audit_log import AuditLog
    from shared.operations.connection_health import ConnectionHealthStore
    from shared.operations.credential_watch import CredentialStore
    from shared.operations.health import Health
    from shared.operations.job_lease import JobLeases
    from shared.operations.parked_items import ParkedItems
    from shared.operations.telemetry import Telemetry
    from shared.operations.ticket_list import TicketList
    from shared.operations.trap_watch import TrapWatch
    from shared.operations.vital_signs import VitalSigns
    from shared.platform.storage import Storage
    from shared.resync import TicketSync

_ROOT = Path(__file__).resolve().parents[1]

T = TypeVar("T")
AnySource = TypeVar("AnySource", bound=Source)


class Container(Closing):
    """All services of one process.

    Args:
        settings: application settings; the environment when None.
        registry: the plug-ins.
        now: the clock.
        storage, secrets: instead of those that the settings describe.
        given: objects that plug-ins use instead of what settings describe; see ``Engine.given``. Whoever gives
            something closes it.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        registry: Registry = REGISTRY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        storage: Storage | None = None,
        secrets: SecretSource | None = None,
        given: tuple[object, ...] = (),
    ) -> None:
        super().__init__()
        self.settings: Mapping[str, str] = os.environ if settings is None else settings
        self.registry = registry
        self.now = now
        self._given_storage = storage
        self._given_secrets = secrets
        self._given = (*given, storage, secrets)
        self._shared: dict[type[object], object] = {}
        self.telemetry: Telemetry | None = None

    def built(self, value: object) -> None:
        """See ``Closing.built``; what was given stays open."""
        if not any(value is one for one in self._given):
            super().built(value)

    # ---- configuration

    @property
    def config_path(self) -> Path:
        """bridge.yaml, or what the setting BRIDGE_CONFIG names; relative paths start at the app's folder."""
        return _ROOT / self.settings.get("BRIDGE_CONFIG", "bridge.yaml")

    @service
    def _loaded(self) -> LoadedConfig | ConfigurationError:
        from app.configuration import load_config

        try:
            return load_config(self.config_path, self.settings, self.registry)
        except ConfigurationError as error:
            return error  # it stays wrong until the next deployment, which starts a new process

    @property
    def config(self) -> BridgeConfig:
        """The configuration. Raises ConfigurationError."""
        if isinstance(self._loaded, ConfigurationError):
            raise ConfigurationError(self._loaded.problems)
        return self._loaded.config

    @property
    def config_warnings(self) -> tuple[str, ...]:
        """What in the configuration has no effect, one sentence each. Raises ConfigurationError."""
        return () if self.config is None or isinstance(self._loaded, ConfigurationError) else self._loaded.warnings

    @service
    def mapper(self) -> Mapper:
        """Routes and fields, compiled. Raises ConfigurationError."""
        from shared.mapping.mapper import Mapper

        return Mapper(self.config, self.registry)

    # ---- storage and secrets

    @service
    def storage(self) -> Storage:
        """The bridge's own storage account."""
        from shared.platform.storage import Storage

        return self._given_storage or Storage(self.settings)

    @property
    def is_dry_run(self) -> bool:
        """Whether the whole configuration is a dry run; False while it is not valid."""
        return not isinstance(self._loaded, ConfigurationError) and self._loaded.config.mode == "dry_run"

    @service
    def dry_run_storage(self) -> Storage:
        """The part of the account that a dry run uses."""
        from shared.delivery.dry_run import DryRunStorage

        return DryRunStorage(self.storage)

    @property
    def state_storage(self) -> Storage:
        """What sources remember: in a dry run, apart from live delivery."""
        return self.dry_run_storage if self.is_dry_run else self.storage

    @service
    def secrets(self) -> SecretSource:
        """Secrets from Key Vault when KEY_VAULT_URL is set, else from settings."""
        if self._given_secrets is not None:
            return self._given_secrets
        from app.registry import vault_secrets
        from shared.core.secrets import SettingSecrets

        vault = self.settings.get("KEY_VAULT_URL", "")
        return vault_secrets(vault) if vault else SettingSecrets(self.settings)

    @service
    def live_links(self) -> LinkStore:
        """Keys and their tickets."""
        from shared.delivery.links import LinkStore

        return LinkStore(self.storage)

    @service
    def links(self) -> LinkStore:
        """Keys and their tickets; in a dry run, as they would be."""
        if not self.is_dry_run:
            return self.live_links
        from shared.delivery.dry_run import RehearsedLinks
        from shared.delivery.links import LinkStore

        return RehearsedLinks(LinkStore(self.dry_run_storage), self.live_links)

    @service
    def queue(self) -> SignalQueue:
        """The signal queue."""
        from shared.delivery.queue import SignalQueue

        return SignalQueue(self.storage, self.now)

    @service
    def parked(self) -> ParkedStore:
        """Dead letters and quarantine."""
        from shared.delivery.parked import ParkedStore

        return ParkedStore(self.storage)

    @service
    def audit_log(self) -> AuditLog:
        """One row for each signal that came to its end."""
        from shared.operations.audit_log import AuditLog

        return AuditLog(self.storage, self.now)

    @service
    def health(self) -> ConnectionHealthStore:
        """Last success and last error of each connection."""
        from shared.operations.connection_health import ConnectionHealthStore

        return ConnectionHealthStore(self.storage, self.now)

    @service
    def credentials(self) -> CredentialStore:
        """Until when secrets, certificates and log-ins last, as they were read last."""
        from shared.operations.credential_watch import CredentialStore

        return CredentialStore(self.storage)

    @service
    def traps(self) -> TrapWatch:
        """Ways to set things up that lead to double, poor or missing tickets."""
        from shared.operations.trap_watch import TrapWatch

        return TrapWatch(self.storage, self.registry.traps, self.now)

    # ---- ticket systems

    @service
    def opened_systems(self) -> OpenedSystems:
        """The ticket systems of all connections."""
        from app.systems import OpenedSystems

        return OpenedSystems(self, self.built)

    def budget(self, connection: str) -> BudgetGate:
        """See ``OpenedSystems.budget``."""
        return self.opened_systems.budget(connection)

    def system(self, connection: str, *, budgeted: bool = True) -> TicketSystem:
        """See ``OpenedSystems.system``."""
        return self.opened_systems.system(connection, budgeted=budgeted)

    def state_name(self, connection: str, kind: TicketKind, state: str) -> str:
        """See ``OpenedSystems.state_name``."""
        return self.opened_systems.state_name(connection, kind, state)

    def is_working(self, link: Link) -> bool:
        """See ``OpenedSystems.is_working``."""
        return self.opened_systems.is_working(link)

    # ---- sources

    def given(self, kind: type[T]) -> T | None:
        """See ``shared.engine.Engine.given``."""
        return next((one for one in self._given if isinstance(one, kind)), None)

    def shared(self, kind: type[T], build: Callable[[], T]) -> T:
        """See ``shared.engine.Engine.shared``."""
        found = self._shared.get(kind)
        if not isinstance(found, kind):
            found = self._shared[kind] = build()
            self.built(found)
        return found

    @service
    def sources(self) -> Mapping[str, Source]:
        """All sources by name."""
        found = {plugin.name: plugin.open(self) for plugin in self.registry.sources}
        for source in found.values():
            self.built(source)
        return found

    def source(self, kind: type[AnySource]) -> AnySource:
        """The source of a class, for those who know what it offers. Raises KeyError when it is not registered."""
        for source in self.sources.values():
            if isinstance(source, kind):
                return source
        raise KeyError(kind.__name__)

    # ---- delivery

    @service
    def write_back(self) -> WriteBack:
        """Pushes the states of tickets to where they came from; in a dry run to nowhere."""
        from app.sources import write_back

        return write_back({} if self.is_dry_run else self.sources, self.links)

    @service
    def tags(self) -> AddTags | None:
        """Adds tags to the resources of signals; None where nothing asks for any. Raises ConfigurationError."""
        from app import sources

        return sources.tags(self.sources, self.mapper)

    @service
    def planned_work(self) -> PlannedWorkCache:
        """Changes under way in ticket systems."""
        from shared.delivery.planned_work import PlannedWorkCache

        return PlannedWorkCache(self.config.maintenance, self.storage, now=self.now)

    @service
    def worker(self) -> Worker:
        """Handles queue messages."""
        from app.delivery import worker_of

        return worker_of(self)

    # ---- webhooks

    @service
    def webhook(self) -> Webhook:
        """What happens between an HTTP request and the queue."""
        from app.webhook import Webhook

        return Webhook(self)

    # ---- timers

    @service
    def timers(self) -> Timers:
        """The work of the engine's timers."""
        from app.timers import Timers

        return Timers(self)

    @service
    def exports(self) -> ExportServices:
        """The export of tickets and of the bridge's own log."""
        from app.export import ExportServices

        return ExportServices(self)

    @property
    def jobs(self) -> Mapping[str, JobWork]:
        """The work of every timer, by the name of its function."""
        found = dict(self.timers.jobs()) | dict(self.exports.jobs())
        for source in self.sources.values():
            found |= source.jobs()
        return found

    @service
    def job_leases(self) -> JobLeases:
        """Who runs which job."""
        from shared.operations.job_lease import JobLeases

        return JobLeases(self.storage)

    @service
    def job_runner(self) -> JobRunner:
        """Runs jobs, each in one place at a time."""
        from app.jobs import JobRunner

        return JobRunner(self)

    @service
    def ticket_sync(self) -> TicketSync:
        """Writes what people did with tickets into links."""
        from shared.resync import TicketSync

        async def replay(dead_letter: str) -> None:
            async for _ in self.parked_items.replay("dead-letter", [dead_letter]):
                pass

        return TicketSync(self.links, self.write_back, self.queue, replay=replay, now=self.now)

    # ---- operations and endpoints

    @service
    def previews(self) -> Previews:
        """Says what payloads would become."""
        from app.previews import Previews

        return Previews(self)

    def preview(self, body: dict[str, Any] | list[Any]) -> list[dict[str, Any]]:
        """What a body would become; nothing is called. Raises ConfigurationError."""
        return self.previews.shown(self.previews.parsed(body))

    @service
    def vital_signs(self) -> VitalSigns:
        """When Azure called its functions last."""
        from shared.operations.vital_signs import VitalSigns

        return VitalSigns(self.storage, self.now)

    @service
    def standby(self) -> Standby:
        """Does what Azure forgot to call."""
        from app.standby import Standby

        return Standby(self)

    @service
    def health_reporter(self) -> HealthReporter:
        """Says whether the bridge is well."""
        from app.health import HealthReporter

        return HealthReporter(self)

    async def health_report(self) -> Health:
        """Whether the bridge is well; see ``shared.operations.health``."""
        return await self.health_reporter.report()

    @service
    def parked_items(self) -> ParkedItems:
        """Operations on dead letters and quarantined items."""
        from shared.operations.parked_items import ParkedItems

        return ParkedItems(self.parked, self.queue, self.registry.schemas, self.registry.foreign, now=self.now)

    @service
    def ticket_list(self) -> TicketList:
        """The list of tickets."""
        from shared.operations.ticket_list import TicketList

        return TicketList(self.links, self.state_name, now=self.now)

    @service
    def endpoints(self) -> Endpoints:
        """Handlers of the engine's endpoints."""
        from app.endpoints import Endpoints

        return Endpoints(self)

    def handler(self, name: str) -> Handler:
        """Who answers an endpoint, by the name of its function. Raises KeyError for an unknown one."""
        return self.endpoints.handler(name)

    # ---- metrics

    def count_events(self) -> None:
        """Count what is recorded from now on, for Application Insights; nothing where its setting is empty."""
        from app.metrics import telemetry_of

        self.telemetry = telemetry_of(self.settings)
        if self.telemetry is not None:
            listen(self.telemetry.heard)
