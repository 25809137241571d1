"""Microsoft's clouds, as far as tokens of Secure Webhook, addresses of storage and hosts of logs differ between them.

Sources: Microsoft Learn, "Microsoft Entra authentication and national clouds" (hosts), "Access token claims reference"
(issuers of v1.0 and v2.0), "Action groups" (secure webhook: the application of the global cloud); a ticket
system's docs, "Configure Azure Monitor events authentication" (the application of Azure Government). For Azure operated
by 21Vianet no document names the application, so there the configuration has to. Hosts of storage and the older names
of authorities: "Compare Azure Government and global Azure", "Azure in China developer guide". Hosts of the query API:
"Azure Monitor Log Analytics API request format" of the public cloud and of docs.azure.cn, ``azure-monitor-query``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

CloudName = Literal["public", "us_government", "china"]


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud.

    Attributes:
        authority: where its keys are published.
        issuers_v1, issuers_v2: what ``iss`` may be, ``{tenant}`` standing for the tenant id.
        callers: application ids of Action Groups; empty where none is published.
        storage_suffix: end of the addresses of storage accounts, ``<account>.blob.<suffix>``.
        logs: the query API of its logs, which is also the audience of its tokens.
        other_authorities: further hosts of its Entra that settings may name.
    """

    authority: str
    issuers_v1: tuple[str, ...]
    issuers_v2: tuple[str, ...]
    callers: frozenset[str]
    storage_suffix: str
    logs: str
    other_authorities: tuple[str, ...] = ()


CLOUDS: Mapping[CloudName, Cloud] = MappingProxyType(
    {
        "public": Cloud(
            "https://login.microsoftonline.com",
            ("https://sts.windows.net/{tenant}/",),
            ("https://login.microsoftonline.com/{tenant}/v2.0",),
            frozenset({"461e8683-5575-4561-ac7f-899cc907d62a"}),
            "core.windows.net",
            "https://api.loganalytics.azure.com",
            ("login.windows.net", "login.microsoft.com", "sts.windows.net"),
        ),
        "us_government": Cloud(
            "https://login.microsoftonline.us",
            ("https://sts.windows.net/{tenant}/",),
            ("https://login.microsoftonline.us/{tenant}/v2.0",),
            frozenset({"f1f34126-d4ef-40e1-ad4b-bf5d47b4860d"}),
            "core.usgovcloudapi.net",
            "https://api.loganalytics.us",
            ("login-us.microsoftonline.com",),
        ),
        "china": Cloud(
            "https://login.partner.microsoftonline.cn",
            ("https://sts.chinacloudapi.cn/{tenant}/",),
            (
                "https://login.partner.microsoftonline.cn/{tenant}/v2.0",
                "https://login.chinacloudapi.cn/{tenant}/v2.0",
            ),
            frozenset(),
            "core.chinacloudapi.cn",
            "https://api.loganalytics.azure.cn",
            ("login.chinacloudapi.cn",),
        ),
    }
)


def cloud_of_authority(address: str) -> Cloud | None:
    """The cloud whose Entra has an address, with or without ``https://``; None for any other, such as a private one."""
    host = address.strip().lower().removeprefix("https://").partition("/")[0]
    for cloud in CLOUDS.values():
        if host in (cloud.authority.removeprefix("https://"), *cloud.other_authorities):
            return cloud
    return None
