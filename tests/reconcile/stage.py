"""Azure's side (the simulator), the bridge's side (Azurite), and a clock of the comparison's own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from connectors.azure_monitor.reconcile.comparison import ReconcileResult
from connectors.azure_monitor.reconcile.reconciler import MOST_FETCHED, Reconciler, rules_of
from connectors.azure_monitor.reconcile.state import ReconcileProgress, ReconcileState
from connectors.azure_monitor.settings import ReconcileSettings
from connectors.azure_monitor.subscriptions import AlertSubscriptions
from connectors.microsoft import Endpoint
from connectors.microsoft.clients import CloudEndpoints, MicrosoftClients
from local.azure import Simulator, running
from shared.core.jobs import JobRun
from shared.core.link import Link
from shared.core.messages import Message, SignalMessage
from shared.core.secrets import SettingSecrets
from shared.core.signal import Signal
from shared.delivery.links import LinkStore
from shared.platform.storage import Storage
from tests.azure_simulator.support import ARM, NO_AUTHORITIES
from tests.mapping.signals import mapper
from tests.payloads.support import parse

DEFAULT = "default: {connection: desk}\n"


class Outbox:
    """Takes what would go onto the queue."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, message: Message, delay: timedelta = timedelta()) -> None:
        self.sent.append(message)

    def take(self) -> list[Signal]:
        """What was put there since the last time."""
        signals = [message.signal for message in self.sent if isinstance(message, SignalMessage)]
        self.sent.clear()
        return signals


class Stage:
    """One test's world. ``later`` is how far the comparison's clock is ahead."""

    def __init__(self, clouds: Simulator, control: httpx.AsyncClient, storage: Storage) -> None:
        self.clouds = clouds
        self.control = control
        self.storage = storage
        self.links = LinkStore(storage)
        self.ledger = ReconcileState(storage)
        self.outbox = Outbox()
        self.later = timedelta()
        self.most = MOST_FETCHED
        self.subscription = clouds.subscriptions[1]
        self.machine = (
            f"/subscriptions/{self.subscription}/resourceGroups/rg-dev/providers/Microsoft.Compute/virtualMachines/"
            "dev-01"
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    async def fire(self, *, ago: timedelta = timedelta(hours=1), **order: Any) -> dict[str, Any]:
        """Azure fires an alert; what the control API says of it."""
        order = {"resource": self.machine, "at": (datetime.now(UTC) - ago).isoformat(), **order}
        return await self.told("POST", "/alerts", order)

    async def resolve(self, fired: dict[str, Any]) -> dict[str, Any]:
        """The alert is over, now."""
        return await self.told("POST", f"/alerts/{fired['name']}", {"monitorCondition": "Resolved"})

    async def told(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.control.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def know(self, signal: Signal, **changes: Any) -> None:
        """The bridge has a link for a signal."""
        await self.links.write(replace(Link(key=signal.key), **changes), None)

    def settings(self, **section: Any) -> ReconcileSettings:
        watched = section.pop("watched", [self.watched()])
        return ReconcileSettings.model_validate({"subscriptions": watched, **section})

    def watched(self, subscription: str = "", tenant: str = "", client: str = "") -> dict[str, Any]:
        """A subscription of the configuration, with the sign-in of the bridge's application."""
        return {
            "id": subscription or self.subscription,
            "sign_in": {
                "tenant": tenant or self.clouds.tenant_id,
                "client_id": client or self.clouds.client_id,
                "client_secret": {"secret": "stranger" if client else "bridge"},
            },
        }

    async def reconcile(self, *, routes: str = DEFAULT, dry_run: bool = False, **section: Any) -> ReconcileResult:
        """One run over one subscription."""
        (result,) = await self.run(routes=routes, dry_run=dry_run, **section)
        return result

    async def run(self, *, routes: str = DEFAULT, dry_run: bool = False, **section: Any) -> list[ReconcileResult]:
        settings = self.settings(**section)
        secrets = SettingSecrets({"BRIDGE": self.clouds.client_secret, "STRANGER": self.clouds.stranger_client_secret})
        async with aclosing(MicrosoftClients(secrets, self.reach())) as clients:
            subscriptions = AlertSubscriptions(clients, settings.cloud, settings)
            rules = rules_of(mapper(routes))
            compared = Reconciler(
                settings, subscriptions.open, self.links, self.ledger, self.outbox, rules, now=self.now, most=self.most
            )
            asked = JobRun(dry_run=dry_run)
            self.samples = asked.samples
            return await compared.run(asked)

    def reach(self) -> CloudEndpoints:
        """The simulator as a cloud of its own."""
        return CloudEndpoints(
            Endpoint(self.clouds.https_url, ARM),
            self.clouds.https_url,
            ssl.create_default_context(cafile=self.clouds.ca_file),
            {"disable_instance_discovery": True, "connection_verify": self.clouds.ca_file},
        )


def webhook(told: dict[str, Any]) -> Signal:
    """The signal that Azure's webhook makes of an alert as it stands."""
    (signal,) = parse(told["payload"], datetime.now(UTC))
    assert isinstance(signal, Signal)
    return signal


@asynccontextmanager
async def staged(storage: Storage) -> AsyncIterator[Stage]:
    """A fresh cloud, and a ledger that knows nothing of it."""
    async with (
        running() as clouds,
        httpx.AsyncClient(base_url=clouds.control_url, verify=NO_AUTHORITIES) as control,
    ):
        stage = Stage(clouds, control, storage)
        for subscription in (*clouds.subscriptions, *clouds.other_subscriptions):
            settled, _ = await stage.ledger.load(subscription)
            await stage.ledger.forget(subscription, settled)
            await stage.ledger.note(subscription, ReconcileProgress())
        yield stage
