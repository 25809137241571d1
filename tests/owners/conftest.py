"""One simulator of Azure and one storage for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from connectors.azure_monitor.resource_tags.reader import ResourceTagReader
from connectors.microsoft.clients import MicrosoftClients
from local.azurite import Azurite
from shared.platform.storage import Storage
from tests.microsoft.world import World, built
from tests.owners.support import Clock, Estate, reader_of


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clouds")


@pytest.fixture
async def world(certificates: Path) -> AsyncIterator[World]:
    async with built(certificates) as one:
        yield one


@pytest.fixture
async def estate(world: World) -> Estate:
    return await Estate(world).build(Owner="lee.gu@contoso.example")


@pytest.fixture
def clock() -> Clock:
    return Clock()


Build = Callable[..., ResourceTagReader]


@pytest.fixture
async def worker(world: World, azurite: Azurite, clock: Clock) -> AsyncIterator[Build]:
    """Makes the reader of one more worker."""
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    async with aclosing(storage), aclosing(MicrosoftClients(world.vault, world.endpoints())) as clients:

        def build(**options: Any) -> ResourceTagReader:
            return reader_of(world, clients, storage, clock, **options)

        yield build
