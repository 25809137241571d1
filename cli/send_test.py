"""The command ``send-test``: a fired and a resolved test alert through the webhook, followed to the ticket and back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

import typer

from app.container import Container
from cli.app_client import KEY, AppClient, configured_app
from cli.runtime import err, fail, out, run, settings
from shared.core.errors import BridgeError
from shared.core.link import Link
from shared.core.ticket_system import Ticket
from shared.core.times import rfc3339
from shared.operations.audit_log import AuditEntry

#: Property of test alerts, for a route of their own.
PROPERTY = "send_test"

_RESOURCE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/bridge-test"
    "/providers/Microsoft.Compute/virtualMachines/bridge-test"
)

#: Seconds between two looks, and the clock error of this machine that does no harm.
_LOOK_EVERY = 0.5
_CLOCKS = timedelta(minutes=10)

_REFUSED = ("dead_lettered", "quarantined")


def send_test(
    url: Annotated[
        str,
        typer.Option(
            help="The webhook as the action group has it, https://APP/api/alerts?code=KEY. Left out: /api/alerts of "
            f"the app that BRIDGE_APP_URL and {KEY}, or --session, name."
        ),
    ] = "",
    severity: Annotated[int, typer.Option(min=0, max=4, help="Severity of the alert: 0 critical to 4 verbose.")] = 3,
    resource: Annotated[str, typer.Option(help="ARM id of the resource that the alert names.")] = _RESOURCE,
    patience: Annotated[float, typer.Option("--wait", min=1, help="Seconds to wait for each delivery.")] = 120.0,
) -> None:
    """Send a fired and a resolved test alert through the deployed webhook, and follow them to the ticket and back.

    Makes one ticket and resolves it. Each step is printed with its time; the exit code is 1 unless all went well. Reads
    the bridge's storage to follow the alert, as the other commands do. A route can take test alerts apart:
    when: {custom_properties: {send_test: "*"}}.
    """

    async def work(services: Container) -> None:
        client = AppClient(url, settings().get(KEY, "")) if url else configured_app()
        try:
            await _Test(services, client, severity, resource, patience).go()
        finally:
            await client.aclose()

    run(work)


class _Test:
    """One test alert on its way."""

    def __init__(self, services: Container, client: AppClient, severity: int, resource: str, patience: float) -> None:
        self._services = services
        self._client = client
        self._severity = severity
        self._resource = resource
        self._patience = patience
        self._alert = str(uuid4())
        self._fired_at = datetime.now(UTC)
        self._began = time.monotonic()

    async def go(self) -> None:
        """Do all steps. Ends the command with 1 at the first that fails."""
        fired = await self._deliver(resolved=False)
        if not fired.ticket_id:
            fail(f"the alert made no ticket: {fired.decision}. {fired.reason or fired.rule}".rstrip(), 1)
        self._say(f"ticket {fired.ticket_number or fired.ticket_id}: {fired.ticket_url}")
        link = await self._services.links.load(fired.key)
        if link is not None:
            await self._look_at_ticket(link.value)
        ended = await self._deliver(resolved=True)
        if ended.ticket_id and ended.ticket_id != fired.ticket_id:
            fail(f"the end came to another ticket: {ended.ticket_number or ended.ticket_id}", 1)
        link = await self._services.links.load(fired.key)
        if link is None:
            fail(f"there is no link of {fired.key}", 1)
        await self._look_at_ticket(link.value)
        self._say("state in Azure: not changed; Azure has no alert of a test")
        self._say("all went well")

    async def _deliver(self, *, resolved: bool) -> AuditEntry:
        """Send one of the two alerts and wait for its end."""
        what = "resolved" if resolved else "fired"
        sent = datetime.now(UTC)
        answer = await self._client.call("POST", self._client.path or "/api/alerts", self._payload(resolved=resolved))
        (item,) = answer.get("items") or ({"status": "lost", "reason": "the webhook named no signal", "id": ""},)
        self._say(f"{what}: taken in as {item['id']}")
        if item["status"] != "accepted":
            fail(f"{what}: {item['status']}: {item.get('reason', '')}", 1)
        with err.status(f"{what}: waiting for its delivery ..."):
            entry = await self._ended(item["id"], sent)
        if entry is None:
            fail(
                f"{what}: not delivered within {self._patience:g} seconds. A rule may hold it, or the ticket system is "
                f"unavailable: bridge.py check, and bridge.py tickets trace {item['key']}",
                1,
            )
        self._say(f"{what}: {_described(entry)}")
        if entry.decision in _REFUSED:
            fail(f"{what}: {entry.reason}", 1)
        return entry

    async def _ended(self, message_id: str, since: datetime) -> AuditEntry | None:
        """The end of a message in the audit log; None when it does not come in time."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            async for entry in self._services.audit_log.read(since - _CLOCKS, datetime.now(UTC) + _CLOCKS):
                if entry.id == message_id:
                    return entry
            await asyncio.sleep(_LOOK_EVERY)
        return None

    async def _look_at_ticket(self, link: Link) -> None:
        """Read the ticket where this machine has what that takes."""
        if link.ticket is None:
            return
        try:
            system = self._services.system(link.connection, budgeted=False)
            found = await system.find(link.kind, link.ticket.id, link.ticket.correlation)
        except BridgeError as error:
            self._say(f"ticket not read from here: {str(error).splitlines()[0]}")
            return
        self._say(f"ticket read: {_state(self._services, link, found)}")
        if found is None:
            fail("the ticket cannot be seen", 1)

    def _say(self, text: str) -> None:
        out.print(f"{time.monotonic() - self._began:6.1f} s  {text}", markup=False)

    def _payload(self, *, resolved: bool) -> Mapping[str, Any]:
        """A metric alert of the common alert schema. Source: Microsoft Learn, "Common alert schema"."""
        name = self._resource.rstrip("/").rpartition("/")[2]
        fired_at, now = rfc3339(self._fired_at), rfc3339(datetime.now(UTC))
        essentials = {
            "alertId": self._alert,
            "alertRule": "bridge-send-test",
            "severity": f"Sev{self._severity}",
            "signalType": "Metric",
            "monitorCondition": "Resolved" if resolved else "Fired",
            "monitoringService": "Platform",
            "alertTargetIDs": [self._resource],
            "configurationItems": [name],
            "firedDateTime": fired_at,
            "description": "A test of the way from the webhook to the ticket and back. Nothing is wrong.",
            "essentialsVersion": "1.0",
            "alertContextVersion": "1.0",
        } | ({"resolvedDateTime": now} if resolved else {})
        data = {"essentials": essentials, "alertContext": {}, "customProperties": {PROPERTY: "true"}}
        return {"schemaId": "azureMonitorCommonAlertSchema", "data": data}


def _described(entry: AuditEntry) -> str:
    by = f" by route {entry.route}" if entry.route else ""
    on = f" on connection {entry.connection}" if entry.connection else ""
    return f"{entry.decision}{by}{on} after {entry.seconds:.1f} s, {entry.calls} calls"


def _state(services: Container, link: Link, found: Ticket | None) -> str:
    if found is None:
        return "it is not there"
    return f"{services.state_name(link.connection, link.kind, found.state)} ({found.phase.value})"
