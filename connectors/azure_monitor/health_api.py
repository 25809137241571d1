"""Resource Health as it is asked: is a resource available?

Source: Microsoft Learn, "Availability Statuses - Get By Resource" (Resource Health REST API).
"""

from __future__ import annotations

from connectors.microsoft import ResourceManager
from shared.core.errors import SourceRefused

_API_VERSION = "2025-05-01"


async def is_available(manager: ResourceManager, resource_id: str) -> bool:
    """Whether Resource Health calls a resource available now.

    False for everything else: unavailable, degraded, unknown, or a resource that it does not know (any more).

    Args:
        manager: of the resource's cloud, signed in with ``Microsoft.ResourceHealth/availabilityStatuses/read``.
        resource_id: ARM id, ``/subscriptions/...``.

    Raises SourceUnavailable and SourceRefused (no token, no right).
    """
    path = f"/{resource_id.strip('/')}/providers/Microsoft.ResourceHealth/availabilityStatuses/current"
    try:
        found = await manager.get(path, {"api-version": _API_VERSION})
    except SourceRefused as error:
        if error.status == 404:
            return False
        raise
    properties = found.get("properties")
    state = properties.get("availabilityState") if isinstance(properties, dict) else None
    return isinstance(state, str) and state.lower() == "available"
