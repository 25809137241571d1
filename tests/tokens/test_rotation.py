"""Instances that replace the refresh token: whoever is killed between any two steps leaves a connection that works."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from shared.core.errors import NotAuthorised
from shared.core.tokens import fingerprint
from tests.tokens.mortal import Fate, Killed, mortal
from tests.tokens.world import TOKEN, World, look

pytestmark = pytest.mark.asyncio(loop_scope="module")

HALF_HOUR = timedelta(minutes=30)

#: Writes of a renewal: the new tokens to the token store, the refresh token to the vault, its fingerprint to the store.
WRITES = 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", range(1, WRITES + 1))
async def test_given_a_renewal_when_the_worker_is_killed_at_a_write_then_others_go_on(
    world: World, write: int, after: bool
) -> None:
    """Only before the first write the old refresh token is needed once more, for which instances give some seconds."""
    first_is_lost = write == 1 and not after
    await world.set(refresh_rotates=True, rotation_grace_s=60.0 if first_is_lost else 0.0)
    await world.consent()
    bystander = world.worker()
    await look(bystander)
    await world.advance(HALF_HOUR)
    fate = Fate(write, after=after)
    with pytest.raises(Killed):
        await look(mortal(world, fate))
    for _ in range(3):
        await look(world.worker())
        await look(bystander)
        await world.advance(HALF_HOUR)
    held = await world.held()
    assert held is not None
    assert world.vault.secrets[TOKEN] == held.refresh


async def test_given_all_writes_then_there_are_as_many_as_the_kills_cover(world: World) -> None:
    await world.set(refresh_rotates=True)
    await world.consent()
    fate = Fate(99, after=False)
    await look(mortal(world, fate))
    assert fate.writes == WRITES


async def test_given_no_grace_when_the_answer_is_lost_then_somebody_has_to_consent_again_and_is_told(
    world: World,
) -> None:
    await world.set(refresh_rotates=True)
    await world.consent()
    fate = Fate(1, after=False)
    with pytest.raises(Killed):
        await look(mortal(world, fate))
    with pytest.raises(NotAuthorised, match=f"bridge.py connect {world.name}"):
        await look(world.worker())
    await world.consent()
    await look(world.worker())


async def test_given_no_right_to_write_secrets_when_the_token_is_replaced_then_the_token_store_keeps_it(
    world: World,
) -> None:
    await world.set(refresh_rotates=True)
    first = await world.consent()
    world.vault.read_only = True
    one, two = world.worker(), world.worker()
    for _ in range(4):
        await look(one)
        await look(two)
        await world.advance(HALF_HOUR)
    await look(world.worker())
    assert world.vault.secrets[TOKEN] == first
    world.vault.read_only = False
    await world.advance(HALF_HOUR)
    await look(two)
    held = await world.held()
    assert held is not None
    assert world.vault.secrets[TOKEN] == held.refresh != first


async def test_given_workers_with_an_older_token_in_their_cache_when_one_replaced_it_then_the_others_use_what_he_got(
    world: World,
) -> None:
    await world.set(refresh_rotates=True)
    await world.consent()
    workers = [world.worker() for _ in range(3)]
    for worker in workers:
        await look(worker)
    before = len(await world.token_calls())
    for turn in range(6):
        await world.advance(timedelta(minutes=31))
        await asyncio.gather(*(look(worker) for worker in (*workers[turn % 3 :], *workers[: turn % 3])))
    calls = await world.token_calls()
    assert len(calls) - before == 6
    assert {call["status"] for call in calls} == {200}


async def test_given_a_person_who_consents_when_a_worker_replaces_the_token_before_then_hers_is_not_overwritten(
    world: World,
) -> None:
    await world.set(refresh_rotates=True)
    await world.consent()
    worker = world.worker()
    await look(worker)
    await world.advance(timedelta(minutes=20))
    await look(worker)  # reads the secret anew, and keeps it for a quarter of an hour
    hers = await world.consent()
    await world.advance(timedelta(minutes=9, seconds=30))
    await look(worker)  # renews with the token that it knows, finds hers in the vault, and uses that
    held = await world.held()
    assert held is not None
    assert fingerprint(hers) in held.past
    assert world.vault.secrets[TOKEN] == held.refresh
    await world.advance(HALF_HOUR)
    await look(world.worker())
