"""An instance, a vault, the bridge's storage, and workers that share tokens: real parts on one clock."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx

from app.container import Container
from connectors.key_vault import KeyVaultSecrets
from connectors.servicenow import ServiceNow, ServiceNowSettings
from local import servicenow
from local.azurite import Azurite
from shared.core.secrets import SecretSource
from shared.core.ticket_system import TicketKind
from shared.core.tokens import HeldTokens
from shared.operations.job_lease import JobLeases
from shared.operations.token_store import TableTokens
from shared.platform.storage import Storage
from tests.key_vault import vault as vaults
from tests.simulators import NO_AUTHORITIES

REDIRECT = "https://contoso.example/callback"
PERSON = "interactive.user"
TOKEN = "servicenow-refresh-token"
SECRET = "servicenow-client-secret"
NOBODY = "0" * 32

CONFIG = """
version: 1
connections:
  {name}:
    type: servicenow
    url: {url}
    auth:
      type: {kind}
      client_id: {client_id}
      client_secret: {{secret: servicenow-client-secret}}
{more}
default: {{connection: {name}}}
"""
CODE = """      refresh_token: {secret: servicenow-refresh-token}
      redirect_url: https://contoso.example/callback
"""


class Person:
    """Somebody with a browser."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, verify=NO_AUTHORITIES, trust_env=False)
        self.user = user
        self.password = password

    def consent(self, url: str, choice: str = "allow") -> str:
        """Go through the pages of the instance; the address to which the browser is sent in the end."""
        page = self.http.get(url, follow_redirects=True)
        if "user_password" in page.text:
            page = self._log_in(page)
        if self.user and f"({self.user})" not in page.text:
            found = re.search(r'id="not_you" href="([^"]+)"', page.text)
            assert found is not None, page.text
            page = self._log_in(self.http.get(unescape(found[1]), follow_redirects=True))
        answer = self.http.post("/oauth_auth.do", data=_hidden(page.text) | {"choice": choice})
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def _log_in(self, page: httpx.Response) -> httpx.Response:
        form = _hidden(page.text) | {"user_name": self.user, "user_password": self.password}
        return self.http.post("/login.do", data=form, follow_redirects=True)


def _hidden(page: str) -> dict[str, str]:
    return {n: unescape(v) for n, v in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)}


