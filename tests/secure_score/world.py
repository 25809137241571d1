"""Microsoft 365 and ServiceNow (the stand-ins, Graph over TLS), the bridge's services between them, and a clock."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import yaml
from azure.core.exceptions import ResourceNotFoundError

from app.container import Container
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints
from connectors.secure_score.payloads.control import control_key
from connectors.secure_score.poll.poll import ScorePolled
from connectors.secure_score.poll.states import CONTAINER
from connectors.secure_score.source import SecureScoreSource
from local.azure import Simulator as Clouds
from local.servicenow import Simulator as Instance
from shared.core.link import Link, link_id
from shared.core.messages import Message, SignalMessage, encode
from shared.core.secrets import SettingSecrets
from shared.core.signal import Signal
from shared.delivery.links import TABLE, LinkStore
from shared.delivery.queue import SignalQueue
from shared.platform.storage import Storage
from tests.azure_simulator.support import ARM, GRAPH, NO_AUTHORITIES

_TIMES = ("due_date", "requested_by_date")

EVERYTHING = [{"name": "everything"}]


class Line(SignalQueue):
    """The signal queue in memory."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.waiting: list[Message] = []
        self.later: list[Message] = []

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        (self.later if delay else self.waiting).append(message)

    @property
    def signals(self) -> list[Signal]:
        return [one.signal for one in self.waiting if isinstance(one, SignalMessage)]


