"""The composition root: builds every service once per process, from settings. Nothing else builds services.

Imports are made where a service is first used, so that a webhook's cold start pays for none of the others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigurationError, Refused, StorageUnavailable
from shared.log import listen, record
from shared.version import VERSION

if TYPE_CHECKING:
    from shared.budget import Budget
    from shared.config.model import BridgeConfig, Connection
    from shared.delivery.deliver import Deliverer
    from shared.delivery.envelope import Envelope
    from shared.delivery.kept import KeptStore, Kind
    from shared.delivery.links import LinkStore
    from shared.delivery.queue import SignalQueue
    from shared.delivery.work import Configured, Worker
    from shared.health import Health
    from shared.intake import Accepted
    from shared.mapping.mapper import Mapper
    from shared.operate.actions import ActionLog
    from shared.operate.kept_items import KeptItems
    from shared.operate.meters import OpenTelemetryMeters
    from shared.operate.telemetry import Telemetry
    from shared.secrets import SecretSource
    from shared.storage import Storage
    from shared.sync.comparison import Reconciled
    from shared.sync.health import Wellbeing
    from shared.sync.identities import Reach
    from shared.sync.planned import PlannedWorks
    from shared.tickets import TicketSystem
    from shared.trust.gate import Gate

_ROOT = Path(__file__).resolve().parent.parent


class Services:
    """All services of one process.

    Args:
        settings: application settings; the environment when None.
        now: the clock.
        storage, secrets: instead of those that the settings describe.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        storage: Storage | None = None,
        secrets: SecretSource | None = None,
    ) -> None:
        self._settings = os.environ if settings is None else settings
        self._now = now
        self._given_storage = storage
        self._given_secrets = secrets
        self._systems: dict[tuple[str, bool], TicketSystem] = {}
        self._budgets: dict[str, Budget] = {}
        self._telemetry: Telemetry | None = None

    @property
    def config_path(self) -> Path:
        """bridge.yaml, or what the setting BRIDGE_CONFIG names; relative paths start at the app's folder."""
        return _ROOT / self._settings.get("BRIDGE_CONFIG", "bridge.yaml")

    @cached_property
    def _loaded(self) -> BridgeConfig | ConfigurationError:
        from shared.config.load import load_config

        try:
            return load_config(self.config_path, self._settings)
        except ConfigurationError as error:
            return error  # it stays wrong until the next deployment, which starts a new process

    @property
    def config(self) -> BridgeConfig:
        """The configuration. Raises ConfigurationError."""
        if isinstance(self._loaded, ConfigurationError):
            raise ConfigurationError(self._loaded.problems)
        return self._loaded

    @cached_property
    def mapper(self) -> Mapper:
        """Routes and fields, compiled. Raises ConfigurationError."""
        from shared.mapping.mapper import Mapper

        return Mapper(self.config)

    @cached_property
    def storage(self) -> Storage:
        """The bridge's own storage account."""
        from shared.storage import Storage

        return self._given_storage or Storage(self._settings)

    @cached_property
    def secrets(self) -> SecretSource:
        """Secrets from Key Vault when KEY_VAULT_URL is set, else from settings."""
        if self._given_secrets is not None:
            return self._given_secrets
        vault = self._settings.get("KEY_VAULT_URL", "")
        if vault:
            from connectors.key_vault import KeyVaultSecrets

            return KeyVaultSecrets(vault)
        from shared.secrets import SettingSecrets

        return SettingSecrets(self._settings)

    @cached_property
    def links(self) -> LinkStore:
        """Keys and their tickets."""
        from shared.delivery.links import LinkStore

        return LinkStore(self.storage)

    @cached_property
    def queue(self) -> SignalQueue:
        """The signal queue."""
        from shared.delivery.queue import SignalQueue

        return SignalQueue(self.storage)

    @cached_property
    def kept(self) -> KeptStore:
        """Dead letters and quarantine."""
        from shared.delivery.kept import KeptStore

        return KeptStore(self.storage)

    @cached_property
    def kept_items(self) -> KeptItems:
        """What operators do with dead letters and quarantine."""
        from shared.operate.kept_items import KeptItems

        return KeptItems(self.kept, self.queue, now=self._now)

    @cached_property
    def actions(self) -> ActionLog:
        """The log of actions."""
        from shared.operate.actions import ActionLog

        return ActionLog(self.storage, self._now)

    @cached_property
    def health(self) -> Health:
        """How the connections are doing."""
        from shared.health import Health

        return Health(self.storage, self._now)

    def budget(self, connection: str) -> Budget:
        """The call budget of a connection. Raises as :meth:`system`."""
        found = self._budgets.get(connection)
        if found is None:
            from shared.budget import Budget, Rules, TableBudgets

            settings = self._connection(connection)
            rules = Rules(
                calls=settings.budget.calls,
                per=settings.budget.per.total_seconds(),
                reserve=settings.budget.reserve,
                in_flight=settings.max_in_flight,
            )
            found = self._budgets[connection] = Budget(connection, rules, TableBudgets(self.storage), now=self._now)
        return found

    def system(self, connection: str, *, budgeted: bool = True) -> TicketSystem:
        """The ticket system of a connection. Raises ConfigurationError, and Refused for one that is not configured.

        Args:
            connection: its name.
            budgeted: its calls keep to the shared budget. Without, storage is not needed: for checks by people.
        """
        found = self._systems.get((connection, budgeted))
        if found is None:
            settings = self._connection(connection)
            from connectors.servicenow import ServiceNow

            turnstile = self.budget(connection) if budgeted else None
            found = ServiceNow(connection, settings, self.secrets, turnstile=turnstile)
            self._systems[connection, budgeted] = found
        return found

    def _connection(self, name: str) -> Connection:
        settings = self.config.connections.get(name)
        if settings is None:
            raise Refused(
                f"there is no connection '{name}' in the configuration any more",
                advice="Add it again to bridge.yaml and replay, or settle its tickets by hand",
            )
        return settings

    @cached_property
    def _deliverer(self) -> Deliverer:
        from shared.delivery.deliver import Deliverer

        async def admit(connection: str, *, urgent: bool, place: str) -> None:
            await self.budget(connection).admit(urgent=urgent, place=place)

        return Deliverer(self.mapper, self.system, self.links, outages=self._planned.holds, admit=admit, now=self._now)

    @cached_property
    def _planned(self) -> PlannedWorks:
        from shared.sync.planned import PlannedWorks

        return PlannedWorks(self.config.maintenance, self.storage, now=self._now)

    @cached_property
    def _wellbeing(self) -> Wellbeing:
        from shared.sync.health import Wellbeing

        reconcile = self.config.reconcile
        return Wellbeing("public" if reconcile is None else reconcile.cloud, self._reach)

    @cached_property
    def _reach(self) -> Reach | None:
        """The private cloud that settings describe. Raises ConfigurationError."""
        from shared.sync.identities import private_reach

        return private_reach(self._settings)

    @cached_property
    def _configured(self) -> Configured:
        from shared.delivery.work import Configured
        from shared.grouping.grouper import Grouper
        from shared.grouping.store import GroupStore
        from shared.sync.planned import Informed
        from shared.trust.allow import not_allowed

        mapper = self.mapper
        groups = Grouper(mapper, self.links, GroupStore(self.storage), self.queue, now=self._now)
        informed = Informed(groups, self._planned)
        return Configured(
            deliverer=self._deliverer,
            groups=informed,
            delivery=self.config.delivery,
            unwanted=lambda signal: None if signal.via else not_allowed(signal, mapper.accept_only),
            ends=mapper.ends,
            well=self._wellbeing.is_well,
        )

    @cached_property
    def worker(self) -> Worker:
        """Handles queue messages."""
        from shared.delivery.work import Worker

        if self._telemetry is not None:
            self._telemetry.hurry()
        return Worker(lambda: self._configured, self.queue, self.kept, self.health, self.actions, now=self._now)

    async def message(self, envelope: Envelope) -> str:
        """The queue message of an envelope. Only one too large for a message touches storage.

        Raises StorageUnavailable.
        """
        from shared.delivery.envelope import MAX_MESSAGE_BYTES, encode

        text = encode(envelope)
        return text if len(text) <= MAX_MESSAGE_BYTES else await self.queue.checked_in(envelope)

    @cached_property
    def _gate(self) -> Gate | ConfigurationError | None:
        from shared.config.load import load_section
        from shared.trust.gate import Gate
        from shared.trust.settings import SecureWebhook

        try:
            # By itself: a mistake in a route must not cost an alert.
            settings = load_section(self.config_path, "secure_webhook", SecureWebhook, self._settings)
        except ConfigurationError as error:
            return error
        return None if settings is None else Gate(settings)

    async def admit(self, authorization: str | None) -> None:
        """Let a caller of the secure webhook in by its Authorization header, or not.

        Raises Problem: 401 or 403 for a token that is not accepted, 404 when no secure webhook is configured, 503 when
        keys or configuration are not to be had, so that Azure calls again.
        """
        from shared.intake import Problem, refused_token

        gate = self._gate
        if gate is None:
            raise Problem(
                404, "Not configured", "This bridge has no secure webhook: bridge.yaml has no 'secure_webhook'."
            )
        if isinstance(gate, ConfigurationError):
            record("configuration_invalid", logging.ERROR, problems=gate.problems)
            raise Problem(503, "Configuration invalid", "The app's log says what is wrong.", {"Retry-After": "20"})
        from shared.trust.tokens import Denied

        try:
            await gate.admit(authorization)
        except Denied as denied:
            raise refused_token(denied.status) from None

    def count_events(self) -> None:
        """Count what is recorded from now on, for Application Insights; nothing where its setting is empty.

        Imports nothing of OpenTelemetry: that is done later, on a thread of its own.
        """
        connection_string = self._settings.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "")
        if not connection_string:
            return
        from shared.operate.telemetry import Telemetry

        def start() -> OpenTelemetryMeters:
            from shared.operate.meters import application_insights

            return application_insights(connection_string, self._settings)

        self._telemetry = Telemetry(start)
        listen(self._telemetry.heard)

    def taken_in(self, accepted: Accepted) -> None:
        """Note the beginning of each signal's road; what nobody could read is noted where it ends."""
        for envelope in accepted.envelopes:
            signal = envelope.signal
            if signal is not None:
                record(
                    "accepted",
                    id=envelope.id,
                    key=signal.key,
                    title=signal.title,
                    source=signal.source,
                    kind=signal.kind,
                    state=signal.state.value,
                    severity=signal.severity,
                )

    async def kept_request(
        self, kind: Kind, method: str, item: str, query: Mapping[str, str], body: bytes, content_type: str | None
    ) -> dict[str, Any]:
        """Answer a request for dead letters or quarantine: ``item`` is an id, an action, or empty. Raises Problem."""
        from shared.operate.requests import act, read

        if method == "GET":
            return await read(self.kept_items, kind, item, query)
        return await act(self.kept_items, kind, item, body, content_type)

    async def tidy(self) -> None:
        """Forget old rows of the log of actions, as many as one run may. Raises StorageUnavailable."""
        from shared.operate.actions import KEPT_FOR, MOST_PER_RUN

        forgotten = await self.actions.forget_before(self._now() - KEPT_FOR, MOST_PER_RUN)
        record("tidied", actions=forgotten)

    async def collect_planned_work(self) -> None:
        """Ask ticket systems for the changes under way, where a maintenance section follows them.

        Raises ConfigurationError and StorageUnavailable.
        """
        await self._planned.collect(self.system)

    async def reconcile(self, *, dry_run: bool = False) -> list[Reconciled]:
        """Compare Azure's list of alerts with what is known; nothing where the configuration does not ask for it.

        Args:
            dry_run: put nothing on the queue and remember nothing.

        Raises ConfigurationError and StorageUnavailable.
        """
        settings = self.config.reconcile
        if settings is None:
            return []
        from contextlib import aclosing

        from shared.sync.azure import Subscriptions
        from shared.sync.ledger import Ledger
        from shared.sync.reconcile import Reconciler, rules_of

        async with aclosing(Subscriptions(settings, self.secrets, self._reach)) as subscriptions:
            compared = Reconciler(
                settings,
                subscriptions.open,
                self.links,
                Ledger(self.storage),
                self.queue,
                rules_of(self.mapper),
                now=self._now,
            )
            return await compared.run(dry_run=dry_run)

    def preview(self, body: dict[str, Any] | list[Any]) -> list[dict[str, Any]]:
        """What a body would become. Raises ConfigurationError."""
        from shared.preview import preview

        return preview(body, self.mapper, self._now())

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Can signals be taken in, and the health report: version, configuration, queue depth, connections.

        A wrong configuration leaves the app able to take signals in: they wait on the queue for the right one.
        """
        report: dict[str, Any] = {"status": "ok", "version": VERSION, "time": self._now().isoformat()}
        names: list[str] = []
        try:
            names = sorted(self.config.connections)
            report["configuration"] = {"valid": True}
        except ConfigurationError as error:
            # The problems quote the file; they are for the log and for bridge.py validate, not for strangers.
            report["configuration"] = {"valid": False, "problems": len(error.problems)}
        try:
            report["queue_depth"] = await self.queue.depth()
            pulses = await self.health.read()
        except (StorageUnavailable, ConfigurationError) as error:
            report |= {"queue_depth": None, "storage": error.code}
            pulses = {}
        unknown = {"last_success": None, "last_error": None}
        report["connections"] = {name: pulses.get(name, unknown) for name in names}
        stored = "storage" not in report
        report["status"] = "ok" if stored and report["configuration"]["valid"] else "degraded"
        return stored, report

    async def aclose(self) -> None:
        """Close everything that was built."""
        for system in self._systems.values():
            await system.aclose()
        for budget in self._budgets.values():
            await budget.aclose()
        for name in ("_wellbeing", "secrets", "storage"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()
