"""Reading secrets: what is kept, what is read anew, and what is said when it does not work."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.identity import CredentialUnavailableError

from connectors.key_vault import KeyVaultSecrets
from connectors.key_vault.secrets import KEEP, REFRESH_AT_MOST_EVERY
from shared.core.errors import ConfigurationError, SecretUnavailable
from tests.key_vault.conftest import Clock, options
from tests.key_vault.vault import Credential, Vault


async def test_a_secret_is_read_once_and_kept(vault: Vault, secrets: KeyVaultSecrets, clock: Clock) -> None:
    assert await secrets.get("servicenow-password") == "demo-password"
    vault.secrets["servicenow-password"] = "demo-password-2"
    clock.now += KEEP - 1
    assert await secrets.get("servicenow-password") == "demo-password"
    clock.now += 1
    assert await secrets.get("servicenow-password") == "demo-password-2"
    assert vault.reads == ["servicenow-password"] * 2


async def test_refresh_reads_anew_but_at_most_once_a_minute(
    vault: Vault, secrets: KeyVaultSecrets, clock: Clock
) -> None:
    await secrets.get("servicenow-password")
    vault.secrets["servicenow-password"] = "demo-password-2"
    assert await secrets.get("servicenow-password", refresh=True) == "demo-password"
    clock.now += REFRESH_AT_MOST_EVERY
    assert await secrets.get("servicenow-password", refresh=True) == "demo-password-2"
    assert await secrets.get("servicenow-password") == "demo-password-2"
    assert len(vault.reads) == 2


async def test_names_are_kept_apart(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.secrets["other"] = "demo-other"
    assert await secrets.get("other") == "demo-other"
    assert await secrets.get("servicenow-password", refresh=True) == "demo-password"


async def test_those_who_wait_share_one_reading(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.gate = asyncio.Event()
    tasks = [asyncio.create_task(secrets.get("servicenow-password")) for _ in range(10)]
    async with asyncio.timeout(30):
        await vault.asked.wait()
    tasks[0].cancel()  # whoever reads may be cancelled; the others go on
    vault.gate.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert done[1:] == ["demo-password"] * 9
    assert len(vault.reads) <= 2


async def test_a_failed_reading_is_not_remembered(vault: Vault, secrets: KeyVaultSecrets) -> None:
    with pytest.raises(SecretUnavailable):
        await secrets.get("late")
    vault.secrets["late"] = "demo-late"
    assert await secrets.get("late") == "demo-late"


@pytest.mark.parametrize(
    ("refusal", "cause", "fix"),
    [
        ((404, "SecretNotFound", ""), "does not exist", "correct the name in bridge.yaml"),
        ((403, "Forbidden", "ForbiddenByRbac"), "HTTP 403", "'Key Vault Secrets User'"),
        ((403, "Forbidden", "AccessDenied"), "HTTP 403", "'Key Vault Secrets User'"),
        ((403, "Forbidden", ""), "HTTP 403", "'Key Vault Secrets User'"),
        ((403, "Forbidden", "ForbiddenByFirewall"), "firewall", "subnet"),
        ((403, "Forbidden", "ForbiddenByConnection"), "private", "private endpoint"),
        ((403, "Forbidden", "SecretDisabled"), "disabled", "enable it"),
        ((403, "Forbidden", "ForbiddenByPolicy"), "access policy", "allow"),
        ((429, "Throttled", ""), "overloaded", "tried again"),
        ((500, "InternalError", ""), "HTTP 500", "tried again"),
        ((503, "ServiceUnavailable", ""), "HTTP 503", "tried again"),
    ],
)
async def test_a_refusal_names_vault_secret_cause_and_fix_and_no_value(
    vault: Vault, secrets: KeyVaultSecrets, refusal: tuple[int, str, str], cause: str, fix: str
) -> None:
    vault.refusals["servicenow-password"] = refusal
    with pytest.raises(SecretUnavailable) as caught:
        await secrets.get("servicenow-password")
    text = str(caught.value)
    assert text.startswith("secret 'servicenow-password' of key vault localhost: ")
    assert cause in text
    assert fix in text
    assert "demo-value" not in text
    assert caught.value.retry


async def test_an_empty_value_is_none(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.secrets["empty"] = ""
    with pytest.raises(SecretUnavailable, match="has no value"):
        await secrets.get("empty")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "x" * 128])
async def test_a_text_that_is_no_name_is_not_asked_for(vault: Vault, secrets: KeyVaultSecrets, name: str) -> None:
    with pytest.raises(SecretUnavailable, match="cannot be the name"):
        await secrets.get(name)
    assert vault.reads == []


async def test_a_vault_that_takes_no_token_says_so(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.denied = True
    with pytest.raises(SecretUnavailable, match="not accepted"):
        await secrets.get("servicenow-password")


async def test_no_identity_at_all(vault: Vault) -> None:
    class Nobody(Credential):
        async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
            raise CredentialUnavailableError("no identity; demo-token-in-message")

    source = KeyVaultSecrets(vault.url, Nobody(), client_options=options(vault))
    with pytest.raises(SecretUnavailable, match="managed identity") as caught:
        await source.get("servicenow-password")
    assert "demo-token" not in str(caught.value)
    await source.aclose()


async def test_a_vault_that_is_not_there(vault: Vault) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    source = KeyVaultSecrets(f"https://localhost:{port}", Credential(), client_options=options(vault))
    with pytest.raises(SecretUnavailable, match="cannot be reached"):
        await source.get("servicenow-password")
    await source.aclose()


async def test_a_certificate_that_nobody_vouches_for_is_refused(vault: Vault) -> None:
    source = KeyVaultSecrets(
        vault.url, Credential(), client_options={"verify_challenge_resource": False, "retry_total": 0}
    )
    with pytest.raises(SecretUnavailable):
        await source.get("servicenow-password")
    assert vault.reads == []
    await source.aclose()


async def test_a_host_that_is_no_vault_of_azure_gets_no_token(vault: Vault) -> None:
    """The SDK's own check stays on unless a caller takes it off."""
    source = KeyVaultSecrets(
        vault.url, Credential(), client_options={"connection_verify": vault.ca_file, "retry_total": 0}
    )
    with pytest.raises(SecretUnavailable, match="no vault of this cloud"):
        await source.get("servicenow-password")
    assert vault.reads == []
    await source.aclose()


