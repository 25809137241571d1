"""Workers share the tokens of a consent: one renews, the others use what it got."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta

import httpx
import pytest

from shared.core.errors import NotAuthorised, NotSent
from shared.core.secrets import SettingSecrets
from tests.simulators import NO_AUTHORITIES
from tests.tokens.world import SECRET, TOKEN, World, look

pytestmark = pytest.mark.asyncio(loop_scope="module")

HALF_HOUR = timedelta(minutes=30)
HOUR = timedelta(hours=1)


async def test_given_many_workers_when_they_begin_at_once_then_one_asks_for_a_token(world: World) -> None:
    await world.consent()
    before = len(await world.token_calls())
    workers = [world.worker() for _ in range(4)]
    await asyncio.gather(*(look(worker) for worker in workers for _ in range(3)))
    assert len(await world.token_calls()) - before == 1


async def test_given_calls_that_are_refused_at_once_when_a_worker_keeps_its_token_alone_then_one_new_one_is_asked_for(
    world: World,
) -> None:
    worker = world.worker(auth=world.auth("oauth_client_credentials"))
    await look(worker)
    before = len(await world.token_calls())
    await world.order(type="reject_credentials", match={"path": "^/api/"}, times=4)
    await asyncio.gather(*(look(worker) for _ in range(4)))
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
    # a process that is killed releases nothing: its lease has to run out
    await world.consent()
    environment = {**os.environ, "STORAGE": world.settings["AzureWebJobsStorage"], "CONNECTION": world.name}
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RENEWING, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    assert await other.stdout.readline() == b"renewing\n"
    working = asyncio.create_task(look(world.worker(store=world.store(timedelta(seconds=1)))))
    await asyncio.sleep(1.5)
    assert not working.done()  # it lives, and renews its lease
    other.kill()
    await other.wait()
    await asyncio.wait_for(working, 10)


RENEWING = """
import asyncio, os
from datetime import UTC, datetime, timedelta
from shared.operations.job_lease import JobLeases
from shared.operations.token_store import TableTokens
from shared.platform.storage import Storage

async def main():
    storage = Storage({"AzureWebJobsStorage": os.environ["STORAGE"]})
    leases = JobLeases(storage, term=timedelta(seconds=1))
    store = TableTokens(storage, leases, "another process", lambda: datetime.now(UTC))
    async with store.renewing(os.environ["CONNECTION"]):
        print("renewing", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


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


async def test_given_a_vault_that_hangs_when_tokens_live_then_no_call_waits_for_it(world: World) -> None:
    await world.consent()
    worker = world.worker()
    await look(worker)
    await world.advance(timedelta(minutes=16))  # what the vault said is to be read anew
    world.vault.gate = asyncio.Event()
    try:
        await asyncio.wait_for(asyncio.gather(*(look(worker) for _ in range(4))), 4)
    finally:
        world.vault.gate.set()
        world.vault.gate = None
    await look(worker)


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


async def test_given_a_new_client_secret_when_the_vault_has_it_before_the_instance_then_no_call_fails(
    world: World,
) -> None:
    await world.consent()
    workers = [world.worker() for _ in range(2)]
    for worker in workers:
        await look(worker)
    old = await world.held()
    await world.secrets().put(SECRET, "demo-client-secret-2", None)
    await world.advance(timedelta(minutes=16))  # workers read secrets anew
    for worker in workers:
        await look(worker)  # the instance refuses the new one, and the token of the old one lives
    await world.replace_client_secret("demo-client-secret-2")
    await world.advance(timedelta(minutes=2))
    for worker in (*workers, world.worker()):
        await look(worker)
    new = await world.store().load(world.name, ("demo-client-secret-2",))
    assert (old is not None, new is not None) == (True, True)
    assert old is not None
    assert new is not None
    assert new.access != old.access
    assert new.refresh == old.refresh  # the consent is the same
    async with httpx.AsyncClient(base_url=world.simulator.url, verify=NO_AUTHORITIES) as anybody:
        bearer = {"Authorization": f"Bearer {old.access}"}
        answer = await anybody.get("/api/now/table/incident?sysparm_limit=1", headers=bearer)
    assert answer.status_code == 401  # what the old secret gave is revoked


async def test_given_a_new_client_secret_when_the_instance_has_it_before_the_vault_then_the_first_refusal_reads_it(
    world: World,
) -> None:
    await world.consent()
    worker = world.worker()
    await look(worker)
    await world.replace_client_secret("demo-client-secret-2")
    await world.advance(timedelta(minutes=10))
    await look(worker)
    await world.secrets().put(SECRET, "demo-client-secret-2", None)
    await world.revoke_access()
    await look(worker)  # its cache of the vault is ten minutes old


async def test_given_no_vault_and_a_new_client_secret_when_a_worker_lives_then_the_consent_is_kept(
    world: World,
) -> None:
    given = {"SERVICENOW_CLIENT_SECRET": world.simulator.client_secret}
    worker = world.worker(secrets=SettingSecrets(given))
    flow = worker.consent_flow()
    assert flow is not None
    await flow.keep(await flow.by_password(world.simulator.integration_username, world.simulator.integration_password))
    await look(worker)
    await world.replace_client_secret("demo-client-secret-2")
    given["SERVICENOW_CLIENT_SECRET"] = "demo-client-secret-2"
    await look(worker)
    await look(world.worker(secrets=SettingSecrets(given)))
