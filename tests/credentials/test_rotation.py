"""The steps of docs/operations.md, tried: a new version beside the old one, and no restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.key_vault import KeyVaultSecrets
from connectors.servicenow.connector import ServiceNow
from local import servicenow
from shared.core.secrets import SettingSecrets
from shared.core.ticket_system import CheckStatus, Needs, TicketKind
from shared.operations.credentials import NamedSecret, secret_credentials
from tests.credentials.vault import certificate
from tests.key_vault.vault import Credential, running
from tests.servicenow_connector.simulated import settings_for

NEEDS = Needs(frozenset({TicketKind.INCIDENT}), {})


async def test_given_a_key_that_is_replaced_by_a_new_version_when_the_old_one_is_refused_then_calls_go_on(
    tmp_path: Path,
) -> None:
    ticks = 0.0
    options: dict[str, Any] = {"verify_challenge_resource": False, "retry_total": 0}
    now = datetime.now(UTC).replace(microsecond=0)
    soon, later = now + timedelta(days=5), now + timedelta(days=370)
    async with servicenow.running() as simulator, running(tmp_path) as vault:
        options["connection_verify"] = vault.ca_file
        secrets = KeyVaultSecrets(vault.url, Credential(), client_options=options, clock=lambda: ticks)
        settings = settings_for(simulator, {"type": "api_key", "key": {"secret": "desk-key"}})
        system = ServiceNow("desk", settings, secrets)
        named = [NamedSecret("desk-key", ("connections.desk.auth.key",))]
        try:
            vault.store("desk-key", "demo-key-that-was-revoked", created=1700000000, ends=int(soon.timestamp()))
            (before,) = await secret_credentials(named, secrets)
            assert before.ends == soon
            assert "az keyvault secret set --vault-name localhost --name desk-key" in before.advice
            assert any(line.verdict is CheckStatus.FAILED for line in await system.check(NEEDS))

            vault.store("desk-key", simulator.api_key, created=1750000000, ends=int(later.timestamp()))
            ticks += 61
            assert not any(line.verdict is CheckStatus.FAILED for line in await system.check(NEEDS))
            (after,) = await secret_credentials(named, secrets)
            assert (after.ends, (await secrets.end_of("desk-key")).usable) == (later, 2)
        finally:
            await system.aclose()
            await secrets.aclose()


async def test_given_settings_instead_of_a_vault_when_a_certificate_stands_beside_its_key_then_its_end_is_known() -> (
    None
):
    ends = datetime(2027, 6, 1, tzinfo=UTC)
    secrets = SettingSecrets({"JWT_KEY": certificate(ends, key=True), "BARE": certificate(ends, key=True)[:200]})
    named = [NamedSecret("jwt-key", ("a",), False), NamedSecret("bare", ("b",), False)]
    both, bare = await secret_credentials(named, secrets)
    assert (both.kind, both.ends, both.problem) == ("certificate", ends, "")
    assert (bare.kind, bare.ends, bare.problem) == ("secret", None, "")
