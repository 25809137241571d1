"""The light storage client against a real Azurite, with the real SDK at the other end."""

from __future__ import annotations

import asyncio
import socket

import pytest
from azure.storage.queue import BinaryBase64DecodePolicy, BinaryBase64EncodePolicy, QueueClient

from local.azurite import Azurite
from local.host.outputs import encode
from local.storage_rest import EMULATOR_ACCOUNT, EMULATOR_KEY, Account, Storage, StorageError
from tests.local_host.support import receive

TEXTS = ["plain", '{"title": "Störung in München"}', "<a>&amp;\r\n\ttab </a>", "x" * 40_000]


@pytest.mark.parametrize("text", TEXTS)
async def test_the_sdk_reads_base64_messages_that_we_wrote(
    storage: Storage, azurite: Azurite, queue_name: str, text: str
) -> None:
    await storage.queue(queue_name).put(encode(text, base64_text=True))
    with QueueClient.from_connection_string(
        azurite.connection_string, queue_name, message_decode_policy=BinaryBase64DecodePolicy()
    ) as sdk:
        received = sdk.receive_message()
        assert received is not None
        assert received.content == text.encode()
        sdk.delete_message(received)


@pytest.mark.parametrize("text", TEXTS)
async def test_we_read_base64_messages_that_the_sdk_wrote(
    storage: Storage, azurite: Azurite, queue_name: str, text: str
) -> None:
    with QueueClient.from_connection_string(
        azurite.connection_string, queue_name, message_encode_policy=BinaryBase64EncodePolicy()
    ) as sdk:
        sdk.create_queue()
        sdk.send_message(text.encode())
    [message] = await receive(storage.queue(queue_name))
    assert message.text == encode(text, base64_text=True)


@pytest.mark.parametrize("text", TEXTS)
async def test_messages_without_encoding_pass_both_ways(
    storage: Storage, azurite: Azurite, queue_name: str, text: str
) -> None:
    await storage.queue(queue_name).put(text)
    with QueueClient.from_connection_string(azurite.connection_string, queue_name) as sdk:
        received = sdk.receive_message()
        assert received is not None
        assert received.content == text
        sdk.delete_message(received)
        sdk.send_message(text.replace("\r", ""))
    [message] = await receive(storage.queue(queue_name))
    assert message.text == text.replace("\r", "")


async def test_a_message_tells_how_often_and_since_when(storage: Storage, azurite: Azurite, queue_name: str) -> None:
    queue = storage.queue(queue_name)
    await queue.put("once more")
    [first] = await queue.get(1, 30)
    await queue.update(first.id, first.pop_receipt, 0)
    with QueueClient.from_connection_string(azurite.connection_string, queue_name) as sdk:
        peeked = sdk.peek_messages()[0]
    [second] = await queue.get(1, 30)
    assert (first.dequeue_count, second.dequeue_count) == (1, 2)
    assert second.id == peeked.id
    assert second.inserted == peeked.inserted_on
    assert second.expires == peeked.expires_on
    assert second.next_visible > second.inserted


async def test_a_received_message_is_hidden_until_its_lease_ends(storage: Storage, queue_name: str) -> None:
    queue = storage.queue(queue_name)
    await queue.put("leased")
    assert len(await queue.get(32, 1)) == 1
    assert await queue.get(32, 1) == []
    [again] = await receive(queue)
    assert again.dequeue_count == 2


async def test_whoever_has_an_old_receipt_can_neither_delete_nor_update(storage: Storage, queue_name: str) -> None:
    queue = storage.queue(queue_name)
    await queue.put("contended")
    [message] = await queue.get(1, 30)
    newer = await queue.update(message.id, message.pop_receipt, 30)
    for attempt in (queue.delete(message.id, message.pop_receipt), queue.update(message.id, message.pop_receipt, 0)):
        with pytest.raises(StorageError) as refused:
            await attempt
        assert refused.value.code == "PopReceiptMismatch"
    await queue.delete(message.id, newer)
    with pytest.raises(StorageError) as gone:
        await queue.delete(message.id, newer)
    assert gone.value.status == 404


async def test_a_missing_queue_is_empty_and_is_created_by_the_first_message(storage: Storage, queue_name: str) -> None:
    queue = storage.queue(queue_name)
    assert await queue.get(1, 1) == []
    await queue.put("first")
    await queue.create()  # an existing one is left as it is
    assert [message.text for message in await receive(queue)] == ["first"]


async def test_a_lease_is_one_holders_until_it_is_released(storage: Storage, queue_name: str) -> None:
    container = storage.container(queue_name)
    await container.create()
    await container.create()
    await container.write("locks/one two", b"", only_new=True)
    lease = await container.acquire_lease("locks/one two", 15)
    assert lease
    await container.write("locks/one two", b"later", only_new=True)  # leased: left alone
    assert await container.acquire_lease("locks/one two", 15) is None
    await container.renew_lease("locks/one two", lease)
    await container.release_lease("locks/one two", lease)
    assert await container.read("locks/one two") == b""
    assert await container.acquire_lease("locks/one two", 15)


async def test_blobs_are_written_over_and_missing_ones_are_none(storage: Storage, queue_name: str) -> None:
    container = storage.container(queue_name)
    assert await container.read("status") is None
    await container.create()
    await container.write("status", b"1")
    await container.write("status", b"2")
    await container.write("status", b"3", only_new=True)
    assert await container.read("status") == b"2"


async def test_a_wrong_key_is_refused_by_the_service(azurite: Azurite, queue_name: str) -> None:
    wrong = azurite.connection_string.replace(EMULATOR_KEY, "ZGVtby13cm9uZy1rZXk=")
    storage = Storage(Account.parse(wrong))
    with pytest.raises(StorageError) as refused:
        await storage.queue(queue_name).put("x")
    await storage.aclose()
    assert refused.value.status == 403


async def test_no_answer_is_an_error_without_status(queue_name: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/demo"
        storage = Storage(Account("demo", b"demo-key", url, url))
        with pytest.raises(StorageError, match=r"put message .* no answer") as refused:
            await storage.queue(queue_name).put("x")
        await storage.aclose()
    assert refused.value.status == 0


def test_connection_strings_of_azurite_and_of_azure() -> None:
    development = Account.parse("UseDevelopmentStorage=true")
    assert development.name == EMULATOR_ACCOUNT
    assert development.queue_url == "http://127.0.0.1:10001/devstoreaccount1"
    assert development.blob_url == "http://127.0.0.1:10000/devstoreaccount1"
    azure = Account.parse(
        "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=ZGVtbw==;EndpointSuffix=x.example"
    )
    assert azure.queue_url == "https://contoso.queue.x.example"
    assert azure.blob_url == "https://contoso.blob.x.example"
    assert azure.key == b"demo"
    assert "demo" not in repr(azure)


@pytest.mark.parametrize(
    "text", ["", "AccountName=contoso", "AccountName=contoso;AccountKey=%%%", "UseDevelopmentStorage=no"]
)
def test_what_is_no_connection_string_with_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="AccountName and AccountKey"):
        Account.parse(text)


async def test_a_parallel_burst_is_all_there(storage: Storage, queue_name: str) -> None:

    queue = storage.queue(queue_name)
    await asyncio.gather(*(queue.put(str(number)) for number in range(40)))  # every one finds the queue missing
    assert sorted(int(message.text) for message in await receive(queue, 40)) == list(range(40))
