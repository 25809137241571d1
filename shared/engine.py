"""What the engine offers to sources while the app runs; ``app/container.py`` fulfils it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar

from shared.config.model import BridgeConfig
from shared.core.link import Link
from shared.core.secrets import SecretSource
from shared.core.ticket_system import TicketKind, TicketSystem
from shared.delivery.links import LinkStore
from shared.delivery.parked import ParkedStore
from shared.delivery.queue import SignalQueue
from shared.delivery.worker import Worker
from shared.mapping.mapper import Mapper
from shared.operations.connection_health import ConnectionHealthStore
from shared.operations.credential_watch import CredentialStore
from shared.operations.health import Health
from shared.platform.storage import Storage

T = TypeVar("T")


class Engine(Protocol):
    """Services that sources use. Properties are built when they are first read; those that need the configuration
    raise ConfigurationError."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Application settings."""
        ...

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock: present time, UTC."""
        ...

    @property
    def config(self) -> BridgeConfig:
        """The configuration."""
        ...

    @property
    def mapper(self) -> Mapper:
        """Routes and fields, compiled."""
        ...

    @property
    def state_storage(self) -> Storage:
        """The bridge's own storage account, for what a source remembers; in a dry run, a part of it by itself."""
        ...

    @property
    def secrets(self) -> SecretSource:
        """Secrets by name."""
        ...

    @property
    def links(self) -> LinkStore:
        """Keys and their tickets."""
        ...

    @property
    def queue(self) -> SignalQueue:
        """The signal queue."""
        ...

    @property
    def parked(self) -> ParkedStore:
        """Dead letters and quarantine."""
        ...

    @property
    def credentials(self) -> CredentialStore:
        """Until when secrets, certificates and log-ins last, as they were read last."""
        ...

    @property
    def health(self) -> ConnectionHealthStore:
        """Last success and last error of each connection."""
        ...

    async def health_report(self) -> Health:
        """Whether the bridge is well."""
        ...

    @property
    def worker(self) -> Worker:
        """Handles messages."""
        ...

    def system(self, connection: str) -> TicketSystem:
        """The ticket system of a connection, within its budget. Raises Refused for one that is not configured."""
        ...

    def state_name(self, connection: str, kind: TicketKind, state: str) -> str:
        """What people call a state; the state itself where the connection is no longer configured."""
        ...

    def is_working(self, link: Link) -> bool:
        """Whether the ticket of a link is in a state in which people work on it."""
        ...

    def given(self, kind: type[T]) -> T | None:
        """An object of a class that was given to the container to be used instead of what settings describe."""
        ...

    def shared(self, kind: type[T], build: Callable[[], T]) -> T:
        """An object that several plug-ins use: built once, and closed with the container when it has an ``aclose``."""
        ...
