"""The clouds' stand-in with the data collection rule of the product's columns; every test starts without rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from local.azure import Simulator, TableStore, running
from local.simulator_kit.certificates import ensure_certificates
from tests.azure_simulator.support import Control
from tests.log_analytics.elsewhere import Elsewhere
from tests.log_analytics.world import RULE, World
from tests.simulators import NO_AUTHORITIES, in_background


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys and certificates of everything that these tests start: one authority for all."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def background(certificates: Path) -> Iterator[tuple[Simulator, TableStore]]:
    tables = TableStore()
    with in_background(partial(running, rules=[RULE], tables=tables, certificates=certificates)) as clouds:
        yield clouds, tables


@pytest.fixture
def control(background: tuple[Simulator, TableStore]) -> Iterator[Control]:
    with httpx.Client(base_url=background[0].control_url, verify=NO_AUTHORITIES) as client:
        found = Control(client)
        found.post("/reset")
        yield found


@pytest.fixture
async def world(background: tuple[Simulator, TableStore], control: Control) -> AsyncIterator[World]:
    found = World(*background, control)
    yield found
    await found.aclose()


@pytest.fixture
async def servers(certificates: Path) -> AsyncIterator[tuple[Elsewhere, Elsewhere]]:
    """The first sends every request to the second."""
    context = ensure_certificates(certificates).server_context()
    runners, found = [], []
    for _ in range(2):
        server = Elsewhere("")
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", server.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        server.address = f"https://127.0.0.1:{runner.addresses[0][1]}"
        runners.append(runner)
        found.append(server)
    found[0].redirect = f"{found[1].address}/elsewhere"
    yield found[0], found[1]
    for runner in runners:
        await runner.cleanup()
