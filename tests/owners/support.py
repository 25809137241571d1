"""A cloud with a subscription of the test's own, so that nothing which another test remembers is about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from connectors.azure_monitor.resource_tags.reader import ResourceTagReader
from connectors.azure_monitor.resource_tags.store import TagStore
from connectors.azure_monitor.settings import ResourceTagsSettings
from connectors.microsoft.azure_resources import parse_id
from connectors.microsoft.clients import MicrosoftClients
from connectors.microsoft.resource_graph import ResourceGraph
from connectors.microsoft.settings import SignIn
from local.azure.demo.identities import CONTOSO
from shared.core.signal import Resource
from shared.platform.storage import Storage
from tests.microsoft.world import World

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRAPH = "Microsoft.ResourceGraph/resources/read"


class Estate:
    """One subscription of the simulator."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.subscription = str(uuid4())
        self.group = f"/subscriptions/{self.subscription}/resourceGroups/rg-shop"
        self.vm = f"{self.group}/providers/Microsoft.Compute/virtualMachines/web-01"

    async def build(self, **own: str) -> Estate:
        """The subscription, its group and a machine, each with tags."""
        where = {"id": self.subscription, "name": "Owners", "tenant": CONTOSO.id}
        await self.world.tell("POST", "/subscriptions", **where, groups=["contoso-root"])
        await self.tag(f"/subscriptions/{self.subscription}", team="platform", cost="47")
        await self.tag(self.group, Team="shop", stage="prod")
        await self.tag(self.vm, **own)
        return self

    async def tag(self, resource_id: str, **tags: str) -> None:
        await self.world.tell("POST", "/resources", id=resource_id, tags=tags)

    async def calls(self) -> list[dict[str, Any]]:
        """Queries so far."""
        found = (await self.world.tell("GET", "/requests"))["requests"]
        return [one for one in found if one["operation"] == GRAPH and self.subscription in one["body"]]

    async def breaks(self, kind: str = "fail", **more: Any) -> None:
        """Resource Graph fails from now on."""
        await self.world.tell("POST", "/scenarios", type=kind, match={"path": "ResourceGraph"}, times=99, **more)

    async def works(self) -> None:
        """It does no more."""
        await self.world.tell("DELETE", "/scenarios")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, time: timedelta) -> None:
        self.now += time


def reader_of(
    world: World, clients: MicrosoftClients, storage: Storage, now: Callable[[], datetime], **options: Any
) -> ResourceTagReader:
    """A worker's reader."""
    who = SignIn.model_validate(world.sign_in())
    return ResourceTagReader(
        ResourceTagsSettings.model_validate(options),
        TagStore(storage),
        lambda sign_in: ResourceGraph(clients.resource_manager("public", sign_in)),
        lambda _subscription: who,
        now,
    )


def resource(resource_id: str) -> Resource:
    """As a payload's reader makes it."""
    return parse_id(resource_id)
