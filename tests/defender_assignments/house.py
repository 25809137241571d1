"""Both sides of an assignment: Defender for Cloud and ServiceNow as simulators, the bridge's services between them.

The simulators run for a module; each test has a resource group, and thus keys, of its own.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import httpx
import yaml

from app.container import Container
from connectors.defender.assignments.assignment import Assignment
from connectors.defender.payloads.identity import recommendation_key
from connectors.defender.source import DefenderSource
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints
from local import azure, servicenow
from shared.core.link import Link
from shared.core.messages import Message, PushToSource, decode, encode
from shared.core.secrets import SettingSecrets
from shared.delivery.queue import SignalQueue
from shared.platform.storage import Storage
from tests.asking import ask
from tests.azure_simulator.support import ARM, NO_AUTHORITIES

WRITE = "Microsoft.Security/assessments/governanceAssignments/write"
DELETE = "Microsoft.Security/assessments/governanceAssignments/delete"
DISKS = str(uuid5(NAMESPACE_URL, "assessment of disks"))
NAME = "Disks should be encrypted at the host"


class Line(SignalQueue):
    """The signal queue in memory: messages as the real one carries them, in the order in which they fall due."""

    def __init__(self, storage: Storage, now: Callable[[], datetime]) -> None:
        super().__init__(storage)
        self._now = now
        self.waiting: list[tuple[datetime, str]] = []
        self.tick: Callable[[], None] = lambda: None

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        self.tick()
        self.waiting.append((self._now() + delay, encode(message)))
        self.tick()

    def orders(self) -> list[str]:
        """Keys of what is to be told."""
        found = [decode(text) for _, text in self.waiting]
        return [one.key for one in found if isinstance(one, PushToSource)]


class House:
    """One test's world."""

    def __init__(
        self,
        clouds: azure.Simulator,
        desk: servicenow.Simulator,
        storage: Storage,
        folder: Path,
        http: httpx.AsyncClient,
    ) -> None:
        self.clouds, self.desk, self.storage = clouds, desk, storage
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.group = f"rg-{uuid4().hex[:12]}"
        # of its own, too, so that nobody else has to wait where a test makes the instance throttle
        self.connection = f"desk-{uuid4().hex[:12]}"
        self._http = http
        self._folder = folder
        self._opened: list[Container] = []
        self.line = Line(storage, lambda: self.now)
        self.kept: list[str] = []
        self.configure()

    def configure(self, client: str = "bridge", **defender: Any) -> Container:
        """Deploy a configuration; ``client`` is the application that signs in."""
        defender.setdefault("integrations", [{"name": "production"}])
        defender["integrations"] = [{"connection": self.connection, **one} for one in defender["integrations"]]
        sections: dict[str, Any] = {
            name: defender.pop(name)
            for name in ("accept_only", "delivery", "default", "routes", "mode")
            if name in defender
        }
        sign_in = {
            "tenant": self.clouds.tenant_id,
            "client_id": getattr(self.clouds, "client_id" if client == "bridge" else f"{client}_client_id"),
            "client_secret": {"secret": client},
        }
        content: dict[str, Any] = {
            "version": 1,
            "connections": {
                self.connection: {
                    "type": "servicenow",
                    "url": self.desk.url,
                    "auth": {
                        "type": "basic",
                        "username": self.desk.integration_username,
                        "password": {"secret": "desk-password"},
                    },
                }
            },
            "default": {"connection": self.connection},
            "defender": {"tenants": [{"sign_in": sign_in}], **defender},
            **sections,
        }
        (self._folder / "bridge.yaml").write_text(yaml.safe_dump(content))
        secrets = {
            "DESK_PASSWORD": self.desk.integration_password,
            "BRIDGE": self.clouds.client_secret,
            "READER": self.clouds.reader_client_secret,
        }
        self.services = Container(
            {"BRIDGE_CONFIG": str(self._folder / "bridge.yaml")},
            now=lambda: self.now,
            storage=self.storage,
            secrets=SettingSecrets(secrets),
            given=(self._reach(),),
        )
        self.services.__dict__["queue"] = self.line
        self._opened.append(self.services)
        return self.services

    def _reach(self) -> CloudEndpoints:
        options = {"disable_instance_discovery": True, "connection_verify": self.clouds.ca_file}
        trust = ssl.create_default_context(cafile=self.clouds.ca_file)
        return CloudEndpoints(Endpoint(self.clouds.https_url, ARM), self.clouds.https_url, trust, options)

    # -- Azure's side

    def machine(self, name: str = "web-01") -> str:
        group = f"/subscriptions/{self.clouds.subscriptions[0]}/resourceGroups/{self.group}"
        return f"{group}/providers/Microsoft.Compute/virtualMachines/{name}"

    async def finding(self, resource: str = "", key: str = DISKS, code: str = "Unhealthy", name: str = NAME) -> str:
        """Defender for Cloud evaluates a resource; the resource's id."""
        resource = resource or self.machine()
        order = {"resource": resource, "key": key, "code": code, "displayName": name}
        await self.azure("POST", "/assessments", order)
        return resource

    async def azure(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return await self._told(method, f"{self.clouds.control_url}{path}", body)

    async def writes(self, resource: str = "", operation: str = WRITE) -> list[dict[str, Any]]:
        """What the bridge wrote to Defender for Cloud in this test, oldest first."""
        place = (resource or f"/resourceGroups/{self.group}/").lower()
        journal = (await self.azure("GET", "/journal"))["journal"]
        return [one for one in journal if one["operation"] == operation and place in one["target"].lower()]

    async def governance(self, resource: str) -> dict[str, Any]:
        """Properties of the assignment as Defender for Cloud has it, empty when there is none."""
        made, gone = await self.writes(resource), await self.writes(resource, DELETE)
        if not made or (gone and gone[-1]["time"] > made[-1]["time"]):
            return {}
        return dict(made[-1]["after"]["properties"])

    # -- ServiceNow's side

    async def servicenow(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return await self._told(method, f"{self.desk.control_url}{path}", body)

    async def tickets(self, table: str = "incident", display: str = "true") -> list[dict[str, str]]:
        """Tickets of the bridge that are about this test's resources, oldest first."""
        query = f"correlation_display=Azure ITSM Bridge^descriptionLIKE{self.group}^ORDERBYnumber"
        params = {"sysparm_query": query, "sysparm_display_value": display, "sysparm_exclude_reference_link": "true"}
        answer = await self._http.get(f"{self.desk.url}/api/now/table/{table}", params=params, auth=self._admin)
        return list(answer.raise_for_status().json()["result"])

    async def change(self, ticket: dict[str, str], **fields: str) -> None:
        """An administrator changes an incident."""
        url = f"{self.desk.url}/api/now/table/incident/{ticket['sys_id']}"
        (await self._http.patch(url, json=fields, auth=self._admin)).raise_for_status()

    async def notes(self, ticket: dict[str, str], element: str = "work_notes") -> list[str]:
        query = f"element_id={ticket['sys_id']}^element={element}^ORDERBYsys_created_on"
        params = {"sysparm_query": query}
        url = f"{self.desk.url}/api/now/table/sys_journal_field"
        answer = await self._http.get(url, params=params, auth=self._admin)
        return [row["value"] for row in answer.raise_for_status().json()["result"]]

    async def calls(self, method: str = "") -> list[str]:
        """Calls of the bridge to ServiceNow since the log was emptied."""
        logged = (await self.servicenow("GET", "/requests?limit=500"))["requests"]
        ours = [one for one in logged if one["user"] == self.desk.integration_username]
        return [f"{one['method']} {one['path']}" for one in ours if not method or one["method"] == method]

    @property
    def _admin(self) -> tuple[str, str]:
        return self.desk.username, self.desk.password

    async def calm(self) -> None:
        """No faults on either side, empty request logs."""
        for side in (self.azure, self.servicenow):
            await side("DELETE", "/scenarios")
            await side("DELETE", "/requests")

    async def _told(self, method: str, url: str, body: dict[str, Any] | None) -> Any:
        answer = await self._http.request(method, url, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    # -- the bridge

    async def ask(self, **body: Any) -> tuple[int, dict[str, Any]]:
        """POST /api/assignments: for disks of the machine, to a person who is there, unless the body says otherwise."""
        request: dict[str, Any] = {
            "recommendation": DISKS,
            "resources": [self.machine()],
            "assigned_to": "ada.winterfeld",
            "remediation_days": 30,
            **body,
        }
        given = {name: value for name, value in request.items() if value is not None}
        response = await ask(self.defender.assign, given)
        return response.status, dict(response.body)

    async def work_off(self, ahead: timedelta = timedelta()) -> None:
        """The worker handles what is due now, and what falls due within ``ahead``, each at its time."""
        until = self.now + ahead
        while due := [each for each in self.line.waiting if each[0] <= until]:
            first = min(due, key=lambda each: each[0])
            self.line.waiting.remove(first)
            self.now = max(self.now, first[0])
            await self.services.worker.handle(uuid4().hex, first[1], 1)
        self.now = until

    async def assignment(self, resource: str = "", key: str = DISKS) -> Assignment | None:
        stored = await self.defender.assignments.load(self.key(resource, key))
        return None if stored is None else stored.value

    async def link(self, resource: str = "", key: str = DISKS) -> Link | None:
        stored = await self.services.links.load(self.key(resource, key))
        return None if stored is None else stored.value

    def key(self, resource: str = "", key: str = DISKS) -> str:
        return recommendation_key(resource or self.machine(), key)

    @property
    def defender(self) -> DefenderSource:
        """The source, in the process that runs now."""
        return self.services.source(DefenderSource)

    async def aclose(self) -> None:
        for services in self._opened:
            await services.aclose()


@asynccontextmanager
async def simulators() -> AsyncIterator[tuple[azure.Simulator, servicenow.Simulator, httpx.AsyncClient]]:
    async with (
        azure.running() as clouds,
        servicenow.running() as desk,
        httpx.AsyncClient(verify=NO_AUTHORITIES) as http,
    ):
        yield clouds, desk, http
