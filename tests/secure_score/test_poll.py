"""The timer: which controls become tickets, once; and which tickets end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.secure_score.poll.states import ScoreStates
from shared.core.errors import StorageUnavailable
from shared.core.jobs import JobRun
from shared.core.link import link_id
from shared.platform.tables import RowAddress
from tests.secure_score.world import EVERYTHING, World
from tests.storage.damage import damage, heard

#: Controls of the first day that are neither complete, nor settled, nor deprecated.
OPEN = {
    "adminmfav2",
    "dlpenabled",
    "mip_sensitivitylabelspolicies",
    "intunedevicecompliance",
    "exo_oauth2clientprofileenabled",
    "scid_2000",
}


def controls(world: World) -> set[str]:
    """What lies on the queue, by control."""
    return {signal.details["control_id"].lower() for signal in world.line.signals}


async def test_every_control_that_needs_one_gets_a_change_once(world: World) -> None:
    world.configure(EVERYTHING)
    first = await world.poll()
    assert (first.controls, first.deprecated, first.filed, first.resolved) == (9, 1, 6, 0)
    assert controls(world) == OPEN
    await world.work_off()
    assert len(await world.tickets()) == 6
    writes = await world.writes()
    again = await world.poll()
    assert (again.filed, again.resolved, world.line.waiting) == (0, 0, [])
    assert await world.writes() == writes


async def test_nothing_is_read_before_its_time(world: World) -> None:
    world.configure(EVERYTHING, every="2d")
    await world.poll()
    assert await world.scores.poll_scores() == []
    world.later += timedelta(days=1)
    assert await world.scores.poll_scores() == []
    assert await world.poll()


async def test_a_dry_run_shows_what_would_be_filed_and_neither_queues_nor_remembers_it(world: World) -> None:
    world.configure(EVERYTHING)
    asked = JobRun(dry_run=True)
    (tried,) = await world.scores.poll_scores(asked)
    assert (tried.controls, tried.filed, world.line.waiting) == (9, 6, [])
    assert len(asked.samples) == 6
    assert (await ScoreStates(world.storage).load(world.clouds.tenant_id)).controls == {}
    assert (await world.poll()).filed == 6, "the dry run left all to this one"
    assert len(await world.scores.poll_scores(JobRun(always=True))) == 1, "a person does not wait until it is due"


async def test_a_rule_says_priority_due_date_and_fields(world: World) -> None:
    rules = [
        {
            "name": "admins first",
            "when": {"control": "AdminMFA*"},
            "priority": 1,
            "due_in": "14d",
            "fields": {"assignment_group": "Service Desk"},
        },
        {"name": "data", "when": {"category": "Data", "max_score": 5}, "priority": 4},
    ]
    world.configure(rules, requested_by="abel.tuter", fields={"assigned_to": "Beth Anglin"})
    await world.file()
    first, second = sorted(await world.tickets(), key=lambda row: row["priority"])
    assert first["short_description"] == (
        "Microsoft 365 Security and Configuration Change Request: Require MFA for administrative roles"
    )
    assert (first["requested_by"], first["assignment_group"]) == ("Abel Tuter", "Service Desk")
    assert first["priority"].startswith("1")
    assert second["priority"].startswith("4")
    due = (world.now() + timedelta(days=14)).date().isoformat()
    assert (first["due_date"][:10], first["requested_by_date"][:10], second["due_date"]) == (due, due, "")
    assert {first["assigned_to"], second["assigned_to"]} == {"Beth Anglin"}
    assert second["assignment_group"] == ""
    for part in (
        "Task: Require MFA for administrative roles",
        "Category: Identity\nRecommendation source: Microsoft\nRequested by: abel.tuter\nPriority: 1\nDue date: ",
        "\n\nScore 6.5 of 10 (65 %).\n\nTask: ",
        "Remediation steps:\nRequire MFA for administrative roles:",
        "control=AdminMFAV2",
    ):
        assert part in first["description"], part


async def test_a_score_that_drops(world: World) -> None:
    world.configure([{"name": "worse", "when": {"dropped": True}}])
    assert (await world.poll()).filed == 0
    await world.score("AdminMFAV2", 8.0)
    assert (await world.poll()).filed == 0
    await world.score("AdminMFAV2", 4.0)
    await world.score("DLPEnabled", 20.0)
    assert (await world.file()).filed == 1
    assert "Score 4 of 10" in (await world.ticket())["description"]


async def test_a_score_that_moves_is_noted_and_the_full_score_resolves(world: World) -> None:
    world.configure([{"name": "mfa", "when": {"control": "AdminMFAV2"}}], ticket="incident")
    await world.file()
    await world.score("AdminMFAV2", 8.0)
    assert (await world.file()).filed == 1
    assert "Score 8 of 10" in (await world.ticket("incident"))["work_notes"]
    await world.score("AdminMFAV2", 10.0)
    assert (await world.file()).resolved == 1
    ticket = await world.ticket("incident")
    assert (ticket["state_value"], ticket["close_code"]) == ("6", "Solution provided")
    assert "(full score)" in ticket["close_notes"]
    assert (await world.file()).resolved == 0


async def test_a_full_score_without_a_ticket_needs_nothing(world: World) -> None:
    world.configure([{"name": "mfa", "when": {"control": "AdminMFAV2"}}])
    await world.file()
    await world.score("DLPEnabled", 20.0)
    polled = await world.poll()
    assert (polled.filed, polled.resolved, world.line.waiting) == (0, 0, [])


async def test_what_happens_on_the_day_of_the_last_event_is_no_older_than_it(world: World) -> None:
    world.configure([{"name": "mfa", "when": {"control": "AdminMFAV2"}}], ticket="incident", every="1h")
    await world.file()
    hour = timedelta(hours=1)
    await world.score("AdminMFAV2", 10.0)
    await world.file(hour)
    assert (await world.ticket("incident"))["state_value"] == "6"
    await world.score("AdminMFAV2", 7.0)
    await world.file(hour)
    assert (await world.ticket("incident"))["state_value"] == "2"
    await world.score("AdminMFAV2", 10.0)
    await world.file(hour)
    assert (await world.ticket("incident"))["state_value"] == "6"


async def test_a_control_that_falls_back_reopens_its_ticket_whatever_the_rules_say_by_then(world: World) -> None:
    world.configure([{"name": "mfa", "when": {"control": "AdminMFAV2"}}], ticket="incident", reopen_window="7d")
    await world.file()
    await world.score("AdminMFAV2", 10.0)
    await world.file()
    world.configure([], ticket="incident", reopen_window="7d")
    await world.score("AdminMFAV2", 9.0)
    await world.file()
    assert (await world.ticket("incident"))["state_value"] == "2"


async def test_what_the_tenant_settled_and_what_microsoft_took_away_ends(world: World) -> None:
    world.configure(
        [{"name": "data", "when": {"category": ["Data", "Apps", "Devices"]}}], ticket="incident", reopen_window="7d"
    )
    await world.file()
    assert len(await world.tickets("incident")) == 4
    await world.settle("DLPEnabled", "ignored")
    await world.remove("mip_sensitivitylabelspolicies")
    await world.profile("IntuneDeviceCompliance", deprecated=True)
    assert (await world.file()).resolved == 3
    notes = {row["close_notes"].rpartition("(")[2].partition(")")[0] for row in await world.tickets("incident")}
    assert notes == {"", "ignored", "no longer listed", "deprecated"}
    await world.settle("DLPEnabled", "default")
    assert (await world.file()).filed == 1
    assert [row["state_value"] for row in await world.tickets("incident")].count("2") == 1


async def test_a_list_that_is_not_whole_makes_nothing_vanish(world: World) -> None:
    world.configure([{"name": "data", "when": {"category": "Data"}}])
    await world.file()
    await world.remove("DLPEnabled")
    await world.cloud("partial_content", match={"operation": "secureScoreControlProfiles/read"}, times=1)
    polled = await world.poll()
    assert polled.partial.startswith("199")
    assert (polled.resolved, world.line.waiting) == (0, [])
    # It is read again in the next hour, and not a day later.
    assert (await world.poll(timedelta(hours=1))).resolved == 1


async def test_pages_are_followed_and_a_list_that_goes_in_circles_is_given_up(world: World) -> None:
    world.configure(EVERYTHING)
    await world.setting(graph_page_size=2)
    polled = await world.poll()
    assert (polled.controls, polled.calls) == (9, 6)
    await world.cloud("empty_page", match={"operation": "secureScoreControlProfiles/read"})
    await world.remove("DLPEnabled")
    polled = await world.poll()
    assert "circles" in polled.reason
    assert polled.resolved == 0


async def test_throttling_is_waited_out_or_the_next_hour_does_it(world: World) -> None:
    world.configure(EVERYTHING)
    match = {"operation": "secureScoreControlProfiles/read"}
    await world.cloud("throttle", match=match, times=1, retry_after=1)
    polled = await world.poll()
    assert (polled.filed, polled.calls) == (6, 3)
    times = [one["time"] for one in await world.requests() if one["operation"] == match["operation"]]
    assert len(set(times)) > 1
    await world.cloud("throttle", match=match, times=1, retry_after=600)
    polled = await world.poll()
    assert "429" in polled.reason
    assert polled.calls == 1
    assert (await world.poll(timedelta(hours=1))).reason == ""


async def test_a_run_that_died_before_it_remembered_is_repeated_without_harm(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.configure([{"name": "data", "when": {"category": "Data"}}], ticket="incident")
    with monkeypatch.context() as dying:

        async def dies(*_: object) -> None:
            raise StorageUnavailable("the run dies here")

        dying.setattr(ScoreStates, "save", dies)
        with pytest.raises(StorageUnavailable):
            await world.poll()
    await world.work_off()
    assert (await world.file(timedelta(hours=1))).filed == 0
    rows = await world.tickets("incident")
    assert len(rows) == 2
    assert not any("again" in row["work_notes"] for row in rows)


async def test_rules_that_change_apply_to_what_did_not(world: World) -> None:
    world.configure([])
    await world.file()
    world.configure([{"name": "mfa", "when": {"control": "AdminMFAV2"}}])
    assert (await world.file()).filed == 1
    world.configure([{"name": "all of identity", "when": {"category": "Identity"}}])
    assert (await world.file()).filed == 0
    assert len(await world.tickets()) == 1


async def test_each_tenant_for_itself(world: World) -> None:
    other = world.clouds.other_tenant_id
    tenants = [
        {"sign_in": world.sign_in()},
        {"sign_in": world.sign_in(other, certificate={"secret": "certificate"})},
    ]
    world.configure([{"name": "mfa", "when": {"control": "AdminMFAV2"}}], tenants=tenants)
    polled = await world.scores.poll_scores()
    assert [(one.tenant, one.controls, one.filed) for one in polled] == [(world.clouds.tenant_id, 9, 1), (other, 3, 1)]
    await world.work_off()
    assert len(await world.tickets()) == 2
    await world.score("AdminMFAV2", 10.0, tenant=other)
    await world.cloud("deny", match={"operation": "secureScores/read"}, times=1)
    world.later += timedelta(days=1)
    first, second = await world.scores.poll_scores()
    assert "SecurityEvents.Read.All" in first.reason
    assert "SecurityEvents.ReadWrite.All" in first.reason
    assert (second.reason, second.resolved) == ("", 1)


async def test_a_control_whose_link_cannot_be_read_waits_and_the_others_go_on(world: World) -> None:
    world.configure(EVERYTHING)
    await world.file()
    link = await world.link("AdminMFAV2")
    assert link is not None
    row = link_id(link.key)
    await world.score("AdminMFAV2", 10.0)
    await world.score("DLPEnabled", 0.0)
    await damage(world.services.storage, "links", RowAddress(row[:2], row), Stage="half open")
    with heard() as said:
        result = await world.poll()
    assert (result.resolved, result.reason) == (0, "")
    assert [one["row"] for one in said] == [row]
    await damage(world.services.storage, "links", RowAddress(row[:2], row), Stage=link.stage.value)
    assert (await world.poll()).resolved == 1
