"""What goes wrong in a poll, and what the next one makes of it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from connectors.defender.poll import poll as polls
from shared.core.errors import StorageUnavailable
from shared.core.signal import SignalState
from tests.defender_poll.stage import DEV_VM, TILL, WEB_1, WEB_2, Stage, assessment_id, by_key, key


async def test_a_crash_between_queue_and_memory_repeats_what_delivery_takes_for_duplicates(stage: Stage) -> None:
    stage.outbox.room = 4
    with pytest.raises(StorageUnavailable):
        await stage.poll()
    first = by_key(stage.outbox.take())
    assert len(first) == 4
    stage.outbox.room = None
    await stage.poll()
    second = by_key(stage.outbox.take())
    assert len(second) == 9
    assert {name: one.order for name, one in first.items()}.items() <= {
        name: one.order for name, one in second.items()
    }.items()


async def test_a_repeated_change_and_a_repeated_end_have_the_order_of_the_first(stage: Stage) -> None:
    await stage.poll()
    stage.outbox.take()
    await stage.find(WEB_1, "vulnerabilities", properties={"risk": {"level": "Low"}})
    await stage.told("DELETE", "/assessments", id=assessment_id(DEV_VM, "disk-encryption"))
    orders = []
    for room in (1, 2):
        stage.outbox.room = room
        if room == 1:
            with pytest.raises(StorageUnavailable):
                await stage.poll()
        else:
            await stage.poll()
        orders.append({one.key: one.order for one in stage.outbox.take()})
    assert len(orders[1]) == 2
    assert orders[0].items() <= orders[1].items()


async def test_a_page_that_fails_costs_only_what_it_held(stage: Stage) -> None:
    await stage.poll()
    stage.outbox.take()
    await stage.find(WEB_2, "disk-encryption", code="Healthy")
    await stage.told("POST", "/scenarios", type="fail", match={"path": "ResourceGraph"}, after=2, retry_after=99)
    broken = await stage.poll(page=3)
    assert not broken.finished
    assert "503" in broken.reason
    assert broken.deleted == 0
    await stage.told("DELETE", "/scenarios")
    whole = await stage.poll(page=3)
    told = stage.outbox.take()
    assert [one.key for one in told if one.state is SignalState.RESOLVED] == [key(WEB_2, "disk-encryption")]
    assert len(told) == 1
    assert whole.finished
    assert len(await stage.remembered()) == 9


async def test_throttled_is_logged_and_continued(stage: Stage) -> None:
    await stage.told("POST", "/scenarios", type="throttle", match={"path": "ResourceGraph"}, retry_after=120)
    result = await stage.poll()
    assert not result.finished
    assert "429 (RateLimiting" in result.reason
    await stage.told("DELETE", "/scenarios")
    (again,) = await stage.run()  # at once: it has not been brought to an end
    assert again.finished
    assert again.new == 9


async def test_a_poll_is_due_when_its_time_has_come(stage: Stage) -> None:
    assert len(await stage.run(every="2h")) == 1
    stage.later += timedelta(hours=1)
    assert await stage.run(every="2h") == []
    stage.later += timedelta(minutes=59)
    assert len(await stage.run(every="2h")) == 1


async def test_without_time_a_poll_goes_on_with_the_subscription_where_it_was(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await stage.told("POST", "/populate", subscriptions=4, assessments=3, unhealthy=1.0)
    part = stage.tenant(subscriptions=made["subscriptions"])
    monkeypatch.setattr(polls, "MOST_TIME", timedelta())
    runs = [(await stage.run(part, page=4))[0] for _ in range(4)]
    assert [one.read for one in runs] == [4, 4, 4, 3]  # of what a run has begun, the next one begins anew
    assert [one.finished for one in runs] == [False, False, False, True]
    assert [one.calls for one in runs] == [3, 3, 3, 3]  # subscriptions, a page, tags; nothing is asked for twice
    assert len(by_key(stage.outbox.take())) == 12
    assert len(await stage.remembered()) == 12
    assert await stage.run(part, page=4) == []
    gone = (await stage.remembered())[0]
    await stage.told("DELETE", "/assessments", id=gone.key)
    monkeypatch.undo()
    assert ((await stage.poll(part)).deleted, len(stage.outbox.take())) == (1, 1)


async def test_a_question_that_fails_in_the_midst_of_a_page_loses_nothing_of_it(stage: Stage) -> None:
    await stage.poll()
    stage.outbox.take()
    await stage.find(WEB_1, "vulnerabilities", properties={"risk": {"level": "Low"}})
    await stage.told("POST", "/scenarios", type="fail", match={"path": "ResourceGraph"}, after=1, retry_after=99)
    broken = await stage.poll()  # the page comes, the tags do not
    assert (broken.finished, broken.changed, stage.outbox.take()) == (False, 0, [])
    assert len(await stage.remembered()) == 9
    await stage.told("DELETE", "/scenarios")
    assert ((await stage.poll()).changed, len(stage.outbox.take())) == (1, 1)


async def test_what_a_list_left_out_because_it_moved_is_not_gone(stage: Stage) -> None:
    """A finding before the page's end is deleted while the next page is on its way: everything moves up by one."""
    await stage.poll()
    stage.outbox.take()
    gone = (await stage.remembered())[0].key
    async with _between_pages(stage, lambda: stage.told("DELETE", "/assessments", id=gone)):
        result = await stage.poll(page=4)
    assert result.read < 12, "the stand-in shifts its pages"
    assert stage.outbox.take() == []
    later = await stage.poll(page=4)
    (ended,) = stage.outbox.take()
    assert (ended.origin.lower(), later.deleted) == (gone, 1)


