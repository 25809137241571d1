"""Each webhook reads the payloads of its own source: a key for alerts cannot report findings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.container import Container
from app.registry import REGISTRY
from app.webhook import SHARED_SETTING, Webhook
from shared.core.http import Request
from shared.core.messages import UnreadableMessage
from shared.web.intake import accept, endpoint_schemas
from tests.payloads.support import fixture

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

ALERT = fixture("common/metric-static-fired", "azure_monitor")
FINDING = fixture("recommendation/export-unhealthy", "defender")
CONTROL = fixture("control-partial", "secure_score")
ADDRESSES = {
    "alerts": "/api/alerts",
    "recommendations": "/api/recommendations",
    "secure_score_controls": "/api/secure-score",
}


def taken(function: str, body: Any) -> str:
    """Empty when a function takes a payload, otherwise why it does not."""
    schemas = endpoint_schemas(REGISTRY.sources, function, SHARED_SETTING)
    (message,) = accept(body, NOW, schemas, REGISTRY.foreign).messages
    return message.unreadable.reason if isinstance(message, UnreadableMessage) else ""


@pytest.mark.parametrize(
    ("function", "own", "others"),
    [
        ("alerts", ALERT, {"recommendations": FINDING, "secure_score_controls": CONTROL}),
        ("secure_alerts", ALERT, {"recommendations": FINDING, "secure_score_controls": CONTROL}),
        ("recommendations", FINDING, {"alerts": ALERT, "secure_score_controls": CONTROL}),
        ("secure_score_controls", CONTROL, {"alerts": ALERT, "recommendations": FINDING}),
    ],
)
def test_an_endpoint_reads_its_source_and_names_the_address_for_others(
    function: str, own: Any, others: dict[str, Any]
) -> None:
    assert taken(function, own) == ""
    for right, body in others.items():
        reason = taken(function, body)
        assert f"to {ADDRESSES[right]}," in reason, reason
        assert SHARED_SETTING in reason


@pytest.mark.parametrize("setting", ["true", "TRUE", "", "no"])
async def test_a_setting_lets_every_endpoint_read_every_source(setting: str) -> None:
    services = Container({SHARED_SETTING: setting})
    schemas = Webhook(services)._schemas_of("alerts")
    (message,) = accept(FINDING, NOW, schemas, REGISTRY.foreign).messages
    assert isinstance(message, UnreadableMessage) == (setting.lower() != "true")
    await services.aclose()


async def test_a_mistake_in_the_bridge_is_a_503_that_action_groups_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    services = Container({})
    webhook = Webhook(services)
    (intake,) = [one for source in REGISTRY.sources for one in source.intakes if one.name == "alerts"]

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("app.webhook.accept", broken)
    answer = await webhook.take_in(intake, Request("POST", {}, {}, {}, b"{}"))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    await services.aclose()
