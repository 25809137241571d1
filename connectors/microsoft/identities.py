"""Who the bridge is towards Microsoft's services: its own identity, or an application of another tenant."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.azure_monitor.settings import SignIn
from connectors.microsoft import CLOUDS, Endpoint
from connectors.microsoft.sign_in import Application, own_identity
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
    """A cloud that is none of Microsoft's public ones: where it is, and how its certificates are trusted.

    ``endpoint`` is that of Resource Manager. ``graph`` is that of Microsoft Graph, where that is needed. ``sign_in``
    are further keyword arguments of azure-identity's credentials.
    """

    endpoint: Endpoint
    authority: str
    trust: ssl.SSLContext | None = None
    sign_in: Mapping[str, Any] = field(default_factory=dict)
    graph: Endpoint | None = None


def reach_of(cloud: CloudName) -> CloudEndpoints:
    """One of Microsoft's public clouds."""
    return CloudEndpoints(CLOUDS[cloud], AUTHORITIES[cloud].authority)


def private_reach(settings: Mapping[str, str]) -> CloudEndpoints | None:
    """The cloud that settings describe: a private one (air-gapped, Azure Stack), or a stand-in; None for none.

    ``AZURE_RESOURCE_MANAGER_URL`` is its Resource Manager, and switches the others on: ``AZURE_RESOURCE_MANAGER_SCOPE``
    (left out: that of the public cloud), ``AZURE_AUTHORITY``, ``MICROSOFT_GRAPH_URL``, and ``AZURE_CA_BUNDLE``, a PEM
    file of further certificate authorities for all of them; the public ones stay trusted.

    Raises ConfigurationError for an address that is none, and for a file that cannot be read.
    """
    url = settings.get("AZURE_RESOURCE_MANAGER_URL", "")
    if not url:
        return None
    manager, authority, graph = (
        _origin(settings, name, public)
        for name, public in (
            ("AZURE_RESOURCE_MANAGER_URL", ""),
            ("AZURE_AUTHORITY", AUTHORITIES["public"].authority),
            ("MICROSOFT_GRAPH_URL", "https://graph.microsoft.com"),
        )
    )
    bundle = settings.get("AZURE_CA_BUNDLE", "")
    return CloudEndpoints(
        endpoint=Endpoint(manager, settings.get("AZURE_RESOURCE_MANAGER_SCOPE") or CLOUDS["public"].scope),
        authority=authority,
        trust=_trusting(bundle) if bundle else None,
        sign_in={"disable_instance_discovery": True, **({"connection_verify": bundle} if bundle else {})},
        graph=Endpoint(graph, "https://graph.microsoft.com/.default"),
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
    import httpx

    context = httpx.create_ssl_context(trust_env=False)
    try:
        context.load_verify_locations(bundle)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            [f"setting AZURE_CA_BUNDLE: {bundle} cannot be used ({error}). Fix: name a PEM file of certificates"]
        ) from None
    return context


class Identities:
    """Credentials, each made once and kept, because their tokens are good for an hour.

    Args:
        cloud: where the app's own identity signs in.
        secrets: gives client secrets.
        reach: instead of the public cloud.
    """

    def __init__(self, cloud: CloudName, secrets: SecretSource, reach: CloudEndpoints | None = None) -> None:
        self._cloud = cloud
        self._secrets = secrets
        self.reach = reach or reach_of(cloud)
        self._credentials: dict[tuple[str, str], AsyncTokenCredential] = {}
        self._stack = AsyncExitStack()

    def credential(self, sign_in: SignIn | None) -> AsyncTokenCredential:
        """The credential of an application, or of the app's own identity for None; closed with this object."""
        who = ("", "") if sign_in is None else (sign_in.tenant, sign_in.client_id)
        found = self._credentials.get(who)
        if found is None:
            if sign_in is None:
                found = own_identity(self._cloud)
            else:
                found = Application(
                    sign_in.tenant,
                    sign_in.client_id,
                    sign_in.client_secret.secret,
                    self._secrets,
                    authority=self.reach.authority,
                    **self.reach.sign_in,
                )
            self._credentials[who] = found
            self._stack.push_async_callback(found.close)
        return found

    async def aclose(self) -> None:
        """Close credentials."""
        self._credentials.clear()
        await self._stack.aclose()
