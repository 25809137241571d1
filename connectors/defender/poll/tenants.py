"""Opens what the bridge asks and tells Defender for Cloud with, each with the identity of the right tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack

from connectors.defender.assessments_api import AssessmentsApi
from connectors.defender.governance_api import FIXES as GOVERNANCE_FIXES
from connectors.defender.governance_api import GovernanceApi
from connectors.defender.resource_graph import FIXES as GRAPH_FIXES
from connectors.defender.resource_graph import ResourceGraph
from connectors.defender.settings import DefenderSettings, DefenderTenant
from connectors.microsoft import ResourceManager
from connectors.microsoft.azure_resources import subscription_of
from connectors.microsoft.identities import CloudEndpoints, Identities
from shared.core.secrets import SecretSource


class DefenderTenants:
    """The tenants of a configuration. What it gives is kept and closed with it.

    Args:
        settings: section ``defender``.
        secrets: gives client secrets.
        reach: instead of the configured cloud.
        whose: gives the id of a subscription's tenant, an empty text where it is not known; see ``ancestry``. None:
            nothing is known.
    """

    def __init__(
        self,
        settings: DefenderSettings,
        secrets: SecretSource,
        reach: CloudEndpoints | None = None,
        *,
        whose: Callable[[str], str] | None = None,
    ) -> None:
        self._tenants = settings.tenants
        self._whose = whose
        self._identities = Identities(settings.cloud, secrets, reach)
        self._assessments: dict[int, AssessmentsApi] = {}
        self._governance: dict[int, GovernanceApi] = {}
        self._graphs: dict[int, ResourceGraph] = {}
        self._stack = AsyncExitStack()
        self._stack.push_async_callback(self._identities.aclose)

    def assessments(self, resource_id: str) -> AssessmentsApi:
        """Reads the recommendations of a resource, given its ARM id or that of its assessment."""
        place = self._place(resource_id)
        if place not in self._assessments:
            self._assessments[place] = AssessmentsApi(self._manager(place, {403: GRAPH_FIXES[403]}))
        return self._assessments[place]

    def governance(self, resource_id: str) -> GovernanceApi:
        """Writes who has to fix the recommendations of a resource, given its ARM id or that of its assessment."""
        place = self._place(resource_id)
        if place not in self._governance:
            self._governance[place] = GovernanceApi(self._manager(place, GOVERNANCE_FIXES))
        return self._governance[place]

    def graphs(self) -> Iterator[tuple[DefenderTenant, ResourceGraph]]:
        """Every configured tenant with the Resource Graph as its identity sees it."""
        for place, entry in enumerate(self._tenants):
            if place not in self._graphs:
                self._graphs[place] = ResourceGraph(self._manager(place, GRAPH_FIXES))
            yield entry, self._graphs[place]

    async def aclose(self) -> None:
        """Close connections and credentials."""
        await self._stack.aclose()
        for opened in (self._assessments, self._governance, self._graphs):
            opened.clear()

    def _manager(self, place: int, fixes: Mapping[int, str]) -> ResourceManager:
        reach = self._identities.reach
        credential = self._identities.credential(self._tenants[place].sign_in)
        manager = ResourceManager(credential, reach.endpoint, fixes=fixes, trust=reach.trust)
        self._stack.push_async_callback(manager.aclose)
        return manager

    def _place(self, resource_id: str) -> int:
        """Whose resource it is: the entry that lists its subscription, else that of its tenant, else one that lists
        none, else the first."""
        subscription = subscription_of(resource_id).lower()
        entries = list(enumerate(self._tenants))
        for place, entry in entries:
            if subscription in (one.lower() for one in entry.subscriptions or ()):
                return place
        tenant = "" if self._whose is None else self._whose(subscription).lower()
        for place, entry in entries:
            if tenant and tenant_of(entry).lower() == tenant:
                return place
        return next((place for place, entry in entries if entry.subscriptions is None), 0)


def tenant_of(entry: DefenderTenant) -> str:
    """Id of an entry's tenant; ``""`` for that of the app's own identity."""
    if entry.tenant is not None:
        return entry.tenant
    return "" if entry.sign_in is None else entry.sign_in.tenant
