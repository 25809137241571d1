"""Continuous export to an Event Hub, in Microsoft's own runtime library: off by default, on by a setting."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.azurite import Azurite
from shared.core.messages import SignalMessage, UnreadableMessage, decode
from tests.payloads.support import fixture
from tests.runtime_library.harness import App, InvocationFailed, run_app

ROOT = Path(__file__).parents[2]
NAME = "recommendations_from_event_hub"


@pytest.fixture
async def app(azurite: Azurite) -> AsyncIterator[App]:
    settings = {
        "AzureWebJobsStorage": azurite.connection_string,
        "BRIDGE_CONFIG": str(ROOT / "bridge.yaml"),
        "RECOMMENDATIONS_EVENT_HUB": "recommendations",
        "RECOMMENDATIONS_CONSUMER_GROUP": "bridge",
    }
    async with run_app(ROOT, settings=settings) as loaded:
        yield loaded
        import function_app

        await function_app.services.aclose()


async def test_the_setting_switches_the_trigger_on_and_it_never_gives_up(app: App) -> None:
    trigger = app.functions[NAME].trigger
    assert (trigger["type"], trigger["eventHubName"]) == ("eventHubTrigger", "%RECOMMENDATIONS_EVENT_HUB%")
    assert (trigger["connection"], trigger["consumerGroup"]) == ("RecommendationsEventHub", "bridge")
    assert str(trigger["cardinality"]).upper() == "MANY"
    retry = app.functions[NAME].retry
    assert (retry.max_retry_count, retry.retry_strategy) == (-1, "exponential_backoff")
    assert retry.maximum_interval > retry.minimum_interval


async def test_messages_become_signals_and_what_nobody_can_read_is_kept(app: App) -> None:
    unhealthy = fixture("recommendation/export-unhealthy", "defender")
    healthy = fixture("recommendation/export-healthy", "defender")
    bodies = [
        json.dumps(unhealthy).encode(),
        json.dumps([healthy, unhealthy]).encode(),
        json.dumps({"records": [unhealthy]}).encode(),
        b"no json",
        b"\xff\xfe",
        b"7",
        b"[" * 20_000,
    ]
    result = await app.events(NAME, bodies)
    envelopes = [decode(text) for text in result.messages["queued"]]
    states = [e.signal.state.value for e in envelopes if isinstance(e, SignalMessage)]
    assert states == ["fired", "resolved", "fired", "fired"]
    reasons = [e.unreadable.reason for e in envelopes if isinstance(e, UnreadableMessage)]
    assert [reason.split(":")[0] for reason in reasons] == [
        "This Event Hub message is not JSON",
        "This Event Hub message is not JSON",
        "This is no JSON object; every alert is one.",
        "This Event Hub message is not JSON",
    ]


async def test_what_cannot_be_stored_makes_the_host_show_the_messages_again(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    import function_app
    from shared.core.errors import StorageUnavailable

    async def gone(_envelope: object) -> str:
        raise StorageUnavailable("no storage for the content of a large message")

    monkeypatch.setattr(function_app.services.webhook, "message", gone)
    with pytest.raises(InvocationFailed, match="no storage"):
        await app.events(NAME, [json.dumps(fixture("recommendation/export-unhealthy", "defender")).encode()])
