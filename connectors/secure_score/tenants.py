"""Opens Microsoft Graph for each tenant of the configuration, with the identity that may use it there."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from connectors.microsoft.identities import CloudEndpoints
from connectors.microsoft.sign_in import own_identity
from connectors.secure_score.api import GRAPH, SecureScores
from connectors.secure_score.settings import ScoreTenant, SecureScoreSettings
from connectors.secure_score.sign_in import GraphApplication
from shared.core.clouds import CLOUDS
from shared.core.errors import SourceRefused
from shared.core.secrets import SecretSource

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


class ScoreTenants:
    """The tenants of a configuration. Credentials are kept, because their tokens are good for an hour.

    Args:
        settings: of the configuration.
        secrets: gives client secrets and certificates.
        reach: instead of the configured cloud; its ``graph`` is where Microsoft Graph is.
    """

    def __init__(
        self, settings: SecureScoreSettings, secrets: SecretSource, reach: CloudEndpoints | None = None
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._endpoint = GRAPH[settings.cloud] if reach is None or reach.graph is None else reach.graph
        self._authority = CLOUDS[settings.cloud].authority if reach is None else reach.authority
        self._trust = None if reach is None else reach.trust
        self._credentials: dict[str, AsyncTokenCredential] = {}
        self._stack = AsyncExitStack()

    @property
    def ids(self) -> list[str]:
        """Ids of the tenants in their order; empty for the one whose id the configuration does not name."""
        return [one.id for one in self._settings.tenants]

    def open(self, tenant: str) -> SecureScores:
        """Microsoft Graph for a tenant; closing it leaves the credential open.

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
        return SecureScores(self._credential(found), self._endpoint, trust=self._trust)

    async def aclose(self) -> None:
        """Close credentials."""
        self._credentials.clear()
        await self._stack.aclose()

    def _credential(self, tenant: ScoreTenant) -> AsyncTokenCredential:
        credential = self._credentials.get(tenant.id)
        if credential is None:
            sign_in = tenant.sign_in
            proof = None if sign_in is None else sign_in.client_secret or sign_in.certificate
            if sign_in is None or proof is None:
                credential = own_identity(self._settings.cloud)
            else:
                credential = GraphApplication(
                    sign_in.tenant,
                    sign_in.client_id,
                    proof.secret,
                    self._secrets,
                    authority=self._authority,
                    certificate=sign_in.certificate is not None,
                    trust=self._trust,
                )
            self._credentials[tenant.id] = credential
            self._stack.push_async_callback(credential.close)
        return credential
