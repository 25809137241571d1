"""The plug-ins of the app. The one file that names the folders under ``connectors/`` that offer something.

A webhook's cold start imports it: the plug-ins of sources are cheap, those of ticket systems are imported when they are
first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.azure_monitor.plugin import PLUGIN as AZURE_MONITOR
from connectors.bridge.plugin import PLUGIN as BRIDGE
from connectors.defender.plugin import PLUGIN as DEFENDER
from connectors.log_analytics.plugin import PLUGIN as LOG_ANALYTICS
from connectors.manual.plugin import PLUGIN as MANUAL
from connectors.secure_score.plugin import PLUGIN as SECURE_SCORE
from shared.core.payload_schema import Fields
from shared.core.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.secrets import SecretSource
    from shared.engine import Engine
    from shared.operations.credentials import EndElsewhere


def _foreign(body: Fields) -> str:
    from connectors.microsoft.foreign_payloads import foreign_reason

    return foreign_reason(body)


REGISTRY = Registry(
    sources=(AZURE_MONITOR, DEFENDER, SECURE_SCORE, MANUAL, BRIDGE),
    ticket_system_modules=("connectors.servicenow.plugin",),
    foreign=_foreign,
    destinations=(LOG_ANALYTICS,),
)


def vault_secrets(url: str) -> SecretSource:
    """Secrets of a Key Vault, read with the app's own identity."""
    from connectors.key_vault import KeyVaultSecrets

    return KeyVaultSecrets(url)


async def ends_elsewhere(engine: Engine) -> Mapping[str, EndElsewhere]:
    """Until when Microsoft Entra accepts the secrets of sign-ins, by name of the secret. Raises ConfigurationError."""
    from connectors.microsoft.app_registrations import registered_ends
    from connectors.microsoft.engine import clients_of

    return await registered_ends(engine.config, clients_of(engine), engine.secrets)
