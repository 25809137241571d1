"""Tokens, secrets and rows stay between the bridge and the service that it was told to send them to."""

from __future__ import annotations

import asyncio
import logging

import pytest

from shared.core.errors import SourceRefused
from tests.log_analytics.elsewhere import Elsewhere
from tests.log_analytics.world import PUBLISH, World, titled

TITLE = "a-title-that-nobody-else-may-read"


async def test_given_an_answer_that_leads_elsewhere_when_rows_are_sent_then_the_token_does_not_follow(
    world: World, servers: tuple[Elsewhere, Elsewhere]
) -> None:
    first, second = servers
    with pytest.raises(SourceRefused, match="307"):
        await world.open(endpoint=first.address).send_tickets([titled(TITLE)])
    assert [headers["Authorization"].split()[0] for headers in first.asked] == ["Bearer"]
    assert second.asked == []


async def test_given_rows_that_fail_when_everything_is_logged_then_no_log_holds_secret_token_or_row(
    world: World, servers: tuple[Elsewhere, Elsewhere], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first, _ = servers
    first.redirect = ""
    await world.open(endpoint=first.address).send_tickets([titled(TITLE)])
    token = first.asked[0]["Authorization"].removeprefix("Bearer ")
    assert len(token) > 100
    await world.sender.send_tickets([titled(TITLE)])
    world.control.set(ingestion_refused_text=TITLE)
    await world.sender.send_tickets([titled(TITLE), titled("other", 2)])
    world.control.delete("/grants", identity="bridge", actions=PUBLISH)
    with pytest.raises(SourceRefused) as raised:
        await world.sender.send_tickets([titled(TITLE)])
    told = caplog.text + repr(raised.value) + repr(world.sender) + repr(vars(world.sender))
    assert "export_row_left_out" in told
    for secret in (token, token.split(".")[2], world.secret(), TITLE):
        assert secret not in told


async def test_given_a_sender_when_it_is_closed_then_its_connections_are_and_it_can_be_used_again(
    world: World,
) -> None:
    await world.sender.send_tickets([titled("one")])
    await world.sender.aclose()
    await world.sender.aclose()
    await asyncio.sleep(0)
    await world.sender.send_tickets([titled("two")])
    assert [row["Title_s"] for row in world.rows()] == ["one", "two"]
