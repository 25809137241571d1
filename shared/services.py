"""The composition root: builds every service once per process, from settings. Nothing else builds services.

Imports are made where a service is first used, so that a webhook's cold start pays for none of the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigurationError, Refused, StorageUnavailable
from shared.version import VERSION

if TYPE_CHECKING:
    from shared.config.model import BridgeConfig, Delivery
    from shared.delivery.deliver import Deliverer
    from shared.delivery.envelope import Envelope
    from shared.delivery.kept import KeptStore
    from shared.delivery.links import LinkStore
    from shared.delivery.queue import SignalQueue
    from shared.delivery.work import Worker
    from shared.health import Health
    from shared.mapping.mapper import Mapper
    from shared.secrets import SecretSource
    from shared.storage import Storage
    from shared.tickets import TicketSystem

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
        self._systems: dict[str, TicketSystem] = {}

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
    def health(self) -> Health:
        """How the connections are doing."""
        from shared.health import Health

        return Health(self.storage, self._now)

    def system(self, connection: str) -> TicketSystem:
        """The ticket system of a connection. Raises ConfigurationError, and Refused for one that is not configured."""
        found = self._systems.get(connection)
        if found is None:
            settings = self.config.connections.get(connection)
            if settings is None:
                raise Refused(
                    f"there is no connection '{connection}' in the configuration any more",
                    advice="Add it again to bridge.yaml and replay, or settle its tickets by hand",
                )
            from connectors.servicenow import ServiceNow

            found = self._systems[connection] = ServiceNow(connection, settings, self.secrets)
        return found

    @cached_property
    def _deliverer(self) -> Deliverer:
        from shared.delivery.deliver import Deliverer

        return Deliverer(self.mapper, self.system, self.links, now=self._now)

    @cached_property
    def worker(self) -> Worker:
        """Handles queue messages."""
        from shared.delivery.work import Worker

        async def deliverer() -> tuple[Deliverer, Delivery]:
            return self._deliverer, self.config.delivery

        return Worker(deliverer, self.queue, self.kept, self.health, now=self._now)

    async def message(self, envelope: Envelope) -> str:
        """The queue message of an envelope. Only one too large for a message touches storage.

        Raises StorageUnavailable.
        """
        from shared.delivery.envelope import MAX_MESSAGE_BYTES, encode

        text = encode(envelope)
        return text if len(text) <= MAX_MESSAGE_BYTES else await self.queue.checked_in(envelope)

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
        for name in ("secrets", "storage"):
            if name in self.__dict__:
                await self.__dict__[name].aclose()
