"""Storage of these tests alone: they look at the queue as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

from local import servicenow
from local.azurite import Azurite
from shared.core.messages import POISON_QUEUE, QUEUE
from shared.platform.storage import Storage
from tests.standby.world import World, world


@pytest.fixture(scope="session")
def own_azurite() -> Iterator[Azurite]:
    with Azurite() as running:
        yield running


@pytest_asyncio.fixture
async def storage(own_azurite: Azurite) -> AsyncIterator[Storage]:
    """With empty queues and no signs of life."""
    storage = Storage({"AzureWebJobsStorage": own_azurite.connection_string})
    for name in (QUEUE, POISON_QUEUE):
        try:
            await storage.queue(name).create_queue()
        except ResourceExistsError:
            await storage.queue(name).clear_messages()
    for table in ("vitalsigns", "health", "parked"):
        client = storage.table(table)
        try:
            async for row in client.list_entities():
                await client.delete_entity(row["PartitionKey"], row["RowKey"])
        except ResourceNotFoundError:
            continue
    yield storage
    await storage.aclose()


@pytest_asyncio.fixture
async def bridge(storage: Storage, tmp_path: Path) -> AsyncIterator[World]:
    async with servicenow.running() as simulator, world(simulator, storage, tmp_path) as opened:
        yield opened
