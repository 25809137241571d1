"""What Azure writes about a problem reaches its ticket: each communication once, the rows of a query, who did it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.core.signal import Resource, Signal, SignalState
from shared.mapping.layouts import PLAIN
from shared.mapping.notes import event_note, reopening_note
from shared.mapping.summary import summary as summary_by
from tests.delivery.world import World
from tests.mapping.signals import mapper, signal
from tests.payloads.support import SUB, VM, common, event, fixture, log, parse, read

MAPPER = mapper("default: {connection: desk, ticket: incident}\n")
SUBSCRIPTION = f"/subscriptions/{SUB}"
START = datetime(2026, 11, 20, 15, 41, tzinfo=UTC)

ISSUE = (
    (0, "Active", "<p>We are looking into it.</p>"),
    (30, "Active", "<p>Mitigation: traffic was moved. <b>Second update</b>.</p>"),
    (140, "Resolved", "<p>All clear.</p>"),
    (17_000, "RCA", "<h2>Root cause</h2><p>A config change.</p>"),
)


def health(minute: int, stage: str, communication: str, **properties: Any) -> Signal:
    moment = (START + timedelta(minutes=minute)).isoformat()
    body = event(
        "ServiceHealth",
        {"eventTimestamp": moment, "operationName": "Microsoft.ServiceHealth/incident/action", "level": 3},
        title="Network connectivity - West Europe",
        impactedServices='[{"ServiceName": "Virtual Network", "ImpactedRegions": [{"RegionName": "West Europe"}]}]',
        communication=communication,
        incidentType="Incident",
        trackingId="7TST-9Z8",
        stage=stage,
        **properties,
    )
    body["data"]["essentials"] |= {
        "firedDateTime": moment, "alertTargetIDs": [SUBSCRIPTION], "alertRule": "svc health", "alertId": None,
    }  # fmt: skip
    return read(body)


def description(found: Signal) -> str:
    (route,) = [route for route in [MAPPER.route(found)] if route is not None]
    return MAPPER.ticket(route, found).fields["description"]


def test_each_communication_of_an_issue_is_told_once_and_none_as_fired_again() -> None:
    world = World()
    for number, (minute, stage, text) in enumerate(ISSUE):
        world.now = START + timedelta(minutes=minute)
        world.post(health(minute, stage, text), f"{number:032x}")
        world.work_off()
    (row,) = world.desk.rows.values()
    assert ["traffic was moved" in note for note in row.notes] == [True, False]
    assert "A config change." in row.notes[1]
    assert not any("fired again" in note for note in row.notes)
    found = health(*ISSUE[2])
    route = MAPPER.route(found)
    assert route is not None
    notes = MAPPER.closing(route, found).fields["close_notes"]
    assert notes == "svc health ended at 2026-11-20T18:01:00.000Z, reported by Azure.\n\nAll clear."


GROUPED = "group: {by: '{{ signal.details.tracking_id }}', note_every: 10m}"


def of(subscription: str, found: Signal) -> Signal:
    """The copy of a message that another subscription gets."""
    return replace(found, key=found.key.replace(SUB, subscription), resources=(Resource(id=None, name=subscription),))


@pytest.mark.parametrize("route", [GROUPED, GROUPED.replace("note_every: 10m", "note_every: 1h")])
def test_a_group_over_subscriptions_tells_each_communication_once(route: str) -> None:
    world = World(route=route)
    number = 0
    for minute, stage, text in ISSUE:
        for delay, subscription in enumerate((SUB, "sub-2", "sub-3")):
            world.now = max(world.now, START + timedelta(minutes=minute, seconds=delay * 3))
            number += 1
            world.post(of(subscription, health(minute, stage, text)), f"{number:032x}")
            world.work_off()
        world.work_off(world.now + timedelta(minutes=20))
    (row,) = world.desk.rows.values()
    (draft,) = world.desk.drafts
    (closure,) = world.desk.closures
    told = [draft.fields["description"], *row.notes, closure.fields["close_notes"]]
    for words, where in (
        ("We are looking into it.", 0),
        ("Mitigation: traffic was moved.", None),
        ("All clear.", -1),
        ("A config change.", None),
    ):
        assert sum(words in text for text in told) == 1, words
        if where is not None:
            assert words in told[where]
    assert not any("fired again" in text for text in told)
    assert row.phase.value == "resolved"


def test_communications_of_members_wait_neither_for_the_next_note_nor_for_each_other() -> None:
    world = World(route=GROUPED.replace("10m", "1d"))
    for number, (minute, stage, text) in enumerate(ISSUE[:2]):
        world.now = START + timedelta(minutes=minute)
        world.post(health(minute, stage, text), f"{number:032x}")
        world.work_off(world.now + timedelta(minutes=1))
    (row,) = world.desk.rows.values()
    assert "traffic was moved" in row.notes[0]


def test_a_resolve_that_is_only_a_note_and_a_reopening_tell_the_communication_too() -> None:
    over, again = health(*ISSUE[2]), health(200, "Active", "<p>It is back.</p>")
    words = MAPPER.words(over)
    assert "All clear." in event_note(over, words, "[m]", "t").text
    reopened = reopening_note(again, words, "[m]", "t").text
    assert "It is back." in reopened
    assert "fired again" not in reopened


def test_the_end_that_another_message_reported_is_not_told_in_the_words_of_this_one() -> None:
    found = health(*ISSUE[0])
    route = MAPPER.route(found)
    assert route is not None
    notes = MAPPER.closing(route, found, START + timedelta(hours=2)).fields["close_notes"]
    assert "looking into it" not in notes
    assert "looking into it" not in event_note(found, MAPPER.words(found), "[m]", "t", START).text


@pytest.mark.parametrize("limit", [1_000, 2_000, 4_000])
def test_a_long_communication_leaves_room_for_the_facts(limit: int) -> None:
    layout = MAPPER._layouts["service_health"]
    found = health(0, "Active", "<p>" + "We are working on it. " * 420 + "</p>")
    text = summary_by(found, layout, limit)
    assert len(text) <= limit
    for fact in (
        "Tracking id: 7TST-9Z8", "Stage: Active", "Services: Virtual Network", "Regions: West Europe",
        "Rule: svc health", "Severity: Sev2", f"Resource: {SUBSCRIPTION}", f"Key: {found.key}",
    ):  # fmt: skip
        assert fact in text, fact
    assert text.startswith("We are working on it. ")
    note = event_note(found, MAPPER.words(found), "[m]", "t").text
    assert "7TST-9Z8" in note
    assert note.endswith("[m]")


def test_every_kind_of_long_text_leaves_room_for_the_facts() -> None:
    long = "word " * 1_500
    many = {f"name {number}": "v" * 150 for number in range(100)}
    for changes in (
        {"description": long},
        {"dimensions": many},
        {"custom_properties": many, "dimensions": many, "description": long},
        {"resources": signal().resources * 50, "description": long},
        {"rule": "r" * 512, "description": long, "condition": long[:1_900]},
        {"key": "alert:1:" + "k" * 500, "description": long},
    ):
        found = signal(**{"title": "t", **changes})
        for limit in (1_500, 4_000):
            text = summary_by(found, PLAIN, limit)
            assert len(text) <= limit
            assert f"Key: {found.key}" in text
            assert "Severity: Sev1" in text
            assert "Resource: /subscriptions/" in text
            assert "Rule: " in text
            assert text.endswith("Alert in Azure: https://portal.azure.com/#blade/Alert")


def test_what_is_short_stays_whole_beside_what_is_long() -> None:
    found = signal(description="word " * 1_500 + "\n\n" + "It is over 90.", condition="It is over 90.")
    text = summary_by(found, PLAIN, 4_000)
    assert "…\n\nIt is over 90.\n\nRule: cpu-high" in text
    assert "Dimensions:\n  Instance: 0" in text
    assert "  Team: payments" in text
    assert len(text) > 3_900


def test_a_long_description_of_an_update_is_cut_before_its_condition() -> None:
    found = signal(state=SignalState.UPDATED, description="word " * 1_500 + "\n\nIt is 91.", condition="It is 91.")
    assert "It is 91." in event_note(found, MAPPER.words(found), "[m]", "t").text


def test_the_rows_of_a_log_alert_are_in_its_ticket() -> None:
    cells = [{"name": "Computer", "value": "vm-shop-7"}, {"name": "ErrorText", "value": "disk full"}]
    simple = read(common(log(searchQuery="Heartbeat", event=[cells]), monitoringService="Simple Log Alert"))
    assert "ErrorText: disk full" in description(simple)
    results = {"tables": [{"columns": [{"name": "Computer"}, {"name": "ErrorText"}], "rows": [["vm-7", "disk full"]]}]}
    old = read(common({"SearchQuery": "q", "SearchResults": results}, monitoringService="Log Analytics"))
    assert "Computer: vm-7\nErrorText: disk full" in description(old)


@pytest.mark.parametrize("as_text", [False, True])
def test_an_administrative_alert_says_who_did_it_and_from_where(as_text: bool) -> None:
    claims: Any = {"appid": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c", "name": "Lee Chen", "ipaddr": "203.0.113.9"}
    request: Any = {"clientIpAddress": "203.0.113.7", "clientRequestId": "x"}
    if as_text:
        claims, request = json.dumps(claims), json.dumps(request)
    fields = {
        "caller": "lee.chen@contoso.example", "claims": claims, "httpRequest": request, "status": "Succeeded",
        "operationName": "Microsoft.Compute/virtualMachines/delete", "eventSource": "Administrative",
        "resourceId": VM,
    }  # fmt: skip
    text = description(read(event("Activity Log - Administrative", fields)))
    assert "Done by: lee.chen@contoso.example" in text
    assert "From address: 203.0.113.7" in text
    assert "With the application: c44b4083" in text
    assert "Operation: Microsoft.Compute/virtualMachines/delete" in text
    del fields["caller"], fields["httpRequest"]
    text = description(read(event("Activity Log - Administrative", fields)))
    assert "Done by: Lee Chen" in text
    assert "From address: 203.0.113.9" in text


def test_a_service_that_did_it_is_named_once() -> None:
    claims = {"appid": "c44b4083-3bb0-49c1-b47d-974e53cbdf3c"}
    found = read(event("Activity Log - Administrative", {"claims": claims, "operationName": "x/write"}))
    assert found.details["caller"] == claims["appid"]
    assert "caller_application" not in found.details


def test_activity_fixture_is_read_as_before() -> None:
    (found,) = parse(fixture("common/activity-administrative-rule-id-fired"), START)
    assert isinstance(found, Signal)
    assert "\nStatus: " in description(found)
