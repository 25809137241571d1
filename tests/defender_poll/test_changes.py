"""What later polls make of findings that stay, change, end, vanish and return."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.defender.poll.changes import OVER_FOR
from connectors.defender.poll.changes import FindingStage as Became
from local.azure.demo import inventory as places
from local.azure.demo.findings import security_alert
from shared.core.signal import Signal, SignalState
from tests.defender_poll.stage import DEV_VM, WEB_1, WEB_2, Stage, assessment_id, key


@pytest.fixture
async def known(stage: Stage) -> Stage:
    """The bridge has heard of everything there is."""
    await stage.poll()
    stage.outbox.take()
    return stage


async def one(stage: Stage) -> Signal:
    """The only signal of the next poll."""
    await stage.poll()
    (signal,) = stage.outbox.take()
    return signal


async def test_nothing_changed_costs_a_page_and_nothing_else(known: Stage) -> None:
    result = await known.poll()
    assert known.outbox.take() == []
    assert (result.read, result.unchanged, result.calls) == (12, 12, 1)


@pytest.mark.parametrize(
    ("order", "resolution"),
    [
        ({"code": "Healthy"}, "healthy"),
        ({"code": "NotApplicable", "cause": "OffByPolicy"}, "not_applicable"),
        ({"code": "NotApplicable", "cause": "Exempt", "description": "By policy"}, "exempted"),
    ],
)
async def test_a_finding_that_is_over_is_resolved_once_with_its_reason(
    known: Stage, order: dict[str, str], resolution: str
) -> None:
    await known.find(DEV_VM, "disk-encryption", **order)
    signal = await one(known)
    assert (signal.key, signal.state) == (key(DEV_VM, "disk-encryption"), SignalState.RESOLVED)
    assert signal.details["resolution"] == resolution
    assert (await known.poll()).resolved == 0


async def test_a_finding_that_is_gone_is_resolved_as_deleted_under_the_same_key(known: Stage) -> None:
    before = next(entry for entry in await known.remembered() if DEV_VM.lower() in entry.key)
    await known.told("DELETE", "/assessments", id=assessment_id(DEV_VM, "disk-encryption"))
    signal = await one(known)
    assert (signal.key, signal.state) == (key(DEV_VM, "disk-encryption"), SignalState.RESOLVED)
    assert signal.details["resolution"] == "deleted"
    assert signal.condition.endswith("Its last status was Unhealthy.")
    assert before.event is not None
    assert signal.order == (before.event[0], 2)
    assert signal.title == "Virtual machines should encrypt temp disks, caches and data flows on dev-01"
    assert signal.details["management_groups"] == "contoso-root"
    assert signal.details["polled"] == "true"
    assert (await known.poll()).deleted == 0


@pytest.mark.parametrize("resource", [places.AWS_INSTANCE, places.GCP_INSTANCE, places.ARC_MACHINE, places.STORAGE])
async def test_whatever_its_cloud_and_spelling_its_end_has_the_key_of_its_beginning(
    stage: Stage, resource: str
) -> None:
    await stage.poll()
    name = "public-storage" if resource == places.STORAGE else "endpoint"
    (began,) = (signal for signal in stage.outbox.take() if signal.key == key(resource, name))
    await stage.told("DELETE", "/assessments", id=assessment_id(resource, name))
    ended = await one(stage)
    assert (ended.key, ended.state, ended.resources) == (began.key, SignalState.RESOLVED, began.resources)


async def test_a_finding_that_returns_is_new_again(known: Stage) -> None:
    await known.find(DEV_VM, "disk-encryption", code="Healthy")
    over = await one(known)
    await known.pass_time(minutes=1)
    await known.find(DEV_VM, "disk-encryption", code="Unhealthy")
    back = await one(known)
    assert back.state is SignalState.FIRED
    assert back.order > over.order


async def test_what_vanished_and_returns_with_its_old_date_comes_after_its_end(known: Stage) -> None:
    lost = await known.find(DEV_VM, "disk-encryption")
    await known.told("DELETE", "/assessments", id=lost["id"])
    gone = await one(known)
    properties = lost["properties"]
    await known.find(DEV_VM, "disk-encryption", properties=properties)
    back = await one(known)
    assert back.state is SignalState.FIRED
    assert back.occurred_at - gone.occurred_at == timedelta(milliseconds=1)
    await known.told("DELETE", "/assessments", id=lost["id"])
    again = await one(known)
    assert again.state is SignalState.RESOLVED
    assert again.order > back.order


async def test_the_end_of_a_finding_is_remembered_for_a_month(known: Stage) -> None:
    await known.told("DELETE", "/assessments", id=assessment_id(DEV_VM, "disk-encryption"))
    await known.poll()
    assert [entry.stage for entry in await known.remembered() if DEV_VM.lower() in entry.key] == [Became.OVER]
    known.later += OVER_FOR
    await known.poll()
    assert not [entry for entry in await known.remembered() if DEV_VM.lower() in entry.key]


async def test_a_change_without_a_new_date_is_told_once_and_comes_later(known: Stage) -> None:
    before = next(entry for entry in await known.remembered() if DEV_VM.lower() in entry.key)
    await known.find(DEV_VM, "disk-encryption", properties={"risk": {"level": "Critical"}})
    signal = await one(known)
    assert signal.details["risk_level"] == "Critical"
    assert before.event is not None
    assert signal.occurred_at == before.event[0] + timedelta(milliseconds=1)
    assert (await known.poll()).changed == 0


async def test_a_new_wording_of_microsoft_is_no_change(known: Stage) -> None:
    await known.find(DEV_VM, "disk-encryption", displayName="Disks should be encrypted", description="Same as before")
    assert (await known.poll()).unchanged == 12
    assert known.outbox.take() == []


async def test_never_unhealthy_is_never_told(known: Stage) -> None:
    await known.find(WEB_2, "vulnerabilities", code="NotApplicable", cause="OffByPolicy")
    await known.told("DELETE", "/assessments", id=assessment_id(places.VAULT, "vault-purge"))
    await known.find(WEB_2, "vault-purge", code="NotApplicable", cause="OffByPolicy")
    result = await known.poll()
    assert known.outbox.take() == []
    assert (result.new, result.resolved, result.deleted) == (0, 0, 0)


async def test_what_was_told_is_followed_to_its_end_when_the_configuration_narrows(known: Stage) -> None:
    await known.find(DEV_VM, "disk-encryption", code="Healthy")
    await known.poll(when={"subscription": known.production})
    (signal,) = known.outbox.take()
    assert (signal.key, signal.state) == (key(DEV_VM, "disk-encryption"), SignalState.RESOLVED)


async def test_findings_below_a_recommendation_and_security_alerts_when_they_are_configured(stage: Stage) -> None:
    kinds = ["sub_assessment", "security_alert"]
    stage.later += timedelta(hours=1)
    subs, alerts = await stage.run(kinds=kinds)
    found = stage.outbox.take()
    assert (subs.new, alerts.new) == (3, 1)
    assert sorted(signal.kind for signal in found) == ["security_alert", *["sub_assessment"] * 3]
    assert all(signal.tags["owner"] for signal in found if signal.kind == "sub_assessment")
    patched = next(signal for signal in found if signal.details["severity"] == "High")
    alert = next(signal for signal in found if signal.kind == "security_alert")
    await stage.told("DELETE", "/subassessments", id=_arm_id(patched))
    await stage.told("DELETE", "/security-alerts", id=alert.details["alert_id"])
    stage.later += timedelta(hours=1)
    subs, alerts = await stage.run(kinds=kinds)
    (ended,) = stage.outbox.take()
    assert (ended.key, ended.details["resolution"]) == (patched.key, "deleted")
    assert (subs.deleted, alerts.deleted) == (1, 0)  # Azure keeps alerts for a time only


async def test_a_dismissed_alert_is_over_and_one_that_is_activated_again_returns(stage: Stage) -> None:
    await stage.poll(kinds=["security_alert"])
    (alert,) = stage.outbox.take()
    item = security_alert(stage.now() - timedelta(days=7))
    assert item["id"] == alert.details["alert_id"]
    states = []
    for status in ("Dismissed", "Active", "InProgress"):
        await stage.told("POST", "/security-alerts", **{**item, "properties": {**item["properties"], "status": status}})
        await stage.poll(kinds=["security_alert"])
        states += stage.outbox.take()
    assert [signal.state for signal in states] == [SignalState.RESOLVED, SignalState.FIRED, SignalState.UPDATED]
    orders = [signal.order for signal in (alert, *states)]
    assert orders == sorted(set(orders))


def _arm_id(signal: Signal) -> str:
    name = signal.key.rpartition("/")[2]
    return f"{assessment_id(WEB_1, 'vulnerabilities')}/subAssessments/{name}"


async def test_other_rules_send_what_is_known_once_more_as_it_was(known: Stage) -> None:
    before = {entry.key: entry.event for entry in await known.remembered()}
    known.rules = "a governance rule was added"
    await known.poll()
    again = known.outbox.take()
    assert again
    assert all(signal.state is SignalState.FIRED for signal in again)
    # The same order: for a finding that has its ticket this is a repetition, and no news.
    assert {signal.order for signal in again} == {event for event in before.values() if event}
    assert {entry.key: entry.event for entry in await known.remembered()} == before
    await known.poll()
    assert known.outbox.take() == []


async def test_what_changed_together_with_the_rules_is_news(known: Stage) -> None:
    before = next(entry for entry in await known.remembered() if DEV_VM.lower() in entry.key)
    known.rules = "another"
    await known.find(DEV_VM, "disk-encryption", code="Healthy")
    await known.poll()
    (signal,) = [signal for signal in known.outbox.take() if signal.key == key(DEV_VM, "disk-encryption")]
    assert before.event is not None
    assert (signal.state, signal.order > before.event) == (SignalState.RESOLVED, True)
