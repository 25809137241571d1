"""What people are told of a consent: by the check, by health and by the watch on credentials."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.checks import run_checks
from app.container import Container
from cli.connect import connecting
from shared.core.jobs import JobRun
from tests.tokens.test_connect import typed
from tests.tokens.world import World, look

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = timedelta(days=1)


async def check(services: Container, connection: str) -> dict[str, tuple[str, str, str]]:
    """The lines of the check: verdict, detail and fix, by name."""
    (section,) = [one async for one in run_checks(services, connection=connection)]
    return {line.name: (line.verdict.value, line.detail, line.fix) for line in section.lines}


async def log_in(services: Container, connection: str) -> dict[str, Any]:
    """What health shows of the connection's log-in."""
    services.__dict__.pop("health_reporter", None)
    shown: dict[str, Any] = (await services.health_report()).shown()["connections"][connection]["log_in"]
    return shown


async def test_given_nobody_consented_then_check_and_health_name_the_command(world: World, tmp_path: Path) -> None:
    services = world.container(tmp_path)
    lines = await check(services, world.name)
    assert lines["secrets"][0] == "ok"
    assert lines["consent"] == (
        "failed",
        "nobody has consented yet, or the consent was taken back",
        f"Log in as the integration user (bridge.py connect {world.name}): what is for it waits until then",
    )
    assert lines["authenticated"][1] == "not tested: nobody has consented"
    shown = await log_in(services, world.name)
    assert (shown["kind"], shown["user"], shown["token_ends"]) == ("oauth_authorization_code", "", None)
    assert f"bridge.py connect {world.name}" in shown["problem"]
    problem = [one.detail for one in await _credentials(services) if one.name == world.name]
    assert "nobody has consented yet" in problem[0]


async def test_given_a_client_secret_that_is_missing_then_that_is_the_line_and_not_the_consent(
    world: World, tmp_path: Path
) -> None:
    await world.consent()
    del world.vault.secrets["servicenow-client-secret"]
    lines = await check(world.container(tmp_path), world.name)
    assert lines["secrets"][0] == "failed"
    assert "servicenow-client-secret" in lines["secrets"][1]
    assert lines["consent"] == ("warning", "not tested: there are no credentials", "")


async def test_given_a_consent_when_its_life_goes_by_then_whose_and_how_long_is_said_and_each_step_warns_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = world.container(tmp_path)
    user = world.simulator.integration_username
    typed(monkeypatch, user, world.simulator.integration_password)
    await connecting(services, world.name, with_password=True)
    lines = await check(services, world.name)
    assert lines["consent"][0] == "ok"
    assert lines["consent"][1].startswith(f"given by '{user}'; it ends on ")
    assert lines["consent"][1].endswith(", in 99 days")
    shown = await log_in(services, world.name)
    assert (shown["user"], shown["days_left"], shown["problem"]) == (user, 99, "")
    assert shown["access_ends"] is not None
    warned = []
    for day in range(0, 101, 4):
        result = await services.timers.check_credentials(JobRun())
        warned += [100 - day] * result.warned
        await world.advance(4 * DAY)
    assert warned == [28, 12, 4, 0]  # the first look after 30, 14, 7 days, and at the end


async def test_given_a_consent_that_ends_soon_then_the_check_warns_with_the_command(
    world: World, tmp_path: Path
) -> None:
    services = world.container(tmp_path)
    await world.consent()
    await world.advance(80 * DAY)
    verdict, detail, fix = (await check(services, world.name))["consent"]
    assert (verdict, detail[-10:]) == ("warning", "in 19 days")
    assert f"bridge.py connect {world.name}" in fix
    lines = {one.name: one for one in await _credentials(services)}
    assert f"bridge.py connect {world.name}" in lines[world.name].fix
    assert "servicenow-refresh-token" not in lines  # it is told once


@pytest.mark.parametrize("how", ["ended", "revoked"])
async def test_given_a_consent_that_works_no_more_then_the_check_says_why(
    world: World, tmp_path: Path, how: str
) -> None:
    services = world.container(tmp_path)
    await world.consent()
    await look(world.worker())
    if how == "ended":
        await world.advance(101 * DAY)
    else:
        await world.revoke()
    lines = await check(services, world.name)
    verdict, detail, fix = lines["consent"]
    assert verdict == "failed"
    assert f"bridge.py connect {world.name}" in fix
    assert detail.startswith(
        "the consent ended on 20" if how == "ended" else "the instance refuses the refresh token: the consent was"
    )
    assert lines["authenticated"][1] == "not tested: the consent is not accepted"
    assert ("client id" in fix) == (how == "revoked")


async def test_given_the_password_grant_then_its_refresh_token_is_nobodys_concern(world: World, tmp_path: Path) -> None:
    user = world.simulator.integration_username
    world.vault.secrets["servicenow-password"] = world.simulator.integration_password
    more = f"      username: {user}\n      password: {{secret: servicenow-password}}\n"
    services = world.container(tmp_path, more, "oauth_password")
    await look(services.opened_systems.real_system(world.name))  # type: ignore[arg-type]
    shown = await log_in(services, world.name)
    assert (shown["kind"], shown["user"], shown["token_ends"]) == ("oauth_password", user, None)
    assert shown["access_ends"] is not None
    assert "consent" not in await check(services, world.name)


async def _credentials(services: Container) -> list[Any]:
    sections = [one async for one in run_checks(services) if one.name == "credentials"]
    return [line for section in sections for line in section.lines]
