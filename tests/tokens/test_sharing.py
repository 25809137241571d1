"""Workers share the tokens of a consent: one renews, the others use what it got."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import pytest

from shared.core.errors import NotAuthorised, NotSent
from tests.tokens.world import TOKEN, World, look

pytestmark = pytest.mark.asyncio(loop_scope="module")

HALF_HOUR = timedelta(minutes=30)
HOUR = timedelta(hours=1)


async def test_given_many_workers_when_they_begin_at_once_then_one_asks_for_a_token(world: World) -> None:
    await world.consent()
    before = len(await world.token_calls())
    workers = [world.worker() for _ in range(4)]
    await asyncio.gather(*(look(worker) for worker in workers for _ in range(3)))
    assert len(await world.token_calls()) - before == 1


async def test_given_a_token_that_another_worker_renewed_when_ours_is_refused_then_his_is_used(world: World) -> None:
    await world.consent()
    one, two = world.worker(), world.worker()
    await look(one)
    await look(two)
    before = len(await world.token_calls())
    assert await one.refresh_tokens(always=True)  # ends the access token that both have
    await look(two)
    await look(one)
    assert len(await world.token_calls()) - before == 1


async def test_given_a_worker_that_renews_when_the_token_lives_then_the_others_go_on_with_it(
    world: World,
) -> None:
    await world.consent()
    one = world.worker()
    await look(one)
    await world.advance(HALF_HOUR - timedelta(seconds=30))  # within the last minute
    before = len(await world.token_calls())
    async with world.store().renewing(world.name):
        await asyncio.wait_for(look(one), 5)
        await asyncio.wait_for(look(world.worker()), 5)
    assert len(await world.token_calls()) == before
    await look(one)
    assert len(await world.token_calls()) - before == 1


async def test_given_a_worker_that_died_while_it_renewed_when_the_token_has_ended_then_another_takes_over(
    world: World,
) -> None:
    await world.consent()
    short = world.store(timedelta(seconds=1))
    holding = asyncio.create_task(_hold(short.renewing(world.name)))
    await asyncio.sleep(0.3)
    worker = world.worker(store=short)
    working = asyncio.create_task(look(worker))
    await asyncio.sleep(0.3)
    assert not working.done()
    holding.cancel()
    await asyncio.wait([holding])
    await asyncio.wait_for(working, 10)


async def _hold(lease: AbstractAsyncContextManager[object]) -> None:
    async with lease:
        await asyncio.sleep(60)


async def test_given_a_caller_who_gives_up_when_a_renewal_is_under_way_then_what_it_gets_is_kept(world: World) -> None:
    await world.consent()
    await world.set(refresh_rotates=True)
    worker = world.worker()
    await world.order(type="slow", seconds=0.5, match={"path": "oauth_token"}, times=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(look(worker), 0.3)
    await worker.aclose()
    held = await world.held()
    assert held is not None
    assert held.refresh == world.vault.secrets[TOKEN]
    await look(world.worker())


async def test_given_a_vault_that_is_away_for_hours_when_tokens_live_then_nothing_is_noticed(world: World) -> None:
    await world.consent()
    worker = world.worker()
    await look(worker)
    world.vault.away = True
    for _ in range(5):
        await world.advance(HALF_HOUR)
        await look(worker)
    with pytest.raises(NotSent, match="servicenow-client-secret"):
        await look(world.worker())  # one that starts now has to wait
    world.vault.away = False
    await look(world.worker())


async def test_given_another_consent_when_a_worker_has_tokens_of_the_old_one_then_it_uses_the_new_one_within_minutes(
    world: World,
) -> None:
    old = await world.consent()
    worker = world.worker()
    await look(worker)
    new = await world.consent()
    await world.advance(timedelta(minutes=16))
    await look(worker)
    held = await world.held()
    assert held is not None
    assert held.refresh == new != old
    paths = [one["path"] for one in (await world.control.get("/requests?limit=1000")).json()["requests"]]
    assert paths.count("/oauth_revoke_token.do") == 2  # the old refresh and access token


async def test_given_a_revoked_consent_when_somebody_consents_again_then_calls_go_through(
    world: World,
) -> None:
    await world.consent()
    worker = world.worker()
    await look(worker)
    await world.revoke()
    with pytest.raises(NotAuthorised, match=f"bridge.py connect {world.name}"):
        await look(worker)
    await world.consent()
    await world.advance(timedelta(minutes=1))  # the vault is not asked more often
    await look(worker)


async def test_given_no_token_yet_when_a_worker_calls_then_it_says_who_can_help(world: World) -> None:
    with pytest.raises(NotSent, match=f"bridge.py connect {world.name}"):
        await look(world.worker())


async def test_given_the_password_grant_when_workers_share_then_no_refresh_ends_the_token_of_another(
    world: World,
) -> None:
    world.vault.secrets["servicenow-password"] = world.simulator.integration_password
    auth = world.auth(
        "oauth_password", username=world.simulator.integration_username, password={"secret": "servicenow-password"}
    )
    workers = [world.worker(auth=auth) for _ in range(3)]
    for _ in range(3):
        for worker in workers:
            await look(worker)
        await world.advance(HALF_HOUR)
    assert len(await world.token_calls()) == 3
    assert {one["status"] for one in await world.token_calls()} == {200}


async def test_given_stored_tokens_when_the_row_is_read_then_no_token_is_in_it(world: World) -> None:
    token = await world.consent()
    await look(world.worker())
    held = await world.held()
    assert held is not None
    rows = [row async for row in world.storage.table("tokens").query_entities(f"PartitionKey eq '{world.name}'")]
    assert len(rows) == 1
    for secret in (token, held.access, world.simulator.client_secret):
        assert secret not in str(rows)
    assert await world.store().load(world.name, ("another secret",)) is None
    assert token not in repr(held) + str(held)
    assert world.vault.present(TOKEN)["exp"] == pytest.approx((world.now() + timedelta(days=100)).timestamp(), abs=60)
