"""What an identity may do at a scope of Azure, as Resource Manager itself tells it: nothing has to be tried out.

Sources: REST reference "Permissions - List For Resource Group" and "- List For Resource" (2022-04-01: the caller's own
permissions, one entry for each role that holds there); Microsoft Learn, "Manage access with the REST API", has the same
call for a subscription; "Understand Azure role definitions" (``*`` stands for any text; what ``notActions`` take away
from one role another may still give).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from connectors.microsoft.resource_manager import ResourceManager
from shared.core.errors import SourceRefused, SourceUnavailable

API_VERSION = "2022-04-01"

#: What reading them takes; every built-in role of readers has it.
ACTION = "Microsoft.Authorization/permissions/read"

#: An identity never has more roles; a list that goes on is going in circles.
_MOST_PAGES = 50


@dataclass(frozen=True, slots=True)
class Permission:
    """What one role allows: actions with ``*`` for any text, without those of ``not_actions``."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """Whether it allows an action, in any case."""
        return _among(action, self.actions) and not _among(action, self.not_actions)


def lacking(permissions: Sequence[Permission], actions: Iterable[str]) -> list[str]:
    """Those of the actions that no role allows."""
    return [action for action in actions if not any(one.allows(action) for one in permissions)]


async def permissions_at(manager: ResourceManager, scope: str) -> list[Permission]:
    """The caller's permissions at a scope.

    Args:
        manager: makes the calls.
        scope: ARM id, for example ``/subscriptions/<id>``.

    Raises SourceUnavailable and SourceRefused, the latter with status 403 for who may not even ask.
    """
    address, params = f"{scope}/providers/Microsoft.Authorization/permissions", {"api-version": API_VERSION}
    found: list[Permission] = []
    for _ in range(_MOST_PAGES):
        body = await manager.get(address, params)
        listed, link = body.get("value"), body.get("nextLink") or ""
        if not isinstance(listed, list) or not isinstance(link, str):
            raise SourceRefused("the list of permissions has no 'value': something else answers in Azure's place")
        found += [Permission(_texts(one, "actions"), _texts(one, "notActions")) for one in listed]
        if not link:
            return found
        # The link holds the whole query already.
        address, params = link, {}
    raise SourceUnavailable("the list of permissions goes in circles")


def _texts(entry: object, name: str) -> tuple[str, ...]:
    values = entry.get(name) if isinstance(entry, dict) else None
    return tuple(str(one) for one in values) if isinstance(values, list) else ()


def _among(action: str, patterns: Iterable[str]) -> bool:
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.ASCII | re.IGNORECASE | re.DOTALL)
        for pattern in patterns
    )
