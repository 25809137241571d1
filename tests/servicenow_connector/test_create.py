"""Creating tickets: one call, one row, and the truth about what became of it."""

from __future__ import annotations

import pytest

from connectors.servicenow import ServiceNow
from shared.core.errors import OutcomeUnknown, Refused, Throttled, Unavailable
from shared.core.ticket_system import Closure, Draft, Phase, TicketKind, TicketRef
from tests.servicenow_connector.conftest import Connect
from tests.servicenow_connector.scripted import Asked, Echo, Instance, Say, page, refusal, result

ID = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
KEY = "alert:1:12345678-1234-1234-1234-123456789012"
FIELDS = {"short_description": "Disk full", "impact": "2", "urgency": "1"}
DRAFT = Draft(TicketKind.INCIDENT, ID, KEY, FIELDS)
DUPLICATE = refusal(403, "Operation Failed", "Error during insert of incident (INC0010001)")
ABORTED = refusal(403, "Operation Failed", "Operation against file 'incident' was aborted by Business Rule 'x^y'.")
TABLES = {TicketKind.INCIDENT: "incident", TicketKind.PROBLEM: "problem", TicketKind.CHANGE_REQUEST: "change_request"}


def row(**more: str) -> dict[str, str]:
    return {
        "sys_id": ID,
        "number": "INC0010001",
        "state": "1",
        "active": "true",
        "correlation_id": KEY,
        "correlation_display": "Azure ITSM Bridge",
        **FIELDS,
        **more,
    }


@pytest.mark.parametrize("kind", list(TABLES))
async def test_create_is_one_call_that_bears_our_id_and_key(
    instance: Instance, connector: ServiceNow, kind: TicketKind
) -> None:
    instance.handler = Echo(number="TKT0000001")
    ticket = await connector.create(Draft(kind, ID, KEY, FIELDS))
    assert instance.calls == [f"POST /api/now/table/{TABLES[kind]}"]
    assert instance.asked[0].json == {
        "sys_id": ID,
        "correlation_id": KEY,
        "correlation_display": "Azure ITSM Bridge",
        **FIELDS,
    }
    assert (ticket.ref.kind, ticket.ref.id, ticket.ref.correlation) == (kind, ID, KEY)
    assert ticket.ref.number
    assert ticket.ref.url == f"{instance.url}/nav_to.do?uri={TABLES[kind]}.do%3Fsys_id%3D{ID}"
    assert (ticket.phase, ticket.state, ticket.dropped) == (Phase.OPEN, "1", ())
    assert connector.honours_ids is True


@pytest.mark.parametrize("kind", list(TABLES))
async def test_the_first_note_goes_to_the_work_notes_unless_the_fields_have_some(
    instance: Instance, connector: ServiceNow, kind: TicketKind
) -> None:
    instance.handler = Echo()
    own = {**FIELDS, "work_notes": "by the route"}
    for name, fields in (("a", FIELDS), ("b", own), ("c", {**FIELDS, "work_notes": ""})):
        await connector.create(Draft(kind, ID, f"{KEY}{name}", fields, note="[code]opened[/code]"))
    await connector.create(Draft(kind, ID, KEY, FIELDS))
    notes = [asked.json.get("work_notes") for asked in instance.asked]
    assert notes == ["(code)opened(/code)", "by the route", "", None]


async def test_a_ticket_that_follows_another_keeps_its_first_note(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Echo()
    closed = TicketRef(TicketKind.INCIDENT, OTHER, "alert:1:b", "INC0000007")
    await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, FIELDS, follows=closed, note="opened"))
    assert instance.asked[0].json["work_notes"] == "Follows INC0000007, the earlier ticket of the same problem.\nopened"


async def test_the_answer_is_asked_for_what_is_compared_and_no_more(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Echo()
    await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, {**FIELDS, "work_notes": "x"}))
    asked = instance.asked[0].query
    assert asked["sysparm_exclude_reference_link"] == "true"
    names = asked["sysparm_fields"].split(",")
    assert set(names) == {"sys_id", "number", "state", "active", "correlation_id", "correlation_display", *FIELDS}
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("echo", "lost"),
    [
        ({"impact": "3"}, ("impact",)),
        ({"short_description": "Disk"}, ("short_description",)),
        ({"correlation_id": KEY[:20]}, ("correlation_id",)),
        ({"correlation_display": ""}, ("correlation_display",)),
        ({"state": "2"}, ()),
    ],
)
async def test_what_came_back_different_is_reported(
    instance: Instance, connector: ServiceNow, echo: dict[str, str], lost: tuple[str, ...]
) -> None:
    instance.says(result(row(**echo), 201))
    assert (await connector.create(DRAFT)).dropped == lost


