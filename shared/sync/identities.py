"""Who the bridge is towards Microsoft's services: its own identity, or an application of another tenant."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from connectors.microsoft import CLOUDS, Endpoint
from connectors.microsoft.sign_in import Application, own_identity
from shared.config.sync import SignIn
from shared.secrets import SecretSource
from shared.trust.clouds import CLOUDS as AUTHORITIES
from shared.trust.clouds import CloudName

if TYPE_CHECKING:
    import ssl

    from azure.core.credentials_async import AsyncTokenCredential


@dataclass(frozen=True, slots=True)
class Reach:
    """A cloud that is none of Microsoft's public ones: where it is, and how its certificates are trusted.

    ``endpoint`` is that of Resource Manager. ``graph`` is that of Microsoft Graph, where that is needed. ``sign_in``
    are further keyword arguments of azure-identity's credentials.
    """

    endpoint: Endpoint
    authority: str
    trust: ssl.SSLContext | None = None
    sign_in: Mapping[str, Any] = field(default_factory=dict)
    graph: Endpoint | None = None


def reach_of(cloud: CloudName) -> Reach:
    """One of Microsoft's public clouds."""
    return Reach(CLOUDS[cloud], AUTHORITIES[cloud].authority)


class Identities:
    """Credentials, each made once and kept, because their tokens are good for an hour.

    Args:
        cloud: where the app's own identity signs in.
        secrets: gives client secrets.
        reach: instead of the public cloud.
    """

    def __init__(self, cloud: CloudName, secrets: SecretSource, reach: Reach | None = None) -> None:
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
