"""A rotated secret is used without a restart, and every way to sign in works, for every API that signs in."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from shared.core.errors import SourceRefused
from tests.microsoft.world import APIS, World

NEW = "the-rotated-client-secret"


@pytest.mark.parametrize("api", APIS)
async def test_a_secret_that_entra_refuses_is_read_past_the_cache_and_tried_once_more(world: World, api: str) -> None:
    await world.short_lived_tokens()
    async with world.opened(api) as call:
        assert await call()
        await world.rotate(NEW)
        await world.sign_ins()
        assert await call()
        assert await world.sign_ins() == [401, 200]
        assert await call()
        assert await world.sign_ins() == [200], "the new value is the one that is cached now"


@pytest.mark.parametrize("api", APIS)
async def test_a_new_value_is_noticed_when_the_token_is_renewed(world: World, api: str) -> None:
    await world.short_lived_tokens()
    async with world.opened(api) as call:
        assert await call()
        await world.rotate(NEW)
        world.vault.expire()
        await world.sign_ins()
        assert await call()
        assert await world.sign_ins() == [200], "the old value is not even tried"


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("kind", ["certificate", "managed_identity"])
async def test_every_way_to_sign_in_works_for_every_api(
    world: World, monkeypatch: pytest.MonkeyPatch, api: str, kind: str
) -> None:
    simulator = world.simulator
    monkeypatch.setenv("IDENTITY_ENDPOINT", simulator.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", simulator.identity_header)
    world.vault.values = {"key-pair": await asyncio.to_thread(Path(simulator.certificate_file).read_text)}
    proof = {"secret": "key-pair"} if kind == "certificate" else {"client_id": simulator.user_identity_client_id}
    async with world.opened(api, **{kind: proof}) as call:
        assert await call()
        await world.sign_ins()
        assert await call()
        assert await world.sign_ins() == [], "the token is kept"


def test_no_api_signs_in_in_a_way_of_its_own() -> None:
    root = Path(__file__).parents[2]
    files = [file for part in ("app", "cli", "connectors", "shared") for file in (root / part).rglob("*.py")]
    found = {
        file.relative_to(root).as_posix()
        for file in files
        if re.search(r"azure\.identity|\bmsal\b|EntraApplication\(", file.read_text("utf-8"))
    }
    assert found == {
        "connectors/key_vault/secrets.py",  # the app's own identity: there is no secret to rotate
        "connectors/microsoft/clients.py",
        "connectors/microsoft/sign_in.py",
        "shared/platform/storage.py",  # as Key Vault
    }


async def test_a_certificate_that_was_replaced_is_read_again(world: World) -> None:
    registered = await asyncio.to_thread(Path(world.simulator.certificate_file).read_text)
    world.vault.values["key-pair"] = await asyncio.to_thread(a_certificate)
    async with world.opened("Secure Score", certificate={"secret": "key-pair"}) as call:
        with pytest.raises(SourceRefused, match="AADSTS700027"):
            await call()
        assert await world.sign_ins() == [401], "its value is the same: nothing to try again"
        world.vault.values["key-pair"] = registered
        assert await call()
        assert await world.sign_ins() == [401, 200]


async def test_an_expired_secret_is_one_that_may_have_been_rotated(world: World) -> None:
    expired: dict[str, Any] = {"value": world.simulator.client_secret, "expires": "2020-01-01T00:00:00Z"}
    await world.tell("POST", "/identities", identity="bridge", secrets=[expired, {"value": NEW}])
    async with world.opened("states of alerts") as call:
        with pytest.raises(SourceRefused, match="AADSTS7000222"):
            await call()
        world.vault.values["bridge"] = NEW
        assert await call()


async def test_a_refusal_for_another_reason_reads_no_secret_again(world: World) -> None:
    await world.tell("POST", "/identities", identity="bridge", secrets=[{"value": NEW}])
    world.vault.values["bridge"] = world.simulator.client_secret
    unknown = "7d3ff5a5-0000-4000-8000-000000000000"
    async with world.opened("Secure Score") as call:
        with pytest.raises(SourceRefused, match="AADSTS7000215") as caught:
            await call()
    assert world.simulator.client_secret not in str(caught.value)
    await world.sign_ins()
    world.simulator = world.simulator.__class__(**{**world.simulator.as_json(), "client_id": unknown})
    async with world.opened("Secure Score") as call:
        with pytest.raises(SourceRefused, match="AADSTS700016"):
            await call()
    assert await world.sign_ins() == [400]


def a_certificate() -> str:
    """PEM of a new key and a certificate that it signed itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bridge")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    return pem.decode()
