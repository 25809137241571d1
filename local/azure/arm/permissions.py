"""``<scope>/providers/Microsoft.Authorization/permissions``: what the caller may do there.

Source: REST reference "Permissions - List For Resource Group" and "- List For Resource" (2022-04-01: one entry for each
role that holds there, with ``actions``, ``notActions``, ``dataActions``, ``notDataActions``; needs
``Microsoft.Authorization/permissions/read``); Microsoft Learn, "Manage access with the REST API", has the same call for
a subscription.
"""

from __future__ import annotations

from collections.abc import Callable

from local.azure.arm.access import Access
from local.azure.arm.paging import page
from local.azure.arm.routing import Route, Target
from local.azure.call import Call
from local.azure.settings import Settings
from local.simulator_kit.calls import Answer

VERSIONS = ("2015-07-01", "2018-07-01", "2022-04-01")
READ = "Microsoft.Authorization/permissions/read"


class Permissions:
    """Lists the caller's own permissions."""

    def __init__(self, access: Access, settings: Callable[[], Settings]) -> None:
        self._access = access
        self._settings = settings

    def routes(self) -> list[Route]:
        """Addresses and actions."""
        return [Route("GET", "Microsoft.Authorization/permissions", READ, VERSIONS, self._list)]

    def _list(self, call: Call, target: Target) -> Answer:
        grants = self._access.grants(call.who, target.scope or "/")
        shown, link = page(call, grants, self._settings().arm_page_size)
        value = [
            {
                "actions": list(grant.actions),
                "notActions": list(grant.not_actions),
                "dataActions": [],
                "notDataActions": [],
            }
            for grant in shown
        ]
        return Answer(200, {"value": value, **({"nextLink": link} if link else {})})
