"""What ``/api/health`` says: the truth to those with a key, and whether it is well to everybody."""

from __future__ import annotations

import json
from datetime import timedelta

from app.endpoints import Endpoints
from shared.core.http import Request
from shared.core.messages import QUEUE
from shared.core.outcome import Outcome, OutcomeKind
from tests.conformance.stage import Fault
from tests.standby.world import World

MINUTE = timedelta(minutes=1)
GET = Request("GET", {}, {}, {}, b"")


async def deliver(bridge: World) -> None:
    """The trigger works on what is on the queue, once."""
    queue = bridge.storage.queue(QUEUE)
    async for message in queue.receive_messages(visibility_timeout=60):
        async with bridge.services.vital_signs.call("deliver"):
            await bridge.services.worker.handle(message.id, message.content, message.dequeue_count or 1)
        await queue.delete_message(message.id, message.pop_receipt)


async def well(bridge: World, minutes: float = 0.0) -> tuple[str, list[str]]:
    """Some minutes later, in which Azure called everything but found nothing to deliver; what health says."""
    bridge.later += minutes * MINUTE
    await bridge.azure_calls_everything()
    return await bridge.status()


async def test_a_bridge_with_nothing_to_do_is_well_however_quiet_it_is(bridge: World) -> None:
    assert await well(bridge) == ("ok", [])
    await bridge.accepted()
    await deliver(bridge)
    assert await well(bridge) == ("ok", [])
    assert await well(bridge, 60 * 24 * 3) == ("ok", [])


async def test_an_instance_that_sleeps_while_signals_wait_is_not_well_until_they_are_delivered(bridge: World) -> None:
    await bridge.azure_calls_everything()
    await bridge.desk.strike(Fault.ASLEEP)
    await bridge.accepted()
    await deliver(bridge)
    status, reasons = await well(bridge)
    assert (status, reasons) == ("degraded", ["connection_failing"])
    await bridge.desk.heal()
    await bridge.accepted()
    bridge.later += 5 * MINUTE
    for _ in range(3):
        await deliver(bridge)
        bridge.later += 2 * MINUTE
    assert "connection_failing" not in (await well(bridge))[1]


async def test_signals_that_wait_for_more_than_a_quarter_of_an_hour_are_told_with_the_time_of_the_oldest(
    bridge: World,
) -> None:
    began = bridge.now()
    name = next(iter(bridge.services.config.connections))
    for minute, waited in ((1, 60.0), (9, 540.0), (16, 960.0)):
        bridge.later = minute * MINUTE
        await bridge.services.health.ended(
            Outcome(
                OutcomeKind.POSTPONED, connection=name, id="a" * 32, code="throttled", seconds=waited, delay=8 * MINUTE
            )
        )
        assert await well(bridge) == (("degraded", ["signals_wait"]) if minute == 16 else ("ok", []))
    report = await bridge.services.health_report()
    (reason,) = report.reasons
    assert reason.since is not None
    assert abs(reason.since - began) < timedelta(seconds=20)
    shown = report.shown()["connections"][name]
    assert (shown["status"], shown["waiting_since"] is not None) == ("unknown", True)
    await bridge.services.health.ended(Outcome(OutcomeKind.DELIVERED, "created", connection=name, id="a" * 32, calls=1))
    assert await well(bridge) == ("ok", [])


async def test_what_is_not_seen_again_is_no_longer_called_waiting(bridge: World) -> None:
    name = next(iter(bridge.services.config.connections))
    await bridge.services.health.ended(
        Outcome(OutcomeKind.POSTPONED, connection=name, id="a" * 32, code="throttled", seconds=2000.0, delay=MINUTE)
    )
    assert await well(bridge) == ("degraded", ["signals_wait"])
    assert await well(bridge, 3) == ("ok", [])


async def test_a_ticket_that_is_refused_is_a_dead_letter_and_no_failing_connection(bridge: World) -> None:
    await bridge.desk.strike(Fault.REFUSED)
    await bridge.accepted()
    await deliver(bridge)
    assert await well(bridge) == ("degraded", ["dead_letters_grow"])
    assert await well(bridge, 61) == ("ok", [])


async def test_payloads_that_nobody_can_read_are_told(bridge: World) -> None:
    body = json.dumps({"text": "?"}).encode()
    intake = next(one for source in bridge.services.registry.sources for one in source.intakes if not one.token)
    await bridge.services.webhook.take_in(intake, Request("POST", {}, {}, {"Content-Type": "application/json"}, body))
    await deliver(bridge)
    assert await well(bridge) == ("degraded", ["quarantine_grow"])


async def test_a_wrong_configuration_is_told_by_the_number_of_its_mistakes(bridge: World) -> None:
    bridge._path.write_text("version: 1\nconnections: {}\n")
    services = bridge.process()
    report = await services.health_report()
    await services.aclose()
    assert report.status == "degraded"
    assert report.reasons[0].code == "configuration_invalid"
    assert report.shown()["configuration"]["valid"] is False


async def test_a_message_that_waits_for_three_minutes_is_told_even_when_the_worker_is_busy(bridge: World) -> None:
    await bridge.azure_calls_everything()
    await bridge.accepted()
    assert await well(bridge, 2) == ("ok", [])
    status, reasons = await well(bridge, 2)
    assert (status, reasons) == ("degraded", ["message_waits"])


async def test_strangers_are_told_whether_it_is_well_and_nothing_else(bridge: World) -> None:
    await bridge.azure_calls_everything()
    await bridge.desk.strike(Fault.ASLEEP)
    await bridge.accepted()
    await deliver(bridge)
    endpoints = Endpoints(bridge.services)
    answer = await endpoints.health(GET)
    assert (answer.status, answer.body) == (200, {"status": "degraded"})
    report = (await endpoints.health_report(GET)).body
    assert {one["name"] for one in report["functions"]} >= {"deliver", "park_poison", "resync", "full_check"}
    deliver_sign = next(one for one in report["functions"] if one["name"] == "deliver")
    assert deliver_sign["last_called"] is not None
    assert deliver_sign["ended"] == "ok"


async def test_whoever_asks_every_second_costs_storage_nothing_for_ten_seconds(bridge: World) -> None:
    from tests.standby.test_standing_in import count_requests

    await bridge.azure_calls_everything()
    endpoints = Endpoints(bridge.services)
    await endpoints.health(GET)
    asked: list[str] = []
    for client in (bridge.storage.table("vitalsigns"), bridge.storage.table("health"), bridge.storage.queue(QUEUE)):
        count_requests(client, asked)
    for _ in range(20):
        assert (await endpoints.health(GET)).body == {"status": "ok"}
    assert asked == []
