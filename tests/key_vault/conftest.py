"""A vault for each test, and secrets that are read from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connectors.key_vault import KeyVaultSecrets
from tests.key_vault.vault import Credential, Vault, running


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def vault(tmp_path: Path) -> AsyncIterator[Vault]:
    async with running(tmp_path) as vault:
        vault.secrets["servicenow-password"] = "demo-password"
        yield vault


@pytest.fixture
def clock() -> Clock:
    return Clock()


def options(vault: Vault, **more: Any) -> dict[str, Any]:
    """A stand-in is no vault of Azure: its host cannot belong to the resource that the challenge names."""
    return {"connection_verify": vault.ca_file, "verify_challenge_resource": False, "retry_total": 0, **more}


@pytest.fixture
async def secrets(vault: Vault, clock: Clock) -> AsyncIterator[KeyVaultSecrets]:
    source = KeyVaultSecrets(vault.url + "/", Credential(), client_options=options(vault), clock=clock)
    yield source
    await source.aclose()
