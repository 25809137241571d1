"""Azure Key Vault as the source of secrets. The SDK is imported when the first secret is read."""

from __future__ import annotations

from connectors.key_vault.secrets import KeyVaultSecrets

__all__ = ["KeyVaultSecrets"]