async def test_what_a_list_shows_twice_because_it_moved_is_told_once(stage: Stage) -> None:
    early = f"/subscriptions/{min(stage.clouds.subscriptions)}"
    async with _between_pages(stage, lambda: stage.find(early, "vault-purge")):
        result = await stage.poll(page=4)
    assert result.repeated == 1
    assert len(by_key(stage.outbox.take())) == 9
    assert (await stage.poll(page=4)).new == 1


async def test_a_subscription_that_is_not_seen_any_more_has_lost_nothing(stage: Stage) -> None:
    await stage.poll()
    stage.outbox.take()
    await stage.told("DELETE", "/grants", identity="bridge", tenant="contoso", scope="/")
    actions = ["Microsoft.ResourceGraph/resources/read"]
    scope = f"/subscriptions/{stage.production}"
    await stage.told("POST", "/grants", identity="bridge", tenant="contoso", scope=scope, actions=actions)
    blind = await stage.poll()
    assert (stage.outbox.take(), blind.unseen, blind.deleted) == ([], 1, 0)
    await stage.told("POST", "/grants", identity="bridge", tenant="contoso", scope="/", actions=actions)
    again = await stage.poll()
    assert (stage.outbox.take(), again.unseen, again.unchanged) == ([], 0, 12)


async def test_an_identity_without_rights_says_what_to_do_and_changes_nothing(stage: Stage) -> None:
    await stage.poll()
    await stage.told("POST", "/scenarios", type="deny", match={"path": "ResourceGraph"})
    refused = await stage.poll()
    assert not refused.finished
    assert "403" in refused.reason
    assert "Security Reader" in refused.reason
    assert len(await stage.remembered()) == 9


async def test_a_result_without_some_subscriptions_lets_nothing_be_gone(stage: Stage) -> None:
    await stage.poll()
    stage.outbox.take()
    await stage.told("PATCH", "/settings", graph_subscription_limit_hit=True)
    await stage.told("DELETE", "/assessments", id=assessment_id(DEV_VM, "disk-encryption"))
    result = await stage.poll()
    assert (stage.outbox.take(), result.unseen) == ([], 1)
    assert "x-ms-tenant-subscription-limit-hit" in result.reason


async def test_one_tenant_that_fails_does_not_stop_the_other(stage: Stage) -> None:
    stage.later += timedelta(hours=1)
    contoso, fabrikam = await stage.run(stage.tenant(client="stranger"), stage.tenant(other=True))
    assert not contoso.finished
    assert contoso.reason
    assert fabrikam.finished
    assert [one.key for one in stage.outbox.take()] == [key(TILL, "endpoint")]


async def test_two_tenants_are_told_apart(stage: Stage) -> None:
    stage.later += timedelta(hours=1)
    await stage.run(stage.tenant(), stage.tenant(other=True))
    found = by_key(stage.outbox.take())
    till = found[key(TILL, "endpoint")]
    assert len(found) == 10
    assert (till.details["tenant_id"], till.details["management_groups"]) == (
        stage.clouds.other_tenant_id,
        "fabrikam-root",
    )
    ancestries = await stage.ancestries()
    assert ancestries.of(stage.retail.upper()).groups == ("fabrikam-root",)
    assert ancestries.of(stage.production).tenant == stage.clouds.tenant_id
    assert ancestries.of("00000000-0000-0000-0000-000000000000").groups == ()


async def test_only_what_lies_below_a_management_group(stage: Stage) -> None:
    result = await stage.poll(stage.tenant(management_groups=["contoso-production"]))
    assert result.new == 8
    assert all(stage.production in one.key for one in stage.outbox.take())


async def test_only_some_subscriptions_and_leaving_one_out_later_ends_nothing(stage: Stage) -> None:
    both = [stage.production.upper(), stage.development]
    assert (await stage.poll(stage.tenant(subscriptions=both))).new == 9
    stage.outbox.take()
    narrowed = await stage.poll(stage.tenant(subscriptions=[stage.production]))
    assert (stage.outbox.take(), narrowed.unseen) == ([], 1)


def _between_pages(stage: Stage, change: Any) -> Any:
    """What happens between the first page of a list of findings and the second."""
    from contextlib import asynccontextmanager
    from unittest.mock import patch

    from connectors.microsoft.resource_graph import ResourceGraph

    real = ResourceGraph._page
    done: list[Any] = []

    async def changed(self: ResourceGraph, body: Any) -> Any:
        answer = await real(self, body)
        if re.match("securityresources", body["query"]) and not done:
            done.append(await change())
        return answer

    @asynccontextmanager
    async def during() -> Any:
        with patch.object(ResourceGraph, "_page", changed):
            yield
        assert done

    return during()
