"""Whose tags count for a resource: its own, those around it, of its resource group and of its subscription. Pure.

Resource Graph lists few nested resources (``.../storageAccounts/stshop/blobServices/default`` is none of them), so the
tags of the resources around one count as its own, the nearest first. Azure does not inherit tags itself. Source:
Microsoft Learn, "Use tags to organize your Azure resources and management hierarchy".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.microsoft.azure_resources import canonical, parse_id
from shared.core.signal import Resource

#: What may stand in a query between quotation marks. No id of Azure has any of these, and payloads come from outside.
_UNSAFE = re.compile(r"['\"\\\x00-\x1f\x7f]")
_IN_A_SUBSCRIPTION = re.compile(r"/subscriptions/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:/.*)?")

_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class TagScopes:
    """The ids, lower case, whose tags count for one resource.

    Attributes:
        own: of the resource and those around it, the nearest first; none where it is a group or subscription.
        group: of its resource group, empty for none.
        subscription: of its subscription.
    """

    own: tuple[str, ...]
    group: str
    subscription: str

    @property
    def all(self) -> tuple[str, ...]:
        """All ids."""
        return tuple(filter(None, (*self.own, self.group, self.subscription)))


def is_container(resource_id: str) -> bool:
    """Whether an id is that of a resource group or subscription, which stand in a table of their own."""
    return "/providers/" not in resource_id


def scopes_of(resource: Resource) -> TagScopes | None:
    """Where the tags of a resource are; None for what is in no subscription, or has an id that none of Azure has."""
    own = canonical(resource.id or "")
    if len(own) > _LONGEST or _UNSAFE.search(own) or _IN_A_SUBSCRIPTION.fullmatch(own) is None:
        return None
    known = parse_id(own)
    subscription = f"/subscriptions/{known.subscription_id}"
    group = f"{subscription}/resourcegroups/{known.resource_group}" if known.resource_group else ""
    return TagScopes(() if is_container(own) else tuple(_around(own)), group, subscription)


def _around(own: str) -> list[str]:
    """The id of a resource, and those of the resources that it is nested in or extends."""
    found = [own]
    while True:
        before, _, after = found[-1].rpartition("/providers/")
        segments = after.split("/")
        if len(segments) > 3:
            found.append(f"{before}/providers/{'/'.join(segments[:-2])}")
        elif "/providers/" in before:
            found.append(before)
        else:
            return found
