"""The clouds' stand-in, and the connector's objects signed in to it as the bridge's application."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.defender.assessments_api import FIXES as GRAPH_FIXES
from connectors.defender.assessments_api import AssessmentsApi
from connectors.defender.governance_api import FIXES as GOVERNANCE_FIXES
from connectors.defender.governance_api import GovernanceApi
from connectors.microsoft import Endpoint, ResourceManager
from connectors.microsoft.resource_graph import ResourceGraph
from local.azure import Simulator, running
from tests.azure_simulator.support import ARM, NO_AUTHORITIES


class Cloud:
    """One test's cloud. ``waits`` are the seconds that the connector wanted to wait, and did not."""

    def __init__(self, clouds: Simulator, control: httpx.AsyncClient, stack: AsyncExitStack) -> None:
        from azure.identity.aio import ClientSecretCredential

        self.clouds = clouds
        self.control = control
        self.waits: list[float] = []
        self._stack = stack
        self._credential = ClientSecretCredential(
            clouds.tenant_id,
            clouds.client_id,
            clouds.client_secret,
            authority=clouds.https_url,
            disable_instance_discovery=True,
            connection_verify=clouds.ca_file,
        )
        self.assessments = AssessmentsApi(self.manager({}))
        self.governance = GovernanceApi(self.manager(GOVERNANCE_FIXES))
        self.graph = ResourceGraph(self.manager(GRAPH_FIXES), sleep=self._sleep)
        stack.push_async_callback(self._credential.close)

    def manager(self, fixes: Any, transport: httpx.AsyncBaseTransport | None = None) -> ResourceManager:
        made = ResourceManager(
            self._credential,
            Endpoint(self.clouds.https_url, ARM),
            fixes=fixes,
            trust=ssl.create_default_context(cafile=self.clouds.ca_file),
            transport=transport,
            sleep=self._sleep,
        )
        self._stack.push_async_callback(made.aclose)
        return made

    async def told(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.control.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def asked(self) -> list[dict[str, Any]]:
        """Requests to the services so far, the oldest first; those for tokens are left out."""
        found = (await self.control.get("/requests", params={"limit": "500"})).json()["requests"]
        return [one for one in found if "/providers/" in one["path"]]

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clouds")


@pytest.fixture
async def cloud(certificates: Path) -> AsyncIterator[Cloud]:
    async with (
        running(certificates=certificates) as clouds,
        httpx.AsyncClient(base_url=clouds.control_url, verify=NO_AUTHORITIES) as control,
        AsyncExitStack() as stack,
    ):
        yield Cloud(clouds, control, stack)
