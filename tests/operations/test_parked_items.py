"""What an operator does with dead letters and quarantine, against real tables, blobs and queues."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from azure.core.exceptions import ResourceExistsError

from app.registry import REGISTRY
from local.azurite import Azurite
from local.demo.alerts import Azure
from shared.core.errors import StorageUnavailable
from shared.core.messages import QUEUE, Message, SignalMessage, UnreadableMessage, decode
from shared.core.signal import Unreadable
from shared.delivery.parked import ParkedStore
from shared.delivery.queue import SignalQueue
from shared.operations.parked_items import ParkedFilter, ParkedItems, ParkedResult
from shared.platform.storage import Storage
from tests.mapping.signals import signal

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

NOWHERE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=bm90IGEga2V5;"
    "BlobEndpoint=http://127.0.0.1:9/a;QueueEndpoint=http://127.0.0.1:9/a;TableEndpoint=http://127.0.0.1:9/a;"
)


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    with contextlib.suppress(ResourceExistsError):
        await opened.queue(QUEUE).create_queue()
    yield opened
    await opened.aclose()


@pytest.fixture
def kept(storage: Storage) -> ParkedStore:
    return ParkedStore(storage)


@pytest.fixture
def items(storage: Storage, kept: ParkedStore) -> ParkedItems:
    return ParkedItems(kept, SignalQueue(storage), REGISTRY.schemas, now=lambda: NOW)


@pytest.fixture
def code() -> str:
    """A code that only this test's items have: others keep items in the same storage."""
    return f"code-{uuid4().hex[:8]}"


def letter(**changes: object) -> SignalMessage:
    envelope = SignalMessage(id=uuid4().hex, received_at=NOW, signal=signal(), attempts=3, lock_waits=2)
    return replace(envelope, **changes)  # type: ignore[arg-type]  # fields by name


async def sent(storage: Storage) -> list[Message]:
    """Everything on the queue, taken off it."""
    client = storage.queue(QUEUE)
    found = []
    async for message in client.receive_messages(messages_per_page=32):
        found.append(decode(message.content))
        await client.delete_message(message)
    return found


async def all_ids(items: ParkedItems, wanted: ParkedFilter, *, newest: bool, limit: int) -> list[str]:
    ids: list[str] = []
    after = ""
    for _ in range(50):
        page = await items.page("dead-letter", wanted, newest=newest, limit=limit, after=after)
        assert len(page.items) <= limit
        ids += [row.id for row in page.items]
        if page.next is None:
            return ids
        after = page.next
    raise AssertionError("the list has no end")


