"""Credentials and connections for Microsoft's services, made once for the whole process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from connectors.microsoft.graph import GRAPH
from connectors.microsoft.log_analytics import LogAnalytics
from connectors.microsoft.resource_manager import CLOUDS, ResourceManager
from connectors.microsoft.rest import Endpoint
from connectors.microsoft.settings import ManagedIdentitySettings, SignIn
from connectors.microsoft.sign_in import EntraApplication, own_identity, user_assigned_identity
from shared.core.clouds import CLOUDS as AUTHORITIES
from shared.core.clouds import CloudName
from shared.core.errors import ConfigurationError
from shared.core.secrets import SecretSource
from shared.platform.addresses import web_origin

if TYPE_CHECKING:
    import ssl

    from azure.core.credentials_async import AsyncTokenCredential


@dataclass(frozen=True, slots=True)
class CloudEndpoints:
    """Where a cloud is, and how its certificates are trusted.

    Attributes:
        endpoint: of Resource Manager.
        authority: address of Microsoft Entra.
        trust: certificate authorities, the public ones when None.
        sign_in: further keyword arguments of azure-identity's credentials.
        graph: of Microsoft Graph; that of the cloud when None.
        logs: of the query API of Log Analytics; that of the cloud when None.
    """

    endpoint: Endpoint
    authority: str
    trust: ssl.SSLContext | None = None
    sign_in: Mapping[str, Any] = field(default_factory=dict)
    graph: Endpoint | None = None
    logs: Endpoint | None = None


def public_endpoints(cloud: CloudName) -> CloudEndpoints:
    """One of Microsoft's public clouds."""
    return CloudEndpoints(CLOUDS[cloud], AUTHORITIES[cloud].authority)


def private_endpoints(settings: Mapping[str, str]) -> CloudEndpoints | None:
    """The cloud that settings describe: a private one (air-gapped, Azure Stack), or a stand-in; None for none.

    ``AZURE_RESOURCE_MANAGER_URL`` is its Resource Manager, and switches the others on: ``AZURE_RESOURCE_MANAGER_SCOPE``
    (left out: that of the public cloud), ``AZURE_AUTHORITY``, ``MICROSOFT_GRAPH_URL``, ``LOG_ANALYTICS_URL``, and
    ``AZURE_CA_BUNDLE``, a PEM file of further certificate authorities for all of them; the public ones stay trusted.

    Raises ConfigurationError for an address that is none, and for a file that cannot be read.
    """
    url = settings.get("AZURE_RESOURCE_MANAGER_URL", "")
    if not url:
        return None
    manager, authority, graph, logs = (
        _origin(settings, name, public)
        for name, public in (
            ("AZURE_RESOURCE_MANAGER_URL", ""),
            ("AZURE_AUTHORITY", AUTHORITIES["public"].authority),
            ("MICROSOFT_GRAPH_URL", "https://graph.microsoft.com"),
            ("LOG_ANALYTICS_URL", AUTHORITIES["public"].logs),
        )
    )
    bundle = settings.get("AZURE_CA_BUNDLE", "")
    return CloudEndpoints(
        endpoint=Endpoint(manager, settings.get("AZURE_RESOURCE_MANAGER_SCOPE") or CLOUDS["public"].scope),
        authority=authority,
        trust=_trusting(bundle) if bundle else None,
        sign_in={"disable_instance_discovery": True, **({"connection_verify": bundle} if bundle else {})},
        graph=Endpoint(graph, "https://graph.microsoft.com/.default"),
        logs=Endpoint(logs, f"{AUTHORITIES['public'].logs}/.default"),
    )


def _origin(settings: Mapping[str, str], name: str, otherwise: str) -> str:
    value = settings.get(name) or otherwise
    found = web_origin(value)
    if not found:
        raise ConfigurationError(
            [f"setting {name}: '{value}' is no address. Fix: write https://host (http for this machine only)"]
        )
    return found


def _trusting(bundle: str) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    try:
        context.load_verify_locations(bundle)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            [f"setting AZURE_CA_BUNDLE: {bundle} cannot be used ({error}). Fix: name a PEM file of certificates"]
        ) from None
    return context


