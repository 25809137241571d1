"""What comes of alerts that the webhook told, did not tell, or told in part."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.core.link import Link, Op, Pending, link_id
from shared.core.link import LinkStage as Ticketed
from shared.core.signal import SignalState
from shared.core.ticket_system import TicketKind
from shared.platform.tables import RowAddress
from tests.reconcile.stage import Stage, webhook
from tests.storage.damage import damage, heard

HOUR = timedelta(hours=1)
GROUPED = "default: {connection: desk, group: {by: rule}}\n"
THROTTLED = "default: {connection: desk}\nthrottles: [{name: few, tickets: 1, per: 15m}]\n"


async def test_a_missed_alert_is_delivered_just_as_its_webhook_would_have_told_it(stage: Stage) -> None:
    told = await stage.fire(severity="Sev1", rule="Disk full", customProperties={"team": "shop"})
    result = await stage.reconcile()
    (found,) = stage.outbox.take()
    same = webhook(told)
    assert (found.key, found.order, found.state) == (same.key, same.order, SignalState.FIRED)
    assert (found.severity, found.rule, found.title, found.fired_at) == (1, "Disk full", same.title, same.fired_at)
    assert [r.name for r in found.resources] == ["dev-01"]
    assert found.custom_properties == {"team": "shop"}
    assert (result.alerts, result.missed, result.resolved, result.finished) == (1, 1, 0, True)
    assert result.calls == 2  # the list, and the alert with its context


async def test_what_was_delivered_once_is_not_delivered_by_the_next_run(stage: Stage) -> None:
    await stage.fire()
    await stage.reconcile()
    stage.later = HOUR
    stage.outbox.take()
    again = await stage.reconcile()
    assert (stage.outbox.take(), again.known, again.calls) == ([], 1, 1)


async def test_what_the_webhook_told_is_known(stage: Stage) -> None:
    same = webhook(await stage.fire())
    await stage.know(same, stage=Ticketed.OPEN, latest=same.order)
    result = await stage.reconcile()
    assert (stage.outbox.take(), result.known, result.missed) == ([], 1, 0)


async def test_an_alert_that_resolved_silently_is_resolved(stage: Stage) -> None:
    told = await stage.fire()
    fired = webhook(told)
    await stage.know(fired, stage=Ticketed.OPEN, latest=fired.order)
    await stage.reconcile()
    over = await stage.resolve(told)
    stage.later = HOUR
    result = await stage.reconcile()
    (found,) = stage.outbox.take()
    same = webhook(over)
    assert (found.key, found.order, found.state) == (same.key, same.order, SignalState.RESOLVED)
    assert (result.missed, result.resolved) == (0, 1)
    stage.later = 2 * HOUR
    await stage.reconcile()
    assert stage.outbox.take() == []


async def test_what_happened_just_now_is_left_to_the_webhook(stage: Stage) -> None:
    told = await stage.fire(ago=timedelta(minutes=5))
    result = await stage.reconcile()
    assert (stage.outbox.take(), result.waiting) == ([], 1)
    stage.later = timedelta(minutes=20)
    await stage.reconcile()
    assert len(stage.outbox.take()) == 1
    await stage.told("POST", "/clock", {"advance": 1800})
    await stage.resolve(told)
    stage.later = timedelta(minutes=40)
    result = await stage.reconcile()
    assert (stage.outbox.take(), result.waiting) == ([], 1)
    stage.later = timedelta(minutes=60)
    await stage.reconcile()
    assert [found.state for found in stage.outbox.take()] == [SignalState.RESOLVED]


async def test_an_alert_that_nobody_heard_of_and_that_is_over_gets_nothing(stage: Stage) -> None:
    told = await stage.fire()
    await stage.resolve(told)
    stage.later = HOUR
    result = await stage.reconcile()
    assert (stage.outbox.take(), result.left) == ([], 1)


async def test_an_alert_that_is_over_gets_a_resolved_ticket_where_that_is_wanted(stage: Stage) -> None:
    told = await stage.fire()
    fired = webhook(told)
    over = webhook(await stage.resolve(told))
    stage.later = HOUR
    await stage.reconcile(over="ticket")
    first, second = stage.outbox.take()
    assert (first.order, first.state, first.opens) == (fired.order, SignalState.FIRED, True)
    assert (second.order, second.state) == (over.order, SignalState.RESOLVED)


async def test_a_dead_letter_is_not_repeated(stage: Stage) -> None:
    same = webhook(await stage.fire())
    await stage.know(same, latest=same.order, dead_letter="d" * 32)
    await stage.reconcile()
    assert stage.outbox.take() == []


async def test_an_alert_that_a_worker_has_in_hand_is_compared_again_later(stage: Stage) -> None:
    same = webhook(await stage.fire())
    at_work = Pending(
        Op.CREATE, "e" * 32, stage.now() + HOUR, same.order, False, 1, "desk", TicketKind.INCIDENT, "default"
    )
    await stage.know(same, pending=at_work)
    assert (await stage.reconcile()).waiting == 1
    stored = await stage.links.load(same.key)
    assert stored is not None
    await stage.links.write(Link(key=same.key), stored.etag)
    stage.later = HOUR
    await stage.reconcile()
    assert len(stage.outbox.take()) == 1


@pytest.mark.parametrize("routes", [GROUPED, THROTTLED])
async def test_an_alert_that_may_stand_in_a_group_is_offered_once_and_ended_once(stage: Stage, routes: str) -> None:
    told = await stage.fire()
    await stage.reconcile(routes=routes)
    await stage.resolve(told)
    for hours in range(1, 4):
        stage.later = hours * HOUR
        await stage.reconcile(routes=routes)
    assert [found.state for found in stage.outbox.take()] == [SignalState.FIRED, SignalState.RESOLVED]


async def test_a_group_hears_of_an_end_whose_beginning_it_had_from_the_webhook(stage: Stage) -> None:
    await stage.resolve(await stage.fire())
    stage.later = HOUR
    await stage.reconcile(routes=GROUPED)
    assert [found.state for found in stage.outbox.take()] == [SignalState.RESOLVED]


async def test_what_a_person_closed_in_azure_gets_no_ticket(stage: Stage) -> None:
    told = await stage.fire()
    await stage.told("POST", f"/alerts/{told['name']}", {"alertState": "Closed", "by": "lee.gu@contoso.example"})
    assert (await stage.reconcile()).left == 1
    await stage.resolve(told)
    stage.later = HOUR
    assert (await stage.reconcile()).left == 1
    assert stage.outbox.take() == []


@pytest.mark.parametrize(("suppressed", "missed"), [(True, 1), (False, 0)])
async def test_a_suppressed_alert_counts_unless_told_otherwise(stage: Stage, suppressed: bool, missed: int) -> None:
    await stage.fire(suppressed=True)
    assert (await stage.reconcile(suppressed=suppressed)).missed == missed


@pytest.mark.parametrize(
    ("routes", "when"),
    [
        ("routes: [{name: other, when: {rule: Other}, connection: desk}]\n", {}),
        ("default: {connection: desk}\naccept_only: {rules: [Other]}\n", {}),
        ("default: {connection: desk}\n", {"rule": "Other"}),
        ("default: {connection: desk}\n", {"custom_properties": {"team": "other"}}),
    ],
)
async def test_alerts_that_are_not_for_the_bridge_are_left_alone(
    stage: Stage, routes: str, when: dict[str, object]
) -> None:
    told = await stage.fire(customProperties={"team": "shop"})
    assert (await stage.reconcile(routes=routes, when=when)).left == 1
    await stage.resolve(told)
    stage.later = HOUR
    result = await stage.reconcile(routes=routes, when=when)
    assert (stage.outbox.take(), result.left, result.calls) == ([], 1, 1)


@pytest.mark.parametrize("field", ["startDateTime", "lastModifiedDateTime"])
async def test_an_alert_is_watched_until_it_ends_however_long_that_takes(stage: Stage, field: str) -> None:
    await stage.told("PATCH", "/settings", {"alerts_time_field": field})
    told = await stage.fire(ago=timedelta(hours=20))
    fired = webhook(told)
    await stage.know(fired, stage=Ticketed.OPEN, latest=fired.order)
    await stage.reconcile()
    await stage.told("POST", "/clock", {"advance": 3 * 86400})
    stage.later = timedelta(days=3)
    result = await stage.reconcile()
    assert (result.alerts, result.known, stage.outbox.take()) == (1, 1, [])
    await stage.resolve(told)
    stage.later = timedelta(days=3, hours=1)
    await stage.reconcile()
    assert [found.state for found in stage.outbox.take()] == [SignalState.RESOLVED]


async def test_an_alert_that_azure_no_longer_has_is_forgotten(stage: Stage) -> None:
    await stage.fire(ago=timedelta(hours=20))
    await stage.reconcile()
    await stage.told("PATCH", "/settings", {"alerts_kept_days": 0})
    stage.later = timedelta(days=3)
    await stage.reconcile()
    settled, _ = await stage.ledger.load(stage.subscription)
    assert settled == {}


async def test_what_is_over_and_will_not_be_listed_again_is_forgotten(stage: Stage) -> None:
    await stage.resolve(await stage.fire())
    stage.later = HOUR
    await stage.reconcile()
    settled, _ = await stage.ledger.load(stage.subscription)
    assert len(settled) == 1
    stage.later = timedelta(days=4)
    await stage.reconcile()
    settled, _ = await stage.ledger.load(stage.subscription)
    assert settled == {}


async def test_service_health_is_known_by_its_event_and_not_by_the_alert(stage: Stage) -> None:
    context = {
        "eventSource": "ServiceHealth",
        "eventTimestamp": (stage.now() - HOUR).isoformat(),
        "properties": {"trackingId": "AB12-CD3", "stage": "Active", "title": "Storage", "incidentType": "Incident"},
    }
    told = await stage.fire(monitorService="ServiceHealth", signalType="Log", context=context)
    same = webhook(told)
    assert same.key.startswith("service_health:")
    await stage.know(same, stage=Ticketed.OPEN, latest=same.order)
    assert (await stage.reconcile()).known == 1
    newer = {**context, "eventTimestamp": stage.now().isoformat()}
    await stage.fire(monitorService="ServiceHealth", signalType="Log", context=newer)
    stage.later = HOUR
    await stage.reconcile()
    assert [found.key for found in stage.outbox.take()] == [same.key]


async def test_service_health_without_its_context_is_left_alone(stage: Stage) -> None:
    await stage.fire(monitorService="ServiceHealth", signalType="Log")
    assert (await stage.reconcile()).left == 1
    assert stage.outbox.take() == []


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(stage: Stage) -> None:
    told = await stage.fire()
    tried = await stage.reconcile(dry_run=True)
    assert tried.missed == 1
    (sample,) = stage.samples
    assert webhook(told).key in sample
    assert stage.outbox.take() == []
    assert (await stage.ledger.load(stage.subscription))[0] == {}
    await stage.reconcile()
    assert len(stage.outbox.take()) == 1
    assert len(await stage.run(dry_run=True)) == 1  # due or not


async def test_a_subscription_is_compared_no_more_often_than_configured(stage: Stage) -> None:
    assert len(await stage.run(every="1h")) == 1
    stage.later = timedelta(minutes=45)
    assert await stage.run(every="1h") == []
    stage.later = timedelta(minutes=59)
    assert len(await stage.run(every="1h")) == 1


async def test_more_alerts_than_one_page_are_all_compared(stage: Stage) -> None:
    for number in range(251):
        await stage.fire(rule=f"rule {number}")
    result = await stage.reconcile()
    assert (result.alerts, result.missed, result.finished) == (251, 251, True)
    assert len({found.key for found in stage.outbox.take()}) == 251


async def test_a_run_that_is_full_goes_on_where_it_broke_off(stage: Stage) -> None:
    stage.most = 16
    for number in range(40):
        await stage.fire(ago=timedelta(minutes=100 - number), rule=f"rule {number}")
    results = [await stage.reconcile() for _ in range(3)]
    assert [result.finished for result in results] == [False, False, True]
    assert [result.missed for result in results] == [16, 16, 8]
    assert [result.alerts for result in results] == [40, 24, 8]
    assert len({found.key for found in stage.outbox.take()}) == 40


async def test_a_webhook_time_that_differs_a_little_makes_no_second_firing(stage: Stage) -> None:
    same = webhook(await stage.fire())
    earlier = replace(same, occurred_at=same.occurred_at - timedelta(seconds=2))
    await stage.know(same, stage=Ticketed.OPEN, latest=earlier.order)
    await stage.reconcile()
    assert stage.outbox.take() == []


async def test_an_alert_whose_link_cannot_be_read_waits_for_the_next_run_and_the_others_go_on(stage: Stage) -> None:
    bad = webhook(await stage.fire(rule="a rule"))
    good = webhook(await stage.fire(rule="another rule"))
    await stage.know(bad, stage=Ticketed.OPEN, latest=bad.order)
    row = link_id(bad.key)
    await damage(stage.storage, "links", RowAddress(row[:2], row), Stage="half open")
    with heard() as said:
        result = await stage.reconcile()
    assert [one.key for one in stage.outbox.take()] == [good.key]
    assert (result.missed, result.finished, result.reason) == (1, True, "")
    assert [one["row"] for one in said] == [row]
    await damage(stage.storage, "links", RowAddress(row[:2], row), Stage="open")
    stage.later = HOUR
    result = await stage.reconcile()
    assert (stage.outbox.take(), result.known) == ([], 2)
