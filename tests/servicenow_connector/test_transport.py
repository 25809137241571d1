"""Connections: what never left, what may have arrived, and what must never be kept."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trustme

from connectors.servicenow import ServiceNow, ServiceNowSettings
from connectors.servicenow import pool as pool_module
from connectors.servicenow.client import Client
from connectors.servicenow.wire import Purpose, WireCall
from shared.core.errors import ConfigurationError, NotSent, OutcomeUnknown, TicketSystemError, Unavailable
from shared.core.rate_gate import CallCounter
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import Draft, Note, TicketKind, TicketRef
from tests.ports import free_port
from tests.servicenow_connector.conftest import BASIC, SETTINGS, Connect
from tests.servicenow_connector.scripted import (
    CUT_SHORT,
    HANG_UP,
    Asked,
    Echo,
    Instance,
    Say,
    not_authenticated,
    result,
    running,
)

ID = "0123456789abcdef0123456789abcdef"
DRAFT = Draft(TicketKind.INCIDENT, ID, "alert:1:a", {"short_description": "Disk full"})
REF = TicketRef(TicketKind.INCIDENT, ID, "alert:1:a", "INC0010001")
NOTE = Note("Still full [bridge:1]", "[bridge:1]")


def settings(url: str, **more: object) -> ServiceNowSettings:
    return ServiceNowSettings.model_validate({"type": "servicenow", "url": url, "auth": BASIC, **more})


async def test_a_refused_connection_was_not_sent() -> None:
    connector = ServiceNow("contoso", settings(f"http://127.0.0.1:{free_port()}"), SettingSecrets(SETTINGS))
    with CallCounter() as tally, pytest.raises(NotSent, match="connection was refused") as caught:
        await connector.create(DRAFT)
    assert "Check 'url'" in caught.value.advice
    assert tally.calls == 0
    await connector.aclose()


async def test_an_unknown_host_was_not_sent_and_says_so() -> None:
    class NoSuchHost(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("failed") from socket.gaierror(-2, "Name or service not known")

    url = "https://contoso.service-now.com"
    connector = ServiceNow("contoso", settings(url), SettingSecrets(SETTINGS), transport=NoSuchHost())
    with pytest.raises(NotSent, match="host name cannot be resolved"):
        await connector.create(DRAFT)
    await connector.aclose()


@pytest.mark.parametrize("answer", [HANG_UP, CUT_SHORT])
async def test_a_connection_that_breaks_leaves_the_outcome_of_a_write_open(
    instance: Instance, connector: ServiceNow, answer: Say
) -> None:
    instance.says(answer, answer)
    with pytest.raises(OutcomeUnknown, match="connection broke"):
        await connector.create(DRAFT)
    with pytest.raises(OutcomeUnknown):
        await connector.comment(REF, NOTE)
    assert instance.calls == ["POST /api/now/table/incident", f"PATCH /api/now/table/incident/{ID}"]


@pytest.mark.parametrize("answer", [HANG_UP, CUT_SHORT])
async def test_a_connection_that_breaks_during_a_read_did_no_harm(
    instance: Instance, connector: ServiceNow, answer: Say
) -> None:
    instance.says(answer)
    with pytest.raises(Unavailable, match="connection broke"):
        await connector.find(TicketKind.INCIDENT, ID, "alert:1:a")


async def test_no_answer_within_the_read_timeout_leaves_the_outcome_open(instance: Instance, connect: Connect) -> None:
    never = asyncio.Event()

    async def hang(asked: Asked) -> Say:
        await never.wait()
        return result({})

    instance.handler = hang
    with pytest.raises(OutcomeUnknown, match="no answer in time"):
        await connect(read_timeout="1s").create(DRAFT)


async def test_an_operation_ends_with_its_total_timeout_although_bytes_still_trickle_in(connect: Connect) -> None:
    gone = asyncio.Event()

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
        except ConnectionError:
            writer.transport.abort()
            gone.set()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        connector = connect(url=f"http://127.0.0.1:{port}", total_timeout="2s")
        async with asyncio.timeout(60):
            with pytest.raises(OutcomeUnknown, match="total_timeout"):
                await connector.create(DRAFT)
            await gone.wait()


async def test_a_call_whose_turn_never_came_was_not_sent(instance: Instance) -> None:
    never, started, go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang(asked: Asked) -> Say:
        await never.wait()
        return result({})

    async def second() -> None:
        with client.operation():  # its time starts to run before the first call's
            started.set()
            await go.wait()
            await client.call(WireCall("PATCH", "/second", Purpose.UPDATE, body={}))

    instance.handler = hang
    client = Client("contoso", settings(instance.url, max_in_flight=1, total_timeout="2s"), SettingSecrets(SETTINGS))
    waiting = asyncio.create_task(second())
    await started.wait()
    holder = asyncio.create_task(client.call(WireCall("POST", "/first", Purpose.CREATE, body={})))
    await instance.until(1)
    go.set()
    with pytest.raises(NotSent, match="its turn did not come"):
        await waiting
    with pytest.raises(OutcomeUnknown, match="total_timeout"):
        await holder
    assert instance.calls == ["POST /first"]
    await client.aclose()


async def test_an_operation_without_time_left_sends_nothing(instance: Instance) -> None:
    client = Client("contoso", settings(instance.url, total_timeout="2s"), SettingSecrets(SETTINGS))
    with client.operation():
        async with asyncio.timeout(60):
            with pytest.raises(NotSent, match="no time was left for a look-up"):
                async with client.within_deadline("a look-up"):
                    await asyncio.Event().wait()
        with pytest.raises(NotSent):
            await client.call(WireCall("POST", "/late", Purpose.CREATE, body={}))
    assert instance.calls == []
    await client.aclose()


async def test_no_more_calls_in_flight_than_the_settings_allow(instance: Instance, connect: Connect) -> None:
    gate = asyncio.Event()
    echo = Echo()

    async def wait(asked: Asked) -> Say:
        await gate.wait()
        return echo(asked)

    instance.handler = wait
    connector = connect(max_in_flight=3)
    tasks = [
        asyncio.create_task(connector.create(Draft(TicketKind.INCIDENT, f"{n:032x}", f"alert:1:{n}", {})))
        for n in range(9)
    ]
    await instance.until(3)
    for _ in range(50):  # give a fourth call every chance to appear
        await asyncio.sleep(0)
    assert len(instance.asked) == 3
    gate.set()
    await asyncio.gather(*tasks)
    assert instance.most_in_flight == 3
    assert [asked.method for asked in instance.asked] == ["POST"] * 9


async def test_a_cancelled_call_gives_its_place_back(instance: Instance, connect: Connect) -> None:
    gate = asyncio.Event()
    echo = Echo()

    async def wait(asked: Asked) -> Say:
        await gate.wait()
        return echo(asked)

    instance.handler = wait
    connector = connect(max_in_flight=1)
    for round_ in range(1, 4):
        task = asyncio.create_task(connector.create(DRAFT))
        await instance.until(round_)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    gate.set()
    assert (await connector.create(DRAFT)).ref.id == ID


async def test_a_closed_connector_can_be_used_again(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Echo()
    await connector.create(DRAFT)
    await connector.aclose()
    await connector.comment(REF, NOTE)
    await connector.aclose()


async def test_no_cookie_is_kept_or_sent(instance: Instance, connector: ServiceNow) -> None:
    def answer(asked: Asked) -> Say:
        return result({"sys_id": ID, "correlation_id": "alert:1:a"}, Set_Cookie="JSESSIONID=demo; Path=/")

    instance.handler = answer
    for _ in range(3):
        await connector.find(TicketKind.INCIDENT, ID, "alert:1:a")
    assert len(instance.asked) == 3
    assert not any("Cookie" in asked.headers for asked in instance.asked)


async def test_redirects_are_not_followed(instance: Instance, connector: ServiceNow) -> None:
    instance.says(Say(307, headers={"Location": f"{instance.url}/elsewhere"}))
    with pytest.raises(Unavailable, match="redirects"):
        await connector.create(DRAFT)
    assert len(instance.asked) == 1


async def test_requests_say_who_we_are_and_ask_for_json(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Echo()
    await connector.create(DRAFT)
    headers = instance.asked[0].headers
    assert headers["User-Agent"].startswith("azure-itsm-bridge/")
    assert headers["Accept"] == "application/json"
    assert headers["Content-Type"] == "application/json"


async def test_a_compressed_answer_is_read(instance: Instance, connector: ServiceNow) -> None:
    body = gzip.compress(json.dumps({"result": {"sys_id": ID, "correlation_id": "alert:1:a"}}).encode())
    instance.says(Say(200, body, {"Content-Encoding": "gzip"}))
    assert await connector.find(TicketKind.INCIDENT, ID, "alert:1:a") is not None


async def test_an_answer_that_claims_to_be_compressed_and_is_not_proves_nothing(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.says(Say(201, b"no gzip", {"Content-Encoding": "gzip"}))
    with pytest.raises(OutcomeUnknown):
        await connector.create(DRAFT)


async def test_an_endless_answer_is_not_read_to_its_end(
    instance: Instance, connector: ServiceNow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "MAX_ANSWER", 1000)
    instance.says(result({"description": "x" * 2000}))
    with pytest.raises(Unavailable, match="AnswerTooLarge"):
        await connector.find(TicketKind.INCIDENT, ID, "alert:1:a")


async def test_a_401_is_repeated_once_and_no_more(instance: Instance, connector: ServiceNow) -> None:
    instance.says(not_authenticated(), result({"sys_id": ID, "correlation_id": "alert:1:a"}))
    assert await connector.find(TicketKind.INCIDENT, ID, "alert:1:a") is not None
    instance.handler = lambda asked: not_authenticated()
    with pytest.raises(TicketSystemError) as caught:
        await connector.create(DRAFT)
    assert caught.value.code == "not_authorised"
    assert len(instance.asked) == 4


async def test_every_request_that_left_is_counted(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Echo()
    with CallCounter() as tally:
        await connector.create(DRAFT)
        await connector.comment(REF, NOTE)
    instance.says(HANG_UP)
    with CallCounter() as lost, pytest.raises(OutcomeUnknown):
        await connector.comment(REF, NOTE)
    assert (tally.calls, lost.calls) == (2, 1)
    assert [asked.method for asked in instance.asked] == ["POST", "PATCH", "PATCH"]


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return ca


@pytest.fixture
async def secure(authority: trustme.CA) -> AsyncIterator[Instance]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with running(context) as server:
        yield server


async def test_an_unknown_authority_is_refused_before_anything_is_sent(secure: Instance, connect: Connect) -> None:
    with pytest.raises(NotSent, match="certificate could not be verified") as caught:
        await connect(url=secure.url).create(DRAFT)
    assert "ca_bundle" in caught.value.advice
    assert secure.asked == []


async def test_ca_bundle_adds_a_private_authority(
    secure: Instance, connect: Connect, authority: trustme.CA, tmp_path: Path
) -> None:
    secure.handler = Echo()
    connector = connect(url=secure.url, ca_bundle=str(tmp_path / "ca.pem"))
    assert (await connector.create(DRAFT)).ref.id == ID


async def test_a_ca_bundle_that_cannot_be_read_shows_at_once(connect: Connect, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for path, cause in ((tmp_path / "missing.pem", "No such file"), (empty, "no certificate in PEM form")):
        with pytest.raises(ConfigurationError, match=cause) as caught:
            connect(ca_bundle=str(path))
        assert caught.value.problems[0].startswith("connections.contoso.ca_bundle: ")
        assert "Fix:" in caught.value.problems[0]
