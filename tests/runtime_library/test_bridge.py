"""The real function_app.py in Microsoft's own runtime library: indexed, loaded, and each function invoked."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.registry import REGISTRY
from local.azurite import Azurite
from local.demo.alerts import Azure
from local.servicenow import running
from local.storage_rest import EMULATOR_KEY
from shared.core.messages import QUEUE, Message, encode
from shared.platform.storage import Storage
from tests.runtime_library.harness import App, run_app

ROOT = Path(__file__).parents[2]

#: Every webhook.
INTAKES = ("alerts", "recommendations", "secure_alerts", "secure_score_controls")


@pytest.fixture
async def app(azurite: Azurite) -> AsyncIterator[App]:
    async with running() as desk:
        settings = {
            "AzureWebJobsStorage": azurite.connection_string,
            "SERVICENOW_URL": desk.url,
            "SERVICENOW_USERNAME": desk.integration_username,
            "SERVICENOW_PASSWORD": desk.integration_password,
            "BRIDGE_CONFIG": str(ROOT / "bridge.yaml"),
        }
        async with run_app(ROOT, settings=settings) as loaded:
            yield loaded
            import function_app

            await function_app.services.aclose()


async def test_every_function_is_indexed_with_its_bindings(app: App) -> None:
    triggers = {name: function.trigger["type"] for name, function in app.functions.items()}
    assert triggers == {
        "alerts": "httpTrigger",
        "recommendations": "httpTrigger",
        "secure_alerts": "httpTrigger",
        "secure_score_controls": "httpTrigger",
        "preview": "httpTrigger",
        "dead_letters": "httpTrigger",
        "quarantine": "httpTrigger",
        "assignments": "httpTrigger",
        "withdraw_assignments": "httpTrigger",
        "integrations": "httpTrigger",
        "tickets": "httpTrigger",
        "report": "httpTrigger",
        "request_ticket": "httpTrigger",
        "jobs": "httpTrigger",
        "check": "httpTrigger",
        "run_job": "queueTrigger",
        "secure_score_ticket": "httpTrigger",
        "secure_score_preview": "httpTrigger",
        "planned_work": "timerTrigger",
        "poll_findings": "timerTrigger",
        "poll_scores": "timerTrigger",
        "remind": "timerTrigger",
        "resync": "timerTrigger",
        "full_check": "timerTrigger",
        "reconcile": "timerTrigger",
        "export_tickets": "timerTrigger",
        "export_log": "timerTrigger",
        "purge_audit_log": "timerTrigger",
        "check_credentials": "timerTrigger",
        "report_itself": "timerTrigger",
        "refresh_tokens": "timerTrigger",
        "health": "httpTrigger",
        "health_report": "httpTrigger",
        "deliver": "queueTrigger",
        "park_poison": "queueTrigger",
    }
    levels = {name: f.trigger.get("authLevel") for name, f in app.functions.items() if "authLevel" in f.trigger}
    assert {name: str(level).upper() for name, level in levels.items()} == {
        "alerts": "FUNCTION",
        "recommendations": "FUNCTION",
        "secure_alerts": "ANONYMOUS",
        "secure_score_controls": "FUNCTION",
        "preview": "FUNCTION",
        "dead_letters": "FUNCTION",
        "quarantine": "FUNCTION",
        "assignments": "FUNCTION",
        "withdraw_assignments": "FUNCTION",
        "integrations": "FUNCTION",
        "tickets": "FUNCTION",
        "report": "FUNCTION",
        "request_ticket": "FUNCTION",
        "jobs": "FUNCTION",
        "check": "FUNCTION",
        "secure_score_ticket": "FUNCTION",
        "secure_score_preview": "FUNCTION",
        "health": "ANONYMOUS",
        "health_report": "FUNCTION",
    }
    for intake in INTAKES:
        assert "queue" not in {b["type"] for b in app.functions[intake].bindings}, "its failure would be a 500"
    assert app.functions["deliver"].trigger["queueName"] == QUEUE
    assert app.functions["park_poison"].trigger["queueName"] == f"{QUEUE}-poison"


async def test_an_alert_goes_from_the_webhook_through_the_worker_to_a_ticket(app: App, azurite: Azurite) -> None:
    body = json.dumps(Azure().metric(str(uuid4()))).encode()
    accepted = await app.http("alerts", body=body)
    assert accepted.status == 202
    (item,) = json.loads(accepted.body)["items"]
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    texts = [one.content for one in await storage.queue(QUEUE).peek_messages(max_messages=32)]
    await storage.aclose()
    (message,) = [text for text in texts if item["id"] in text]
    await app.queue("deliver", message)
    health = json.loads((await app.http("health_report", method="GET")).body)
    assert health["connections"]["servicenow"]["last_success"]


async def test_a_timer_whose_job_runs_elsewhere_is_skipped_and_logged_and_runs_the_next_time(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    import function_app

    caplog.set_level(logging.INFO, "bridge")
    async with function_app.services.job_leases.hold("purge_audit_log", timedelta(minutes=1), holder="bridge.py on x"):
        await app.timer("purge_audit_log")
    (skipped,) = [event for event in events(caplog) if event["event"].startswith("job_")]
    assert (skipped["event"], skipped["job"], skipped["holder"]) == ("job_skipped", "purge_audit_log", "bridge.py on x")
    await app.timer("purge_audit_log")
    assert "audit_log_purged" in {event["event"] for event in events(caplog)}


def events(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in caplog.messages if line.startswith('{"event"')]


async def test_preview_and_refusals_come_back_as_the_host_would_send_them(app: App) -> None:
    shown = await app.http("preview", body=json.dumps(Azure().budget()).encode())
    assert shown.status == 200
    assert json.loads(shown.body)["items"][0]["signal"]["kind"] == "budget"
    refused = await app.http("alerts", body=b"{")
    assert refused.status == 400
    assert refused.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize("intake", INTAKES)
async def test_storage_that_is_away_is_a_503_that_action_groups_repeat(intake: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/demo"
        connection = f"AccountName=demo;AccountKey={EMULATOR_KEY};QueueEndpoint={url};BlobEndpoint={url}"
        settings = {"AzureWebJobsStorage": connection, "BRIDGE_CONFIG": str(ROOT / "bridge.yaml")}
        async with run_app(ROOT, settings=settings) as away:
            refused = await away.http(intake, body=json.dumps(Azure().metric(str(uuid4()))).encode())
            import function_app

            await function_app.services.aclose()
    if intake == "secure_alerts":  # a stranger's request ends at the door
        assert refused.status == 404
        return
    headers = {name.lower(): text for name, text in refused.headers.items()}
    assert (refused.status, headers["retry-after"]) == (503, "5")
    assert EMULATOR_KEY.encode() not in refused.body


async def test_poison_is_kept(app: App) -> None:
    import function_app
    from shared.web.intake import accept

    (envelope,) = accept(Azure().metric(str(uuid4())), Azure().now, REGISTRY.schemas).messages
    await app.queue("park_poison", encode(envelope), dequeue_count=1)
    assert isinstance(envelope, Message)
    kept = [row.id async for row in function_app.services.parked.list("dead-letter")]
    assert envelope.id in kept


async def test_parked_items_are_listed_and_refused_requests_are_problems(app: App) -> None:
    listed = await app.http("quarantine", method="GET", query={"error": "nobody's"})
    assert (listed.status, json.loads(listed.body)) == (200, {"items": [], "next": None})
    unknown = await app.http("dead_letters", method="GET", route={"item": "nobody"})
    assert (unknown.status, unknown.headers["content-type"]) == (404, "application/problem+json")
    unsure = await app.http("dead_letters", body=b'{"ids": ["x"]}', route={"item": "drop"})
    assert (unsure.status, "'confirm'" in json.loads(unsure.body)["detail"]) == (400, True)


RUDE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'"x"',
    b"[" * 5000,
    b'{"a": NaN}',
    rb'{"\ud800": 1}',
    b"1" * 5000,
    b'{"ids": 1e999}',
]
ENDPOINTS = {
    "dead_letters": {"item": "replay"},
    "quarantine": {"item": "drop"},
    "assignments": {},
    "withdraw_assignments": {},
    "secure_score_ticket": {"control": "\x00"},
    "secure_score_preview": {"control": "x" * 5000},
    "jobs": {"name": "x" * 5000},
    "check": {},
    "request_ticket": {},
}


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_rude_bodies_are_refused_by_every_endpoint(app: App, name: str) -> None:
    for body in RUDE:
        refused = await app.http(name, body=body, route=ENDPOINTS[name])
        assert 400 <= refused.status < 500, (body, refused)
        assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["dead_letters", "quarantine", "tickets", "report", "integrations"])
async def test_rude_queries_are_refused_by_every_list(app: App, name: str) -> None:
    for query in ({"limit": "9" * 5000}, {"x" * 5000: "1"}, {"q": "\x00"}, {"after": "\n", "cursor": "W10"}, {"": ""}):
        refused = await app.http(name, method="GET", query=query)
        assert refused.status == 400, (query, refused)
        assert json.loads(refused.body)["title"] == "Invalid request"
    assert (await app.http(name, method="GET", query={"code": "key", "clientId": "me"})).status == 200
