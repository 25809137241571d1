"""Signing keys: fetched once, fetched again when they rotate, and never because a stranger wants it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from shared.web.trust.keys import FRESH, PAUSE, PAUSE_WITHOUT_KEYS, KeyStore
from shared.web.trust.tokens import TokenDenied
from tests.trust.entra import OTHER_TENANT, TENANT, Entra, jwk

AUTHORITY = "https://login.microsoftonline.com"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def entra() -> Entra:
    return Entra()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(entra: Entra, clock: Clock) -> KeyStore:
    return KeyStore(AUTHORITY, entra.transport, clock=clock)


async def refused(store: KeyStore, kid: str = "unknown", tenant: str = TENANT) -> int:
    with pytest.raises(TokenDenied) as caught:
        await store.key(tenant, kid)
    return caught.value.status


async def test_keys_are_fetched_once_and_kept(store: KeyStore, entra: Entra) -> None:
    for _ in range(5):
        assert (await store.key(TENANT, "current"))["kid"] == "current"
    assert entra.asked == [
        f"{AUTHORITY}/{TENANT}/v2.0/.well-known/openid-configuration",
        f"{AUTHORITY}/{TENANT}/discovery/v2.0/keys",
    ]


async def test_many_first_calls_at_once_make_one_fetch_and_all_wait_for_it(entra: Entra) -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        return entra(request)

    store = KeyStore(AUTHORITY, httpx.MockTransport(slow))
    found = await asyncio.gather(*(store.key(TENANT, "current") for _ in range(20)))
    assert {key["kid"] for key in found} == {"current"}
    assert len(entra.asked) == 2


async def test_a_known_key_does_not_wait_while_an_unknown_one_is_looked_for(entra: Entra, clock: Clock) -> None:
    gate = asyncio.Event()
    gate.set()

    async def slow(request: httpx.Request) -> httpx.Response:
        await gate.wait()
        return entra(request)

    store = KeyStore(AUTHORITY, httpx.MockTransport(slow), clock=clock)
    await store.key(TENANT, "current")
    gate.clear()
    clock.now += PAUSE
    looking = asyncio.create_task(refused(store, "unknown"))
    await asyncio.sleep(0.02)
    async with asyncio.timeout(1):
        assert (await store.key(TENANT, "current"))["kid"] == "current"
    gate.set()
    assert await looking == 401


async def test_strangers_with_unknown_kids_cause_one_fetch_per_pause(
    store: KeyStore, entra: Entra, clock: Clock
) -> None:
    await store.key(TENANT, "current")
    for number in range(50):
        clock.now += PAUSE / 100
        assert await refused(store, f"unknown-{number}") == 503, "nobody looked, so nobody knows"
    assert len(entra.asked) == 2
    clock.now += PAUSE
    assert [await refused(store, f"unknown-{number}") for number in range(50)] == [401, *[503] * 49]
    assert len(entra.asked) == 4


async def test_an_alert_signed_with_a_new_key_is_let_in_by_azures_retries_whatever_strangers_send(
    store: KeyStore, entra: Entra, clock: Clock
) -> None:
    """Azure repeats a 503 five times, after these waits, and a 401 never."""
    await store.key(TENANT, "current")
    clock.now += PAUSE
    assert await refused(store, "random") == 401
    entra.published = [jwk("current"), jwk("next")]
    clock.now += 0.1
    answers = [await refused(store, "next")]
    for number, wait in enumerate((5, 20, 5, 40, 5)):
        clock.now += wait
        try:
            assert (await store.key(TENANT, "next"))["kid"] == "next"
            break
        except TokenDenied as denied:
            answers.append(denied.status)
        with pytest.raises(TokenDenied):
            await store.key(TENANT, f"random-{number}")
    else:
        pytest.fail(f"never let in: {answers}")
    assert set(answers) == {503}
    assert len(entra.asked) == 6, "the first look, the stranger's, and one after the pause"


async def test_calls_that_wait_for_one_look_all_believe_it(entra: Entra, clock: Clock) -> None:
    async def slow(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.02)
        return entra(request)

    store = KeyStore(AUTHORITY, httpx.MockTransport(slow), clock=clock)
    await store.key(TENANT, "current")
    clock.now += PAUSE
    assert await asyncio.gather(*(refused(store, f"unknown-{number}") for number in range(5))) == [401] * 5
    assert len(entra.asked) == 4


async def test_a_new_key_is_found_as_soon_as_it_signs(store: KeyStore, entra: Entra, clock: Clock) -> None:
    await store.key(TENANT, "current")
    entra.published = [jwk("current"), jwk("next")]
    clock.now += PAUSE
    assert (await store.key(TENANT, "next"))["kid"] == "next"
    assert (await store.key(TENANT, "current"))["kid"] == "current"


async def test_a_key_that_was_rotated_away_is_trusted_no_longer(store: KeyStore, entra: Entra, clock: Clock) -> None:
    await store.key(TENANT, "current")
    entra.published = [jwk("next")]
    clock.now += FRESH
    assert (await store.key(TENANT, "next"))["kid"] == "next"
    assert await refused(store, "current") == 503
    clock.now += PAUSE
    assert await refused(store, "current") == 401


@pytest.mark.parametrize(
    "broken",
    [
        httpx.Response(500),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, text="[" * 100_000),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"keys": []}),
        httpx.Response(200, content=b" " * (513 * 1024)),
        httpx.Response(302, headers={"Location": "https://keys.example/"}),
        httpx.ConnectError("no route"),
        httpx.ReadTimeout("slow"),
    ],
    ids=["500", "html", "nested", "list", "no keys", "too large", "redirect", "unreachable", "slow"],
)
async def test_while_entra_fails_the_keys_at_hand_go_on_and_unknown_ones_may_come_back_later(
    store: KeyStore, entra: Entra, clock: Clock, broken: Any
) -> None:
    await store.key(TENANT, "current")
    entra.broken = broken
    clock.now += FRESH
    assert (await store.key(TENANT, "current"))["kid"] == "current"
    assert await refused(store, "next") == 503, "it may be a new key: 401 would lose the alert for good"
    entra.broken, entra.published = None, [jwk("current"), jwk("next")]
    clock.now += PAUSE
    assert (await store.key(TENANT, "next"))["kid"] == "next"
    clock.now += PAUSE
    assert await refused(store, "unknown") == 401


async def test_an_answer_that_is_too_large_is_not_read(store: KeyStore, entra: Entra) -> None:
    entra.published = [jwk("current", pad="x" * 600_000)]
    assert await refused(store, "current") == 503


async def test_without_any_key_the_caller_is_asked_to_come_again(store: KeyStore, entra: Entra, clock: Clock) -> None:
    entra.broken = httpx.ConnectError("no route")
    for _ in range(20):
        assert await refused(store, "current") == 503
    assert len(entra.asked) == 1, "not one fetch per call"
    entra.broken = None
    clock.now += PAUSE_WITHOUT_KEYS
    assert (await store.key(TENANT, "current"))["kid"] == "current"


async def test_nobody_waits_long_for_an_entra_that_hangs(entra: Entra) -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        return entra(request)

    store = KeyStore(AUTHORITY, httpx.MockTransport(hang), patience=0.2)
    async with asyncio.timeout(5):
        assert await refused(store, "current") == 503


@pytest.mark.parametrize(
    "address",
    [
        "https://keys.example/discovery/keys",
        "http://login.microsoftonline.com/keys",
        "https://login.microsoftonline.com.keys.example/keys",
        "https://login.microsoftonline.com@keys.example/keys",
        "https://[::1",
        "//keys.example/keys",
        "/keys",
    ],
)
async def test_keys_are_taken_from_the_authority_only(store: KeyStore, entra: Entra, address: str) -> None:
    entra.jwks_uri = address
    assert await refused(store, "current") == 503
    assert len(entra.asked) == 1


async def test_a_tenant_knows_only_its_own_keys(store: KeyStore, entra: Entra, clock: Clock) -> None:
    await store.key(TENANT, "current")
    entra.published = [jwk("theirs")]
    assert (await store.key(OTHER_TENANT, "theirs"))["kid"] == "theirs"
    assert await refused(store, "theirs") == 503
    clock.now += PAUSE
    entra.published = [jwk("current")]
    assert await refused(store, "theirs") == 401


@pytest.mark.parametrize(
    "spoilt",
    [
        jwk("odd", kty="EC"),
        jwk("odd", use="enc"),
        jwk("odd", alg="RS512"),
        jwk("odd", kid=7),
        jwk("odd", kid=""),
        jwk("odd", n=7),
        jwk("odd", n="!!"),
        jwk("odd", n="AQAB"),
        jwk("odd", issuer=f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"),
        {"kty": "oct", "kid": "odd", "k": "c2VjcmV0"},
        "no key",
    ],
)
async def test_keys_that_cannot_be_this_tenants_signing_keys_are_left_out(
    store: KeyStore, entra: Entra, clock: Clock, spoilt: Any
) -> None:
    entra.published = [spoilt, jwk("current", issuer="https://login.microsoftonline.com/{tenantid}/v2.0")]
    assert (await store.key(TENANT, "current"))["kid"] == "current"
    clock.now += PAUSE
    assert await refused(store, "odd") == 401
