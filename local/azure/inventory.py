"""Management groups, subscriptions and resources of all tenants, and which of them a scope covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_GROUPS = "/providers/microsoft.management/managementgroups/"


@dataclass(slots=True)
class Subscription:
    """A subscription. ``groups`` are the names of its management groups, the root first."""

    id: str
    name: str
    tenant: str
    groups: tuple[str, ...] = ()
    state: str = "Enabled"


@dataclass(slots=True)
class Resource:
    """A resource. ``id`` is spelled as it was made; ids compare without case."""

    id: str
    type: str
    location: str = "westeurope"
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The last segment."""
        return self.id.rstrip("/").rpartition("/")[2]


def subscription_id(resource_id: str) -> str:
    """Id of the subscription in a resource id, lower case; empty when there is none."""
    segments = resource_id.strip("/").lower().split("/")
    return segments[1] if len(segments) > 1 and segments[0] == "subscriptions" else ""


def resource_group(resource_id: str) -> str:
    """Name of the resource group in a resource id as it is spelled; empty when there is none."""
    segments = resource_id.strip("/").split("/")
    return segments[3] if len(segments) > 3 and segments[2].lower() == "resourcegroups" else ""


def type_of(resource_id: str) -> str:
    """Type that a resource id says, e.g. ``Microsoft.Sql/servers/databases``; subscription and group have theirs."""
    segments = resource_id.strip("/").split("/")
    places = [place for place, segment in enumerate(segments) if segment.lower() == "providers"]
    if not places:
        return "Microsoft.Resources/subscriptions" + ("/resourceGroups" if resource_group(resource_id) else "")
    after = segments[places[-1] + 1 :]
    return "/".join([after[0], *after[1::2]]) if after else ""


class Inventory:
    """Everything that exists in Resource Manager, by id in lower case."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self.resources: dict[str, Resource] = {}
        #: Increases with every change; caches compare it.
        self.revision = 0

    def touch(self) -> None:
        """Something changed."""
        self.revision += 1

    def add_subscription(self, subscription: Subscription) -> None:
        """Add or replace one."""
        self.subscriptions[subscription.id.lower()] = subscription
        self.touch()

    def add_resource(self, resource: Resource) -> None:
        """Add or replace one.

        Raises:
            KeyError: its subscription is not known.
        """
        if subscription_id(resource.id) not in self.subscriptions:
            raise KeyError(resource.id)
        self.resources[resource.id.lower()] = resource
        self.touch()

    def tenant_of(self, resource_id: str) -> str:
        """Tenant of a resource's subscription, empty when that is not known."""
        found = self.subscriptions.get(subscription_id(resource_id))
        return found.tenant if found else ""

    def covers(self, scope: str, tenant: str) -> Callable[[str], bool]:
        """A function that says whether a resource id is at a scope or below, within a tenant.

        A scope is a management group, a subscription, a resource group, a resource, or ``/`` for the tenant.
        """
        wanted = "/" + scope.strip("/").lower()
        if wanted == "/" or wanted.startswith(_GROUPS):
            group = wanted.removeprefix(_GROUPS) if wanted != "/" else ""
            members = {
                key
                for key, one in self.subscriptions.items()
                if one.tenant == tenant and (not group or group in (name.lower() for name in one.groups))
            }
            return lambda resource_id: subscription_id(resource_id) in members
        if self.tenant_of(wanted) != tenant:
            return lambda _resource_id: False

        def below(resource_id: str) -> bool:
            lowered = resource_id.lower()
            return lowered == wanted or lowered.startswith(wanted + "/")

        return below

    def is_group(self, scope: str, tenant: str) -> bool:
        """Is it an existing management group of the tenant?"""
        wanted = "/" + scope.strip("/").lower()
        name = wanted.removeprefix(_GROUPS)
        return wanted.startswith(_GROUPS) and any(
            one.tenant == tenant and name in (group.lower() for group in one.groups)
            for one in self.subscriptions.values()
        )
