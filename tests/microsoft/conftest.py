"""The clouds' stand-in, one for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.microsoft.world import World, built


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clouds")


@pytest.fixture
async def world(certificates: Path) -> AsyncIterator[World]:
    async with built(certificates) as one:
        yield one