async def test_a_field_that_the_table_does_not_have_is_reported(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result(row(), 201))
    ticket = await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, {**FIELDS, "u_no_such_field": "x"}))
    assert ticket.dropped == ("u_no_such_field",)


async def test_a_ticket_whose_key_did_not_arrive_is_warned_about(
    instance: Instance, connector: ServiceNow, caplog: pytest.LogCaptureFixture
) -> None:
    instance.says(result(row(correlation_id=""), 201))
    await connector.create(DRAFT)
    assert "INC0010001 came back without its correlation_id" in caplog.text


async def test_long_text_is_cut_by_us_so_that_nothing_seems_dropped(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Echo()
    ticket = await connector.create(
        Draft(TicketKind.INCIDENT, ID, KEY, {"short_description": "x" * 300, "description": "y" * 9000 + "\x00"})
    )
    sent = instance.asked[0].json
    assert (len(sent["short_description"]), len(sent["description"])) == (160, 4000)
    assert ticket.dropped == ()


async def test_fields_of_ours_cannot_be_overridden(instance: Instance, connector: ServiceNow) -> None:
    instance.handler = Echo()
    ours = {"sys_id": OTHER, "correlation_id": "x", "correlation_display": "y"}
    ticket = await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, ours))
    assert (ticket.ref.id, ticket.dropped) == (ID, ())
    assert instance.asked[0].json["correlation_id"] == KEY


async def test_a_repeated_create_finds_the_first_row(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DUPLICATE, result(row(state="2")))
    ticket = await connector.create(DRAFT)
    assert (ticket.ref.id, ticket.ref.number, ticket.state) == (ID, "INC0010001", "2")
    assert instance.calls == ["POST /api/now/table/incident", f"GET /api/now/table/incident/{ID}"]


@pytest.mark.parametrize("status", [403, 500])
async def test_a_duplicate_that_cannot_be_seen_leaves_the_outcome_open_and_names_the_right(
    instance: Instance, connector: ServiceNow, status: int
) -> None:
    instance.says(
        refusal(status, "Operation Failed", "Unique Key violation detected by database (Duplicate entry)"),
        refusal(404, "No Record found"),
        result([]),
    )
    with pytest.raises(OutcomeUnknown) as caught:
        await connector.create(DRAFT)
    assert type(caught.value) is OutcomeUnknown
    assert "right to read the incident records" in caught.value.advice
    assert caught.value.status == status


async def test_a_duplicate_that_is_not_ours_is_not_taken_for_ours(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DUPLICATE, result(row(correlation_id="alert:1:other")), result([]))
    with pytest.raises(OutcomeUnknown):
        await connector.create(DRAFT)


async def test_when_the_look_up_after_a_duplicate_fails_nothing_is_claimed(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.says(DUPLICATE, page("<html>busy</html>", 503))
    with pytest.raises(Unavailable):
        await connector.create(DRAFT)


async def test_an_answer_without_the_row_leaves_the_outcome_open(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result({"number": "INC0010001"}, 201))
    with pytest.raises(OutcomeUnknown, match="which record was made"):
        await connector.create(DRAFT)


async def test_an_instance_that_ignores_ids_gives_its_own_and_is_remembered(
    instance: Instance, connector: ServiceNow, caplog: pytest.LogCaptureFixture
) -> None:
    instance.says(result(row(sys_id=OTHER), 201))
    ticket = await connector.create(DRAFT)
    assert (ticket.ref.id, ticket.dropped) == (OTHER, ())
    assert connector.honours_ids is False
    assert "ignores the sys_id" in caplog.text


async def test_where_ids_are_ignored_a_repeated_create_looks_for_the_key_first(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.says(result(row(sys_id=OTHER), 201), refusal(404, "No Record found"), result([row(sys_id=OTHER)]))
    first = await connector.create(DRAFT)
    second = await connector.create(DRAFT)
    assert first.ref == second.ref
    assert [call.split()[0] for call in instance.calls] == ["POST", "GET", "GET"]


@pytest.mark.parametrize("standing", [{"state": "7", "active": "false"}, {"sys_id": "a" * 32}])
async def test_where_ids_are_ignored_a_closed_or_followed_ticket_is_not_taken_for_the_new_one(
    instance: Instance, connector: ServiceNow, standing: dict[str, str]
) -> None:
    instance.says(
        result(row(sys_id=OTHER), 201),
        refusal(404, "No Record found"),
        result([row(**{"sys_id": OTHER, **standing})]),
        result(row(sys_id="b" * 32), 201),
    )
    await connector.create(DRAFT)
    follows = TicketRef(TicketKind.INCIDENT, "a" * 32, KEY, "INC0010001")
    again = await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, FIELDS, follows=follows))
    assert again.ref.id == "b" * 32


