"""Rows arrive as their columns say, in few requests, and once whatever happens on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.log_analytics.columns import LOG_COLUMNS, LOG_TABLE, TICKET_COLUMNS
from connectors.log_analytics.rows import ticket_row
from shared.core.export import ExportField
from shared.core.ticket_system import TicketKind
from tests.log_analytics.elsewhere import Elsewhere
from tests.log_analytics.world import World, log_row, ticket, tickets, titled

INCIDENT, CHANGE, PROBLEM = TicketKind.INCIDENT, TicketKind.CHANGE_REQUEST, TicketKind.PROBLEM


def iso(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def empty(row: dict[str, Any]) -> set[str]:
    return {name for name, value in row.items() if value in (None, "")}


async def test_given_full_tickets_when_they_are_sent_then_every_column_has_a_value(world: World) -> None:
    sent = ticket(INCIDENT, 1)
    assert await world.sender.send_tickets([sent, ticket(CHANGE, 2), ticket(PROBLEM, 3)]) == 1
    incident, change, problem = world.rows()
    assert list(incident) == [column.name for column in TICKET_COLUMNS]
    assert empty(incident) == {"CRState_s"}
    assert empty(change) == {"IncidentState_s"}
    assert empty(problem) == {"IncidentState_s", "CRState_s"}
    assert incident["TimeGenerated"] == iso(sent.changed_at)
    assert incident["CreatedDate_t"] == iso(sent.changed_at + timedelta(minutes=10, days=-30))
    assert (incident["IncidentState_s"], incident["State"], incident["Phase"]) == ("the state", "the state", "open")
    assert (incident["ServiceDeskWorkItemType_s"], incident["TicketKind"]) == ("Incident", "incident")
    assert (change["ServiceDeskWorkItemType_s"], change["CRState_s"]) == ("ChangeRequest", "the state")
    assert (problem["ServiceDeskWorkItemType_s"], problem["State"]) == ("Problem", "the state")
    assert (incident["Reopened"], incident["Deleted"]) == (2, False)
    assert incident["Fields"] == {"u_site": "Zürich", "u_floor": "3"}


async def test_given_full_lines_when_they_are_sent_then_every_column_has_a_value(world: World) -> None:
    sent = log_row()
    assert await world.sender.send_log([sent, log_row(id="b", succeeded=False)]) == 1
    good, bad = world.rows(LOG_TABLE)
    assert list(good) == [column.name for column in LOG_COLUMNS]
    assert empty(good) == set()
    assert good["TimeGenerated"] == good["StatusLogTime_t"] == iso(sent.time)
    assert (good["ActionStatus_d"], good["Status_b"]) == (1.0, True)
    assert (bad["ActionStatus_d"], bad["Status_b"]) == (0.0, False)
    assert (good["Severity"], good["LagSeconds"], good["Waiting"], good["RecordId"]) == (0, 12.5, 0, "the id")


async def test_given_a_ticket_that_changed_when_it_is_sent_again_then_its_row_has_another_name(world: World) -> None:
    record = ticket()
    changed, deleted = replace(record, revision="8"), replace(record, deleted=True, values={}, more={})
    for _ in range(2):
        await world.sender.send_tickets([record])
    await world.sender.send_tickets([changed, deleted, replace(record, connection="fabrikam")])
    names = [row["RecordId"] for row in world.rows()]
    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert [row["Deleted"] for row in world.rows()] == [False, False, False, True, False]


async def test_given_several_requests_when_they_are_made_then_they_share_a_connection(
    world: World, servers: tuple[Elsewhere, Elsewhere]
) -> None:
    _, server = servers
    sender = world.open(endpoint=server.address)
    for _ in range(3):
        await sender.send_tickets([ticket()])
    assert len(server.asked) == 3
    assert len(server.connections) == 1


async def test_given_nothing_when_it_is_sent_then_no_request_is_made(world: World) -> None:
    assert await world.sender.send_tickets([]) == 0
    assert world.posts() == []


async def test_given_an_old_change_when_it_is_sent_then_the_row_says_when_it_was(world: World) -> None:
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    await world.sender.send_tickets([ticket(changed_at=long_ago)])
    (row,) = world.rows()
    assert row["LastModifiedDate_t"] == "2026-01-01T00:00:00Z"
    assert row["TimeGenerated"] > iso(datetime.now(UTC) - timedelta(minutes=5))


async def test_given_values_that_do_not_fit_when_they_are_sent_then_they_are_left_out(world: World) -> None:
    values = {ExportField.REOPENED: "often", ExportField.CREATED: "yesterday", ExportField.TITLE: "Disk full"}
    world.control.set(ingestion_unsuitable="refuse")
    assert await world.sender.send_tickets([ticket(values=values)]) == 1
    (row,) = world.rows()
    assert (row["Reopened"], row["CreatedDate_t"], row["Title_s"]) == (None, None, "Disk full")


async def test_given_three_thousand_rows_when_they_are_sent_then_requests_are_as_few_as_the_limit_allows(
    world: World,
) -> None:
    records = tickets(3_000, description="x" * 600)
    requests = await world.sender.send_tickets(records)
    assert world.posts() == [204] * requests
    total = sum(len(json.dumps(ticket_row(one))) for one in records)
    assert total > 3_000 * 1_000
    assert requests <= -(-total // (1024 * 1024)) + 1
    assert world.tables.count("ServiceDesk_CL", "RecordId") == 3_000


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udc00", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("😀" * 10, "😀" * 10),
        ("a\0b\x1b\u2028", "a\0b\x1b\u2028"),
        ('"\\u0041" \r\n\t', '"\\u0041" \r\n\t'),
        ("ü" * 100_000, "ü" * 31_997 + " [cut]"),
        ("😀" * 50_000, "😀" * 15_998 + " [cut]"),
    ],
    ids=["half", "other half", "pair", "emoji", "control", "escapes", "200 KB", "emoji 200 KB"],
)
async def test_given_strange_texts_when_they_are_sent_then_they_arrive_as_valid_unicode(
    world: World, title: str, kept: str
) -> None:
    await world.sender.send_tickets([titled(title)])
    assert world.posts() == [204]
    assert world.rows()[0]["Title_s"] == kept


async def test_given_many_long_columns_when_they_are_sent_then_the_object_of_them_stays_whole(world: World) -> None:
    more = {f"u_{number}": "ü" * 100_000 for number in range(5)} | {"u_\ud800": "\ud800", "u_empty": ""}
    await world.sender.send_tickets([ticket(more=more)])
    found = world.rows()[0]["Fields"]
    assert sorted(found) == ["u_0", "u_1", "u_2", "u_3", "u_4", "u_\ufffd"]
    assert found["u_0"].endswith("ü [cut]")
    assert found["u_\ufffd"] == "\ufffd"


@pytest.mark.parametrize("text", ["x" * 70_000, "ü" * 70_000, "\0" * 70_000], ids=["ascii", "umlauts", "control"])
async def test_given_long_texts_in_all_columns_when_they_are_sent_then_the_row_still_fits_in_a_call(
    world: World, text: str
) -> None:
    values = dict.fromkeys(ExportField, text)
    requests = await world.sender.send_tickets([ticket(values=values, more={"u_a": text, "u_b": text}), ticket()])
    assert requests <= 2
    long, short = world.rows()
    assert long["Title_s"].startswith(text[:400])
    assert long["Title_s"].endswith(" [cut]")
    assert long["Fields"].keys() == {"u_a", "u_b"}
    assert (long["RecordId"], long["TimeGenerated"]) != ("", None)
    assert short["Title_s"] == "the title"


async def test_given_two_tables_when_a_query_joins_them_then_key_and_correlation_meet(world: World) -> None:
    await world.sender.send_tickets(tickets(2, correlation="key-1"))
    await world.sender.send_log([log_row(key="key-1"), log_row(id="b", key="key-2")])
    kql = (
        "ServiceDesk_CL | summarize arg_max(TimeGenerated, *) by RecordId"
        " | join kind=inner ServiceDeskLog_CL on $left.CorrelationId == $right.Key | summarize Tickets = count()"
    )
    assert world.tables.query(kql).as_dicts() == [{"Tickets": 2}]
