"""Whether creates of a connection may share a call: only where the write test has seen how the instance treats that."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from connectors.servicenow.settings import BasicAuth, OAuthPassword, ServiceNowSettings
from shared.core.errors import ConfigurationError, StorageUnavailable
from shared.core.findings import Finding, Findings

_LOG = logging.getLogger(__name__)

#: Of the finding.
TOPIC = "batch"

#: Seconds for which a finding, or that there is none, is believed before it is read again.
_BELIEVED_FOR = 300.0


def account_of(settings: ServiceNowSettings) -> str:
    """As whom the connection signs in, without secrets. Rate limit rules of an instance are for users and roles."""
    auth = settings.auth
    if isinstance(auth, BasicAuth | OAuthPassword):
        return f"{auth.type}:{auth.username}"
    return f"{auth.type}:{getattr(auth, 'client_id', '')}"


class BatchFinding:
    """The finding of one connection, as one process knows it.

    Args:
        settings: of the connection.
        findings: where checks keep what they have seen; None: nothing is known, and nothing is kept.
        clock: seconds, monotonic.
    """

    def __init__(
        self, settings: ServiceNowSettings, findings: Findings | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._findings = findings
        self._clock = clock
        self._tables: frozenset[str] = frozenset()
        self._until = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def wanted(self) -> bool:
        """Whether the configuration lets creates share a call, where the instance is known to be fit for it."""
        return self._settings.batch == "auto" and self._findings is not None

    async def tables(self) -> frozenset[str]:
        """The tables whose creates may share a call. Never raises: what cannot be read is not known."""
        if not self.wanted:
            return frozenset()
        async with self._lock:
            if self._clock() >= self._until:
                self._until = self._clock() + _BELIEVED_FOR
                try:
                    found = await self.read()
                except (StorageUnavailable, ConfigurationError) as error:
                    _LOG.warning("whether creates may share a call is not known: %s", error)
                    found = None
                self._tables = frozenset(found.tables) if found is not None and found.holds else frozenset()
        return self._tables

    async def read(self) -> Finding | None:
        """The stored finding, if it is about this instance and this user. Raises StorageUnavailable,
        ConfigurationError."""
        found = await self._findings.read(TOPIC) if self._findings is not None else None
        same = found is not None and (found.address, found.account) == (self._settings.url, account_of(self._settings))
        return found if same else None

    async def write(self, *, holds: bool, detail: str, tables: tuple[str, ...] = ()) -> None:
        """Keep what was seen of this instance just now. Raises StorageUnavailable, ConfigurationError."""
        self._tables = frozenset(tables) if holds else frozenset()
        self._until = self._clock() + _BELIEVED_FOR
        if self._findings is not None:
            seen_at, account = datetime.now(UTC), account_of(self._settings)
            await self._findings.write(
                Finding(TOPIC, self._settings.url, account, seen_at, holds=holds, detail=detail, tables=tables)
            )

    async def withdraw(self, detail: str) -> None:
        """The instance behaves otherwise than it was seen to: from now on each create takes a call of its own."""
        try:
            await self.write(holds=False, detail=detail)
        except (StorageUnavailable, ConfigurationError) as error:
            _LOG.warning("other workers cannot be told that creates share no call any more: %s", error)
