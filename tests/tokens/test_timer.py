"""The job ``refresh_tokens``: uses what was idle for long, says why it could not, and goes on with the next one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from app.timers import TokensRefreshed
from shared.core.jobs import JobRun
from shared.platform.log import listen
from tests.tokens.world import CODE, World, look

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECOND = """
  {name}-2:
    type: servicenow
    url: {url}
    auth:
      type: oauth_authorization_code
      client_id: {client_id}
      client_secret: {{secret: servicenow-client-secret}}
      refresh_token: {{secret: another-refresh-token}}
"""


def results(found: list[TokensRefreshed]) -> list[int]:
    return [one.refreshed for one in found]


async def test_given_a_consent_when_it_was_idle_for_a_quarter_of_its_life_then_the_timer_uses_it_once(
    world: World, tmp_path: Path
) -> None:
    await world.set(refresh_extends=True)
    await world.consent()
    services = world.container(tmp_path, CODE + "      refresh_token_extended: true\n")
    await look(world.worker(auth=world.auth(refresh_token_extended=True)))
    await world.advance(timedelta(days=24))
    assert results(await services.timers.refresh_tokens()) == [0]
    await world.advance(timedelta(days=2))
    assert results(await services.timers.refresh_tokens(JobRun(dry_run=True))) == [1]
    assert len(await world.token_calls()) == 2  # a dry run asks nobody
    assert results(await services.timers.refresh_tokens()) == [1]
    assert results(await services.timers.refresh_tokens()) == [0]
    assert results(await services.timers.refresh_tokens(JobRun(always=True))) == [1]
    held = await world.held()
    assert held is not None
    assert held.refresh_ends is not None
    assert held.refresh_ends - world.now() > timedelta(days=99)


async def test_given_two_connections_when_one_cannot_be_refreshed_then_that_is_logged_and_the_other_one_is(
    world: World, tmp_path: Path
) -> None:
    await world.consent()
    more = SECOND.format(name=f"a{world.name}", url=world.simulator.url, client_id=world.simulator.client_id)
    services = world.container(tmp_path, CODE + more)
    said: list[str] = []
    end = listen(lambda event, fields: said.append(event))
    found = await services.timers.refresh_tokens()
    end()
    assert sorted(results(found)) == [0, 1]
    (reason,) = [one.reason for one in found if one.reason]
    assert f"bridge.py connect a{world.name}-2" in reason
    assert set(said) >= {"tokens_refreshed", "tokens_not_refreshed"}
