"""One simulator per test run, in a thread of its own so that blocking clients can use it; every test starts fresh."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator

import httpx
import pytest

from local.servicenow import Simulator, running
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import Control


class _Background:
    """Runs a simulator on an event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self.simulator: Simulator | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="simulator")

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # handed to the waiting test run, whatever it is
            self._failure = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        async with running() as simulator:
            self.simulator = simulator
            self._ready.set()
            await self._stop.wait()

    def start(self) -> Simulator:
        self._thread.start()
        self._ready.wait(timeout=30)
        assert self.simulator is not None, self._failure
        return self.simulator

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()
        assert self._failure is None, self._failure


@pytest.fixture(scope="session")
def background_simulator() -> Iterator[Simulator]:
    background = _Background()
    try:
        yield background.start()
    finally:
        background.stop()


@pytest.fixture
def simulator(background_simulator: Simulator) -> Simulator:
    """The simulator as on its first day."""
    support.post(f"{background_simulator.control_url}/reset").raise_for_status()
    return background_simulator


@pytest.fixture
def control(simulator: Simulator) -> Iterator[Control]:
    with support.connect(simulator.control_url) as client:
        yield Control(client)


@pytest.fixture
def admin(simulator: Simulator) -> Iterator[httpx.Client]:
    """Calls as the administrator, without a cookie jar."""
    with support.connect(simulator.url, simulator.username, simulator.password) as client:
        yield client


@pytest.fixture
def bridge(simulator: Simulator) -> Iterator[httpx.Client]:
    """Calls as the least-privileged integration user."""
    with support.connect(simulator.url, simulator.integration_username, simulator.integration_password) as client:
        yield client


@pytest.fixture
def tls(simulator: Simulator) -> ssl.SSLContext:
    """Trusts the simulator's own authority and nothing else."""
    return ssl.create_default_context(cafile=simulator.ca_file)