class MicrosoftClients:
    """Opens Microsoft's services, each with the identity that may use it.

    Credentials are kept by cloud and sign-in, because their tokens are good for an hour; connections are kept by cloud.
    What is opened borrows both, and costs next to nothing.

    Args:
        secrets: gives client secrets and certificates.
        endpoints: instead of Microsoft's public clouds.
    """

    def __init__(self, secrets: SecretSource, endpoints: CloudEndpoints | None = None) -> None:
        self._secrets = secrets
        self._endpoints = endpoints
        self._credentials: dict[tuple[CloudName, SignIn | str], AsyncTokenCredential] = {}
        self._connections: dict[CloudName, httpx.AsyncHTTPTransport] = {}

    def endpoints(self, cloud: CloudName) -> CloudEndpoints:
        """Where a cloud is."""
        return self._endpoints or public_endpoints(cloud)

    def graph(self, cloud: CloudName) -> Endpoint:
        """Microsoft Graph of a cloud."""
        return self.endpoints(cloud).graph or GRAPH[cloud]

    def credential(self, cloud: CloudName, sign_in: SignIn | None) -> AsyncTokenCredential:
        """The credential of an application, or of the app's own identity for None; closed with this object."""
        key = (cloud, sign_in or "")
        found = self._credentials.get(key)
        if found is None:
            found = self._credentials[key] = self._application(cloud, sign_in) if sign_in else own_identity(cloud)
        return found

    def connections(self, cloud: CloudName) -> httpx.AsyncBaseTransport:
        """The connections to a cloud's services; closing them is left to this object."""
        found = self._connections.get(cloud)
        if found is None:
            trust = self.endpoints(cloud).trust or httpx.create_ssl_context(trust_env=False)
            found = self._connections[cloud] = httpx.AsyncHTTPTransport(verify=trust, trust_env=False)
        return _Borrowed(found)

    def resource_manager(
        self, cloud: CloudName, sign_in: SignIn | None, fixes: Mapping[int, str] | None = None
    ) -> ResourceManager:
        """Resource Manager of a cloud, with a count of calls of its own.

        Args:
            cloud: which.
            sign_in: of the configuration; None for the app's own identity.
            fixes: what to do about an answer, by its status. None: what ``ResourceManager`` says.
        """
        options: dict[str, Any] = {} if fixes is None else {"fixes": fixes}
        credential, endpoint = self.credential(cloud, sign_in), self.endpoints(cloud).endpoint
        return ResourceManager(credential, endpoint, transport=self.connections(cloud), **options)

    def log_analytics(self, cloud: CloudName, sign_in: SignIn | None) -> LogAnalytics:
        """The query API of a cloud's logs; the arguments of :meth:`resource_manager`."""
        host = AUTHORITIES[cloud].logs
        endpoint = self.endpoints(cloud).logs or Endpoint(host, f"{host}/.default")
        return LogAnalytics(self.credential(cloud, sign_in), endpoint, transport=self.connections(cloud))

    async def aclose(self) -> None:
        """Close connections and credentials."""
        credentials, connections = list(self._credentials.values()), list(self._connections.values())
        self._credentials.clear()
        self._connections.clear()
        for connection in connections:
            await connection.aclose()
        for credential in credentials:
            await credential.close()

    def _application(self, cloud: CloudName, sign_in: SignIn) -> EntraApplication:
        endpoints, federated = self.endpoints(cloud), sign_in.managed_identity
        return EntraApplication(
            sign_in,
            self._secrets,
            cloud=cloud,
            authority=endpoints.authority,
            identity=None if federated is None else self._managed_identity(cloud, federated),
            options=endpoints.sign_in,
        )

    def _managed_identity(self, cloud: CloudName, settings: ManagedIdentitySettings) -> AsyncTokenCredential:
        if settings.client_id is None:
            return self.credential(cloud, None)
        key = (cloud, settings.client_id)
        if key not in self._credentials:
            self._credentials[key] = user_assigned_identity(settings.client_id)
        return self._credentials[key]


class _Borrowed(httpx.AsyncBaseTransport):
    """Connections that whoever uses them does not close."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        return await self._transport.handle_async_request(request)
