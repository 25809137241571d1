"""What the sender does when rows do not get through: wait, send again, split, leave out, or say what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.log_analytics.columns import LOG_TABLE
from shared.core.errors import SourceRefused, SourceUnavailable
from shared.core.ticket_system import TicketKind
from tests.log_analytics.world import PUBLISH, World, heard, log_row, ticket, tickets, titled

POISON = "CANNOT-BE-INGESTED"
DISTINCT = ("ServiceDesk_CL", "RecordId")


async def test_given_no_role_when_rows_are_sent_then_the_error_names_it(world: World) -> None:
    world.control.delete("/grants", identity="bridge", actions=PUBLISH)
    with pytest.raises(SourceRefused, match="Monitoring Metrics Publisher") as raised:
        await world.sender.send_tickets(tickets(3))
    assert raised.value.status == 403
    assert world.posts() == [403]


@pytest.mark.parametrize(("kind", "count"), [("deny", 1), ("expire_tokens", 1)])
async def test_given_a_refusal_that_is_not_of_the_rows_when_it_comes_then_none_is_left_out(
    world: World, kind: str, count: int
) -> None:
    await world.sender.send_tickets(tickets(1))
    world.control.order(kind)
    with heard("export_row_left_out") as left_out, pytest.raises(SourceRefused) as raised:
        await world.sender.send_tickets(tickets(10))
    assert raised.value.status == (403 if kind == "deny" else 401)
    assert "Fix:" in str(raised.value)
    assert left_out == []
    assert len(world.posts()) == 1 + count


async def test_given_a_wrong_rule_when_rows_are_sent_then_the_error_says_what_to_correct(world: World) -> None:
    sender = world.open(rule=f"dcr-{'f' * 32}")
    with pytest.raises(SourceRefused, match="check 'rule' of log_analytics") as raised:
        await sender.send_log([log_row()])
    assert raised.value.status == 404


async def test_given_a_wrong_secret_when_rows_are_sent_then_the_error_is_of_the_sign_in(world: World) -> None:
    sender = world.open("lapsed")
    with pytest.raises(SourceRefused, match="AADSTS7000222") as raised:
        await sender.send_log([log_row()])
    assert "Logs Ingestion API answered" not in str(raised.value)
    assert world.posts() == []


async def test_given_no_identity_when_rows_are_sent_then_the_error_is_of_the_sign_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", world.clouds.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with pytest.raises(SourceRefused, match="no token for the Logs Ingestion API") as raised:
        await world.open("own").send_log([log_row()])
    assert "give the app a managed identity" in str(raised.value)
    monkeypatch.setenv("IDENTITY_HEADER", world.clouds.identity_header)
    assert await world.open("own").send_log([log_row()]) == 1
    assert len(world.rows(LOG_TABLE)) == 1


async def test_given_a_short_wait_when_the_service_asks_for_it_then_it_is_waited_for(world: World) -> None:
    world.control.order("throttle", match={"service": "ingestion"}, retry_after=7, times=2)
    assert await world.sender.send_tickets(tickets(3)) == 3
    assert world.waits == [7, 7]
    assert world.posts() == [429, 429, 204]


async def test_given_a_long_wait_when_the_service_asks_for_it_then_the_caller_is_told(world: World) -> None:
    world.control.order("throttle", match={"service": "ingestion"}, retry_after=300)
    with pytest.raises(SourceUnavailable) as raised:
        await world.sender.send_tickets(tickets(3))
    assert (raised.value.status, raised.value.retry_after) == (429, 300)
    assert (world.waits, world.posts()) == ([], [429])


async def test_given_a_service_that_stays_broken_when_rows_are_sent_then_three_attempts_are_made(
    world: World,
) -> None:
    world.control.order("fail", match={"service": "ingestion"}, html=True)
    with pytest.raises(SourceUnavailable) as raised:
        await world.sender.send_tickets(tickets(3))
    assert raised.value.status == 503
    assert (world.waits, world.posts()) == ([2, 4], [503] * 3)


async def test_given_a_page_of_a_proxy_when_rows_are_sent_then_it_is_not_taken_for_the_service(world: World) -> None:
    world.control.order("page", match={"service": "ingestion"})
    with pytest.raises(SourceRefused, match="answers in its place") as raised:
        await world.sender.send_tickets(tickets(3))
    assert (raised.value.status, world.posts()) == (200, [200])


async def test_given_no_server_when_rows_are_sent_then_the_error_names_its_address(world: World) -> None:
    sender = world.open(endpoint="https://127.0.0.1:1")
    with pytest.raises(SourceUnavailable, match=r"https://127\.0\.0\.1:1.*did not answer"):
        await sender.send_tickets(tickets(1))
    assert world.waits == [2, 4]


@pytest.mark.parametrize("fault", ["commit_then_fail", "cut_after_commit"])
async def test_given_a_lost_answer_when_rows_are_sent_again_then_names_tell_that_they_are_the_same(
    world: World, fault: str
) -> None:
    world.control.order(fault, match={"service": "ingestion"}, times=1)
    assert await world.sender.send_tickets(tickets(20)) == 2
    assert world.tables.count("ServiceDesk_CL") == 40
    assert world.tables.count(*DISTINCT) == 20


async def test_given_a_smaller_limit_when_rows_are_too_large_then_they_are_sent_in_parts(world: World) -> None:
    world.control.set(ingestion_body_limit=100_000)
    requests = await world.sender.send_tickets(tickets(300, description="x" * 600))
    assert world.tables.count(*DISTINCT) == world.tables.count("ServiceDesk_CL") == 300
    assert requests == len(world.posts()) <= 20


async def test_given_a_row_that_no_request_can_hold_when_it_is_sent_then_it_is_left_out_by_name(
    world: World,
) -> None:
    world.control.set(ingestion_body_limit=10_000)
    good, large = tickets(1)[0], titled("x" * 20_000, number=2)
    with heard("export_row_left_out") as left_out:
        await world.sender.send_tickets([large])
        await world.sender.send_tickets([good, large])
    assert [row["ServiceDeskId_s"] for row in world.rows()] == [good.number]
    assert len(left_out) == 2
    assert "413" in left_out[0]["reason"]


@pytest.mark.parametrize("place", [0, 250, 499])
async def test_given_one_row_that_is_refused_when_five_hundred_are_sent_then_it_alone_is_left_out(
    world: World, place: int
) -> None:
    world.control.set(ingestion_refused_text=POISON)
    records = tickets(500)
    records[place] = titled(f"a {POISON}", number=place + 1)
    with heard("export_row_left_out") as left_out:
        requests = await world.sender.send_tickets(records)
    assert world.tables.count(*DISTINCT) == world.tables.count("ServiceDesk_CL") == 499
    assert requests == len(world.posts()) <= 1 + 2 * 9
    await world.sender.send_tickets([records[place], ticket(number=1000)])
    (named,) = left_out
    assert (named["stream"], len(named["record"])) == ("Custom-ServiceDesk_CL", 32)
    assert "400" in named["reason"]
    assert named["record"] not in {row["RecordId"] for row in world.rows()}


@pytest.mark.parametrize("count", [1, 2, 500])
async def test_given_every_row_is_refused_when_they_are_sent_then_none_is_left_out_and_the_caller_is_told(
    world: World, count: int
) -> None:
    world.control.set(ingestion_refused_text="the same in all")
    with heard("export_row_left_out") as left_out, pytest.raises(SourceRefused, match="release") as raised:
        await world.sender.send_tickets(tickets(count, title="the same in all"))
    assert raised.value.status == 400
    assert left_out == []
    assert len(world.posts()) <= 70


async def test_given_a_refused_row_among_several_requests_when_they_are_sent_then_the_others_arrive(
    world: World,
) -> None:
    world.control.set(ingestion_refused_text=POISON)
    records = [replace(titled("x" * 50_000, number), kind=TicketKind.PROBLEM) for number in range(1, 60)]
    records[-1] = titled(POISON, number=60)
    with heard("export_row_left_out") as left_out:
        await world.sender.send_tickets(records)
    assert len(left_out) == 1
    assert world.tables.count(*DISTINCT) == 58