async def test_a_blip_is_ridden_out(vault: Vault) -> None:
    quick = options(vault, retry_total=2, retry_backoff_factor=0.01)
    source = KeyVaultSecrets(vault.url, Credential(), client_options=quick)
    vault.blips = 2
    assert await source.get("servicenow-password") == "demo-password"
    assert len(vault.reads) == 3
    await source.aclose()


async def test_the_apps_own_identity_is_used_when_none_is_given(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IDENTITY_ENDPOINT", vault.identity_url)
    monkeypatch.setenv("IDENTITY_HEADER", "demo-identity-header")
    source = KeyVaultSecrets(vault.url, client_options=options(vault))
    assert await source.get("servicenow-password") == "demo-password"
    assert vault.identity_calls == 1
    await source.aclose()


async def test_closing_forgets_values_and_leaves_a_given_credential_open(vault: Vault) -> None:
    credential = Credential()
    source = KeyVaultSecrets(vault.url, credential, client_options=options(vault))
    await source.aclose()
    await source.get("servicenow-password")
    await source.aclose()
    assert not credential.closed
    await source.get("servicenow-password")
    assert len(vault.reads) == 2
    await source.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "contoso",
        "http://contoso.vault.azure.net",
        "https://",
        "https://u:p@contoso.vault.azure.net",
        "https://x/secrets/y",
    ],
)
def test_an_address_that_is_no_vault_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="Fix:") as caught:
        KeyVaultSecrets(url)
    assert "u:p" not in str(caught.value)


async def test_no_value_shows(
    vault: Vault, secrets: KeyVaultSecrets, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await secrets.get("servicenow-password")
    clock.now += KEEP
    vault.refusals["servicenow-password"] = (500, "InternalError", "")
    with pytest.raises(SecretUnavailable) as caught:
        await secrets.get("servicenow-password")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    text = "".join(shown) + caplog.text + repr(secrets) + repr(vars(secrets))
    assert "demo-password" not in text
    assert "demo-vault-token" not in text


async def test_given_two_versions_when_asked_for_the_end_then_the_newest_counts_and_no_value_is_read(
    vault: Vault, secrets: KeyVaultSecrets
) -> None:
    vault.store("desk-key", "demo-old", created=1700000000, ends=4102444800)
    vault.store("desk-key", "demo-new", created=1750000000, ends=4133980800)
    found = await secrets.end_of("desk-key")
    assert found.ends == datetime(2101, 1, 1, tzinfo=UTC)
    assert found.usable == 2
    assert found.replace.startswith("az keyvault secret set --vault-name localhost --name desk-key ")
    assert vault.reads == ["desk-key/versions"]


async def test_given_an_old_version_without_end_when_the_newest_has_none_then_no_end_is_known(
    vault: Vault, secrets: KeyVaultSecrets
) -> None:
    vault.store("desk-key", "demo-old", created=1700000000, ends=1700000001)
    vault.store("desk-key", "demo-new", created=1750000000)
    found = await secrets.end_of("desk-key")
    assert (found.ends, found.usable) == (None, 1)


async def test_given_a_policy_without_list_when_asked_for_the_end_then_the_present_version_tells_it(
    vault: Vault, secrets: KeyVaultSecrets
) -> None:
    vault.may_list = False
    vault.store("desk-key", "demo-new", ends=4102444800)
    found = await secrets.end_of("desk-key")
    assert found.ends == datetime(2100, 1, 1, tzinfo=UTC)
    assert vault.reads == ["desk-key/versions", "desk-key"]


@pytest.mark.parametrize(("name", "said"), [("nowhere", "it does not exist"), ("no name", "cannot be the name")])
async def test_given_a_secret_that_is_not_there_when_asked_for_the_end_then_the_fix_is_said(
    secrets: KeyVaultSecrets, name: str, said: str
) -> None:
    with pytest.raises(SecretUnavailable, match=said):
        await secrets.end_of(name)
