"""Everything that the clouds' stand-in is made of, and its first day."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from local.azure.arm.access import Access
from local.azure.arm.alert_store import AlertStore
from local.azure.arm.alerts_api import AlertsApi
from local.azure.arm.defender_api import DefenderApi
from local.azure.arm.defender_store import Defender
from local.azure.arm.governance_api import GovernanceApi
from local.azure.arm.health import Health
from local.azure.arm.permissions import Permissions
from local.azure.arm.service import Arm
from local.azure.arm.subscriptions import Subscriptions
from local.azure.arm.throttle import Throttle
from local.azure.call import TRAITS
from local.azure.demo.findings import fill_findings
from local.azure.demo.identities import build_directory
from local.azure.demo.inventory import DATABASE, WEB_1, fill_inventory
from local.azure.demo.scores import fill_scores
from local.azure.entra.endpoints import Entra
from local.azure.entra.keys import SigningKeys
from local.azure.entra.managed_identity import ManagedIdentity
from local.azure.entra.tokens import Tokens
from local.azure.faults import KINDS, Faults
from local.azure.graph.service import Graph
from local.azure.graph.store import SecureScores
from local.azure.ingestion.rules import DataCollectionRule
from local.azure.ingestion.service import Ingestion
from local.azure.ingestion.store import TableStore
from local.azure.inventory import Inventory
from local.azure.logs.service import Logs
from local.azure.logs.store import LogStore
from local.azure.resource_graph.service import ResourceGraph
from local.azure.resource_graph.tables import Tables
from local.azure.settings import Settings
from local.simulator_kit.clock import Clock
from local.simulator_kit.journal import Journal
from local.simulator_kit.request_log import RequestLog
from local.simulator_kit.scenarios import Scenarios


class Cloud:
    """State and services. Keys, addresses and the identity header outlive a reset, everything else begins anew."""

    def __init__(
        self,
        certificate: x509.Certificate,
        rules: Sequence[DataCollectionRule] = (),
        tables: TableStore | None = None,
    ) -> None:
        self._certificate = certificate
        self._rules = tuple(rules)
        self._ingested = tables or TableStore()
        self.clock = Clock()
        self.settings = Settings()
        self.journal = Journal()
        self.requests = RequestLog("operation")
        self.scenarios = Scenarios(KINDS, TRAITS)
        self.keys = SigningKeys()
        self.tokens = Tokens(build_directory(certificate), self.keys, self.clock, self.settings)
        self.managed_identity = ManagedIdentity(self.tokens)
        self.entra = Entra(self.tokens, self.keys, self.clock)
        self._build()

    def _build(self) -> None:
        """Stores with their first data, and the services over them."""
        self.inventory = Inventory()
        self.alerts = AlertStore(self.inventory, self.clock)
        self.defender = Defender(self.inventory, self.clock)
        self.health = Health(self.inventory, self.clock)
        self.scores = SecureScores(self.clock)
        self.log_store, self.graph_queries = LogStore(), LogStore()
        fill_inventory(self.inventory)
        fill_findings(self.defender, self.clock.now())
        fill_scores(self.scores)
        self.alerts.fire({"resource": WEB_1, "rule": "High CPU", "severity": "Sev2"})
        self.alerts.fire({"resource": DATABASE, "rule": "Deadlocks", "severity": "Sev1", "signalType": "Log"})
        access = Access(self.tokens, self.inventory)
        shared = (self.inventory, self.clock, self.journal, lambda: self.settings)
        tables = Tables(self.inventory, self.alerts, self.defender)
        self.resource_graph = ResourceGraph(
            tables, self.inventory, access, self.clock, lambda: self.settings, self.graph_queries
        )
        self.arm = Arm(
            access,
            Throttle(self.clock),
            [
                *Subscriptions(self.inventory, access, lambda: self.settings).routes(),
                *Permissions(access, lambda: self.settings).routes(),
                *AlertsApi(self.alerts, *shared).routes(),
                *DefenderApi(self.defender, *shared).routes(),
                *GovernanceApi(self.defender, *shared).routes(),
                *self.health.routes(),
                *self.resource_graph.routes(),
            ],
            lambda: self.settings,
        )
        self.graph = Graph(self.scores, self.tokens, self.clock, self.journal, lambda: self.settings)
        self.logs = Logs(self.log_store, self.tokens, access, self.inventory, self.clock, lambda: self.settings)
        self.ingestion = Ingestion(
            self._ingested, self._rules, self.tokens, access, self.inventory, self.clock, lambda: self.settings
        )
        self.faults = Faults(self.scenarios, self.clock, self.graph, self.resource_graph, self.logs, self.ingestion)

    def reset(self, *, keep_settings: bool) -> None:
        """Back to the first day, now. Requests under way still count as in flight."""
        if not keep_settings:
            self.settings = Settings()
        self.clock.reset()
        self.scenarios.clear()
        self.requests.reset()
        self.journal.clear()
        self.keys.reset()
        self.tokens.reset(build_directory(self._certificate), self.settings)
        self._ingested.drop()
        self._build()
