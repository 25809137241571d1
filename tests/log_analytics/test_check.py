"""``bridge.py check``: sign-in, rule and role, told before the first run."""

from __future__ import annotations

import pytest

from connectors.log_analytics.columns import LOG_TABLE
from connectors.log_analytics.sender import LogSender
from shared.core.ticket_system import CheckLine, CheckStatus
from tests.log_analytics.world import PUBLISH, RULE, World

OK, FAILED = CheckStatus.OK, CheckStatus.FAILED


async def lines(sender: LogSender) -> list[CheckLine]:
    (found,) = await sender.check()
    assert found.name == "log_analytics"
    return list(found.lines)


async def test_given_everything_right_when_it_is_checked_then_a_row_of_no_ticket_was_taken(world: World) -> None:
    sign_in, rows = await lines(world.sender)
    assert (sign_in.verdict, rows.verdict) == (OK, OK)
    assert world.clouds.client_id in sign_in.detail
    await world.sender.check()
    first, second = world.rows(LOG_TABLE)
    assert first["RecordId"] == second["RecordId"] == "check"
    assert (first["LogType_s"], first["Connection"], first["Key"]) == ("INFO", "", "")


async def test_given_no_role_when_it_is_checked_then_the_fix_names_it(world: World) -> None:
    world.control.delete("/grants", identity="bridge", actions=PUBLISH)
    sign_in, rows = await lines(world.sender)
    assert (sign_in.verdict, rows.verdict) == (OK, FAILED)
    assert "Monitoring Metrics Publisher" in rows.fix
    assert "30 minutes" in rows.fix


async def test_given_another_rule_when_it_is_checked_then_the_fix_says_which_option(world: World) -> None:
    rule = f"dcr-{'f' * 32}"
    _, rows = await lines(world.open(rule=rule))
    assert (rows.name, rows.verdict) == (f"{rule}: rows", FAILED)
    assert "'rule' of log_analytics" in rows.fix


async def test_given_a_rule_without_the_streams_when_it_is_checked_then_the_fix_says_so(world: World) -> None:
    streams = {"Custom-Other_CL": {"TimeGenerated": "datetime"}}
    world.control.post("/data-collection-rules", immutable_id=RULE.immutable_id, streams=streams)
    _, rows = await lines(world.sender)
    assert rows.verdict is FAILED
    assert "both streams of this release" in rows.fix


@pytest.mark.parametrize("who", ["lapsed", "own"])
async def test_given_no_token_when_it_is_checked_then_nothing_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", world.clouds.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    (sign_in,) = await lines(world.open(who))
    assert sign_in.verdict is FAILED
    assert ("client secret" if who == "lapsed" else "managed identity") in sign_in.fix
    assert world.posts() == []


async def test_given_no_server_when_it_is_checked_then_the_network_is_named(world: World) -> None:
    _, rows = await lines(world.open(endpoint="https://127.0.0.1:1"))
    assert rows.verdict is FAILED
    assert "endpoint" in rows.fix
