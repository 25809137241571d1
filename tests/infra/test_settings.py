"""The settings that the template gives are the ones the app reads, and they are enough for it to start."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from app.configuration import load_config
from app.container import Container
from connectors.key_vault import KeyVaultSecrets
from connectors.servicenow.settings import ServiceNowSettings
from shared.core.errors import StorageUnavailable
from shared.platform.storage import Storage, storage_errors
from tests.infra.bicep import FILES, MAIN, ROOT, parse, settings
from tests.key_vault.vault import ACCESS, running

CLIENT = "22222222-2222-4222-8222-222222222222"

#: Read by Functions itself. Source: "App settings reference for Azure Functions"; Azure Functions developer guide,
#: "Connecting to host storage with an identity" and "Common properties for identity-based connections".
BY_FUNCTIONS = {
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
}

#: Read by the SDKs. Source: azure-identity, "Environment variables".
BY_THE_SDKS = {"AZURE_CLIENT_ID"}

#: What Flex Consumption refuses or ignores. Source: App settings reference, "Flex Consumption plan deprecations".
NOT_ON_THIS_PLAN = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_RUN_FROM_PACKAGE",
}


def deployed(suffix: str = "core.windows.net", *, export: bool = False) -> dict[str, str]:
    """The application settings as they are in Azure after a deployment with the defaults, or with the export besides,
    in the cloud whose storage has that suffix."""
    endpoints = {
        f"storage.properties.primaryEndpoints.{service}": f"https://stbridgecontoso.{service}.{suffix}/"
        for service in ("blob", "queue", "table")
    }
    azure = endpoints | {
        "identity.properties.clientId": CLIENT,
        "vault.properties.vaultUri": "https://kv-bridge-contoso.vault.azure.net/",
        "insights.properties.ConnectionString": "ConnectionString of the component",
        "serviceNowUrl": "https://contoso.service-now.com",
        "serviceNowUsername": "azure.bridge",
    }
    return {name: azure.get(value, value) for name, value in settings(parse(MAIN), export=export).items()}


def test_every_setting_is_read_by_the_app_by_functions_or_by_an_sdk() -> None:
    code = [
        ROOT / "function_app.py",
        *(f for part in ("app", "connectors", "shared") for f in (ROOT / part).rglob("*.py")),
    ]
    read = {name for file in code for name in re.findall(r'get\("([A-Z_]+)"', file.read_text(encoding="utf-8"))}
    read |= set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "bridge.yaml").read_text(encoding="utf-8")))
    given = set(deployed(export=True))
    assert given - BY_FUNCTIONS - BY_THE_SDKS <= read
    assert not given & NOT_ON_THIS_PLAN
    assert "AzureWebJobsStorage" not in given, "a connection string would come before the identity"


def test_every_setting_of_the_example_is_set_or_its_absence_is_explained() -> None:
    example = json.loads((ROOT / "local.settings.example.json").read_text(encoding="utf-8"))["Values"]
    readme = (ROOT / "infra" / "README.md").read_text(encoding="utf-8")
    missing = set(example) - set(deployed())
    assert missing == {name for name in missing if f"`{name}`" in readme}


async def test_the_shipped_configuration_is_valid_with_these_settings_alone() -> None:
    config = load_config(ROOT / "bridge.yaml", deployed()).config
    connection = config.connections["servicenow"]
    assert isinstance(connection, ServiceNowSettings)
    assert connection.url == "https://contoso.service-now.com"
    services = Container(deployed())
    try:
        assert repr(services.secrets) == "<KeyVaultSecrets kv-bridge-contoso.vault.azure.net, 0 kept>"
        assert services.storage.queue("signals").url.startswith("https://stbridgecontoso.queue.core.windows.net/")
    finally:
        await services.aclose()


@pytest.mark.parametrize("suffix", ["core.windows.net", "core.usgovcloudapi.net", "core.chinacloudapi.cn"])
async def test_the_deployed_app_finds_its_storage_in_every_cloud(suffix: str) -> None:
    given = deployed(suffix)
    assert "AzureWebJobsStorage__accountName" not in given, "Functions completes a name for the global cloud alone"
    storage = Storage(given)
    assert storage.queue("signals").url == f"https://stbridgecontoso.queue.{suffix}/signals"
    assert storage.container("large").url == f"https://stbridgecontoso.blob.{suffix}/large"
    assert storage.table("links").url == f"https://stbridgecontoso.table.{suffix}"
    await storage.aclose()


def test_no_template_knows_the_addresses_of_one_cloud() -> None:
    for file in FILES:
        assert not re.search(r"windows\.net|azure\.(?:net|com)|azurewebsites", file.read_text(encoding="utf-8")), file


@asynccontextmanager
async def identity_endpoint(asked: list[dict[str, str]]) -> AsyncIterator[str]:
    """An app's identity endpoint on loopback; notes what it is asked for."""

    async def token(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        body = {"access_token": ACCESS, "expires_on": "4102444800", "token_type": "Bearer"}
        return web.json_response(body | {"resource": request.query["resource"]})

    app = web.Application()
    app.router.add_get("/msi/token", token)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/msi/token"
    finally:
        await runner.cleanup()


async def test_storage_and_vault_are_reached_as_the_identity_of_the_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user-assigned identity is used only when it is named: each of the two reads its name from a setting."""
    asked: list[dict[str, str]] = []
    given = deployed()
    async with running(tmp_path) as vault, identity_endpoint(asked) as endpoint:
        vault.secrets["servicenow-password"] = "demo-value"
        monkeypatch.setenv("IDENTITY_ENDPOINT", endpoint)
        monkeypatch.setenv("IDENTITY_HEADER", "demo-header")
        for name, value in given.items():
            monkeypatch.setenv(name, value)

        secrets = KeyVaultSecrets(
            vault.url, client_options={"connection_verify": vault.ca_file, "verify_challenge_resource": False}
        )
        assert await secrets.get("servicenow-password") == "demo-value"
        await secrets.aclose()
        assert [(q["resource"], q["client_id"]) for q in asked] == [("https://vault.azure.net", CLIENT)]

        asked.clear()
        # Nobody listens there: the token is fetched before the connection is tried.
        storage = Storage(given | {"AzureWebJobsStorage__queueServiceUri": "https://127.0.0.1:1"})
        with pytest.raises(StorageUnavailable):
            async with storage_errors("looking"):
                await storage.queue("signals").get_queue_properties(retry_total=0)
        await storage.aclose()
        assert [(q["resource"], q["client_id"]) for q in asked] == [("https://storage.azure.com", CLIENT)]
