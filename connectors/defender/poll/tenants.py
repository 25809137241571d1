"""Opens the APIs of Defender for Cloud, each with the identity of the right tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from connectors.defender.assessments_api import FIXES as READ_FIXES
from connectors.defender.assessments_api import AssessmentsApi
from connectors.defender.governance_api import FIXES as GOVERNANCE_FIXES
from connectors.defender.governance_api import GovernanceApi
from connectors.defender.settings import DefenderSettings, DefenderTenant
from connectors.microsoft import ResourceManager
from connectors.microsoft.azure_resources import subscription_of
from connectors.microsoft.clients import MicrosoftClients
from connectors.microsoft.resource_graph import ResourceGraph


class DefenderTenants:
    """The tenants of a configuration.

    Args:
        settings: section ``defender``.
        clients: opens Resource Manager.
        whose: gives the id of a subscription's tenant, an empty text where it is not known; see ``ancestry``. None:
            nothing is known.
    """

    def __init__(
        self, settings: DefenderSettings, clients: MicrosoftClients, *, whose: Callable[[str], str] | None = None
    ) -> None:
        self._cloud = settings.cloud
        self._tenants = settings.tenants
        self._clients = clients
        self._whose = whose
        self._assessments: dict[int, AssessmentsApi] = {}  # each learns which version its cloud has
        self._governance: dict[int, GovernanceApi] = {}

    def assessments(self, resource_id: str) -> AssessmentsApi:
        """Reads the recommendations of a resource, given its ARM id or that of its assessment."""
        index = self._index(resource_id)
        if index not in self._assessments:
            self._assessments[index] = AssessmentsApi(self._manager(self._tenants[index], {403: READ_FIXES[403]}))
        return self._assessments[index]

    def governance(self, resource_id: str) -> GovernanceApi:
        """Writes who has to fix the recommendations of a resource, given its ARM id or that of its assessment."""
        index = self._index(resource_id)
        if index not in self._governance:
            self._governance[index] = GovernanceApi(self._manager(self._tenants[index], GOVERNANCE_FIXES))
        return self._governance[index]

    def graphs(self) -> Iterator[tuple[DefenderTenant, ResourceGraph]]:
        """Every configured tenant with the Resource Graph as its identity sees it."""
        for entry in self._tenants:
            yield entry, ResourceGraph(self._manager(entry, READ_FIXES))

    def _manager(self, entry: DefenderTenant, fixes: Mapping[int, str]) -> ResourceManager:
        return self._clients.resource_manager(self._cloud, entry.sign_in, fixes)

    def _index(self, resource_id: str) -> int:
        """Whose resource it is: the entry that lists its subscription, else that of its tenant, else one that lists
        none, else the first."""
        subscription = subscription_of(resource_id).lower()
        entries = list(enumerate(self._tenants))
        for index, entry in entries:
            if subscription in (one.lower() for one in entry.subscriptions or ()):
                return index
        tenant = "" if self._whose is None else self._whose(subscription).lower()
        for index, entry in entries:
            if tenant and tenant_of(entry).lower() == tenant:
                return index
        return next((index for index, entry in entries if entry.subscriptions is None), 0)


def tenant_of(entry: DefenderTenant) -> str:
    """Id of an entry's tenant; ``""`` for that of the app's own identity."""
    if entry.tenant is not None:
        return entry.tenant
    return "" if entry.sign_in is None else entry.sign_in.tenant
