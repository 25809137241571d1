"""Azure Resource Manager, by cloud.

Sources: Microsoft Learn, "Compare Azure Government and global Azure" and "Azure China developer guide" (endpoints of
the other clouds).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import httpx

from connectors.microsoft.pace import Sleep
from connectors.microsoft.rest import Endpoint, RestClient
from shared.core.clouds import CloudName

if TYPE_CHECKING:
    import ssl

    from azure.core.credentials_async import AsyncTokenCredential

CLOUDS: Mapping[CloudName, Endpoint] = MappingProxyType(
    {
        "public": Endpoint("https://management.azure.com", "https://management.azure.com/.default"),
        "us_government": Endpoint(
            "https://management.usgovcloudapi.net", "https://management.usgovcloudapi.net/.default"
        ),
        "china": Endpoint("https://management.chinacloudapi.cn", "https://management.chinacloudapi.cn/.default"),
    }
)

_FIXES = {
    401: "Fix: the subscription belongs to another tenant (give it a 'sign_in'), or the identity is disabled",
    403: "Fix: assign the role of docs/reconcile.md to the app's identity on this subscription; it takes some minutes",
}


class ResourceManager(RestClient):
    """Requests to one cloud's Resource Manager. See :class:`RestClient`."""

    def __init__(
        self,
        credential: AsyncTokenCredential,
        endpoint: Endpoint = CLOUDS["public"],
        *,
        fixes: Mapping[int, str] = _FIXES,
        trust: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(
            "Azure Resource Manager", credential, endpoint, fixes, trust=trust, transport=transport, sleep=sleep
        )
