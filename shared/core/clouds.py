"""Microsoft's clouds, as far as a token of Secure Webhook differs between them.

Sources: Microsoft Learn, "Microsoft Entra authentication and national clouds" (hosts), "Access token claims reference"
(issuers of v1.0 and v2.0), "Action groups" (secure webhook: the application of the global cloud); a ticket
system's docs, "Configure Azure Monitor events authentication" (the application of Azure Government). For Azure operated
by 21Vianet no document names the application, so there the configuration has to.
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
    """

    authority: str
    issuers_v1: tuple[str, ...]
    issuers_v2: tuple[str, ...]
    callers: frozenset[str]


CLOUDS: Mapping[CloudName, Cloud] = MappingProxyType(
    {
        "public": Cloud(
            "https://login.microsoftonline.com",
            ("https://sts.windows.net/{tenant}/",),
            ("https://login.microsoftonline.com/{tenant}/v2.0",),
            frozenset({"461e8683-5575-4561-ac7f-899cc907d62a"}),
        ),
        "us_government": Cloud(
            "https://login.microsoftonline.us",
            ("https://sts.windows.net/{tenant}/",),
            ("https://login.microsoftonline.us/{tenant}/v2.0",),
            frozenset({"f1f34126-d4ef-40e1-ad4b-bf5d47b4860d"}),
        ),
        "china": Cloud(
            "https://login.partner.microsoftonline.cn",
            ("https://sts.chinacloudapi.cn/{tenant}/",),
            (
                "https://login.partner.microsoftonline.cn/{tenant}/v2.0",
                "https://login.chinacloudapi.cn/{tenant}/v2.0",
            ),
            frozenset(),
        ),
    }
)
