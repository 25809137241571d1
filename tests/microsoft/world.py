"""All of Microsoft's services that the bridge signs in to, opened once as the app does it, against their stand-in."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from connectors.azure_monitor.log_rows.reader import LogRowReader
from connectors.azure_monitor.payloads.search_link import LogSearch
from connectors.azure_monitor.resource_health import ResourceHealth
from connectors.azure_monitor.resource_tags.reader import ResourceTagReader
from connectors.azure_monitor.resource_tags.store import KnownTags, TagStore
from connectors.azure_monitor.settings import LogRowsSettings, ReconcileSettings, ResourceTagsSettings
from connectors.azure_monitor.subscriptions import AlertSubscriptions, SubscriptionSignIns
from connectors.azure_monitor.write_back import FIXES
from connectors.defender.poll.tenants import DefenderTenants
from connectors.defender.settings import DefenderSettings
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints, MicrosoftClients
from connectors.microsoft.resource_graph import ResourceGraph
from connectors.microsoft.settings import SignIn
from connectors.secure_score.settings import SecureScoreSettings
from connectors.secure_score.tenants import ScoreTenants
from local.azure import Simulator, running
from local.azure.demo.findings import key_of
from local.azure.demo.inventory import DEV_VM, WEB_1
from local.azure.logs.store import WORKSPACE
from shared.core.errors import SecretUnavailable
from shared.core.signal import Resource
from shared.platform.storage import Storage
from tests.azure_simulator.support import ARM, GRAPH, LOGS, NO_AUTHORITIES
from tests.mapping.signals import signal

ASSESSMENT = f"{WEB_1}/providers/Microsoft.Security/assessments/{key_of('vulnerabilities')}"

#: Makes one call to an API; what came of it, which is not empty when it worked.
Call = Callable[[], Awaitable[Any]]


class Vault:
    """Secrets with a cache, as those of Key Vault: a new value is seen when the cache has expired, or on request."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self._cached: dict[str, str] = {}

    async def get(self, name: str, *, refresh: bool = False) -> str:
        if refresh or name not in self._cached:
            if name not in self.values:
                raise SecretUnavailable(f"secret '{name}' has no value")
            self._cached[name] = self.values[name]
        return self._cached[name]

    def expire(self) -> None:
        """A quarter of an hour has passed."""
        self._cached.clear()

    async def aclose(self) -> None:
        """Nothing to close."""


