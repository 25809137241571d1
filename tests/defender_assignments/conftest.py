"""Every test has an instance of ServiceNow and resources of its own; the storage is shared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.azurite import Azurite
from shared.platform.storage import Storage
from tests.defender_assignments.office import Office, opened


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened_storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened_storage
    await opened_storage.aclose()


@pytest.fixture
async def office(storage: Storage, tmp_path: Path) -> AsyncIterator[Office]:
    async with opened(storage, tmp_path) as bridge:
        yield bridge
