"""Opens Microsoft Graph for each tenant of the configuration, with the identity that may use it there."""

from __future__ import annotations

from connectors.microsoft.clients import MicrosoftClients
from connectors.secure_score.api import SecureScores
from connectors.secure_score.settings import SecureScoreSettings
from shared.core.errors import SourceRefused


class ScoreTenants:
    """The tenants of a configuration.

    Args:
        settings: of the configuration.
        clients: gives credentials and connections.
    """

    def __init__(self, settings: SecureScoreSettings, clients: MicrosoftClients) -> None:
        self._settings = settings
        self._clients = clients

    @property
    def ids(self) -> list[str]:
        """Ids of the tenants in their order; empty for the one whose id the configuration does not name."""
        return [one.id for one in self._settings.tenants]

    def open(self, tenant: str) -> SecureScores:
        """Microsoft Graph for a tenant, with a count of calls of its own.

        Where the configuration has one tenant without an id, it is that one, whatever its id may be.

        Raises SourceRefused for a tenant that is not configured (any more).
        """
        found = next((one for one in self._settings.tenants if one.id == tenant.lower()), None)
        if found is None and self.ids == [""]:
            found = self._settings.tenants[0]
        if found is None:
            raise SourceRefused(
                f"tenant {tenant} is not in the configuration (any more). Fix: add it to secure_score.tenants"
            )
        cloud = self._settings.cloud
        return SecureScores(
            self._clients.credential(cloud, found.sign_in),
            self._clients.graph(cloud),
            transport=self._clients.connections(cloud),
        )
