"""What a rude operator may send to the endpoints of kept items, and what the answer names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from app.registry import REGISTRY
from local.azurite import Azurite
from shared.core.messages import SignalMessage
from shared.core.problem import Problem
from shared.delivery.parked import ParkedStore
from shared.delivery.queue import SignalQueue
from shared.operations.parked_items import ParkedItems
from shared.platform.storage import Storage
from shared.web.parked_requests import act, read
from tests.mapping.signals import signal
from tests.operations.test_kept_items import NOWHERE

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
    return (await ParkedStore(storage).keep("dead-letter", envelope, code=code, reason="r")).id


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
    with pytest.raises(Problem) as refused:
        await read(items, "dead-letter", "", query)
    assert (refused.value.status, f"'{named}'" in refused.value.detail) == (400, True), refused.value.detail


@pytest.mark.parametrize(
    ("action", "body", "named"),
    [
        ("replay", {}, "ids"),
        ("replay", {"ids": []}, "ids"),
        ("replay", {"ids": "all"}, "ids"),
        ("replay", {"ids": [7]}, "ids"),
        ("replay", {"ids": [""]}, "ids"),
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
        ("replay", {"id": "x"}, "id"),
        ("drop", {"ids": ["x"]}, "confirm"),
        ("drop", {"ids": ["x"], "confirm": "true"}, "confirm"),
        ("drop", {"ids": ["x"], "confirm": 1}, "confirm"),
    ],
)
async def test_a_bad_field_is_named(items: ParkedItems, action: str, body: dict[str, Any], named: str) -> None:
    with pytest.raises(Problem) as refused:
        await act(items, "dead-letter", action, json.dumps(body).encode(), JSON)
    assert (refused.value.status, f"'{named}'" in refused.value.detail) == (400, True), refused.value.detail


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
    with pytest.raises(Problem) as refused:
        await act(items, "quarantine", action, body, kind)
    assert refused.value.status == status


async def test_an_unknown_id_is_not_found_whatever_it_looks_like(items: ParkedItems) -> None:
    for item in ("nobody", "a/b", "../../x", "' or 1 eq 1", "x" * 5000, "日本語"):
        with pytest.raises(Problem) as refused:
            await read(items, "dead-letter", item, {})
        assert refused.value.status == 404
        assert len(refused.value.detail) < 300


async def test_the_function_key_may_stand_in_the_query(items: ParkedItems) -> None:
    assert (await read(items, "dead-letter", "", {"code": "a-key", "error": "nobody's"}))["items"] == []


async def test_a_list_is_paged_and_counted_and_its_items_are_shown(storage: Storage, items: ParkedItems) -> None:
    code = f"code-{uuid4().hex[:8]}"
    ids = [await kept(storage, code) for _ in range(3)]
    query = {"error": code, "order": "oldest", "limit": "2", "counts": "true"}
    page = await read(items, "dead-letter", "", query)
    assert [row["id"] for row in page["items"]] == ids[:2]
    assert page["counts"]["by_code"] == {code: 3}
    rest = await read(items, "dead-letter", "", query | {"after": page["next"], "counts": "false"})
    assert ([row["id"] for row in rest["items"]], rest["next"]) == (ids[2:], None)
    shown = await read(items, "dead-letter", ids[0], {})
    assert shown["message"]["signal"]["key"]
    json.dumps([page, shown])


async def test_replay_and_drop_by_filter_report_each_id_and_whether_there_are_more(
    storage: Storage, items: ParkedItems
) -> None:
    code = f"code-{uuid4().hex[:8]}"
    ids = [await kept(storage, code) for _ in range(3)]
    body = json.dumps({"filter": {"error": code}, "at_most": 2}).encode()
    first = await act(items, "dead-letter", "replay", body, JSON)
    assert first == {
        "results": [{"id": one, "outcome": "replayed"} for one in ids[:2]],
        "counts": {"replayed": 2},
        "more": True,
    }
    second = await act(items, "dead-letter", "replay", body, JSON)
    assert ([one["id"] for one in second["results"]], second["more"]) == (ids[2:], False), "none is replayed twice"
    body = json.dumps({"filter": {"error": code, "replayed": True}, "at_most": 9, "confirm": True}).encode()
    assert (await act(items, "dead-letter", "drop", body, JSON))["counts"] == {"dropped": 3}


async def test_storage_that_is_away_or_not_configured_is_503() -> None:
    for settings in ({"AzureWebJobsStorage": NOWHERE}, {}):
        storage = Storage(settings, transport={"retry_total": 0})
        items = ParkedItems(ParkedStore(storage), SignalQueue(storage), REGISTRY.schemas)
        ids = json.dumps({"ids": ["x"], "confirm": True}).encode()
        for asked in (
            read(items, "dead-letter", "", {}),
            read(items, "dead-letter", "x", {}),
            act(items, "dead-letter", "replay", ids, JSON),
            act(items, "dead-letter", "drop", ids, JSON),
        ):
            with pytest.raises(Problem) as refused:
                await asked
            assert refused.value.status == 503
            assert refused.value.headers["Retry-After"]
        await storage.aclose()
