"""Lists are answered within seconds while Table storage hangs, and as long as they need while it does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from aiohttp import web

from app.container import Container
from local.azurite import Azurite
from local.storage_rest import EMULATOR_ACCOUNT, EMULATOR_KEY
from shared.core.http import Request
from shared.core.link import Link, LinkStage
from shared.core.ticket_system import TicketKind, TicketRef
from shared.operations.ticket_list import ListedTicket, TicketList
from shared.web import answers
from shared.web.answers import respond

CONFIG = """
version: 1
connections:
  desk:
    type: servicenow
    url: https://contoso.example.com
    auth: {type: basic, username: demo, password: {secret: desk}}
default: {connection: desk}
defender: {integrations: [{name: shop, connection: desk, scope: /}]}
"""


async def hang(_request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


@pytest.fixture
async def hanging(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Container]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", hang)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/{EMULATOR_ACCOUNT}"
    config = tmp_path_factory.mktemp("lists") / "bridge.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    services = Container(
        {
            "AzureWebJobsStorage": f"AccountName={EMULATOR_ACCOUNT};AccountKey={EMULATOR_KEY};"
            f"BlobEndpoint={url};QueueEndpoint={url};TableEndpoint={url};",
            "BRIDGE_CONFIG": str(config),
        }
    )
    yield services
    await services.aclose()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("name", "path", "query"),
    [
        ("tickets", {}, {}),
        ("tickets", {}, {"kind": "incident"}),
        ("dead_letters", {}, {}),
        ("dead_letters", {}, {"counts": "true"}),
        ("dead_letters", {"item": "a" * 32}, {}),
        ("quarantine", {}, {}),
        ("integrations", {}, {}),
    ],
)
async def test_a_list_is_a_503_within_seconds_while_storage_hangs(
    hanging: Container, name: str, path: dict[str, str], query: dict[str, str]
) -> None:
    started = time.monotonic()
    answer = await respond(hanging.handler(name), Request("GET", path=path, query=query))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), answer.body
    assert time.monotonic() - started < 8


async def test_a_list_with_many_rows_may_take_longer_than_one_operation(
    azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound is for each page, not for the list."""
    services = Container({"AzureWebJobsStorage": azurite.connection_string})
    ref = TicketRef(TicketKind.INCIDENT, "a" * 32, "alert:1:x", "INC1", "")
    for number in range(8):
        key = f"alert:1:slow-{number}"
        await services.links.write(Link(key=key, stage=LinkStage.OPEN, connection="slow", ticket=ref), None)
    monkeypatch.setattr(answers, "READ_PATIENCE", 0.5)
    row = TicketList._row

    def slow(tickets: TicketList, link: Link, now: datetime) -> ListedTicket:
        time.sleep(0.1)
        return row(tickets, link, now)

    monkeypatch.setattr(TicketList, "_row", slow)
    answer = await respond(services.handler("tickets"), Request("GET", query={"connection": "slow"}))
    assert (answer.status, answer.body["counts"]["total"]) == (200, 8), answer.body
    await services.aclose()
