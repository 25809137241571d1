"""Stand-ins run once per process, on a thread of their own; every test finds them as on their first day."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from local import azure, servicenow
from local.azurite import Azurite
from shared.platform.storage import Storage
from tests.secure_score.world import World, opened


class _Background:
    """Runs both stand-ins on an event loop in a thread, because a test's own loop ends with it."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="stand-ins")
        self.running: tuple[azure.Simulator, servicenow.Simulator] | None = None

    def __enter__(self) -> tuple[azure.Simulator, servicenow.Simulator]:
        self._thread.start()
        self._ready.wait(timeout=30)
        assert self.running is not None
        return self.running

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        async with AsyncExitStack() as stack:
            clouds = await stack.enter_async_context(azure.running())
            instance = await stack.enter_async_context(servicenow.running())
            self.running = (clouds, instance)
            self._ready.set()
            await self._stop.wait()


@pytest.fixture(scope="session")
def stand_ins() -> Iterator[tuple[azure.Simulator, servicenow.Simulator]]:
    with _Background() as running:
        yield running


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    kept = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield kept
    await kept.aclose()


@pytest.fixture
async def world(
    stand_ins: tuple[azure.Simulator, servicenow.Simulator], storage: Storage, tmp_path: Path
) -> AsyncIterator[World]:
    async with opened(*stand_ins, storage, tmp_path) as bridge:
        yield bridge
