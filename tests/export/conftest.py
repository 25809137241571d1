"""One ServiceNow simulator for a module, as on its first day for each test, in the module's event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from local import servicenow
from local.azurite import Azurite
from shared.platform.storage import Storage
from tests.export.world import World, opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[servicenow.Simulator]:
    async with servicenow.running() as simulator:
        yield simulator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield storage
    await storage.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def world(simulator: servicenow.Simulator, storage: Storage, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(simulator, storage, tmp_path) as found:
        yield found