async def test_pages_hold_every_item_once_in_either_order_while_others_arrive(
    kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    ids = [(await kept.park("dead-letter", letter(), code=code, reason="r")).id for _ in range(7)]
    wanted = ParkedFilter(code=code)
    for limit in (1, 3, 7, 100):
        assert await all_ids(items, wanted, newest=False, limit=limit) == ids
        assert await all_ids(items, wanted, newest=True, limit=limit) == ids[::-1]
    first = await items.page("dead-letter", wanted, newest=True, limit=3)
    await kept.park("dead-letter", letter(), code=code, reason="r")
    await kept.forget("dead-letter", ids[6])
    assert first.next is not None
    second = await items.page("dead-letter", wanted, newest=True, limit=100, after=first.next)
    assert [row.id for row in (*first.items, *second.items)] == ids[::-1], "neither repeated nor left out"


async def test_an_item_kept_again_stands_in_the_list_once_with_its_new_time(
    kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    envelope = letter()
    await kept.park("dead-letter", envelope, code=code, reason="first")
    other = await kept.park("dead-letter", letter(), code=code, reason="other")
    await kept.park("dead-letter", envelope, code=code, reason="second")
    for newest in (False, True):
        page = await items.page("dead-letter", ParkedFilter(code=code), newest=newest)
        reasons = [row.reason for row in page.items]
        assert reasons == (["second", "other"] if newest else ["other", "second"])
    assert other.id != envelope.id


async def test_lists_are_filtered_by_connection_text_time_and_replay(
    kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    one = await kept.park("dead-letter", letter(), code=code, reason="Data policy says NO", connection="desk")
    two = await kept.park("dead-letter", letter(), code=code, reason="closed", connection="other")
    await kept.mark_replayed(two)
    moment = datetime.fromisoformat(two.parked_at)
    expected = {
        ParkedFilter(code=code): [one.id, two.id],
        ParkedFilter(code=code, connection="desk"): [one.id],
        ParkedFilter(code=code, text="policy says no"): [one.id],
        ParkedFilter(code=code, text="nothing has this"): [],
        ParkedFilter(code=code, since=moment): [two.id],
        ParkedFilter(code=code, since=moment + timedelta(microseconds=1)): [],
        ParkedFilter(code=code, replayed=True): [two.id],
        ParkedFilter(code=code, replayed=False): [one.id],
        ParkedFilter(code="nobody's"): [],
    }
    for wanted, ids in expected.items():
        for newest in (False, True):
            assert await all_ids(items, wanted, newest=newest, limit=10) == (ids[::-1] if newest else ids), wanted
    counts = await items.counts("dead-letter", ParkedFilter(code=code))
    assert (counts.total, counts.by_code, counts.complete) == (2, {code: 2}, True)
    assert counts.by_connection == {"desk": 1, "other": 1}


async def test_a_continuation_of_another_list_is_a_mistake(items: ParkedItems) -> None:
    for place in ("o-0000000000000001-x", "n-1", "' or 1 eq 1", "n-0000000000000001-x' or PartitionKey ne '"):
        with pytest.raises(ValueError, match="continuation"):
            await items.page("dead-letter", ParkedFilter(), newest=True, after=place)


async def test_replay_sends_a_fresh_message_and_keeps_the_item_until_it_is_delivered(
    storage: Storage, kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    envelope = letter()
    await kept.park("dead-letter", envelope, code=code, reason="r")
    await sent(storage)
    results = [one async for one in items.replay("dead-letter", [envelope.id, "nobody", "../x", envelope.id])]
    assert [(one.id, one.outcome) for one in results] == [
        (envelope.id, "replayed"),
        ("nobody", "not_found"),
        ("../x", "not_found"),
    ]
    (again,) = await sent(storage)
    assert isinstance(again, SignalMessage)
    assert (again.id, again.signal, again.replayed, again.received_at) == (envelope.id, envelope.signal, True, NOW)
    assert (again.attempts, again.lock_waits, again.last_outcome) == (0, 0, "unknown")
    shown = await items.show("dead-letter", envelope.id)
    assert shown is not None
    assert shown["replayed_at"]


async def test_replaying_by_filter_takes_the_oldest_and_says_that_there_are_more(
    kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    ids = [(await kept.park("dead-letter", letter(), code=code, reason="r")).id for _ in range(5)]
    wanted = ParkedFilter(code=code, replayed=False)
    assert await items.choose("dead-letter", wanted, 2) == (ids[:2], True)
    assert [one.outcome async for one in items.replay("dead-letter", ids[:2])] == ["replayed", "replayed"]
    assert await items.choose("dead-letter", wanted, 2) == (ids[2:4], True)
    assert await items.choose("dead-letter", wanted, 3) == (ids[2:], False)


async def test_what_was_delivered_while_its_replay_was_being_noted_is_no_error(kept: ParkedStore, code: str) -> None:
    row = await kept.park("dead-letter", letter(), code=code, reason="r")
    assert await kept.forget("dead-letter", row.id)
    await kept.mark_replayed(row)
    assert not await kept.forget("dead-letter", row.id)
    assert await kept.show("dead-letter", row.id) is None


async def test_quarantined_payloads_that_can_be_read_now_go_on_the_road_under_their_id(
    storage: Storage, kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    alert = str(uuid4())
    body = {"records": [Azure().metric(alert), Azure().metric(alert, resolved=True)]}
    envelope = UnreadableMessage(id=uuid4().hex, received_at=NOW, unreadable=Unreadable("no schema", body))
    await kept.park("quarantine", envelope, code=code, reason="no schema")
    await sent(storage)
    assert [one async for one in items.replay("quarantine", [envelope.id])] == [ParkedResult(envelope.id, "replayed")]
    fired, resolved = await sent(storage)
    assert fired.id == envelope.id
    assert resolved.id != envelope.id
    assert isinstance(fired, SignalMessage)
    assert isinstance(resolved, SignalMessage)
    assert fired.signal.key == resolved.signal.key == f"alert:1:{alert}"
    assert not fired.replayed
    assert await items.show("quarantine", envelope.id) is None


async def test_quarantined_payloads_that_still_cannot_be_read_stay_whole(
    storage: Storage, kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    await sent(storage)
    for body in ({"text": "?"}, {"records": [Azure().metric(str(uuid4())), {"text": "?"}]}):
        envelope = UnreadableMessage(id=uuid4().hex, received_at=NOW, unreadable=Unreadable("no schema", body))
        await kept.park("quarantine", envelope, code=code, reason="no schema")
        (result,) = [one async for one in items.replay("quarantine", [envelope.id])]
        assert result.outcome == "still_unreadable"
        assert "no schema" in result.detail
        assert await items.show("quarantine", envelope.id)
    assert await sent(storage) == []


async def test_a_quarantined_signal_is_sent_again_as_it_is(
    storage: Storage, kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    envelope = letter()
    await kept.park("quarantine", envelope, code=code, reason="not on the allow-list")
    await sent(storage)
    assert [one.outcome async for one in items.replay("quarantine", [envelope.id])] == ["replayed"]
    (again,) = await sent(storage)
    assert isinstance(again, SignalMessage)
    assert (again.id, again.signal) == (envelope.id, envelope.signal)


async def test_a_foreign_message_can_be_shown_and_dropped_but_not_replayed(
    kept: ParkedStore, items: ParkedItems
) -> None:
    row = await kept.park_text(str(uuid4()), "hello", code="foreign_message", reason="not ours", advice="look")
    (result,) = [one async for one in items.replay("dead-letter", [row.id])]
    assert result.outcome == "not_replayable"
    shown = await items.show("dead-letter", row.id)
    assert shown is not None
    assert shown["message"] == {"text": "hello"}
    assert [one.outcome async for one in items.drop("dead-letter", [row.id])] == ["dropped"]


async def test_dropped_items_are_gone_and_the_others_stay(kept: ParkedStore, items: ParkedItems, code: str) -> None:
    ids = [(await kept.park("dead-letter", letter(), code=code, reason="r")).id for _ in range(12)]
    results = [one async for one in items.drop("dead-letter", [*ids[:10], "nobody"])]
    assert [one.outcome for one in results] == ["dropped"] * 10 + ["not_found"]
    assert await all_ids(items, ParkedFilter(code=code), newest=False, limit=100) == ids[10:]
    assert await items.show("dead-letter", ids[0]) is None


async def test_secrets_in_a_message_are_hidden_when_it_is_shown_and_kept_for_its_replay(
    kept: ParkedStore, items: ParkedItems, code: str
) -> None:
    item = {
        "RequestHeader": {"Authorization": "Bearer not-a-real-one", "User-Agent": "relay", "x-functions-key": "k" * 9},
        "callback": "https://contoso.example.com/hook?a=1&code=swordfish-42&b=2",
        "note": "sent with Bearer swordfish-43 and AccountKey=swordfish-44;EndpointSuffix=x",
        "settings": {"client_secret": {"value": "swordfish-45"}, "status_code": 500},
    }
    envelope = UnreadableMessage(id=uuid4().hex, received_at=NOW, unreadable=Unreadable("no schema", item))
    await kept.park("quarantine", envelope, code=code, reason="see https://contoso.example.com/?sig=swordfish-46")
    shown = await items.show("quarantine", envelope.id)
    assert shown is not None
    said = str(shown)
    assert "swordfish" not in said
    assert "not-a-real-one" not in said
    assert "kkk" not in said
    seen = shown["message"]["unreadable"]["item"]
    assert seen["RequestHeader"]["User-Agent"] == "relay"
    assert seen["callback"] == "https://contoso.example.com/hook?a=1&code=(hidden)&b=2"
    assert seen["settings"]["status_code"] == 500
    whole = await kept.show("quarantine", envelope.id)
    assert whole is not None
    assert whole[1]["unreadable"]["item"] == item


async def test_storage_that_is_away_is_said_at_once_and_not_a_thousand_times() -> None:
    storage = Storage({"AzureWebJobsStorage": NOWHERE}, transport={"retry_total": 0})
    items = ParkedItems(ParkedStore(storage), SignalQueue(storage), REGISTRY.schemas)
    ids = [uuid4().hex for _ in range(1000)]
    for doing in (items.replay("dead-letter", ids), items.drop("dead-letter", ids)):
        with pytest.raises(StorageUnavailable):
            [one async for one in doing]
    with pytest.raises(StorageUnavailable):
        await items.page("dead-letter", ParkedFilter())
    await storage.aclose()
