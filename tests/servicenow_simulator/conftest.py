"""One simulator per test run, in a thread of its own so that blocking clients can use it; every test starts fresh."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from local.servicenow import Simulator, running
from tests.servicenow_simulator import support
from tests.servicenow_simulator.support import Control
from tests.simulators import in_background


@pytest.fixture(scope="session")
def background_simulator() -> Iterator[Simulator]:
    with in_background(running) as simulator:
        yield simulator


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