class World:
    """One test's world. ``later`` is how far the bridge's clock is ahead."""

    def __init__(
        self, clouds: Clouds, instance: Instance, storage: Storage, folder: Path, admins: tuple[httpx.AsyncClient, ...]
    ) -> None:
        self.clouds = clouds
        self.instance = instance
        self.storage = storage
        self.links = LinkStore(storage)
        self.later = timedelta()
        self.desk = f"desk-{uuid4().hex[:8]}"
        self._folder = folder
        self._microsoft, self._servicenow, self._faults = admins
        self._started: list[Container] = []
        self.line = Line(storage)
        self.services = self.configure()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    # The bridge

    def sign_in(self, tenant: str = "", who: str = "bridge", **proof: Any) -> dict[str, Any]:
        client = getattr(self.clouds, "client_id" if who == "bridge" else f"{who}_client_id")
        proof = proof or {"client_secret": {"secret": who}}
        return {"tenant": tenant or self.clouds.tenant_id, "client_id": client, **proof}

    def configure(self, rules: list[dict[str, Any]] | None = None, **section: Any) -> Container:
        """The bridge starts (again) with this section; the queue keeps what it holds."""
        tenants = section.pop("tenants", [{"sign_in": self.sign_in()}])
        connection = {
            "type": "servicenow",
            "url": self.instance.url,
            "auth": {
                "type": "basic",
                "username": self.instance.integration_username,
                "password": {"secret": "desk-password"},
            },
            **section.pop("desk", {}),
        }
        content = {
            "version": 1,
            "throttles": section.pop("throttles", []),
            "connections": {self.desk: connection},
            "secure_score": {"connection": self.desk, "tenants": tenants, "rules": rules or [], **section},
        }
        path = self._folder / "bridge.yaml"
        path.write_text(yaml.safe_dump(content))
        secrets = {
            "DESK_PASSWORD": self.instance.integration_password,
            "BRIDGE": self.clouds.client_secret,
            "READER": self.clouds.reader_client_secret,
            "LAPSED": self.clouds.lapsed_client_secret,
            "CERTIFICATE": Path(self.clouds.certificate_file).read_text(),
        }
        reach = CloudEndpoints(
            Endpoint(self.clouds.https_url, ARM),
            self.clouds.https_url,
            ssl.create_default_context(cafile=self.clouds.ca_file),
            {"disable_instance_discovery": True, "connection_verify": self.clouds.ca_file},
            graph=Endpoint(self.clouds.https_url, GRAPH),
        )
        self.services = Container(
            {"BRIDGE_CONFIG": str(path)},
            now=self.now,
            storage=self.storage,
            secrets=SettingSecrets(secrets),
            given=(reach,),
        )
        self.services.__dict__["queue"] = self.line
        self._started.append(self.services)
        return self.services

    async def poll(self, after: timedelta = timedelta(days=1)) -> ScorePolled:
        """The timer, a day later; what came of the only tenant."""
        self.later += after
        (result,) = await self.scores.poll_scores()
        return result

    async def work_off(self) -> None:
        """The worker takes what lies on the queue, and what that puts there."""
        while self.line.waiting:
            envelope = self.line.waiting.pop(0)
            await self.services.worker.handle(envelope.id, encode(envelope), 1)

    async def file(self, after: timedelta = timedelta(days=1)) -> ScorePolled:
        """Poll, and work off."""
        result = await self.poll(after)
        await self.work_off()
        return result

    async def resync(self) -> None:
        """The timer, some minutes later: links follow their tickets, sources are told."""
        self.later += timedelta(minutes=10)
        for result in await self.services.timers.resync():
            assert not result.reason, result.reason
        await self.work_off()

    async def link(self, control: str, tenant: str = "") -> Link | None:
        stored = await self.links.load(control_key(tenant or self.clouds.tenant_id, control))
        return None if stored is None else stored.value

    # Microsoft 365

    async def score(self, control: str, score: float, **changes: Any) -> None:
        await self._told("POST", "/scores", control=control, score=score, **changes)

    async def settle(self, control: str, state: str, tenant: str = "") -> None:
        """Somebody sets the state of a control in the portal."""
        updates = [{"state": state, "comment": "", "assignedTo": "", "updatedDateTime": self.now().isoformat()}]
        before = await self.updates(control, tenant)
        await self.profile(control, controlStateUpdates=[*before, *updates], **({"tenant": tenant} if tenant else {}))

    async def profile(self, control: str, **changes: Any) -> dict[str, Any]:
        return dict(await self._told("POST", "/profiles", id=control, **changes))

    async def updates(self, control: str, tenant: str = "") -> list[dict[str, Any]]:
        found = await self.profile(control, **({"tenant": tenant} if tenant else {}))
        return list(found["controlStateUpdates"])

    async def remove(self, control: str) -> None:
        await self._told("DELETE", f"/profiles/{control}")

    async def cloud(self, kind: str, **order: Any) -> None:
        """Order a fault of Microsoft's."""
        await self._told("POST", "/scenarios", type=kind, **order)

    async def setting(self, **settings: Any) -> None:
        (await self._microsoft.patch("/settings", json=settings)).raise_for_status()

    async def requests(self) -> list[dict[str, Any]]:
        answer = await self._microsoft.get("/requests", params={"limit": 1000})
        return list(answer.raise_for_status().json()["requests"])

    async def _told(self, method: str, path: str, **body: Any) -> Any:
        answer = await self._microsoft.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    # ServiceNow

    async def tickets(self, table: str = "change_request") -> list[dict[str, str]]:
        """Tickets of the bridge, by their display values, oldest first."""
        where = "correlation_display=Azure ITSM Bridge^ORDERBYnumber"
        params = {"sysparm_query": where, "sysparm_display_value": "all"}
        answer = await self._servicenow.get(f"/api/now/table/{table}", params=params)
        rows = answer.raise_for_status().json()["result"]
        return [
            {
                **{name: str(value["display_value"]) for name, value in row.items()},
                "sys_id": str(row["sys_id"]["value"]),
                "state_value": str(row["state"]["value"]),
                # times are shown in the zone of whoever looks
                **{name: str(row[name]["value"]) for name in _TIMES if name in row},
            }
            for row in rows
        ]

    async def ticket(self, table: str = "change_request") -> dict[str, str]:
        (found,) = await self.tickets(table)
        return found

    async def write(self, sys_id: str, table: str = "change_request", **fields: str) -> None:
        """Somebody changes a ticket."""
        answer = await self._servicenow.patch(f"/api/now/table/{table}/{sys_id}", json=fields)
        assert answer.status_code == 200, answer.text

    async def close_change(self, sys_id: str, code: str = "successful", **fields: str) -> None:
        """Somebody walks a standard change to its end."""
        for state in ("-2", "-1", "0"):
            await self.write(sys_id, state=state, assignment_group="Service Desk")
        await self.write(sys_id, state="3", close_code=code, close_notes="Done.", **fields)

    async def writes(self) -> int:
        """Requests of the bridge that changed anything in ServiceNow."""
        answer = await self._faults.get("/requests", params={"limit": 1000})
        found = answer.raise_for_status().json()["requests"]
        ours = [one for one in found if one["user"] == self.instance.integration_username]
        return sum(one["method"] != "GET" for one in ours)

    async def instance_fault(self, kind: str, **order: Any) -> None:
        answer = await self._faults.post("/scenarios", json={"type": kind, **order})
        assert answer.status_code == 200, answer.text

    async def forget(self) -> None:
        """Nothing is known of any control, as on the first day."""
        async for link in self.links.all():
            if link.key.startswith("secure_score:"):
                row = link_id(link.key)
                await self.storage.table(TABLE).delete_entity(row[:2], row)
        with contextlib.suppress(ResourceNotFoundError):
            container = self.storage.container(CONTAINER)
            async for blob in container.list_blobs():
                await container.delete_blob(blob.name)

    @property
    def scores(self) -> SecureScoreSource:
        """The source, in the process that runs now."""
        return self.services.source(SecureScoreSource)

    async def aclose(self) -> None:
        for services in self._started:
            await services.aclose()


@asynccontextmanager
async def opened(clouds: Clouds, instance: Instance, storage: Storage, folder: Path) -> AsyncIterator[World]:
    """A world on its first day."""
    async with (
        httpx.AsyncClient(base_url=clouds.control_url, verify=NO_AUTHORITIES) as microsoft,
        httpx.AsyncClient(
            base_url=instance.url, auth=(instance.username, instance.password), verify=NO_AUTHORITIES
        ) as servicenow,
        httpx.AsyncClient(base_url=instance.control_url, verify=NO_AUTHORITIES) as faults,
    ):
        for control in (microsoft, faults):
            (await control.post("/reset")).raise_for_status()
        world = World(clouds, instance, storage, folder, (microsoft, servicenow, faults))
        await world.forget()
        yield world
        await world.aclose()
