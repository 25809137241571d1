"""Fixtures: a simulator per module, and a world of its own for each test.

Tests run in their module's event loop: ``pytestmark = pytest.mark.asyncio(loop_scope="module")``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from local import servicenow
from local.azurite import Azurite
from tests.tokens.world import World, world_of


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[servicenow.Simulator]:
    async with servicenow.running() as simulator:
        yield simulator


@pytest_asyncio.fixture(loop_scope="module")
async def world(simulator: servicenow.Simulator, azurite: Azurite, tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(simulator, azurite, tmp_path) as world:
        yield world
