"""Tenants, rights, throttling and broken answers: what one subscription suffers does not cost the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken

from connectors.azure_monitor.api import AlertsManagement
from connectors.microsoft import ResourceManager
from connectors.microsoft.pace import Pace
from shared.core.errors import SourceRefused, SourceUnavailable
from tests.reconcile.stage import Stage, webhook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALERTS = "providers/Microsoft.AlertsManagement/alerts"


async def test_subscriptions_of_several_tenants_are_compared_each_with_its_own_sign_in(stage: Stage) -> None:
    retail = stage.clouds.other_subscriptions[0]
    till = f"/subscriptions/{retail}/resourceGroups/rg-tills/providers/Microsoft.Compute/virtualMachines/till-01"
    ours, theirs = await stage.fire(), await stage.fire(resource=till)
    watched = [stage.watched(), stage.watched(retail, tenant=stage.clouds.other_tenant_id)]
    results = await stage.run(watched=watched)
    assert [(result.subscription, result.missed) for result in results] == [(stage.subscription, 1), (retail, 1)]
    assert {found.key for found in stage.outbox.take()} == {webhook(ours).key, webhook(theirs).key}


async def test_missing_rights_in_one_subscription_say_their_fix_and_do_not_stop_the_others(stage: Stage) -> None:
    await stage.fire()
    watched = [
        stage.watched(stage.clouds.subscriptions[0], client=stage.clouds.stranger_client_id),
        stage.watched(),
    ]
    refused, other = await stage.run(watched=watched)
    assert "AuthorizationFailed" in refused.reason
    assert "docs/reconcile.md" in refused.reason
    assert (refused.finished, other.missed) == (False, 1)


async def test_a_wrong_secret_is_told_without_the_secret(stage: Stage) -> None:
    await stage.told("POST", "/scenarios", {"type": "reject_credentials"})
    result = await stage.reconcile()
    assert "AADSTS7000215" in result.reason
    assert stage.clouds.client_secret not in result.reason


async def test_throttling_that_passes_soon_is_waited_out(stage: Stage) -> None:
    await stage.fire()
    order = {"type": "throttle", "retry_after": 0, "times": 1, "match": {"path": "/alerts"}}
    await stage.told("POST", "/scenarios", order)
    result = await stage.reconcile()
    assert (result.missed, result.reason) == (1, "")


async def test_long_throttling_breaks_the_run_off_and_loses_nothing(stage: Stage) -> None:
    await stage.fire()
    order = {"type": "throttle", "retry_after": 600, "match": {"path": "/alerts"}}
    await stage.told("POST", "/scenarios", order)
    result = await stage.reconcile()
    assert (result.missed, result.finished) == (0, False)
    assert "429" in result.reason
    await stage.told("DELETE", "/scenarios")
    assert (await stage.reconcile()).missed == 1  # at once, not only when it is due again


class Token:
    async def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken("opaque", int(NOW.timestamp()) + 3600)

    async def close(self) -> None:
        return

    async def __aenter__(self) -> Token:
        return self

    async def __aexit__(self, *_: object) -> None:
        return


def listing(answer: Callable[[httpx.Request], httpx.Response], waited: list[float] | None = None) -> AlertsManagement:
    async def sleep(seconds: float) -> None:
        if waited is not None:
            waited.append(seconds)

    manager = ResourceManager(Token(), transport=httpx.MockTransport(answer), sleep=sleep)
    return AlertsManagement("11111111-2222-3333-4444-555555555555", manager)


async def everything(alerts: AlertsManagement) -> list[dict[str, Any]]:
    found = []
    async for page in alerts.pages(NOW - timedelta(days=1), NOW):
        found += page.alerts
    return found


async def test_the_list_asks_for_full_pages_without_context_oldest_first() -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        assert request.headers["Authorization"] == "Bearer opaque"
        return httpx.Response(200, json={"value": [{"id": "a"}, "odd"], "nextLink": None})

    assert await everything(listing(answer)) == [{"id": "a"}]
    assert asked[0].path == f"/subscriptions/11111111-2222-3333-4444-555555555555/{ALERTS}"
    assert dict(asked[0].params) == {
        "api-version": "2019-05-05-preview",
        "customTimeRange": "2026-02-28T12:00:00.000Z/2026-03-01T12:00:00.000Z",
        "pageCount": "250",
        "sortBy": "startDateTime",
        "sortOrder": "asc",
    }


async def test_a_link_that_leads_elsewhere_gets_no_token() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "management.azure.com"
        return httpx.Response(200, json={"value": [], "nextLink": "https://attacker.example/next"})

    with pytest.raises(SourceUnavailable, match="did not answer"):
        await everything(listing(answer))


async def test_a_list_that_goes_in_circles_is_left() -> None:
    link = f"https://management.azure.com/subscriptions/x/{ALERTS}?page=2"
    with pytest.raises(SourceUnavailable, match="circles"):
        await everything(listing(lambda _request: httpx.Response(200, json={"value": [], "nextLink": link})))


async def test_what_may_pass_is_tried_again_after_the_time_it_asks_for() -> None:
    answers = [
        httpx.Response(429, headers={"Retry-After": "7"}, json={"error": {"code": "Busy", "message": "wait"}}),
        httpx.Response(503, content=b"<html>"),
        httpx.Response(200, json={"value": []}),
    ]
    waited: list[float] = []
    assert await everything(listing(lambda _request: answers.pop(0), waited)) == []
    assert waited == [7, 4]


@pytest.mark.parametrize("content", [b"<html>sign in</html>", b"[]", b'{"value": null}'])
async def test_a_page_of_something_else_is_no_list(content: bytes) -> None:
    with pytest.raises(SourceRefused, match=r"in (Azure's|its) place"):
        await everything(listing(lambda _request: httpx.Response(200, content=content)))


async def test_an_alert_that_is_gone_is_none_and_missing_rights_are_an_error() -> None:
    gone = listing(lambda _request: httpx.Response(404, json={"error": {"code": "NotFound", "message": "gone"}}))
    assert await gone.alert("one") is None
    refused = listing(lambda _request: httpx.Response(403, json={"error": {"code": "No", "message": "no"}}))
    with pytest.raises(SourceRefused, match="assign the role"):
        await refused.alert("one")


async def test_a_pace_lets_nobody_pass_too_early() -> None:
    clock, turns = [0.0], []

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    pace = Pace(3, clock=lambda: clock[0], sleep=sleep)
    for _ in range(8):
        await pace.turn()
        turns.append(clock[0])
        clock[0] += 1
    assert turns == [0, 1, 2, 60, 61, 62, 120, 121]
