"""Is what a ticket is about well again? Asked of Resource Health for routes that want it."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from connectors.microsoft.identities import CloudEndpoints
from shared.core.clouds import CLOUDS as AUTHORITIES
from shared.core.clouds import CloudName
from shared.core.errors import SourceError
from shared.core.signal import Signal
from shared.platform.log import record

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from connectors.microsoft import ResourceManager


class ResourceHealth:
    """Asks with the app's own identity.

    Args:
        cloud: where the resources are.
        reach, credential: instead of Microsoft's public endpoint and the app's identity.
    """

    def __init__(
        self, cloud: CloudName, reach: CloudEndpoints | None = None, credential: AsyncTokenCredential | None = None
    ) -> None:
        self._cloud = cloud
        self._reach = reach
        self._credential = credential
        self._manager: ResourceManager | None = None
        self._stack = AsyncExitStack()

    async def is_well(self, signal: Signal) -> bool:
        """Whether all resources of a signal that Azure knows are available. False when that cannot be found out.

        Never raises: it is asked again, and the log says what stands in the way.
        """
        from connectors.azure_monitor.health_api import is_available

        ids = [resource.id for resource in signal.resources if resource.id and resource.subscription_id]
        try:
            manager = self._opened()
            return bool(ids) and all([await is_available(manager, one) for one in ids])
        except SourceError as error:
            record("health_unknown", logging.WARNING, key=signal.key, code=error.code, reason=str(error))
            return False

    def _opened(self) -> ResourceManager:
        if self._manager is None:
            from connectors.microsoft import CLOUDS, ResourceManager
            from connectors.microsoft.sign_in import own_identity

            reach = self._reach or CloudEndpoints(CLOUDS[self._cloud], AUTHORITIES[self._cloud].authority)
            if self._credential is None:
                self._credential = own_identity(self._cloud)
                self._stack.push_async_callback(self._credential.close)
            self._manager = ResourceManager(self._credential, reach.endpoint, trust=reach.trust)
            self._stack.push_async_callback(self._manager.aclose)
        return self._manager

    async def aclose(self) -> None:
        """Close connections and credentials."""
        self._manager = None
        await self._stack.aclose()
