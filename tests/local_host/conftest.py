from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from local.azurite import Azurite
from local.host.keys import Keys
from local.host.server import Host
from local.storage_rest import Account, Storage
from tests.local_host.support import ADMIN_KEY, FUNCTION_KEY, RunHost, write_app


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage(Account.parse(azurite.connection_string))
    yield opened
    await opened.aclose()


@pytest.fixture
def queue_name() -> str:
    return f"q{uuid4().hex[:16]}"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def run_host(tmp_path: Path, azurite: Azurite, queue_name: str) -> AsyncIterator[RunHost]:
    """Writes an app and starts a host for it; setting QUEUE names this test's queue. Stopped after the test."""
    async with AsyncExitStack() as stack:

        async def run(
            source: str,
            host_json: Mapping[str, object] | None = None,
            *,
            settings: dict[str, str] | None = None,
            queue_lease: float = 30.0,
            grace: float = 5.0,
        ) -> Host:
            app = write_app(tmp_path / "app", source, host_json)
            base = {"AzureWebJobsStorage": azurite.connection_string, "QUEUE": queue_name}
            host = Host(
                app,
                settings={**base, **(settings or {})},
                keys=Keys((FUNCTION_KEY, "another-key"), ADMIN_KEY),
                queue_lease=queue_lease,
                grace=grace,
            )
            return await stack.enter_async_context(host)

        yield run
