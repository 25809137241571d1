"""Settings, configuration, storage and ticket systems: what every other service is built from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app.registry import REGISTRY
from shared.core.errors import ConfigurationError, Refused

if TYPE_CHECKING:
    from connectors.microsoft.identities import CloudEndpoints
    from shared.budget import BudgetGate
    from shared.config.model import BridgeConfig, Connection
    from shared.core.secrets import SecretSource
    from shared.core.ticket_system import TicketKind, TicketSystem
    from shared.delivery.links import LinkStore
    from shared.delivery.parked import ParkedStore
    from shared.delivery.queue import SignalQueue
    from shared.mapping.mapper import Mapper
    from shared.operations.audit_log import AuditLog
    from shared.operations.health import ConnectionHealthStore
    from shared.operations.parked_items import ParkedItems
    from shared.operations.telemetry import Telemetry
    from shared.platform.storage import Storage

_ROOT = Path(__file__).resolve().parents[1]


class Foundation:
    """Where everything begins.

    Args:
        settings: application settings; the environment when None.
        now: the clock.
        storage, secrets: instead of those that the settings describe.
        reach: instead of Microsoft's public clouds.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        storage: Storage | None = None,
        secrets: SecretSource | None = None,
        reach: CloudEndpoints | None = None,
    ) -> None:
        self._settings = os.environ if settings is None else settings
        self._now = now
        self._given_storage = storage
        self._given_secrets = secrets
        self._given_reach = reach
        self._systems: dict[tuple[str, bool], TicketSystem] = {}
        self._budgets: dict[str, BudgetGate] = {}
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
        from shared.platform.storage import Storage

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
        from shared.core.secrets import SettingSecrets

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
    def kept(self) -> ParkedStore:
        """Dead letters and quarantine."""
        from shared.delivery.parked import ParkedStore

        return ParkedStore(self.storage)

    @cached_property
    def kept_items(self) -> ParkedItems:
        """What operators do with dead letters and quarantine."""
        from shared.operations.parked_items import ParkedItems

        return ParkedItems(self.kept, self.queue, REGISTRY.schemas, REGISTRY.foreign, now=self._now)

    @cached_property
    def actions(self) -> AuditLog:
        """The log of actions."""
        from shared.operations.audit_log import AuditLog

        return AuditLog(self.storage, self._now)

    @cached_property
    def health(self) -> ConnectionHealthStore:
        """How the connections are doing."""
        from shared.operations.health import ConnectionHealthStore

        return ConnectionHealthStore(self.storage, self._now)

    def budget(self, connection: str) -> BudgetGate:
        """The call budget of a connection. Raises as :meth:`system`."""
        found = self._budgets.get(connection)
        if found is None:
            from shared.budget import BudgetGate, QuotaRules, TableBudgets

            settings = self._connection(connection)
            rules = QuotaRules(
                calls=settings.budget.calls,
                per=settings.budget.per.total_seconds(),
                reserve=settings.budget.reserve,
                in_flight=settings.max_in_flight,
                longest_call=settings.total_timeout.total_seconds(),
            )
            found = self._budgets[connection] = BudgetGate(connection, rules, TableBudgets(self.storage), now=self._now)
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

    def _state_name(self, connection: str, kind: TicketKind, state: str) -> str:
        """What people call a state; the state itself where the connection is configured no more."""
        try:
            return self.system(connection).state_name(kind, state)
        except (ConfigurationError, Refused):
            return state

    @cached_property
    def _reach(self) -> CloudEndpoints | None:
        """The cloud that was given, or the private one that settings describe. Raises ConfigurationError."""
        from connectors.microsoft.identities import private_reach

        return self._given_reach or private_reach(self._settings)
