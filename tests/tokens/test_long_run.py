"""More than a year with one consent: several workers, restarts, kills, a vault that is away, idle months."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from connectors.servicenow import ServiceNow
from tests.tokens.mortal import Fate, Killed, mortal
from tests.tokens.world import TOKEN, World, look

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAYS = 400
STEP = timedelta(days=5)
IDLE = range(30, 42)  # sixty days in which nothing is to be delivered


async def _settings(world: World, how: str) -> dict[str, Any]:
    if how == "replaced":
        # Some seconds of grace, for a kill between the answer and the first write.
        await world.set(refresh_rotates=True, rotation_grace_s=60.0)
        return {}
    await world.set(refresh_extends=True)
    return {"refresh_token_extended": True}


@pytest.mark.parametrize("how", ["replaced", "extended"])
async def test_given_one_consent_when_400_days_pass_then_no_call_fails_and_hardly_a_token_is_asked_for_twice(
    world: World, how: str
) -> None:
    auth = world.auth(**await _settings(world, how))
    await world.consent(world.worker(auth=auth))
    chance = random.Random(how)
    workers: list[ServiceNow] = [world.worker(auth=auth) for _ in range(3)]
    least = killed = 0
    for step in range(int(timedelta(days=DAYS) / STEP)):
        await world.advance(STEP)
        restarted = step % 7 == 3
        if restarted:  # a new process in place of one of them
            workers[chance.randrange(3)] = world.worker(auth=auth)
        world.vault.away = step % 10 == 5 and not restarted
        if step in IDLE:
            least += await workers[0].refresh_tokens()  # the timer
            continue
        least += 1
        if step % 9 == 4 and not world.vault.away:
            fate = Fate(chance.choice((1, 2, 3)), after=chance.random() < 0.5)
            try:
                await look(mortal(world, fate, auth))
            except Killed:
                killed += 1
        if step % 4 == 0:
            await asyncio.gather(*(look(worker) for worker in workers))
        else:
            for worker in workers:
                await look(worker)
    calls = (await world.token_calls())[1:]  # the first was the consent
    assert {call["status"] for call in calls} == {200}
    assert len(calls) <= 1.1 * least
    assert killed >= 3
    assert world.vault.present(TOKEN)["exp"] > (world.now() + timedelta(days=60)).timestamp()