class World:
    """One test's clouds and secrets."""

    def __init__(self, simulator: Simulator, control: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.vault = Vault({"bridge": simulator.client_secret})
        self._control = control

    def sign_in(self, **proof: Any) -> dict[str, Any]:
        """That of the bridge's application; by its client secret where nothing else is said."""
        proof = proof or {"client_secret": {"secret": "bridge"}}
        return {"tenant": self.simulator.tenant_id, "client_id": self.simulator.client_id, **proof}

    def endpoints(self) -> CloudEndpoints:
        address, authority = self.simulator.https_url, self.simulator.ca_file
        return CloudEndpoints(
            Endpoint(address, ARM),
            address,
            ssl.create_default_context(cafile=authority),
            {"disable_instance_discovery": True, "connection_verify": authority},
            Endpoint(address, GRAPH),
            Endpoint(address, LOGS),
        )

    @asynccontextmanager
    async def opened(self, api: str, **proof: Any) -> AsyncIterator[Call]:
        """An API, opened once."""
        async with aclosing(MicrosoftClients(self.vault, self.endpoints())) as clients:
            yield APIS[api](clients, self.sign_in(**proof))

    async def rotate(self, value: str) -> None:
        """From now on only this client secret is good, and the vault has it."""
        await self.tell("POST", "/identities", identity="bridge", secrets=[{"value": value}])
        self.vault.values["bridge"] = value

    async def short_lived_tokens(self) -> None:
        """Tokens end so soon that each call needs a new one."""
        await self.tell("PATCH", "/settings", token_lifetime_s=200)

    async def sign_ins(self) -> list[int]:
        """Status of each request for a token since the last time, oldest first."""
        found = (await self.tell("GET", "/requests"))["requests"]
        await self.tell("DELETE", "/requests")
        return [one["status"] for one in found if one["operation"] == "token"]

    async def tell(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = await self._control.request(method, path, json=body or None)
        assert answer.is_success, answer.text
        return dict(answer.json())


@asynccontextmanager
async def built(certificates: Path) -> AsyncIterator[World]:
    """Clouds of their own. ``certificates`` are made once, which takes a second."""
    async with (
        running(certificates=certificates) as simulator,
        httpx.AsyncClient(base_url=simulator.control_url, verify=NO_AUTHORITIES) as control,
    ):
        yield World(simulator, control)


def _reconcile(sign_in: dict[str, Any]) -> ReconcileSettings:
    return ReconcileSettings.model_validate({"subscriptions": [{"id": DEV_VM.split("/")[2], "sign_in": sign_in}]})


def _defender(clients: MicrosoftClients, sign_in: dict[str, Any]) -> DefenderTenants:
    return DefenderTenants(DefenderSettings.model_validate({"tenants": [{"sign_in": sign_in}]}), clients)


def _alert_list(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    settings = _reconcile(sign_in)
    alerts = AlertSubscriptions(clients, settings.cloud, settings).open(settings.subscriptions[0].id)

    async def call() -> Any:
        now = datetime.now(UTC)
        return [page async for page in alerts.pages(now - timedelta(hours=1), now)]

    return call


def _alert_write_back(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    settings = _reconcile(sign_in)
    subscriptions = AlertSubscriptions(clients, settings.cloud, settings, FIXES)

    async def call() -> Any:
        return await subscriptions.open(settings.subscriptions[0].id).state("no-such-alert") is None

    return call


def _resource_graph(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    ((_, graph),) = _defender(clients, sign_in).graphs()

    async def call() -> Any:
        query = "resources\n| project id, tags\n| order by id asc"
        return [row async for page in graph.pages(query) for row in page.rows]

    return call


def _governance(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    tenants = _defender(clients, sign_in)

    async def call() -> Any:
        return await tenants.governance(ASSESSMENT).list(ASSESSMENT) is not None

    return call


def _on_demand(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    tenants = _defender(clients, sign_in)

    async def call() -> Any:
        return await tenants.assessments(ASSESSMENT).get(ASSESSMENT)

    return call


def _resource_health(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    health = ResourceHealth(clients, "public", _reconcile(sign_in))
    machine = signal(resources=(Resource(id=DEV_VM, subscription_id=DEV_VM.split("/")[2]),))

    async def call() -> Any:
        return await health.is_healthy(machine)

    return call


class _NoRows(TagStore):
    """A table in which no worker has written anything."""

    def __init__(self) -> None:
        super().__init__(Storage({}))

    async def load(self, ids: Sequence[str]) -> list[KnownTags]:
        return []

    async def write(self, known: Sequence[KnownTags]) -> None:
        return None


def _resource_tags(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    clock = [datetime.now(UTC)]
    reader = ResourceTagReader(
        ResourceTagsSettings(max_age=timedelta(hours=1), wait=timedelta(seconds=10)),
        _NoRows(),
        lambda who: ResourceGraph(clients.resource_manager("public", who)),
        SubscriptionSignIns(_reconcile(sign_in)).of,
        lambda: clock[0],
    )
    machine = Resource(id=DEV_VM, subscription_id=DEV_VM.split("/")[2])

    async def call() -> Any:
        clock[0] += timedelta(hours=2)  # what is known is too old
        return not (await reader.read([machine])).warnings

    return call


def _log_rows(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    who, now = SignIn.model_validate(sign_in), datetime.now(UTC)
    search = LogSearch(f"workspaces/{WORKSPACE}", "print allowed = 1", now - timedelta(hours=1), now)
    reader = LogRowReader(
        LogRowsSettings(sign_in=who),
        lambda found: found,
        lambda: clients.log_analytics("public", who),
        lambda: clients.resource_manager("public", who),
        lambda: now,
    )
    alert = replace(signal(kind="log"), rows_from=search.text())

    async def call() -> Any:
        return (await reader.read(alert, waiting=False)).rows

    return call


def _secure_score(clients: MicrosoftClients, sign_in: dict[str, Any]) -> Call:
    settings = SecureScoreSettings.model_validate({"connection": "desk", "tenants": [{"sign_in": sign_in}]})
    tenants = ScoreTenants(settings, clients)

    async def call() -> Any:
        return await tenants.open(sign_in["tenant"]).latest_score()

    return call


APIS: Mapping[str, Callable[[MicrosoftClients, dict[str, Any]], Call]] = {
    "list of alerts": _alert_list,
    "states of alerts": _alert_write_back,
    "Resource Graph": _resource_graph,
    "governance assignments": _governance,
    "assignments on demand": _on_demand,
    "Resource Health": _resource_health,
    "tags of resources": _resource_tags,
    "rows of log alerts": _log_rows,
    "Secure Score": _secure_score,
}
