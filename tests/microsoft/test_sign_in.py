"""How an application signs in, what its failures say, and what the check advises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.check_sign_in import signed_in
from connectors.microsoft.claims import Claims, read_claims
from connectors.microsoft.clients import MicrosoftClients
from connectors.microsoft.settings import SignIn
from shared.core.errors import SourceRefused, SourceUnavailable
from tests.azure_simulator.support import ARM, GRAPH
from tests.microsoft.world import World

SOME_ID = "7d3ff5a5-0000-4000-8000-000000000000"


async def token(world: World, **proof: Any) -> Claims:
    """A token for Resource Manager, from a process that has just started; what it says."""
    async with aclosing(MicrosoftClients(world.vault, world.endpoints())) as clients:
        credential = clients.credential("public", SignIn.model_validate(world.sign_in(**proof)))
        return read_claims((await credential.get_token(ARM)).token)


@pytest.fixture
def app_service(world: World, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of an app that has managed identities."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", world.simulator.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", world.simulator.identity_header)
    return monkeypatch


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"client_secret": {"secret": "a"}, "certificate": {"secret": "b"}},
        {"client_secret": {"secret": "a"}, "managed_identity": {}},
    ],
)
def test_there_is_exactly_one_proof(proof: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of 'client_secret', 'certificate' and 'managed_identity'"):
        SignIn.model_validate({"tenant": SOME_ID, "client_id": SOME_ID, **proof})


async def test_one_sign_in_serves_all_sections_that_name_it(world: World) -> None:
    async with aclosing(MicrosoftClients(world.vault, world.endpoints())) as clients:
        one, same = (SignIn.model_validate(world.sign_in()) for _ in range(2))
        first = clients.credential("public", one)
        assert clients.credential("public", same) is first
        other = SignIn.model_validate(world.sign_in(certificate={"secret": "bridge"}))
        assert clients.credential("public", other) is not first
        assert clients.credential("china", one) is not first
        tokens = await asyncio.gather(*(first.get_token(scope) for scope in (ARM, GRAPH, ARM, GRAPH)))
        assert await world.sign_ins() == [200, 200], "one for each scope, however many ask at the same time"
        assert len({one.token for one in tokens}) == 2


async def test_the_apps_own_identity_stands_for_a_secret(world: World, app_service: pytest.MonkeyPatch) -> None:
    app_service.setenv("AZURE_CLIENT_ID", world.simulator.user_identity_client_id)
    world.vault.values.clear()
    assert (await token(world, managed_identity={})).application == world.simulator.client_id


async def test_an_identity_that_the_application_does_not_trust(world: World, app_service: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceRefused, match=r"AADSTS700213.*Fix: check tenant, client_id and managed_identity"):
        await token(world, managed_identity={})
    assert await world.sign_ins() == [401], "an identity has no other token to try"


async def test_an_identity_that_the_app_does_not_have(world: World, app_service: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceRefused, match="no token of the managed identity for application"):
        await token(world, managed_identity={"client_id": SOME_ID})
    assert await world.sign_ins() == []


async def test_a_certificate_whose_key_has_a_password(world: World) -> None:
    pem = await asyncio.to_thread(Path(world.simulator.certificate_file).read_bytes)
    key = load_pem_private_key(pem, None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    public = pem[pem.index(b"-----BEGIN CERTIFICATE") :]
    world.vault.values["key-pair"] = (locked + public).decode()
    with pytest.raises(SourceRefused, match="neither PEM"):
        await token(world, certificate={"secret": "key-pair"})


@pytest.mark.parametrize(
    "fault",
    [
        {"type": "fail", "status": 503},
        {"type": "fail", "status": 502, "html": True},
        {"type": "page"},
        {"type": "throttle", "retry_after": 600},
        {"type": "truncated_json"},
        {"type": "cut_before_commit"},
    ],
    ids=str,
)
async def test_entra_that_does_not_answer_may_do_so_later(world: World, fault: dict[str, Any]) -> None:
    await world.tell("POST", "/scenarios", **fault, match={"operation": "token"})
    with pytest.raises(SourceUnavailable, match="Entra") as caught:
        await token(world)
    assert caught.value.retry_after == fault.get("retry_after")
    assert len(await world.sign_ins()) <= 1, "whoever makes the call that needs the token repeats it"


class Refusing:
    """Whose sign-in fails."""

    def __init__(self, words: str) -> None:
        self._words = words

    async def sign_in(self) -> Claims:
        raise SourceRefused(self._words)


SECRET, CERTIFICATE, IDENTITY = {"client_secret": {"secret": "s"}}, {"certificate": {"secret": "s"}}, "managed_identity"


@pytest.mark.parametrize(
    ("proof", "words", "advice"),
    [
        (SECRET, "AADSTS7000222: expired", "Make a new client secret for application"),
        (SECRET, "AADSTS7000215: Invalid client secret provided", "store it as secret 's'"),
        (CERTIFICATE, "AADSTS700027: not registered", "Upload the certificate that is stored as secret 's'"),
        (CERTIFICATE, "no secret for application x", "Give secret 's' a value"),
        (CERTIFICATE, "AADSTS90002: Tenant not found", "Correct tenant and client_id"),
        ({IDENTITY: {}}, "AADSTS700213: No matching federated identity record", "Add a federated credential"),
        ({IDENTITY: {}}, "no token of the managed identity for application x", "Give the app the managed identity"),
        ({IDENTITY: {}}, "AADSTS700016: not found in the directory", "register application"),
        ({IDENTITY: {}}, "AADSTS50000: something else", "Check tenant, client_id and managed_identity"),
        ({IDENTITY: {"client_id": SOME_ID}}, "AADSTS70021: No matching federated identity", "Add a federated"),
    ],
)
async def test_the_advice_fits_the_kind_of_sign_in(proof: dict[str, Any], words: str, advice: str) -> None:
    lines = CheckLines("own")
    sign_in = SignIn.model_validate({"tenant": SOME_ID, "client_id": SOME_ID, **proof})
    assert await signed_in(Refusing(words), sign_in, lines) is None
    (line,) = lines.findings
    assert advice in line.fix
    assert ("secret 's'" in line.fix) <= (proof in (SECRET, CERTIFICATE))


def test_the_configuration_is_read_without_any_http_client() -> None:
    script = (
        "import sys, shared.config.load, shared.config.model\n"
        "from connectors.microsoft.settings import SignIn\n"
        "print(sorted(m for m in ('httpx', 'msal', 'azure.core', 'aiohttp', 'cryptography') if m in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
