"""Until when Entra accepts the secrets of sign-ins: what Graph shows, to whom, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.container import Container
from connectors.defender.settings import DefenderSettings
from connectors.microsoft.app_registrations import registered_ends
from connectors.microsoft.clients import MicrosoftClients
from local.azure.demo.identities import GRAPH_API
from local.azurite import Azurite
from shared.core.secrets import SecretEnd
from shared.operations.credential_watch import KnownCredential
from shared.operations.credentials import EndElsewhere
from shared.platform.log import listen
from shared.platform.storage import Storage
from tests.microsoft.world import Vault, World

SOON = datetime(2027, 3, 6, tzinfo=UTC)
LATER = datetime(2028, 3, 1, tzinfo=UTC)
OURS, OTHER = "demo-bridge-secret", "next-bridge-secret"

CONFIG = """
version: 1
connections:
  desk:
    type: servicenow
    url: https://contoso.service-now.com
    auth: {{type: api_key, key: {{secret: desk-key}}}}
default: {{connection: desk}}
defender: {{tenants: [{{sign_in: {{tenant: {tenant}, client_id: {client}, client_secret: {{secret: bridge}}}}}}]}}
"""


async def secrets_are(world: World, *secrets: tuple[str, datetime | None]) -> None:
    """These, and no others, are registered; the vault has ``OURS``."""
    given = [{"value": value, "expires": None if ends is None else ends.isoformat()} for value, ends in secrets]
    await world.tell("POST", "/identities", identity="bridge", secrets=given)
    world.vault.values["bridge"] = OURS


async def may_read_applications(world: World, role: str = "Application.Read.All") -> None:
    await world.tell("POST", "/grants", identity="bridge", api=GRAPH_API, roles=[role])


async def ends(world: World, **proof: object) -> dict[str, EndElsewhere]:
    config = DefenderSettings.model_validate({"tenants": [{"sign_in": world.sign_in(**proof)}]})
    async with aclosing(MicrosoftClients(world.vault, world.endpoints())) as clients:
        return await registered_ends(config, clients, world.vault)


@pytest.mark.parametrize("role", ["Application.Read.All", "Application.ReadWrite.OwnedBy"])
async def test_given_two_secrets_when_graph_may_be_asked_then_the_end_of_the_one_in_use_is_known(
    world: World, role: str
) -> None:
    await may_read_applications(world, role)
    await secrets_are(world, (OTHER, LATER), (OURS, SOON))
    assert await ends(world) == {"bridge": EndElsewhere(SOON)}


async def test_given_no_permission_when_ends_are_read_then_nothing_is_known_and_nothing_is_wrong(world: World) -> None:
    await secrets_are(world, (OURS, SOON))
    assert await ends(world) == {}


async def test_given_a_secret_that_graph_does_not_list_when_ends_are_read_then_nothing_is_known(world: World) -> None:
    await may_read_applications(world)
    await secrets_are(world, (OURS, SOON), (OTHER, LATER))
    config = DefenderSettings.model_validate({"tenants": [{"sign_in": world.sign_in()}]})
    async with aclosing(MicrosoftClients(world.vault, world.endpoints())) as clients:
        await clients.credential("public", config.tenants[0].sign_in).get_token(clients.graph("public").scope)
        world.vault.values["bridge"] = "xyz, which nobody registered"
        world.vault.expire()
        assert await registered_ends(config, clients, world.vault) == {}


async def test_given_a_certificate_when_ends_are_read_then_it_is_found_by_its_thumbprint(world: World) -> None:
    await may_read_applications(world)
    world.vault.values["bridge"] = await asyncio.to_thread(Path(world.simulator.certificate_file).read_text)
    found = await ends(world, certificate={"secret": "bridge"})
    assert found["bridge"].problem == ""
    assert found["bridge"].ends is not None


async def test_given_graph_fails_when_ends_are_read_then_that_is_a_problem_and_no_news(world: World) -> None:
    await may_read_applications(world)
    await secrets_are(world, (OURS, SOON))
    await world.tell(
        "POST",
        "/scenarios",
        type="fail",
        match={"operation": "applications/read"},
        times=100,
        status=503,
        retry_after=0,
    )
    found = await ends(world)
    assert found["bridge"].ends is None
    assert "Microsoft Graph" in found["bridge"].problem


@asynccontextmanager
async def bridge(world: World, azurite: Azurite, folder: Path, at: datetime) -> AsyncIterator[Container]:
    path = folder / "bridge.yaml"
    path.write_text(CONFIG.format(tenant=world.simulator.tenant_id, client=world.simulator.client_id))
    world.vault.values["desk-key"] = "demo-key-0001"
    storage = Storage({"AzureWebJobsStorage": azurite.connection_string})
    container = Container(
        {"BRIDGE_CONFIG": str(path)},
        now=lambda: at,
        storage=storage,
        secrets=world.vault,
        given=(world.endpoints(),),
    )
    async with aclosing(storage), aclosing(container):
        yield container


async def forget(container: Container) -> None:
    """Tests share a storage account."""
    for row in await container.credentials.read():
        await container.credentials.forget(row.id)


async def rows(container: Container) -> dict[str, KnownCredential]:
    return {row.name: row for row in await container.credentials.read()}


class DatedVault(Vault):
    """A vault that names an end of its own, later than the one that Entra has."""

    async def end_of(self, _name: str) -> SecretEnd:
        return SecretEnd(LATER)


@pytest.mark.parametrize("vault", [Vault, DatedVault])
async def test_given_five_days_when_graph_is_away_at_the_next_look_then_the_warning_stands_and_is_not_repeated(
    world: World, azurite: Azurite, tmp_path: Path, vault: type[Vault]
) -> None:
    world.vault = vault(world.vault.values)
    said: list[tuple[str, object]] = []
    end = listen(lambda event, fields: said.append((event, fields.get("credential"))))
    await may_read_applications(world)
    await secrets_are(world, (OURS, SOON))
    async with bridge(world, azurite, tmp_path, SOON - timedelta(days=5)) as container:
        await forget(container)
        await container.timers.check_credentials()
        assert (await rows(container))["bridge"].ends == SOON
        await world.tell(
            "POST",
            "/scenarios",
            type="fail",
            match={"operation": "applications/read"},
            times=100,
            status=503,
            retry_after=0,
        )
        await container.timers.check_credentials()
        known = (await rows(container))["bridge"]
    end()
    assert known.ends == SOON
    assert "Microsoft Graph" in known.problem
    assert said.count(("credential_ends", "bridge")) == 1
    assert ("credential_replaced", "bridge") not in said


async def test_given_a_secret_that_has_ended_when_entra_refuses_it_then_it_counts_as_ended_and_not_as_replaced(
    world: World, azurite: Azurite, tmp_path: Path
) -> None:
    said: list[tuple[str, object]] = []
    end = listen(lambda event, fields: said.append((event, fields.get("step"))))
    await may_read_applications(world)
    await secrets_are(world, (OURS, SOON))
    async with bridge(world, azurite, tmp_path, SOON - timedelta(days=5)) as container:
        await forget(container)
        await container.timers.check_credentials()
    await secrets_are(world, (OURS, datetime.now(UTC) - timedelta(hours=1)))  # by the clock of Entra
    async with bridge(world, azurite, tmp_path, SOON + timedelta(hours=1)) as container:
        await container.timers.check_credentials()
        known = (await rows(container))["bridge"]
        report = await container.health_report()
    end()
    assert known.ends == SOON
    assert [step for event, step in said if event == "credential_ends"] == [7, 0]
    assert "credential_replaced" not in [event for event, _ in said]
    assert "credential_ends" in [reason.code for reason in report.reasons]


async def test_given_a_certificate_that_cannot_be_read_when_ends_are_read_then_nothing_is_known(world: World) -> None:
    await may_read_applications(world)
    config = DefenderSettings.model_validate(
        {"tenants": [{"sign_in": world.sign_in(certificate={"secret": "bridge"})}]}
    )
    world.vault.values["bridge"] = await asyncio.to_thread(Path(world.simulator.certificate_file).read_text)
    async with aclosing(MicrosoftClients(world.vault, world.endpoints())) as clients:
        await clients.credential("public", config.tenants[0].sign_in).get_token(clients.graph("public").scope)
        world.vault.values["bridge"] = "no certificate"
        world.vault.expire()
        assert await registered_ends(config, clients, world.vault) == {}
