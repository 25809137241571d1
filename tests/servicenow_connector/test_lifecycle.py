"""Finding, commenting, updating, resolving and reopening."""

from __future__ import annotations

import pytest

from connectors.servicenow import ServiceNow
from shared.core.errors import OutcomeUnknown, Refused, TicketMissing, Unavailable
from shared.core.ticket_system import Closure, Note, Phase, TicketKind, TicketRef
from tests.servicenow_connector.conftest import Connect
from tests.servicenow_connector.scripted import Echo, Instance, page, refusal, result

ID = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
KEY = "alert:1:a"
REF = TicketRef(TicketKind.INCIDENT, ID, KEY, "INC0010001")
NOTE = Note("Fired again.\n\n[bridge:0123]", "[bridge:0123]")
MISSING = refusal(404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")


def row(**more: str) -> dict[str, str]:
    return {"sys_id": ID, "number": "INC0010001", "state": "2", "active": "true", "correlation_id": KEY, **more}


async def test_find_by_id_is_one_call(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result(row(state="7", active="false")))
    ticket = await connector.find(TicketKind.INCIDENT, ID, KEY)
    assert ticket is not None
    assert (ticket.ref.id, ticket.ref.number, ticket.phase, ticket.noted) == (ID, "INC0010001", Phase.CLOSED, None)
    assert instance.calls == [f"GET /api/now/table/incident/{ID}"]
    assert instance.asked[0].query["sysparm_fields"] == "sys_id,number,state,active,correlation_id"


async def test_find_falls_back_to_the_key_and_takes_the_newest(instance: Instance, connector: ServiceNow) -> None:
    instance.says(MISSING, result([row(sys_id=OTHER), row(sys_id="a" * 32)]))
    ticket = await connector.find(TicketKind.INCIDENT, ID, KEY)
    assert ticket is not None
    assert ticket.ref.id == OTHER
    query = instance.asked[1].query
    assert query["sysparm_query"] == (
        f"correlation_id={KEY}^correlation_display=Azure ITSM Bridge^ORDERBYDESCsys_created_on"
    )
    assert int(query["sysparm_limit"]) <= 10
    assert len(instance.asked) == 2


@pytest.mark.parametrize("ticket_id", ["", "INC0010001", "../sys_user"])
async def test_find_with_something_that_is_no_id_goes_straight_to_the_key(
    instance: Instance, connector: ServiceNow, ticket_id: str
) -> None:
    instance.says(result([]))
    assert await connector.find(TicketKind.INCIDENT, ticket_id, KEY) is None
    assert instance.calls == ["GET /api/now/table/incident"]


async def test_find_refuses_what_does_not_bear_the_key(instance: Instance, connector: ServiceNow) -> None:
    """As when a condition of the query was dropped and everything matched."""
    instance.says(
        result(row(correlation_id="alert:1:b")),
        result([row(correlation_id="alert:1:b"), row(correlation_id="ALERT:1:A")]),
    )
    assert await connector.find(TicketKind.INCIDENT, ID, KEY) is None


async def test_a_caret_in_a_key_does_not_end_the_condition(instance: Instance, connector: ServiceNow) -> None:
    instance.says(MISSING, result([]))
    await connector.find(TicketKind.INCIDENT, ID, "alert:1:a^b")
    assert instance.asked[1].query["sysparm_query"].startswith("correlation_id=alert:1:a^^b^correlation_display=")


@pytest.mark.parametrize(
    ("notes", "noted"),
    [
        ({"work_notes": "2026-01-01 - Bridge (Work notes)\nFired again.\n\n[bridge:0123]"}, True),
        ({"work_notes": "2026-01-01 - Somebody (Work notes)\nLooking at it"}, False),
        ({"work_notes": ""}, False),
        ({}, None),
    ],
)
async def test_find_tells_whether_a_note_arrived(
    instance: Instance, connector: ServiceNow, notes: dict[str, str], noted: bool | None
) -> None:
    echo = Echo()
    echo.records[ID] = row(**notes)
    instance.handler = echo
    for ticket_id in (ID, OTHER):  # by id, and by key
        ticket = await connector.find(TicketKind.INCIDENT, ticket_id, KEY, "[bridge:0123]")
        assert ticket is not None
        assert ticket.noted is noted
        assert ticket.phase is Phase.OPEN
    assert instance.asked[0].query["sysparm_display_value"] == "all"


async def test_find_never_leaves_an_outcome_open(instance: Instance, connector: ServiceNow) -> None:
    for status in (202, 500, 503):
        instance.says(page("<html>oops</html>", status))
        with pytest.raises(Unavailable):
            await connector.find(TicketKind.INCIDENT, ID, KEY)


async def test_comment_is_one_patch_with_the_note_only(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result(row()))
    ticket = await connector.comment(REF, NOTE)
    assert instance.calls == [f"PATCH /api/now/table/incident/{ID}"]
    assert instance.asked[0].json == {"work_notes": NOTE.text}
    assert (ticket.ref.id, ticket.phase, ticket.dropped) == (ID, Phase.OPEN, ())


async def test_update_sets_fields_and_note_in_one_patch(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result(row(urgency="1")))
    ticket = await connector.update(REF, {"urgency": "1", "impact": "1"}, NOTE)
    assert instance.asked[0].json == {"urgency": "1", "impact": "1", "work_notes": NOTE.text}
    assert ticket.dropped == ("impact",)
    assert len(instance.asked) == 1


async def test_to_resolve_an_incident_is_one_patch_with_state_code_and_notes(
    instance: Instance, connector: ServiceNow
) -> None:
    echo = instance.handler = Echo()
    echo.records[ID] = row()
    ticket = await connector.resolve(REF, Closure())
    sent = instance.asked[0].json
    assert {"state": "6", "close_code": "Solution provided"}.items() <= sent.items()
    assert "Azure ITSM Bridge" in sent["close_notes"]
    assert (ticket.state, ticket.phase, ticket.dropped) == ("6", Phase.RESOLVED, ())
    assert len(instance.asked) == 1


async def test_what_the_caller_gives_wins_over_the_defaults(instance: Instance, connector: ServiceNow) -> None:
    echo = instance.handler = Echo()
    echo.records[ID] = row()
    await connector.resolve(REF, Closure({"close_code": "Solved (Permanently)", "u_cause": "disk"}))
    sent = instance.asked[0].json
    assert (sent["state"], sent["close_code"], sent["u_cause"]) == ("6", "Solved (Permanently)", "disk")


async def test_states_of_the_settings_are_written_and_understood(instance: Instance, connect: Connect) -> None:
    echo = instance.handler = Echo()
    echo.records[ID] = row()
    connector = connect(states={"incident": {"resolved": 60, "reopened": 20, "closed": [70]}})
    assert (await connector.resolve(REF, Closure())).phase is Phase.RESOLVED
    assert instance.asked[0].json["state"] == "60"
    assert (await connector.reopen(REF, NOTE)).phase is Phase.OPEN
    assert instance.asked[2].json["state"] == "20"


async def test_the_phase_is_that_of_the_echo(instance: Instance, connector: ServiceNow) -> None:
    """A closed ticket whose write was ignored in silence comes back closed."""
    instance.says(result(row(state="7", active="false")))
    ticket = await connector.resolve(REF, Closure())
    assert ticket.phase is Phase.CLOSED
    assert "state" in ticket.dropped


async def test_a_closed_ticket_that_refuses_the_write_says_so(instance: Instance, connector: ServiceNow) -> None:
    instance.says(refusal(403, "Operation Failed", "ACL Exception Update Failed due to security constraints"))
    with pytest.raises(Refused, match="closed"):
        await connector.comment(REF, NOTE)


async def test_a_missing_ticket_is_told_apart(instance: Instance, connector: ServiceNow) -> None:
    for operation in (
        connector.comment(REF, NOTE),
        connector.update(REF, {"urgency": "1"}),
        connector.resolve(REF, Closure()),
        connector.reopen(REF, NOTE),
    ):
        instance.says(MISSING)
        with pytest.raises(TicketMissing):
            await operation


async def test_reopen_reads_first_and_then_writes_state_and_note(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result(row(state="6")), result(row(state="2")))
    ticket = await connector.reopen(REF, NOTE)
    assert [call.split()[0] for call in instance.calls] == ["GET", "PATCH"]
    assert instance.asked[1].json == {"state": "2", "work_notes": NOTE.text}
    assert (ticket.phase, ticket.dropped) == (Phase.OPEN, ())


@pytest.mark.parametrize(
    ("kind", "resolved", "reopened"), [(TicketKind.PROBLEM, "106", "103"), (TicketKind.CHANGE_REQUEST, "0", "-1")]
)
async def test_reopen_of_other_kinds(
    instance: Instance, connect: Connect, kind: TicketKind, resolved: str, reopened: str
) -> None:
    connector = connect(states={"change_request": {"closed": [3, 4]}})  # a model that leads back from Review
    instance.says(result(row(state=resolved)), result(row(state=reopened)))
    assert (await connector.reopen(TicketRef(kind, ID, KEY), NOTE)).phase is Phase.OPEN
    assert instance.asked[1].json["state"] == reopened


async def test_reopen_refuses_a_closed_ticket_without_writing(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result(row(state="7", active="false")))
    with pytest.raises(Refused, match="INC0010001 is closed"):
        await connector.reopen(REF, NOTE)
    assert len(instance.asked) == 1


async def test_reopen_of_a_ticket_that_people_reopened_leaves_their_state_alone(
    instance: Instance, connector: ServiceNow
) -> None:
    instance.says(result(row(state="3")), result(row(state="3")))
    ticket = await connector.reopen(REF, NOTE)
    assert instance.asked[1].json == {"work_notes": NOTE.text}
    assert ticket.state == "3"


async def test_reopen_refuses_a_record_that_lost_our_key(instance: Instance, connector: ServiceNow) -> None:
    instance.says(result(row(state="6", correlation_id="somebody else's")))
    with pytest.raises(TicketMissing, match="does not bear the key"):
        await connector.reopen(REF, NOTE)
    assert len(instance.asked) == 1


async def test_a_lost_answer_to_a_note_leaves_the_outcome_open(instance: Instance, connector: ServiceNow) -> None:
    instance.says(page("<html>oops</html>", 504))
    with pytest.raises(OutcomeUnknown):
        await connector.comment(REF, NOTE)
    assert len(instance.asked) == 1
