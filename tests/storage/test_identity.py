"""Storage by managed identity: the account's name in a setting, a token from the identity endpoint, no key anywhere."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from cli.main import main
from local.azurite import Azurite
from shared.core.errors import ConfigurationError, StorageUnavailable
from shared.core.messages import SignalMessage
from shared.delivery.links import LinkStore
from shared.delivery.parked import ParkedStore
from shared.delivery.queue import SignalQueue
from shared.platform.storage import Storage
from tests.mapping.signals import signal
from tests.storage.test_stores import NOW, link


def _token(audience: str) -> str:
    """A token as Azurite checks it: form and claims, no signature. Not a secret: it opens this test's Azurite only."""
    claims = {
        "aud": audience,
        "iss": "https://sts.windows.net/11111111-1111-4111-8111-111111111111/",
        "nbf": int(time.time()) - 60,
        "iat": int(time.time()) - 60,
        "exp": int(time.time()) + 3600,
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, claims, "unsigned")
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


async def test_tables_queue_and_blobs_with_a_managed_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def identity(request: web.Request) -> web.Response:
        asked.append(request.query["resource"])
        if len(asked) == 1:
            return web.Response(status=403)  # the identity was just switched on: not everything knows it yet
        return web.json_response(
            {
                "access_token": _token("https://storage.azure.com"),
                "expires_on": str(int(time.time()) + 3600),
                "resource": request.query["resource"],
                "token_type": "Bearer",
            }
        )

    app = web.Application()
    app.router.add_get("/msi/token", identity)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "demo-header")

    authority = trustme.CA()
    server, trust = tmp_path / "server.pem", tmp_path / "ca.pem"
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    server.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(trust)
    with Azurite(certificate=(server, tmp_path / "key.pem"), oauth=True) as azurite:
        settings = {
            "AzureWebJobsStorage__accountName": "devstoreaccount1",
            "AzureWebJobsStorage__blobServiceUri": azurite.blob_url,
            "AzureWebJobsStorage__queueServiceUri": azurite.queue_url,
            "AzureWebJobsStorage__tableServiceUri": azurite.table_url,
        }
        storage = Storage(settings, transport={"connection_verify": str(trust)})
        try:
            links, one = LinkStore(storage), link()
            with pytest.raises(StorageUnavailable, match="Storage Table Data Contributor"):
                await links.write(one, None)
            await links.write(one, None)
            stored = await links.load(one.key)
            assert stored is not None
            assert stored.value == one
            envelope = SignalMessage(id="a" * 32, received_at=NOW, signal=signal())
            await SignalQueue(storage).send(envelope)
            await ParkedStore(storage).park("dead-letter", envelope, code="c", reason="r")
            assert await SignalQueue(storage).depth() == 1
        finally:
            await storage.aclose()
            await runner.cleanup()
    assert any("storage.azure.com" in resource for resource in asked)


async def test_without_any_account_the_error_says_which_setting_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="AzureWebJobsStorage__accountName"):
        await SignalQueue(Storage({})).depth()


@pytest.mark.parametrize(
    ("authority", "suffix"),
    [
        ("", "core.windows.net"),
        ("https://login.microsoftonline.com", "core.windows.net"),
        ("login.microsoftonline.us", "core.usgovcloudapi.net"),
        ("https://login.microsoftonline.us/", "core.usgovcloudapi.net"),
        ("https://login.chinacloudapi.cn", "core.chinacloudapi.cn"),
        ("https://Login.Partner.MicrosoftOnline.cn", "core.chinacloudapi.cn"),
    ],
)
async def test_the_name_of_an_account_is_completed_for_the_cloud_that_is_signed_in_to(
    authority: str, suffix: str
) -> None:
    settings = {"AzureWebJobsStorage__accountName": "stbridge", "AZURE_AUTHORITY_HOST": authority}
    storage = Storage(settings)
    assert storage.queue("signals").url == f"https://stbridge.queue.{suffix}/signals"
    assert storage.table("links").url == f"https://stbridge.table.{suffix}"
    assert storage.container("large").url == f"https://stbridge.blob.{suffix}/large"
    await storage.aclose()


async def test_in_a_cloud_of_ones_own_the_addresses_have_to_be_given() -> None:
    private = {"AzureWebJobsStorage__accountName": "stbridge", "AZURE_AUTHORITY_HOST": "https://login.contoso.example"}
    with pytest.raises(ConfigurationError, match="AzureWebJobsStorage__queueServiceUri"):
        Storage(private).queue("signals")
    storage = Storage(private | {"AzureWebJobsStorage__queueServiceUri": "https://stbridge.queue.contoso.example/"})
    assert storage.queue("signals").url == "https://stbridge.queue.contoso.example/signals"
    await storage.aclose()


async def test_an_account_on_the_command_line_takes_nothing_of_the_one_in_the_settings(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr("cli.main.use_settings", given.update)
    monkeypatch.setenv("AzureWebJobsStorage", "DefaultEndpointsProtocol=http;AccountName=other")
    monkeypatch.setenv("AzureWebJobsStorage__queueServiceUri", "https://other.queue.core.windows.net/")
    monkeypatch.setenv("AzureWebJobsStorage__clientId", "11111111-2222-4333-8444-555555555555")
    empty = tmp_path / "settings.json"
    empty.write_text('{"Values": {}}')
    main(account="stbridge", settings_file=empty)
    assert {n: v for n, v in given.items() if n.startswith("AzureWebJobs")} == {
        "AzureWebJobsStorage__accountName": "stbridge"
    }
    storage = Storage(given)
    assert storage.queue("signals").url == "https://stbridge.queue.core.windows.net/signals"
    await storage.aclose()
