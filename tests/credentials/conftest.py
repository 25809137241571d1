"""A bridge whose clock the test moves, over its own tables in Azurite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.container import Container
from local.azurite import Azurite
from shared.core.jobs import JobRun
from shared.operations.credential_watch import CredentialResult, KnownCredential
from shared.platform.log import listen
from shared.platform.storage import Storage
from tests.credentials.vault import Vault, certificate, utc

CONFIG = """
version: 1
connections:
  desk:
    type: servicenow
    url: https://contoso.service-now.com
    auth: {type: api_key, key: {secret: desk-key}}
  other:
    type: servicenow
    url: https://fabrikam.service-now.com
    auth: {type: mutual_tls, certificate: {secret: other-cert}, private_key: {secret: other-key}}
default: {connection: desk}
"""

START = utc(2027, 3, 1)


class World:
    """A bridge with two connections: ``desk`` with a key, ``other`` with a certificate."""

    def __init__(self, storage: Storage, folder: Path) -> None:
        self.storage, self.at, self.vault = storage, START, Vault()
        self.path = folder / "bridge.yaml"
        self.path.write_text(CONFIG)
        self.vault.store("desk-key", "demo-key-0001")
        self.vault.store("other-cert", certificate(START + timedelta(days=400)))
        self.vault.store("other-key", "demo-private-key")
        self.events: list[dict[str, Any]] = []
        self.services = self.process()
        self._started = [self.services]

    def now(self) -> datetime:
        return self.at

    def process(self) -> Container:
        """Another process of the app."""
        return Container({"BRIDGE_CONFIG": str(self.path)}, now=self.now, storage=self.storage, secrets=self.vault)

    async def restart(self) -> None:
        await self.services.aclose()
        self.services = self.process()

    async def check(self, run: JobRun | None = None) -> CredentialResult:
        """The timer's work, as whichever process."""
        return await self.services.timers.check_credentials(run)

    async def rows(self) -> dict[str, KnownCredential]:
        return {row.name: row for row in await self.services.credentials.read()}

    def said(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]


@pytest.fixture
async def world(azurite: Azurite, tmp_path: Path) -> AsyncIterator[World]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    world = World(storage, tmp_path)
    for row in await world.services.credentials.read():
        await world.services.credentials.forget(row.id)
    yield world
    await world.services.aclose()
    await storage.aclose()


@pytest.fixture(autouse=True)
def _logged(world: World) -> Iterator[None]:
    end = listen(lambda event, fields: world.events.append({"event": event, **fields}))
    yield
    end()