class World:
    """Everything that workers of one connection share."""

    def __init__(self, simulator: servicenow.Simulator, vault: vaults.Vault, azurite: Azurite) -> None:
        self.simulator = simulator
        self.vault = vault
        self.name = f"c{uuid4().hex[:12]}"
        self.stack = AsyncExitStack()
        self.offset = timedelta(0)
        self.settings = {"AzureWebJobsStorage": azurite.connection_string}
        self.storage = Storage(self.settings)
        self.control = httpx.AsyncClient(base_url=simulator.control_url, verify=NO_AUTHORITIES, trust_env=False)
        vault.secrets["servicenow-client-secret"] = simulator.client_secret

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def advance(self, span: timedelta) -> None:
        """Let time pass, everywhere."""
        self.offset += span
        (await self.control.post("/clock", json={"advance": span.total_seconds()})).raise_for_status()

    async def set(self, **settings: Any) -> None:
        (await self.control.patch("/settings", json=settings)).raise_for_status()

    async def order(self, **scenario: Any) -> None:
        (await self.control.post("/scenarios", json=scenario)).raise_for_status()

    async def token_calls(self) -> list[dict[str, Any]]:
        """Requests to the token endpoint, the oldest first."""
        found = (await self.control.get("/requests?limit=10000")).raise_for_status().json()["requests"]
        return [one for one in found if one["path"] == "/oauth_token.do"]

    def secrets(self) -> KeyVaultSecrets:
        """Secrets of a worker, with a cache of their own."""
        options = {"connection_verify": self.vault.ca_file, "verify_challenge_resource": False, "retry_total": 0}
        source = KeyVaultSecrets(
            self.vault.url,
            vaults.Credential(),
            client_options=options,
            clock=lambda: time.monotonic() + self.offset.total_seconds(),
        )
        self.stack.push_async_callback(source.aclose)
        return source

    def store(self, term: timedelta = timedelta(seconds=15)) -> TableTokens:
        leases = JobLeases(self.storage, term=term, margin=timedelta(0))
        return TableTokens(self.storage, leases, "a test", self.now)

    def auth(self, kind: str = "oauth_authorization_code", **more: Any) -> dict[str, Any]:
        given: dict[str, Any] = {
            "type": kind,
            "client_id": self.simulator.client_id,
            "client_secret": {"secret": "servicenow-client-secret"},
        }
        if kind == "oauth_authorization_code":
            given |= {"refresh_token": {"secret": TOKEN}, "redirect_url": REDIRECT}
        return given | more

    def worker(
        self, *, store: Any = None, secrets: SecretSource | None = None, auth: dict[str, Any] | None = None
    ) -> ServiceNow:
        """A process: its own connector, caches and clients."""
        data = {"type": "servicenow", "url": self.simulator.url, "auth": auth or self.auth()}
        system = ServiceNow(
            self.name,
            ServiceNowSettings.model_validate(data),
            secrets or self.secrets(),
            tokens=store or self.store(),
        )
        self.stack.push_async_callback(system.aclose)
        return system

    def container(self, folder: Path, more: str = CODE, kind: str = "oauth_authorization_code") -> Container:
        """The whole app, or the command line."""
        file = folder / "bridge.yaml"
        filled = {"name": self.name, "url": self.simulator.url, "client_id": self.simulator.client_id}
        file.write_text(CONFIG.format(kind=kind, more=more, **filled))
        settings = {**self.settings, "BRIDGE_CONFIG": str(file)}
        services = Container(settings, now=self.now, storage=self.storage, secrets=self.secrets())
        self.stack.push_async_callback(services.aclose)
        return services

    def person(self, user: str = PERSON) -> Person:
        person = Person(self.simulator.url, user, self.simulator.accounts[user])
        self.stack.callback(person.http.close)
        return person

    async def consent(self, system: ServiceNow | None = None) -> str:
        """Somebody consents, and the token goes into the vault."""
        flow = (system or self.worker()).consent_flow()
        assert flow is not None
        request = flow.ask()
        address = await asyncio.to_thread(self.person().consent, request.url)
        code = parse_qs(urlsplit(address).query)["code"][0]
        token = await flow.redeem(request, code)
        await self.secrets().put(TOKEN, token.token, token.ends)
        return token.token

    async def revoke(self) -> None:
        """Somebody revokes every token at the instance."""
        flow = self.worker().consent_flow()
        assert flow is not None
        for token in await flow.issued():
            await flow.revoke(token)

    async def revoke_access(self) -> None:
        """Somebody revokes the access token at the instance."""
        held = await self.held()
        assert held is not None
        flow = self.worker().consent_flow()
        assert flow is not None
        await flow.revoke(held.access)

    async def replace_client_secret(self, value: str) -> None:
        """An administrator gives the registry record another client secret."""
        await self.change_client({"client_secret": value})

    async def change_client(self, change: dict[str, str]) -> None:
        """An administrator changes the registry record."""
        auth = (self.simulator.username, self.simulator.password)
        async with httpx.AsyncClient(base_url=self.simulator.url, auth=auth, verify=NO_AUTHORITIES) as admin:
            query = {"sysparm_query": f"client_id={self.simulator.client_id}"}
            (client,) = (await admin.get("/api/now/table/oauth_entity", params=query)).json()["result"]
            answer = await admin.patch(f"/api/now/table/oauth_entity/{client['sys_id']}", json=change)
            answer.raise_for_status()

    async def held(self) -> HeldTokens | None:
        """What workers share now."""
        return await self.store().load(self.name, (self.simulator.client_secret,))


async def look(system: ServiceNow) -> None:
    """A call that needs a token."""
    assert await system.find(TicketKind.INCIDENT, NOBODY, f"alert:1:{NOBODY}") is None


@asynccontextmanager
async def world_of(simulator: servicenow.Simulator, azurite: Azurite, folder: Path) -> AsyncIterator[World]:
    """A world on the simulator's first day."""
    async with vaults.running(folder) as vault:
        world = World(simulator, vault, azurite)
        (await world.control.post("/reset")).raise_for_status()
        try:
            yield world
        finally:
            await world.stack.aclose()
            await world.storage.aclose()
            await world.control.aclose()
