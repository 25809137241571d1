"""202 only when every signal is on the queue; 503 within seconds otherwise, because action groups repeat no 500."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from app import webhook
from app.container import Container
from app.registry import REGISTRY
from local.azurite import Azurite
from local.demo.alerts import Azure
from shared.core.http import Request, Response
from shared.core.messages import SignalMessage, UnreadableMessage
from shared.core.plugins import Intake
from shared.delivery.queue import CLAIMS
from tests.intakes.storage import QueueService, queue_service

ALERTS = next(one for source in REGISTRY.sources for one in source.intakes if one.name == "alerts")


@pytest.fixture
async def service(azurite: Azurite) -> AsyncIterator[QueueService]:
    async with queue_service(azurite) as found:
        yield found


@pytest.fixture
async def services(service: QueueService) -> AsyncIterator[Container]:
    found = Container({"AzureWebJobsStorage": service.connection_string})
    yield found
    await found.aclose()


def alert(size: int = 0) -> dict[str, Any]:
    """An alert; with a size, an item that is too large for the queue, and that nobody can read."""
    return {"demo": "x" * size} if size else Azure().metric(str(uuid4()))


async def post(services: Container, body: Any, intake: Intake = ALERTS) -> Response:
    return await services.webhook.take_in(intake, Request("POST", body=json.dumps(body).encode()))


async def claims(services: Container) -> set[str]:
    container = services.storage.container(CLAIMS)
    if not await container.exists():
        return set()
    return {name async for name in container.list_blob_names()}


async def test_a_signal_is_on_the_queue_as_host_json_says_and_never_expires(
    services: Container, service: QueueService
) -> None:
    answer = await post(services, [alert(), alert()])
    assert (answer.status, len(service.messages())) == (202, 2)
    assert {message.id for message in service.messages()} == {item["id"] for item in answer.body["items"]}
    assert service.lifetimes == ["-1", "-1"]


@pytest.mark.parametrize("status", [0, 403, 404, 409, 500, 503])
@pytest.mark.parametrize("size", [0, 60_000])
async def test_a_queue_that_refuses_is_a_503_with_retry_after(
    services: Container, service: QueueService, status: int, size: int
) -> None:
    service.status = lambda _number: status
    started = time.monotonic()
    answer = await post(services, alert(size))
    assert (answer.status, answer.headers["Retry-After"], service.stored) == (503, "5", [])
    assert time.monotonic() - started < 8


@pytest.mark.parametrize("size", [0, 60_000])
async def test_a_queue_that_hangs_is_a_503_within_eight_seconds(
    services: Container, service: QueueService, size: int
) -> None:
    service.delay = 30
    started = time.monotonic()
    answer = await post(services, [alert(size) for _ in range(15)])
    assert answer.status == 503
    assert time.monotonic() - started < 8


async def test_a_queue_that_is_busy_for_a_moment_costs_the_sender_nothing(
    services: Container, service: QueueService
) -> None:
    service.status = lambda number: 503 if number == 0 else 201
    assert ((await post(services, alert())).status, len(service.stored)) == (202, 1)


async def test_one_signal_that_is_refused_refuses_the_whole_body_and_the_repeat_has_the_same_keys(
    services: Container, service: QueueService
) -> None:
    body = [alert() for _ in range(12)]
    service.status = lambda number: 403 if number == 5 else 201
    assert (await post(services, body)).status == 503
    partly = {message.signal.key for message in service.messages() if isinstance(message, SignalMessage)}
    service.status = lambda _number: 201
    service.stored.clear()
    assert (await post(services, body)).status == 202
    wholly = {message.signal.key for message in service.messages() if isinstance(message, SignalMessage)}
    assert len(wholly) == 12
    assert partly < wholly


@pytest.mark.parametrize("status", [403, 404, 409, 503])
async def test_a_large_signal_that_the_queue_refuses_leaves_no_blob(
    services: Container, service: QueueService, status: int
) -> None:
    before = await claims(services)
    service.status = lambda _number: status
    assert (await post(services, [alert(60_000) for _ in range(4)])).status == 503
    assert await claims(services) == before


async def test_a_large_signal_that_may_be_on_the_queue_keeps_its_blob(
    services: Container, service: QueueService
) -> None:
    """Storage answers 500 when it does not know; without its content the message would be lost."""
    before = await claims(services)
    service.status = lambda _number: 500
    assert (await post(services, alert(60_000))).status == 503
    assert len(await claims(services) - before) == 1


async def test_a_large_signal_is_on_the_queue_with_the_name_of_its_blob(
    services: Container, service: QueueService
) -> None:
    before = await claims(services)
    assert (await post(services, alert(60_000))).status == 202
    (text,) = service.stored
    message = await services.queue.decoded(base64.b64decode(text))
    assert isinstance(message, UnreadableMessage)
    assert message.unreadable.item == alert(60_000)
    assert {message.claim} == await claims(services) - before


@pytest.mark.parametrize("setting", ["", "nonsense", "AccountName=demo", "AccountName=demo;AccountKey=%%%"])
async def test_a_storage_setting_that_is_wrong_is_a_503(setting: str) -> None:
    services = Container({"AzureWebJobsStorage": setting})
    answer = await post(services, alert())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    await services.aclose()


async def test_a_mistake_of_ours_is_a_503_and_not_a_500(services: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("demo")

    monkeypatch.setattr(webhook, "accept", broken)
    assert (await post(services, alert())).status == 503
