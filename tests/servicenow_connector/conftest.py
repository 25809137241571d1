"""Fixtures: a scripted instance, and connectors that talk to it; a simulator per module, reset for each test.

Tests with the simulator run in their module's event loop: ``pytestmark = pytest.mark.asyncio(loop_scope="module")``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from connectors.servicenow import ServiceNow, ServiceNowSettings
from local import servicenow
from shared.core.secrets import SettingSecrets
from tests.servicenow_connector.scripted import Instance, running
from tests.servicenow_connector.simulated import SimulatedServiceNow, connected

SETTINGS = {
    "DEMO_PASSWORD": "demo-password",
    "DEMO_CLIENT_SECRET": "demo-client-secret",
    "DEMO_API_KEY": "demo-api-key",
}
BASIC = {"type": "basic", "username": "azure.bridge", "password": {"secret": "demo-password"}}

Connect = Callable[..., ServiceNow]


@pytest.fixture
async def instance() -> AsyncIterator[Instance]:
    async with running() as server:
        yield server


@pytest.fixture
async def connect(instance: Instance) -> AsyncIterator[Connect]:
    """Makes connectors to the scripted instance; settings by keyword, secrets as ``secrets``."""
    async with AsyncExitStack() as stack:

        def make(*, secrets: dict[str, str] | None = None, **settings: Any) -> ServiceNow:
            data = {"type": "servicenow", "url": instance.url, "auth": BASIC, **settings}
            connector = ServiceNow(
                "contoso", ServiceNowSettings.model_validate(data), SettingSecrets(secrets or dict(SETTINGS))
            )
            stack.push_async_callback(connector.aclose)
            return connector

        yield make


@pytest.fixture
def connector(connect: Connect) -> ServiceNow:
    return connect()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator() -> AsyncIterator[servicenow.Simulator]:
    async with servicenow.running() as simulator:
        yield simulator


Stages = Callable[..., AbstractAsyncContextManager[SimulatedServiceNow]]


@pytest_asyncio.fixture(loop_scope="module")
async def stages(simulator: servicenow.Simulator) -> Stages:
    """Makes connectors to the simulator as on its first day; arguments as ``connected``."""
    async with connected(simulator) as stage:
        await stage.reset()

    def make(*auth: Any, **settings: Any) -> AbstractAsyncContextManager[SimulatedServiceNow]:
        return connected(simulator, *auth, **settings)

    return make


@pytest_asyncio.fixture(loop_scope="module")
async def stage(stages: Stages) -> AsyncIterator[SimulatedServiceNow]:
    async with stages() as stage:
        yield stage
