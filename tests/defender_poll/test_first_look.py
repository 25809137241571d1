"""What the first poll of a tenant finds, with every quirk that real findings have."""

from __future__ import annotations

from local.azure.demo import inventory as places
from local.azure.demo.findings import key_of
from shared.core.signal import SignalState
from tests.defender_poll.stage import DEV_VM, WEB_1, WEB_2, Stage, by_key, key


async def test_everything_unhealthy_is_new_and_nothing_else(stage: Stage) -> None:
    result = await stage.poll()
    found = by_key(stage.outbox.take())
    assert found.keys() == {
        key(WEB_1, "vulnerabilities"),
        key(WEB_2, "disk-encryption"),
        key(places.STORAGE, "public-storage"),
        key(f"/subscriptions/{stage.production}", "owner-mfa"),
        key(places.ARC_MACHINE, "endpoint"),
        key(places.AWS_INSTANCE, "endpoint"),
        key(places.GCP_INSTANCE, "endpoint"),
        key(DEV_VM, "disk-encryption"),
        f"recommendation:1:{places.REGISTRY.lower()}/contoso-registry-check",
    }
    assert all(one.state is SignalState.FIRED for one in found.values())
    # healthy, off by policy and exempted from the start: no findings
    assert (result.read, result.new, result.unchanged) == (12, 9, 3)
    assert result.finished
    assert not result.reason


async def test_a_finding_says_all_that_a_ticket_and_its_owner_need(stage: Stage) -> None:
    await stage.poll()
    one = by_key(stage.outbox.take())[key(WEB_1, "vulnerabilities")]
    assert one.title == "Machines should have vulnerability findings resolved on web-01"
    assert one.severity == 0  # risk Critical beats severity High
    assert one.tags == {"owner": "lee.gu@contoso.example", "service": "Shop"}
    assert one.origin.lower() == f"{WEB_1}/providers/Microsoft.Security/assessments/{key_of('vulnerabilities')}".lower()
    assert one.links["portal"].startswith("https://portal.azure.com/#blade/Microsoft_Azure_Security")
    assert one.details["tenant_id"] == stage.clouds.tenant_id
    assert one.details["management_groups"] == "contoso-production, contoso-root"
    assert one.details["polled"] == "true"
    assert one.details["remediation_steps"].startswith("1. Review the findings.\n2. Install")


async def test_ids_in_any_case_find_tags_and_groups_of_their_resource(stage: Stage) -> None:
    await stage.told("POST", "/resources", id=places.STORAGE, tags={"Owner": "kim.akers@contoso.example"})
    await stage.poll()
    one = by_key(stage.outbox.take())[key(places.STORAGE, "public-storage")]
    assert (one.resources[0].id or "").startswith("/SUBSCRIPTIONS/")
    assert one.tags == {"Owner": "kim.akers@contoso.example"}
    assert one.details["management_groups"] == "contoso-production, contoso-root"


async def test_resources_of_other_clouds_keep_their_own_names(stage: Stage) -> None:
    await stage.poll()
    found = by_key(stage.outbox.take())
    aws, gcp = found[key(places.AWS_INSTANCE, "endpoint")], found[key(places.GCP_INSTANCE, "endpoint")]
    assert aws.details["environment"] == "Aws"
    assert aws.details["native_id"].startswith("arn:aws:ec2:")
    assert (gcp.details["environment"], gcp.resources[0].name) == ("Gcp", "shop-cache")
    assert aws.resources[0].subscription_id == stage.production
    assert aws.details["management_groups"] == "contoso-production, contoso-root"


async def test_findings_of_a_subscription_or_a_resource_group_have_its_tags(stage: Stage) -> None:
    whole, group = f"/subscriptions/{stage.production}", f"/subscriptions/{stage.production}/resourceGroups/rg-shop"
    await stage.told("POST", "/resources", id=whole, tags={"owner": "kim.akers@contoso.example"})
    await stage.told("POST", "/resources", id=group, tags={"owner": "lee.gu@contoso.example"})
    await stage.find(group, "owner-mfa")
    await stage.poll()
    found = by_key(stage.outbox.take())
    assert found[key(whole, "owner-mfa")].tags == {"owner": "kim.akers@contoso.example"}
    assert found[key(group, "owner-mfa")].tags == {"owner": "lee.gu@contoso.example"}


async def test_the_configuration_chooses(stage: Stage) -> None:
    result = await stage.poll(when={"tags": {"service": "shop"}})
    assert {one.key for one in stage.outbox.take()} == {
        key(WEB_1, "vulnerabilities"),
        key(WEB_2, "disk-encryption"),
    }
    assert (result.new, result.left) == (2, 7)


async def test_what_was_left_is_judged_again_when_the_configuration_changes(stage: Stage) -> None:
    await stage.poll(when={"subscription": stage.development})
    stage.outbox.take()
    again = await stage.poll(when={"subscription": stage.development})
    assert (again.new, again.left, again.unchanged) == (0, 0, 12)
    wider = await stage.poll()
    assert (wider.new, wider.changed) == (8, 0)


async def test_what_was_left_is_judged_again_after_a_day_because_tags_change(stage: Stage) -> None:
    await stage.poll(when={"tags": {"team": "retail"}})
    await stage.told("POST", "/resources", id=DEV_VM, tags={"team": "retail"})
    soon = await stage.poll(when={"tags": {"team": "retail"}})
    assert soon.new == 0
    await stage.pass_time(days=1)
    late = await stage.poll(when={"tags": {"team": "retail"}})
    assert late.new == 1
    assert [one.key for one in stage.outbox.take()] == [key(DEV_VM, "disk-encryption")]
