"""Workers that are killed at a write of a renewal."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from connectors.key_vault import KeyVaultSecrets
from connectors.servicenow import ServiceNow
from shared.core.tokens import HeldTokens
from shared.operations.token_store import TableTokens
from tests.tokens.world import World


class Killed(BaseException):
    """The process ends here."""


class Fate:
    """Kills before or after the write with a number."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.writes = 0

    def before_write(self) -> None:
        self.writes += 1
        if self.writes > self.at or (self.writes == self.at and not self.after):
            raise Killed

    def after_write(self) -> None:
        if self.writes == self.at:
            raise Killed


class MortalStore:
    """The token store of a worker that is killed."""

    def __init__(self, real: TableTokens, fate: Fate) -> None:
        self._real = real
        self._fate = fate
        self.now = real.now

    async def load(self, connection: str, secrets: tuple[str, ...]) -> HeldTokens | None:
        return await self._real.load(connection, secrets)

    async def save(self, connection: str, secrets: tuple[str, ...], tokens: HeldTokens) -> None:
        self._fate.before_write()
        await self._real.save(connection, secrets, tokens)
        self._fate.after_write()

    async def forget(self, connection: str) -> None:
        await self._real.forget(connection)

    def renewing(self, connection: str) -> AbstractAsyncContextManager[object]:
        return self._real.renewing(connection)


class MortalVault:
    """The secrets of a worker that is killed."""

    def __init__(self, real: KeyVaultSecrets, fate: Fate) -> None:
        self._real = real
        self._fate = fate

    async def get(self, name: str, *, refresh: bool = False) -> str:
        return await self._real.get(name, refresh=refresh)

    async def expires_on(self, name: str, *, refresh: bool = False) -> datetime | None:
        return await self._real.expires_on(name, refresh=refresh)

    async def put(self, name: str, value: str, expires_on: datetime | None) -> None:
        self._fate.before_write()
        await self._real.put(name, value, expires_on)
        self._fate.after_write()

    async def disable(self, name: str) -> bool:
        return await self._real.disable(name)

    async def aclose(self) -> None:
        await self._real.aclose()


def mortal(world: World, fate: Fate, auth: dict[str, Any] | None = None) -> ServiceNow:
    """A worker with this fate."""
    store, secrets = MortalStore(world.store(), fate), MortalVault(world.secrets(), fate)
    return world.worker(store=store, secrets=secrets, auth=auth)
