"""Defender's side (the clouds' stand-in), the bridge's side (Azurite), and a clock of the poll's own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from connectors.defender.poll.changes import Entry
from connectors.defender.poll.management_groups import CONTAINER, ManagementGroupPaths
from connectors.defender.poll.poll import FindingsPoll
from connectors.defender.poll.polled import PollResult
from connectors.defender.poll.snapshot import Snapshot
from connectors.defender.poll.tenants import DefenderTenants
from connectors.defender.settings import DefenderSettings
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints, MicrosoftClients
from connectors.microsoft.resource_graph import PAGE
from local.azure import Simulator, running
from local.azure.demo import inventory as places
from local.azure.demo.findings import key_of
from shared.core.errors import StorageUnavailable
from shared.core.jobs import JobRun
from shared.core.messages import Message, SignalMessage
from shared.core.secrets import SettingSecrets
from shared.core.signal import Signal
from shared.platform.storage import Storage
from tests.azure_simulator.support import ARM, NO_AUTHORITIES

#: Machines of the demo, and findings of theirs.
WEB_1, WEB_2, DEV_VM, TILL = places.WEB_1, places.WEB_2, places.DEV_VM, places.TILL


def assessment_id(resource: str, name: str) -> str:
    """Id of a recommendation of the demo for a resource."""
    return f"{resource}/providers/Microsoft.Security/assessments/{key_of(name)}"


def key(resource: str, name: str) -> str:
    """Key of its signal."""
    return f"recommendation:1:{resource.lower()}/{key_of(name)}"


class Outbox:
    """Takes what would go onto the queue; ``room`` messages, all when None."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.room: int | None = None

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        if self.room is not None and len(self.sent) >= self.room:
            raise StorageUnavailable("storage did not answer while queueing a signal")
        self.sent.append(message)

    def take(self) -> list[Signal]:
        """What was put there since the last time."""
        signals = [message.signal for message in self.sent if isinstance(message, SignalMessage)]
        self.sent.clear()
        return signals


class Stage:
    """One test's world. ``later`` is how far the poll's clock is ahead."""

    def __init__(self, clouds: Simulator, control: httpx.AsyncClient, storage: Storage) -> None:
        self.clouds = clouds
        self.control = control
        self.storage = storage
        self.outbox = Outbox()
        self.later = timedelta()
        self.rules = ""
        self.production, self.development = clouds.subscriptions
        (self.retail,) = clouds.other_subscriptions

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    async def told(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.control.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def find(self, resource: str, name: str, **order: Any) -> dict[str, Any]:
        """Defender finds something, or changes its mind; the finding as the REST API has it."""
        return await self.told("POST", "/assessments", id=assessment_id(resource, name), **order)

    async def pass_time(self, **span: float) -> None:
        """Time passes everywhere."""
        self.later += timedelta(**span)
        await self.told("POST", "/clock", advance=timedelta(**span).total_seconds())

    def tenant(self, *, other: bool = False, client: str = "bridge", **parts: Any) -> dict[str, Any]:
        """A tenant of the configuration, with the sign-in of the bridge's application."""
        clouds = self.clouds
        tenant = clouds.other_tenant_id if other else clouds.tenant_id
        client_id = {"bridge": clouds.client_id, "stranger": clouds.stranger_client_id}[client]
        sign_in = {"tenant": tenant, "client_id": client_id, "client_secret": {"secret": client}}
        return {"tenant": tenant, "sign_in": sign_in, **parts}

    def settings(self, *tenants: dict[str, Any], **poll: Any) -> DefenderSettings:
        return DefenderSettings.model_validate({"tenants": list(tenants) or [self.tenant()], "poll": poll})

    @asynccontextmanager
    async def opened(
        self, settings: DefenderSettings, ancestries: ManagementGroupPaths | None = None
    ) -> AsyncIterator[DefenderTenants]:
        secrets = SettingSecrets({"BRIDGE": self.clouds.client_secret, "STRANGER": self.clouds.stranger_client_secret})
        known = ancestries or ManagementGroupPaths(self.storage, now=self.now)
        async with aclosing(MicrosoftClients(secrets, self.reach())) as clients:
            yield DefenderTenants(settings, clients, whose=lambda one: known.of(one).tenant)

    async def run(
        self, *tenants: dict[str, Any], page: int = PAGE, asked: JobRun | None = None, **poll: Any
    ) -> list[PollResult]:
        """A run of the timer, or one that a person asked for; ``page``: rows a page."""
        settings = self.settings(*tenants, **poll)
        assert settings.poll is not None
        async with self.opened(settings) as clouds:
            poll_ = FindingsPoll(
                settings.poll, clouds, self.storage, self.outbox, now=self.now, rules=self.rules, page=page
            )
            return await poll_.run(asked)

    async def poll(self, *tenants: dict[str, Any], page: int = PAGE, **poll: Any) -> PollResult:
        """A run over one tenant and kind, an hour after the last one."""
        self.later += timedelta(hours=1)
        (result,) = await self.run(*tenants, page=page, **poll)
        return result

    async def remembered(self, kind: str = "recommendation", tenant: str = "") -> list[Entry]:
        """What the bridge knows of findings."""
        snapshot = Snapshot(self.storage, f"{kind}/{tenant or self.clouds.tenant_id}.jsonl.gz")
        await snapshot.open()
        return [entry async for entry in snapshot.entries()]

    async def ancestries(self) -> ManagementGroupPaths:
        """The copy as another process reads it."""
        found = ManagementGroupPaths(self.storage, now=self.now)
        await found.refresh()
        return found

    def reach(self) -> CloudEndpoints:
        """The stand-in as a cloud of its own."""
        return CloudEndpoints(
            Endpoint(self.clouds.https_url, ARM),
            self.clouds.https_url,
            ssl.create_default_context(cafile=self.clouds.ca_file),
            {"disable_instance_discovery": True, "connection_verify": self.clouds.ca_file},
        )


@asynccontextmanager
async def staged(storage: Storage, certificates: Path) -> AsyncIterator[Stage]:
    """A fresh cloud, and a bridge that knows nothing of it. ``certificates`` are made once, which takes a second."""
    from azure.core.exceptions import ResourceNotFoundError

    container = storage.container(CONTAINER)
    try:
        async for blob in container.list_blobs():
            await container.delete_blob(blob.name)
    except ResourceNotFoundError:
        pass
    async with (
        running(certificates=certificates) as clouds,
        httpx.AsyncClient(base_url=clouds.control_url, verify=NO_AUTHORITIES) as control,
    ):
        yield Stage(clouds, control, storage)


def by_key(signals: list[Signal]) -> dict[str, Signal]:
    """Signals by key, each once."""
    found = {signal.key: signal for signal in signals}
    assert len(found) == len(signals), "a key more than once"
    return found
