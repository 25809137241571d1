"""Links, queue and kept items in real tables, queues and blobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from local.azurite import Azurite
from shared.core.errors import StorageUnavailable
from shared.core.link import Link, LinkStage, Op, Pending
from shared.core.messages import MAX_MESSAGE_BYTES, QUEUE, SignalMessage, UnreadableMessage, decode
from shared.core.signal import SignalState, Unreadable
from shared.core.ticket_system import TicketKind, TicketRef
from shared.delivery.links import CODEC, LinkStore
from shared.delivery.parked import ParkedStore
from shared.delivery.queue import CLAIMS, SignalQueue
from shared.platform.storage import Storage
from shared.platform.tables import RowOvertaken
from tests.mapping.signals import signal

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


def link(key: str | None = None) -> Link:
    """A link with something in every field."""
    return Link(
        key=key or f"alert:1:{uuid4()}",
        generation=2,
        stage=LinkStage.OPEN,
        connection="desk",
        kind=TicketKind.PROBLEM,
        route="a route",
        ticket=TicketRef(TicketKind.PROBLEM, "a" * 32, "alert:1:x#2", "PRB1", "https://contoso.example.com/x?y=/#'"),
        earlier=("PRB0",),
        latest=(NOW, 2),
        ended=NOW,
        resolved_by=(NOW + timedelta(seconds=1), 2),
        ticket_read_at=NOW,
        pending=Pending(Op.COMMENT, "b" * 32, NOW, (NOW, 1), True, 2, "desk", TicketKind.PROBLEM, "a route", True),
        first_held=(NOW, 0),
        held_by="patching",
        firings=3,
        last_held=(NOW, 1),
        changes=(NOW, NOW + timedelta(minutes=1)),
        flapping=True,
        dead_letter="c" * 32,
        title="title with 'quotes', ümlauts and 日本語",
        created_at=NOW,
        updated_at=NOW,
    )


def test_a_link_survives_the_trip_through_its_row() -> None:
    full, empty = link(), Link(key="alert:1:x")
    assert CODEC.from_row(CODEC.to_row(full)) == full
    assert CODEC.from_row(CODEC.to_row(empty)) == empty


async def test_a_link_is_written_once_and_then_only_by_who_read_it_last(storage: Storage) -> None:
    links, one = LinkStore(storage), link()
    assert await links.load(one.key) is None
    etag = await links.write(one, None)
    with pytest.raises(RowOvertaken):
        await links.write(one, None)
    stored = await links.load(one.key)
    assert stored is not None
    assert (stored.value, stored.etag) == (one, etag)
    newer = await links.write(replace(one, stage=LinkStage.RESOLVED), etag)
    with pytest.raises(RowOvertaken):
        await links.write(one, etag)
    assert newer != etag


async def test_of_many_workers_at_once_one_gets_the_key(storage: Storage) -> None:
    links, one = LinkStore(storage), link()
    outcomes = await asyncio.gather(*(links.write(one, None) for _ in range(16)), return_exceptions=True)
    assert sum(isinstance(outcome, str) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, RowOvertaken) for outcome in outcomes) == 15


async def test_keys_with_everything_that_storage_forbids(storage: Storage) -> None:
    links = LinkStore(storage)
    for payload in ("a/b\\c#d?e", "tab\there", "日本語 / %2F '", "x" * 5000):
        one = link(f"alert:1:{payload}")
        await links.write(one, None)
        stored = await links.load(one.key)
        assert stored is not None
        assert stored.value.key == one.key
    assert "alert:1:a/b\\c#d?e" in {found.key async for found in links.all()}


async def test_small_messages_touch_no_storage_and_large_ones_lie_in_a_blob_until_done(storage: Storage) -> None:
    queue = SignalQueue(storage)
    small = SignalMessage(id=uuid4().hex, received_at=NOW, signal=signal())
    assert await queue.decoded(await queue.encoded(small)) == small
    large = UnreadableMessage(
        id=uuid4().hex, received_at=NOW, unreadable=Unreadable("why", {"x": "ü" * MAX_MESSAGE_BYTES})
    )
    text = await queue.encoded(large)
    assert len(text) < 300
    opened = await queue.decoded(text)
    assert isinstance(opened, UnreadableMessage)
    assert (opened.unreadable, opened.claim) == (large.unreadable, f"{large.id}.json")
    await queue.delete_content(opened)
    with pytest.raises(ValueError, match="does not exist any more"):
        await queue.decoded(text)
    assert [b.name async for b in storage.container(CLAIMS).list_blobs() if large.id in b.name] == []


async def test_a_delayed_message_comes_back_when_its_time_has_come_and_never_expires(storage: Storage) -> None:
    queue, client = SignalQueue(storage), storage.queue(QUEUE)
    sent = SignalMessage(id=uuid4().hex, received_at=NOW, signal=signal(), attempts=3, last_outcome="not_applied")
    await queue.send(sent)
    assert await queue.depth() >= 1
    found = [m async for m in client.receive_messages(messages_per_page=32, visibility_timeout=1)]
    (message,) = [m for m in found if sent.id in m.content]
    assert decode(message.content) == sent
    assert message.expires_on is not None
    assert message.expires_on.year > 9000
    await client.clear_messages()
    await queue.send(sent, timedelta(days=400))  # longer than a queue can hide a message: as long as it can
    assert [m async for m in client.receive_messages()] == []
    await client.clear_messages()


async def test_parked_items_are_listed_shown_and_forgotten(storage: Storage) -> None:
    kept = ParkedStore(storage)
    letter = SignalMessage(id=uuid4().hex, received_at=NOW, signal=signal(state=SignalState.RESOLVED), attempts=4)
    odd = UnreadableMessage(
        id=uuid4().hex, received_at=NOW, unreadable=Unreadable("no schema", {"text": "x" * 200_000})
    )
    await kept.park("dead-letter", letter, code="refused", reason="r" * 50_000, advice="do this", connection="desk")
    await kept.park("quarantine", odd, code="unreadable", reason="no schema")
    (row,) = [r async for r in kept.list("dead-letter") if r.id == letter.id]
    assert (row.code, row.key, row.attempts, row.connection) == ("refused", letter.signal.key, 4, "desk")
    shown = await kept.show("dead-letter", letter.id)
    assert shown is not None
    assert decode(json.dumps(shown[1])) == letter
    shown = await kept.show("quarantine", odd.id)
    assert shown is not None
    assert shown[1]["unreadable"]["item"]["text"] == "x" * 200_000
    await kept.mark_replayed(row)
    assert [r.replayed_at != "" async for r in kept.list("dead-letter") if r.id == letter.id] == [True]
    await kept.forget("dead-letter", letter.id)
    assert await kept.show("dead-letter", letter.id) is None
    await kept.forget("dead-letter", letter.id)


async def test_storage_that_is_away_is_one_clear_error() -> None:
    connection = (
        "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=bm90IGEga2V5;"
        "BlobEndpoint=http://127.0.0.1:9/a;QueueEndpoint=http://127.0.0.1:9/a;TableEndpoint=http://127.0.0.1:9/a;"
    )
    storage = Storage({"AzureWebJobsStorage": connection}, transport={"retry_total": 0})
    links, queue, kept = LinkStore(storage), SignalQueue(storage), ParkedStore(storage)
    message = SignalMessage(id="a" * 32, received_at=NOW, signal=signal())
    for work in (
        links.load("alert:1:x"),
        links.write(link(), None),
        queue.send(message),
        queue.depth(),
        kept.park("dead-letter", message, code="c", reason="r"),
    ):
        with pytest.raises(StorageUnavailable, match="did not answer"):
            await work
    await storage.aclose()


def test_a_message_that_is_none_of_ours_is_a_value_error() -> None:
    for text in ("", "{", "[]", "7", "{}", '{"v": 99, "id": "x"}', '{"v": 1, "id": "x", "received_at": "yesterday"}'):
        with pytest.raises(ValueError, match="not a message of the bridge"):
            decode(text)
