"""Events: one more of the same key, whatever is done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.servicenow import ServiceNow
from shared.core.errors import NotAuthorised, OutcomeUnknown, Refused
from shared.core.ticket_system import Closure, Draft, Note, Phase, TicketKind, TicketRef
from tests.servicenow_connector.scripted import HANG_UP, Instance, Say, refusal, result

KEY = "alert:1:" + "a" * 200
ID = "0123456789abcdef0123456789abcdef"
REF = TicketRef(TicketKind.EVENT, ID, KEY)
NOTE = Note("Still burning [bridge:1]", "[bridge:1]")
DONE = result({"Default Bulk Endpoint": "1 events were inserted"})


def sent(instance: Instance) -> dict[str, Any]:
    (record,) = instance.asked[-1].json["records"]
    return dict(record)


async def test_create_sends_one_event_with_the_key(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DONE)
    fields = {
        "source": "Azure Monitor",
        "node": "web01",
        "severity": "1",
        "description": "Disk full\x00",
        "time_of_event": "2026-01-02 03:04:05",
        "u_team": "Network",
        "additional_info": '{"resource_group": "rg-web", "count": 3, "tags": {"a": null}}',
    }
    ticket = await connector.create(Draft(TicketKind.EVENT, ID, KEY, fields))
    assert instance.calls == ["POST /api/global/em/jsonv2"]
    record = sent(instance)
    assert json.loads(record.pop("additional_info")) == {
        "resource_group": "rg-web",
        "count": "3",
        "tags": '{"a": null}',
        "u_team": "Network",
    }
    assert record == {
        "source": "Azure Monitor",
        "node": "web01",
        "severity": "1",
        "description": "Disk full",
        "time_of_event": "2026-01-02 03:04:05",
        "message_key": KEY,
        "resolution_state": "New",
    }
    assert (ticket.ref, ticket.phase, ticket.dropped) == (REF, Phase.OPEN, ())


async def test_an_event_ignores_the_first_note(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DONE)
    await connector.create(Draft(TicketKind.EVENT, ID, KEY, {"node": "web01"}, note="opened"))
    assert "opened" not in instance.asked[-1].body.decode()


async def test_no_note_that_becomes_an_event_holds_a_tag_of_journals(instance: Instance, connector: ServiceNow) -> None:
    note = Note("[code]<b>x</b>[/CODE] [bridge:1]", "[bridge:1]")
    instance.says(DONE, DONE, DONE, DONE)
    await connector.comment(REF, note)
    await connector.update(REF, {}, note)
    await connector.update(REF, {"description": "own"}, note)
    await connector.reopen(REF, note)
    assert len(instance.asked) == 4
    for asked in instance.asked:
        assert "(code)<b>x</b>(/code) [bridge:1]" in asked.body.decode()
        assert "[code]" not in asked.body.decode().lower()


async def test_resolve_sends_the_clearing_event_of_the_same_key(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DONE, DONE)
    ticket = await connector.resolve(REF, Closure())
    record = sent(instance)
    assert (record["message_key"], record["severity"], record["resolution_state"]) == (KEY, "0", "Closing")
    assert ticket.phase is Phase.RESOLVED
    await connector.resolve(REF, Closure({"description": "Ended at noon", "severity": "3"}))
    assert (sent(instance)["description"], sent(instance)["severity"]) == ("Ended at noon", "0")


async def test_comment_sends_the_text_without_a_severity(instance: Instance, connector: ServiceNow) -> None:
    """A severity would become the alert's."""
    instance.says(DONE)
    ticket = await connector.comment(REF, NOTE)
    assert sent(instance) == {
        "source": "Azure ITSM Bridge",
        "message_key": KEY,
        "resolution_state": "New",
        "description": NOTE.text,
    }
    assert ticket.phase is Phase.OPEN


async def test_update_sends_fields_and_note(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DONE, DONE)
    await connector.update(REF, {"severity": "2"}, NOTE)
    assert (sent(instance)["severity"], sent(instance)["description"]) == ("2", NOTE.text)
    await connector.update(REF, {"severity": "2", "description": "Disk full"}, NOTE)
    assert sent(instance)["description"] == "Disk full"
    assert json.loads(sent(instance)["additional_info"]) == {"note": NOTE.text}


async def test_reopen_sends_the_key_as_a_new_problem(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DONE)
    assert (await connector.reopen(REF, NOTE)).phase is Phase.OPEN
    assert (sent(instance)["resolution_state"], sent(instance)["severity"]) == ("New", "4")


async def test_an_event_that_follows_another_ticket_names_it(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DONE)
    follows = TicketRef(TicketKind.INCIDENT, ID, "k", "INC0010001")
    await connector.create(Draft(TicketKind.EVENT, ID, KEY, {}, follows=follows))
    assert json.loads(sent(instance)["additional_info"]) == {"follows": "INC0010001"}


async def test_additional_info_that_is_no_object_is_kept_as_text(instance: Instance, connector: ServiceNow) -> None:
    for text in ("plain words", "[1, 2]", "[" * 100_000):
        instance.says(DONE)
        await connector.create(Draft(TicketKind.EVENT, ID, KEY, {"additional_info": text}))
        assert json.loads(sent(instance)["additional_info"]) == {"info": text}


async def test_values_fit_their_columns(instance: Instance, connector: ServiceNow) -> None:
    instance.says(DONE)
    await connector.create(Draft(TicketKind.EVENT, ID, KEY, {"node": "n" * 200, "description": "d" * 5000}))
    assert (len(sent(instance)["node"]), len(sent(instance)["description"])) == (100, 4000)


async def test_events_cannot_be_looked_up(instance: Instance, connector: ServiceNow) -> None:
    assert not connector.findable(TicketKind.EVENT)
    assert all(connector.findable(kind) for kind in TicketKind if kind is not TicketKind.EVENT)
    assert await connector.find(TicketKind.EVENT, ID, KEY) is None
    assert instance.asked == []


@pytest.mark.parametrize(
    ("answer", "expected", "cause"),
    [
        (result({"Default Bulk Endpoint": "0 events were inserted"}), Refused, "inserted nothing"),
        (result({}), OutcomeUnknown, "does not say"),
        (result({"Default Bulk Endpoint": "done"}), OutcomeUnknown, "does not say"),
        (refusal(403, "User Not Authorized", "Failed API level ACL Validation"), NotAuthorised, "may not call"),
        (refusal(400, "Requested URI does not represent any resource"), Refused, "plugin"),
        (HANG_UP, OutcomeUnknown, "broke"),
    ],
)
async def test_an_answer_that_counts_no_event_is_no_success(
    instance: Instance, connector: ServiceNow, answer: Say, expected: type[Exception], cause: str
) -> None:
    instance.says(answer)
    with pytest.raises(expected, match=cause):
        await connector.create(Draft(TicketKind.EVENT, ID, KEY, {"severity": "1"}))


@pytest.mark.parametrize("text", ["1 events were inserted", "1 event was inserted"])
async def test_both_wordings_are_understood(instance: Instance, connector: ServiceNow, text: str) -> None:
    instance.says(result({"Default Bulk Endpoint": text}))
    await connector.comment(REF, NOTE)


@pytest.mark.parametrize("key", ["", " ", "javascript:x", "k" * 1025])
async def test_a_key_that_cannot_identify_is_refused(instance: Instance, connector: ServiceNow, key: str) -> None:
    with pytest.raises(Refused, match="message_key"):
        await connector.create(Draft(TicketKind.EVENT, ID, key, {}))
    assert instance.asked == []
