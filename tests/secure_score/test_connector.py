"""Microsoft Graph and the sign-in by themselves, over TLS, with azure-identity as it is."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key, pkcs12

from connectors.microsoft import Endpoint
from connectors.microsoft.graph import GRAPH as CLOUDS
from connectors.microsoft.settings import SignIn
from connectors.microsoft.sign_in import EntraApplication
from connectors.secure_score.api import SecureScores, is_settable
from shared.core.errors import SourceRefused, SourceUnavailable
from shared.core.secrets import SettingSecrets
from tests.asking import ask
from tests.azure_simulator.support import GRAPH
from tests.secure_score.world import World

VENDOR = {"provider": "SecureScore", "vendor": "Microsoft", "providerVersion": None, "subProvider": None}


class Rotating(SettingSecrets):
    """Gives an old secret until it is read anew."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__({})
        self._old, self._new = old, new
        self.reads: list[bool] = []

    async def get(self, name: str, *, refresh: bool = False) -> str:
        self.reads.append(refresh)
        return self._new if refresh else self._old


@asynccontextmanager
async def signed_in(
    world: World, secrets: SettingSecrets, *, certificate: bool = False
) -> AsyncIterator[tuple[EntraApplication, SecureScores]]:
    clouds = world.clouds
    trust = ssl.create_default_context(cafile=clouds.ca_file)
    sign_in = SignIn.model_validate(
        {
            "tenant": clouds.tenant_id,
            "client_id": clouds.client_id,
            "certificate" if certificate else "client_secret": {"secret": "proof"},
        }
    )
    options = {"disable_instance_discovery": True, "connection_verify": clouds.ca_file}
    async with EntraApplication(sign_in, secrets, authority=clouds.https_url, options=options) as application:
        scores = SecureScores(application, Endpoint(clouds.https_url, GRAPH), trust=trust)
        yield application, scores
        await scores.aclose()


async def test_a_token_is_asked_for_once_whatever_the_environment_says_of_authorities_and_proxies(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = tmp_path / "none.pem"
    empty.write_text("")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(empty))
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with signed_in(world, SettingSecrets({"PROOF": world.clouds.client_secret})) as (application, scores):
        first = await application.get_token(GRAPH)
        assert (await application.get_token(GRAPH)).token == first.token
        assert await scores.latest_score() is not None
        assert scores.calls == 1
    assert [one["operation"] for one in await world.requests()].count("token") == 1


async def test_a_certificate_as_key_vault_keeps_it(world: World) -> None:
    pem = await asyncio.to_thread(Path(world.clouds.certificate_file).read_bytes)
    key = load_pem_private_key(pem, None)
    assert isinstance(key, RSAPrivateKey)
    bundle = pkcs12.serialize_key_and_certificates(
        b"bridge", key, x509.load_pem_x509_certificate(pem), None, NoEncryption()
    )
    secrets = SettingSecrets({"PROOF": base64.b64encode(bundle).decode()})
    async with signed_in(world, secrets, certificate=True) as (_, scores):
        assert await scores.latest_score() is not None


async def test_text_that_is_no_certificate(world: World) -> None:
    async with signed_in(world, SettingSecrets({"PROOF": "abc"}), certificate=True) as (_, scores):
        with pytest.raises(SourceRefused, match="neither PEM"):
            await scores.latest_score()


async def test_a_secret_that_was_renewed_is_read_again(world: World) -> None:
    secrets = Rotating("old", world.clouds.client_secret)
    async with signed_in(world, secrets) as (_, scores):
        assert await scores.latest_score() is not None
    assert secrets.reads == [False, True]


async def test_a_missing_secret_and_a_wrong_one(world: World) -> None:
    async with signed_in(world, SettingSecrets({})) as (_, scores):
        with pytest.raises(SourceRefused, match="secret 'proof' has no value"):
            await scores.latest_score()
    async with signed_in(world, SettingSecrets({"PROOF": "wrong"})) as (_, scores):
        with pytest.raises(SourceRefused, match="AADSTS7000215") as caught:
            await scores.latest_score()
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("fault", [{"kind": "throttle", "retry_after": 600}, {"kind": "cut_before_commit"}])
async def test_entra_that_does_not_answer_may_do_so_later(world: World, fault: dict[str, Any]) -> None:
    await world.cloud(**fault, match={"operation": "token"})
    async with signed_in(world, SettingSecrets({"PROOF": world.clouds.client_secret})) as (application, _):
        with pytest.raises(SourceUnavailable, match="Entra"):
            await application.get_token(GRAPH)


async def test_one_profile_and_none(world: World) -> None:
    async with signed_in(world, SettingSecrets({"PROOF": world.clouds.client_secret})) as (_, scores):
        found = await scores.profile("DLPEnabled")
        assert found is not None
        assert found["title"] == "Apply Data Loss Prevention policies"
        assert await scores.profile("No/such one?") is None


async def test_an_update_says_state_comment_and_assignee(world: World) -> None:
    async with signed_in(world, SettingSecrets({"PROOF": world.clouds.client_secret})) as (_, scores):
        await scores.update("DLPEnabled", "Ignored", "Accepted.", "lee.gu@contoso.example", VENDOR)
        await scores.update("DLPEnabled", "Default", "Or not.", "", VENDOR)
    updates = [(one["state"], one["comment"], one["assignedTo"]) for one in await world.updates("DLPEnabled")]
    assert updates == [
        ("Ignored", "Accepted.", "lee.gu@contoso.example"),
        ("Default", "Or not.", "lee.gu@contoso.example"),
    ]


async def test_updates_that_microsoft_would_refuse_are_not_sent(world: World) -> None:
    async with signed_in(world, SettingSecrets({"PROOF": world.clouds.client_secret})) as (_, scores):
        with pytest.raises(SourceRefused, match="belong to Defender for Endpoint"):
            await scores.update("SCID_2000", "Ignored", "", "", VENDOR)
        with pytest.raises(SourceRefused, match="vendorInformation"):
            await scores.update("DLPEnabled", "Ignored", "", "", {"provider": "SecureScore"})
        assert scores.calls == 0
    assert not is_settable(" scid_41")
    assert is_settable("AdminMFAV2")


async def test_a_proxy_that_answers_in_place_of_graph(world: World) -> None:
    async with signed_in(world, SettingSecrets({"PROOF": world.clouds.client_secret})) as (_, scores):
        await world.cloud("page", match={"operation": "secureScores/read"})
        with pytest.raises(SourceRefused, match="no JSON object"):
            await scores.latest_score()


def test_each_cloud_has_its_own_graph() -> None:
    assert {cloud: endpoint.url.partition("//")[2] for cloud, endpoint in CLOUDS.items()} == {
        "public": "graph.microsoft.com",
        "us_government": "graph.microsoft.us",
        "china": "microsoftgraph.chinacloudapi.cn",
    }
    assert all(endpoint.scope == f"{endpoint.url}/.default" for endpoint in CLOUDS.values())


async def test_the_app_s_own_identity_needs_no_sign_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", world.clouds.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", world.clouds.identity_header)
    world.configure(tenants=[{}])
    polled = await world.poll()
    assert (polled.tenant, polled.controls, polled.reason) == ("", 9, "")
    body = {"requested_by": "abel.tuter"}
    assert (await ask(world.scores.ticket, body, control="DLPEnabled")).status == 201
