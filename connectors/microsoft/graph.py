"""Where Microsoft Graph is, by cloud. Source: Microsoft Learn, "Microsoft Graph national cloud deployments"."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from connectors.microsoft.rest import Endpoint
from shared.core.clouds import CloudName

GRAPH: Mapping[CloudName, Endpoint] = MappingProxyType(
    {
        "public": Endpoint("https://graph.microsoft.com", "https://graph.microsoft.com/.default"),
        "us_government": Endpoint("https://graph.microsoft.us", "https://graph.microsoft.us/.default"),
        "china": Endpoint(
            "https://microsoftgraph.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn/.default"
        ),
    }
)
