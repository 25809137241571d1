"""Every test has a cloud of its own, and a storage that knows nothing of findings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.azurite import Azurite
from shared.platform.storage import Storage
from tests.defender_poll.stage import Stage, staged


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clouds")


@pytest.fixture
async def stage(storage: Storage, certificates: Path) -> AsyncIterator[Stage]:
    async with staged(storage, certificates) as opened:
        yield opened
