"""Resource Health is asked whether what a ticket is about is well again, of the real API shape over TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from connectors.azure_monitor.resource_health import ResourceHealth
from connectors.microsoft.clients import MicrosoftClients
from shared.core.secrets import SettingSecrets
from shared.core.signal import Resource, Signal
from tests.mapping.signals import signal
from tests.reconcile.stage import Stage


def about(*ids: str | None, subscription: str) -> Signal:
    return signal(resources=tuple(Resource(id=one, subscription_id=subscription if one else None) for one in ids))


@pytest.fixture
async def asked(stage: Stage) -> AsyncIterator[ResourceHealth]:
    watched = [stage.watched(), stage.watched(stage.clouds.other_subscriptions[0])]
    secrets = SettingSecrets({"BRIDGE": stage.clouds.client_secret})
    async with aclosing(MicrosoftClients(secrets, stage.reach())) as clients:
        yield ResourceHealth(clients, "public", stage.settings(watched=watched))


async def test_a_resource_is_well_when_resource_health_says_so(stage: Stage, asked: ResourceHealth) -> None:
    one = about(stage.machine, subscription=stage.subscription)
    assert await asked.is_healthy(one)
    for state in ("Unavailable", "Degraded", "Unknown"):
        await stage.told("POST", "/health", {"resource": stage.machine, "state": state, "reason": "Unplanned"})
        assert not await asked.is_healthy(one), state
    await stage.told("POST", "/health", {"resource": stage.machine, "state": "Available", "reason": ""})
    assert await asked.is_healthy(one)


async def test_all_resources_have_to_be_well_and_those_that_nobody_knows_are_not(
    stage: Stage, asked: ResourceHealth
) -> None:
    gone = f"{stage.machine}-gone"
    assert not await asked.is_healthy(about(stage.machine, gone, subscription=stage.subscription))
    assert not await asked.is_healthy(about(None, subscription=stage.subscription)), "a bare name cannot be asked about"


async def test_what_cannot_be_found_out_is_no_sign_of_health(
    stage: Stage, asked: ResourceHealth, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = stage.clouds.other_subscriptions[0]
    resource = f"/subscriptions/{foreign}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm"
    with caplog.at_level("WARNING", logger="bridge"):
        assert not await asked.is_healthy(about(resource, subscription=foreign))
    assert '"event": "resource_health_unavailable"' in caplog.text
