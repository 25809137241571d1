"""Writing refresh tokens: each value is a version of its own, its end may move, and a disabled one is read no more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.key_vault import KeyVaultSecrets
from shared.core.errors import SecretMissing, SecretUnavailable
from tests.key_vault.vault import Vault

NAME = "servicenow-refresh-token"
END, LATER = datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC)


async def test_a_new_value_is_a_new_version_and_another_end_is_none(vault: Vault, secrets: KeyVaultSecrets) -> None:
    await secrets.put(NAME, "demo-token-1", END)
    await secrets.put(NAME, "demo-token-1", LATER)
    assert (vault.written, len(vault.versions[NAME])) == ([NAME], 1)
    assert (await secrets.get(NAME), await secrets.expires_on(NAME)) == ("demo-token-1", LATER)
    await secrets.put(NAME, "demo-token-2", END)
    assert (vault.secrets[NAME], len(vault.versions[NAME])) == ("demo-token-2", 2)
    assert vault.present(NAME)["exp"] == END.timestamp()
    assert vault.reads == []  # what was written is known


async def test_a_secret_that_is_disabled_is_missing_until_a_new_version_comes(
    vault: Vault,
    secrets: KeyVaultSecrets,
) -> None:
    await secrets.put(NAME, "demo-token-1", END)
    assert await secrets.disable(NAME)
    with pytest.raises(SecretMissing, match="the secret is disabled"):
        await secrets.get(NAME)
    await secrets.put(NAME, "demo-token-1", END)
    assert await secrets.get(NAME) == "demo-token-1"
    assert not await secrets.disable("no-such-secret")


async def test_without_the_role_to_write_the_role_is_named(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.read_only = True
    with pytest.raises(SecretUnavailable, match="'Key Vault Secrets Officer' on this secret") as caught:
        await secrets.put(NAME, "demo-token-1", END)
    assert "demo-token-1" not in str(caught.value)
    assert NAME not in vault.secrets


async def test_a_name_that_a_deleted_secret_has_is_explained(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.deleted.add(NAME)
    with pytest.raises(SecretUnavailable, match="az keyvault secret recover"):
        await secrets.put(NAME, "demo-token-1", END)


async def test_a_vault_that_is_away_is_no_missing_secret(vault: Vault, secrets: KeyVaultSecrets) -> None:
    vault.away = True
    with pytest.raises(SecretUnavailable, match="HTTP 503") as caught:
        await secrets.put(NAME, "demo-token-1", END)
    assert not isinstance(caught.value, SecretMissing)