async def test_a_ticket_that_follows_a_closed_one_says_so_and_points_to_it(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.handler = Echo()
    follows = TicketRef(TicketKind.INCIDENT, OTHER, "alert:1:a", "INC0009999")
    await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, FIELDS, follows=follows))
    assert instance.asked[0].json["parent"] == OTHER
    assert instance.asked[0].json["work_notes"] == "Follows INC0009999, the earlier ticket of the same problem."
    await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, {"work_notes": "Mine"}, follows=follows))
    assert instance.asked[1].json["work_notes"] == "Follows INC0009999, the earlier ticket of the same problem.\nMine"
    assert len(instance.asked) == 2


async def test_an_incident_of_a_problem_that_is_over_is_born_resolved(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.handler = Echo()
    ticket = await connector.create(
        Draft(TicketKind.INCIDENT, ID, KEY, FIELDS, closure=Closure({"close_notes": "Ended by itself"}))
    )
    sent = instance.asked[0].json
    assert (sent["state"], sent["close_code"], sent["close_notes"]) == ("6", "Solution provided", "Ended by itself")
    assert (ticket.phase, ticket.dropped, len(instance.asked)) == (Phase.RESOLVED, (), 1)


@pytest.mark.parametrize("kind", [TicketKind.PROBLEM, TicketKind.CHANGE_REQUEST])
async def test_problems_and_changes_are_born_open_whatever_became_of_their_cause(
    instance: Instance, connector: ServiceNow, kind: TicketKind
) -> None:
    instance.handler = Echo()
    ticket = await connector.create(Draft(kind, ID, KEY, FIELDS, closure=Closure()))
    assert "state" not in instance.asked[0].json
    assert "close_notes" not in instance.asked[0].json
    assert ticket.phase is Phase.OPEN


async def test_an_instance_that_inserts_nothing_resolved_gets_an_open_incident(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.says(ABORTED, result(row(), 201))
    ticket = await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, FIELDS, closure=Closure()))
    assert "state" in instance.asked[0].json
    assert "state" not in instance.asked[1].json
    assert ticket.phase is Phase.OPEN


async def test_an_instance_that_ignores_the_state_at_birth_is_believed(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.says(result(row(state="1", close_code="Solution provided", close_notes="x"), 201))
    ticket = await connector.create(Draft(TicketKind.INCIDENT, ID, KEY, FIELDS, closure=Closure({"close_notes": "x"})))
    assert (ticket.phase, ticket.dropped) == (Phase.OPEN, ("state",))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ABORTED, Refused),
        (refusal(429, "Rate limit exceeded", Retry_After="9"), Throttled),
        (page("<html>oops</html>", 502), OutcomeUnknown),
    ],
)
async def test_one_attempt_is_made(
    instance: Instance, connector: ServiceNow, answer: Say, expected: type[Exception]
) -> None:
    instance.handler = lambda asked: answer
    with pytest.raises(expected):
        await connector.create(DRAFT)
    assert len(instance.asked) == 1


@pytest.mark.parametrize("key", ["", "  ", "javascript:gs.getUserID()", "two\nlines", "x" * 101, "nul\x00"])
async def test_a_key_that_could_match_anything_or_nothing_is_refused_before_a_call(
    instance: Instance, connector: ServiceNow, key: str
) -> None:
    with pytest.raises(Refused, match="correlation_id"):
        await connector.create(Draft(TicketKind.INCIDENT, ID, key, FIELDS))
    with pytest.raises(Refused, match="correlation_id"):
        await connector.find(TicketKind.INCIDENT, ID, key)
    assert instance.asked == []


async def test_the_habit_is_known_table_by_table(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result(row(sys_id=OTHER), 201))
    await connector.create(DRAFT)
    for _ in range(2):
        instance.says(result(row(), 201))
        await connector.create(Draft(TicketKind.PROBLEM, ID, KEY, FIELDS))
    assert [call.split()[0] for call in instance.calls] == ["POST"] * 3
    assert connector.honours_ids is False
    instance.says(refusal(404, "No Record found"), result([row(sys_id=OTHER)]))
    assert (await connector.create(DRAFT)).ref.id == OTHER


async def test_two_connectors_do_not_share_what_they_learnt(instance: Instance, connect: Connect) -> None:
    def answer(asked: Asked) -> Say:
        return result(row(sys_id=OTHER), 201)

    instance.handler = answer
    one, two = connect(), connect()
    await one.create(DRAFT)
    assert (one.honours_ids, two.honours_ids) == (False, None)
