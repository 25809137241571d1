"""Azure's alerts follow their tickets, and nothing that we did ourselves comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from connectors.azure_monitor.reconcile.reconciler import Reconciler, rules_of
from connectors.azure_monitor.reconcile.state import ReconcileState
from connectors.azure_monitor.settings import ReconcileSettings
from connectors.azure_monitor.source import AzureMonitorSource
from connectors.azure_monitor.subscriptions import AlertSubscriptions
from connectors.microsoft.engine import clients_of
from local import azure, servicenow
from shared.core.link import Link
from shared.core.link import LinkStage as Ticketed
from shared.core.signal import Signal
from shared.platform.storage import Storage
from tests.asking import get
from tests.payloads.support import parse
from tests.resync.stage import Stage, admin, staged

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)
CHANGE = "Microsoft.AlertsManagement/alerts/changestate/action"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clouds() -> AsyncIterator[azure.Simulator]:
    async with azure.running() as clouds:
        yield clouds


class Azure:
    """Azure's side: what its people and its rules do. ``stage`` is the bridge between it and the desk."""

    def __init__(self, stage: Stage, clouds: azure.Simulator, control: httpx.AsyncClient) -> None:
        self.stage = stage
        self.subscription = clouds.subscriptions[1]
        self._clouds = clouds
        self._control = control
        self.alert: dict[str, Any] = {}

    def start(self, alerts: str = "{}", more: str = "") -> None:
        """The bridge starts with these settings."""
        reconcile = (
            f"reconcile: {{subscriptions: [{{id: {self.subscription}, sign_in: {{tenant: {self._clouds.tenant_id}, "
            f"client_id: {self._clouds.client_id}, client_secret: {{secret: bridge}}}}}}]}}\n"
        )
        self.stage.configured(f"{reconcile}resync: {{alerts: {alerts}}}\n{more}")

    async def fire(self) -> Link:
        """An alert fires and its webhook comes; the link of its ticket."""
        machine = (
            f"/subscriptions/{self.subscription}/resourceGroups/rg-dev/providers/Microsoft.Compute/virtualMachines/"
            "dev-01"
        )
        ago = (datetime.now(UTC) - HOUR).isoformat()
        self.alert = await self.told("POST", "/alerts", {"resource": machine, "at": ago})
        return await self.hear()

    async def resolve(self) -> Link:
        """The alert is over and its webhook comes."""
        self.alert = await self.told("POST", f"/alerts/{self.alert['name']}", {"monitorCondition": "Resolved"})
        return await self.hear()

    async def hear(self) -> Link:
        (signal,) = parse(self.alert["payload"], datetime.now(UTC))
        assert isinstance(signal, Signal)
        link = await self.stage.deliver(signal)
        await self.stage.work_off()
        return link

    async def follow(self) -> list[str]:
        """The timer, and what the worker has to do for it; the keys whose sources were told."""
        await self.stage.resync()
        return await self.stage.work_off()

    async def history(self) -> list[tuple[str, str]]:
        """The states that the alert was given, oldest first, each with its comment."""
        listed = (await self.told("GET", "/alerts"))["alerts"]
        (found,) = (one["history"] for one in listed if one["name"] == self.alert["name"])
        return [
            (one["newValue"], one["comments"]) for one in reversed(found) if one["modificationEvent"] == "StateChange"
        ]

    async def states(self) -> list[str]:
        return [state for state, _ in await self.history()]

    async def calls(self) -> int:
        return int((await self.told("GET", "/counters"))["total"])

    async def told(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self._control.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def reconcile(self) -> list[str]:
        """The comparison with Azure's list; the keys of what it puts on the queue."""
        services = self.stage.services
        settings = services.config.section("reconcile", ReconcileSettings)
        assert settings is not None
        found: list[str] = []

        class Outbox:
            async def send(self, envelope: Any, delay: timedelta = timedelta()) -> None:
                found.append(envelope.signal.key)

        rules = rules_of(services.mapper)
        opened = AlertSubscriptions(clients_of(services), settings.cloud, settings)
        ledger = ReconcileState(services.storage)
        run = Reconciler(settings, opened.open, services.links, ledger, Outbox(), rules, now=self.stage.now)
        results = await run.run()
        assert all(result.finished for result in results)
        return found


@pytest_asyncio.fixture(loop_scope="module")
async def world(
    simulator: servicenow.Simulator, clouds: azure.Simulator, storage: Storage, tmp_path: Path
) -> AsyncIterator[Azure]:
    async with (
        staged(simulator, storage, tmp_path, clouds) as stage,
        admin(clouds.control_url) as control,
    ):
        opened = Azure(stage, clouds, control)
        await opened.told("POST", "/reset", {})
        opened.start()
        yield opened


async def test_an_alert_is_acknowledged_while_people_work_on_it_and_closed_after(world: Azure) -> None:
    link = await world.fire()
    assert (await world.follow(), await world.calls()) == ([], 0)
    await world.stage.write(link, state="2")
    assert await world.follow() == [link.key]
    assert await world.calls() == 1 + 2  # a token; the alert, and its state
    assert link.ticket is not None
    number, url = link.ticket.number, link.ticket.url
    assert await world.history() == [("Acknowledged", f"{number} is In Progress (Azure ITSM Bridge): {url}")]
    await world.stage.write(link, state="3", hold_reason="1")  # on hold: still being worked on
    assert await world.follow() == []
    await world.stage.resolve(link)
    assert await world.follow() == [link.key]
    assert (await world.history())[1] == ("Closed", f"{number} is Resolved (Azure ITSM Bridge): {url}")
    before = await world.calls()
    await world.stage.write(link, work_notes="thanks")
    assert (await world.follow(), await world.calls()) == ([], before)


async def test_whoever_gets_the_ticket_acknowledges_the_alert(world: Azure) -> None:
    link = await world.fire()
    await world.stage.write(link, assigned_to="46d44a23a9fe19810012d100cca80666")
    await world.follow()
    assert await world.states() == ["Acknowledged"]
    await world.stage.write(link, assigned_to="")
    await world.follow()
    assert await world.states() == ["Acknowledged", "New"]


async def test_a_ticket_that_people_reopen_takes_its_alert_along_and_flows_again(world: Azure) -> None:
    link = await world.fire()
    await world.stage.resolve(link)
    await world.follow()
    await world.stage.write(link, state="2")
    await world.follow()
    assert await world.states() == ["Closed", "Acknowledged"]
    link = await world.resolve()
    assert link.stage is Ticketed.RESOLVED
    assert link.ticket is not None
    assert await world.stage.desk.field(link.ticket, "state") == "6"


async def test_what_azure_ended_itself_is_not_told_to_azure(world: Azure) -> None:
    link = await world.fire()
    await world.resolve()
    before = await world.calls()
    assert await world.follow() == []
    await world.stage.write(link, state="7", close_code="Solution provided", close_notes="closed after a week")
    assert await world.follow() == []
    assert (await world.states(), await world.calls()) == ([], before)


async def test_it_is_told_where_that_is_wished(world: Azure) -> None:
    world.start("{ended: true, comment: false}")
    await world.fire()
    await world.resolve()  # the worker orders it as soon as the ticket is resolved
    assert await world.history() == [("Closed", "")]
    assert await world.follow() == []


async def test_an_alert_that_we_closed_makes_no_ticket_call(world: Azure) -> None:
    """Neither Azure's list nor the webhook's Resolved, which comes after, is news."""
    link = await world.fire()
    await world.stage.resolve(link)
    await world.follow()
    assert await world.states() == ["Closed"]
    before = await world.stage.desk.calls()
    assert await world.reconcile() == []
    link = await world.resolve()
    assert await world.reconcile() == []
    assert (link.stage, link.generation) == (Ticketed.RESOLVED, 1)
    assert await world.stage.desk.calls() == before
    assert await world.follow() == []


async def test_an_alert_that_is_in_that_state_already_gets_no_second_entry(world: Azure) -> None:
    link = await world.fire()
    await world.told("POST", f"/alerts/{world.alert['name']}", {"alertState": "Acknowledged"})
    before = await world.states()
    await world.stage.write(link, state="2")
    assert await world.follow() == [link.key]
    assert await world.states() == before
    asked = (await world.told("GET", "/requests"))["requests"]
    assert not [one for one in asked if "changestate" in str(one)]
    assert await world.follow() == []
    assert (await world.stage.full_check()).told == 0


async def test_an_alert_that_azure_has_no_more_is_no_error(world: Azure) -> None:
    link = await world.fire()
    await world.told("DELETE", f"/alerts/{world.alert['name']}")
    await world.stage.write(link, state="2")
    assert await world.follow() == [link.key]
    assert (await world.stage.link(link.key)).last_pushed.startswith("Acknowledged ")
    assert await world.follow() == []
    alerts = world.stage.services.source(AzureMonitorSource)._subscriptions.open(world.subscription)
    assert await alerts.state(world.alert["name"]) is None
    assert not await alerts.change_state(world.alert["name"], "Closed")  # it went between the two calls


async def test_a_rotated_client_secret_is_used_without_a_restart(world: Azure) -> None:
    await world.told("PATCH", "/settings", {"token_lifetime_s": 200})  # each call signs in anew
    link = await world.fire()
    await world.stage.write(link, state="2")
    assert await world.follow() == [link.key]
    await world.told("POST", "/identities", {"identity": "bridge", "secrets": [{"value": "rotated"}]})
    world.stage.secrets["BRIDGE"] = "rotated"
    await world.stage.resolve(link)
    assert await world.follow() == [link.key]
    assert await world.states() == ["Acknowledged", "Closed"]


async def test_without_the_right_it_is_a_dead_letter_that_names_the_role_and_is_owed_still(world: Azure) -> None:
    link = await world.fire()
    await world.stage.write(link, state="2")
    await world.told("POST", "/scenarios", {"type": "deny", "match": {"operation": CHANGE}, "times": 1})
    assert await world.follow() == [link.key]
    assert await world.states() == []
    listed = await get(world.stage.services.endpoints.dead_letters, text="docs/resync.md")
    assert any("docs/resync.md" in item["reason"] for item in listed["items"])
    # the full check finds what nobody orders any more
    assert (await world.stage.full_check()).told == 1
    assert await world.stage.work_off() == [link.key]
    assert await world.states() == ["Acknowledged"]


async def test_the_ticket_of_a_group_tells_no_single_alert(world: Azure) -> None:
    link = await world.fire()
    await world.stage.change(link.key, origin="")
    await world.stage.write(link, state="2")
    assert (await world.follow(), await world.states()) == ([], [])


async def test_states_are_called_as_the_connection_calls_them(world: Azure) -> None:
    world.start("{acknowledge: [Wird bearbeitet], close: [Erledigt]}")
    states = '{incident: {names: {"2": Wird bearbeitet, "6": Erledigt}}}'
    text = world.stage.services.config_path.read_text()
    world.stage.services.config_path.write_text(text.replace("states: {}", f"states: {states}"))
    link = await world.fire()
    await world.stage.write(link, state="2")
    await world.follow()
    await world.stage.resolve(link)
    await world.follow()
    states_and_names = [(state, comment.split(" is ")[1].split(" (")[0]) for state, comment in await world.history()]
    assert states_and_names == [("Acknowledged", "Wird bearbeitet"), ("Closed", "Erledigt")]
