"""Queue outputs: on the queue before the caller is answered, and 500 when they are not, as in Azure."""

from __future__ import annotations

import base64
import json
import socket

import aiohttp
import pytest

from local.azurite import Azurite
from local.host.queues import Backoff
from local.storage_rest import EMULATOR_KEY, Storage
from tests.local_host.support import RunHost, eventually, receive, seen

SENDER = """
@app.route(route="send", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="%QUEUE%", connection=STORAGE)
async def send(req: func.HttpRequest, out: func.Out[typing.List[str]]) -> func.HttpResponse:
    out.set(eval(req.get_body()))
    return func.HttpResponse("accepted", status_code=202)
"""


async def test_the_message_is_there_when_the_answer_is(
    run_host: RunHost, http: aiohttp.ClientSession, storage: Storage, queue_name: str
) -> None:
    host = await run_host(SENDER)
    for number in range(3):
        async with http.post(f"{host.url}/api/send", data=f"['{number}']") as answer:
            assert answer.status == 202
        [message] = await storage.queue(queue_name).get(32, 30)  # at once, without waiting
        assert base64.b64decode(message.text).decode() == str(number)


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ("['a', 'b', 'c']", [b"a", b"b", b"c"]),
        ("'text'", [b"text"]),
        ("b'\\x00\\xff'", [b"\x00\xff"]),
        ("func.QueueMessage(body='text')", [json.dumps({"id": None, "body": "text"}, indent=2).encode()]),
        ("'[1, 2]'", [b"1", b"2"]),
    ],
)
async def test_what_a_function_sets_becomes_messages_in_order(
    run_host: RunHost, http: aiohttp.ClientSession, storage: Storage, queue_name: str, value: str, messages: list[bytes]
) -> None:
    host = await run_host(SENDER)
    async with http.post(f"{host.url}/api/send", data=value) as answer:
        assert answer.status == 202
    received = await receive(storage.queue(queue_name), len(messages))
    assert [base64.b64decode(message.text) for message in received] == messages


@pytest.mark.parametrize("value", ["None", "[]"])
async def test_nothing_set_is_no_message(
    run_host: RunHost, http: aiohttp.ClientSession, storage: Storage, queue_name: str, value: str
) -> None:
    host = await run_host(SENDER)
    async with http.post(f"{host.url}/api/send", data=value) as answer:
        assert answer.status == 202
    assert await storage.queue(queue_name).get(32, 30) == []


async def test_messages_without_encoding(
    run_host: RunHost, http: aiohttp.ClientSession, storage: Storage, queue_name: str
) -> None:
    host = await run_host(SENDER, {"extensions": {"queues": {"messageEncoding": "none"}}})
    async with http.post(f"{host.url}/api/send", data="['<plain> & simple']") as answer:
        assert answer.status == 202
    [message] = await receive(storage.queue(queue_name))
    assert message.text == "<plain> & simple"


async def test_unreachable_storage_is_a_500_as_in_azure(
    run_host: RunHost, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/devstoreaccount1"
        connection = f"AccountName=devstoreaccount1;AccountKey={EMULATOR_KEY};QueueEndpoint={url};BlobEndpoint={url}"
        host = await run_host(SENDER, settings={"AzureWebJobsStorage": connection})
        async with http.post(f"{host.url}/api/send", data="['lost?']") as answer:
            assert (answer.status, await answer.read()) == (500, b"")
    assert "output out was not written" in caplog.text
    assert EMULATOR_KEY not in caplog.text


async def test_storage_that_comes_back_is_used_again(
    run_host: RunHost, http: aiohttp.ClientSession, queue_name: str
) -> None:
    with Azurite() as first:
        ports = tuple(
            int(url.split(":")[2].split("/")[0]) for url in (first.blob_url, first.queue_url, first.table_url)
        )
        host = await run_host(SENDER, settings={"AzureWebJobsStorage": first.connection_string})
        statuses = []
        async with http.post(f"{host.url}/api/send", data="['1']") as answer:
            statuses.append(answer.status)
    async with http.post(f"{host.url}/api/send", data="['2']") as answer:
        statuses.append(answer.status)
    with Azurite(ports=(ports[0], ports[1], ports[2])):
        async with http.post(f"{host.url}/api/send", data="['3']") as answer:
            statuses.append(answer.status)
    assert statuses == [202, 500, 202]


async def test_a_message_too_large_for_the_queue_is_a_500_as_well(
    run_host: RunHost, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    host = await run_host(SENDER)
    async with http.post(f"{host.url}/api/send", data="['x' * 49153]") as answer:
        assert answer.status == 500
    assert "HTTP 413 RequestBodyTooLarge" in caplog.text


@pytest.mark.parametrize("value", ["7", "[1]", "{}", "'{broken}'"])
async def test_what_cannot_be_a_message_is_the_functions_failure(
    run_host: RunHost, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    host = await run_host(SENDER)
    async with http.post(f"{host.url}/api/send", data=value) as answer:
        assert (answer.status, await answer.read()) == (500, b"")
    assert "output out cannot be written" in caplog.text


async def test_a_function_that_raises_writes_nothing(
    run_host: RunHost, http: aiohttp.ClientSession, storage: Storage, queue_name: str
) -> None:
    host = await run_host(
        """
        @app.route(route="send", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
        @app.queue_output(arg_name="out", queue_name="%QUEUE%", connection=STORAGE)
        async def send(req, out: func.Out[str]):
            out.set("too early")
            raise ValueError
        """
    )
    async with http.post(f"{host.url}/api/send") as answer:
        assert answer.status == 500
    assert await storage.queue(queue_name).get(32, 30) == []


async def test_a_queue_function_may_return_its_output(run_host: RunHost, storage: Storage, queue_name: str) -> None:
    await run_host(
        """
        @app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection=STORAGE)
        @app.queue_output(arg_name="$return", queue_name="%QUEUE%-out", connection=STORAGE)
        def forward(message: func.QueueMessage) -> str:
            return message.get_body().decode().upper()
        """
    )
    await storage.queue(queue_name).put(base64.b64encode(b"loud").decode())
    [message] = await receive(storage.queue(f"{queue_name}-out"))
    assert base64.b64decode(message.text) == b"LOUD"


async def test_a_listener_in_the_same_process_is_woken_by_an_output(
    run_host: RunHost, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Backoff, "next", lambda self: 600.0)  # an idle queue is looked at in ten minutes again
    host = await run_host(
        SENDER
        + """
@app.queue_trigger(arg_name="message", queue_name="%QUEUE%", connection=STORAGE)
async def work(message: func.QueueMessage) -> None:
    seen.append(message.get_body())
"""
    )
    for number in range(3):
        async with http.post(f"{host.url}/api/send", data=f"['{number}']") as answer:
            assert answer.status == 202
        await eventually(lambda: len(seen()) > number)  # noqa: B023 - called only within this turn
