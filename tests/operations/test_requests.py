"""What a rude operator may send to the endpoints of kept items, and what the answer names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from app.registry import REGISTRY
from local.azurite import Azurite
from shared.core.http import Handler, Response
from shared.core.messages import SignalMessage
from shared.delivery.parked import ParkedStore
from shared.delivery.queue import SignalQueue
from shared.operations.parked_items import ParkedItems
from shared.platform.storage import Storage
from shared.web.parked_requests import parked_items
from tests.asking import ask, get
from tests.mapping.signals import signal
from tests.operations.test_parked_items import NOWHERE

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
JSON = "application/json"


@pytest.fixture
async def storage(azurite: Azurite) -> AsyncIterator[Storage]:
    opened = Storage({"AzureWebJobsStorage": azurite.connection_string})
    yield opened
    await opened.aclose()


@pytest.fixture
def items(storage: Storage) -> ParkedItems:
    return ParkedItems(ParkedStore(storage), SignalQueue(storage), REGISTRY.schemas)


async def kept(storage: Storage, code: str) -> str:
    envelope = SignalMessage(id=uuid4().hex, received_at=NOW, signal=signal())
    return (await ParkedStore(storage).park("dead-letter", envelope, code=code, reason="r")).id


def dead_letters(items: ParkedItems) -> Handler:
    return lambda request: parked_items(request, items, "dead-letter")


def quarantine(items: ParkedItems) -> Handler:
    return lambda request: parked_items(request, items, "quarantine")


async def listing(items: ParkedItems, **query: str) -> Response:
    return await ask(dead_letters(items), method="GET", query=query)


async def acting(items: ParkedItems, action: str, body: dict[str, Any]) -> Response:
    return await ask(dead_letters(items), body, item=action)


async def refused(asked: Awaitable[Response], status: int, *named: str) -> None:
    """Refused with a status, and the mistakes are of exactly these fields."""
    response = await asked
    assert response.status == status, response.body
    assert [one["field"] for one in response.body["errors"]] == list(named)
    assert all(f"'{field}'" in response.body["detail"] for field in named)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"order": "sideways"}, "order"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026"}, "since"),
        ({"since": "0001-01-01T00:00:00+23:00"}, "since"),
        ({"replayed": "maybe"}, "replayed"),
        ({"counts": "yes"}, "counts"),
        ({"after": "x"}, "after"),
        ({"after": "o-0000000000000001-x", "order": "newest"}, "after"),
        ({"error": "x" * 201}, "error"),
        ({"text": "a\x00b"}, "text"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_bad_parameter_is_named(items: ParkedItems, query: dict[str, str], named: str) -> None:
    await refused(listing(items, **query), 400, named)


@pytest.mark.parametrize(
    ("action", "body", "named"),
    [
        ("replay", {}, "ids"),
        ("replay", {"ids": []}, "ids"),
        ("replay", {"ids": "all"}, "ids"),
        ("replay", {"ids": [7]}, "ids.0"),
        ("replay", {"ids": [""]}, "ids.0"),
        ("replay", {"ids": ["x"] * 1001}, "ids"),
        ("replay", {"ids": ["x"], "filter": {}, "at_most": 1}, "ids"),
        ("replay", {"ids": ["x"], "at_most": 1}, "at_most"),
        ("replay", {"filter": {}}, "at_most"),
        ("replay", {"filter": {}, "at_most": 0}, "at_most"),
        ("replay", {"filter": {}, "at_most": 1001}, "at_most"),
        ("replay", {"filter": {}, "at_most": True}, "at_most"),
        ("replay", {"filter": {}, "at_most": 1.5}, "at_most"),
        ("replay", {"filter": [], "at_most": 1}, "filter"),
        ("replay", {"filter": {"colour": "red"}, "at_most": 1}, "filter.colour"),
        ("replay", {"filter": {"error": 7}, "at_most": 1}, "filter.error"),
        ("replay", {"filter": {"since": 7}, "at_most": 1}, "filter.since"),
        ("replay", {"filter": {"replayed": "perhaps"}, "at_most": 1}, "filter.replayed"),
        ("replay", {"ids": ["x"], "id": "x"}, "id"),
        ("drop", {"ids": ["x"]}, "confirm"),
        ("drop", {"ids": ["x"], "confirm": "true"}, "confirm"),
        ("drop", {"ids": ["x"], "confirm": 1}, "confirm"),
    ],
)
async def test_a_bad_field_is_named(items: ParkedItems, action: str, body: dict[str, Any], named: str) -> None:
    await refused(acting(items, action, body), 400, named)


@pytest.mark.parametrize(
    ("action", "body", "kind", "status"),
    [
        ("replay", b"", JSON, 400),
        ("replay", b"[]", JSON, 400),
        ("replay", b"{}", "text/plain", 415),
        ("replay", b"[" * 5000, JSON, 400),
        ("explode", b"{}", JSON, 404),
        ("", b"{}", JSON, 404),
    ],
)
async def test_what_is_no_request_is_refused(
    items: ParkedItems, action: str, body: bytes, kind: str, status: int
) -> None:
    assert (await ask(quarantine(items), body, content_type=kind, item=action)).status == status


async def test_an_unknown_id_is_not_found_whatever_it_looks_like(items: ParkedItems) -> None:
    for item in ("nobody", "a/b", "../../x", "' or 1 eq 1", "x" * 5000, "日本語"):
        response = await ask(dead_letters(items), method="GET", item=item)
        assert response.status == 404
        assert len(response.body["detail"]) < 300


async def test_the_function_key_may_stand_in_the_query(items: ParkedItems) -> None:
    for name in ("code", "clientId", "CODE"):
        assert (await get(dead_letters(items), **{name: "a-key", "error": "nobody's"}))["items"] == []


async def test_a_list_is_paged_and_counted_and_its_items_are_shown(storage: Storage, items: ParkedItems) -> None:
    code = f"code-{uuid4().hex[:8]}"
    ids = [await kept(storage, code) for _ in range(3)]
    query = {"error": code, "order": "oldest", "limit": "2", "counts": "true"}
    page = await get(dead_letters(items), **query)
    assert [row["id"] for row in page["items"]] == ids[:2]
    assert page["counts"]["by_code"] == {code: 3}
    rest = await get(dead_letters(items), **query | {"after": page["next"], "counts": "false"})
    assert ([row["id"] for row in rest["items"]], rest["next"]) == (ids[2:], None)
    shown = await ask(dead_letters(items), method="GET", item=ids[0])
    assert shown.body["message"]["signal"]["key"]


async def test_replay_and_drop_by_filter_report_each_id_and_whether_there_are_more(
    storage: Storage, items: ParkedItems
) -> None:
    code = f"code-{uuid4().hex[:8]}"
    ids = [await kept(storage, code) for _ in range(3)]
    body: dict[str, Any] = {"filter": {"error": code}, "at_most": 2}
    first = await acting(items, "replay", body)
    assert first.body == {
        "results": [{"id": one, "outcome": "replayed"} for one in ids[:2]],
        "counts": {"replayed": 2},
        "more": True,
    }
    second = (await acting(items, "replay", body)).body
    assert ([one["id"] for one in second["results"]], second["more"]) == (ids[2:], False), "none is replayed twice"
    body = {"filter": {"error": code, "replayed": True}, "at_most": 9, "confirm": True}
    assert (await acting(items, "drop", body)).body["counts"] == {"dropped": 3}


async def test_storage_that_is_away_or_not_configured_is_503() -> None:
    for settings in ({"AzureWebJobsStorage": NOWHERE}, {}):
        storage = Storage(settings, transport={"retry_total": 0})
        items = ParkedItems(ParkedStore(storage), SignalQueue(storage), REGISTRY.schemas)
        ids = {"ids": ["x"], "confirm": True}
        for response in (
            await listing(items),
            await ask(dead_letters(items), method="GET", item="x"),
            await acting(items, "replay", ids),
            await acting(items, "drop", ids),
        ):
            assert response.status == 503
            assert response.headers["Retry-After"]
        await storage.aclose()
