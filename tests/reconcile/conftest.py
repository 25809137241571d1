"""Every test has a cloud of its own; the storage is shared."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from local.azurite import Azurite
from shared.platform.storage import Storage
from tests.reconcile.stage import Stage, staged


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


@pytest.fixture
async def stage(storage: Storage) -> AsyncIterator[Stage]:
    async with staged(storage) as opened:
        yield opened
